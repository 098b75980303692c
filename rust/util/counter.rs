// SPDX-License-Identifier: GPL-2.0

//! Statistics counters.

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// A counter with one writer at a time and any number of readers.
///
/// Adding is a load and a store, not an atomic read-modify-write: concurrent writers lose counts.
pub struct Counter(Atomic<u64>);

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}

impl Counter {
    /// Creates a counter with the value 0.
    pub const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Adds `n`. Only one context at a time may call this.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Returns the value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
