// SPDX-License-Identifier: GPL-2.0

//! What the host supplies, and how its use is reported.

use toe_abi::Layout;
use toe_abi::PAGE_SIZE;
use toe_abi::completion::FRAME_PAGES;
use toe_abi::completion::NO_PAGE;
use toe_abi::completion::RxFrame;
use toe_abi::completion::frame_flag;

use super::Pages;
use super::cells::Cells;
use super::releases::Releases;
use crate::env::Host;
use crate::ring::Completions;
use crate::ring::HostError;

/// Pages that the host has posted, and what of them is spoken for.
pub struct Supply {
    /// Pages of the header ring.
    pub headers: Pages,
    /// Pages of the payload ring.
    pub payload: Pages,
    /// The hybrid page.
    pub(super) cells: Cells,
    /// Payload pages that go back without data.
    pub(super) releases: Releases,
}

impl Supply {
    /// None, for page identifiers below `pages` of either ring.
    pub(super) fn new(pages: u32) -> Self {
        Self {
            headers: Pages::new(pages),
            payload: Pages::new(pages),
            cells: Cells::new(),
            releases: Releases::new(),
        }
    }

    /// Forgets every page.
    pub(super) fn clear(&mut self) {
        self.headers.clear();
        self.payload.clear();
        self.cells.clear();
        self.releases = Releases::new();
    }
}

/// Data of one frame that stands in pages.
pub struct InPages<'a> {
    /// The pages in their order, all but the last full to their end.
    pub pages: &'a [u32],
    /// Those that are released: a bit for each.
    pub release: u32,
    /// Where the data begins in the first.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
}

impl InPages<'_> {
    /// Completions that list `pages`.
    #[inline]
    pub const fn entries(pages: usize) -> u32 {
        // CAST: pages of one frame.
        pages.div_ceil(FRAME_PAGES) as u32
    }

    /// Writes the completions of the frame, as many as [`InPages::entries`], which have been
    /// reserved. `completion` has all but the pages.
    ///
    /// # Errors
    ///
    /// [`HostError`] when memory of the host is gone.
    #[inline]
    pub fn write<H: Host>(
        &self,
        host: &mut H,
        completions: &mut Completions,
        completion: &mut RxFrame,
    ) -> Result<(), HostError> {
        let (mut offset, mut left, mut release) = (self.offset, self.length, self.release);
        let mut lists = self.pages.chunks(FRAME_PAGES).peekable();
        while let Some(list) = lists.next() {
            let here = left.min(list.len() * PAGE_SIZE - offset);
            completion.pages[..list.len()].copy_from_slice(list);
            completion.page_count = list.len() as u8;
            completion.data_offset = offset as u16;
            completion.data_length = here as u32;
            // CAST: a bit for each of the pages listed.
            completion.release |= ((release & ((1 << list.len()) - 1)) << 1) as u16;
            match lists.peek() {
                Some(_) => completion.flags |= frame_flag::MORE,
                None => completion.flags &= !frame_flag::MORE,
            }
            completions.write(host, &completion.to_bytes())?;
            completion.header_page = NO_PAGE;
            completion.header_offset = 0;
            completion.header_length = 0;
            completion.release = 0;
            release >>= FRAME_PAGES;
            left -= here;
            offset = 0;
        }
        Ok(())
    }
}
