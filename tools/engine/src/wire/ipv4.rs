// SPDX-License-Identifier: GPL-2.0

//! IPv4 headers (RFC 791).

use super::Malformed;
use super::be16;
use super::checksum;
use super::put16;

/// Length of a header without options.
pub const HEADER: usize = 20;
/// Offset of the total length.
pub const TOTAL_LENGTH: usize = 2;
/// Offset of the identification.
pub const ID: usize = 4;
/// Offset of the header checksum.
pub const CHECKSUM: usize = 10;
/// Offset of the source address; the destination follows.
pub const SOURCE: usize = 12;

/// Don't fragment, in the flags and fragment offset word.
pub const DONT_FRAGMENT: u16 = 0x4000;

/// A header with its options.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8]);

impl<'a> Header<'a> {
    /// Parses the header at the start of `bytes`. `present` is the number of bytes of the frame
    /// from the header on, which may include padding. Does not verify the header checksum; see
    /// [`Header::checksum_ok`].
    ///
    /// # Errors
    ///
    /// `Truncated` if header or datagram is cut off, `Version` if it is not IPv4, `Length` if
    /// header length or total length is too small.
    #[inline]
    pub fn new(bytes: &'a [u8], present: usize) -> Result<Self, Malformed> {
        if bytes.len() < HEADER {
            return Err(Malformed::Truncated);
        }
        if bytes[0] >> 4 != 4 {
            return Err(Malformed::Version);
        }
        let length = usize::from(bytes[0] & 15) * 4;
        let total = usize::from(be16(bytes, TOTAL_LENGTH));
        if length < HEADER || total < length {
            return Err(Malformed::Length);
        }
        if present < total || bytes.len() < length {
            return Err(Malformed::Truncated);
        }
        Ok(Self(&bytes[..length]))
    }

    /// Header length in bytes, options included.
    #[inline]
    pub fn length(&self) -> usize {
        self.0.len()
    }

    /// Length in bytes of header and payload.
    #[inline]
    pub fn total_length(&self) -> usize {
        usize::from(be16(self.0, TOTAL_LENGTH))
    }

    /// Protocol number of the payload.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.0[9]
    }

    /// Type of service, ECN bits included.
    #[inline]
    pub fn tos(&self) -> u8 {
        self.0[1]
    }

    /// More-fragments flag, and fragment offset in bytes.
    #[inline]
    pub fn fragment(&self) -> (bool, usize) {
        let word = be16(self.0, 6);
        (word & 0x2000 != 0, usize::from(word & 0x1fff) * 8)
    }

    /// Whether the header checksum is correct.
    #[inline]
    pub fn checksum_ok(&self) -> bool {
        checksum::sum(self.0) == 0xffff
    }
}

/// Sets total length and identification of the header at the start of `bytes` and completes its
/// checksum.
///
/// # Panics
///
/// If `bytes` does not start with a header checked by [`Header::new`] or written by [`Repr::emit`].
#[inline]
pub fn finish(bytes: &mut [u8], total_length: u16, id: u16) {
    let length = usize::from(bytes[0] & 15) * 4;
    put16(bytes, TOTAL_LENGTH, total_length);
    put16(bytes, ID, id);
    put16(bytes, CHECKSUM, 0);
    let check = !checksum::sum(&bytes[..length]);
    put16(bytes, CHECKSUM, check);
}

/// Fields of a header without options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Don't-fragment flag.
    pub dont_fragment: bool,
    /// Type of service, ECN bits included.
    pub tos: u8,
    /// Time to live.
    pub ttl: u8,
    /// Protocol number of the payload.
    pub protocol: u8,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}

impl Repr {
    /// Writes the header. Total length, identification and checksum are left to [`finish`].
    ///
    /// # Panics
    ///
    /// If `bytes` is shorter than [`HEADER`].
    pub fn emit(&self, bytes: &mut [u8]) {
        bytes[..HEADER].fill(0);
        bytes[0] = 0x45;
        bytes[1] = self.tos;
        put16(bytes, 6, if self.dont_fragment { DONT_FRAGMENT } else { 0 });
        bytes[8] = self.ttl;
        bytes[9] = self.protocol;
        bytes[SOURCE..SOURCE + 4].copy_from_slice(&self.source);
        bytes[SOURCE + 4..SOURCE + 8].copy_from_slice(&self.destination);
    }
}
