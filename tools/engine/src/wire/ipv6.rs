// SPDX-License-Identifier: GPL-2.0

//! IPv6 headers and extension headers (RFC 8200).

use super::Malformed;
use super::be16;
use super::put16;
use super::put32;

/// Length of the fixed header.
pub const HEADER: usize = 40;
/// Offset of the payload length.
pub const PAYLOAD_LENGTH: usize = 4;
/// Offset of the source address; the destination follows.
pub const SOURCE: usize = 8;

/// Next-header numbers of the extension headers that are parsed.
mod next {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
}

/// Maximum number of extension headers. A longer chain is malformed.
const MAX_EXTENSIONS: usize = 8;

/// A header with its chain of extension headers.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    bytes: &'a [u8],
    total: usize,
    length: usize,
    protocol: u8,
    fragment: Option<(bool, usize)>,
}

impl<'a> Header<'a> {
    /// Parses the header at the start of `bytes`. `present` is the number of bytes of the frame
    /// from the header on, which may include padding. Walks the extension headers up to the first
    /// other header, or to a fragment header with an offset other than 0.
    ///
    /// # Errors
    ///
    /// `Truncated` if header or payload is cut off, `Version` if it is not IPv6, `Length` if an
    /// extension header exceeds the payload or the chain is too long. A payload length of zero
    /// (jumbogram, or no payload) means no payload.
    #[inline]
    pub fn new(bytes: &'a [u8], present: usize) -> Result<Self, Malformed> {
        if bytes.len() < HEADER {
            return Err(Malformed::Truncated);
        }
        if bytes[0] >> 4 != 6 {
            return Err(Malformed::Version);
        }
        let total = HEADER + usize::from(be16(bytes, PAYLOAD_LENGTH));
        if present < total {
            return Err(Malformed::Truncated);
        }
        let mut header = Self {
            bytes: &bytes[..total.min(bytes.len())],
            total,
            length: HEADER,
            protocol: bytes[6],
            fragment: None,
        };
        header.walk()?;
        Ok(header)
    }

    #[inline]
    fn walk(&mut self) -> Result<(), Malformed> {
        for _ in 0..MAX_EXTENSIONS {
            let unit = match self.protocol {
                next::HOP_BY_HOP | next::ROUTING | next::DESTINATION => 8,
                next::AUTHENTICATION => 4,
                next::FRAGMENT => 0,
                _ => return Ok(()),
            };
            let rest = &self.bytes[self.length..];
            if rest.len() < 8 {
                return Err(Malformed::Length);
            }
            let length = match unit {
                8 => 8 + usize::from(rest[1]) * 8,
                4 => 8 + usize::from(rest[1]) * 4,
                _ => 8,
            };
            if rest.len() < length {
                return Err(Malformed::Length);
            }
            if unit == 0 {
                let word = be16(rest, 2);
                let fragment = (word & 1 != 0, usize::from(word & 0xfff8));
                self.fragment = Some(fragment);
                if fragment.1 != 0 {
                    self.length += length;
                    self.protocol = rest[0];
                    return Ok(());
                }
            }
            self.protocol = rest[0];
            self.length += length;
        }
        Err(Malformed::Length)
    }

    /// Length in bytes of the header with its extension headers.
    #[inline]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Length in bytes of header and payload.
    #[inline]
    pub fn total_length(&self) -> usize {
        self.total
    }

    /// Protocol number after the extension headers.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Traffic class, ECN bits included.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        self.bytes[0] << 4 | self.bytes[1] >> 4
    }

    /// From the fragment header: more-fragments flag, and fragment offset in bytes.
    #[inline]
    pub fn fragment(&self) -> Option<(bool, usize)> {
        self.fragment
    }
}

/// Fields of a header without extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Traffic class, ECN bits included.
    pub traffic_class: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Protocol number of the payload.
    pub protocol: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}

impl Repr {
    /// Writes the header. The payload length is left to [`finish`].
    ///
    /// # Panics
    ///
    /// If `bytes` is shorter than [`HEADER`].
    pub fn emit(&self, bytes: &mut [u8]) {
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & 0xf_ffff;
        put32(bytes, 0, first);
        put16(bytes, PAYLOAD_LENGTH, 0);
        bytes[6] = self.protocol;
        bytes[7] = self.hop_limit;
        bytes[SOURCE..SOURCE + 16].copy_from_slice(&self.source);
        bytes[SOURCE + 16..SOURCE + 32].copy_from_slice(&self.destination);
    }
}

/// Sets the payload length of the header at the start of `bytes`.
///
/// # Panics
///
/// If `bytes` is shorter than [`HEADER`].
#[inline]
pub fn finish(bytes: &mut [u8], payload_length: u16) {
    put16(bytes, PAYLOAD_LENGTH, payload_length);
}
