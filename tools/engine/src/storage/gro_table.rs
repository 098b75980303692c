// SPDX-License-Identifier: GPL-2.0

//! The re-assembly table (R1.6) of flows that the host carries itself: where the payload of each goes
//! on, and what of it is still gathered for one completion (hardware GRO).

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

/// Flows that have a place in the table at a time; flows that share one take turns.
pub const SESSIONS: usize = 64;
/// Pages that the payload of the largest datagram touches: not more than an skb has fragments.
const SESSION_PAGES: usize = (u16::MAX as usize).div_ceil(PAGE_SIZE) + 1;

/// A segment whose payload is stored apart from its headers.
#[derive(Clone, Copy)]
pub struct GroSegment {
    /// Its flow.
    pub flow: u32,
    /// Sequence number of its first byte of payload.
    pub seq: Seq,
    /// Length of its headers.
    pub header: usize,
    /// Its payload is the flow's next, or its first.
    pub continues: bool,
    /// It begins its flow, which may be another one than had this identifier before.
    pub begins: bool,
    /// PSH is set.
    pub push: bool,
    /// How it may be joined to others; `None` for not at all.
    pub joins: Option<GroHeaders>,
    /// Payload bytes of each wire frame that it stands for but the last.
    pub size: u16,
}

/// A segment taken apart.
#[derive(Clone, Copy)]
pub struct SplitFrame<'a> {
    /// What re-assembly has to know.
    pub segment: &'a GroSegment,
    /// Its headers.
    pub header: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
}

/// Payload of one flow.
///
/// # Invariants
///
/// `length` is the payload gathered, 0 for nothing. While it is not 0, a cell is promised for
/// `header[..header_length]`, `entries` completions are reserved, `pages[..count]` are taken, each
/// but the last full, those with a bit in `release` are released in the page array, and the session
/// stands in [`GroTable::open`] at `place`.
struct GroSession {
    flow: u32,
    position: Position,
    /// Something was placed since [`GroTable::reclaim`] last looked.
    used: bool,
    place: usize,
    /// What the completion will say.
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

    /// Whether `split` goes on where what is gathered ends, and makes one large segment with it.
    #[inline]
    fn joins(&self, split: &SplitFrame<'_>, completion: &RxFrame) -> bool {
        const ALIKE: u8 = frame_flag::VLAN | frame_flag::L3_CSUM_OK | frame_flag::L4_CSUM_OK;
        let segment = split.segment;
        let Some(layout) = &self.joins else {
            return false;
        };
        // All wire frames are of one size, the last of them may be shorter.
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

    /// Places `payload` behind what is gathered, all of it or nothing.
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

    /// Adds a segment that [`GroSession::joins`], and has been placed.
    #[inline]
    fn extend(&mut self, split: &SplitFrame<'_>, completion: &RxFrame) {
        self.completion.gso_size = self.size;
        self.completion.segments += completion.segments;
        self.next = split.segment.seq + split.payload.len() as u32;
        self.push = split.segment.push;
    }

    /// Writes the completions of what is gathered, which is not nothing, as many as have been
    /// reserved.
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

/// The re-assembly table.
pub struct GroTable {
    sessions: Box<[GroSession]>,
    /// GroTable with something gathered, by their number.
    open: Vec<u8>,
    /// Where the search for idle pages stands.
    hand: usize,
}

impl GroTable {
    /// No flow has a place.
    pub fn new() -> Self {
        let mut sessions = Vec::with_capacity(SESSIONS);
        sessions.resize_with(SESSIONS, GroSession::new);
        Self {
            sessions: sessions.into_boxed_slice(),
            open: Vec::with_capacity(SESSIONS),
            hand: 0,
        }
    }

    /// Forgets every flow.
    pub fn clear(&mut self) {
        self.sessions.fill_with(GroSession::new);
        self.open.clear();
    }

    /// The place of `flow`.
    #[inline]
    fn place(flow: u32) -> usize {
        flow as usize % SESSIONS
    }

    /// Adds `split` to what is gathered of its flow. False when it does not continue that, or finds
    /// no room.
    ///
    /// # Errors
    ///
    /// [`HostError`] when memory of the host is gone.
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

    /// Stores `split`; with `gather` its completion may wait for what follows. What was gathered of
    /// its flow must have been written.
    ///
    /// # Errors
    ///
    /// [`HostError`] when memory of the host is gone.
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

    /// Frees place `number`. False when there is no room to give its page back.
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

    /// Writes what is gathered at place `number`, if anything is.
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

    /// Writes what is gathered of `flow`, if anything is: another frame of it is about to be stored.
    ///
    /// # Errors
    ///
    /// [`HostError`] when memory of the host is gone.
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

    /// Writes everything that is gathered: the batch ends. When pages are `scarce`, the rest of each is
    /// left.
    ///
    /// # Errors
    ///
    /// [`HostError`] when memory of the host is gone.
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

    /// Gives the page of one flow up, half empty as it may be, if nothing was placed in it since it
    /// was looked at last: pages are scarce. Nothing may be gathered.
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
