// SPDX-License-Identifier: GPL-2.0

//! Receive storage (R1.4 to R1.6): where received frames and payload go in the host's memory.
//!
//! | what | where |
//! |---|---|
//! | a small frame; the headers of a segment whose payload is stored apart | cells of the hybrid page ([`Cells`]) |
//! | payload that continues its flow, with `SPLIT` | the re-assembly page of the flow ([`GroTable`]) |
//! | payload that does not, with `SPLIT_ALL` | payload pages of its own |
//! | payload of a delegated connection | areas of its application ([`Areas`]), else its re-assembly page ([`Reassembly`]) |
//! | another frame of up to half a page | half an MTU page |
//! | a larger one | a chain of pages |
//!
//! Pages with payload alone come from the payload page ring, all others from the header page ring.

mod areas;
mod cells;
mod gro_table;
mod pages;
mod position;
mod reassembly;
mod releases;
mod supply;

use toe_abi::HEADER_PAD;
use toe_abi::Layout;
use toe_abi::PAGE_SIZE;
use toe_abi::SMALL_FRAME;
use toe_abi::admin::storage;
use toe_abi::completion::DELIVER_PAGES;
use toe_abi::completion::FRAME_PAGES;
use toe_abi::completion::NO_PAGE;
use toe_abi::completion::Op;
use toe_abi::completion::PagesReleased;
use toe_abi::completion::RxFrame;
use toe_abi::completion::frame_flag;
use toe_abi::submission::AREAS;

pub use self::areas::Area;
use self::areas::Areas;
use self::cells::MAX_HEADER;
use self::cells::Placement;
pub use self::gro_table::GroSegment;
use self::gro_table::GroTable;
use self::gro_table::SplitFrame;
pub use self::pages::Page;
pub use self::pages::Pages;
use self::position::Position;
pub use self::reassembly::Reassembly;
use self::supply::InPages;
use self::supply::Supply;
use crate::env::Host;
use crate::ring::Completions;
use crate::ring::HostError;

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
    fn split_headers<'b>(
        &self,
        segment: &'b GroSegment,
        buffer: &'b mut [u8; MAX_HEADER],
    ) -> SplitFrame<'b>
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
        SplitFrame {
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
    fn write<H: Host>(&self, host: &mut H, address: u64) -> Result<(), HostError> {
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
    /// What the host has posted.
    pub supply: Supply,
    /// An MTU page of which the second half is free.
    mtu: Option<Page>,
    gro_table: GroTable,
    split: bool,
    split_all: bool,
    gro: bool,
}

impl Storage {
    /// Storage for page identifiers below `pages` of either ring.
    pub fn new(pages: u32) -> Self {
        Self {
            supply: Supply::new(pages),
            mtu: None,
            gro_table: GroTable::new(),
            split: true,
            split_all: false,
            gro: false,
        }
    }

    /// Forgets every page; the settings stay.
    pub fn clear(&mut self) {
        self.supply.clear();
        self.mtu = None;
        self.gro_table.clear();
    }

    /// Back to the settings of a function that was just reset.
    pub fn defaults(&mut self) {
        self.set(storage::SPLIT, SMALL_FRAME);
    }

    /// Sets [`storage`] bits and the small-frame threshold.
    pub fn set(&mut self, flags: u32, small_frame: u16) {
        self.split = flags & storage::SPLIT != 0;
        self.split_all = flags & storage::SPLIT_ALL != 0;
        self.gro = flags & storage::GRO != 0;
        self.supply.cells.set(small_frame);
    }

    /// Whether several wire frames may be stored as one.
    #[inline]
    pub fn gro(&self) -> bool {
        self.gro
    }

    /// Whether a frame of `length` bytes is stored whole in cells.
    #[inline]
    pub fn is_small(&self, length: usize) -> bool {
        self.supply.cells.is_small(length)
    }

    /// Pages that may be taken from the header ring for a frame.
    #[inline]
    pub fn header_pages(&self) -> usize {
        self.supply.cells.spare(&self.supply.headers)
    }

    /// Whether payload pages are scarce.
    #[inline]
    pub fn is_scarce(&self) -> bool {
        self.supply.payload.available() < SCARCE
    }

    /// Stores `frame` and completes `completion`, which has everything but locations. `segment` says
    /// how it continues its flow, when it is known and the frame has payload; `flow` is its flow.
    ///
    /// # Errors
    ///
    /// [`HostError`] when memory of the host is gone.
    #[inline]
    pub fn store<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        frame: &Stripped<'_>,
        flow: Option<u32>,
        segment: Option<&GroSegment>,
        completion: &mut RxFrame,
    ) -> Result<Stored, HostError> {
        let length = frame.length();
        let small = self.is_small(length);
        if let Some(flow) = flow {
            let mut buffer = [0; MAX_HEADER];
            let split = segment
                .filter(|segment| self.split && segment.header <= MAX_HEADER)
                .map(|segment| frame.split_headers(segment, &mut buffer));
            let (table, supply) = (&mut self.gro_table, &mut self.supply);
            let next = split.as_ref().filter(|split| split.segment.continues);
            if let Some(split) = next {
                if self.gro && table.extend(host, supply, completions, split, completion)? {
                    return Ok(Stored::Done);
                }
            }
            table.flush_flow(host, supply, completions, flow)?;
            match &split {
                _ if small => {}
                Some(split) if split.segment.continues => {
                    return table.begin(host, supply, completions, split, completion, self.gro);
                }
                Some(split) if self.split_all => {
                    return self.put_apart(host, completions, split, completion);
                }
                _ => {}
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
    /// [`HostError`] when memory of the host is gone.
    #[inline]
    pub fn flush<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
    ) -> Result<(), HostError> {
        let scarce = self.is_scarce();
        let supply = &mut self.supply;
        self.gro_table.flush(host, supply, completions, scarce)?;
        supply.releases.flush(host, completions)
    }

    /// Takes the page of one flow back, and that of `connection`, where nothing was placed in it since
    /// it was looked at last: pages are scarce. Everything gathered must have been flushed, and so
    /// must [`Storage::flush`] follow.
    ///
    /// # Errors
    ///
    /// [`HostError`] when memory of the host is gone.
    pub fn reclaim<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        connection: Option<&mut Reassembly>,
    ) -> Result<(), HostError> {
        let Supply {
            payload, releases, ..
        } = &mut self.supply;
        if releases.has_room(completions) {
            if let Some(id) = self.gro_table.reclaim(payload) {
                releases.add(host, completions, id)?;
            }
        }
        if releases.has_room(completions) {
            if let Some(id) = connection.and_then(|connection| connection.reclaim(payload)) {
                releases.add(host, completions, id)?;
            }
        }
        Ok(())
    }

    /// A small frame, whole.
    #[inline]
    fn put_small<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        frame: &Stripped<'_>,
        completion: &mut RxFrame,
    ) -> Result<Stored, HostError> {
        let Supply { headers, cells, .. } = &mut self.supply;
        match cells.place(headers, frame.length()) {
            Placement::None => return Ok(Stored::NoPage),
            Placement::Current if completions.reserve(1) => {}
            // A page that is too full although it was not released: the threshold has grown.
            Placement::New if completions.reserve(1 + u32::from(cells.is_open())) => {
                if let Some(id) = cells.close(headers) {
                    completions.write(host, &released(id).to_bytes())?;
                }
            }
            Placement::Current | Placement::New => return Ok(Stored::NoCompletion),
        }
        cells.put(host, headers, frame, completion)?;
        completions.write(host, &completion.to_bytes())?;
        Ok(Stored::Done)
    }

    /// Payload that is no flow's next, apart from its headers.
    fn put_apart<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        split: &SplitFrame<'_>,
        completion: &mut RxFrame,
    ) -> Result<Stored, HostError> {
        let Supply {
            headers,
            payload,
            cells,
            ..
        } = &mut self.supply;
        let count = split.payload.len().div_ceil(PAGE_SIZE);
        if payload.available() < count || !cells.promise(headers) {
            return Ok(Stored::NoPage);
        }
        cells.redeem();
        if !completions.reserve(InPages::entries(count)) {
            return Ok(Stored::NoCompletion);
        }
        cells.put(host, headers, &Stripped::new(split.header, 0), completion)?;
        let data = Stripped::new(split.payload, 0);
        write_in_fresh(host, completions, payload, &data, 0, completion)?;
        Ok(Stored::Done)
    }

    /// A frame of up to half a page.
    #[inline]
    fn put_mtu<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        frame: &Stripped<'_>,
        completion: &mut RxFrame,
    ) -> Result<Stored, HostError> {
        if self.mtu.is_none() && self.header_pages() == 0 {
            return Ok(Stored::NoPage);
        }
        if !completions.reserve(1) {
            return Ok(Stored::NoCompletion);
        }
        let headers = &mut self.supply.headers;
        let (page, offset) = match self.mtu.take() {
            Some(page) => {
                headers.release(page.id);
                (page, MTU_SLOT)
            }
            None => {
                let page = headers.take().ok_or(HostError)?;
                self.mtu = Some(page);
                (page, 0)
            }
        };
        let offset_of_data = offset + HEADER_PAD;
        frame.write(host, page.address + offset_of_data as u64)?;
        completion.header_page = NO_PAGE;
        completion.flags |= frame_flag::HEADER_RING;
        let data = InPages {
            pages: &[page.id],
            release: u32::from(offset != 0),
            offset: offset_of_data,
            length: frame.length(),
        };
        data.write(host, completions, completion)?;
        Ok(Stored::Done)
    }

    /// A larger frame: in pages of its own.
    fn put_chain<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        frame: &Stripped<'_>,
        completion: &mut RxFrame,
    ) -> Result<Stored, HostError> {
        let count = (frame.length() + HEADER_PAD).div_ceil(PAGE_SIZE);
        if self.header_pages() < count {
            return Ok(Stored::NoPage);
        }
        if !completions.reserve(InPages::entries(count)) {
            return Ok(Stored::NoCompletion);
        }
        completion.header_page = NO_PAGE;
        completion.flags |= frame_flag::HEADER_RING;
        let headers = &mut self.supply.headers;
        write_in_fresh(host, completions, headers, frame, HEADER_PAD, completion)?;
        Ok(Stored::Done)
    }
}

/// Writes `data` into pages of `from` that it has for itself, from `offset` of the first on, and the
/// completions that list them. There are pages and completions for it, as the caller has checked.
fn write_in_fresh<H: Host>(
    host: &mut H,
    completions: &mut Completions,
    from: &mut Pages,
    data: &Stripped<'_>,
    offset: usize,
    completion: &mut RxFrame,
) -> Result<(), HostError> {
    let length = data.length();
    let count = (offset + length).div_ceil(PAGE_SIZE);
    let mut pages = [0; MAX_PAGES];
    let pages = pages.get_mut(..count).ok_or(HostError)?;
    let (mut rest, mut at) = (*data, offset);
    for id in pages.iter_mut() {
        let page = from.take().ok_or(HostError)?;
        let (now, later) = rest.split(PAGE_SIZE - at);
        now.write(host, page.address + at as u64)?;
        from.release(page.id);
        *id = page.id;
        (rest, at) = (later, 0);
    }
    let data = InPages {
        pages,
        release: u32::MAX,
        offset,
        length,
    };
    data.write(host, completions, completion)
}

/// Says that page `id` of the header ring comes back.
fn released(id: u32) -> PagesReleased {
    let mut pages = PagesReleased {
        op: Op::PagesReleased.raw(),
        page_count: 1,
        ..PagesReleased::default()
    };
    pages.pages[0] = id;
    pages
}
