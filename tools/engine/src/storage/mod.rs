// SPDX-License-Identifier: GPL-2.0

//! Receive storage (R1.4 to R1.6): where received frames and payload go in the host's memory.
//!
//! | what | where |
//! |---|---|
//! | a small frame; the header of a frame whose payload is stored apart | cells of the hybrid page |
//! | payload of a TCP frame, with `SPLIT` | payload pages, from the start of one |
//! | another frame up to [`MTU_SLOT`] bytes | half an MTU page |
//! | a larger one | a chain of pages |
//! | payload of a delegated connection | its re-assembly page, running on ([`Reassembly`]) |
//!
//! Hybrid, MTU and chain pages come from the header page ring.

mod pages;
mod reassembly;

use toe_abi::CELL_SIZE;
use toe_abi::HEADER_PAD;
use toe_abi::Layout;
use toe_abi::PAGE_SIZE;
use toe_abi::SMALL_FRAME;
use toe_abi::admin::storage;
use toe_abi::completion::FRAME_PAGES;
use toe_abi::completion::Frame;
use toe_abi::completion::NO_PAGE;
use toe_abi::completion::Op;
use toe_abi::completion::PagesReleased;
use toe_abi::completion::frame_flag;

pub use self::pages::Page;
pub use self::pages::Pages;
pub use self::reassembly::Reassembly;
use crate::env::Host;
use crate::ring::Broken;
use crate::ring::Completions;

/// Half an MTU page.
const MTU_SLOT: usize = PAGE_SIZE / 2;
/// Longest header that is stored apart: what one cell holds behind its padding.
const MAX_HEADER: usize = CELL_SIZE - HEADER_PAD;
/// Longest frame that is stored: the largest IP datagram with Ethernet header and tags.
pub const MAX_FRAME: usize = 65_535 + 40 + 22;
/// Most pages of one frame.
const MAX_PAGES: usize = (MAX_FRAME + HEADER_PAD).div_ceil(PAGE_SIZE);
/// Most completions that one frame takes, and one for a hybrid page that it did not fit into.
pub const MAX_ENTRIES: u32 = MAX_PAGES.div_ceil(FRAME_PAGES) as u32 + 1;

/// A received frame as it is to be stored: an 802.1Q tag that is stripped is left out.
#[derive(Clone, Copy)]
pub struct Stripped<'a> {
    /// The bytes before the tag, or the whole frame.
    front: &'a [u8],
    /// The bytes behind it.
    back: &'a [u8],
}

impl<'a> Stripped<'a> {
    /// `frame` without the `tag` bytes behind its addresses.
    #[inline]
    pub fn new(frame: &'a [u8], tag: usize) -> Self {
        if tag == 0 {
            return Self {
                front: frame,
                back: &[],
            };
        }
        let (front, back) = frame.split_at(crate::wire::ethernet::TYPE);
        Self {
            front,
            back: &back[tag..],
        }
    }

    #[inline]
    fn length(&self) -> usize {
        self.front.len() + self.back.len()
    }

    /// The first `at` bytes, and the rest.
    #[inline]
    fn split(&self, at: usize) -> (Self, Self) {
        let (a, b) = self.front.split_at(at.min(self.front.len()));
        let (c, d) = self.back.split_at((at - a.len()).min(self.back.len()));
        (Self { front: a, back: c }, Self { front: b, back: d })
    }

    #[inline]
    fn write<H: Host>(&self, host: &mut H, address: u64) -> Result<(), Broken> {
        host.write(address, self.front)?;
        if !self.back.is_empty() {
            host.write(address + self.front.len() as u64, self.back)?;
        }
        Ok(())
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is in host memory, its completions are written.
    Done,
    /// There is no page for it.
    NoPage,
    /// There is no room for its completions.
    NoCompletion,
}

/// A page that is being filled with cells.
#[derive(Clone, Copy)]
struct Hybrid {
    page: Page,
    offset: usize,
}

/// The storage areas of a processor.
///
/// # Invariants
///
/// `hybrid.offset` is a multiple of [`CELL_SIZE`] below [`PAGE_SIZE`]. A page in `hybrid` or `mtu`
/// is taken and has not been released.
pub struct Storage {
    /// Pages of the header ring.
    pub headers: Pages,
    /// Pages of the payload ring.
    pub payload: Pages,
    hybrid: Option<Hybrid>,
    /// An MTU page of which the second half is free.
    mtu: Option<Page>,
    split: bool,
    small_frame: usize,
}

/// Where a frame goes.
#[derive(Clone, Copy)]
enum Plan {
    Cells,
    Split(usize),
    Mtu,
    Chain,
}

impl Storage {
    /// Storage for page identifiers below `pages` of either ring.
    pub fn new(pages: u32) -> Self {
        Self {
            headers: Pages::new(pages),
            payload: Pages::new(pages),
            hybrid: None,
            mtu: None,
            split: true,
            small_frame: usize::from(SMALL_FRAME),
        }
    }

    /// Forgets every page; the settings stay.
    pub fn clear(&mut self) {
        self.headers.clear();
        self.payload.clear();
        self.hybrid = None;
        self.mtu = None;
    }

    /// Back to the settings of a function that was just reset.
    pub fn defaults(&mut self) {
        self.set(storage::SPLIT, SMALL_FRAME);
    }

    /// Sets [`storage`] bits and the small-frame threshold.
    pub fn set(&mut self, flags: u32, small_frame: u16) {
        self.split = flags & storage::SPLIT != 0;
        self.small_frame = usize::from(small_frame);
    }

    /// Whether a frame of `length` bytes is stored whole in cells.
    #[inline]
    pub fn is_small(&self, length: usize) -> bool {
        length <= self.small_frame
    }

    /// Cells that the largest small frame takes, in bytes.
    #[inline]
    fn largest(&self) -> usize {
        (self.small_frame.max(MAX_HEADER) + HEADER_PAD).next_multiple_of(CELL_SIZE)
    }

    /// Stores `frame`, whose header is `header` bytes long when it is TCP with payload (else 0), and
    /// completes `completion`, which has everything but locations.
    ///
    /// # Errors
    ///
    /// [`Broken`] when memory of the host is gone.
    #[inline]
    pub fn store<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        frame: &Stripped<'_>,
        header: usize,
        completion: &mut Frame,
    ) -> Result<Stored, Broken> {
        let length = frame.length();
        let plan = if self.is_small(length) {
            Plan::Cells
        } else if self.split && header != 0 && header <= MAX_HEADER {
            Plan::Split(header)
        } else if length + HEADER_PAD <= MTU_SLOT {
            Plan::Mtu
        } else {
            Plan::Chain
        };
        match plan {
            Plan::Cells => {
                let room = self.make_room(host, completions, length, 1)?;
                if room != Stored::Done {
                    return Ok(room);
                }
                self.put_cells(host, frame, completion)?;
                completions.write(host, &completion.to_bytes())?;
            }
            Plan::Split(header) => {
                let (header, payload) = frame.split(header);
                let pages = payload.length().div_ceil(PAGE_SIZE);
                if self.payload.available() < pages {
                    return Ok(Stored::NoPage);
                }
                let entries = pages.div_ceil(FRAME_PAGES) as u32;
                let room = self.make_room(host, completions, header.length(), entries)?;
                if room != Stored::Done {
                    return Ok(room);
                }
                self.put_cells(host, &header, completion)?;
                put_pages(
                    host,
                    &mut self.payload,
                    completions,
                    &payload,
                    0,
                    completion,
                )?;
            }
            Plan::Mtu => return self.put_mtu(host, completions, frame, completion),
            Plan::Chain => {
                let pages = (length + HEADER_PAD).div_ceil(PAGE_SIZE);
                if self.headers.available() < pages {
                    return Ok(Stored::NoPage);
                }
                if !completions.reserve(pages.div_ceil(FRAME_PAGES) as u32) {
                    return Ok(Stored::NoCompletion);
                }
                completion.header_page = NO_PAGE;
                completion.flags |= frame_flag::HEADER_RING;
                put_pages(
                    host,
                    &mut self.headers,
                    completions,
                    frame,
                    HEADER_PAD,
                    completion,
                )?;
            }
        }
        Ok(Stored::Done)
    }

    /// Makes sure that the hybrid page has cells for `length` bytes and that `entries` completions
    /// are reserved.
    #[inline]
    fn make_room<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        length: usize,
        entries: u32,
    ) -> Result<Stored, Broken> {
        let cells = (length + HEADER_PAD).next_multiple_of(CELL_SIZE);
        let current = self.hybrid;
        match current {
            Some(hybrid) if hybrid.offset + cells <= PAGE_SIZE => {
                if !completions.reserve(entries) {
                    return Ok(Stored::NoCompletion);
                }
                return Ok(Stored::Done);
            }
            _ => {}
        }
        if self.headers.available() == 0 {
            return Ok(Stored::NoPage);
        }
        // A page that is too full although it was not released: the threshold has grown.
        let old = u32::from(current.is_some());
        if !completions.reserve(entries + old) {
            return Ok(Stored::NoCompletion);
        }
        if let Some(hybrid) = current {
            self.headers.release(hybrid.page.id);
            completions.write(host, &released(false, hybrid.page.id).to_bytes())?;
        }
        self.hybrid = self.headers.take().map(|page| Hybrid { page, offset: 0 });
        Ok(Stored::Done)
    }

    /// Writes `bytes` into cells that [`Storage::make_room`] has found, and their location into
    /// `completion`. The page is released when the largest frame would not fit behind them.
    #[inline]
    fn put_cells<H: Host>(
        &mut self,
        host: &mut H,
        bytes: &Stripped<'_>,
        completion: &mut Frame,
    ) -> Result<(), Broken> {
        let largest = self.largest();
        let hybrid = self.hybrid.as_mut().ok_or(Broken)?;
        let at = hybrid.offset + HEADER_PAD;
        bytes.write(host, hybrid.page.address + at as u64)?;
        completion.header_page = hybrid.page.id;
        completion.header_offset = at as u16;
        completion.header_length = bytes.length() as u16;
        hybrid.offset += (bytes.length() + HEADER_PAD).next_multiple_of(CELL_SIZE);
        if hybrid.offset + largest > PAGE_SIZE {
            completion.release |= 1;
            self.headers.release(completion.header_page);
            self.hybrid = None;
        }
        Ok(())
    }

    #[inline]
    fn put_mtu<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        frame: &Stripped<'_>,
        completion: &mut Frame,
    ) -> Result<Stored, Broken> {
        if self.mtu.is_none() && self.headers.available() == 0 {
            return Ok(Stored::NoPage);
        }
        if !completions.reserve(1) {
            return Ok(Stored::NoCompletion);
        }
        let (page, offset) = match self.mtu.take() {
            Some(page) => (page, MTU_SLOT),
            None => {
                let page = self.headers.take().ok_or(Broken)?;
                self.mtu = Some(page);
                (page, 0)
            }
        };
        let at = offset + HEADER_PAD;
        frame.write(host, page.address + at as u64)?;
        completion.flags |= frame_flag::HEADER_RING;
        completion.header_page = NO_PAGE;
        completion.page_count = 1;
        completion.pages[0] = page.id;
        completion.data_offset = at as u16;
        completion.data_length = frame.length() as u32;
        if offset != 0 {
            completion.release |= 1 << 1;
            self.headers.release(page.id);
        }
        completions.write(host, &completion.to_bytes())?;
        Ok(Stored::Done)
    }
}

/// Says that page `id` comes back.
pub fn released(payload: bool, id: u32) -> PagesReleased {
    let mut pages = PagesReleased {
        op: Op::PagesReleased.raw(),
        payload: u8::from(payload),
        page_count: 1,
        ..PagesReleased::default()
    };
    pages.pages[0] = id;
    pages
}

/// Writes `bytes` into pages of `from`, from `offset` in the first on, releases them all, and writes
/// the completions, which have been reserved, as many as it takes.
fn put_pages<H: Host>(
    host: &mut H,
    from: &mut Pages,
    completions: &mut Completions,
    bytes: &Stripped<'_>,
    offset: usize,
    completion: &mut Frame,
) -> Result<(), Broken> {
    let mut rest = *bytes;
    let mut offset = offset;
    loop {
        completion.data_offset = offset as u16;
        completion.data_length = 0;
        completion.page_count = 0;
        while rest.length() != 0 && usize::from(completion.page_count) < FRAME_PAGES {
            let page = from.take().ok_or(Broken)?;
            let (now, later) = rest.split(PAGE_SIZE - offset);
            now.write(host, page.address + offset as u64)?;
            from.release(page.id);
            completion.pages[usize::from(completion.page_count)] = page.id;
            completion.page_count += 1;
            completion.release |= 1 << completion.page_count;
            completion.data_length += now.length() as u32;
            rest = later;
            offset = 0;
        }
        if rest.length() == 0 {
            completion.flags &= !frame_flag::MORE;
            return completions.write(host, &completion.to_bytes());
        }
        completion.flags |= frame_flag::MORE;
        completions.write(host, &completion.to_bytes())?;
        completion.header_page = NO_PAGE;
        completion.header_offset = 0;
        completion.header_length = 0;
        completion.release = 0;
    }
}
