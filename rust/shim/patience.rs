// SPDX-License-Identifier: GPL-2.0

//! How long the adapter may take to answer.

use super::table::Lane;
use crate::util::time::jiffies_msecs;

/// How long a processor may say nothing at all, in milliseconds. It needs microseconds; a machine
/// that emulates everything on a busy processor needs more.
pub(super) const SILENCE: u32 = 5_000;
/// How long one that says other things may keep somebody waiting, in milliseconds.
const ANSWER: u32 = 60_000;

/// Waiting for an answer of a processor.
pub(super) struct Patience<'a> {
    lane: &'a Lane,
    begun: u32,
    // What it had said, and when that was looked at.
    taken: u32,
    since: u32,
}

impl<'a> Patience<'a> {
    /// From now on.
    pub(super) fn new(lane: &'a Lane) -> Self {
        let now = jiffies_msecs();
        Self {
            lane,
            begun: now,
            taken: lane.handle.taken(lane.processor),
            since: now,
        }
    }

    /// Whether it has taken too long: the processor has been silent, or has not answered for very
    /// long.
    pub(super) fn is_over(&mut self) -> bool {
        let now = jiffies_msecs();
        if now.wrapping_sub(self.begun) > ANSWER {
            return true;
        }
        let taken = self.lane.handle.taken(self.lane.processor);
        if taken != self.taken {
            self.taken = taken;
            self.since = now;
        }
        now.wrapping_sub(self.since) >= SILENCE
    }
}
