// SPDX-License-Identifier: GPL-2.0

//! One offload processor.
//!
//! The thread that drives a processor repeats:
//!
//! 1. take a batch of frames from the port, as long as there is room for them
//!    ([`Processor::has_room`]), and give them to [`Processor::receive_batch`]; one that belongs
//!    elsewhere goes to the named processor's queue, and from there to its
//!    [`Processor::receive_here`];
//! 2. call [`Processor::poll`], which publishes what the batch has produced, does the host's work
//!    and sends;
//! 3. when that says [`Next::Sleep`] and no frame is waiting: [`Processor::prepare_sleep`], and when
//!    that says [`Next::Sleep`] too, sleep until the deadline, a kick, a frame, a message or room in
//!    the port; then [`Processor::wake`].
//!
//! `now` is in microseconds on any clock that does not go back, the same for all calls of one
//! processor.

mod core;
mod receive;
mod returning;
mod send;
mod submission;
mod transmit;
mod upload;

use ::core::sync::atomic::Ordering;
use ::core::sync::atomic::fence;

use toe_abi::admin::Status;
use toe_abi::admin::filter;
use toe_abi::admin::storage;
use toe_abi::completion::Reason;
use toe_abi::ring::RINGS;
use toe_abi::rss;
use toe_abi::rss::Fields;
use toe_abi::rules::Rule;
use toe_abi::stats::Counter;

use self::core::Core;
use self::core::RingSet;
use self::core::Round;
use crate::counters::Counters;
use crate::env::Env;
use crate::env::RxOffload;
use crate::filter::MAX_MULTICAST;
use crate::ring::HostError;
pub use crate::tuple::Seed;

/// Sizes of a processor's tables and buffers, fixed when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Number of this processor within its function.
    pub index: u8,
    /// Number of processors of the function: what the indirection table spreads over by default.
    pub processors: u8,
    /// Delegated connections held at most ([`toe_abi::regs::CONNECTIONS`]).
    pub connections: u32,
    /// Payload fragments held at most, over all connections ([`toe_abi::regs::FRAGMENTS`]).
    pub fragments: u32,
    /// Page identifiers of either ring are below this ([`toe_abi::regs::PAGES`]).
    pub pages: u32,
    /// Flows in the flow database; a power of two.
    pub flows: u32,
    /// Bytes of device memory for segments held out of order, over all connections.
    pub hold: u32,
    /// ... and for one connection.
    pub hold_connection: u32,
    /// Own unicast MAC address until `SetFilter`.
    pub mac: [u8; 6],
    /// Secret of the hash tables.
    pub seed: Seed,
}

/// Rings of a processor, from [`toe_abi::admin::StartProcessor`]; order of [`toe_abi::ring::Ring`].
#[derive(Clone, Copy, Debug)]
pub struct Rings {
    /// log2 of the number of entries.
    pub log2_entries: [u8; RINGS],
    /// DMA addresses.
    pub addresses: [u64; RINGS],
    /// DMA address of the status page.
    pub status: u64,
}

/// Frames whose flows are looked for at once ([`Processor::receive_batch`]).
pub const BATCH: usize = 32;

/// Frames that a port has given and that have not been received yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// How many.
    pub frames: usize,
    /// Bytes of all of them.
    pub bytes: usize,
}

/// What became of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Dealt with (stored, used, or dropped and counted).
    Done,
    /// Belongs to this processor of the same function.
    Elsewhere(u8),
}

/// What a processor wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More to do at once.
    Work,
    /// Nothing to do before `deadline` (microseconds, same clock as `now`), or before something
    /// happens when there is none.
    Sleep {
        /// When to poll again at the latest.
        deadline: Option<u64>,
    },
    /// A [`Processor::stop`] is complete; the processor touches host memory no more.
    Stopped,
    /// The rings make no sense or their memory is gone. The processor has stopped dead; the device
    /// reports [`toe_abi::admin::Event::ProcessorFailed`].
    Failed,
}

/// How far a processor's run has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Connections are being returned.
    Stopping,
    Failed,
    /// Has failed and was stopped then.
    Dead,
}

/// A run: from start to stop.
struct Run {
    phase: Phase,
    rings: RingSet,
}

impl Run {
    /// Whether the rings can be used.
    fn works(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Stopping)
    }
}

/// One offload processor: everything between a port and one set of rings.
pub struct Processor {
    core: Core,
    run: Option<Run>,
}

impl Processor {
    /// Makes a processor. All memory that it will ever use is allocated here.
    pub fn new(config: &Config) -> Self {
        Self {
            core: Core::new(config),
            run: None,
        }
    }

    /// Starts the processor on `rings`, with every index and every counter at 0.
    ///
    /// # Errors
    ///
    /// `State` when it runs, `Invalid` for a ring size or alignment out of range, `Fault` when the
    /// status page is not mapped.
    pub fn start<E: Env>(&mut self, now: u64, env: &mut E, rings: &Rings) -> Result<(), Status> {
        if self.run.is_some() {
            return Err(Status::State);
        }
        let rings = RingSet::new(rings).ok_or(Status::Invalid)?;
        self.core.clear(now);
        self.core.counters = Counters::new();
        self.core.capabilities = env.capabilities();
        self.core
            .publish_counters(now, env, &rings)
            .map_err(|HostError| Status::Fault)?;
        self.run = Some(Run {
            phase: Phase::Running,
            rings,
        });
        Ok(())
    }

    /// Begins to stop: every connection is returned with reason `Stop`. [`Processor::poll`] says
    /// [`Next::Stopped`] when that is done, once. A processor that has failed stops at once.
    ///
    /// # Errors
    ///
    /// `State` when it does not run.
    pub fn stop(&mut self) -> Result<(), Status> {
        let run = self.run.as_mut().ok_or(Status::State)?;
        run.phase = match run.phase {
            Phase::Running | Phase::Stopping => Phase::Stopping,
            Phase::Failed | Phase::Dead => Phase::Dead,
        };
        Ok(())
    }

    /// Forgets rings, pages, connections and flows at once and touches host memory no more. Filter,
    /// hash, MTU, moderation, storage and counters go back to their defaults.
    pub fn reset(&mut self) {
        self.run = None;
        self.core.defaults();
    }

    /// Whether the largest frame would find room in the host's rings now, behind those that are
    /// `ahead` of it. Who asks before he takes a frame from the port, and lets the port wait instead,
    /// loses nothing to a host that is slow. A processor that does not run has room: it drops what it
    /// is given.
    #[inline]
    pub fn has_room<E: Env>(&mut self, env: &mut E, ahead: Ahead) -> bool {
        let Some(run) = &mut self.run else {
            return true;
        };
        if !run.works() {
            return true;
        }
        match self.core.has_room(env, &mut run.rings, ahead) {
            Ok(room) => room,
            Err(HostError) => {
                run.phase = Phase::Failed;
                true
            }
        }
    }

    /// Takes a frame from the port (from the Ethernet header on, without FCS) that may belong to
    /// any processor of the function. One that does not run keeps none, and passes on what belongs
    /// to others.
    #[inline]
    pub fn receive<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        frame: &[u8],
        offload: &RxOffload,
    ) -> Received {
        self.take(now, env, frame, offload, false)
    }

    /// Takes frames from the port as [`Processor::receive`] does, one after the other, and calls
    /// `elsewhere` with the number of each that belongs to another processor, and with that.
    ///
    /// What is known of their flows is fetched for up to [`BATCH`] of them at once: of many flows, most
    /// are not in the cache.
    #[inline]
    pub fn receive_batch<'a, E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        frames: impl Iterator<Item = (&'a [u8], RxOffload)>,
        mut elsewhere: impl FnMut(usize, u8),
    ) {
        let mut frames = frames.enumerate();
        match &mut self.run {
            Some(run) if run.works() => {
                let rings = &mut run.rings;
                let result = self
                    .core
                    .receive_batch(now, env, rings, &mut frames, &mut elsewhere);
                if result.is_err() {
                    run.phase = Phase::Failed;
                }
            }
            _ => {
                for (number, (frame, offload)) in frames {
                    if let Received::Elsewhere(to) = self.receive(now, env, frame, &offload) {
                        elsewhere(number, to);
                    }
                }
            }
        }
    }

    /// Takes a frame that another processor found to belong to this one.
    #[inline]
    pub fn receive_here<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        frame: &[u8],
        offload: &RxOffload,
    ) {
        self.take(now, env, frame, offload, true);
    }

    #[inline]
    fn take<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        frame: &[u8],
        offload: &RxOffload,
        here: bool,
    ) -> Received {
        let Some(run) = &mut self.run else {
            // The port may still bring what the hash assigns to others.
            return match self.core.assigned(frame, offload) {
                Some(processor) if !here && processor != self.core.config.index => {
                    Received::Elsewhere(processor)
                }
                _ => Received::Done,
            };
        };
        if !run.works() {
            return Received::Done;
        }
        match self
            .core
            .receive(now, env, &mut run.rings, frame, offload, here)
        {
            Ok(received) => received,
            Err(HostError) => {
                run.phase = Phase::Failed;
                Received::Done
            }
        }
    }

    /// Publishes what has been received, carries out submissions, sends, fires timers. Handles at
    /// most about `budget` entries or segments of each kind.
    pub fn poll<E: Env>(&mut self, now: u64, env: &mut E, budget: usize) -> Next {
        let Some(run) = &mut self.run else {
            return Next::Sleep { deadline: None };
        };
        let next = match run.phase {
            Phase::Failed => return Next::Failed,
            Phase::Dead => Ok(Next::Stopped),
            Phase::Running => self
                .core
                .round(now, env, &mut run.rings, budget, false)
                .map(Next::from),
            Phase::Stopping => self.core.stop_round(now, env, &mut run.rings, budget),
        };
        match next {
            Ok(Next::Stopped) => {
                self.run = None;
                Next::Stopped
            }
            Ok(next) => next,
            Err(HostError) => {
                run.phase = Phase::Failed;
                Next::Failed
            }
        }
    }

    /// Announces sleep to the host, then looks at everything once more. Unless the answer is
    /// [`Next::Sleep`], the announcement has been taken back.
    pub fn prepare_sleep<E: Env>(&mut self, now: u64, env: &mut E) -> Next {
        let Some(run) = &mut self.run else {
            return Next::Sleep { deadline: None };
        };
        if run.works() && self.core.prepare_sleep(now, env, &run.rings).is_err() {
            run.phase = Phase::Failed;
        }
        let next = self.poll(now, env, 1);
        match next {
            Next::Sleep { .. } => self.core.counters.count(Counter::Sleeps),
            _ => self.wake(env),
        }
        next
    }

    /// Takes the announcement of sleep back.
    pub fn wake<E: Env>(&mut self, env: &mut E) {
        let Some(run) = &mut self.run else {
            return;
        };
        if run.phase != Phase::Failed && self.core.announce_sleep(env, &run.rings, false).is_err() {
            run.phase = Phase::Failed;
        }
    }

    /// Sets hash key, indirection table and [`Fields`] of a context, which is created when there is
    /// none. Connections that now belong to another processor are returned with reason `Moved`.
    ///
    /// # Errors
    ///
    /// `Invalid` for bits that are not allowed, or a context or processor out of range.
    pub fn set_rss<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        context: u32,
        config: &rss::Config,
        fields: u32,
    ) -> Result<(), Status> {
        let fields = Fields::new(fields).ok_or(Status::Invalid)?;
        let indirection = rss::Indirection(config.table);
        self.core
            .steering
            .set_context(context, config.key, indirection, fields)?;
        self.steered(now, env);
        Ok(())
    }

    /// Removes a context that no rule names.
    ///
    /// # Errors
    ///
    /// `Invalid` when there is none, `State` when a rule names it.
    pub fn remove_context(&mut self, context: u32) -> Result<(), Status> {
        self.core.steering.remove_context(context)
    }

    /// Sets a rule. Connections that now belong to another processor are returned with reason
    /// `Moved`.
    ///
    /// # Errors
    ///
    /// `Invalid` when its location, or what its action names, is not there.
    pub fn set_rule<E: Env>(&mut self, now: u64, env: &mut E, rule: Rule) -> Result<(), Status> {
        self.core.steering.set_rule(rule)?;
        self.steered(now, env);
        Ok(())
    }

    /// Removes the rule at `location`, if there is one, with the same effect on connections.
    pub fn remove_rule<E: Env>(&mut self, now: u64, env: &mut E, location: u16) {
        self.core.steering.remove_rule(location);
        self.steered(now, env);
    }

    /// Frames may go elsewhere from here on, and connections have to follow them.
    fn steered<E: Env>(&mut self, now: u64, env: &mut E) {
        if let Some(run) = &mut self.run {
            if run.works() && self.core.return_moved(now, env, &mut run.rings).is_err() {
                run.phase = Phase::Failed;
            }
        }
    }

    /// Sets which frames are received: own address, [`toe_abi::admin::filter`] bits, multicast
    /// addresses (at most 512).
    ///
    /// # Errors
    ///
    /// `Invalid` for too many addresses, unknown flags, or a group address as the own one.
    pub fn set_filter(
        &mut self,
        mac: [u8; 6],
        flags: u32,
        multicast: &[[u8; 6]],
    ) -> Result<(), Status> {
        let known = filter::PROMISCUOUS | filter::ALL_MULTICAST;
        let group = crate::wire::ethernet::is_multicast(mac);
        if flags & !known != 0 || multicast.len() > MAX_MULTICAST || group {
            return Err(Status::Invalid);
        }
        self.core.filter.set(mac, flags, multicast);
        Ok(())
    }

    /// Sets the MTU.
    ///
    /// # Errors
    ///
    /// `Invalid` unless it is 68 to [`crate::MAX_MTU`].
    pub fn set_mtu(&mut self, mtu: u32) -> Result<(), Status> {
        if !(68..=crate::MAX_MTU).contains(&mtu) {
            return Err(Status::Invalid);
        }
        self.core.mtu = mtu as usize;
        Ok(())
    }

    /// Sets interrupt moderation: an interrupt waits at most `usecs`, or for `completions`.
    ///
    /// # Errors
    ///
    /// `Invalid` for more than a second.
    pub fn set_coalesce(&mut self, usecs: u32, completions: u32) -> Result<(), Status> {
        if usecs > 1_000_000 {
            return Err(Status::Invalid);
        }
        self.core.coalesce.usecs = usecs;
        self.core.coalesce.completions = completions;
        Ok(())
    }

    /// Sets how frames are stored: [`toe_abi::admin::storage`] bits and the small-frame threshold.
    ///
    /// # Errors
    ///
    /// `Invalid` for unknown flags or a threshold beyond [`toe_abi::MAX_SMALL_FRAME`].
    pub fn set_storage(&mut self, flags: u32, small_frame: u16) -> Result<(), Status> {
        let known = storage::SPLIT | storage::GRO | storage::SPLIT_ALL;
        if flags & !known != 0 || small_frame > toe_abi::MAX_SMALL_FRAME {
            return Err(Status::Invalid);
        }
        self.core.storage.set(flags, small_frame);
        Ok(())
    }

    /// When it last took or wrote an entry of a ring, in microseconds.
    pub fn worked_at(&self) -> u64 {
        self.core.worked_at
    }

    /// Counters of [`toe_abi::stats`], by [`Counter`](toe_abi::stats::Counter).
    pub fn counters(&self) -> &[u64] {
        self.core.counters.values()
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &Config {
        &self.core.config
    }
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
    /// A round of a processor that is being stopped.
    fn stop_round<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        budget: usize,
    ) -> Result<Next, HostError> {
        rings.completions.refresh(env)?;
        for place in 0..self.table.places() {
            self.return_connection(now, env, rings, place, Reason::Stop, None)?;
        }
        let next = self.round(now, env, rings, budget, true)?;
        if !self.table.is_empty() {
            return Ok(next.into());
        }
        self.publish_counters(now, env, rings)?;
        self.clear(now);
        Ok(Next::Stopped)
    }

    /// Returns every connection that is not assigned to this processor any more.
    fn return_moved<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
    ) -> Result<(), HostError> {
        rings.completions.refresh(env)?;
        for place in 0..self.table.places() {
            let Some(connection) = self.table.get(place) else {
                continue;
            };
            let tuple = &connection.key.tuple;
            let processor = self.steering.of_tuple(tuple, self.filter.mac());
            if processor != Some(self.config.index) {
                self.return_connection(now, env, rings, place, Reason::Moved, None)?;
            }
        }
        Ok(())
    }

    /// Announces sleep, with the counters as they are, and orders that before the next look at the
    /// host's indices.
    fn prepare_sleep<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &RingSet,
    ) -> Result<(), HostError> {
        self.publish_counters(now, env, rings)?;
        self.announce_sleep(env, rings, true)?;
        fence(Ordering::SeqCst);
        Ok(())
    }
}
