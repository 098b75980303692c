// SPDX-License-Identifier: GPL-2.0

//! Merges consecutive segments of a TCP flow into a large one, the inverse of [`gso`](crate::gso).
//!
//! Segments are merged only if segmenting the result reproduces them exactly, as `NETIF_F_GRO_HW`
//! requires (`Documentation/networking/netdev-features.rst`).

use crate::tcp::flag;
use crate::wire::be16;
use crate::wire::ipv4;
use crate::wire::ipv6;
use crate::wire::packet::Class;
use crate::wire::packet::Packet;
use crate::wire::put16;
use crate::wire::tcp;

/// Offsets of the headers of a segment, from the start of its frame.
///
/// # Invariants
///
/// The IP and TCP headers are complete and adjacent, up to `length`. The IP header has no options
/// or extension headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroHeaders {
    l3: usize,
    l4: usize,
    length: usize,
    v6: bool,
}

impl GroHeaders {
    /// Headers of the segment in `packet`, with the first `tag` bytes of VLAN tag stripped from the
    /// frame. Returns `None` if the segment cannot be merged: IP options or extension headers,
    /// other tags, or flags besides ACK and PSH.
    #[inline]
    pub fn of(packet: &Packet, header: &tcp::Header<'_>, tag: usize) -> Option<Self> {
        let plain = packet.class == Class::Tcp
            && !packet.ip_options
            && usize::from(packet.l3) == crate::wire::ethernet::HEADER + tag;
        let flags = header.flags() & !flag::PSH;
        if !plain || flags != flag::ACK || header.reserved() != 0 {
            return None;
        }
        // INVARIANT: Established by the parser.
        Some(Self {
            l3: usize::from(packet.l3) - tag,
            l4: usize::from(packet.l4) - tag,
            length: usize::from(packet.payload) - tag,
            v6: packet.version == 6,
        })
    }

    /// Maximum payload of one datagram with these headers.
    #[inline]
    pub fn most_payload(&self) -> usize {
        let counted = if self.v6 {
            self.l3 + ipv6::HEADER
        } else {
            self.l3
        };
        usize::from(u16::MAX) - (self.length - counted)
    }

    /// Whether a segment with headers `next`, of the same layout, continues one with headers
    /// `first` that stands for `segments` wire frames. Does not compare sequence numbers.
    #[inline]
    pub fn continues(&self, first: &[u8], next: &[u8], segments: u16) -> bool {
        let same = |from: usize, to: usize| first[from..to] == next[from..to];
        let (l3, l4) = (self.l3, self.l4);
        let ip = if self.v6 {
            same(l3, l3 + ipv6::PAYLOAD_LENGTH) && same(l3 + ipv6::PAYLOAD_LENGTH + 2, l4)
        } else {
            // The identification of an atomic datagram has no meaning (RFC 6864 4.1).
            let id = |header: &[u8]| be16(header, l3 + ipv4::ID);
            let atomic = be16(first, l3 + 6) & ipv4::DONT_FRAGMENT != 0;
            (atomic || id(next) == id(first).wrapping_add(segments))
                && same(l3, l3 + ipv4::TOTAL_LENGTH)
                && same(l3 + 6, l3 + ipv4::CHECKSUM)
                && same(l3 + ipv4::CHECKSUM + 2, l4)
        };
        ip && same(0, l3)
            && same(l4, l4 + tcp::SEQ)
            && same(l4 + tcp::ACK, l4 + tcp::FLAGS)
            && same(l4 + tcp::WINDOW, l4 + tcp::CHECKSUM)
            && same(l4 + tcp::CHECKSUM + 2, self.length)
    }

    /// Turns `header`, of the first segment, into the header of the merged segment with `payload`
    /// bytes; `push` is the PSH flag of the last. The TCP checksum is set to 0.
    #[inline]
    pub fn finish(&self, header: &mut [u8], payload: usize, push: bool) {
        let length = self.length + payload;
        if self.v6 {
            // CAST: at most `most_payload`.
            ipv6::finish(&mut header[self.l3..], (length - self.l4) as u16);
        } else {
            let id = be16(header, self.l3 + ipv4::ID);
            ipv4::finish(&mut header[self.l3..], (length - self.l3) as u16, id);
        }
        header[self.l4 + tcp::FLAGS] &= !flag::PSH;
        if push {
            header[self.l4 + tcp::FLAGS] |= flag::PSH;
        }
        put16(header, self.l4 + tcp::CHECKSUM, 0);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::env::GsoKind;
    use crate::gso::Large;
    use crate::wire::checksum;
    use crate::wire::ethernet;
    use crate::wire::sample;

    /// A large segment with `payload` bytes of payload and without checksum.
    fn large(v6: bool, payload: usize) -> Vec<u8> {
        let repr = tcp::Repr {
            source: 1,
            destination: 2,
            flags: flag::ACK | flag::PSH,
            window: 77,
            ..tcp::Repr::default()
        };
        let payload: Vec<u8> = (0..payload).map(|i| i as u8).collect();
        let mut frame = sample::frame(v6, &repr, &payload);
        let l4 = frame.len() - payload.len() - repr.length();
        put16(&mut frame, l4 + tcp::CHECKSUM, 0);
        frame
    }

    fn cut(frame: &[u8], size: usize) -> Vec<Vec<u8>> {
        let packet = Packet::parse(frame).unwrap();
        let v6 = packet.version == 6;
        let large = Large {
            frame,
            kind: if v6 { GsoKind::Tcp6 } else { GsoKind::Tcp4 },
            l3: packet.l3.into(),
            l4: packet.l4.into(),
            header: packet.payload.into(),
            size,
            v6,
        };
        let piece = |index| {
            let mut to = vec![0; frame.len()];
            let length = large.emit(index, &mut to);
            to.truncate(length);
            to
        };
        (0..large.count()).map(piece).collect()
    }

    fn headers(frame: &[u8]) -> Option<GroHeaders> {
        let packet = Packet::parse(frame).unwrap();
        GroHeaders::of(&packet, &packet.tcp(frame)?, 0)
    }

    #[test]
    fn what_was_cut_is_joined_to_what_it_was() {
        for v6 in [false, true] {
            let whole = large(v6, 2500);
            let pieces = cut(&whole, 1000);
            let layout = headers(&pieces[0]).unwrap();
            let first = &pieces[0];
            for (i, next) in pieces.iter().enumerate().skip(1) {
                assert_eq!(headers(next), Some(layout));
                assert!(layout.continues(first, next, i as u16));
            }
            let mut joined = first.clone();
            layout.finish(&mut joined, 2500, true);
            for next in &pieces[1..] {
                joined.extend_from_slice(&next[layout.length..]);
            }
            assert_eq!(cut(&joined, 1000), pieces);
            assert_eq!(joined, whole);
        }
    }

    #[test]
    fn what_differs_is_not_joined() {
        for v6 in [false, true] {
            let pieces = cut(&large(v6, 2000), 1000);
            let layout = headers(&pieces[0]).unwrap();
            // Of IPv4, fields that differ between pieces: length, identification, checksum.
            let differs = |at: usize| match v6 {
                false => [16, 17, 18, 19, 24, 25].contains(&at),
                true => [18, 19].contains(&at),
            };
            let l4 = layout.l4;
            for at in 0..layout.length {
                let own = [4, 5, 6, 7, tcp::FLAGS, 16, 17].map(|offset| l4 + offset);
                let mut next = pieces[1].clone();
                next[at] ^= 0x40;
                let joined = layout.continues(&pieces[0], &next, 1);
                assert_eq!(joined, differs(at) || own.contains(&at), "byte {at}");
            }
        }
    }

    #[test]
    fn identifications_count_up_where_they_say_something() {
        let mut pieces = cut(&large(false, 2000), 1000);
        for (id, piece) in (9..).zip(&mut pieces) {
            let ip = &mut piece[ethernet::HEADER..];
            ip[6] = 0;
            let total = ip.len() as u16;
            ipv4::finish(ip, total, id);
        }
        let layout = headers(&pieces[0]).unwrap();
        assert!(layout.continues(&pieces[0], &pieces[1], 1));
        assert!(!layout.continues(&pieces[0], &pieces[1], 2));
    }

    #[test]
    fn only_acknowledgements_with_payload_are_joined() {
        for (flags, joins) in [
            (flag::ACK, true),
            (flag::ACK | flag::PSH, true),
            (flag::ACK | flag::FIN, false),
            (flag::ACK | flag::SYN, false),
            (flag::ACK | flag::URG, false),
            (flag::ACK | flag::ECE, false),
            (flag::ACK | flag::CWR, false),
            (flag::PSH, false),
        ] {
            let mut frame = large(false, 100);
            frame[34 + tcp::FLAGS] = flags;
            assert_eq!(headers(&frame).is_some(), joins, "{flags:#x}");
        }
    }

    #[test]
    fn the_largest_datagram_is_just_full() {
        for v6 in [false, true] {
            let layout = headers(&large(v6, 1)).unwrap();
            let mut header = large(v6, 0);
            layout.finish(&mut header, layout.most_payload(), false);
            let length = be16(&header, if v6 { 18 } else { 16 });
            assert_eq!(length, u16::MAX);
            let ip = &header[14..34];
            assert!(v6 || checksum::sum(ip) == 0xffff);
        }
    }
}
