// SPDX-License-Identifier: GPL-2.0

//! Sizes of a processor's rings and of the memory lent through them.

use super::transmit;
use crate::abi::{
    page::BATCH,
    ring::RINGS, //
};
use core::ops::RangeInclusive;
use kernel::prelude::*;

/// Sizes of a processor's rings; all processors have the same.
///
/// # Invariants
///
/// `transmit` is in [`Self::TRANSMIT`], `payload` in [`Self::PAYLOAD`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    transmit: u8,
    payload: u8,
    single: bool,
}

impl Sizes {
    /// log2 of the entries that a transmit ring may have: at least so many that a queue that has
    /// stopped starts again.
    const TRANSMIT: RangeInclusive<u8> = 7..=12;
    /// log2 of the pages that a payload page ring may have: at least what the largest frame takes,
    /// at most 32 MB.
    const PAYLOAD: RangeInclusive<u8> = 6..=13;
    /// log2 of the entries of a submission ring.
    const SUBMISSION: u8 = 9;
    /// Sizes that rings have unless told otherwise.
    const DEFAULT: u8 = 10;

    /// For an adapter that tells `pages` page identifiers apart.
    ///
    /// # Errors
    ///
    /// `EINVAL` when they are too few.
    pub(super) fn initial(pages: u32) -> Result<Self> {
        let most = Self::most_payload(pages).ok_or(EINVAL)?;
        // INVARIANT: In range, as the type's constants are.
        Ok(Self {
            transmit: Self::DEFAULT,
            payload: most.min(Self::DEFAULT),
            single: false,
        })
    }

    /// For at least `transmit` entries and `payload` pages; with `single`, each of those by itself.
    ///
    /// # Errors
    ///
    /// `EINVAL` for what is less than the smallest ring, or more than the largest.
    pub(super) fn of(transmit: u32, payload: u32, single: bool, pages: u32) -> Result<Self> {
        let log2 = |entries: u32, least: u8, most: u8| {
            let up = entries.checked_next_power_of_two().ok_or(EINVAL)?;
            // CAST: below 32.
            let log2 = up.ilog2() as u8;
            (least..=most).contains(&log2).then_some(log2).ok_or(EINVAL)
        };
        let most = Self::most_payload(pages).ok_or(EINVAL)?;
        // INVARIANT: In range, as checked.
        Ok(Self {
            transmit: log2(transmit, *Self::TRANSMIT.start(), *Self::TRANSMIT.end())?,
            payload: log2(payload, *Self::PAYLOAD.start(), most)?,
            single,
        })
    }

    /// log2 of the largest payload page ring.
    fn most_payload(pages: u32) -> Option<u8> {
        // CAST: below 32.
        let log2 = pages.checked_ilog2()? as u8;
        (log2 >= *Self::PAYLOAD.start()).then_some(log2.min(*Self::PAYLOAD.end()))
    }

    /// The largest numbers of transmit entries and payload pages.
    pub(super) fn largest(pages: u32) -> (u32, u32) {
        let payload = Self::most_payload(pages).unwrap_or(*Self::PAYLOAD.start());
        (1 << *Self::TRANSMIT.end(), 1 << payload)
    }

    /// Entries of the transmit ring.
    pub(super) fn transmit(&self) -> u32 {
        1 << self.transmit
    }

    /// Pages of the payload page ring.
    pub(super) fn payload(&self) -> u32 {
        1 << self.payload
    }

    /// log2 of the pages of a block of payload pages.
    ///
    /// In blocks of one batch of the ring, of which the adapter takes the pages one after the other,
    /// much payload of a connection makes large pieces. But an application can map only pages that
    /// are no part of a block (`TCP_ZEROCOPY_RECEIVE`).
    pub(super) fn payload_order(&self) -> u32 {
        match self.single {
            true => 0,
            false => BATCH.ilog2(),
        }
    }

    /// log2 of the entries of all rings, in the order of [`crate::abi::ring::Ring`]: half as many
    /// header pages as payload pages, and twice as many completions.
    pub(super) fn log2(&self) -> [u8; RINGS] {
        const {
            assert!(transmit::START <= 1 << *Self::TRANSMIT.start());
        }
        [
            self.transmit,
            (self.payload - 1).max(*Self::PAYLOAD.start()),
            self.payload,
            Self::SUBMISSION,
            self.payload + 1,
        ]
    }
}
