// SPDX-License-Identifier: GPL-2.0

//! One offload processor.
//!
//! The thread that drives a processor repeats:
//!
//! 1. Take a batch of frames from the port, as long as the host has room for them
//!    ([`Processor::has_room`]), and pass them to [`Processor::receive_batch`]. A frame that belongs
//!    to another processor goes there in a [`Message`], which that processor takes with
//!    [`Processor::receive_message`].
//! 2. Call [`Processor::poll`], which publishes the results of the batch, carries out the host's
//!    requests and sends.
//! 3. When [`Processor::poll`] returns [`Next::Sleep`] and no frame is waiting, call
//!    [`Processor::prepare_sleep`]. When that returns [`Next::Sleep`] too, sleep until the deadline,
//!    a kick, a frame, a message or room in the port, then call [`Processor::wake`].
//!
//! `now` is a time in microseconds from a monotonic clock, the same clock in all calls.

mod core;
mod delegate;
mod delegated;
mod fence;
mod legacy;
mod message;
mod port_frame;
mod progress;
mod receive;
mod returning;
mod rings;
mod round;
mod send;
mod settings;
mod status;
mod submission;
mod timers;
mod transmit;
mod upload;

use toe_abi::admin::CommandStatus;
use toe_abi::ring::RINGS;
use toe_abi::stats::Counter;

use self::core::Core;
pub use self::message::Message;
use self::rings::RingSet;
use crate::counters::Counters;
use crate::env::Env;
use crate::env::RxOffload;
use crate::ring::HostError;
pub use crate::tuple::Seed;

/// Sizes of a processor's tables and buffers, fixed at its creation.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Number of this processor within its function.
    pub index: u8,
    /// Number of processors of the function. The default indirection table spreads over all of them.
    pub processors: u8,
    /// Maximum number of delegated connections ([`toe_abi::regs::CONNECTIONS`]).
    pub connections: u32,
    /// Maximum number of payload fragments of all connections ([`toe_abi::regs::FRAGMENTS`]).
    pub fragments: u32,
    /// Upper bound of the page identifiers of either ring ([`toe_abi::regs::PAGES`]).
    pub pages: u32,
    /// Flows in the flow database; a power of two.
    pub flows: u32,
    /// Bytes of device memory for the frames that all connections hold out of order.
    pub hold: u32,
    /// Bytes of frames that one connection may hold out of order.
    pub hold_connection: u32,
    /// Own unicast MAC address until `SetFilter`.
    pub mac: [u8; 6],
    /// Secret of the hash tables.
    pub seed: Seed,
}

/// Rings of a processor, from [`toe_abi::admin::StartProcessor`]; order of [`toe_abi::ring::RingId`].
#[derive(Clone, Copy, Debug)]
pub struct Rings {
    /// log2 of the number of entries.
    pub log2_entries: [u8; RINGS],
    /// DMA addresses.
    pub addresses: [u64; RINGS],
    /// DMA address of the status page.
    pub status: u64,
    /// Features that the host has accepted ([`toe_abi::feature`]).
    pub features: u64,
}

/// Frames whose flows are looked up together ([`Processor::receive_batch`]).
pub const BATCH: usize = 32;

/// Frames that were taken from the port and not passed to the processor yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Number of frames.
    pub frames: usize,
    /// Bytes of all frames.
    pub bytes: usize,
}

/// Result of receiving a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The frame was stored, used, or dropped and counted.
    Done,
    /// The frame belongs to this processor of the same function.
    Elsewhere(u8),
}

/// What a processor needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another poll: there is more work.
    Work,
    /// A poll at `deadline`, or earlier when something happens.
    Sleep {
        /// Latest time of the next poll in microseconds, if there is one.
        deadline: Option<u64>,
    },
    /// Nothing. A [`Processor::stop`] is complete and host memory is no longer accessed.
    Stopped,
    /// Nothing until it is stopped or reset. An index of a ring is out of range or host memory is
    /// not mapped; the device reports [`toe_abi::admin::Event::ProcessorFailed`].
    Failed,
}

/// Progress of a [`Session`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Connections are being returned.
    Stopping,
    Failed,
    /// Stopped after a failure that no poll has reported; the next poll ends the session.
    Dead,
}

/// A processor between start and stop.
struct Session {
    phase: Phase,
    rings: RingSet,
}

impl Session {
    /// Whether the rings may be accessed.
    #[inline]
    fn works(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Stopping)
    }

    /// Returns the value of `result`. On error, the session fails.
    #[inline]
    fn check<T>(&mut self, result: Result<T, HostError>) -> Option<T> {
        if result.is_err() {
            self.phase = Phase::Failed;
        }
        result.ok()
    }
}

/// One offload processor: everything between a port and one set of rings.
pub struct Processor {
    core: Core,
    session: Option<Session>,
}

impl Processor {
    /// Creates a processor. Allocates all memory that its data path uses.
    pub fn new(config: &Config) -> Self {
        Self {
            core: Core::new(config),
            session: None,
        }
    }

    /// Starts the processor on `rings`, with all indices and counters at 0.
    ///
    /// # Errors
    ///
    /// `State` when it was started before, `Invalid` for a ring size or alignment out of range,
    /// `Fault` when the status page is not mapped.
    pub fn start<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &Rings,
    ) -> Result<(), CommandStatus> {
        if self.session.is_some() {
            return Err(CommandStatus::State);
        }
        let features = rings.features;
        let rings = RingSet::new(rings).ok_or(CommandStatus::Invalid)?;
        self.core.clear(now);
        self.core.counters = Counters::new();
        self.core.capabilities = env.capabilities();
        self.core.features = features;
        self.core
            .publish_counters(now, env, &rings)
            .map_err(|HostError| CommandStatus::Fault)?;
        self.session = Some(Session {
            phase: Phase::Running,
            rings,
        });
        Ok(())
    }

    /// Begins to stop: every connection is returned with reason `Stop`. [`Processor::poll`] returns
    /// [`Next::Stopped`] once when that is complete. If the processor has failed since the last poll,
    /// the next one returns [`Next::Stopped`] and no connection is returned. A device refuses to stop
    /// a processor whose failure it knows from [`Next::Failed`].
    ///
    /// # Errors
    ///
    /// `State` when it was not started.
    pub fn stop(&mut self) -> Result<(), CommandStatus> {
        let session = self.session.as_mut().ok_or(CommandStatus::State)?;
        session.phase = match session.phase {
            Phase::Running | Phase::Stopping => {
                self.core.start_sweep();
                Phase::Stopping
            }
            Phase::Failed | Phase::Dead => Phase::Dead,
        };
        Ok(())
    }

    /// Drops rings, pages, connections and flows at once, without access to host memory. Filter,
    /// hash, MTU, coalescing, storage and counters return to their defaults.
    pub fn reset(&mut self) {
        self.session = None;
        self.core.defaults();
    }

    /// Whether the host's rings have room for the largest frame in addition to the frames `ahead`
    /// of it. If the caller leaves frames in the port until there is room, a slow host loses none.
    /// A processor that is not started drops frames, so it always has room.
    #[inline]
    pub fn has_room<E: Env>(&mut self, env: &mut E, ahead: Ahead) -> bool {
        let Some(session) = &mut self.session else {
            return true;
        };
        if !session.works() {
            return true;
        }
        let room = self.core.has_room(env, &mut session.rings, ahead);
        session.check(room).unwrap_or(true)
    }

    /// Takes a frame from the port (from the Ethernet header on, without FCS) that may belong to
    /// any processor of the function. A processor that is not started drops its own frames, and still
    /// names the owner of others.
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

    /// Takes frames from the port one after the other as [`Processor::receive`] does. Calls
    /// `elsewhere` with the position of each frame that belongs to another processor, and with that
    /// processor.
    ///
    /// The flows of up to [`BATCH`] frames are prefetched together: with many flows, most of them are
    /// not in the cache.
    #[inline]
    pub fn receive_batch<'a, E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        frames: impl Iterator<Item = (&'a [u8], RxOffload)>,
        mut elsewhere: impl FnMut(usize, u8),
    ) {
        let mut frames = frames.enumerate();
        match &mut self.session {
            Some(session) if session.works() => {
                let rings = &mut session.rings;
                let result = self
                    .core
                    .receive_batch(now, env, rings, &mut frames, &mut elsewhere);
                session.check(result);
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

    /// Takes a message from another processor of the function.
    #[inline]
    pub fn receive_message<E: Env>(&mut self, now: u64, env: &mut E, message: Message<'_>) {
        match message {
            Message::Frame { bytes, offload } => {
                self.take(now, env, bytes, &offload, true);
            }
        }
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
        let Some(session) = &mut self.session else {
            // The port may still deliver frames that the hash assigns to other processors.
            return match self.core.assigned(frame, offload) {
                Some(processor) if !here && processor != self.core.config.index => {
                    Received::Elsewhere(processor)
                }
                _ => Received::Done,
            };
        };
        if !session.works() {
            return Received::Done;
        }
        let rings = &mut session.rings;
        let received = self.core.receive(now, env, rings, frame, offload, here);
        session.check(received).unwrap_or(Received::Done)
    }

    /// Publishes what was received, carries out submissions, sends, and handles timers. Handles at
    /// most about `budget` entries or packets of each kind.
    pub fn poll<E: Env>(&mut self, now: u64, env: &mut E, budget: usize) -> Next {
        let Some(session) = &mut self.session else {
            return Next::Sleep { deadline: None };
        };
        let next = match session.phase {
            Phase::Failed => return Next::Failed,
            Phase::Dead => Ok(Next::Stopped),
            Phase::Running => self
                .core
                .round(now, env, &mut session.rings, budget, false)
                .map(Next::from),
            Phase::Stopping => self.core.stop_round(now, env, &mut session.rings, budget),
        };
        let next = session.check(next).unwrap_or(Next::Failed);
        if next == Next::Stopped {
            self.session = None;
        }
        next
    }

    /// Sets the sleep flag in the status page, then polls once more. The flag stays set only when the
    /// result is [`Next::Sleep`].
    pub fn prepare_sleep<E: Env>(&mut self, now: u64, env: &mut E) -> Next {
        let Some(session) = &mut self.session else {
            return Next::Sleep { deadline: None };
        };
        if session.works() {
            let result = self.core.prepare_sleep(now, env, &session.rings);
            session.check(result);
        }
        let next = self.poll(now, env, 1);
        match next {
            Next::Sleep { .. } => self.core.counters.count(Counter::Sleeps),
            _ => self.wake(env),
        }
        next
    }

    /// Clears the sleep flag.
    pub fn wake<E: Env>(&mut self, env: &mut E) {
        let Some(session) = &mut self.session else {
            return;
        };
        if session.works() {
            let result = self.core.announce_sleep(env, &session.rings, false);
            session.check(result);
        }
    }

    /// Time at which it last took or wrote a ring entry, in microseconds.
    pub fn worked_at(&self) -> u64 {
        self.core.worked_at
    }

    /// Counters of [`toe_abi::stats`], by [`Counter`].
    pub fn counters(&self) -> &[u64] {
        self.core.counters.values()
    }

    /// The configuration passed to [`Processor::new`].
    pub fn config(&self) -> &Config {
        &self.core.config
    }
}
