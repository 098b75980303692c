// SPDX-License-Identifier: GPL-2.0

//! Timeout of the adapter's answers.

use super::submission::SubmissionQueue;
use crate::util::time::jiffies_msecs;

/// Longest time without any completion of the processor, in milliseconds. A processor answers within
/// microseconds; a machine that emulates it on a busy CPU takes longer.
pub(super) const SILENCE_MS: u32 = 5_000;
/// Longest time to an answer of a processor that delivers other completions, in milliseconds.
const ANSWER_MS: u32 = 60_000;

/// Timeout of the answer to a submission.
#[derive(Clone, Copy)]
pub(super) struct AnswerTimeout {
    start: u32,
    /// Completions consumed, and when that number last changed.
    taken: u32,
    changed: u32,
}

impl AnswerTimeout {
    /// Starts the timeout of the answer to a submission to `queue`.
    pub(super) fn new(queue: &SubmissionQueue) -> Self {
        Self::at(jiffies_msecs(), queue.taken())
    }

    fn at(now: u32, taken: u32) -> Self {
        Self {
            start: now,
            taken,
            changed: now,
        }
    }

    /// Returns whether the timeout has expired: [`SILENCE_MS`] after the latest completion of the
    /// processor of `queue`, but [`ANSWER_MS`] after the start at the latest. To be called at least once
    /// per [`SILENCE_MS`].
    pub(super) fn is_expired(&mut self, queue: &SubmissionQueue) -> bool {
        self.is_expired_at(jiffies_msecs(), queue.taken())
    }

    fn is_expired_at(&mut self, now: u32, taken: u32) -> bool {
        if now.wrapping_sub(self.start) > ANSWER_MS {
            return true;
        }
        if taken != self.taken {
            self.taken = taken;
            self.changed = now;
        }
        now.wrapping_sub(self.changed) >= SILENCE_MS
    }
}

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(toe_shim_timeout)]
mod tests {
    use super::*;

    const START: u32 = u32::MAX - 1_000;

    #[test]
    fn a_silent_processor_has_less_time() {
        let mut timeout = AnswerTimeout::at(START, 7);
        assert!(!timeout.is_expired_at(START.wrapping_add(SILENCE_MS - 1), 7));
        assert!(timeout.is_expired_at(START.wrapping_add(SILENCE_MS), 7));
    }

    #[test]
    fn a_busy_processor_has_not_for_ever() {
        let mut timeout = AnswerTimeout::at(START, 7);
        for second in 1..=ANSWER_MS / 1_000 {
            assert!(!timeout.is_expired_at(START.wrapping_add(second * 1_000), 7 + second));
        }
        assert!(timeout.is_expired_at(START.wrapping_add(ANSWER_MS + 1), 99));
    }
}
