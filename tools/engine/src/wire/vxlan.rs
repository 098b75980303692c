// SPDX-License-Identifier: GPL-2.0

//! VXLAN (RFC 7348): Ethernet frames of an overlay network in UDP datagrams.

use super::be16;
use super::packet::Class;
use super::packet::Packet;

/// Length of a header.
pub const HEADER: usize = 8;
/// UDP destination port (IANA).
pub const PORT: u16 = 4789;
/// Flags of a header with a valid network identifier and no other bit (RFC 7348 5).
const FLAGS: u8 = 0x08;

/// The inner frame of a VXLAN packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// VXLAN network identifier, 24 bits.
    pub vni: u32,
    /// Offset of the inner frame in the outer one. Offsets in `packet` are relative to it.
    pub start: usize,
    /// The inner frame.
    pub packet: Packet,
}

impl Inner {
    /// Parses the inner frame of `frame`, which `packet` was parsed from. Returns `None` if it is
    /// not VXLAN, does not carry Ethernet, or the inner frame does not end with the datagram.
    #[inline]
    pub fn of(packet: &Packet, frame: &[u8]) -> Option<Self> {
        if packet.class != Class::Udp || be16(frame, usize::from(packet.l4) + 2) != PORT {
            return None;
        }
        let datagram = packet.payload(frame);
        let (&[flags, _, _, _, a, b, c, _], inner) = datagram.split_first_chunk::<HEADER>()?;
        if flags != FLAGS {
            return None;
        }
        let inner_packet = Packet::parse(inner).ok()?;
        (inner_packet.end as usize == inner.len()).then_some(Self {
            vni: u32::from_be_bytes([0, a, b, c]),
            start: usize::from(packet.payload) + HEADER,
            packet: inner_packet,
        })
    }

    /// Bytes of the inner frame.
    #[inline]
    pub fn frame<'a>(&self, outer: &'a [u8]) -> &'a [u8] {
        &outer[self.start..self.start + self.packet.end as usize]
    }
}
