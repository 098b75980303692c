// SPDX-License-Identifier: GPL-2.0

//! The submission ring: requests about delegated connections.

use super::function::Function;
use crate::{
    abi::ring::{
        RingId,
        SUBMISSION_ENTRY, //
    },
    net::dma::{
        Ring,
        SharedPage, //
    }, //
};
use kernel::sync::Arc;

/// The host's end of the submission ring of a running processor.
pub(super) struct SubmissionRing {
    processor: u8,
    ring: Ring<SUBMISSION_ENTRY>,
    status: Arc<SharedPage>,
    producer: u32,
}

impl SubmissionRing {
    /// Creates the end of an empty ring.
    pub(super) fn new(
        processor: u8,
        ring: Ring<SUBMISSION_ENTRY>,
        status: Arc<SharedPage>,
    ) -> Self {
        Self {
            processor,
            ring,
            status,
            producer: 0,
        }
    }

    /// Returns how many entries fit.
    pub(super) fn room(&self) -> u32 {
        const CONSUMER: usize = RingId::Submission.index_offset();
        let used = self
            .producer
            .wrapping_sub(self.status.load_acquire::<CONSUMER>());
        // No room if the adapter reports more consumed entries than were submitted.
        self.ring.entries().saturating_sub(used)
    }

    /// Writes `entries`, for which there is room, publishes them together, and wakes the processor.
    pub(super) fn submit(&mut self, function: &Function, entries: &[[u8; SUBMISSION_ENTRY]]) {
        for entry in entries {
            self.ring.write(self.producer, entry);
            self.producer = self.producer.wrapping_add(1);
        }
        let index = RingId::Submission.index_offset();
        function
            .registers()
            .doorbell(self.processor, index, self.producer);
        function.wake(self.processor, &self.status);
    }

    /// Returns the processor's status page.
    pub(super) fn status(&self) -> &SharedPage {
        &self.status
    }
}
