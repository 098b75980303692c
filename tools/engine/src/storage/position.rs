// SPDX-License-Identifier: GPL-2.0

//! Write position of a flow: its current payload page and the next offset in it.

use toe_abi::PAGE_SIZE;

use super::Page;
use super::Pages;
use crate::env::Host;
use crate::ring::HostError;

/// Write position of a flow.
///
/// # Invariants
///
/// `page` is taken from the payload ring and not released; `offset < PAGE_SIZE`.
#[derive(Default)]
pub struct Position {
    page: Option<Page>,
    offset: usize,
}

/// Result of [`Position::put`].
pub struct Put {
    /// Identifier of the page.
    pub id: u32,
    /// Offset of the data in the page.
    pub offset: usize,
    /// Number of bytes written.
    pub length: usize,
    /// The page is full and was released.
    pub full: bool,
}

impl Position {
    /// Whether there is a current page.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.page.is_some()
    }

    /// Pages needed for `length` more bytes, besides the current one.
    #[inline]
    pub fn more_pages(&self, length: usize) -> usize {
        let room = self.page.map_or(0, |_| PAGE_SIZE - self.offset);
        length.saturating_sub(room).div_ceil(PAGE_SIZE)
    }

    /// Writes `bytes` to the current page, or a new one, up to its end. A full page is released;
    /// the caller reports that to the host.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped, or if no page is available, which the caller
    /// must have checked.
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

    /// Ends a batch that contained `length` bytes of the flow. After a page or more of payload, the
    /// current page is released as by [`Position::close`]. The next batch then starts a new page,
    /// so one more whole page can be mapped into an application than if the two batches shared a
    /// page.
    #[inline]
    pub fn end_batch(&mut self, pages: &mut Pages, length: usize) -> Option<u32> {
        if length < PAGE_SIZE {
            return None;
        }
        self.close(pages)
    }

    /// Releases the current page, if any. The data in it must be reported before the release is.
    #[inline]
    pub fn close(&mut self, pages: &mut Pages) -> Option<u32> {
        let page = self.page.take()?;
        self.offset = 0;
        pages.release(page.id);
        Some(page.id)
    }
}
