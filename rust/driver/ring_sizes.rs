// SPDX-License-Identifier: GPL-2.0

//! Sizes of the rings of a queue pair.

use super::tx_clean::START_THRESHOLD;
use crate::abi::{
    page::BATCH,
    ring::RINGS, //
};
use core::ops::RangeInclusive;
use kernel::prelude::*;

/// Sizes of the rings of a queue pair. All queue pairs have the same.
///
/// # Invariants
///
/// `transmit` is in [`Self::TRANSMIT`], `payload` in [`Self::PAYLOAD`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct RingSizes {
    transmit: u8,
    payload: u8,
    single_pages: bool,
}

impl RingSizes {
    /// log2 of the entries of a transmit ring. The smallest ring lets a stopped queue start again.
    const TRANSMIT: RangeInclusive<u8> = 7..=12;
    /// log2 of the entries of a payload fill ring. The smallest holds the largest frame; the largest
    /// holds 32 MB.
    const PAYLOAD: RangeInclusive<u8> = 6..=13;
    /// log2 of the entries of a submission ring.
    const SUBMISSION: u8 = 9;
    /// Default log2 of the entries of a transmit and a payload fill ring.
    const DEFAULT: u8 = 10;

    /// Returns the default sizes for an adapter with `pages` page identifiers.
    ///
    /// # Errors
    ///
    /// `EINVAL` when there are too few identifiers.
    pub(super) fn default_for(pages: u32) -> Result<Self> {
        let most = Self::max_payload(pages).ok_or(EINVAL)?;
        // INVARIANT: In range, as the type's constants are.
        Ok(Self {
            transmit: Self::DEFAULT,
            payload: most.min(Self::DEFAULT),
            single_pages: false,
        })
    }

    /// Returns sizes for at least `transmit` frame entries and `payload` pages. With `single_pages`
    /// payload pages are not allocated in blocks.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a value out of range.
    pub(super) fn new(transmit: u32, payload: u32, single_pages: bool, pages: u32) -> Result<Self> {
        let log2 = |entries: u32, min: u8, max: u8| {
            let up = entries.checked_next_power_of_two().ok_or(EINVAL)?;
            // CAST: below 32.
            let log2 = up.ilog2() as u8;
            (min..=max).contains(&log2).then_some(log2).ok_or(EINVAL)
        };
        let most = Self::max_payload(pages).ok_or(EINVAL)?;
        // INVARIANT: In range, as checked.
        Ok(Self {
            transmit: log2(transmit, *Self::TRANSMIT.start(), *Self::TRANSMIT.end())?,
            payload: log2(payload, *Self::PAYLOAD.start(), most)?,
            single_pages,
        })
    }

    /// Returns log2 of the largest payload fill ring.
    fn max_payload(pages: u32) -> Option<u8> {
        // CAST: below 32.
        let log2 = pages.checked_ilog2()? as u8;
        (log2 >= *Self::PAYLOAD.start()).then_some(log2.min(*Self::PAYLOAD.end()))
    }

    /// Returns the largest numbers of transmit entries and payload pages.
    pub(super) fn max(pages: u32) -> (u32, u32) {
        let payload = Self::max_payload(pages).unwrap_or(*Self::PAYLOAD.start());
        (1 << *Self::TRANSMIT.end(), 1 << payload)
    }

    /// Returns the number of entries of the transmit ring.
    pub(super) fn transmit(&self) -> u32 {
        1 << self.transmit
    }

    /// Returns the number of entries of the payload fill ring.
    pub(super) fn payload(&self) -> u32 {
        1 << self.payload
    }

    /// Returns the allocation order of payload pages.
    ///
    /// A block has the size of a fill batch. The adapter uses the pages of a batch one after the
    /// other, so the payload of a fast connection forms large fragments. Applications can map only
    /// pages that do not belong to a block (`TCP_ZEROCOPY_RECEIVE`).
    pub(super) fn payload_order(&self) -> u32 {
        match self.single_pages {
            true => 0,
            false => BATCH.ilog2(),
        }
    }

    /// Returns log2 of the entries of all rings, in the order of [`crate::abi::ring::RingId`]: half as
    /// many header pages as payload pages, and twice as many completions.
    pub(super) fn log2(&self) -> [u8; RINGS] {
        const {
            assert!(START_THRESHOLD <= 1 << *Self::TRANSMIT.start());
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
