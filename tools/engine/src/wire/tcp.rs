// SPDX-License-Identifier: GPL-2.0

//! TCP headers (RFC 9293) with the options of RFCs 9293, 7323 and 2018.

use super::Malformed;
use super::be16;
use super::be32;
use super::put16;
use super::put32;
use crate::tcp::Range;
use crate::tcp::SackBlocks;
use crate::tcp::Seq;
use crate::tcp::Timestamps;
pub use crate::tcp::flag;

/// Length of a header without options.
pub const HEADER: usize = 20;
/// Maximum length of a header.
pub const MAX_HEADER: usize = 60;
/// Space that a timestamps option takes with its padding.
pub const TIMESTAMPS: usize = 12;
/// Offset of the sequence number.
pub const SEQ: usize = 4;
/// Offset of the acknowledgement number.
pub const ACK: usize = 8;
/// Offset of the flags.
pub const FLAGS: usize = 13;
/// Offset of the window.
pub const WINDOW: usize = 14;
/// Offset of the checksum.
pub const CHECKSUM: usize = 16;
/// Protocol number.
pub const PROTOCOL: u8 = 6;

/// Kinds of options (RFC 9293 3.1, RFC 7323, RFC 2018).
pub mod kind {
    pub(super) const END: u8 = 0;
    /// Padding.
    pub const NOP: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMPS: u8 = 8;
    pub(super) const MD5: u8 = 19;
    pub(super) const AO: u8 = 29;
}

/// A header with its options.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8]);

impl<'a> Header<'a> {
    /// Parses the header at the start of `segment`.
    ///
    /// # Errors
    ///
    /// `Truncated` if the header is cut off, `Length` if the data offset is too small.
    #[inline]
    pub fn new(segment: &'a [u8]) -> Result<Self, Malformed> {
        if segment.len() < HEADER {
            return Err(Malformed::Truncated);
        }
        let length = usize::from(segment[12] >> 4) * 4;
        if length < HEADER {
            return Err(Malformed::Length);
        }
        if segment.len() < length {
            return Err(Malformed::Truncated);
        }
        Ok(Self(&segment[..length]))
    }

    /// Length in bytes, options included.
    #[inline]
    pub fn length(&self) -> usize {
        self.0.len()
    }

    /// Sequence number.
    #[inline]
    pub fn seq(&self) -> Seq {
        Seq(be32(self.0, SEQ))
    }

    /// Acknowledgement number.
    #[inline]
    pub fn ack(&self) -> Seq {
        Seq(be32(self.0, ACK))
    }

    /// Control bits ([`flag`]).
    #[inline]
    pub fn flags(&self) -> u8 {
        self.0[FLAGS]
    }

    /// Reserved bits and AE (RFC 9768), all zero unless the connection has negotiated their use.
    #[inline]
    pub fn reserved(&self) -> u8 {
        self.0[12] & 15
    }

    /// Window field, not scaled.
    #[inline]
    pub fn window(&self) -> u16 {
        be16(self.0, WINDOW)
    }

    /// Offset of the value of the timestamps option from the start of the header.
    pub fn timestamps_offset(&self) -> Option<usize> {
        let option = self.option(kind::TIMESTAMPS)?;
        (option.len() == 10).then_some(option.start + 2)
    }

    /// Place of the SACK option in the header.
    pub fn sack_option(&self) -> Option<core::ops::Range<usize>> {
        self.option(kind::SACK)
    }

    /// Place of the first option of `wanted` kind in the header.
    fn option(&self, wanted: u8) -> Option<core::ops::Range<usize>> {
        let mut at = HEADER;
        loop {
            match *self.0.get(at)? {
                kind::END => return None,
                kind::NOP => at += 1,
                kind => {
                    let length = usize::from(*self.0.get(at + 1)?);
                    if length < 2 || at + length > self.0.len() {
                        return None;
                    }
                    if kind == wanted {
                        return Some(at..at + length);
                    }
                    at += length;
                }
            }
        }
    }

    /// Parses the options.
    ///
    /// # Errors
    ///
    /// `Option` if an option is cut off or has an invalid length.
    #[inline]
    pub fn options(&self) -> Result<Options, Malformed> {
        Options::parse(&self.0[HEADER..])
    }
}

/// Decodes the 8-byte value of a timestamps option.
#[inline(always)]
fn timestamps(value: &[u8]) -> Timestamps {
    Timestamps {
        value: be32(value, 0),
        echo: be32(value, 4),
    }
}

/// Options of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size, in bytes.
    pub mss: Option<u16>,
    /// Window scale shift count.
    pub window_scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// SACK blocks.
    pub sack: SackBlocks,
    /// MD5 signature (RFC 2385) or authentication option (RFC 5925).
    pub signed: bool,
    /// The header has other options.
    pub unknown: bool,
}

impl Options {
    /// Parses the options, which follow the fixed header.
    ///
    /// # Errors
    ///
    /// `Option` if an option is cut off or has an invalid length.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut options = Self::default();
        // Fast path: the layout recommended in RFC 7323 appendix A, which nearly every segment of
        // an established connection has.
        if let [kind::NOP, kind::NOP, kind::TIMESTAMPS, 10, value @ ..] = bytes {
            if value.len() == 8 {
                options.timestamps = Some(timestamps(value));
                return Ok(options);
            }
        }
        options.parse_each(bytes)?;
        Ok(options)
    }

    fn parse_each(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        while let Some(&kind) = bytes.first() {
            match kind {
                kind::END => break,
                kind::NOP => {
                    bytes = &bytes[1..];
                    continue;
                }
                _ => {}
            }
            let length = usize::from(*bytes.get(1).ok_or(Malformed::Option)?);
            if length < 2 || bytes.len() < length {
                return Err(Malformed::Option);
            }
            let value = &bytes[2..length];
            match (kind, value.len()) {
                (kind::MSS, 2) => self.mss = Some(be16(value, 0)),
                (kind::WINDOW_SCALE, 1) => self.window_scale = Some(value[0]),
                (kind::SACK_PERMITTED, 0) => self.sack_permitted = true,
                (kind::TIMESTAMPS, 8) => {
                    self.timestamps = Some(timestamps(value));
                }
                (kind::SACK, 8 | 16 | 24 | 32) => {
                    for block in value.chunks_exact(8) {
                        self.sack.push(Range {
                            start: Seq(be32(block, 0)),
                            end: Seq(be32(block, 4)),
                        });
                    }
                }
                (
                    kind::MSS
                    | kind::WINDOW_SCALE
                    | kind::SACK_PERMITTED
                    | kind::TIMESTAMPS
                    | kind::SACK,
                    _,
                ) => return Err(Malformed::Option),
                (kind::MD5 | kind::AO, _) => self.signed = true,
                _ => self.unknown = true,
            }
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Length in bytes when emitted, padding included.
    #[inline]
    pub fn length(&self) -> usize {
        let mss = if self.mss.is_some() { 4 } else { 0 };
        let scale = if self.window_scale.is_some() { 4 } else { 0 };
        let permitted = if self.sack_permitted { 4 } else { 0 };
        let timestamps = if self.timestamps.is_some() { 12 } else { 0 };
        mss + scale + permitted + timestamps + usize::from(self.sack.option_length())
    }

    /// Writes the options, each preceded by NOPs to a multiple of 4 bytes. Their total length must
    /// not exceed 40 bytes.
    ///
    /// # Panics
    ///
    /// If `bytes` is shorter than [`Options::length`].
    pub fn emit(&self, bytes: &mut [u8]) {
        let mut at = 0;
        if let Some(mss) = self.mss {
            bytes[at..at + 2].copy_from_slice(&[kind::MSS, 4]);
            put16(bytes, at + 2, mss);
            at += 4;
        }
        if let Some(scale) = self.window_scale {
            bytes[at..at + 4].copy_from_slice(&[kind::NOP, kind::WINDOW_SCALE, 3, scale]);
            at += 4;
        }
        if self.sack_permitted {
            bytes[at..at + 4].copy_from_slice(&[kind::NOP, kind::NOP, kind::SACK_PERMITTED, 2]);
            at += 4;
        }
        if let Some(timestamps) = self.timestamps {
            bytes[at..at + 4].copy_from_slice(&[kind::NOP, kind::NOP, kind::TIMESTAMPS, 10]);
            put32(bytes, at + 4, timestamps.value);
            put32(bytes, at + 8, timestamps.echo);
            at += 12;
        }
        if !self.sack.is_empty() {
            let length = self.sack.option_length() as u8 - 2;
            bytes[at..at + 4].copy_from_slice(&[kind::NOP, kind::NOP, kind::SACK, length]);
            at += 4;
            for block in self.sack.as_slice() {
                put32(bytes, at, block.start.0);
                put32(bytes, at + 4, block.end.0);
                at += 8;
            }
        }
    }
}

/// Fields of a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repr {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number.
    pub seq: Seq,
    /// Acknowledgement number.
    pub ack: Seq,
    /// Control bits ([`flag`]).
    pub flags: u8,
    /// Window field, not scaled.
    pub window: u16,
    /// Options.
    pub options: Options,
}

impl Repr {
    /// Length in bytes of the emitted header.
    #[inline]
    pub fn length(&self) -> usize {
        HEADER + self.options.length()
    }

    /// Writes the header with checksum and urgent pointer 0.
    ///
    /// # Panics
    ///
    /// If `bytes` is shorter than [`Repr::length`].
    pub fn emit(&self, bytes: &mut [u8]) {
        let length = self.length();
        put16(bytes, 0, self.source);
        put16(bytes, 2, self.destination);
        put32(bytes, SEQ, self.seq.0);
        put32(bytes, ACK, self.ack.0);
        bytes[12] = (length / 4) as u8 * 16;
        bytes[FLAGS] = self.flags;
        put16(bytes, WINDOW, self.window);
        put32(bytes, CHECKSUM, 0);
        self.options.emit(&mut bytes[HEADER..length]);
    }
}
