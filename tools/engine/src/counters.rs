// SPDX-License-Identifier: GPL-2.0

//! The counters of a processor, as they stand in its status page.

use toe_abi::ring;
use toe_abi::stats::Counter;

use crate::env::Fault;
use crate::env::Host;

/// Number of counters.
const COUNT: usize = Counter::ALL.len();

/// The counters, by [`Counter`].
#[derive(Clone, Debug)]
pub struct Counters([u64; COUNT]);

impl Counters {
    /// All zero.
    pub const fn new() -> Self {
        Self([0; COUNT])
    }

    /// Adds one.
    #[inline]
    pub fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Adds `value`.
    #[inline]
    pub fn add(&mut self, counter: Counter, value: u64) {
        let slot = &mut self.0[counter as usize];
        *slot = slot.wrapping_add(value);
    }

    /// Sets a counter that shows a level.
    #[inline]
    pub fn set(&mut self, counter: Counter, value: u64) {
        self.0[counter as usize] = value;
    }

    /// The values.
    pub fn values(&self) -> &[u64] {
        &self.0
    }

    /// Writes all of them to the status page.
    ///
    /// # Errors
    ///
    /// [`Fault`] when the page is gone.
    pub fn publish<H: Host>(&self, host: &mut H, status: u64) -> Result<(), Fault> {
        let mut bytes = [0; COUNT * 8];
        for (raw, value) in bytes.chunks_exact_mut(8).zip(&self.0) {
            raw.copy_from_slice(&value.to_le_bytes());
        }
        host.write(status + ring::COUNTERS as u64, &bytes)
    }
}
