// SPDX-License-Identifier: GPL-2.0

//! Timers of delegated connections: those of the protocol, and the limit on lack of pages.

use toe_abi::completion::Reason;

use super::core::Core;
use super::rings::RingSet;
use crate::env::Env;
use crate::ring::HostError;

/// Time for which payload may be dropped for lack of pages before the connection is returned, in
/// microseconds.
const STARVED_LIMIT: u64 = 1_000_000;

impl Core {
    /// Handles at most `budget` expired timers. Returns whether there may be more.
    pub(super) fn timers<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        budget: usize,
    ) -> Result<bool, HostError> {
        for _ in 0..budget {
            let Some(slot) = self.wheel.expire(now) else {
                return Ok(false);
            };
            let Some(connection) = self.table.get(slot) else {
                continue;
            };
            let starved = connection
                .starved_since
                .is_some_and(|since| now >= since + STARVED_LIMIT);
            // The wheel fires at the old deadline if the deadline has moved later since.
            let due = connection.protocol.deadline().is_some_and(|at| at <= now);
            let result = if starved {
                Err(Reason::NoPages)
            } else if due {
                connection.protocol.on_timer(now)
            } else {
                Ok(())
            };
            match result {
                Ok(()) if due => self.touch(slot),
                Ok(()) => self.set_timer(slot),
                Err(reason) => {
                    self.take_events(slot);
                    self.return_connection(now, env, rings, slot, reason, None)?;
                }
            }
        }
        Ok(true)
    }

    /// Sets the timer of the connection in `slot` to its next deadline.
    #[inline]
    pub(super) fn set_timer(&mut self, slot: u32) {
        if let Some(connection) = self.table.get(slot) {
            let protocol = connection.protocol.deadline();
            let starved = connection.starved_since.map(|since| since + STARVED_LIMIT);
            if let Some(deadline) = protocol.into_iter().chain(starved).min() {
                self.wheel.at_latest(slot, deadline);
            }
        }
    }
}
