// SPDX-License-Identifier: GPL-2.0

//! Posted pages and the completions that report their use.

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

/// Posted pages and the reservations on them.
pub struct Supply {
    /// Pages of the header ring.
    pub headers: Pages,
    /// Pages of the payload ring.
    pub payload: Pages,
    /// The hybrid page.
    pub(super) cells: Cells,
    /// Payload pages to return without data.
    pub(super) releases: Releases,
}

impl Supply {
    /// Creates an empty supply for page identifiers below `pages` in either ring.
    pub(super) fn new(pages: u32) -> Self {
        Self {
            headers: Pages::new(pages),
            payload: Pages::new(pages),
            cells: Cells::new(),
            releases: Releases::new(),
        }
    }

    /// Drops all pages.
    pub(super) fn clear(&mut self) {
        self.headers.clear();
        self.payload.clear();
        self.cells.clear();
        self.releases = Releases::new();
    }
}

/// Data of one frame in pages.
pub struct InPages<'a> {
    /// Pages in order. All but the last are filled to the end.
    pub pages: &'a [u32],
    /// Bit mask of the pages that are released.
    pub release: u32,
    /// Offset of the data in the first page.
    pub offset: usize,
    /// Length of the data in bytes.
    pub length: usize,
}

impl InPages<'_> {
    /// Number of completions needed to list `pages` pages.
    #[inline]
    pub const fn entries(pages: usize) -> u32 {
        // CAST: pages of one frame.
        pages.div_ceil(FRAME_PAGES) as u32
    }

    /// Writes the completions of the frame. Their number, [`InPages::entries`], has been reserved.
    /// `completion` has everything except the pages.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped.
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
            // CAST: one bit for each listed page.
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
