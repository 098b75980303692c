// SPDX-License-Identifier: GPL-2.0

//! The known pseudo-random stream. Each part is a function of its position, so a receiver can
//! compare every byte and locate the first wrong one.

use std::fmt;

/// Distance from a mismatch within which the received bytes are searched for.
const SEARCH: u64 = 1 << 20;

/// Number of bytes that must agree for a match.
const WITNESS: usize = 16;

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A random number generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Creates a generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Next random number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Random number from 1 to `most`.
    pub fn up_to(&mut self, most: usize) -> usize {
        1 + (self.next() % most as u64) as usize
    }
}

/// An infinite stream of bytes, determined by its seed.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    seed: u64,
}

impl Pattern {
    /// Creates the stream with this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed: mix(seed) }
    }

    fn word(self, index: u64) -> [u8; 8] {
        let step = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mix(self.seed.wrapping_add(step)).to_le_bytes()
    }

    /// Fills `out` with the bytes at `position`.
    pub fn fill(self, position: u64, out: &mut [u8]) {
        let skip = (position % 8) as usize;
        let (head, body) = out.split_at_mut(out.len().min((8 - skip) % 8));
        let mut index = position / 8;
        if !head.is_empty() {
            head.copy_from_slice(&self.word(index)[skip..skip + head.len()]);
            index += 1;
        }
        for chunk in body.chunks_mut(8) {
            chunk.copy_from_slice(&self.word(index)[..chunk.len()]);
            index += 1;
        }
    }

    /// The `length` bytes at `position`.
    pub fn bytes(self, position: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.fill(position, &mut bytes);
        bytes
    }

    /// Compares received `bytes` with the stream at `position`.
    pub fn check(self, position: u64, bytes: &[u8]) -> Result<(), Mismatch> {
        let expected = self.bytes(position, bytes.len());
        if expected == bytes {
            return Ok(());
        }
        let same = expected.iter().zip(bytes).take_while(|(a, b)| a == b);
        let at = same.count();
        let shown = bytes.len().min(at + 8);
        Err(Mismatch {
            position: position + at as u64,
            expected: expected[at..shown].into(),
            found: bytes[at..shown].into(),
            belongs: self.find(position + at as u64, &bytes[at..]),
        })
    }

    /// Position near `position` where the stream contains `bytes`.
    fn find(self, position: u64, bytes: &[u8]) -> Option<u64> {
        let witness = bytes.get(..WITNESS)?;
        let start = position.saturating_sub(SEARCH);
        let around = self.bytes(start, (position - start + SEARCH) as usize);
        let place = around.windows(WITNESS).position(|at| at == witness)?;
        Some(start + place as u64)
    }
}

/// The first wrong byte of a stream.
#[derive(Debug)]
pub struct Mismatch {
    position: u64,
    expected: Vec<u8>,
    found: Vec<u8>,
    belongs: Option<u64>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, expected, found) = (self.position, &self.expected, &self.found);
        write!(f, "byte {at}: expected {expected:02x?}, found {found:02x?}")?;
        match self.belongs {
            Some(place) if place > at => write!(f, ": {} bytes are lost", place - at),
            Some(place) => write!(f, ": {} bytes are repeated", at - place),
            None => write!(f, ", not found nearby"),
        }
    }
}

impl std::error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_is_the_same_stream() {
        let pattern = Pattern::new(7);
        let whole = pattern.bytes(0, 100);
        for start in 0..40 {
            for length in 0..40 {
                assert_eq!(
                    pattern.bytes(start as u64, length),
                    whole[start..start + length]
                );
            }
        }
        assert_ne!(Pattern::new(8).bytes(0, 100), whole);
    }

    #[test]
    fn a_mismatch_says_what_is_wrong() {
        let pattern = Pattern::new(7);
        let mut bytes = pattern.bytes(1000, 100);
        assert!(pattern.check(1000, &bytes).is_ok());
        let lost = pattern.check(995, &bytes).unwrap_err().to_string();
        assert!(
            lost.starts_with("byte 995") && lost.ends_with("5 bytes are lost"),
            "{lost}"
        );
        let repeated = pattern.check(1010, &bytes).unwrap_err().to_string();
        assert!(repeated.ends_with("10 bytes are repeated"), "{repeated}");
        bytes[50] ^= 1;
        let wrong = pattern.check(1000, &bytes).unwrap_err();
        assert_eq!(wrong.position, 1050);
        assert_eq!(wrong.belongs, None);
    }
}
