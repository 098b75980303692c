// SPDX-License-Identifier: GPL-2.0

//! Receive side scaling: Toeplitz hash by table lookup, and the indirection table.

use alloc::boxed::Box;
use alloc::vec;

use toe_abi::completion::HashType;
use toe_abi::rss;
use toe_abi::rss::Fields;
use toe_abi::rss::Indirection;
use toe_abi::rss::Toeplitz;
use toe_abi::rss::Traffic;
use toe_abi::rss::field;

use crate::tuple::Tuple;
use crate::wire::packet::Class;
use crate::wire::packet::Packet;
use crate::wire::tcp;
use crate::wire::udp;

/// Number of values of a nibble.
const NIBBLE: usize = 16;

/// RSS configuration: hash key, hash fields and indirection table.
///
/// The Toeplitz hash is linear over XOR, so it is the XOR of one table entry per input nibble. The
/// 72 tables of 64 bytes each fit in the L1 data cache.
pub struct Dispatch {
    tables: Box<[[u32; NIBBLE]]>,
    indirection: Indirection,
    fields: Fields,
}

impl Dispatch {
    /// Default key and fields, with the indirection table spread evenly over `processors`.
    pub fn new(processors: u8) -> Self {
        let mut dispatch = Self {
            tables: vec![[0; NIBBLE]; 2 * Toeplitz::MAX_INPUT].into_boxed_slice(),
            indirection: Indirection::even(processors),
            fields: Fields::DEFAULT,
        };
        dispatch.set_key(rss::DEFAULT_KEY);
        dispatch
    }

    /// Replaces key, indirection table and fields.
    pub fn set(&mut self, key: [u8; rss::KEY_SIZE], indirection: Indirection, fields: Fields) {
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

    /// Contribution to the hash of `bytes`, which start at byte `at` of the input.
    #[inline]
    fn part(&self, at: usize, bytes: &[u8]) -> u32 {
        let tables = self.tables[2 * at..].chunks_exact(2);
        bytes.iter().zip(tables).fold(0, |hash, (&byte, pair)| {
            hash ^ pair[0][usize::from(byte >> 4)] ^ pair[1][usize::from(byte & 15)]
        })
    }

    /// Hashes those of the addresses and ports that `bits` ([`field`]) select.
    #[inline]
    fn hash(&self, source: &[u8], destination: &[u8], ports: (u16, u16), bits: u32) -> u32 {
        let length = source.len();
        let mut both = [0; 16];
        let (mut addresses, mut ports) = ((source, destination), ports);
        if self.fields.is_symmetric() {
            for (out, (s, d)) in both.iter_mut().zip(source.iter().zip(destination)) {
                *out = s ^ d;
            }
            addresses = (&both[..length], &both[..length]);
            ports = (ports.0 ^ ports.1, ports.0 ^ ports.1);
        }
        let part = |bit: u32, at: usize, bytes: &[u8]| match bits & bit {
            0 => 0,
            _ => self.part(at, bytes),
        };
        part(field::SOURCE, 0, addresses.0)
            ^ part(field::DESTINATION, length, addresses.1)
            ^ part(field::SOURCE_PORT, 2 * length, &ports.0.to_be_bytes())
            ^ part(
                field::DESTINATION_PORT,
                2 * length + 2,
                &ports.1.to_be_bytes(),
            )
    }

    /// Hash fields of this kind of traffic.
    #[inline]
    fn bits(&self, version: u8, protocol: u8) -> u32 {
        let traffic = match (version, protocol) {
            (4, tcp::PROTOCOL) => Traffic::Tcp4,
            (6, tcp::PROTOCOL) => Traffic::Tcp6,
            (4, udp::PROTOCOL) => Traffic::Udp4,
            (6, udp::PROTOCOL) => Traffic::Udp6,
            _ => return field::ADDRESSES,
        };
        self.fields.of(traffic)
    }

    /// Hash of a received frame and the type of its input.
    ///
    /// The first fragment of a TCP segment is hashed with its ports although the following
    /// fragments cannot be: it must reach the processor of its connection if that is delegated.
    #[inline]
    pub fn of_packet(&self, packet: &Packet, frame: &[u8]) -> (u32, HashType) {
        if packet.version == 0 || matches!(packet.class, Class::Malformed(_)) {
            return (0, HashType::None);
        }
        let ports = match packet.class {
            Class::FirstFragment if packet.protocol != tcp::PROTOCOL => None,
            _ => packet.ports(frame),
        };
        let bits = match (ports, packet.class) {
            (None, Class::Fragment | Class::FirstFragment) => field::ADDRESSES,
            _ => self.bits(packet.version, packet.protocol),
        };
        let (source, destination) = packet.addresses(frame);
        let kind = match bits & field::PORTS {
            field::PORTS => HashType::L4,
            _ => HashType::L3,
        };
        let ports = ports.unwrap_or_default();
        (self.hash(source, destination, ports, bits), kind)
    }

    /// Processor for `hash`.
    #[inline]
    pub fn processor(&self, hash: u32) -> u8 {
        self.indirection.processor(hash)
    }

    /// Processor for the frames that a connection receives.
    pub fn of_tuple(&self, tuple: &Tuple) -> u8 {
        let (local, remote) = tuple.addresses();
        let ports = (tuple.remote_port, tuple.local_port);
        let bits = self.bits(tuple.version, tcp::PROTOCOL);
        self.processor(self.hash(remote, local, ports, bits))
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
            ports: (u16, u16),
            bits in 0u32..16,
            symmetric: bool,
        ) {
            let mut whole = [0; rss::KEY_SIZE];
            whole[..20].copy_from_slice(&key[0]);
            whole[20..].copy_from_slice(&key[1]);
            let length = if v6 { 16 } else { 4 };
            let (source, destination) = (&source[..length], &destination[..length]);
            let mut dispatch = Dispatch::new(1);
            let fields = Fields::DEFAULT.symmetric(symmetric).unwrap();
            dispatch.set(whole, Indirection::even(1), fields);
            prop_assert_eq!(
                dispatch.hash(source, destination, ports, bits),
                Toeplitz::new(whole).tuple(source, destination, ports, bits, symmetric)
            );
        }
    }
}
