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
pub(super) struct AnswerTimeout<'a> {
    queue: &'a SubmissionQueue,
    start: u32,
    /// Completions consumed, and when that number last changed.
    taken: u32,
    changed: u32,
}

/// Returns whether the answer to a submission of the time `since` ([`jiffies_msecs`]), for which nobody
/// waits, is overdue.
pub(super) fn is_overdue(since: u32) -> bool {
    jiffies_msecs().wrapping_sub(since) > ANSWER_MS
}

impl<'a> AnswerTimeout<'a> {
    /// Starts the timeout of the answer to a submission to `queue`.
    pub(super) fn new(queue: &'a SubmissionQueue) -> Self {
        let now = jiffies_msecs();
        Self {
            queue,
            start: now,
            taken: queue.taken(),
            changed: now,
        }
    }

    /// Returns whether the timeout has expired: [`SILENCE_MS`] after the processor's latest
    /// completion, but [`ANSWER_MS`] after the start at the latest. To be called at least once per
    /// [`SILENCE_MS`].
    pub(super) fn is_expired(&mut self) -> bool {
        let now = jiffies_msecs();
        if now.wrapping_sub(self.start) > ANSWER_MS {
            return true;
        }
        let taken = self.queue.taken();
        if taken != self.taken {
            self.taken = taken;
            self.changed = now;
        }
        now.wrapping_sub(self.changed) >= SILENCE_MS
    }
}
