// SPDX-License-Identifier: GPL-2.0

//! Receive storage: placement of received frames and payload in host memory.
//!
//! | Data | Placement |
//! |---|---|
//! | small frame; headers of a segment whose payload is split off | cells of the hybrid page ([`cells::Cells`]) |
//! | in-order payload of a flow, with `SPLIT` | GRO page of the flow ([`GroTable`]) |
//! | other payload, with `SPLIT_ALL` | payload pages of its own |
//! | payload of a delegated connection | areas of the application ([`Areas`]), else the connection's reassembly page ([`Reassembly`]) |
//! | other frame of up to half a page | half of an MTU page |
//! | larger frame | a chain of pages |
//!
//! Pages that hold only payload come from the payload page ring, all others from the header page
//! ring.

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
use toe_abi::completion::CompletionOp;
use toe_abi::completion::DELIVER_PAGES;
use toe_abi::completion::FRAME_PAGES;
use toe_abi::completion::NO_PAGE;
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

/// Size of a slot in an MTU page.
const MTU_SLOT: usize = PAGE_SIZE / 2;
/// Number of available payload pages below which they are scarce.
const SCARCE: usize = 32;
/// Maximum length of a frame: the largest IP datagram with Ethernet header and tags. A processor
/// drops longer ones.
pub const MAX_FRAME: usize = 65_535 + 40 + 22;
/// Maximum number of pages of a frame.
pub const MAX_PAGES: usize = (MAX_FRAME + HEADER_PAD).div_ceil(PAGE_SIZE);
/// Maximum number of completions for storing a frame. An ordinary frame needs its own, one for a
/// hybrid page that it does not fit in, and one for the page of an evicted flow. A segment of a
/// delegated connection needs its own and one for each bound area.
pub const MAX_ENTRIES: u32 = {
    let ordinary = MAX_PAGES.div_ceil(FRAME_PAGES) + 2;
    let delegated = 1 + MAX_PAGES.div_ceil(DELIVER_PAGES) + AREAS;
    (if ordinary > delegated {
        ordinary
    } else {
        delegated
    }) as u32
};

/// A received frame to be stored, without its stripped 802.1Q tag.
#[derive(Clone, Copy)]
pub struct Stripped<'a> {
    /// Bytes before the stripped tag, or the whole frame.
    front: &'a [u8],
    /// Bytes after the stripped tag.
    back: &'a [u8],
}

impl<'a> Stripped<'a> {
    /// `frame` without the `tag` bytes that follow its MAC addresses.
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

    /// Splits into headers and payload. Headers that are not contiguous are copied to `buffer`.
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
            // The tag is within the headers.
            payload: match payload.front {
                [] => payload.back,
                front => front,
            },
        }
    }

    /// Splits at byte `at`.
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

/// Outcome of storing a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The frame is in host memory and its completions are written or reserved.
    Done,
    /// Not stored: no page is available.
    NoPage,
    /// Not stored: no room in the completion ring.
    NoCompletion,
}

/// Receive storage of a processor.
///
/// # Invariants
///
/// The page in `mtu` is taken and not released.
pub struct Storage {
    /// Pages posted by the host.
    pub supply: Supply,
    /// MTU page whose second half is free.
    mtu: Option<Page>,
    gro_table: GroTable,
    split: bool,
    split_all: bool,
    gro: bool,
}

impl Storage {
    /// Creates storage for page identifiers below `pages` in either ring.
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

    /// Drops all pages. Settings are kept.
    pub fn clear(&mut self) {
        self.supply.clear();
        self.mtu = None;
        self.gro_table.clear();
    }

    /// Restores the settings that apply after a reset.
    pub fn defaults(&mut self) {
        self.set(storage::SPLIT, SMALL_FRAME);
    }

    /// Applies [`storage`] bits and the small-frame threshold in bytes.
    pub fn set(&mut self, flags: u32, small_frame: u16) {
        self.split = flags & storage::SPLIT != 0;
        self.split_all = flags & storage::SPLIT_ALL != 0;
        self.gro = flags & storage::GRO != 0;
        self.supply.cells.set(small_frame);
    }

    /// Whether hardware GRO is enabled.
    #[inline]
    pub fn gro(&self) -> bool {
        self.gro
    }

    /// Whether a frame of `length` bytes is stored whole in cells.
    #[inline]
    pub fn is_small(&self, length: usize) -> bool {
        self.supply.cells.is_small(length)
    }

    /// Number of header pages that can be taken for a frame.
    #[inline]
    pub fn header_pages(&self) -> usize {
        self.supply.cells.spare(&self.supply.headers)
    }

    /// Whether payload pages are scarce.
    #[inline]
    pub fn is_scarce(&self) -> bool {
        self.supply.payload.available() < SCARCE
    }

    /// Stores `frame` and writes `completion`, to which the caller has set everything except the
    /// placement. `flow` is the flow of the frame; `segment` describes how it continues the flow,
    /// if that is known and the frame has payload.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped.
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

    /// Ends the batch: writes the completions that GRO has delayed.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped.
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

    /// Returns partly filled pages while payload pages are scarce: that of one flow, and that of
    /// `connection`, if unused since the last call. Must be called after [`Storage::flush`], and
    /// another flush must follow.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped.
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

    /// Stores a small frame whole in cells.
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
            // The current page is too full but not released, because the threshold was raised.
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

    /// Stores payload that is out of order in pages of its own, apart from its headers.
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

    /// Stores a frame of up to half a page.
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

    /// Stores a larger frame in a chain of pages.
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

/// Writes `data` to newly taken pages of `from`, starting at `offset` in the first, and writes the
/// completions that list them. The caller has checked that pages are available and has reserved the
/// completions.
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

/// Completion that returns page `id` of the header ring.
fn released(id: u32) -> PagesReleased {
    let mut pages = PagesReleased {
        op: CompletionOp::PagesReleased.raw(),
        page_count: 1,
        ..PagesReleased::default()
    };
    pages.pages[0] = id;
    pages
}
