// SPDX-License-Identifier: GPL-2.0

//! The hash that spreads flows over the offload processors (R4.2).
//!
//! It is part of the contract because both sides compute it: the adapter for every frame, the host
//! to find the processor that a connection belongs to. It is Microsoft's Toeplitz hash over source
//! address, destination address and ports in wire order, as `ethtool -x` shows it.

use super::layout::layout;

/// Length of the hash key in bytes.
pub const KEY_SIZE: usize = 40;
/// Entries of the indirection table.
pub const INDIRECTION: usize = 128;

/// Key in force before the first `SetRss`: the verification key of Microsoft's RSS specification.
pub const DEFAULT_KEY: [u8; KEY_SIZE] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// What is hashed: bits of [`SetRss::fields`](super::admin::SetRss::fields).
pub mod field {
    /// Ports of TCP over IPv4.
    pub const TCP4: u32 = 1 << 0;
    /// Ports of TCP over IPv6.
    pub const TCP6: u32 = 1 << 1;
    /// Ports of UDP over IPv4.
    pub const UDP4: u32 = 1 << 2;
    /// Ports of UDP over IPv6.
    pub const UDP6: u32 = 1 << 3;
    /// Source and destination are combined by exclusive or first, so that both directions of a flow
    /// hash alike.
    pub const SYMMETRIC_XOR: u32 = 1 << 4;
    /// In force before the first `SetRss`.
    pub const DEFAULT: u32 = TCP4 | TCP6;
}

layout! {
    /// Key and indirection table in host memory, the operand of `SetRss`.
    pub struct Config: 168 {
        /// Toeplitz key.
        0 => key: [u8; 40],
        /// Processor for each value of `hash % INDIRECTION`.
        40 => table: [u8; 128],
    }
}

/// An indirection table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indirection(pub [u8; INDIRECTION]);

impl Indirection {
    /// The table that spreads evenly over `processors`.
    pub fn even(processors: u8) -> Self {
        let mut table = [0; INDIRECTION];
        for (i, entry) in table.iter_mut().enumerate() {
            *entry = (i % processors.max(1) as usize) as u8;
        }
        Self(table)
    }

    /// The processor for `hash`.
    #[inline]
    pub fn processor(&self, hash: u32) -> u8 {
        self.0[hash as usize % INDIRECTION]
    }
}

/// The Toeplitz hash with its key.
#[derive(Clone)]
pub struct Toeplitz {
    key: [u8; KEY_SIZE],
}

impl Toeplitz {
    /// Longest input: two IPv6 addresses and two ports.
    pub const MAX_INPUT: usize = 36;

    /// A hash with `key`.
    pub const fn new(key: [u8; KEY_SIZE]) -> Self {
        Self { key }
    }

    /// Hashes `input`, of which at most [`Self::MAX_INPUT`] bytes count.
    pub fn hash(&self, input: &[u8]) -> u32 {
        let mut window = u64::from_be_bytes([
            self.key[0],
            self.key[1],
            self.key[2],
            self.key[3],
            self.key[4],
            self.key[5],
            self.key[6],
            self.key[7],
        ]);
        let mut next = 8;
        let mut hash = 0u32;
        for &byte in input.iter().take(Self::MAX_INPUT) {
            for bit in (0..8).rev() {
                let mask = u32::from((byte >> bit) & 1).wrapping_neg();
                hash ^= (window >> 32) as u32 & mask;
                window <<= 1;
            }
            if let Some(&key) = self.key.get(next) {
                window |= u64::from(key);
                next += 1;
            }
        }
        hash
    }

    /// Hashes addresses (4 or 16 bytes each, wire order) and, with `ports` (source, destination),
    /// those too.
    ///
    /// With `symmetric`, source and destination are combined first (`field::SYMMETRIC_XOR`).
    pub fn tuple(
        &self,
        source: &[u8],
        destination: &[u8],
        ports: Option<(u16, u16)>,
        symmetric: bool,
    ) -> u32 {
        let mut input = [0; Self::MAX_INPUT];
        let n = source.len().min(16);
        let mut end = 0;
        for (i, (&s, &d)) in source.iter().zip(destination).take(n).enumerate() {
            input[i] = if symmetric { s ^ d } else { s };
            input[n + i] = if symmetric { s ^ d } else { d };
            end = 2 * n;
        }
        if let Some((source, destination)) = ports {
            let both = source ^ destination;
            let (source, destination) = if symmetric {
                (both, both)
            } else {
                (source, destination)
            };
            input[end..end + 2].copy_from_slice(&source.to_be_bytes());
            input[end + 2..end + 4].copy_from_slice(&destination.to_be_bytes());
            end += 4;
        }
        self.hash(&input[..end])
    }
}
