// SPDX-License-Identifier: GPL-2.0

//! Fill rings: pages that the adapter writes received data to.

use super::{
    queue_pair::QueuePair,
    registers::Registers, //
};
use crate::{
    abi::{
        page::{
            PagePost,
            BATCH, //
        },
        ring::{
            RingId,
            PAGE_ENTRY, //
        },
        PAGE_SIZE, //
    },
    net::{
        dma::Ring,
        napi::RxContext,
        netmem::{
            Pool,
            PoolFrag, //
        },
        page_pool::{
            Page,
            PagePool, //
        }, //
    },
    offload::Payload, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A completion contradicts itself or the host's state.
#[derive(Debug)]
pub(super) struct Invalid;

/// A fill ring and the pages posted to it, by identifier.
pub(super) struct FillRing {
    id: RingId,
    ring: Ring<PAGE_ENTRY>,
    /// Dropped before the pools: a pool destroyed with pages in flight rechecks for them every
    /// second.
    pages: KVec<Option<Page>>,
    pool: PagePool,
    /// Single pages, for when no block of several pages can be allocated.
    fallback: Option<PagePool>,
    free: KVec<u32>,
    producer: u32,
}

impl FillRing {
    /// Creates an empty fill ring for at most `ring.entries()` pages of `pool`, or of `fallback` when
    /// `pool` has none.
    pub(super) fn new(
        id: RingId,
        ring: Ring<PAGE_ENTRY>,
        pool: PagePool,
        fallback: Option<PagePool>,
    ) -> Result<Self> {
        let count = ring.entries();
        let mut pages = KVec::with_capacity(count as usize, GFP_KERNEL)?;
        let mut free = KVec::with_capacity(count as usize, GFP_KERNEL)?;
        for id in (0..count).rev() {
            pages.push(None, GFP_KERNEL)?;
            free.push(id, GFP_KERNEL)?;
        }
        Ok(Self {
            id,
            ring,
            pages,
            pool,
            fallback,
            free,
            producer: 0,
        })
    }

    /// Returns the pools that [`Self::refill`] allocates from.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        let pools = [Some(&self.pool), self.fallback.as_ref()];
        pools.into_iter().flatten().map(PagePool::pool)
    }

    /// Returns the ring's DMA address.
    pub(super) fn dma_address(&self) -> u64 {
        self.ring.dma_address()
    }

    /// Posts pages for all free identifiers, in whole batches. Returns true when it posted any.
    pub(super) fn refill(
        &mut self,
        rx: &RxContext<'_>,
        pair: &QueuePair,
        registers: &Registers,
    ) -> bool {
        let before = self.producer;
        while self.free.len() >= BATCH {
            let mut batch: [Option<Page>; BATCH] = [const { None }; BATCH];
            let mut fill = |pool: &mut PagePool| match pool.fill(rx, &mut batch) {
                Ok(()) => true,
                Err(missing) => {
                    pair.rx_alloc_fail.add(missing as u64);
                    false
                }
            };
            let filled = fill(&mut self.pool) || self.fallback.as_mut().is_some_and(fill);
            if !filled {
                break;
            }
            for page in batch.into_iter().flatten() {
                let Some(id) = self.free.pop() else { break };
                // Cannot fail: pool pages are aligned, and identifiers are bounded by the ring.
                let post = PagePost::new(id, page.dma_address()).map_or(0, PagePost::raw);
                self.ring.write(self.producer, &post.to_le_bytes());
                self.producer = self.producer.wrapping_add(1);
                self.pages[id as usize] = Some(page);
            }
        }
        if before == self.producer {
            return false;
        }
        registers.doorbell(pair.index, self.id.index_offset(), self.producer);
        true
    }

    /// Returns a fragment of posted page `id`.
    pub(super) fn fragment(
        &mut self,
        id: u32,
        offset: usize,
        length: usize,
    ) -> Result<PoolFrag, Invalid> {
        let page = self.pages.get_mut(id as usize).and_then(Option::as_mut);
        page.ok_or(Invalid)?
            .fragment(offset, length)
            .map_err(|_| Invalid)
    }

    /// Takes posted page `id` back from the adapter.
    pub(super) fn release(&mut self, id: u32) -> Result<(), Invalid> {
        let page = self.pages.get_mut(id as usize).ok_or(Invalid)?;
        page.take().ok_or(Invalid)?;
        // There is room: each identifier is either free or posted.
        self.free.push_within_capacity(id).map_err(|_| Invalid)
    }

    /// Returns the `length` bytes that begin at `offset` of the first page of `ids`. With `join`,
    /// adjacent pages of a block become one fragment. Bit `i` of `release` takes page `ids[i]` back.
    pub(super) fn gather(
        &mut self,
        join: bool,
        ids: &[u32],
        release: u16,
        mut offset: usize,
        mut length: usize,
    ) -> Result<Payload, Invalid> {
        let mut frags = Payload::default();
        for (i, &id) in ids.iter().enumerate() {
            let here = length.min(PAGE_SIZE.checked_sub(offset).ok_or(Invalid)?);
            let join = join && offset == 0;
            let joined = frags.last_mut().filter(|_| join).is_some_and(|last| {
                let page = self.pages.get(id as usize).and_then(Option::as_ref);
                page.is_some_and(|page| page.extend(last, here))
            });
            if here > 0 && !joined {
                let fragment = self.fragment(id, offset, here)?;
                frags.push(fragment).map_err(|_| Invalid)?;
            }
            if release >> i & 1 == 1 {
                self.release(id)?;
            }
            length -= here;
            offset = 0;
        }
        match length {
            0 => Ok(frags),
            _ => Err(Invalid),
        }
    }
}
