// SPDX-License-Identifier: GPL-2.0

//! Payload fragments that the adapter may read.

use super::submission::{
    Shortage,
    SubmissionQueue, //
};
use crate::net::{
    dma::MappedFrag,
    skb::Frag, //
};
use kernel::{
    alloc::flags::__GFP_NOWARN,
    prelude::*, //
};

/// Number of slots of an empty queue, a power of two.
const INITIAL_SLOTS: usize = 16;

/// Fragments of a connection that were submitted and are not acknowledged, in the order of their
/// sequence numbers.
///
/// Each fragment holds a reference to its page, its DMA mapping and one fragment credit of the
/// processor until the peer has acknowledged it, whatever Linux does with the skb that it comes from.
/// Dropping the queue unmaps all of them.
///
/// # Invariants
///
/// The number of slots is a power of two. The `count` slots from `head` on, modulo that number, are
/// `Some`; all others are `None`. Each fragment stands for one credit.
pub(super) struct SubmittedFrags {
    queue: SubmissionQueue,
    slots: KVec<Option<SubmittedFrag>>,
    head: usize,
    count: usize,
}

struct SubmittedFrag {
    /// Sequence number of the first byte after the fragment.
    end: u32,
    _memory: MappedFrag,
}

impl SubmittedFrags {
    /// Creates an empty queue of fragments to be submitted to `queue`. Process context.
    pub(super) fn new(queue: SubmissionQueue) -> Result<Self> {
        let mut frags = Self {
            queue,
            slots: KVec::new(),
            head: 0,
            count: 0,
        };
        frags.resize(INITIAL_SLOTS, GFP_KERNEL)?;
        Ok(frags)
    }

    fn resize(&mut self, slots: usize, flags: kernel::alloc::Flags) -> Result {
        let mut new = KVec::with_capacity(slots, flags)?;
        for i in 0..slots {
            let frag = (i < self.count).then(|| self.slot(i).take()).flatten();
            new.push_within_capacity(frag).map_err(|_| ENOMEM)?;
        }
        self.slots = new;
        self.head = 0;
        Ok(())
    }

    fn slot(&mut self, i: usize) -> &mut Option<SubmittedFrag> {
        let at = (self.head + i) & (self.slots.len() - 1);
        &mut self.slots[at]
    }

    /// Starts a batch of at most `most` fragments: as many as there are credits. Any context.
    ///
    /// # Errors
    ///
    /// `Credits` when there are none, `Memory` when there is none for more slots.
    pub(super) fn batch(&mut self, most: usize) -> Result<Batch<'_>, Shortage> {
        let slots = self.count + most;
        if slots > self.slots.len() {
            self.resize(slots.next_power_of_two(), GFP_ATOMIC | __GFP_NOWARN)
                .map_err(|_| Shortage::Memory)?;
        }
        // CAST: at most the slots of a queue, which are less than 2^32.
        let credits = self.queue.reserve_fragments(most as u32);
        if credits == 0 {
            return Err(Shortage::Credits);
        }
        Ok(Batch {
            frags: self,
            credits,
            added: 0,
        })
    }

    /// Releases the fragments that end at or before sequence number `una`.
    pub(super) fn release_to(&mut self, una: u32) {
        let mut released = 0;
        while self.count > 0 {
            match self.slot(0) {
                Some(frag) if (una.wrapping_sub(frag.end) as i32) < 0 => break,
                slot => *slot = None,
            }
            self.head = (self.head + 1) & (self.slots.len() - 1);
            self.count -= 1;
            released += 1;
        }
        self.queue.release_fragments(released);
    }

    /// Releases the last `count` fragments, without their credits.
    fn truncate_by(&mut self, count: usize) {
        for _ in 0..count.min(self.count) {
            self.count -= 1;
            let last = self.count;
            *self.slot(last) = None;
        }
    }
}

impl Drop for SubmittedFrags {
    fn drop(&mut self) {
        // CAST: at most as many as there are credits.
        let credits = self.count as u32;
        self.truncate_by(self.count);
        self.queue.release_fragments(credits);
    }
}

/// Fragments that are about to be submitted.
///
/// Dropping the batch takes them out of the queue and returns their credits, unless
/// [`Self::commit`] is called.
pub(super) struct Batch<'a> {
    frags: &'a mut SubmittedFrags,
    credits: u32,
    added: usize,
}

impl Batch<'_> {
    /// Returns the largest number of fragments, at least 1.
    pub(super) fn capacity(&self) -> usize {
        self.credits as usize
    }

    /// Maps `frag`, whose last byte precedes sequence number `end`, and appends it. Returns its DMA
    /// address.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the adapter is gone, `EIO` when the memory cannot be mapped, `ENOSPC` for more
    /// fragments than the batch was started for.
    pub(super) fn map(&mut self, frag: &Frag, end: u32) -> Result<u64> {
        if self.added == self.credits as usize {
            return Err(ENOSPC);
        }
        let memory = self.frags.queue.map(frag)?;
        let address = memory.address();
        let last = self.frags.count;
        *self.frags.slot(last) = Some(SubmittedFrag {
            end,
            _memory: memory,
        });
        self.frags.count += 1;
        self.added += 1;
        Ok(address)
    }

    /// Leaves the fragments in the queue. Returns the credits that were not used.
    pub(super) fn commit(mut self) {
        // CAST: at most `credits`.
        self.credits -= self.added as u32;
        self.added = 0;
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.frags.truncate_by(self.added);
        self.frags.queue.release_fragments(self.credits);
    }
}
