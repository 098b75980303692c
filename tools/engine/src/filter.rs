// SPDX-License-Identifier: GPL-2.0

//! Receive address filter of a function.

use alloc::vec::Vec;

use toe_abi::admin::MAX_MULTICAST;
use toe_abi::admin::filter;

use crate::wire::ethernet;

/// Address filter: own unicast address, broadcast, multicast list and promiscuous modes.
pub struct Filter {
    mac: [u8; 6],
    flags: u32,
    /// Sorted.
    multicast: Vec<[u8; 6]>,
}

impl Filter {
    /// Accepts the own address and broadcast only.
    pub fn new(mac: [u8; 6]) -> Self {
        Self {
            mac,
            flags: 0,
            multicast: Vec::with_capacity(MAX_MULTICAST),
        }
    }

    /// Own unicast address.
    #[inline]
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Replaces the filter. `flags` are [`filter`] bits; entries of `multicast` beyond
    /// [`MAX_MULTICAST`] are ignored.
    pub fn set(&mut self, mac: [u8; 6], flags: u32, multicast: &[[u8; 6]]) {
        self.mac = mac;
        self.flags = flags;
        self.multicast.clear();
        let count = multicast.len().min(MAX_MULTICAST);
        self.multicast.extend_from_slice(&multicast[..count]);
        self.multicast.sort_unstable();
    }

    /// Returns whether a frame to `destination` is accepted.
    #[inline]
    pub fn accepts(&self, destination: [u8; 6]) -> bool {
        destination == self.mac
            || self.flags & filter::PROMISCUOUS != 0
            || ethernet::is_multicast(destination)
                && (self.flags & filter::ALL_MULTICAST != 0
                    || ethernet::is_broadcast(destination)
                    || self.multicast.binary_search(&destination).is_ok())
    }
}
