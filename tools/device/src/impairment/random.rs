// SPDX-License-Identifier: GPL-2.0

//! Random numbers that decide the fate of frames, and lies.

use toe_engine::random::splitmix64;

use super::profile::CERTAIN;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
pub struct Random(u64);

impl Random {
    /// The generator with `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        splitmix64(&mut self.0)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Whether something happens that has a probability of `ppm` in a million.
    pub fn happens(&mut self, ppm: u32) -> bool {
        self.below(CERTAIN.into()) < u64::from(ppm)
    }
}
