// SPDX-License-Identifier: GPL-2.0

//! Receive-side scaling: the hash that distributes flows over the processors.
//!
//! Both sides compute it: the adapter for every received frame, the host to find the processor of a
//! connection. It is Microsoft's Toeplitz hash over source address, destination address, source port
//! and destination port in network byte order. `ethtool -x` shows it.

use super::{
    layout::layout,
    table::{
        constants,
        flags,
        wire_enum, //
    }, //
};

constants! {
    /// Length of the hash key in bytes.
    pub const KEY_SIZE: usize = 40;
    /// Number of entries of the indirection table.
    pub const INDIRECTION: usize = 128;
}

/// Hash key in effect before the first `SetRss`: the verification key of Microsoft's RSS
/// specification.
pub const DEFAULT_KEY: [u8; KEY_SIZE] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

flags! {
    /// Hashed fields: bits of [`SetRss::fields`](super::admin::SetRss::fields). Bits 0 to 3 apply to
    /// the traffic type in their group of four bits, see [`Traffic`]; `SYMMETRIC_XOR` applies to all.
    pub mod field: u32 {
        /// Source address.
        SOURCE = 0,
        /// Destination address.
        DESTINATION = 1,
        /// Source port.
        SOURCE_PORT = 2,
        /// Destination port.
        DESTINATION_PORT = 3,
        /// Source and destination are both replaced by their exclusive or, so that both directions
        /// of a flow have the same hash. Each traffic type must then hash both addresses or neither,
        /// and both ports or neither.
        SYMMETRIC_XOR = 16;

        /// Both addresses: the fields of IP traffic that is neither TCP nor UDP.
        ADDRESSES: SOURCE | DESTINATION,
        /// Both ports.
        PORTS: SOURCE_PORT | DESTINATION_PORT,
    }
}

wire_enum! {
    /// Traffic types with hash fields of their own. The [`field`] bits of type `t` are at bits `4 * t`
    /// to `4 * t + 3` of [`SetRss::fields`](super::admin::SetRss::fields).
    pub enum Traffic: u8 {
        /// TCP over IPv4.
        Tcp4 = 0,
        /// TCP over IPv6.
        Tcp6 = 1,
        /// UDP over IPv4.
        Udp4 = 2,
        /// UDP over IPv6.
        Udp6 = 3,
    }
}

/// Hash fields of all traffic types: four [`field`] bits each, and [`field::SYMMETRIC_XOR`].
///
/// # Invariants
///
/// No other bit is set. With `SYMMETRIC_XOR`, each traffic type has both address bits or neither, and
/// both port bits or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields(u32);

impl Fields {
    /// Number of bits of a traffic type.
    const BITS: u32 = 4;
    const ONE: u32 = field::ADDRESSES | field::PORTS;

    /// Fields in effect before the first `SetRss`: addresses and ports of TCP, addresses of UDP.
    pub const DEFAULT: Self = Self(
        Self::ONE
            | Self::ONE << Self::BITS
            | field::ADDRESSES << (2 * Self::BITS)
            | field::ADDRESSES << (3 * Self::BITS),
    );

    /// Fields from their bits; `None` unless the invariants hold.
    pub fn new(bits: u32) -> Option<Self> {
        let known = (1 << (4 * Self::BITS)) - 1 | field::SYMMETRIC_XOR;
        let fields = Self(bits);
        let paired = |bits: u32| {
            let (source, destination) = (bits & 0b0101, bits >> 1 & 0b0101);
            source == destination
        };
        let allowed = bits & !known == 0
            && (!fields.is_symmetric() || Traffic::ALL.iter().all(|&kind| paired(fields.of(kind))));
        allowed.then_some(fields)
    }

    /// The bits, as in [`SetRss::fields`](super::admin::SetRss::fields).
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The bits of a traffic type.
    #[inline]
    pub const fn of(self, traffic: Traffic) -> u32 {
        self.0 >> (traffic as u32 * Self::BITS) & Self::ONE
    }

    /// Replaces the bits of a traffic type; `None` when the invariants forbid them.
    pub fn with(self, traffic: Traffic, bits: u32) -> Option<Self> {
        let place = traffic as u32 * Self::BITS;
        let rest = self.0 & !(Self::ONE << place);
        (bits & !Self::ONE == 0).then(|| Self::new(rest | bits << place))?
    }

    /// Sets or clears `SYMMETRIC_XOR`; `None` when the invariants forbid it.
    pub fn symmetric(self, symmetric: bool) -> Option<Self> {
        let rest = self.0 & !field::SYMMETRIC_XOR;
        match symmetric {
            true => Self::new(rest | field::SYMMETRIC_XOR),
            false => Self::new(rest),
        }
    }

    /// Whether both directions of a flow have the same hash.
    #[inline]
    pub const fn is_symmetric(self) -> bool {
        self.0 & field::SYMMETRIC_XOR != 0
    }
}

layout! {
    /// Hash key and indirection table in host memory, the operand of `SetRss`.
    pub struct Config: 168 {
        /// Toeplitz key.
        0 => key: [u8; 40],
        /// Processor for each value of `hash % INDIRECTION`, below the number of processors.
        40 => table: [u8; 128],
    }
}

/// An indirection table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indirection(pub [u8; INDIRECTION]);

impl Indirection {
    /// The table that distributes evenly over `processors`.
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

    /// Hashes the first [`Self::MAX_INPUT`] bytes of `input`.
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

    /// Hashes the addresses (4 or 16 bytes each, network byte order) and the ports (source,
    /// destination) that `fields` selects. Fields that are not selected are zero in the input.
    ///
    /// With `symmetric`, source and destination are combined first ([`field::SYMMETRIC_XOR`]).
    pub fn tuple(
        &self,
        source: &[u8],
        destination: &[u8],
        ports: (u16, u16),
        fields: u32,
        symmetric: bool,
    ) -> u32 {
        let mut input = [0; Self::MAX_INPUT];
        let n = source.len().min(16);
        let mask = |bit: u32| if fields & bit != 0 { 0xff } else { 0 };
        for (i, (&s, &d)) in source.iter().zip(destination).take(n).enumerate() {
            let (s, d) = if symmetric { (s ^ d, s ^ d) } else { (s, d) };
            input[i] = s & mask(field::SOURCE);
            input[n + i] = d & mask(field::DESTINATION);
        }
        let (s, d) = match symmetric {
            true => (ports.0 ^ ports.1, ports.0 ^ ports.1),
            false => ports,
        };
        let ports = [(s, field::SOURCE_PORT), (d, field::DESTINATION_PORT)];
        for (at, (port, bit)) in (2 * n..).step_by(2).zip(ports) {
            if fields & bit != 0 {
                input[at..at + 2].copy_from_slice(&port.to_be_bytes());
            }
        }
        self.hash(&input[..2 * n + 4])
    }
}
