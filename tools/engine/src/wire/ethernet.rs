// SPDX-License-Identifier: GPL-2.0

//! Ethernet II with IEEE 802.1Q and 802.1ad tags.

use super::Malformed;
use super::be16;

/// Length of a header without tags.
pub const HEADER: usize = 14;
/// Length of a tag.
pub const TAG: usize = 4;
/// Offset of the EtherType, or of the first tag.
pub const TYPE: usize = 12;

/// EtherTypes.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// 802.1Q customer tag.
    pub const VLAN: u16 = 0x8100;
    /// 802.1ad service tag.
    pub const SERVICE_VLAN: u16 = 0x88a8;
}

/// A header with up to two VLAN tags.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    bytes: &'a [u8],
    length: usize,
    ethertype: u16,
}

impl<'a> Header<'a> {
    /// Parses the header at the start of `frame`.
    ///
    /// # Errors
    ///
    /// `Truncated` if header or tags are cut off. A third tag is not parsed: it becomes the
    /// EtherType.
    #[inline]
    pub fn new(frame: &'a [u8]) -> Result<Self, Malformed> {
        if frame.len() < HEADER {
            return Err(Malformed::Truncated);
        }
        let mut length = HEADER;
        let mut ethertype = be16(frame, TYPE);
        while matches!(ethertype, ethertype::VLAN | ethertype::SERVICE_VLAN)
            && length < HEADER + 2 * TAG
        {
            if frame.len() < length + TAG {
                return Err(Malformed::Truncated);
            }
            ethertype = be16(frame, length + 2);
            length += TAG;
        }
        Ok(Self {
            bytes: frame,
            length,
            ethertype,
        })
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> [u8; 6] {
        let mut mac = [0; 6];
        mac.copy_from_slice(&self.bytes[..6]);
        mac
    }

    /// EtherType after the tags.
    #[inline]
    pub fn ethertype(&self) -> u16 {
        self.ethertype
    }

    /// Length in bytes, tags included.
    #[inline]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Tag control information of the outermost tag if that is an 802.1Q tag.
    #[inline]
    pub fn vlan(&self) -> Option<u16> {
        (be16(self.bytes, TYPE) == ethertype::VLAN && self.length > HEADER)
            .then(|| be16(self.bytes, TYPE + 2))
    }
}

/// Destination address of a frame; zero if the frame is too short.
#[inline]
pub fn destination(frame: &[u8]) -> [u8; 6] {
    frame.first_chunk().copied().unwrap_or_default()
}

/// Whether `mac` is a group address (multicast or broadcast).
#[inline]
pub const fn is_multicast(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 1
}

/// Whether `mac` is the broadcast address.
#[inline]
pub fn is_broadcast(mac: [u8; 6]) -> bool {
    mac == [0xff; 6]
}
