// SPDX-License-Identifier: GPL-2.0

//! The hybrid page (R1.4): cells with headers of frames whose payload is stored apart, and with
//! whole small frames, of any flows mixed.

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

/// Longest header that is stored apart: what one cell holds behind its padding.
pub const MAX_HEADER: usize = CELL_SIZE - HEADER_PAD;

/// Bytes of cells that `length` bytes take.
#[inline]
const fn cells(length: usize) -> usize {
    (length + HEADER_PAD).next_multiple_of(CELL_SIZE)
}

/// A page is given up as soon as the largest small frame would not fit into it any more: at this
/// offset whatever the threshold is, or later.
const LAST_OFFSET: usize = PAGE_SIZE - cells(MAX_SMALL_FRAME as usize);

/// Headers that a page with `offset` bytes in use holds at least.
#[inline]
const fn header_room(offset: usize) -> usize {
    match LAST_OFFSET.checked_sub(offset) {
        Some(rest) => rest / CELL_SIZE + 1,
        None => 1,
    }
}

/// Headers that an empty page holds at least.
const HEADERS_PER_PAGE: usize = header_room(0);

/// A page that is being filled.
#[derive(Clone, Copy)]
struct Hybrid {
    page: Page,
    offset: usize,
}

/// Where bytes may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Into the current page.
    Current,
    /// Into a new one; the current one, if there is one, is to be given up.
    New,
    /// Nowhere.
    None,
}

/// The hybrid page.
///
/// # Invariants
///
/// - `current.offset` is a multiple of [`CELL_SIZE`] below [`PAGE_SIZE`], so that there is always
///   room for one header. Its page is taken and has not been released.
/// - `promised` headers find a cell in the current page and those at hand.
pub struct Cells {
    current: Option<Hybrid>,
    promised: usize,
    small_frame: usize,
}

impl Cells {
    /// No page; the threshold is [`SMALL_FRAME`].
    pub fn new() -> Self {
        Self {
            current: None,
            promised: 0,
            small_frame: usize::from(SMALL_FRAME),
        }
    }

    /// Forgets the page and every promise.
    pub fn clear(&mut self) {
        self.current = None;
        self.promised = 0;
    }

    /// Sets the small-frame threshold.
    pub fn set(&mut self, small_frame: u16) {
        self.small_frame = usize::from(small_frame);
    }

    /// Whether a frame of `length` bytes is stored whole in cells.
    #[inline]
    pub fn is_small(&self, length: usize) -> bool {
        length <= self.small_frame
    }

    /// Headers that the current page holds at least.
    #[inline]
    fn room(&self) -> usize {
        self.current.map_or(0, |hybrid| header_room(hybrid.offset))
    }

    /// Header pages that may be taken without breaking a promise.
    #[inline]
    pub fn spare(&self, headers: &Pages) -> usize {
        let promised = self.promised.saturating_sub(self.room());
        headers
            .available()
            .saturating_sub(promised.div_ceil(HEADERS_PER_PAGE))
    }

    /// Promises a cell for a header that is still to be written; false when that cannot be kept.
    #[inline]
    #[must_use]
    pub fn promise(&mut self, headers: &Pages) -> bool {
        let kept = self.promised < self.room() + HEADERS_PER_PAGE * headers.available();
        if kept {
            self.promised += 1;
        }
        kept
    }

    /// A promise is about to be kept, by [`Cells::put`], or not needed any more.
    #[inline]
    pub fn redeem(&mut self) {
        self.promised -= 1;
    }

    /// Where `length` bytes may go without breaking a promise.
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

    /// Bytes of cells that the largest small frame or header takes.
    #[inline]
    fn largest(&self) -> usize {
        cells(self.small_frame.max(MAX_HEADER))
    }

    /// Whether there is a current page.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// Gives the current page up, which a larger threshold has made too small.
    pub fn close(&mut self, headers: &mut Pages) -> Option<u32> {
        let hybrid = self.current.take()?;
        headers.release(hybrid.page.id);
        Some(hybrid.page.id)
    }

    /// Writes `bytes` into cells of the current page, or of a new one when there is none, and their
    /// location into `completion`. The page is released when the largest small frame would not fit
    /// behind them.
    ///
    /// # Errors
    ///
    /// [`HostError`] when memory of the host is gone, or when there is no page, which is to be asked
    /// before: by [`Cells::place`] or [`Cells::promise`].
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
