// SPDX-License-Identifier: GPL-2.0

//! The hybrid page: fixed-size cells that hold whole small frames, and the headers of frames whose
//! payload is split off. Frames of different flows share a page.

use toe_abi::CELL_SIZE;
use toe_abi::HEADER_PAD;
use toe_abi::MAX_SMALL_FRAME;
use toe_abi::PAGE_SIZE;
use toe_abi::SMALL_FRAME;
use toe_abi::completion::RxFrame;

use super::Page;
use super::Pages;
use super::Stripped;
use crate::env::Host;
use crate::ring::HostError;

/// Maximum length of headers that are split off: they and their padding fit in one cell.
pub const MAX_HEADER: usize = CELL_SIZE - HEADER_PAD;

/// Bytes of cells taken by `length` bytes of data.
#[inline]
const fn cells(length: usize) -> usize {
    (length + HEADER_PAD).next_multiple_of(CELL_SIZE)
}

/// A page is released as soon as the largest small frame no longer fits. This is the smallest
/// offset at which that can happen, for any threshold.
const LAST_OFFSET: usize = PAGE_SIZE - cells(MAX_SMALL_FRAME as usize);

/// Minimum number of headers that fit in a page with `offset` bytes used.
#[inline]
const fn header_room(offset: usize) -> usize {
    match LAST_OFFSET.checked_sub(offset) {
        Some(rest) => rest / CELL_SIZE + 1,
        None => 1,
    }
}

/// Minimum number of headers that fit in an empty page.
const HEADERS_PER_PAGE: usize = header_room(0);

/// A page being filled.
#[derive(Clone, Copy)]
struct Hybrid {
    page: Page,
    offset: usize,
}

/// Where data can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the current page.
    Current,
    /// In a new page. The current page, if any, must be released.
    New,
    /// Nowhere.
    None,
}

/// The hybrid page of a processor.
///
/// # Invariants
///
/// - `current.offset` is a multiple of [`CELL_SIZE`] below [`PAGE_SIZE`], so at least one header
///   fits. The page is taken and not released.
/// - The current page and the available header pages have cells for `promised` headers.
pub struct Cells {
    current: Option<Hybrid>,
    promised: usize,
    small_frame: usize,
}

impl Cells {
    /// Creates an empty state with the threshold [`SMALL_FRAME`].
    pub fn new() -> Self {
        Self {
            current: None,
            promised: 0,
            small_frame: usize::from(SMALL_FRAME),
        }
    }

    /// Drops the page and all promises.
    pub fn clear(&mut self) {
        self.current = None;
        self.promised = 0;
    }

    /// Sets the small-frame threshold, in bytes.
    pub fn set(&mut self, small_frame: u16) {
        self.small_frame = usize::from(small_frame);
    }

    /// Whether a frame of `length` bytes is stored whole in cells.
    #[inline]
    pub fn is_small(&self, length: usize) -> bool {
        length <= self.small_frame
    }

    /// Minimum number of headers that fit in the current page.
    #[inline]
    fn room(&self) -> usize {
        self.current.map_or(0, |hybrid| header_room(hybrid.offset))
    }

    /// Header pages that can be taken while keeping all promises.
    #[inline]
    pub fn spare(&self, headers: &Pages) -> usize {
        let promised = self.promised.saturating_sub(self.room());
        headers
            .available()
            .saturating_sub(promised.div_ceil(HEADERS_PER_PAGE))
    }

    /// Promises a cell for a header to be written later. Returns `false` if that cannot be
    /// guaranteed.
    #[inline]
    #[must_use]
    pub fn promise(&mut self, headers: &Pages) -> bool {
        let kept = self.promised < self.room() + HEADERS_PER_PAGE * headers.available();
        if kept {
            self.promised += 1;
        }
        kept
    }

    /// Ends a promise: [`Cells::put`] follows, or the cell is not needed.
    #[inline]
    pub fn redeem(&mut self) {
        self.promised -= 1;
    }

    /// Where `length` bytes can be written while keeping all promises.
    #[inline]
    pub fn place(&self, headers: &Pages, length: usize) -> Placement {
        let length = cells(length);
        let kept = |offset: usize, pages: usize| {
            let room = match offset + self.largest() <= PAGE_SIZE {
                true => header_room(offset),
                false => 0,
            };
            self.promised <= room + HEADERS_PER_PAGE * pages
        };
        let available = headers.available();
        match self.current {
            Some(hybrid) if hybrid.offset + length <= PAGE_SIZE => {
                match kept(hybrid.offset + length, available) {
                    true => Placement::Current,
                    false => Placement::None,
                }
            }
            _ if available != 0 && kept(length, available - 1) => Placement::New,
            _ => Placement::None,
        }
    }

    /// Bytes of cells taken by the largest small frame or header.
    #[inline]
    fn largest(&self) -> usize {
        cells(self.small_frame.max(MAX_HEADER))
    }

    /// Whether there is a current page.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// Releases the current page. Needed when a raised threshold has made it too small.
    pub fn close(&mut self, headers: &mut Pages) -> Option<u32> {
        let hybrid = self.current.take()?;
        headers.release(hybrid.page.id);
        Some(hybrid.page.id)
    }

    /// Writes `bytes` to cells of the current page, or of a new one if there is none, and their
    /// location to `completion`. Releases the page if the largest small frame no longer fits.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped, or if no page is available, which
    /// [`Cells::place`] or [`Cells::promise`] must have checked.
    #[inline]
    pub fn put<H: Host>(
        &mut self,
        host: &mut H,
        headers: &mut Pages,
        bytes: &Stripped<'_>,
        completion: &mut RxFrame,
    ) -> Result<(), HostError> {
        let largest = self.largest();
        let hybrid = match &mut self.current {
            Some(hybrid) => hybrid,
            none => none.insert(Hybrid {
                page: headers.take().ok_or(HostError)?,
                offset: 0,
            }),
        };
        let at = hybrid.offset + HEADER_PAD;
        bytes.write(host, hybrid.page.address + at as u64)?;
        completion.header_page = hybrid.page.id;
        completion.header_offset = at as u16;
        completion.header_length = bytes.length() as u16;
        hybrid.offset += cells(bytes.length());
        if hybrid.offset + largest > PAGE_SIZE {
            completion.release |= 1;
            headers.release(completion.header_page);
            self.current = None;
        }
        Ok(())
    }
}
