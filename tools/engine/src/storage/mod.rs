// SPDX-License-Identifier: GPL-2.0

//! Receive storage (R1.4 to R1.6): where received frames and payload go in the host's memory.
//!
//! | what | where |
//! |---|---|
//! | a small frame; the headers of a segment whose payload is stored apart | cells of the hybrid page ([`Cells`]) |
//! | payload that continues its flow, with `SPLIT` | the re-assembly page of the flow ([`Runs`]) |
//! | payload of a delegated connection | areas of its application ([`Areas`]), else its re-assembly page ([`Reassembly`]) |
//! | another frame of up to half a page | half an MTU page |
//! | a larger one | a chain of pages |
//!
//! Re-assembly pages come from the payload page ring, all others from the header page ring.

mod areas;
mod cells;
mod pages;
mod position;
mod reassembly;
mod releases;
mod runs;

use toe_abi::HEADER_PAD;
use toe_abi::Layout;
use toe_abi::PAGE_SIZE;
use toe_abi::SMALL_FRAME;
use toe_abi::admin::storage;
use toe_abi::completion::DELIVER_PAGES;
use toe_abi::completion::FRAME_PAGES;
use toe_abi::completion::Frame;
use toe_abi::completion::NO_PAGE;
use toe_abi::completion::Op;
use toe_abi::completion::PagesReleased;
use toe_abi::completion::frame_flag;
use toe_abi::submission::AREAS;

pub use self::areas::Area;
use self::areas::Areas;
use self::cells::Cells;
use self::cells::MAX_HEADER;
use self::cells::Place;
pub use self::pages::Page;
pub use self::pages::Pages;
use self::position::Position;
pub use self::reassembly::Reassembly;
use self::releases::Releases;
use self::runs::Parts;
use self::runs::Runs;
pub use self::runs::Segment;
use self::runs::Supply;
use crate::env::Host;
use crate::ring::Broken;
use crate::ring::Completions;

/// Half an MTU page.
const MTU_SLOT: usize = PAGE_SIZE / 2;
/// Payload pages are scarce when fewer are at hand.
const SCARCE: usize = 32;
/// Longest frame that is stored: the largest IP datagram with Ethernet header and tags.
pub const MAX_FRAME: usize = 65_535 + 40 + 22;
/// Most pages of one frame.
pub const MAX_PAGES: usize = (MAX_FRAME + HEADER_PAD).div_ceil(PAGE_SIZE);
/// Most completions that storing one frame takes. Of ordinary traffic: its own, one for a hybrid page
/// that it did not fit into, and one for the page of a flow that gives way to its own. Of a delegated
/// connection: its own, and one for each area that is bound.
pub const MAX_ENTRIES: u32 = {
    let ordinary = MAX_PAGES.div_ceil(FRAME_PAGES) + 2;
    let delegated = 1 + MAX_PAGES.div_ceil(DELIVER_PAGES) + AREAS;
    (if ordinary > delegated {
        ordinary
    } else {
        delegated
    }) as u32
};

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

    /// Headers, put together in `buffer` when they are not in one piece, and payload.
    #[inline]
    fn parts<'b>(&self, segment: &'b Segment, buffer: &'b mut [u8; MAX_HEADER]) -> Parts<'b>
    where
        'a: 'b,
    {
        let (header, payload) = self.split(segment.header);
        let header = if header.back.is_empty() {
            header.front
        } else {
            let (front, back) = buffer[..segment.header].split_at_mut(header.front.len());
            front.copy_from_slice(header.front);
            back.copy_from_slice(header.back);
            &buffer[..segment.header]
        };
        Parts {
            segment,
            header,
            // A tag stands among the headers.
            payload: match payload.front {
                [] => payload.back,
                front => front,
            },
        }
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

/// The storage areas of a processor.
///
/// # Invariants
///
/// The page in `mtu` is taken and has not been released.
pub struct Storage {
    /// Pages of the header ring.
    pub headers: Pages,
    /// Pages of the payload ring.
    pub payload: Pages,
    cells: Cells,
    /// An MTU page of which the second half is free.
    mtu: Option<Page>,
    runs: Runs,
    split: bool,
    gro: bool,
}

impl Storage {
    /// Storage for page identifiers below `pages` of either ring.
    pub fn new(pages: u32) -> Self {
        Self {
            headers: Pages::new(pages),
            payload: Pages::new(pages),
            cells: Cells::new(),
            mtu: None,
            runs: Runs::new(),
            split: true,
            gro: false,
        }
    }

    /// Forgets every page; the settings stay.
    pub fn clear(&mut self) {
        self.headers.clear();
        self.payload.clear();
        self.cells.clear();
        self.mtu = None;
        self.runs.clear();
    }

    /// Back to the settings of a function that was just reset.
    pub fn defaults(&mut self) {
        self.set(storage::SPLIT, SMALL_FRAME);
    }

    /// Sets [`storage`] bits and the small-frame threshold.
    pub fn set(&mut self, flags: u32, small_frame: u16) {
        self.split = flags & storage::SPLIT != 0;
        self.gro = flags & storage::GRO != 0;
        self.cells.set(small_frame);
    }

    /// Whether several wire frames may be stored as one.
    #[inline]
    pub fn gro(&self) -> bool {
        self.gro
    }

    /// Whether a frame of `length` bytes is stored whole in cells.
    #[inline]
    pub fn is_small(&self, length: usize) -> bool {
        self.cells.is_small(length)
    }

    /// Pages that may be taken from the header ring for a frame.
    #[inline]
    pub fn header_pages(&self) -> usize {
        self.cells.spare(&self.headers)
    }

    /// Whether payload pages are scarce.
    #[inline]
    pub fn is_scarce(&self) -> bool {
        self.payload.available() < SCARCE
    }

    /// Stores `frame` and completes `completion`, which has everything but locations. `segment` says
    /// how it continues its flow, when its payload does; `flow` is its flow, when it is known.
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
        flow: Option<u32>,
        segment: Option<&Segment>,
        completion: &mut Frame,
    ) -> Result<Stored, Broken> {
        let length = frame.length();
        let small = self.is_small(length);
        if let Some(flow) = flow {
            let mut buffer = [0; MAX_HEADER];
            let parts = segment
                .filter(|segment| self.split && segment.header <= MAX_HEADER)
                .map(|segment| frame.parts(segment, &mut buffer));
            let supply = &mut Supply {
                cells: &mut self.cells,
                headers: &mut self.headers,
                payload: &mut self.payload,
                completions,
            };
            if let Some(parts) = &parts {
                if self.gro && self.runs.extend(host, supply, parts, completion)? {
                    return Ok(Stored::Done);
                }
            }
            self.runs.flush_flow(host, supply, flow)?;
            if let (Some(parts), false) = (&parts, small) {
                return self.runs.begin(host, supply, parts, completion, self.gro);
            }
        }
        if small {
            self.put_small(host, completions, frame, completion)
        } else if length + HEADER_PAD <= MTU_SLOT {
            self.put_mtu(host, completions, frame, completion)
        } else {
            self.put_chain(host, completions, frame, completion)
        }
    }

    /// Ends the batch: writes the completions of what has been gathered.
    ///
    /// # Errors
    ///
    /// [`Broken`] when memory of the host is gone.
    #[inline]
    pub fn flush<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
    ) -> Result<(), Broken> {
        let scarce = self.is_scarce();
        let supply = &mut Supply {
            cells: &mut self.cells,
            headers: &mut self.headers,
            payload: &mut self.payload,
            completions,
        };
        self.runs.flush(host, supply, scarce)
    }

    /// Gives the page of an idle flow up, when the next that is looked at is idle.
    pub fn reclaim(&mut self) -> Option<u32> {
        self.runs.reclaim(&mut self.payload)
    }

    /// A small frame, whole.
    #[inline]
    fn put_small<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        frame: &Stripped<'_>,
        completion: &mut Frame,
    ) -> Result<Stored, Broken> {
        match self.cells.place(&self.headers, frame.length()) {
            Place::None => return Ok(Stored::NoPage),
            Place::Current if completions.reserve(1) => {}
            // A page that is too full although it was not released: the threshold has grown.
            Place::New if completions.reserve(1 + u32::from(self.cells.is_open())) => {
                if let Some(id) = self.cells.close(&mut self.headers) {
                    completions.write(host, &released(false, id).to_bytes())?;
                }
            }
            Place::Current | Place::New => return Ok(Stored::NoCompletion),
        }
        self.cells.put(host, &mut self.headers, frame, completion)?;
        completions.write(host, &completion.to_bytes())?;
        Ok(Stored::Done)
    }

    /// A frame of up to half a page.
    #[inline]
    fn put_mtu<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        frame: &Stripped<'_>,
        completion: &mut Frame,
    ) -> Result<Stored, Broken> {
        if self.mtu.is_none() && self.header_pages() == 0 {
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

    /// A larger frame: in pages of its own.
    fn put_chain<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        frame: &Stripped<'_>,
        completion: &mut Frame,
    ) -> Result<Stored, Broken> {
        let pages = (frame.length() + HEADER_PAD).div_ceil(PAGE_SIZE);
        if self.header_pages() < pages {
            return Ok(Stored::NoPage);
        }
        if !completions.reserve(pages.div_ceil(FRAME_PAGES) as u32) {
            return Ok(Stored::NoCompletion);
        }
        completion.header_page = NO_PAGE;
        completion.flags |= frame_flag::HEADER_RING;
        let mut rest = *frame;
        let mut offset = HEADER_PAD;
        while rest.length() != 0 {
            completion.data_offset = offset as u16;
            completion.data_length = 0;
            completion.page_count = 0;
            completion.release = 0;
            while rest.length() != 0 && usize::from(completion.page_count) < FRAME_PAGES {
                let page = self.headers.take().ok_or(Broken)?;
                let (now, later) = rest.split(PAGE_SIZE - offset);
                now.write(host, page.address + offset as u64)?;
                self.headers.release(page.id);
                completion.pages[usize::from(completion.page_count)] = page.id;
                completion.page_count += 1;
                completion.release |= 1 << completion.page_count;
                completion.data_length += now.length() as u32;
                rest = later;
                offset = 0;
            }
            completion.flags &= !frame_flag::MORE;
            if rest.length() != 0 {
                completion.flags |= frame_flag::MORE;
            }
            completions.write(host, &completion.to_bytes())?;
        }
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
