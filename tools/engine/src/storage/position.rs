// SPDX-License-Identifier: GPL-2.0

//! Where the payload of one flow goes on (R1.6): its current page and the next offset in it.

use toe_abi::PAGE_SIZE;

use super::Page;
use super::Pages;
use crate::env::Host;
use crate::ring::HostError;

/// The current page of a flow and the next offset in it.
///
/// # Invariants
///
/// `page` is taken from the payload ring and not released; `offset < PAGE_SIZE`.
#[derive(Default)]
pub struct Position {
    page: Option<Page>,
    offset: usize,
}

/// What was put where.
pub struct Put {
    /// The page.
    pub id: u32,
    /// Where in it.
    pub offset: usize,
    /// How many bytes.
    pub length: usize,
    /// The page is full, and released.
    pub full: bool,
}

impl Position {
    /// Whether there is a current page.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.page.is_some()
    }

    /// Pages that `length` more bytes take, besides the current one.
    #[inline]
    pub fn more_pages(&self, length: usize) -> usize {
        let room = self.page.map_or(0, |_| PAGE_SIZE - self.offset);
        length.saturating_sub(room).div_ceil(PAGE_SIZE)
    }

    /// Puts as many of `bytes` as one page takes, into the current page or a new one. A page that is
    /// full is released: whoever lists it says so to the host.
    ///
    /// # Errors
    ///
    /// [`HostError`] when memory of the host is gone, or when there is no page, which is to be asked
    /// before.
    #[inline]
    pub fn put<H: Host>(
        &mut self,
        host: &mut H,
        pages: &mut Pages,
        bytes: &[u8],
    ) -> Result<Put, HostError> {
        let page = match self.page {
            Some(page) => page,
            None => {
                self.offset = 0;
                pages.take().ok_or(HostError)?
            }
        };
        self.page = Some(page);
        let offset = self.offset;
        let length = bytes.len().min(PAGE_SIZE - offset);
        host.write(page.address + offset as u64, &bytes[..length])?;
        let full = offset + length == PAGE_SIZE;
        if full {
            self.close(pages);
        } else {
            self.offset += length;
        }
        Ok(Put {
            id: page.id,
            offset,
            length,
            full,
        })
    }

    /// Ends a batch that has brought `length` bytes of the flow. After much payload the current page is
    /// given up as by [`Position::close`]: what comes next then begins a page, and of two batches that
    /// would share one, one more whole page can be mapped into an application.
    #[inline]
    pub fn end_batch(&mut self, pages: &mut Pages, length: usize) -> Option<u32> {
        if length < PAGE_SIZE {
            return None;
        }
        self.close(pages)
    }

    /// Gives the current page up, if there is one. Whatever stands in it must have been reported, or
    /// be reported before its release.
    #[inline]
    pub fn close(&mut self, pages: &mut Pages) -> Option<u32> {
        let page = self.page.take()?;
        self.offset = 0;
        pages.release(page.id);
        Some(page.id)
    }
}
