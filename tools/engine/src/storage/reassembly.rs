// SPDX-License-Identifier: GPL-2.0

//! Payload of one delegated connection: its current page, running on into the next, and the
//! completion that is being gathered.

use toe_abi::Layout;
use toe_abi::PAGE_SIZE;
use toe_abi::completion::DELIVER_PAGES;
use toe_abi::completion::Deliver;
use toe_abi::completion::Op;
use toe_abi::completion::deliver_flag;

use super::Page;
use super::Pages;
use crate::env::Host;
use crate::ring::Broken;
use crate::ring::Completions;
use crate::tcp::Seq;

/// Where the payload of a connection goes.
///
/// Contiguous payload of a batch is gathered in one [`Deliver`], which is written when its list of
/// pages is full or at the end of the batch: what the host pays for is completions.
///
/// # Invariants
///
/// - `page` is taken from the payload ring and not released; `offset < PAGE_SIZE`.
/// - `gathered.data_length != 0` exactly when one completion is reserved for it. Then its pages are
///   taken, all but the last are full, and those with a release bit are released in the page array.
pub struct Reassembly {
    /// Something was placed since [`Reassembly::reclaim`] last looked.
    used: bool,
    page: Option<Page>,
    offset: usize,
    gathered: Deliver,
}

impl Reassembly {
    /// Nothing placed.
    pub fn new(host_id: u32) -> Self {
        Self {
            used: false,
            page: None,
            offset: 0,
            gathered: Deliver {
                op: Op::Deliver.raw(),
                host_id,
                ..Deliver::default()
            },
        }
    }

    /// Room left in the current page.
    fn room(&self) -> usize {
        self.page.map_or(0, |_| PAGE_SIZE - self.offset)
    }

    /// Whether `length` bytes can be placed with what `pages` and `completions` have.
    #[inline]
    pub fn fits(&self, pages: &Pages, completions: &Completions, length: usize) -> bool {
        let new = length.saturating_sub(self.room()).div_ceil(PAGE_SIZE);
        // Each completion lists at least one page that no other lists, but for the first.
        let entries = 1 + new.div_ceil(DELIVER_PAGES) as u32;
        pages.available() >= new && completions.room() >= entries
    }

    /// Places `bytes`, which have sequence number `seq` and follow what was placed before.
    ///
    /// # Errors
    ///
    /// [`Broken`] when memory of the host is gone, or when [`Reassembly::fits`] was not asked.
    #[inline]
    pub fn place<H: Host>(
        &mut self,
        host: &mut H,
        pages: &mut Pages,
        completions: &mut Completions,
        seq: Seq,
        bytes: &[u8],
    ) -> Result<(), Broken> {
        self.used = true;
        let mut seq = seq;
        let mut rest = bytes;
        while !rest.is_empty() {
            let page = match self.page {
                Some(page) => page,
                None => self.next_page(host, pages, completions)?,
            };
            if self.gathered.data_length == 0 {
                if !completions.reserve(1) {
                    return Err(Broken);
                }
                self.gathered.seq = seq.0;
                self.gathered.data_offset = self.offset as u16;
                self.gathered.pages[0] = page.id;
                self.gathered.page_count = 1;
            }
            let (now, later) = rest.split_at(rest.len().min(PAGE_SIZE - self.offset));
            host.write(page.address + self.offset as u64, now)?;
            self.offset += now.len();
            self.gathered.data_length += now.len() as u32;
            if self.offset == PAGE_SIZE {
                self.gathered.release |= 1 << (self.gathered.page_count - 1);
                pages.release(page.id);
                self.page = None;
            }
            seq = seq + now.len() as u32;
            rest = later;
        }
        Ok(())
    }

    /// Takes a new page and lists it, in a new completion when the list is full.
    fn next_page<H: Host>(
        &mut self,
        host: &mut H,
        pages: &mut Pages,
        completions: &mut Completions,
    ) -> Result<Page, Broken> {
        if usize::from(self.gathered.page_count) == DELIVER_PAGES {
            self.flush(host, completions)?;
        }
        let page = pages.take().ok_or(Broken)?;
        self.page = Some(page);
        self.offset = 0;
        if self.gathered.data_length != 0 {
            self.gathered.pages[usize::from(self.gathered.page_count)] = page.id;
            self.gathered.page_count += 1;
        }
        Ok(page)
    }

    /// Notes the peer's latest timestamp.
    #[inline]
    pub fn note_timestamp(&mut self, ts_recent: u32) {
        self.gathered.ts_recent = ts_recent;
    }

    /// Notes whether the peer pushed the last byte that was placed.
    #[inline]
    pub fn note_push(&mut self, push: bool) {
        if push {
            self.gathered.flags |= deliver_flag::PUSH;
        } else {
            self.gathered.flags &= !deliver_flag::PUSH;
        }
    }

    /// Writes the completion for what has been gathered, if anything has.
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
        if self.gathered.data_length == 0 {
            return Ok(());
        }
        completions.write(host, &self.gathered.to_bytes())?;
        self.gathered = Deliver {
            op: Op::Deliver.raw(),
            host_id: self.gathered.host_id,
            ts_recent: self.gathered.ts_recent,
            ..Deliver::default()
        };
        Ok(())
    }

    /// Gives the current page up, half empty as it may be, if nothing was placed since this was asked
    /// last: pages are scarce, and an idle connection can take a new one.
    pub fn reclaim(&mut self, pages: &mut Pages) -> Option<u32> {
        let idle = !self.used && self.gathered.data_length == 0;
        self.used = false;
        if idle { self.close(pages) } else { None }
    }

    /// Gives the current page up. Everything gathered must have been flushed, or be flushed before
    /// the release is reported.
    pub fn close(&mut self, pages: &mut Pages) -> Option<u32> {
        let page = self.page.take()?;
        pages.release(page.id);
        Some(page.id)
    }
}
