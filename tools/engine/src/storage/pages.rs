// SPDX-License-Identifier: GPL-2.0

//! Pages posted by the host, by identifier.

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

/// Bytes of ring entries read in one access.
const READ: usize = 8 * BATCH * PAGE_ENTRY;
/// Maximum number of such accesses per call: more pages than any batch of frames needs.
const READS: usize = 8;

/// A host page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Identifier.
    pub id: u32,
    /// DMA address.
    pub address: u64,
}

#[derive(Clone, Copy, Default)]
struct PageState {
    address: u64,
    posted: bool,
}

/// Pages of one page ring.
///
/// # Invariants
///
/// - `posted` is set while the adapter owns the page, from the fetch of its identifier until its
///   release. Posting it again in between is rejected, so a page is never used twice.
/// - `free[..count]` holds the identifiers that are posted and not taken, each once. `count`
///   therefore never exceeds the number of identifiers.
pub struct Pages {
    table: Box<[PageState]>,
    free: Box<[u32]>,
    count: usize,
}

impl Pages {
    /// Creates a table for identifiers below `pages`.
    pub fn new(pages: u32) -> Self {
        Self {
            table: vec![PageState::default(); pages as usize].into_boxed_slice(),
            free: vec![0; pages as usize].into_boxed_slice(),
            count: 0,
        }
    }

    /// Drops all pages.
    pub fn clear(&mut self) {
        self.table.fill(PageState::default());
        self.count = 0;
    }

    /// Fetches what is posted in `ring`, in whole batches, as far as one call may. An entry whose
    /// identifier is out of range or already posted is counted and ignored.
    ///
    /// # Errors
    ///
    /// [`HostError`] if the ring's index is invalid or its memory not mapped.
    pub fn fetch<H: Host>(
        &mut self,
        host: &mut H,
        ring: &mut Consumer,
        counters: &mut Counters,
    ) -> Result<(), HostError> {
        ring.refresh(host)?;
        let mut batch = [0; READ];
        for _ in 0..READS {
            let whole = ring.available() as usize / BATCH * BATCH;
            if whole == 0 {
                break;
            }
            let want = (whole * PAGE_ENTRY).min(READ);
            let got = ring.read(host, 0, &mut batch[..want])?;
            // In reverse, since pages are taken from the end.
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
            Some(entry) if !entry.posted => {
                *entry = PageState {
                    address: post.address(),
                    posted: true,
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

    /// Takes a page. The pages of a batch are taken in the order in which they were posted.
    #[inline]
    pub fn take(&mut self) -> Option<Page> {
        self.count = self.count.checked_sub(1)?;
        let id = self.free[self.count];
        let address = self.table[id as usize].address;
        Some(Page { id, address })
    }

    /// Releases a taken page to the host. Must be called before the completion that reports it is
    /// published.
    #[inline]
    pub fn release(&mut self, id: u32) {
        debug_assert!(self.table[id as usize].posted);
        self.table[id as usize].posted = false;
    }
}
