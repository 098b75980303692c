// SPDX-License-Identifier: GPL-2.0

//! Hardware GRO of flows that are not delegated: write position of each flow, and the pending
//! completion for its payload.

use alloc::boxed::Box;
use alloc::vec::Vec;

use toe_abi::PAGE_SIZE;
use toe_abi::completion::NO_FLOW;
use toe_abi::completion::RxFrame;
use toe_abi::completion::frame_flag;

use super::InPages;
use super::Pages;
use super::Position;
use super::Stored;
use super::Stripped;
use super::Supply;
use super::cells::MAX_HEADER;
use crate::env::Host;
use crate::gro::GroHeaders;
use crate::ring::Completions;
use crate::ring::HostError;
use crate::tcp::Seq;

/// Size of the table. Flows that map to the same entry evict each other.
pub const SESSIONS: usize = 64;
/// Pages spanned by the payload of the largest datagram. Does not exceed `MAX_SKB_FRAGS`.
const SESSION_PAGES: usize = (u16::MAX as usize).div_ceil(PAGE_SIZE) + 1;

/// A segment whose payload can be split from its headers.
#[derive(Clone, Copy)]
pub struct GroSegment {
    /// Identifier of the flow.
    pub flow: u32,
    /// Sequence number of the first payload byte.
    pub seq: Seq,
    /// Length of the headers in bytes.
    pub header: usize,
    /// The payload is the next of the flow, or its first.
    pub continues: bool,
    /// The segment starts a flow, possibly a different one than the identifier stood for before.
    pub begins: bool,
    /// PSH flag.
    pub push: bool,
    /// Header layout for merging. `None` if the segment cannot be merged.
    pub joins: Option<GroHeaders>,
    /// Payload bytes of each wire frame except the last.
    pub size: u16,
}

/// A segment split into headers and payload.
#[derive(Clone, Copy)]
pub struct SplitFrame<'a> {
    /// Metadata of the segment.
    pub segment: &'a GroSegment,
    /// Headers.
    pub header: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
}

/// GRO state of one flow.
///
/// # Invariants
///
/// `length` is the number of pending payload bytes, 0 if nothing is pending. While it is not 0, a
/// cell is promised for `header[..header_length]`, `entries` completions are reserved,
/// `pages[..count]` are taken and all but the last full, those with a bit in `release` are released
/// in the page array, and `GroTable::open[place]` is this session.
struct GroSession {
    flow: u32,
    position: Position,
    /// Payload was placed since the last [`GroTable::reclaim`].
    used: bool,
    place: usize,
    /// The pending completion.
    completion: RxFrame,
    header: [u8; MAX_HEADER],
    header_length: usize,
    joins: Option<GroHeaders>,
    size: u16,
    next: Seq,
    push: bool,
    pages: [u32; SESSION_PAGES],
    count: usize,
    release: u32,
    offset: usize,
    length: usize,
    entries: u32,
}

impl GroSession {
    fn new() -> Self {
        Self {
            flow: NO_FLOW,
            position: Position::default(),
            used: false,
            place: 0,
            completion: RxFrame::default(),
            header: [0; MAX_HEADER],
            header_length: 0,
            joins: None,
            size: 0,
            next: Seq(0),
            push: false,
            pages: [0; SESSION_PAGES],
            count: 0,
            release: 0,
            offset: 0,
            length: 0,
            entries: 0,
        }
    }

    /// Whether `split` continues the pending payload and can be merged with it.
    #[inline]
    fn joins(&self, split: &SplitFrame<'_>, completion: &RxFrame) -> bool {
        const ALIKE: u8 = frame_flag::VLAN | frame_flag::L3_CSUM_OK | frame_flag::L4_CSUM_OK;
        let segment = split.segment;
        let Some(layout) = &self.joins else {
            return false;
        };
        // All wire frames have the same size; only the last may be shorter.
        let whole = self.length % usize::from(self.size.max(1)) == 0;
        let fits =
            segment.size == self.size || completion.segments == 1 && segment.size < self.size;
        self.length != 0
            && segment.joins == self.joins
            && segment.seq == self.next
            && whole
            && fits
            && !self.push
            && self.length + split.payload.len() <= layout.most_payload()
            && (self.completion.flags ^ completion.flags) & ALIKE == 0
            && self.completion.vlan_tci == completion.vlan_tci
            && layout.continues(
                &self.header[..self.header_length],
                split.header,
                self.completion.segments,
            )
    }

    /// Places all of `payload` after the pending payload, or nothing.
    #[inline]
    fn place<H: Host>(
        &mut self,
        host: &mut H,
        pages: &mut Pages,
        completions: &mut Completions,
        payload: &[u8],
    ) -> Result<Stored, HostError> {
        let new = self.position.more_pages(payload.len());
        if pages.available() < new {
            return Ok(Stored::NoPage);
        }
        let first = self.length == 0 && self.position.is_open();
        let entries = InPages::entries(self.count + usize::from(first) + new);
        if !completions.reserve(entries - self.entries) {
            return Ok(Stored::NoCompletion);
        }
        self.entries = entries;
        self.used = true;
        let mut rest = payload;
        while !rest.is_empty() {
            let list = self.length == 0 || !self.position.is_open();
            let put = self.position.put(host, pages, rest)?;
            if self.length == 0 {
                self.offset = put.offset;
            }
            if list {
                self.pages[self.count] = put.id;
                self.count += 1;
            }
            if put.full {
                self.release |= 1 << (self.count - 1);
            }
            self.length += put.length;
            rest = &rest[put.length..];
        }
        Ok(Stored::Done)
    }

    /// Merges a segment that passed [`GroSession::joins`] and whose payload has been placed.
    #[inline]
    fn extend(&mut self, split: &SplitFrame<'_>, completion: &RxFrame) {
        self.completion.gso_size = self.size;
        self.completion.segments += completion.segments;
        self.next = split.segment.seq + split.payload.len() as u32;
        self.push = split.segment.push;
    }

    /// Writes the pending completions, which exist and are reserved.
    fn write<H: Host>(
        &mut self,
        host: &mut H,
        supply: &mut Supply,
        completions: &mut Completions,
    ) -> Result<(), HostError> {
        let completion = &mut self.completion;
        let header = &mut self.header[..self.header_length];
        if let (Some(layout), true) = (&self.joins, completion.segments > 1) {
            layout.finish(header, self.length, self.push);
        }
        let Supply { headers, cells, .. } = supply;
        cells.redeem();
        cells.put(host, headers, &Stripped::new(header, 0), completion)?;
        let data = InPages {
            pages: &self.pages[..self.count],
            release: self.release,
            offset: self.offset,
            length: self.length,
        };
        data.write(host, completions, completion)?;
        (self.count, self.release, self.length, self.entries) = (0, 0, 0, 0);
        Ok(())
    }
}

/// GRO sessions, by flow identifier modulo [`SESSIONS`].
pub struct GroTable {
    sessions: Box<[GroSession]>,
    /// Indices of the sessions with pending payload.
    open: Vec<u8>,
    /// Scan position of [`GroTable::reclaim`].
    hand: usize,
}

impl GroTable {
    /// Creates a table without flows.
    pub fn new() -> Self {
        let mut sessions = Vec::with_capacity(SESSIONS);
        sessions.resize_with(SESSIONS, GroSession::new);
        Self {
            sessions: sessions.into_boxed_slice(),
            open: Vec::with_capacity(SESSIONS),
            hand: 0,
        }
    }

    /// Drops all flows.
    pub fn clear(&mut self) {
        self.sessions.fill_with(GroSession::new);
        self.open.clear();
    }

    /// Index of the session of `flow`.
    #[inline]
    fn place(flow: u32) -> usize {
        flow as usize % SESSIONS
    }

    /// Merges `split` with the pending payload of its flow. Returns `false` if it does not continue
    /// that or there is no room.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped.
    #[inline]
    pub fn extend<H: Host>(
        &mut self,
        host: &mut H,
        supply: &mut Supply,
        completions: &mut Completions,
        split: &SplitFrame<'_>,
        completion: &RxFrame,
    ) -> Result<bool, HostError> {
        let session = &mut self.sessions[Self::place(split.segment.flow)];
        if session.flow != split.segment.flow || !session.joins(split, completion) {
            return Ok(false);
        }
        let stored = session.place(host, &mut supply.payload, completions, split.payload)?;
        if stored == Stored::Done {
            session.extend(split, completion);
        }
        Ok(stored == Stored::Done)
    }

    /// Stores `split`. With `gather`, its completion stays pending for later segments. The flow
    /// must have nothing pending.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped.
    #[inline]
    pub fn begin<H: Host>(
        &mut self,
        host: &mut H,
        supply: &mut Supply,
        completions: &mut Completions,
        split: &SplitFrame<'_>,
        completion: &RxFrame,
        gather: bool,
    ) -> Result<Stored, HostError> {
        let segment = split.segment;
        let number = Self::place(segment.flow);
        if self.sessions[number].flow != segment.flow || segment.begins {
            if !self.vacate(host, supply, completions, number)? {
                return Ok(Stored::NoCompletion);
            }
            self.sessions[number].flow = segment.flow;
        }
        if !supply.cells.promise(&supply.headers) {
            return Ok(Stored::NoPage);
        }
        let session = &mut self.sessions[number];
        let stored = session.place(host, &mut supply.payload, completions, split.payload)?;
        if stored != Stored::Done {
            supply.cells.redeem();
            return Ok(stored);
        }
        session.completion = *completion;
        session.header_length = split.header.len();
        session.header[..split.header.len()].copy_from_slice(split.header);
        session.joins = segment.joins;
        session.size = segment.size;
        session.next = segment.seq + split.payload.len() as u32;
        session.push = segment.push;
        if gather && session.joins.is_some() {
            session.place = self.open.len();
            self.open.push(number as u8);
            return Ok(Stored::Done);
        }
        session.write(host, supply, completions)?;
        Ok(Stored::Done)
    }

    /// Evicts the flow of session `number`. Returns `false` if there is no room to return its page.
    fn vacate<H: Host>(
        &mut self,
        host: &mut H,
        supply: &mut Supply,
        completions: &mut Completions,
        number: usize,
    ) -> Result<bool, HostError> {
        self.write(host, supply, completions, number)?;
        if !self.sessions[number].position.is_open() {
            return Ok(true);
        }
        if !supply.releases.has_room(completions) {
            return Ok(false);
        }
        if let Some(id) = self.sessions[number].position.close(&mut supply.payload) {
            supply.releases.add(host, completions, id)?;
        }
        Ok(true)
    }

    /// Writes the pending completions of session `number`, if any.
    #[inline]
    fn write<H: Host>(
        &mut self,
        host: &mut H,
        supply: &mut Supply,
        completions: &mut Completions,
        number: usize,
    ) -> Result<(), HostError> {
        let session = &mut self.sessions[number];
        if session.length == 0 {
            return Ok(());
        }
        let place = session.place;
        session.write(host, supply, completions)?;
        self.open.swap_remove(place);
        if let Some(&moved) = self.open.get(place) {
            self.sessions[usize::from(moved)].place = place;
        }
        Ok(())
    }

    /// Writes the pending completions of `flow`, if any. Called before another frame of the flow is
    /// stored.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped.
    #[inline]
    pub fn flush_flow<H: Host>(
        &mut self,
        host: &mut H,
        supply: &mut Supply,
        completions: &mut Completions,
        flow: u32,
    ) -> Result<(), HostError> {
        let number = Self::place(flow);
        if self.sessions[number].flow == flow {
            self.write(host, supply, completions, number)?;
        }
        Ok(())
    }

    /// Ends the batch: writes all pending completions. If pages are `scarce`, the current page of
    /// each of these flows is released too.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped.
    #[inline]
    pub fn flush<H: Host>(
        &mut self,
        host: &mut H,
        supply: &mut Supply,
        completions: &mut Completions,
        scarce: bool,
    ) -> Result<(), HostError> {
        for &number in &self.open {
            let session = &mut self.sessions[usize::from(number)];
            let pages = &mut supply.payload;
            let left = match scarce {
                true => session.position.close(pages),
                false => session.position.end_batch(pages, session.length),
            };
            if left.is_some() {
                session.release |= 1 << (session.count - 1);
            }
            session.write(host, supply, completions)?;
        }
        self.open.clear();
        Ok(())
    }

    /// Releases the partly filled page of one flow that was idle since the scan last passed it.
    /// Used while pages are scarce. Nothing may be pending.
    pub fn reclaim(&mut self, pages: &mut Pages) -> Option<u32> {
        self.hand = (self.hand + 1) % SESSIONS;
        let session = &mut self.sessions[self.hand];
        let idle = !session.used && session.length == 0;
        session.used = false;
        if idle {
            session.position.close(pages)
        } else {
            None
        }
    }
}
