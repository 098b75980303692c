// SPDX-License-Identifier: GPL-2.0

//! Headers of a frame that the adapter has coalesced (hardware GRO).

use crate::net::skb::GsoKind;

const ETHERNET: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Offsets and lengths in a coalesced frame.
pub(super) struct GroHeaders {
    /// Start of the transport header, from the start of the frame.
    pub(super) transport: usize,
    /// Length of the transport header and its payload.
    datagram: usize,
    /// Length of all headers.
    pub(super) length: usize,
    pub(super) kind: GsoKind,
    ipv6: bool,
}

impl GroHeaders {
    /// Parses the start of a coalesced frame. The adapter coalesces only untagged TCP and UDP frames
    /// without IPv6 extension headers; returns `None` for others.
    pub(super) fn parse(frame: &[u8]) -> Option<Self> {
        let be16 = |at: usize| match frame.get(at..at + 2)? {
            &[high, low] => Some(usize::from(u16::from_be_bytes([high, low]))),
            _ => None,
        };
        let ip = frame.get(ETHERNET..)?;
        let (length, ipv6, protocol, total) = match frame.get(12..14)? {
            [0x08, 0x00] => {
                let length = usize::from(ip.first()? & 15) * 4;
                (length, false, *ip.get(9)?, be16(ETHERNET + 2)?)
            }
            [0x86, 0xdd] => (40, true, *ip.get(6)?, 40 + be16(ETHERNET + 4)?),
            _ => return None,
        };
        let transport = ETHERNET + length;
        let header = frame.get(transport..)?;
        let (kind, own) = match protocol {
            TCP => {
                let own = usize::from(header.get(12)? >> 4) * 4;
                let kind = match ipv6 {
                    true => GsoKind::Tcp6,
                    false => GsoKind::Tcp4,
                };
                (kind, own.max(20))
            }
            UDP => (GsoKind::Udp, 8),
            _ => return None,
        };
        (length >= 20 && header.len() >= own).then_some(Self {
            transport,
            datagram: total.checked_sub(length)?,
            length: transport + own,
            kind,
            ipv6,
        })
    }

    /// Returns the length of the frame.
    pub(super) fn total(&self) -> usize {
        self.transport + self.datagram
    }

    /// Returns whether the frame is what cutting at `size` bytes of payload makes `segments` frames of,
    /// at least two.
    pub(super) fn is_cut(&self, size: u16, segments: u16) -> bool {
        let payload = self.total().saturating_sub(self.length);
        segments > 1 && size > 0 && payload.div_ceil(size.into()) == segments.into()
    }

    /// Returns the offset of the checksum field from the start of the transport header.
    pub(super) fn checksum_offset(&self) -> usize {
        match self.kind {
            GsoKind::Udp => 6,
            GsoKind::Tcp4 | GsoKind::Tcp6 => 16,
        }
    }

    /// Writes the sum of the pseudo-header into the checksum field of `frame`, as
    /// `CHECKSUM_PARTIAL` expects it.
    pub(super) fn write_pseudo_sum(&self, frame: &mut [u8]) {
        let addresses = match self.ipv6 {
            true => ETHERNET + 8..ETHERNET + 40,
            false => ETHERNET + 12..ETHERNET + 20,
        };
        let protocol = match self.kind {
            GsoKind::Udp => UDP,
            GsoKind::Tcp4 | GsoKind::Tcp6 => TCP,
        };
        let mut sum = self.datagram as u32 + u32::from(protocol);
        for pair in frame[addresses].chunks_exact(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
        }
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let at = self.transport + self.checksum_offset();
        frame[at..at + 2].copy_from_slice(&(sum as u16).to_be_bytes());
    }
}

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(toe_driver_gro_headers)]
mod tests {
    use super::*;
    use kernel::prelude::*;

    /// The headers of a TCP segment over IPv4 with `payload` bytes.
    fn tcp4(payload: u16) -> [u8; 54] {
        let mut frame = [0; 54];
        frame[12] = 8;
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&(40 + payload).to_be_bytes());
        frame[23] = TCP;
        frame[46] = 5 << 4;
        frame
    }

    #[test]
    fn segments_and_size_have_to_match_the_payload() -> Result {
        let headers = GroHeaders::parse(&tcp4(3000)).ok_or(EINVAL)?;
        assert_eq!((headers.length, headers.total()), (54, 3054));
        assert!(headers.is_cut(1448, 3));
        assert!(headers.is_cut(1500, 2));
        assert!(!headers.is_cut(1448, 2));
        assert!(!headers.is_cut(1448, 4));
        assert!(!headers.is_cut(3000, 1));
        assert!(!headers.is_cut(0, 2));
        assert!(!headers.is_cut(u16::MAX, u16::MAX));
        let empty = GroHeaders::parse(&tcp4(0)).ok_or(EINVAL)?;
        assert!(!empty.is_cut(1448, 0));
        assert!(!empty.is_cut(1448, 2));
        Ok(())
    }

    #[test]
    fn lengths_that_contradict_each_other_are_no_headers() {
        let mut frame = tcp4(3000);
        // The total length is less than the IPv4 header.
        frame[16..18].copy_from_slice(&19u16.to_be_bytes());
        assert!(GroHeaders::parse(&frame).is_none());
        let mut frame = tcp4(3000);
        // The TCP header exceeds the frame.
        frame[46] = 6 << 4;
        assert!(GroHeaders::parse(&frame).is_none());
        frame = tcp4(3000);
        frame[23] = 1;
        assert!(GroHeaders::parse(&frame).is_none());
    }
}
