// SPDX-License-Identifier: GPL-2.0

//! How the host lends pages to the adapter, and gets them back.
//!
//! The host posts pages in the two page rings; the adapter fetches them in batches of one cache
//! line, keeps their addresses in its own array under the identifier that the host chose, and from
//! then on both sides name the page by that identifier. The page is the adapter's until a
//! completion *releases* the identifier: with the last data placed in it (the release mask of a
//! completion) or without data ([`PagesReleased`](super::completion::PagesReleased)). Only then may
//! the host post the identifier again, for the same or another page. The two rings have separate
//! identifiers.
//!
//! The adapter takes the pages of a batch in their order. A host that posts neighbours in one batch
//! finds the payload of a connection that receives much in one piece.

/// Largest page identifier plus one that an entry can hold.
pub const MAX_PAGES: u32 = 1 << 24;

/// Entries of a page ring that the adapter fetches at a time: one cache line.
pub const BATCH: usize = 8;

/// An entry of a page ring: identifier in the lowest 24 bits, DMA address without its lowest 12
/// bits above them.
///
/// The adapter looks at the ring in whole batches: the host advances the producer index in steps of
/// [`BATCH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagePost(u64);

impl PagePost {
    /// Lends the page at DMA address `address` under the identifier `id`.
    ///
    /// `None` unless `address` is a multiple of 4096 below 2^52 and `id` is below [`MAX_PAGES`].
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

    /// Takes any value read from a ring.
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
