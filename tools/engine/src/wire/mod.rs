// SPDX-License-Identifier: GPL-2.0

//! Header formats: checked views of received bytes, and representations to emit.
//!
//! The constructor of a view (`Header<'a>`) checks every length once, so its accessors cannot fail.
//! Numbers are returned in host byte order, addresses in network byte order. Input is not trusted,
//! and no input causes a panic.

pub mod checksum;
pub mod ethernet;
pub mod ipv4;
pub mod ipv6;
pub mod packet;
pub mod tcp;
pub mod udp;
pub mod vxlan;

#[cfg(test)]
pub(crate) mod sample;

/// Reasons why bytes are not a valid header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Fewer bytes than the header needs or than one of its length fields says.
    Truncated,
    /// The IP version does not match the EtherType.
    Version,
    /// A length field is too small.
    Length,
    /// An option is cut off, or its length does not match its kind.
    Option,
    /// The IPv4 header checksum is wrong.
    Checksum,
}

/// Reads a big-endian 16-bit number at offset `at`.
///
/// # Panics
///
/// If `bytes` is too short; views check the length beforehand.
#[inline(always)]
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Reads a big-endian 32-bit number at offset `at`.
///
/// # Panics
///
/// If `bytes` is too short; views check the length beforehand.
#[inline(always)]
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Writes a big-endian 16-bit number at offset `at`.
#[inline(always)]
pub(crate) fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// Writes a big-endian 32-bit number at offset `at`.
#[inline(always)]
fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}
