// SPDX-License-Identifier: GPL-2.0

//! Pages that the host lends, by identifier (R1.5).

use alloc::boxed::Box;
use alloc::vec;

use toe_abi::page::BATCH;
use toe_abi::page::PagePost;
use toe_abi::ring::PAGE_ENTRY;
use toe_abi::stats::Counter;

use crate::counters::Counters;
use crate::env::Host;
use crate::ring::Consumer;
use crate::ring::HostError;

/// Batches that are read from the ring in one access.
const READ: usize = 8 * BATCH * PAGE_ENTRY;

/// A page of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Identifier.
    pub id: u32,
    /// DMA address.
    pub address: u64,
}

#[derive(Clone, Copy, Default)]
struct Lent {
    address: u64,
    lent: bool,
}

/// The pages of one page ring.
///
/// # Invariants
///
/// - `lent` is set from the moment an identifier is fetched until it is released, and no other
///   fetch of it is accepted in between: a page is never in two places.
/// - `free[..count]` holds the identifiers that are lent and not taken, each once; so `count` never
///   passes the number of identifiers.
pub struct Pages {
    table: Box<[Lent]>,
    free: Box<[u32]>,
    count: usize,
}

impl Pages {
    /// Room for identifiers below `pages`.
    pub fn new(pages: u32) -> Self {
        Self {
            table: vec![Lent::default(); pages as usize].into_boxed_slice(),
            free: vec![0; pages as usize].into_boxed_slice(),
            count: 0,
        }
    }

    /// Forgets every page.
    pub fn clear(&mut self) {
        self.table.fill(Lent::default());
        self.count = 0;
    }

    /// Fetches everything posted in `ring`, whole batches at a time. An entry that names an
    /// identifier out of range, or lent already, is counted and ignored.
    ///
    /// # Errors
    ///
    /// [`HostError`] when the ring makes no sense.
    pub fn fetch<H: Host>(
        &mut self,
        host: &mut H,
        ring: &mut Consumer,
        counters: &mut Counters,
    ) -> Result<(), HostError> {
        ring.refresh(host)?;
        let mut batch = [0; READ];
        loop {
            let whole = ring.available() as usize / BATCH * BATCH;
            if whole == 0 {
                break;
            }
            let want = (whole * PAGE_ENTRY).min(READ);
            let got = ring.read(host, 0, &mut batch[..want])?;
            // The last first: they are taken from the end.
            for raw in batch[..got as usize * PAGE_ENTRY].rchunks_exact(PAGE_ENTRY) {
                let mut entry = [0; PAGE_ENTRY];
                entry.copy_from_slice(raw);
                if !self.post(PagePost::from_raw(u64::from_le_bytes(entry))) {
                    counters.count(Counter::PageInvalid);
                }
            }
            ring.take(got);
        }
        ring.publish(host)
    }

    fn post(&mut self, post: PagePost) -> bool {
        match self.table.get_mut(post.id() as usize) {
            Some(entry) if !entry.lent => {
                *entry = Lent {
                    address: post.address(),
                    lent: true,
                };
                self.free[self.count] = post.id();
                self.count += 1;
                true
            }
            _ => false,
        }
    }

    /// Number of pages that can be taken.
    #[inline]
    pub fn available(&self) -> usize {
        self.count
    }

    /// Takes a page to put data in: the pages of a batch come in the order in which they were posted.
    #[inline]
    pub fn take(&mut self) -> Option<Page> {
        self.count = self.count.checked_sub(1)?;
        let id = self.free[self.count];
        let address = self.table[id as usize].address;
        Some(Page { id, address })
    }

    /// Gives a taken page back to the host: to be called with the completion that says so, before
    /// that is published.
    #[inline]
    pub fn release(&mut self, id: u32) {
        debug_assert!(self.table[id as usize].lent);
        self.table[id as usize].lent = false;
    }
}
