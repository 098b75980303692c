// SPDX-License-Identifier: GPL-2.0

//! Receive side scaling: the hash and its input.

use crate::bindings;

/// Changes of an RSS context; `None` leaves a parameter unchanged.
pub struct RssChange<'a> {
    /// Key, of length [`Operations::KEY_SIZE`](super::Operations::KEY_SIZE).
    pub key: Option<&'a [u8]>,
    /// Indirection table, of length [`Operations::INDIRECTION`](super::Operations::INDIRECTION).
    pub table: Option<&'a [u32]>,
    /// Symmetric hashing (`symmetric-xor`): both directions of a flow have the same hash.
    pub symmetric: Option<bool>,
}

/// A protocol with hash fields of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over IPv4.
    Udp4,
    /// UDP over IPv6.
    Udp6,
}

impl Flow {
    pub(super) fn from_raw(raw: u32) -> Option<Self> {
        Some(match raw {
            bindings::TCP_V4_FLOW => Self::Tcp4,
            bindings::TCP_V6_FLOW => Self::Tcp6,
            bindings::UDP_V4_FLOW => Self::Udp4,
            bindings::UDP_V6_FLOW => Self::Udp6,
            _ => return None,
        })
    }
}

/// Header fields that are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashFields {
    /// Source address.
    pub source: bool,
    /// Destination address.
    pub destination: bool,
    /// Source port.
    pub source_port: bool,
    /// Destination port.
    pub destination_port: bool,
}

impl HashFields {
    /// Fields of IP packets of other protocols.
    pub(super) const IP: Self = Self {
        source: true,
        destination: true,
        source_port: false,
        destination_port: false,
    };

    /// `None` when `raw` contains other fields.
    pub(super) fn from_raw(raw: u32) -> Option<Self> {
        let fields = Self {
            source: raw & bindings::RXH_IP_SRC != 0,
            destination: raw & bindings::RXH_IP_DST != 0,
            source_port: raw & bindings::RXH_L4_B_0_1 != 0,
            destination_port: raw & bindings::RXH_L4_B_2_3 != 0,
        };
        (fields.raw() == raw).then_some(fields)
    }

    pub(super) fn raw(self) -> u32 {
        [
            (self.source, bindings::RXH_IP_SRC),
            (self.destination, bindings::RXH_IP_DST),
            (self.source_port, bindings::RXH_L4_B_0_1),
            (self.destination_port, bindings::RXH_L4_B_2_3),
        ]
        .iter()
        .fold(0, |raw, &(set, bit)| if set { raw | bit } else { raw })
    }
}
