// SPDX-License-Identifier: GPL-2.0

//! The rings of a running processor.

use toe_abi::PAGE_SIZE;
use toe_abi::ring::RingId;

use super::Rings;
use super::fence::Fence;
use crate::env::Host;
use crate::ring::Completions;
use crate::ring::Consumer;
use crate::ring::HostError;

/// The rings of a running processor.
pub(super) struct RingSet {
    pub(super) transmit: Consumer,
    pub(super) headers: Consumer,
    pub(super) payload: Consumer,
    pub(super) submission: Consumer,
    pub(super) completions: Completions,
    /// Producer index of `transmit` as last read.
    posted: u32,
    fence: Fence,
    /// DMA address of the status page.
    pub(super) status: u64,
}

impl RingSet {
    /// Rings with all indices at 0. `None` for a size or an alignment out of range.
    pub(super) fn new(rings: &Rings) -> Option<Self> {
        let status = rings.status;
        let page = PAGE_SIZE as u64;
        if status % page != 0 || status.checked_add(page).is_none() {
            return None;
        }
        let consumer = |ring: RingId| {
            let address = rings.addresses[ring as usize];
            Consumer::new(ring, address, rings.log2_entries[ring as usize], status)
        };
        let completion = RingId::Completion as usize;
        Some(Self {
            transmit: consumer(RingId::Transmit)?,
            headers: consumer(RingId::HeaderPages)?,
            payload: consumer(RingId::PayloadPages)?,
            submission: consumer(RingId::Submission)?,
            completions: Completions::new(
                rings.addresses[completion],
                rings.log2_entries[completion],
                status,
            )?,
            posted: 0,
            fence: Fence::default(),
            status,
        })
    }

    /// Looks for requests of the host. Its frames become available by [`RingSet::admit_frames`].
    pub(super) fn refresh_requests<H: Host>(&mut self, host: &H) -> Result<(), HostError> {
        // In this order: see `Fence`.
        self.posted = self.transmit.posted(host)?;
        self.submission.refresh(host)?;
        let (posted, submission) = (self.posted, &self.submission);
        self.fence
            .see(posted, submission.producer(), submission.consumer());
        Ok(())
    }

    /// Makes those frames of the host available that have to wait for no submission; if submissions
    /// are `blocked`, all.
    pub(super) fn admit_frames(&mut self, blocked: bool) {
        if blocked || self.submission.available() == 0 {
            self.transmit.admit(self.posted);
        } else if let Some(end) = self.fence.open(self.submission.consumer()) {
            self.transmit.admit(end);
        }
    }

    /// Indices that advance when the processor works for the host.
    #[inline]
    pub(super) fn progress(&self) -> [u32; 3] {
        [
            self.transmit.consumer(),
            self.submission.consumer(),
            self.completions.published(),
        ]
    }
}
