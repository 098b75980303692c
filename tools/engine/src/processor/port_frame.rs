// SPDX-License-Identifier: GPL-2.0

//! A received frame.

use crate::counters::WireFrames;
use crate::dct::HeldFrame;
use crate::env::GsoKind;
use crate::env::Partial;
use crate::env::RxChecksum;
use crate::env::RxOffload;
use crate::gso::Large;
use crate::storage::MAX_FRAME;
use crate::tcp::Segment;
use crate::tcp::Seq;
use crate::tcp::Trimmed;
use crate::wire::be32;
use crate::wire::ethernet;
use crate::wire::packet::Class;
use crate::wire::packet::Packet;
use crate::wire::tcp;
use crate::wire::udp;

/// The congestion-experienced mark in the ECN field (RFC 3168, 5).
const CE: u8 = 0b11;

/// A received frame with its parsed headers.
#[derive(Clone, Copy)]
pub(super) struct PortFrame<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) packet: Packet,
    pub(super) offload: RxOffload,
    /// Number of wire frames that it represents, at least 1.
    pub(super) segments: u16,
}

impl<'a> PortFrame<'a> {
    /// Parses `frame`. `None` when it is too short for an Ethernet header, or longer than any frame
    /// may be.
    #[inline]
    pub(super) fn new(frame: &'a [u8], offload: &RxOffload) -> Option<Self> {
        if frame.len() > MAX_FRAME {
            return None;
        }
        let packet = Packet::parse(frame).ok()?;
        let segments = match (offload.gso_size, packet.class) {
            (1.., Class::Tcp | Class::Udp) => {
                let size = u32::from(offload.gso_size);
                packet.payload_length().div_ceil(size).max(1)
            }
            _ => 1,
        };
        Some(Self {
            bytes: frame,
            packet,
            offload: *offload,
            segments: segments.min(u32::from(u16::MAX)) as u16,
        })
    }

    /// Destination MAC address.
    #[inline]
    pub(super) fn destination(&self) -> [u8; 6] {
        ethernet::destination(self.bytes)
    }

    /// The wire frames that it stands for.
    #[inline]
    pub(super) fn wire_frames(&self) -> WireFrames {
        let (header, length) = (usize::from(self.packet.payload), self.bytes.len());
        match self.segments {
            1 => WireFrames::new(length, 0, 0),
            _ => WireFrames::new(header, length - header, self.offload.gso_size.into()),
        }
    }

    /// Size of the IP datagram, or Ethernet payload, of the largest wire frame.
    #[inline]
    pub(super) fn datagram(&self) -> usize {
        let l3 = usize::from(self.packet.l3);
        if self.segments > 1 {
            usize::from(self.packet.payload) - l3 + usize::from(self.offload.gso_size)
        } else {
            self.bytes.len() - l3
        }
    }

    /// Whether the transport checksum is correct. `None` when there is none to verify.
    #[inline]
    pub(super) fn checksum_ok(&self) -> Option<bool> {
        match self.offload.checksum {
            RxChecksum::Valid => {
                matches!(self.packet.class, Class::Tcp | Class::Udp).then_some(true)
            }
            RxChecksum::Partial(partial) if self.is_own(&partial) => Some(true),
            _ => self.packet.checksum_ok(self.bytes),
        }
    }

    /// The checksum that has not been filled in yet.
    #[inline]
    pub(super) fn partial(&self) -> Option<Partial> {
        match self.offload.checksum {
            RxChecksum::Partial(partial) => Some(partial),
            _ => None,
        }
    }

    /// Whether `partial` is the checksum of the frame's own transport header, not of an inner one.
    #[inline]
    pub(super) fn is_own(&self, partial: &Partial) -> bool {
        let offset = match self.packet.class {
            Class::Tcp => tcp::CHECKSUM,
            Class::Udp => udp::CHECKSUM,
            _ => return false,
        };
        partial.start == self.packet.l4 && usize::from(partial.offset) == offset
    }

    /// Whether it may be uploaded as a large frame. The host expects the headers of large frames at
    /// their offsets without a second tag or extension headers.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        let tag = self.packet.vlan.map_or(0, |_| ethernet::TAG);
        let extended = self.packet.version == 6 && self.packet.ip_options;
        usize::from(self.packet.l3) == ethernet::HEADER + tag && !extended
    }

    /// The large frame to cut into wire frames. `None` unless it is TCP or UDP with a correct
    /// checksum.
    pub(super) fn large(&self) -> Option<Large<'a>> {
        if self.checksum_ok() == Some(false) {
            return None;
        }
        let packet = &self.packet;
        let kind = match (packet.class, packet.version) {
            (Class::Udp, _) => GsoKind::Udp,
            (Class::Tcp, 4) => GsoKind::Tcp4,
            (Class::Tcp, _) => GsoKind::Tcp6,
            _ => return None,
        };
        Some(Large {
            frame: &self.bytes[..packet.end as usize],
            kind,
            l3: packet.l3.into(),
            l4: packet.l4.into(),
            header: packet.payload.into(),
            size: self.offload.gso_size.into(),
            v6: packet.version == 6,
        })
    }

    /// The TCP segment in it, `None` unless it is TCP.
    #[inline]
    pub(super) fn segment(&self) -> Option<Segment> {
        let header = self.packet.tcp(self.bytes)?;
        let options = header.options();
        let unknown_option = options.is_err();
        let options = options.unwrap_or_default();
        let established_only = options.mss.is_none()
            && options.window_scale.is_none()
            && !options.sack_permitted
            && !options.unknown;
        Some(Segment {
            seq: header.seq(),
            ack: header.ack(),
            flags: header.flags(),
            window: header.window(),
            timestamps: options.timestamps,
            sack: options.sack,
            length: self.packet.payload_length(),
            wire_segments: self.segments,
            congestion_experienced: self.packet.tos & CE == CE,
            unknown_option: unknown_option || !established_only,
            ip_options: self.packet.ip_options,
            signed: options.signed,
        })
    }

    /// Sequence and acknowledgement number in the first fragment of a TCP segment. `None` if it ends
    /// before them.
    pub(super) fn fragment(&self) -> Option<(Seq, Seq)> {
        let datagram = self.bytes.get(usize::from(self.packet.l4)..)?;
        let number = |at: usize| Some(Seq(be32(datagram.get(at..at + 4)?, 0)));
        Some((number(tcp::SEQ)?, number(tcp::ACK)?))
    }

    /// Describes the payload `trimmed`, for the frame to be held.
    pub(super) fn held(&self, trimmed: &Trimmed, push: bool) -> HeldFrame {
        let offset = u32::from(self.packet.payload) + trimmed.skip;
        HeldFrame::new(trimmed.seq, trimmed.length, offset, self.offload, push)
    }
}
