// SPDX-License-Identifier: GPL-2.0

//! A counter for statistics.

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// A counter with one writer at a time and any number of readers.
///
/// Counting is a load and a store, not a locked instruction: two writers at once lose counts.
pub struct Counter(Atomic<u64>);

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}

impl Counter {
    /// A counter that stands at zero.
    pub const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Adds `n`. For the counter's one writer.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The count.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
