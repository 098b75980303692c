// SPDX-License-Identifier: GPL-2.0

//! Counts of hand-overs and returns, by reason.

use super::reason::{
    Cause,
    Refusal, //
};
use kernel::sync::atomic::{
    ordering::Relaxed,
    Atomic, //
};

/// Hand-overs that were refused before an adapter was found.
pub(super) static NO_ADAPTER: Stats = Stats::new();

/// Outcomes of hand-overs and causes of returns, of one adapter or of none ([`NO_ADAPTER`]).
pub(super) struct Stats {
    delegated: Atomic<u64>,
    refused: [Atomic<u64>; Refusal::ALL.len()],
    returned: [Atomic<u64>; Cause::ALL.len()],
}

impl Stats {
    /// Creates counters at zero.
    pub(super) const fn new() -> Self {
        Self {
            delegated: Atomic::new(0),
            refused: [const { Atomic::new(0) }; Refusal::ALL.len()],
            returned: [const { Atomic::new(0) }; Cause::ALL.len()],
        }
    }

    /// Counts the outcome of a hand-over.
    pub(super) fn count_handover(&self, result: Result<(), Refusal>) {
        let counter = match result {
            Ok(()) => &self.delegated,
            Err(refusal) => &self.refused[refusal.index()],
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Counts a return.
    pub(super) fn count_return(&self, cause: Cause) {
        self.returned[cause.index()].fetch_add(1, Relaxed);
    }

    /// Returns the number of hand-overs that succeeded.
    pub(super) fn delegated(&self) -> u64 {
        self.delegated.load(Relaxed)
    }

    /// Returns the number of refusals, by reason.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        Refusal::ALL
            .iter()
            .map(|&refusal| (refusal, self.refused[refusal.index()].load(Relaxed)))
    }

    /// Returns the number of returns, by cause.
    pub(super) fn returns(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        Cause::ALL
            .iter()
            .map(|&cause| (cause, self.returned[cause.index()].load(Relaxed)))
    }
}
