// SPDX-License-Identifier: GPL-2.0

//! VXLAN (RFC 7348): Ethernet frames of a virtual network in UDP datagrams.

use super::be16;
use super::packet::Class;
use super::packet::Packet;

/// Length of a header.
pub const HEADER: usize = 8;
/// UDP port that it is recognised by.
pub const PORT: u16 = 4789;
/// Flags of a header with a network identifier and nothing else (RFC 7348 5).
const FLAGS: u8 = 0x08;

/// A frame inside another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// VXLAN network identifier, 24 bits.
    pub vni: u32,
    /// Where the inner frame starts in the outer one. Offsets in `packet` count from there.
    pub start: usize,
    /// The inner frame.
    pub packet: Packet,
}

impl Inner {
    /// The frame inside `frame`, which `packet` was parsed from. `None` when it is not VXLAN, carries
    /// something else than Ethernet, or ends before the datagram does.
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

    /// The inner frame's bytes.
    #[inline]
    pub fn frame<'a>(&self, outer: &'a [u8]) -> &'a [u8] {
        &outer[self.start..self.start + self.packet.end as usize]
    }
}
