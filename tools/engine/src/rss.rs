// SPDX-License-Identifier: GPL-2.0

//! Dispatch of frames to processors (R4.2): the Toeplitz hash, table by table, and the indirection
//! table.

use alloc::boxed::Box;
use alloc::vec;

use toe_abi::completion::HashType;
use toe_abi::rss;
use toe_abi::rss::Indirection;
use toe_abi::rss::Toeplitz;
use toe_abi::rss::field;

use crate::tuple::Tuple;
use crate::wire::packet::Class;
use crate::wire::packet::Packet;
use crate::wire::tcp;
use crate::wire::udp;

/// Values of half a byte.
const NIBBLE: usize = 16;

/// The hash in force and the table that maps it to processors.
///
/// The hash is linear over exclusive or, so it is the exclusive or of one table entry per half byte
/// of input: 72 tables of 64 bytes, which stay in the first-level cache.
pub struct Dispatch {
    tables: Box<[[u32; NIBBLE]]>,
    indirection: Indirection,
    fields: u32,
}

impl Dispatch {
    /// The key in force before the first `SetRss`, evenly over `processors`.
    pub fn new(processors: u8) -> Self {
        let mut dispatch = Self {
            tables: vec![[0; NIBBLE]; 2 * Toeplitz::MAX_INPUT].into_boxed_slice(),
            indirection: Indirection::even(processors),
            fields: field::DEFAULT,
        };
        dispatch.set_key(rss::DEFAULT_KEY);
        dispatch
    }

    /// Sets everything.
    pub fn set(&mut self, key: [u8; rss::KEY_SIZE], indirection: Indirection, fields: u32) {
        self.set_key(key);
        self.indirection = indirection;
        self.fields = fields;
    }

    fn set_key(&mut self, key: [u8; rss::KEY_SIZE]) {
        let toeplitz = Toeplitz::new(key);
        let mut input = [0; Toeplitz::MAX_INPUT];
        for (place, table) in self.tables.iter_mut().enumerate() {
            let shift = if place % 2 == 0 { 4 } else { 0 };
            for (nibble, entry) in table.iter_mut().enumerate() {
                input[place / 2] = (nibble as u8) << shift;
                *entry = toeplitz.hash(&input);
            }
            input[place / 2] = 0;
        }
    }

    /// The contribution of `bytes`, whose first is byte `at` of the input.
    #[inline]
    fn part(&self, at: usize, bytes: &[u8]) -> u32 {
        let tables = self.tables[2 * at..].chunks_exact(2);
        bytes.iter().zip(tables).fold(0, |hash, (&byte, pair)| {
            hash ^ pair[0][usize::from(byte >> 4)] ^ pair[1][usize::from(byte & 15)]
        })
    }

    #[inline]
    fn hash(&self, source: &[u8], destination: &[u8], ports: Option<(u16, u16)>) -> u32 {
        let length = source.len();
        if self.fields & field::SYMMETRIC_XOR != 0 {
            let mut both = [0; 16];
            for (out, (s, d)) in both.iter_mut().zip(source.iter().zip(destination)) {
                *out = s ^ d;
            }
            let both = &both[..length];
            let hash = self.part(0, both) ^ self.part(length, both);
            return ports.map_or(hash, |(source, destination)| {
                let both = (source ^ destination).to_be_bytes();
                hash ^ self.part(2 * length, &both) ^ self.part(2 * length + 2, &both)
            });
        }
        let hash = self.part(0, source) ^ self.part(length, destination);
        ports.map_or(hash, |(source, destination)| {
            hash ^ self.part(2 * length, &source.to_be_bytes())
                ^ self.part(2 * length + 2, &destination.to_be_bytes())
        })
    }

    /// Whether ports of this transport are part of the hash.
    #[inline]
    fn with_ports(&self, version: u8, protocol: u8) -> bool {
        let bit = match (version, protocol) {
            (4, tcp::PROTOCOL) => field::TCP4,
            (6, tcp::PROTOCOL) => field::TCP6,
            (4, udp::PROTOCOL) => field::UDP4,
            (6, udp::PROTOCOL) => field::UDP6,
            _ => 0,
        };
        self.fields & bit != 0
    }

    /// The hash of a received frame and what it was computed over.
    ///
    /// A first fragment of TCP hashes with its ports, although what follows it cannot: it has to
    /// reach the processor of its connection, should that be delegated.
    #[inline]
    pub fn of_packet(&self, packet: &Packet, frame: &[u8]) -> (u32, HashType) {
        if packet.version == 0 || matches!(packet.class, Class::Malformed(_)) {
            return (0, HashType::None);
        }
        let ports = match packet.class {
            Class::FirstFragment if packet.protocol != tcp::PROTOCOL => None,
            _ if self.with_ports(packet.version, packet.protocol) => packet.ports(frame),
            _ => None,
        };
        let (source, destination) = packet.addresses(frame);
        let kind = if ports.is_some() {
            HashType::L4
        } else {
            HashType::L3
        };
        (self.hash(source, destination, ports), kind)
    }

    /// The processor for `hash`.
    #[inline]
    pub fn processor(&self, hash: u32) -> u8 {
        self.indirection.processor(hash)
    }

    /// The processor for frames that a connection receives.
    pub fn of_tuple(&self, tuple: &Tuple) -> u8 {
        let (local, remote) = tuple.addresses();
        let ports = self
            .with_ports(tuple.version, tcp::PROTOCOL)
            .then_some((tuple.remote_port, tuple.local_port));
        self.processor(self.hash(remote, local, ports))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_the_contract(
            key: [[u8; 20]; 2],
            v6: bool,
            source: [u8; 16],
            destination: [u8; 16],
            ports: Option<(u16, u16)>,
            symmetric: bool,
        ) {
            let mut whole = [0; rss::KEY_SIZE];
            whole[..20].copy_from_slice(&key[0]);
            whole[20..].copy_from_slice(&key[1]);
            let length = if v6 { 16 } else { 4 };
            let (source, destination) = (&source[..length], &destination[..length]);
            let mut dispatch = Dispatch::new(1);
            let fields = if symmetric { field::SYMMETRIC_XOR } else { 0 };
            dispatch.set(whole, Indirection::even(1), fields);
            prop_assert_eq!(
                dispatch.hash(source, destination, ports),
                Toeplitz::new(whole).tuple(source, destination, ports, symmetric)
            );
        }
    }
}
