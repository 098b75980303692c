// SPDX-License-Identifier: GPL-2.0

//! What a processor is made of, and one round of its work.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;

use toe_abi::completion::Reason;
use toe_abi::ring;
use toe_abi::ring::Ring;
use toe_abi::stats::Counter;

use super::Config;
use super::Rings;
use crate::coalesce::Coalesce;
use crate::counters::Counters;
use crate::dct::Table;
use crate::env::Capabilities;
use crate::env::Env;
use crate::env::Frag;
use crate::env::Host;
use crate::filter::Filter;
use crate::flow::Flows;
use crate::ring::Completions;
use crate::ring::Consumer;
use crate::ring::HostError;
use crate::steering::Steering;
use crate::storage::MAX_FRAME;
use crate::storage::Storage;
use crate::tcp::Instant;
use crate::tcp::Outgoing;
use crate::wheel::Wheel;

/// Counters are brought up to date this often, in microseconds.
const STATUS_INTERVAL: u64 = 1_000;
/// How long to wait before looking again for room in the completion ring, in microseconds: the host
/// does not wake the adapter for that.
const ROOM_INTERVAL: u64 = 200;
/// How long payload may be dropped for want of pages before the connection is returned, in
/// microseconds.
const STARVED_LIMIT: u64 = 1_000_000;
/// Connections, and flows, that are looked at in a round when pages are scarce.
const RECLAIM_STEPS: usize = 64;
/// Pieces of host memory that one frame can have on its way to the port.
pub(super) const MAX_FRAGS: usize = 128;
/// MTU until `SetMtu`.
const DEFAULT_MTU: usize = 1500;

/// Marks in the connection table: the queues of a processor that a connection can stand in.
pub(super) mod mark {
    /// [`Core::touched`](super::Core::touched).
    pub const TOUCHED: u8 = 1 << 0;
    /// [`Core::ready`](super::Core::ready).
    pub const READY: u8 = 1 << 1;
    /// [`Core::reports`](super::Core::reports).
    pub const REPORT: u8 = 1 << 2;
    /// [`Core::returns`](super::Core::returns).
    pub const RETURN: u8 = 1 << 3;
}

/// The rings of a running processor.
pub(super) struct RingSet {
    pub(super) transmit: Consumer,
    pub(super) headers: Consumer,
    pub(super) payload: Consumer,
    pub(super) submission: Consumer,
    pub(super) completions: Completions,
    /// DMA address of the status page.
    pub(super) status: u64,
}

impl RingSet {
    /// `None` for a size or an alignment out of range.
    pub(super) fn new(rings: &Rings) -> Option<Self> {
        let status = rings.status;
        if status % toe_abi::PAGE_SIZE as u64 != 0 || status.checked_add(4096).is_none() {
            return None;
        }
        let consumer = |ring: Ring| {
            let address = rings.addresses[ring as usize];
            Consumer::new(ring, address, rings.log2_entries[ring as usize], status)
        };
        let completion = Ring::Completion as usize;
        Some(Self {
            transmit: consumer(Ring::Transmit)?,
            headers: consumer(Ring::HeaderPages)?,
            payload: consumer(Ring::PayloadPages)?,
            submission: consumer(Ring::Submission)?,
            completions: Completions::new(
                rings.addresses[completion],
                rings.log2_entries[completion],
                status,
            )?,
            status,
        })
    }
}

/// Buffers that are used within one call.
pub(super) struct Scratch {
    /// A whole frame: gathered from the host, or from held chunks.
    pub(super) frame: Box<[u8]>,
    /// A frame that is being built from it.
    pub(super) segment: Box<[u8]>,
    /// Where the payload of a frame lies.
    pub(super) frags: Box<[Frag]>,
}

/// Everything but the rings.
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) capabilities: Capabilities,
    pub(super) counters: Counters,
    pub(super) steering: Steering,
    pub(super) filter: Filter,
    pub(super) mtu: usize,
    pub(super) coalesce: Coalesce,
    pub(super) storage: Storage,
    pub(super) flows: Flows,
    pub(super) table: Table,
    pub(super) wheel: Wheel,
    /// Connections that something has happened to since the last round.
    pub(super) touched: VecDeque<u32>,
    /// Connections that may have something to send, in the order of their turns.
    pub(super) ready: VecDeque<u32>,
    /// Connections whose progress is to be reported.
    pub(super) reports: VecDeque<u32>,
    /// Connections to be returned as soon as the completion ring has room.
    pub(super) returns: VecDeque<u32>,
    /// A segment that the port had no room for, and the identifier of its connection.
    pub(super) stalled: Option<(u32, Outgoing)>,
    /// Entries of the transmit ring are skipped up to the end of a frame that is too long.
    pub(super) skipping: bool,
    /// Wire frames of the first large segment in the transmit ring that the port has taken.
    pub(super) resume: usize,
    pub(super) scratch: Scratch,
    /// Where the search for idle pages stands in the connection table.
    hand: u32,
    next_status: u64,
    /// When entries of a ring were last taken or written.
    pub(super) worked_at: u64,
}

/// What is left after a round.
pub(super) enum Round {
    /// More can be done at once.
    Work,
    /// Nothing before this time.
    Wait(Option<u64>),
}

impl Core {
    pub(super) fn new(config: &Config) -> Self {
        let connections = config.connections as usize;
        Self {
            config: *config,
            capabilities: Capabilities::default(),
            counters: Counters::new(),
            steering: Steering::new(config.processors),
            filter: Filter::new(config.mac),
            mtu: DEFAULT_MTU,
            coalesce: Coalesce::default(),
            storage: Storage::new(config.pages),
            flows: Flows::new(config.flows),
            table: Table::new(config.connections, config.fragments, config.hold),
            wheel: Wheel::new(connections),
            touched: VecDeque::with_capacity(connections),
            ready: VecDeque::with_capacity(connections),
            reports: VecDeque::with_capacity(connections),
            returns: VecDeque::with_capacity(connections),
            stalled: None,
            skipping: false,
            resume: 0,
            scratch: Scratch {
                frame: vec![0; MAX_FRAME].into_boxed_slice(),
                segment: vec![0; MAX_FRAME].into_boxed_slice(),
                frags: vec![Frag::default(); MAX_FRAGS].into_boxed_slice(),
            },
            hand: 0,
            next_status: 0,
            worked_at: 0,
        }
    }

    /// Forgets everything that the rings of a former run had brought.
    pub(super) fn clear(&mut self, now: u64) {
        self.storage.clear();
        self.flows.clear();
        self.table.clear();
        self.wheel.clear(now);
        self.touched.clear();
        self.ready.clear();
        self.reports.clear();
        self.returns.clear();
        self.stalled = None;
        self.skipping = false;
        self.resume = 0;
        self.coalesce.restart();
        self.next_status = now;
        self.counters.set(Counter::Connections, 0);
    }

    /// Back to the defaults of a function that was just reset.
    pub(super) fn defaults(&mut self) {
        self.clear(0);
        self.steering = Steering::new(self.config.processors);
        self.filter = Filter::new(self.config.mac);
        self.mtu = DEFAULT_MTU;
        self.coalesce = Coalesce::default();
        self.storage.defaults();
        self.counters = Counters::new();
    }

    /// Notes that something has happened to the connection at `place`: before the end of the round
    /// its payload is shown to the host, and it gets a turn to send.
    #[inline]
    pub(super) fn touch(&mut self, place: u32) {
        if self.table.mark(place, mark::TOUCHED) {
            self.touched.push_back(place);
        }
    }

    /// Gives the connection at `place` a turn to send.
    #[inline]
    pub(super) fn make_ready(&mut self, place: u32) {
        if self.table.mark(place, mark::READY) {
            self.ready.push_back(place);
        }
    }

    /// One round.
    ///
    /// The order matters. Payload is shown to the host before it is acknowledged to the peer
    /// (invariant 2). Submissions are carried out before frames that the host has posted after them:
    /// the transmit ring's index is read first, and its frames wait while there are submissions.
    pub(super) fn round<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        budget: usize,
        stopping: bool,
    ) -> Result<Round, HostError> {
        let indices = |rings: &RingSet| {
            [
                rings.transmit.consumer(),
                rings.submission.consumer(),
                rings.completions.published(),
            ]
        };
        let before = indices(rings);
        rings.completions.refresh(env)?;
        self.fetch_pages(env, rings)?;
        self.complete_returns(now, env, rings)?;
        self.settle(env, rings)?;
        rings.transmit.refresh(env)?;
        rings.submission.refresh(env)?;
        let blocked = self.submissions(now, env, rings, budget, stopping)?;
        let mut full = false;
        if rings.submission.available() == 0 || blocked {
            full = self.host_frames(now, env, rings, budget)?;
        }
        self.timers(now, env, rings)?;
        // Timers and submissions may have touched connections.
        self.settle(env, rings)?;
        if !full {
            full = self.send(now, env, rings, budget)?;
        }
        self.report(env, rings)?;
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
        if indices(rings) != before {
            self.worked_at = now;
        }
        if now >= self.next_status {
            self.publish_counters(now, env, rings)?;
        }
        let work = rings.submission.available() != 0 && !blocked
            || !full && (rings.transmit.available() != 0 || !self.ready.is_empty());
        if work {
            return Ok(Round::Work);
        }
        let waits = blocked || !self.reports.is_empty() || !self.returns.is_empty();
        let room = waits.then_some(now + ROOM_INTERVAL);
        let deadlines = [self.wheel.deadline(), self.coalesce.deadline(), room];
        Ok(Round::Wait(deadlines.into_iter().flatten().min()))
    }

    /// Takes over pages that the host has posted.
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

    /// When payload pages run out, takes them back from connections and flows that have been idle:
    /// the hand of a clock goes round each table and passes over those that have placed payload since
    /// its last turn.
    fn reclaim_pages<H: Host>(
        &mut self,
        host: &mut H,
        rings: &mut RingSet,
    ) -> Result<(), HostError> {
        if !self.storage.is_scarce() {
            return Ok(());
        }
        for _ in 0..RECLAIM_STEPS {
            self.hand = (self.hand + 1) % self.table.places();
            let connection = self.table.get(self.hand);
            let reassembly = connection.map(|connection| &mut connection.reassembly);
            self.storage
                .reclaim(host, &mut rings.completions, reassembly)?;
        }
        self.storage.flush(host, &mut rings.completions)
    }

    /// Brings the counters in the status page up to date.
    pub(super) fn publish_counters<H: Host>(
        &mut self,
        now: u64,
        host: &mut H,
        rings: &RingSet,
    ) -> Result<(), HostError> {
        self.next_status = now + STATUS_INTERVAL;
        Ok(self.counters.publish(host, rings.status)?)
    }

    /// Sets or clears the announcement of sleep.
    pub(super) fn announce_sleep<H: Host>(
        &self,
        host: &mut H,
        rings: &RingSet,
        sleeps: bool,
    ) -> Result<(), HostError> {
        let at = rings.status + ring::SLEEPING as u64;
        Ok(host.store_release(at, u32::from(sleeps))?)
    }

    /// Ends the batch: shows the host what has been received. For every connection that something
    /// has happened to, lets TCP acknowledge it and frees what the peer has acknowledged.
    fn settle<E: Env>(&mut self, env: &mut E, rings: &mut RingSet) -> Result<(), HostError> {
        let completions = &mut rings.completions;
        self.storage.flush(env, completions)?;
        if self.touched.is_empty() {
            return Ok(());
        }
        for &place in &self.touched {
            if let Some(connection) = self.table.get(place) {
                let pages = &mut self.storage.supply.payload;
                connection.reassembly.flush(env, pages, completions)?;
            }
        }
        rings.completions.publish(env)?;
        while let Some(place) = self.touched.pop_front() {
            self.table.unmark(place, mark::TOUCHED);
            let Some((connection, fragments, _)) = self.table.parts(place) else {
                continue;
            };
            let tcb = &mut connection.tcb;
            let end = tcb.rcv_nxt();
            tcb.delivered(end);
            connection.fragments.acknowledge(fragments, tcb.snd_una());
            self.take_news(place);
            self.make_ready(place);
        }
        Ok(())
    }

    /// Counts what TCP has to tell, and queues a report to the host when there is one to make.
    pub(super) fn take_news(&mut self, place: u32) {
        let Some(connection) = self.table.get(place) else {
            return;
        };
        let news = connection.tcb.take_events();
        self.counters
            .add(Counter::ToeTimeouts, u64::from(news.timeouts));
        self.counters
            .add(Counter::ToeRecoveries, u64::from(news.recoveries));
        if news.acked && self.table.mark(place, mark::REPORT) {
            self.reports.push_back(place);
        }
    }

    /// Does what is due.
    fn timers<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
    ) -> Result<(), HostError> {
        while let Some(place) = self.wheel.expire(now) {
            let Some(connection) = self.table.get(place) else {
                continue;
            };
            let starved = connection
                .starved_since
                .is_some_and(|since| now >= since + STARVED_LIMIT);
            let due = connection.tcb.deadline().is_some_and(|at| at.0 <= now);
            let result = if starved {
                Err(Reason::NoPages)
            } else if due {
                connection.tcb.on_timer(Instant(now))
            } else {
                Ok(())
            };
            match result {
                Ok(()) if due => self.touch(place),
                Ok(()) => self.set_timer(place),
                Err(reason) => {
                    self.take_news(place);
                    self.return_connection(now, env, rings, place, reason, None)?;
                }
            }
        }
        Ok(())
    }

    /// Sets the timer of the connection at `place` to its next deadline.
    #[inline]
    pub(super) fn set_timer(&mut self, place: u32) {
        if let Some(connection) = self.table.get(place) {
            let tcp = connection.tcb.deadline().map(|at| at.0);
            let starved = connection.starved_since.map(|since| since + STARVED_LIMIT);
            if let Some(deadline) = tcp.into_iter().chain(starved).min() {
                self.wheel.at_latest(place, deadline);
            }
        }
    }
}
