// SPDX-License-Identifier: GPL-2.0

//! Which frames a function receives.

use alloc::vec::Vec;

use toe_abi::admin::filter;

use crate::wire::ethernet;

/// Most multicast addresses; beyond, the host asks for all.
pub const MAX_MULTICAST: usize = 512;

/// The address filter: own address, broadcast, multicast addresses, promiscuous modes.
pub struct Filter {
    mac: [u8; 6],
    flags: u32,
    /// Sorted.
    multicast: Vec<[u8; 6]>,
}

impl Filter {
    /// Own address and broadcast only.
    pub fn new(mac: [u8; 6]) -> Self {
        Self {
            mac,
            flags: 0,
            multicast: Vec::with_capacity(MAX_MULTICAST),
        }
    }

    /// The own address.
    #[inline]
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Sets everything; at most [`MAX_MULTICAST`] of `multicast` count.
    pub fn set(&mut self, mac: [u8; 6], flags: u32, multicast: &[[u8; 6]]) {
        self.mac = mac;
        self.flags = flags;
        self.multicast.clear();
        let count = multicast.len().min(MAX_MULTICAST);
        self.multicast.extend_from_slice(&multicast[..count]);
        self.multicast.sort_unstable();
    }

    /// Whether a frame to `destination` is received.
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
