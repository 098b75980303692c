// SPDX-License-Identifier: GPL-2.0

//! Header formats: checked views over bytes, what they mean, and how to write them (R1.1).
//!
//! A view (`Header<'a>`) is made by a constructor that checks every length once; its accessors then
//! cannot fail. Numbers are returned in host order, addresses in wire order. Nothing here trusts its
//! input, and no input makes it panic.

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

/// Why bytes are not the header they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Fewer bytes than the header needs, or than a length in it says.
    Truncated,
    /// The IP version is not that of the EtherType.
    Version,
    /// A length field is smaller than what it has to cover.
    Length,
    /// An option is cut off, or its length contradicts its kind.
    Option,
    /// The IPv4 header checksum is wrong.
    Checksum,
}

/// Reads a big-endian 16-bit number at `at`.
///
/// # Panics
///
/// When `bytes` is too short; a view has checked that before.
#[inline(always)]
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Reads a big-endian 32-bit number at `at`.
///
/// # Panics
///
/// When `bytes` is too short; a view has checked that before.
#[inline(always)]
fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Writes a big-endian 16-bit number at `at`.
#[inline(always)]
pub(crate) fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// Writes a big-endian 32-bit number at `at`.
#[inline(always)]
fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}
