// SPDX-License-Identifier: GPL-2.0

//! Limits for a function that is slow, or that fails again and again.

use crate::util::time::jiffies_msecs;
use kernel::{
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    },
    time::Delta, //
};

/// Longest time in milliseconds that all commands of one operation may take together.
const OPERATION_MS: u32 = 30_000;
/// Number of recoveries within [`PERIOD_MS`] after which the function is given up.
pub(super) const RECOVERIES: usize = 10;
/// See [`RECOVERIES`], in milliseconds.
const PERIOD_MS: u32 = 60_000;

/// Returns the time from `now` to `end`, negative if `end` is in the past.
fn left(end: u32, now: u32) -> i32 {
    end.wrapping_sub(now) as i32
}

/// The deadline of an operation that executes several commands.
pub(super) struct Deadline(Atomic<u32>);

impl Deadline {
    /// Creates a deadline that is not in force.
    pub(super) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Puts the deadline in force until the result is dropped, unless it is in force already.
    pub(super) fn begin(&self) -> Operation<'_> {
        // 0 means that there is none.
        let end = jiffies_msecs().wrapping_add(OPERATION_MS).max(1);
        Operation(self.0.cmpxchg(0, end, Full).is_ok().then_some(self))
    }

    /// Moves the deadline by `time`, if it is in force. Only the task of the operation may call this.
    pub(super) fn extend(&self, time: Delta) {
        let end = self.0.load(Relaxed);
        if end != 0 {
            // CAST: An operation takes minutes at most.
            let end = end.wrapping_add(time.as_millis() as u32);
            self.0.store(end.max(1), Relaxed);
        }
    }

    /// Returns the time left, if the deadline is in force.
    pub(super) fn left(&self) -> Option<Delta> {
        match self.0.load(Relaxed) {
            0 => None,
            end => Some(Delta::from_millis(left(end, jiffies_msecs()).max(0).into())),
        }
    }
}

/// An operation with a [`Deadline`].
#[must_use]
pub(super) struct Operation<'a>(Option<&'a Deadline>);

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        if let Some(deadline) = self.0 {
            deadline.0.store(0, Relaxed);
        }
    }
}

/// The times of the latest recoveries.
pub(super) struct Recoveries {
    times: [Option<u32>; RECOVERIES],
    next: usize,
}

impl Recoveries {
    /// Creates an empty history.
    pub(super) const fn new() -> Self {
        Self {
            times: [None; RECOVERIES],
            next: 0,
        }
    }

    /// Notes a recovery at `now` ([`jiffies_msecs`]). Returns false when there were too many before it.
    pub(super) fn note(&mut self, now: u32) -> bool {
        let oldest = self.times[self.next].replace(now);
        self.next = (self.next + 1) % RECOVERIES;
        oldest.is_none_or(|oldest| now.wrapping_sub(oldest) >= PERIOD_MS)
    }
}

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(toe_driver_limits)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_can_be_moved_while_it_is_in_force() {
        let deadline = Deadline::new();
        deadline.extend(Delta::from_secs(1));
        assert!(deadline.left().is_none());
        let operation = deadline.begin();
        deadline.extend(Delta::from_secs(3600));
        let limit = Delta::from_millis(OPERATION_MS.into());
        assert!(deadline.left().is_some_and(|left| left > limit));
        drop(operation);
        assert!(deadline.left().is_none());
    }

    #[test]
    fn recoveries_are_limited_per_minute() {
        let mut recoveries = Recoveries::new();
        // The clock wraps.
        let start = u32::MAX - 5;
        for i in 0..RECOVERIES as u32 {
            assert!(recoveries.note(start.wrapping_add(i)));
        }
        assert!(!recoveries.note(start.wrapping_add(PERIOD_MS - 1)));
        let mut recoveries = Recoveries::new();
        for i in 0..RECOVERIES as u32 * 3 {
            let interval = PERIOD_MS / RECOVERIES as u32;
            assert!(recoveries.note(start.wrapping_add(i * interval)));
        }
    }

    #[test]
    fn the_outermost_operation_has_the_deadline() {
        let deadline = Deadline::new();
        assert!(deadline.left().is_none());
        let outer = deadline.begin();
        drop(deadline.begin());
        assert!(deadline
            .left()
            .is_some_and(|left| left.as_millis() <= OPERATION_MS.into()));
        drop(outer);
        assert!(deadline.left().is_none());
    }
}
