// SPDX-License-Identifier: GPL-2.0

//! Who a connection is: addresses, ports and network, seen from the host.

use toe_abi::connection;
use toe_abi::connection::Connection;

use crate::wire::packet::Packet;

/// The network that addresses are of: a VLAN, or one that is named by a virtual connection identifier
/// (R1.2), which is that of VXLAN (RFC 7348) or the tag of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network(u32);

impl Network {
    /// That of an 802.1Q tag; none, as of a priority tag (802.1Q 9.6), when its identifier is 0.
    #[inline]
    pub const fn vlan(tci: u16) -> Self {
        Self(tci as u32 & 0xfff)
    }

    /// That of a VXLAN network identifier, 24 bits.
    #[inline]
    pub const fn vxlan(vni: u32) -> Self {
        Self(1 << 24 | vni & 0xff_ffff)
    }

    /// That of a rule's tag, 24 bits.
    #[inline]
    pub const fn tag(tag: u32) -> Self {
        Self(2 << 24 | tag & 0xff_ffff)
    }
}

/// Addresses, ports and network of a TCP connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuple {
    /// The host's address, wire order; IPv4 in the first four bytes.
    pub local: [u8; 16],
    /// The peer's address, likewise.
    pub remote: [u8; 16],
    /// The host's port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
    /// Where all that is.
    pub network: Network,
    /// IP version.
    pub version: u8,
}

/// What keeps hashes of tuples from being foreseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// That of `number`, which should be random: whoever knows it can find tuples that collide. Each
    /// is as good as any other, for it is scrambled (the finaliser of SplitMix64: Steele, Lea and
    /// Flood, 2014).
    pub const fn new(number: u64) -> Self {
        let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(mixed ^ (mixed >> 31))
    }
}

/// A tuple with its hash, by which the engine's tables find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The tuple.
    pub tuple: Tuple,
    /// Its hash with the processor's seed.
    pub hash: u64,
}

impl Key {
    /// The key of `tuple`.
    #[inline]
    pub fn new(tuple: Tuple, seed: Seed) -> Self {
        Self {
            tuple,
            hash: tuple.hash(seed),
        }
    }

    /// The key of the same tuple in `network`.
    pub fn of_network(self, network: Network, seed: Seed) -> Self {
        let tuple = Tuple {
            network,
            ..self.tuple
        };
        Self::new(tuple, seed)
    }
}

/// An address in the form of [`Tuple`].
#[inline]
fn address(bytes: &[u8]) -> [u8; 16] {
    // By way of a register, where a copy of so few bytes of unknown number is a call.
    match <[u8; 4]>::try_from(bytes) {
        Ok(v4) => u128::from(u32::from_le_bytes(v4)).to_le_bytes(),
        Err(_) => <[u8; 16]>::try_from(bytes).unwrap_or_default(),
    }
}

impl Tuple {
    /// The tuple of a received frame that has ports.
    #[inline]
    pub fn of_received(packet: &Packet, frame: &[u8]) -> Option<Self> {
        let (remote_port, local_port) = packet.ports(frame)?;
        let (remote, local) = packet.addresses(frame);
        Some(Self {
            local: address(local),
            remote: address(remote),
            local_port,
            remote_port,
            network: Network::vlan(packet.vlan.unwrap_or(0)),
            version: packet.version,
        })
    }

    /// The tuple of a frame that the host sends; a tag in it or `inserted` counts.
    #[inline]
    pub fn of_sent(packet: &Packet, frame: &[u8], inserted: Option<u16>) -> Option<Self> {
        let (local_port, remote_port) = packet.ports(frame)?;
        let (local, remote) = packet.addresses(frame);
        Some(Self {
            local: address(local),
            remote: address(remote),
            local_port,
            remote_port,
            network: Network::vlan(inserted.or(packet.vlan).unwrap_or(0)),
            version: packet.version,
        })
    }

    /// The tuple of a connection that is handed over.
    pub fn of_state(state: &Connection) -> Self {
        let v6 = state.flags & connection::flag::IPV6 != 0;
        let vlan = state.flags & connection::flag::VLAN != 0;
        let length = if v6 { 16 } else { 4 };
        Self {
            local: address(&state.local_address[..length]),
            remote: address(&state.remote_address[..length]),
            local_port: state.local_port,
            remote_port: state.remote_port,
            network: Network::vlan(if vlan { state.vlan_tci } else { 0 }),
            version: if v6 { 6 } else { 4 },
        }
    }

    /// The addresses in their own length: local, remote.
    #[inline]
    pub fn addresses(&self) -> (&[u8], &[u8]) {
        let length = if self.version == 6 { 16 } else { 4 };
        (&self.local[..length], &self.remote[..length])
    }

    #[inline]
    fn hash(&self, Seed(seed): Seed) -> u64 {
        let word = |bytes: &[u8; 16], at: usize| {
            let mut raw = [0; 8];
            raw.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(raw)
        };
        let ports = u64::from(self.local_port) << 48
            | u64::from(self.remote_port) << 32
            | u64::from(self.network.0);
        // Each step multiplies to 128 bits and folds, so every bit of a word reaches every bit of
        // the result, and the seed is in each factor.
        let mix = |hash: u64, word: u64| {
            let product = u128::from(hash ^ word) * u128::from(seed | 1 << 63 | 1);
            product as u64 ^ (product >> 64) as u64
        };
        let mut hash = mix(seed.rotate_left(32) ^ u64::from(self.version), ports);
        hash = mix(hash, word(&self.local, 0));
        hash = mix(hash, word(&self.remote, 0));
        if self.version == 6 {
            hash = mix(hash, word(&self.local, 8));
            hash = mix(hash, word(&self.remote, 8));
        }
        mix(hash, 0x9e37_79b9_7f4a_7c15)
    }
}
