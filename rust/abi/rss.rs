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

/// What is hashed: bits of [`SetRss::fields`](super::admin::SetRss::fields), see [`Fields`].
pub mod field {
    /// Source address.
    pub const SOURCE: u32 = 1 << 0;
    /// Destination address.
    pub const DESTINATION: u32 = 1 << 1;
    /// Source port.
    pub const SOURCE_PORT: u32 = 1 << 2;
    /// Destination port.
    pub const DESTINATION_PORT: u32 = 1 << 3;
    /// Both addresses: what is hashed of IP traffic that has no fields of its own.
    pub const ADDRESSES: u32 = SOURCE | DESTINATION;
    /// Both ports.
    pub const PORTS: u32 = SOURCE_PORT | DESTINATION_PORT;
    /// Source and destination are combined by exclusive or first, so that both directions of a flow
    /// hash alike. Of no kind of traffic one may then be hashed without the other.
    pub const SYMMETRIC_XOR: u32 = 1 << 16;
}

/// A kind of traffic that is hashed by fields of its own; its value is their place in [`Fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Traffic {
    /// TCP over IPv4.
    Tcp4 = 0,
    /// TCP over IPv6.
    Tcp6 = 1,
    /// UDP over IPv4.
    Udp4 = 2,
    /// UDP over IPv6.
    Udp6 = 3,
}

/// What is hashed of each kind of traffic: four bits of [`field`] for each, and
/// [`field::SYMMETRIC_XOR`].
///
/// # Invariants
///
/// No other bit is set. With `SYMMETRIC_XOR`, the bits of addresses are both set or both not, and so
/// are those of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields(u32);

impl Fields {
    /// Bits of one kind of traffic.
    const BITS: u32 = 4;
    const ONE: u32 = field::ADDRESSES | field::PORTS;

    /// In force before the first `SetRss`: addresses, and of TCP the ports.
    pub const DEFAULT: Self = Self(
        Self::ONE
            | Self::ONE << Self::BITS
            | field::ADDRESSES << (2 * Self::BITS)
            | field::ADDRESSES << (3 * Self::BITS),
    );

    /// `None` for bits that are not allowed.
    pub fn new(bits: u32) -> Option<Self> {
        let known = (1 << (4 * Self::BITS)) - 1 | field::SYMMETRIC_XOR;
        let fields = Self(bits);
        let paired = |bits: u32| {
            let (source, destination) = (bits & 0b0101, bits >> 1 & 0b0101);
            source == destination
        };
        let all = [Traffic::Tcp4, Traffic::Tcp6, Traffic::Udp4, Traffic::Udp6];
        let allowed = bits & !known == 0
            && (!fields.is_symmetric() || all.iter().all(|&kind| paired(fields.of(kind))));
        allowed.then_some(fields)
    }

    /// As in [`SetRss::fields`](super::admin::SetRss::fields).
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The bits of one kind of traffic.
    #[inline]
    pub const fn of(self, traffic: Traffic) -> u32 {
        self.0 >> (traffic as u32 * Self::BITS) & Self::ONE
    }

    /// With other bits of one kind of traffic; `None` when they are not allowed.
    pub fn with(self, traffic: Traffic, bits: u32) -> Option<Self> {
        let place = traffic as u32 * Self::BITS;
        let rest = self.0 & !(Self::ONE << place);
        (bits & !Self::ONE == 0).then(|| Self::new(rest | bits << place))?
    }

    /// Symmetric or not; `None` when the bits do not allow it.
    pub fn symmetric(self, symmetric: bool) -> Option<Self> {
        let rest = self.0 & !field::SYMMETRIC_XOR;
        match symmetric {
            true => Self::new(rest | field::SYMMETRIC_XOR),
            false => Self::new(rest),
        }
    }

    /// Whether both directions of a flow hash alike.
    #[inline]
    pub const fn is_symmetric(self) -> bool {
        self.0 & field::SYMMETRIC_XOR != 0
    }
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

    /// Hashes what `fields` says of addresses (4 or 16 bytes each, wire order) and ports (source,
    /// destination): what does not count is zero.
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
