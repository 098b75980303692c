// SPDX-License-Identifier: GPL-2.0

//! Connection identity: addresses, ports and network, from the host's point of view.

use toe_abi::connection;
use toe_abi::connection::ConnectionState;

use crate::random::splitmix64;
use crate::wire::packet::Packet;

/// Network that the addresses belong to: the default network, a VLAN, a VXLAN network (RFC 7348),
/// or one named by the tag of a steering rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network(u32);

impl Network {
    /// Network of an 802.1Q tag. VLAN identifier 0 marks a priority tag (802.1Q 9.6), which is in
    /// the default network.
    #[inline]
    pub const fn vlan(tci: u16) -> Self {
        Self(tci as u32 & 0xfff)
    }

    /// Network of a VXLAN network identifier (24 bits).
    #[inline]
    pub const fn vxlan(vni: u32) -> Self {
        Self(1 << 24 | vni & 0xff_ffff)
    }

    /// Network of a rule's tag (24 bits).
    #[inline]
    pub const fn tag(tag: u32) -> Self {
        Self(2 << 24 | tag & 0xff_ffff)
    }
}

/// Addresses, ports and network of a TCP connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuple {
    /// Host address in network byte order. IPv4 uses the first four bytes.
    pub local: [u8; 16],
    /// Peer address, in the same format.
    pub remote: [u8; 16],
    /// Host port.
    pub local_port: u16,
    /// Peer port.
    pub remote_port: u16,
    /// Network of the addresses.
    pub network: Network,
    /// IP version, 4 or 6.
    pub version: u8,
}

/// Secret that makes tuple hashes unpredictable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// Creates a seed from `number`, which should be random: knowing it allows tuples that collide
    /// to be found. All numbers are equally good, because they are mixed first.
    pub const fn new(number: u64) -> Self {
        let mut state = number;
        Self(splitmix64(&mut state))
    }
}

/// A tuple with its hash, the key of the engine's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The tuple.
    pub tuple: Tuple,
    /// Hash with the processor's seed.
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

    /// Key of the same tuple in `network`.
    pub fn of_network(self, network: Network, seed: Seed) -> Self {
        let tuple = Tuple {
            network,
            ..self.tuple
        };
        Self::new(tuple, seed)
    }
}

/// Converts an address of 4 or 16 bytes to the format of [`Tuple`].
#[inline]
fn address(bytes: &[u8]) -> [u8; 16] {
    // Through a register: copying an unknown small number of bytes would call memcpy.
    match <[u8; 4]>::try_from(bytes) {
        Ok(v4) => u128::from(u32::from_le_bytes(v4)).to_le_bytes(),
        Err(_) => <[u8; 16]>::try_from(bytes).unwrap_or_default(),
    }
}

impl Tuple {
    /// Tuple of a received frame, if it has ports.
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

    /// Tuple of a frame that the host sends, if it has ports. The VLAN tag is `inserted`, or else
    /// one in the frame.
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

    /// Tuple of a connection that is handed over.
    pub fn of_state(state: &ConnectionState) -> Self {
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

    /// Local and remote address, 4 or 16 bytes each.
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
        // Each step multiplies to 128 bits and folds, so that every bit of a word affects every bit
        // of the result. The seed is in each factor.
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
