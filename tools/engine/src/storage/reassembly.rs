// SPDX-License-Identifier: GPL-2.0

//! Payload placement of one delegated connection, and its pending completion.

use core::mem;

use toe_abi::Layout;
use toe_abi::completion::CompletionOp;
use toe_abi::completion::DELIVER_PAGES;
use toe_abi::completion::Deliver;
use toe_abi::completion::Placed;
use toe_abi::completion::deliver_flag;

use super::Area;
use super::Areas;
use super::Pages;
use super::Position;
use crate::env::Host;
use crate::ring::Completions;
use crate::ring::HostError;
use crate::tcp::Seq;

/// Payload placement of a connection: into areas of the application if any are bound, else into
/// payload pages.
///
/// Contiguous payload of a batch shares one completion, because the host's cost is per completion.
/// It is written when its page list or the area is full, or at the end of the batch.
///
/// # Invariants
///
/// - At most one of `gathered` and `placed` has a `data_length` other than 0. One completion is
///   reserved for it.
/// - The pages in `gathered` are taken, all but the last are full, and those with a release bit are
///   released in the page array.
pub struct Reassembly {
    /// Payload was placed since the last [`Reassembly::reclaim`].
    used: bool,
    position: Position,
    areas: Areas,
    gathered: Deliver,
    placed: Placed,
    ts_recent: u32,
    push: bool,
}

impl Reassembly {
    /// Creates an empty placement for the connection with the host's identifier `host_id`.
    pub fn new(host_id: u32) -> Self {
        Self {
            used: false,
            position: Position::default(),
            areas: Areas::default(),
            gathered: Deliver {
                op: CompletionOp::Deliver.raw(),
                host_id,
                ..Deliver::default()
            },
            placed: Placed {
                op: CompletionOp::Placed.raw(),
                host_id,
                ..Placed::default()
            },
            ts_recent: 0,
            push: false,
        }
    }

    /// Binds an area of the application. Returns `false` if there are too many.
    pub fn bind(&mut self, area: Area) -> bool {
        self.areas.bind(area)
    }

    /// Whether areas of the application are bound.
    pub fn has_areas(&self) -> bool {
        self.areas.count() != 0
    }

    /// Whether `length` bytes can be placed with the pages and completions available.
    #[inline]
    pub fn fits(&self, pages: &Pages, completions: &Completions, length: usize) -> bool {
        let beside = length.saturating_sub(self.areas.room());
        let new = self.position.more_pages(beside);
        // Each completion but the first lists at least one page that no other lists. Each area
        // takes one completion.
        let entries = 1 + new.div_ceil(DELIVER_PAGES) + self.areas.count();
        pages.available() >= new && completions.room() as usize >= entries
    }

    /// Whether the areas can take their part of the next `length` bytes. The addresses of their
    /// pages are the application's matter, unlike those of posted pages: an error concerns only this
    /// connection.
    #[inline]
    pub fn accessible<H: Host>(&self, host: &H, length: usize) -> bool {
        self.areas.count() == 0 || self.areas.accessible(host, length)
    }

    /// Places `bytes`, which start at sequence number `seq` and follow the bytes placed before.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped, or if [`Reassembly::fits`] and
    /// [`Reassembly::accessible`] were not checked.
    #[inline]
    pub fn place<H: Host>(
        &mut self,
        host: &mut H,
        pages: &mut Pages,
        completions: &mut Completions,
        seq: Seq,
        bytes: &[u8],
    ) -> Result<(), HostError> {
        self.used = true;
        let mut rest = bytes;
        while !rest.is_empty() {
            let seq = seq + (bytes.len() - rest.len()) as u32;
            let length = match self.areas.first() {
                Some(&area) => self.put_in_area(host, completions, &area, seq, rest)?,
                None => self.put_in_page(host, pages, completions, seq, rest)?,
            };
            rest = &rest[length..];
        }
        Ok(())
    }

    /// Writes `bytes` to `area`, the first one, up to the end of its current page. Returns the
    /// number of bytes written.
    fn put_in_area<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        area: &Area,
        seq: Seq,
        bytes: &[u8],
    ) -> Result<usize, HostError> {
        if self.gathered.data_length != 0 {
            self.write(host, completions)?;
        }
        if self.placed.data_length == 0 {
            if !completions.reserve(1) {
                return Err(HostError);
            }
            self.placed.seq = seq.0;
            self.placed.area = area.id();
            self.placed.data_offset = area.filled();
        }
        let (length, full) = self.areas.put(host, bytes)?;
        self.placed.data_length += length as u32;
        if full {
            self.placed.flags |= deliver_flag::AREA_FULL;
            self.write(host, completions)?;
        }
        Ok(length)
    }

    /// Writes `bytes` to the current payload page, or a new one, up to its end. Returns the number
    /// of bytes written.
    #[inline]
    fn put_in_page<H: Host>(
        &mut self,
        host: &mut H,
        pages: &mut Pages,
        completions: &mut Completions,
        seq: Seq,
        bytes: &[u8],
    ) -> Result<usize, HostError> {
        let new = !self.position.is_open();
        let full = new && usize::from(self.gathered.page_count) == DELIVER_PAGES;
        if full || self.placed.data_length != 0 {
            self.write(host, completions)?;
        }
        let first = self.gathered.data_length == 0;
        if first && !completions.reserve(1) {
            return Err(HostError);
        }
        let put = self.position.put(host, pages, bytes)?;
        let gathered = &mut self.gathered;
        if first {
            gathered.seq = seq.0;
            gathered.data_offset = put.offset as u16;
        }
        if first || new {
            gathered.pages[usize::from(gathered.page_count)] = put.id;
            gathered.page_count += 1;
        }
        if put.full {
            gathered.release |= 1 << (gathered.page_count - 1);
        }
        gathered.data_length += put.length as u32;
        Ok(put.length)
    }

    /// Records the peer's latest timestamp.
    #[inline]
    pub fn note_timestamp(&mut self, ts_recent: u32) {
        self.ts_recent = ts_recent;
    }

    /// Records whether the last byte placed was pushed by the peer.
    #[inline]
    pub fn note_push(&mut self, push: bool) {
        self.push = push;
    }

    /// Ends the batch: writes the pending completion, if any.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped.
    #[inline]
    pub fn flush<H: Host>(
        &mut self,
        host: &mut H,
        pages: &mut Pages,
        completions: &mut Completions,
    ) -> Result<(), HostError> {
        let length = self.gathered.data_length as usize;
        if self.position.end_batch(pages, length).is_some() {
            self.gathered.release |= 1 << (self.gathered.page_count - 1);
        }
        self.write(host, completions)
    }

    /// Writes the pending completion, if any.
    #[inline]
    fn write<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
    ) -> Result<(), HostError> {
        let flags = match mem::take(&mut self.push) {
            true => deliver_flag::PUSH,
            false => 0,
        };
        if self.placed.data_length != 0 {
            self.placed.flags |= flags;
            self.placed.ts_recent = self.ts_recent;
            completions.write(host, &self.placed.to_bytes())?;
            self.placed.data_length = 0;
            self.placed.flags = 0;
        }
        if self.gathered.data_length != 0 {
            self.gathered.flags = flags;
            self.gathered.ts_recent = self.ts_recent;
            completions.write(host, &self.gathered.to_bytes())?;
            self.gathered = Deliver {
                op: CompletionOp::Deliver.raw(),
                host_id: self.gathered.host_id,
                ..Deliver::default()
            };
        }
        Ok(())
    }

    /// Returns the current page, even if only partly filled, if the connection was idle since the
    /// last call. Used while pages are scarce: an idle connection can take a new page later.
    pub fn reclaim(&mut self, pages: &mut Pages) -> Option<u32> {
        let idle = !self.used && self.gathered.data_length == 0 && self.placed.data_length == 0;
        self.used = false;
        if idle { self.close(pages) } else { None }
    }

    /// Returns the current page. The payload in it must be flushed before its release is reported.
    pub fn close(&mut self, pages: &mut Pages) -> Option<u32> {
        self.position.close(pages)
    }
}
