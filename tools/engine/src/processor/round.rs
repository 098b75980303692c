// SPDX-License-Identifier: GPL-2.0

//! One round of a processor's work.

use super::Next;
use super::core::Core;
use super::core::mark;
use super::rings::RingSet;
use crate::env::Env;
use crate::env::Host;
use crate::ring::HostError;

/// Interval at which a full completion ring is polled for room, in microseconds. The host does not
/// kick the adapter when it consumes completions.
const ROOM_INTERVAL: u64 = 200;
/// Slots and flows that a round visits in search of idle pages.
const RECLAIM_STEPS: usize = 64;

/// What is left after a round.
pub(super) enum Round {
    /// More work can be done at once.
    Work,
    /// There is no work before this time, in microseconds.
    Wait(Option<u64>),
}

impl From<Round> for Next {
    fn from(round: Round) -> Self {
        match round {
            Round::Work => Self::Work,
            Round::Wait(deadline) => Self::Sleep { deadline },
        }
    }
}

impl Core {
    /// Does one round of work: at most about `budget` entries or packets of each kind. While
    /// `stopping`, no connection is taken over.
    ///
    /// The order matters in two places. Payload is published to the host before it is acknowledged
    /// to the peer. Submissions are carried out before host frames that were posted after them
    /// ([`Fence`](super::fence::Fence)), except while a `Delegate` waits for room in the completion
    /// ring.
    pub(super) fn round<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        budget: usize,
        stopping: bool,
    ) -> Result<Round, HostError> {
        let before = rings.progress();
        rings.completions.refresh(env)?;
        self.fetch_pages(env, rings)?;
        let mut more = self.complete_returns(now, env, rings, budget)?;
        more |= self.sweep(now, env, rings, budget, stopping)?;
        self.settle(env, rings)?;
        rings.refresh_requests(env)?;
        let blocked = self.submissions(now, env, rings, budget, stopping)?;
        rings.admit_frames(blocked);
        more |= self.timers(now, env, rings, budget)?;
        // Settle connections that submissions and timers have touched.
        self.settle(env, rings)?;
        let full = self.transmit(now, env, rings, budget)?;
        more |= self.report(env, rings, budget)?;
        self.reclaim_pages(env, rings)?;
        rings.completions.publish(env)?;
        rings.transmit.publish(env)?;
        rings.submission.publish(env)?;
        self.coalesce.poll(
            now,
            env,
            rings.completions.published(),
            rings.transmit.consumer(),
            &mut self.counters,
        );
        if rings.progress() != before {
            self.worked_at = now;
        }
        if now >= self.next_status {
            self.publish_counters(now, env, rings)?;
        }
        let work = more
            || rings.submission.available() != 0 && !blocked
            || !full && (rings.transmit.available() != 0 || !self.ready.is_empty());
        if work {
            return Ok(Round::Work);
        }
        let waits = blocked || !self.reports.is_empty() || !self.returns.is_empty();
        let room = waits.then_some(now + ROOM_INTERVAL);
        let deadlines = [self.wheel.deadline(), self.coalesce.deadline(), room];
        Ok(Round::Wait(deadlines.into_iter().flatten().min()))
    }

    /// Sends frames of the host and packets of connections, at most `budget` of each. Returns true
    /// when the port has no room for all of them. Then the others begin the next time.
    fn transmit<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        budget: usize,
    ) -> Result<bool, HostError> {
        for host in [self.host_first, !self.host_first] {
            let full = match host {
                true => self.host_frames(now, env, rings, budget)?,
                false => self.send(now, env, rings, budget)?,
            };
            if full {
                self.host_first = !self.host_first;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Does one round of a processor that is being stopped, until every connection is returned.
    pub(super) fn stop_round<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        budget: usize,
    ) -> Result<Next, HostError> {
        let next = self.round(now, env, rings, budget, true)?;
        if !self.table.is_empty() {
            return Ok(next.into());
        }
        self.publish_counters(now, env, rings)?;
        self.clear(now);
        Ok(Next::Stopped)
    }

    /// Takes pages that the host has posted.
    #[inline]
    pub(super) fn fetch_pages<H: Host>(
        &mut self,
        host: &mut H,
        rings: &mut RingSet,
    ) -> Result<(), HostError> {
        self.storage
            .supply
            .headers
            .fetch(host, &mut rings.headers, &mut self.counters)?;
        self.storage
            .supply
            .payload
            .fetch(host, &mut rings.payload, &mut self.counters)
    }

    /// When payload pages are scarce, takes back the pages of connections and flows that are idle.
    /// A clock hand passes over both tables and skips entries that have placed payload since its
    /// last visit.
    fn reclaim_pages<H: Host>(
        &mut self,
        host: &mut H,
        rings: &mut RingSet,
    ) -> Result<(), HostError> {
        if !self.storage.is_scarce() {
            return Ok(());
        }
        for _ in 0..RECLAIM_STEPS {
            self.hand = (self.hand + 1) % self.table.slots();
            let connection = self.table.get(self.hand);
            let reassembly = connection.map(|connection| &mut connection.buffers.reassembly);
            self.storage
                .reclaim(host, &mut rings.completions, reassembly)?;
        }
        self.storage.flush(host, &mut rings.completions)
    }

    /// Ends a batch: publishes received payload to the host. Then, for every touched connection, lets
    /// the protocol acknowledge that payload and frees payload that the peer has acknowledged.
    pub(super) fn settle<E: Env>(
        &mut self,
        env: &mut E,
        rings: &mut RingSet,
    ) -> Result<(), HostError> {
        let completions = &mut rings.completions;
        self.storage.flush(env, completions)?;
        if self.touched.is_empty() {
            return Ok(());
        }
        for &slot in &self.touched {
            if let Some(connection) = self.table.get(slot) {
                let pages = &mut self.storage.supply.payload;
                connection
                    .buffers
                    .reassembly
                    .flush(env, pages, completions)?;
            }
        }
        rings.completions.publish(env)?;
        while let Some(slot) = self.touched.pop_front() {
            self.table.unmark(slot, mark::TOUCHED);
            let Some((connection, pools)) = self.table.parts(slot) else {
                continue;
            };
            connection.protocol.delivered();
            let acknowledged = connection.protocol.acknowledged();
            connection
                .buffers
                .send
                .acknowledge(&mut pools.frags, acknowledged);
            self.take_events(slot);
            self.make_ready(slot);
        }
        Ok(())
    }
}
