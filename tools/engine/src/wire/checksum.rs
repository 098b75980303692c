// SPDX-License-Identifier: GPL-2.0

//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

/// Sums `bytes` as big-endian 16-bit words in one's complement. A last odd byte is padded with
/// zero.
pub fn sum(bytes: &[u8]) -> u16 {
    // Four 64-bit accumulators of 32-bit halves, so no carry is lost in fewer than 2^32 steps.
    // One's complement addition commutes with swapping bytes (RFC 1071 2(B)), so words are added
    // little-endian and the sum is swapped once at the end.
    let mut lanes = [0u64; 4];
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        for (lane, eight) in lanes.iter_mut().zip(block.chunks_exact(8)) {
            let mut raw = [0; 8];
            raw.copy_from_slice(eight);
            let word = u64::from_le_bytes(raw);
            *lane += (word & 0xffff_ffff) + (word >> 32);
        }
    }
    let mut total: u64 = 0;
    for lane in lanes {
        total += (lane & 0xffff_ffff) + (lane >> 32);
    }
    // The remainder is added word by word: headers are short, and copying an unknown small number
    // of bytes would call memcpy.
    let mut words = blocks.remainder().chunks_exact(4);
    for word in &mut words {
        total += u64::from(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    }
    total += u64::from(match *words.remainder() {
        [a] => u32::from(a),
        [a, b] => u32::from_le_bytes([a, b, 0, 0]),
        [a, b, c] => u32::from_le_bytes([a, b, c, 0]),
        _ => 0,
    });
    fold(total).swap_bytes()
}

/// Folds the carries into 16 bits.
#[inline]
pub const fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// A sum over consecutive byte ranges, which may have odd lengths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    total: u64,
    odd: bool,
}

impl Sum {
    /// An empty sum.
    pub const fn new() -> Self {
        Self {
            total: 0,
            odd: false,
        }
    }

    /// Adds the bytes that follow the ones added before.
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) {
        self.add_sum(sum(bytes), bytes.len());
    }

    /// Adds the sum of `length` bytes that follow the ones added before.
    #[inline]
    pub fn add_sum(&mut self, sum: u16, length: usize) {
        self.total += u64::from(if self.odd { sum.swap_bytes() } else { sum });
        self.odd ^= length % 2 == 1;
    }

    /// The sum, not complemented. This is the value of the checksum field with `CHECKSUM_PARTIAL`
    /// if the sum is over a pseudo-header.
    #[inline]
    pub fn value(&self) -> u16 {
        fold(self.total)
    }

    /// The checksum: the complement of the sum.
    #[inline]
    pub fn finish(&self) -> u16 {
        !self.value()
    }
}

/// Sums the pseudo-header of TCP or UDP: addresses of 4 or 16 bytes in network byte order,
/// protocol, and length of transport header and payload (RFC 9293 3.1, RFC 8200 8.1).
#[inline]
pub fn pseudo_header(source: &[u8], destination: &[u8], protocol: u8, length: u32) -> Sum {
    let mut sum = Sum::new();
    sum.add(source);
    sum.add(destination);
    sum.total += u64::from(protocol) + u64::from(length);
    sum
}

/// Updates the checksum `check` for a change of a word in its data from `old` to `new` (RFC 1624
/// eqn. 3).
#[inline]
pub const fn update(check: u16, old: u16, new: u16) -> u16 {
    !fold(!check as u64 + !old as u64 + new as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, two bytes at a time.
    fn plain(bytes: &[u8]) -> u16 {
        let mut total = 0u64;
        for pair in bytes.chunks(2) {
            total += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        }
        fold(total)
    }

    #[test]
    fn rfc1071_example() {
        assert_eq!(
            sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            0xddf2
        );
    }

    proptest! {
        #[test]
        fn equals_definition(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(sum(&bytes), plain(&bytes));
        }

        #[test]
        fn pieces_equal_whole(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            cut in 0usize..300,
        ) {
            let cut = cut.min(bytes.len());
            let mut pieces = Sum::new();
            pieces.add(&bytes[..cut]);
            pieces.add(&bytes[cut..]);
            prop_assert_eq!(pieces.value(), plain(&bytes));
        }

        #[test]
        fn update_equals_recomputation(
            bytes in proptest::collection::vec(any::<u8>(), 8..64),
            new in any::<u16>(),
        ) {
            // A sum of zero is the one case where both representations of zero can differ; TCP
            // receivers take either.
            let mut bytes = bytes;
            bytes.truncate(bytes.len() & !1);
            bytes[0] = 1;
            let old = u16::from_be_bytes([bytes[4], bytes[5]]);
            let before = !plain(&bytes);
            bytes[4..6].copy_from_slice(&new.to_be_bytes());
            prop_assert_eq!(update(before, old, new), !plain(&bytes));
        }
    }
}
