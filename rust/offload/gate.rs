// SPDX-License-Identifier: GPL-2.0

//! The gate of an adapter.

use kernel::sync::atomic::{
    AtomicFlag,
    Relaxed, //
};

/// Address families in which no connection is worth a hand-over: a filter or tap has to see the frames
/// of all of them.
///
/// It belongs to the adapter, so that the client finds it without a lookup when a frame is sent. Only
/// the client uses it.
pub struct Gate([AtomicFlag; 2]);

impl Gate {
    /// Creates a gate that is open for both families.
    pub(crate) const fn new() -> Self {
        Self([AtomicFlag::new(false), AtomicFlag::new(false)])
    }

    /// Closes or opens the gate for IPv6 or IPv4.
    pub fn set_closed(&self, ipv6: bool, closed: bool) {
        self.0[usize::from(ipv6)].store(closed, Relaxed);
    }

    /// Returns whether the gate is closed for IPv6 or IPv4.
    #[inline]
    pub fn is_closed(&self, ipv6: bool) -> bool {
        self.0[usize::from(ipv6)].load(Relaxed)
    }
}
