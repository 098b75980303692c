// SPDX-License-Identifier: GPL-2.0

//! Software fallback for ports without offloads: checksums and segmentation.

use crate::env::GsoKind;
use crate::wire::checksum;
use crate::wire::ipv4;
use crate::wire::ipv6;
use crate::wire::tcp;
use crate::wire::udp;

/// Completes the partial checksum of `frame`: sums from `start` to the end and stores the result at
/// `start + offset`, where the sum of the pseudo-header is. Returns `false` if the field is outside
/// the frame.
pub fn complete_checksum(frame: &mut [u8], start: usize, offset: usize) -> bool {
    let at = start + offset;
    if at + 2 > frame.len() {
        return false;
    }
    // A UDP checksum of zero means none (RFC 768); all ones is the same number.
    let check = match !checksum::sum(&frame[start..]) {
        0 if offset == udp::CHECKSUM => 0xffff,
        check => check,
    };
    frame[at..at + 2].copy_from_slice(&check.to_be_bytes());
    true
}

/// A large segment to be cut into wire frames.
#[derive(Clone, Copy, Debug)]
pub struct Large<'a> {
    /// The whole frame.
    pub frame: &'a [u8],
    /// Segmentation type.
    pub kind: GsoKind,
    /// Offset of the IP header.
    pub l3: usize,
    /// Offset of the transport header.
    pub l4: usize,
    /// Offset of the payload.
    pub header: usize,
    /// Payload bytes of each wire frame except the last, not 0.
    pub size: usize,
    /// The frame is IPv6.
    pub v6: bool,
}

impl Large<'_> {
    /// Number of wire frames.
    pub fn count(&self) -> usize {
        (self.frame.len() - self.header).div_ceil(self.size).max(1)
    }

    /// Writes wire frame `index`, with complete checksums, to `to` and returns its length. The
    /// offsets must come from the parser, and `to` must have room for the frame.
    pub fn emit(&self, index: usize, to: &mut [u8]) -> usize {
        let payload = &self.frame[self.header..];
        let start = index * self.size;
        let end = payload.len().min(start + self.size);
        let length = self.header + end - start;
        let out = &mut to[..length];
        out[..self.header].copy_from_slice(&self.frame[..self.header]);
        out[self.header..].copy_from_slice(&payload[start..end]);

        let (l3, l4) = (self.l3, self.l4);
        let transport = length - l4;
        let check = match self.kind {
            GsoKind::Udp => {
                let value = (transport as u16).to_be_bytes();
                out[l4 + udp::LENGTH..l4 + udp::LENGTH + 2].copy_from_slice(&value);
                l4 + udp::CHECKSUM
            }
            GsoKind::Tcp4 | GsoKind::Tcp6 => {
                let at = l4 + tcp::SEQ;
                let mut seq = [0; 4];
                seq.copy_from_slice(&out[at..at + 4]);
                let seq = u32::from_be_bytes(seq).wrapping_add(start as u32);
                out[at..at + 4].copy_from_slice(&seq.to_be_bytes());
                if end < payload.len() {
                    out[l4 + tcp::FLAGS] &= !(tcp::flag::FIN | tcp::flag::PSH);
                }
                if index != 0 {
                    out[l4 + tcp::FLAGS] &= !tcp::flag::CWR;
                }
                l4 + tcp::CHECKSUM
            }
        };
        let protocol = match self.kind {
            GsoKind::Udp => udp::PROTOCOL,
            _ => tcp::PROTOCOL,
        };
        let (addresses, size) = if self.v6 {
            ipv6::finish(&mut out[l3..], (length - l3 - ipv6::HEADER) as u16);
            (l3 + ipv6::SOURCE, 16)
        } else {
            let id = u16::from_be_bytes([out[l3 + ipv4::ID], out[l3 + ipv4::ID + 1]]);
            let id = id.wrapping_add(index as u16);
            ipv4::finish(&mut out[l3..], (length - l3) as u16, id);
            (l3 + ipv4::SOURCE, 4)
        };
        let (source, destination) = out[addresses..addresses + 2 * size].split_at(size);
        let pseudo = checksum::pseudo_header(source, destination, protocol, transport as u32);
        out[check..check + 2].copy_from_slice(&pseudo.value().to_be_bytes());
        complete_checksum(out, l4, check - l4);
        length
    }
}
