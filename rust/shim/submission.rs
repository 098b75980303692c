// SPDX-License-Identifier: GPL-2.0

//! The submission queue of one processor of an adapter.

use crate::{
    abi::ring::SUBMISSION_ENTRY,
    net::{
        dma::MappedFrag,
        skb::Frag, //
    },
    offload::{
        Handle,
        SubmitError, //
    }, //
};
use kernel::prelude::*;

/// Why nothing can be submitted now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shortage {
    /// The submission ring is full.
    Room,
    /// There are no fragment credits.
    Credits,
    /// There is no memory to keep track of the fragments.
    Memory,
}

/// The submission queue of one processor, with its fragment credits.
#[derive(Clone)]
pub(super) struct SubmissionQueue {
    adapter: Handle,
    processor: u8,
}

impl SubmissionQueue {
    /// Names the submission queue of `processor`.
    pub(super) fn new(adapter: Handle, processor: u8) -> Self {
        Self { adapter, processor }
    }

    /// Returns the adapter.
    pub(super) fn adapter(&self) -> &Handle {
        &self.adapter
    }

    /// Returns the number of the processor.
    pub(super) fn processor(&self) -> u8 {
        self.processor
    }

    /// Submits `entries`, all or none of them. Any context but hard interrupts.
    pub(super) fn submit(&self, entries: &[[u8; SUBMISSION_ENTRY]]) -> Result<(), SubmitError> {
        self.adapter.submit(self.processor, entries)
    }

    /// Returns how many completions of the processor have been consumed, modulo 2^32.
    pub(super) fn taken(&self) -> u32 {
        self.adapter.taken(self.processor)
    }

    /// Takes at most `most` fragment credits. Returns how many it took.
    pub(super) fn reserve_fragments(&self, most: u32) -> u32 {
        self.adapter.reserve_fragments(self.processor, most)
    }

    /// Asks for a poll as soon as there are fragment credits.
    pub(super) fn await_fragments(&self) {
        self.adapter.await_fragments(self.processor);
    }

    /// Returns `count` fragment credits, after the memory has been unmapped.
    pub(super) fn release_fragments(&self, count: u32) {
        if count > 0 {
            self.adapter.release_fragments(self.processor, count);
        }
    }

    /// Maps payload for the adapter to read, and holds its page.
    pub(super) fn map(&self, frag: &Frag) -> Result<MappedFrag> {
        self.adapter.map(frag)
    }
}
