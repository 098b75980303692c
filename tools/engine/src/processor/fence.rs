// SPDX-License-Identifier: GPL-2.0

//! Order between submissions and frames of the host.

/// Keeps frames of the host behind the submissions that were posted before them.
///
/// The producer index of the transmit ring is read before that of the submission ring, so what was
/// submitted before a frame is seen with the frame or earlier. Frames wait for what was seen with
/// them, and not for later submissions: a host that always submits does not hold its frames back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fence {
    /// Index in the transmit ring. Frames before it wait for the submissions before `submissions`.
    frames: u32,
    /// Index in the submission ring.
    submissions: u32,
}

impl Fence {
    /// The producer indices are `frames` and `submissions` now. `consumer` is the consumer index of
    /// the submission ring.
    #[inline]
    pub(super) fn see(&mut self, frames: u32, submissions: u32, consumer: u32) {
        if self.is_passed(consumer) {
            *self = Self {
                frames,
                submissions,
            };
        }
    }

    /// Index in the transmit ring before which frames need not wait, if submissions before
    /// `consumer` have been carried out.
    #[inline]
    pub(super) fn open(&self, consumer: u32) -> Option<u32> {
        self.is_passed(consumer).then_some(self.frames)
    }

    #[inline]
    fn is_passed(&self, consumer: u32) -> bool {
        consumer.wrapping_sub(self.submissions) as i32 >= 0
    }
}
