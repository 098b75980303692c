// SPDX-License-Identifier: GPL-2.0

//! Page posts: how the host supplies pages to the adapter and gets them back.
//!
//! The host posts a page in one of the two page rings under an identifier of its choice. The adapter
//! fetches posts in batches of one cache line and keeps the DMA addresses in an array indexed by
//! identifier. From then on both sides name the page by its identifier.
//!
//! The adapter owns the page until a completion *releases* the identifier: with the last data placed
//! in the page (the release mask of a completion) or without data
//! ([`PagesReleased`](super::completion::PagesReleased), [`Returned`](super::completion::Returned)).
//! The host may post the identifier again only then, for the same page or another one. The two rings
//! have separate identifiers.
//!
//! The adapter uses the pages of a batch in the order of their entries. A host that posts physically
//! contiguous pages in one batch receives the payload of a busy connection contiguously.

use super::table::constants;

constants! {
    /// Number of page identifiers that an entry can express: identifiers are below this value.
    pub const MAX_PAGES: u32 = 1 << 24;

    /// Entries of a page ring that the adapter fetches at a time: one cache line. The host advances
    /// the producer index of a page ring in multiples of this value.
    pub const BATCH: usize = 8;
}

/// An entry of a page ring: the identifier in bits 0 to 23, bits 12 to 51 of the DMA address in bits
/// 24 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagePost(u64);

impl PagePost {
    /// Posts the page at DMA address `address` under the identifier `id`.
    ///
    /// Returns `None` unless `address` is a multiple of 4096 below 2^52 and `id` is below
    /// [`MAX_PAGES`].
    pub const fn new(id: u32, address: u64) -> Option<Self> {
        if address & 0xfff != 0 || address >> 52 != 0 || id >= MAX_PAGES {
            return None;
        }
        Some(Self((address << 12) | id as u64))
    }

    /// The raw entry.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// An entry read from a ring. Every value is valid.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The page's identifier.
    pub const fn id(self) -> u32 {
        (self.0 & (MAX_PAGES as u64 - 1)) as u32
    }

    /// The page's DMA address.
    pub const fn address(self) -> u64 {
        (self.0 >> 24) << 12
    }
}
