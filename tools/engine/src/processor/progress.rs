// SPDX-License-Identifier: GPL-2.0

//! Reports of the progress of delegated connections.

use toe_abi::stats::Counter;

use super::core::Core;
use super::core::mark;
use super::rings::RingSet;
use crate::env::Env;
use crate::ring::HostError;

impl Core {
    /// Counts the events of the connection in `slot`, and queues it when there is progress to report.
    pub(super) fn take_events(&mut self, slot: u32) {
        let Some(connection) = self.table.get(slot) else {
            return;
        };
        let events = connection.protocol.take_events();
        self.counters
            .add(Counter::ToeTimeouts, u64::from(events.timeouts));
        self.counters
            .add(Counter::ToeRecoveries, u64::from(events.recoveries));
        let resumes = connection.protocol.can_resume();
        if (events.acked || resumes) && self.table.mark(slot, mark::REPORT) {
            self.reports.push_back(slot);
        }
    }

    /// Writes completions for at most `budget` queued connections, as far as the completion ring has
    /// room. Returns whether there may be room for more.
    pub(super) fn report<E: Env>(
        &mut self,
        env: &mut E,
        rings: &mut RingSet,
        budget: usize,
    ) -> Result<bool, HostError> {
        for _ in 0..budget {
            let Some(&slot) = self.reports.front() else {
                return Ok(false);
            };
            if let Some(connection) = self.table.get(slot) {
                let resumes = connection.protocol.can_resume();
                if !rings.completions.reserve(1 + u32::from(resumes)) {
                    return Ok(false);
                }
                if let Some(entry) = connection.protocol.resume(connection.host_id) {
                    rings.completions.write(env, &entry)?;
                }
                let entry = connection.protocol.progress(connection.host_id);
                rings.completions.write(env, &entry)?;
            }
            self.reports.pop_front();
            self.table.unmark(slot, mark::REPORT);
        }
        Ok(!self.reports.is_empty())
    }
}
