// SPDX-License-Identifier: GPL-2.0

//! When to lie, and what to say.

use crate::impairment::Random;

use super::kind::Kind;
use super::kind::Tally;

/// Number of probabilities from which a liar chooses; each is half of the one before.
const RATES: u64 = 8;

/// A source of lies.
pub(super) struct Liar {
    pub(super) random: Random,
    /// Highest probability of a lie, in parts per million.
    most: u32,
    /// Probability of a lie at present, in parts per million.
    ppm: u32,
    /// Kinds that it lies about ([`Kind::bit`]).
    kinds: u32,
}

impl Liar {
    /// Creates a liar about everything.
    pub(super) fn new(seed: u64, ppm: u32) -> Self {
        // The first number spreads seeds that are near to each other.
        let random = Random::new(Random::new(seed).next());
        Self {
            random,
            most: ppm,
            ppm,
            kinds: u32::MAX,
        }
    }

    /// Chooses what to lie about and how often.
    pub(super) fn change(&mut self) {
        self.kinds = self.random.next() as u32;
        self.ppm = self.most >> self.random.below(RATES);
    }

    /// Whether to lie about a thing of this kind. Counts the lie in `tally`; without one, no.
    pub(super) fn tells(&mut self, tally: Option<&Tally>, kind: Kind) -> bool {
        let Some(tally) = tally else {
            return false;
        };
        let tells = self.kinds & kind.bit() != 0 && self.random.happens(self.ppm);
        if tells {
            tally.count(kind);
        }
        tells
    }
}

impl Random {
    /// One of `values`.
    pub(super) fn choose<'a, T>(&mut self, values: &'a [T]) -> Option<&'a T> {
        match values.len() as u64 {
            0 => None,
            count => values.get(self.below(count) as usize),
        }
    }

    /// A value other than `truth`: one near it, a bound, or any.
    pub(super) fn lie(&mut self, truth: u32) -> u32 {
        loop {
            let lie = match self.below(7) {
                0 => 0,
                1 => u32::MAX,
                2 => truth ^ 1 << self.below(32),
                3 => truth.wrapping_add(1),
                4 => truth.wrapping_sub(1),
                5 => truth.wrapping_add(self.below(1 << 16) as u32),
                _ => self.next() as u32,
            };
            if lie != truth {
                return lie;
            }
        }
    }

    /// Changes an aligned field of 1, 2 or 4 bytes in `bytes`, if there are that many.
    pub(super) fn lie_in(&mut self, bytes: &mut [u8]) {
        let size = 1 << self.below(3);
        let count = (bytes.len() / size) as u64;
        if count == 0 {
            return;
        }
        let at = self.below(count) as usize * size;
        let field = &mut bytes[at..at + size];
        let mut word = [0; 4];
        loop {
            word[..size].copy_from_slice(field);
            let lie = self.lie(u32::from_le_bytes(word)).to_le_bytes();
            if lie[..size] != *field {
                return field.copy_from_slice(&lie[..size]);
            }
        }
    }
}
