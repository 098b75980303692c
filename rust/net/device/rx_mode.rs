// SPDX-License-Identifier: GPL-2.0

//! Receive filters.

use crate::bindings;
use core::marker::PhantomData;

/// The frames to receive (`ndo_set_rx_mode_async`).
pub struct RxMode<'a> {
    /// Receive every frame.
    pub promiscuous: bool,
    /// Receive every multicast frame.
    pub all_multicast: bool,
    /// Unicast addresses besides the device's own.
    pub unicast: Addresses<'a>,
    /// Multicast addresses.
    pub multicast: Addresses<'a>,
}

/// A list of MAC addresses.
///
/// # Invariants
///
/// `list` is valid and does not change for `'a`; `at` is its head or the node of one of its
/// addresses.
#[derive(Clone, Copy)]
pub struct Addresses<'a> {
    list: *const bindings::netdev_hw_addr_list,
    at: *const bindings::list_head,
    _list: PhantomData<&'a bindings::netdev_hw_addr_list>,
}

impl Addresses<'_> {
    /// # Safety
    ///
    /// `list` must be valid, and not change, for the lifetime of the result.
    pub(super) unsafe fn new(list: *const bindings::netdev_hw_addr_list) -> Self {
        // INVARIANT: The caller promises it.
        Self {
            list,
            // SAFETY: The caller promises validity.
            at: unsafe { (*list).list.next },
            _list: PhantomData,
        }
    }

    /// Number of addresses in the whole list.
    pub fn count(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (*self.list).count.max(0) as usize }
    }
}

impl Iterator for Addresses<'_> {
    type Item = [u8; 6];

    fn next(&mut self) -> Option<[u8; 6]> {
        // SAFETY: By the type invariant.
        if core::ptr::eq(self.at, unsafe { &raw const (*self.list).list }) {
            return None;
        }
        // SAFETY: By the type invariant this is the node of an address.
        unsafe {
            let entry = kernel::container_of!(self.at, bindings::netdev_hw_addr, list);
            self.at = (*self.at).next;
            Some(*(&raw const (*entry).addr).cast())
        }
    }
}
