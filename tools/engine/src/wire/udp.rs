// SPDX-License-Identifier: GPL-2.0

//! UDP headers (RFC 768).

use super::Malformed;
use super::be16;

/// Length of a header.
pub const HEADER: usize = 8;
/// Offset of the length.
pub const LENGTH: usize = 4;
/// Offset of the checksum.
pub const CHECKSUM: usize = 6;
/// Protocol number.
pub const PROTOCOL: u8 = 17;

/// A header.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8]);

impl<'a> Header<'a> {
    /// Parses the header at the start of `datagram`. `present` is the number of bytes of the frame
    /// from the header on.
    ///
    /// # Errors
    ///
    /// `Truncated` if header or datagram is cut off, `Length` if the length field is too small.
    #[inline]
    pub fn new(datagram: &'a [u8], present: usize) -> Result<Self, Malformed> {
        if datagram.len() < HEADER {
            return Err(Malformed::Truncated);
        }
        let header = Self(&datagram[..HEADER]);
        if header.length() < HEADER {
            return Err(Malformed::Length);
        }
        if present < header.length() {
            return Err(Malformed::Truncated);
        }
        Ok(header)
    }

    /// Length in bytes of header and payload.
    #[inline]
    pub fn length(&self) -> usize {
        usize::from(be16(self.0, LENGTH))
    }
}
