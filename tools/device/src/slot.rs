// SPDX-License-Identifier: GPL-2.0

//! One processor of a function on its worker thread, with its environment.

use std::collections::VecDeque;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use toe_abi::admin::CommandStatus;
use toe_engine::env;
use toe_engine::env::Capabilities;
use toe_engine::env::Fault;
use toe_engine::env::OutFrame;
use toe_engine::env::SendError;
use toe_engine::processor::Ahead;
use toe_engine::processor::BATCH;
use toe_engine::processor::Config;
use toe_engine::processor::Next;
use toe_engine::processor::Processor;
use toe_engine::processor::Rings;

use crate::admin::Answer;
use crate::admin::Reporter;
use crate::doorbells::Doorbells;
use crate::frame::Frame;
use crate::host::Host;
use crate::links::Message;
use crate::parked;
use crate::parked::Parked;
use crate::port::PortQueue;
use crate::port::impaired::Impaired;
use crate::setting::Setting;

/// Retry interval for a frame whose link to another worker was full, in microseconds.
const RETRY_LINK: u64 = 50;
/// Polling interval for room in the host's rings, in microseconds. The host usually signals room
/// earlier.
const RETRY_HOST: u64 = 200;
/// Maximum time that a port waits for room in the host's rings, in microseconds.
const HOST_TIMEOUT: u64 = 200_000;
/// Maximum number of entries of each kind that a processor handles per turn.
const BUDGET: usize = 64;
/// The least that it becomes, so that a processor whose entries take long gets on.
const LEAST: usize = 4;
/// A turn that takes more than this many microseconds of CPU time makes the budget of the next ones
/// smaller, because the processors of other functions wait meanwhile.
const TURN: u64 = 500;

/// Frame bytes per batch. More would not stay in the cache.
const BATCH_BYTES: usize = 32 * 1024;

/// The engine's environment.
struct Env<'a> {
    host: &'a Host,
    doorbells: &'a Doorbells,
    processor: usize,
    vector: usize,
    port: &'a mut dyn PortQueue,
}

impl env::Host for Env<'_> {
    #[inline]
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Fault> {
        self.host
            .read(self.processor, address, to)
            .map_err(|_| Fault)
    }

    #[inline]
    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Fault> {
        self.host
            .write(self.processor, address, from)
            .map_err(|_| Fault)
    }

    fn writable(&self, address: u64, length: usize) -> bool {
        self.host
            .memory
            .pieces(address, length, true, |_| {})
            .is_ok()
    }

    #[inline]
    fn store_release(&mut self, address: u64, value: u32) -> Result<(), Fault> {
        self.host
            .store_release(self.processor, address, value)
            .map_err(|_| Fault)
    }

    #[inline]
    fn doorbell(&self, offset: usize) -> u32 {
        self.doorbells.load(self.processor, offset)
    }

    fn interrupt(&mut self) {
        self.host.raise(self.vector);
    }
}

impl env::Port for Env<'_> {
    fn capabilities(&self) -> Capabilities {
        self.port.capabilities()
    }

    fn send(&mut self, frame: &OutFrame<'_>) -> Result<(), SendError> {
        self.port.send(frame, &self.host.memory)
    }
}

/// State of a processor.
#[derive(Debug)]
enum State {
    /// A panic has left it in no known state. Nothing until a reset.
    Abandoned,
    /// Not started, or stopped.
    Idle,
    /// Started.
    Running,
    /// Returning its connections. The answer goes to the requester of the stop.
    Stopping(Answer),
}

/// A processor and its environment.
pub struct ProcessorSlot {
    processor: Box<Processor>,
    config: Config,
    /// The processor is parked or abandoned. Another stands in for it.
    absent: bool,
    /// Number of entries of each kind that the processor handles in the next turn.
    budget: usize,
    index: usize,
    state: State,
    /// The driver has enabled the function.
    open: bool,
    vector: usize,
    host: Arc<Host>,
    doorbells: Arc<Doorbells>,
    port: Impaired,
    reporter: Reporter,
    /// Destination workers of the frames in `held`.
    held_for: VecDeque<usize>,
    /// Received frames that wait for room in a link, in order.
    held: Box<[Frame]>,
    /// Time since which the port has waited for room in the host's rings.
    full_since: Option<u64>,
}

/// Borrows the environment for a call of the engine from the fields of a slot.
macro_rules! env {
    ($slot:expr) => {
        &mut Env {
            host: &$slot.host,
            doorbells: &$slot.doorbells,
            processor: $slot.index,
            vector: $slot.vector,
            port: &mut $slot.port,
        }
    };
}

impl ProcessorSlot {
    /// Creates a slot whose processor is not started.
    pub fn new(
        processor: Processor,
        host: Arc<Host>,
        doorbells: Arc<Doorbells>,
        port: Impaired,
        reporter: Reporter,
    ) -> Self {
        let config = *processor.config();
        Self {
            port,
            index: config.index.into(),
            processor: Box::new(processor),
            config,
            absent: false,
            budget: BUDGET,
            state: State::Idle,
            open: false,
            vector: 0,
            host,
            doorbells,
            reporter,
            held_for: VecDeque::with_capacity(BATCH),
            held: (0..BATCH).map(|_| Frame::new()).collect(),
            full_since: None,
        }
    }

    /// Switches to a new host. The old one is no longer used on return.
    pub fn set_host(&mut self, host: Arc<Host>) {
        self.host = host;
    }

    /// The driver has enabled the function: start passing frames.
    pub fn open(&mut self) {
        self.open = true;
        self.port.set_open(true);
    }

    /// Starts the processor.
    ///
    /// # Errors
    ///
    /// As [`Processor::start`]. `Invalid` if the vector is out of range.
    pub fn start(&mut self, now: u64, rings: &Rings, vector: usize) -> Result<(), CommandStatus> {
        if vector >= self.host.vectors.len() {
            return Err(CommandStatus::Invalid);
        }
        if !matches!(self.state, State::Idle) {
            return Err(CommandStatus::State);
        }
        self.vector = vector;
        self.host.start(self.index, rings);
        self.processor.start(now, env!(self), rings)?;
        self.state = State::Running;
        Ok(())
    }

    /// Begins to stop the processor. `answer` is given when it has stopped.
    pub fn stop(&mut self, answer: Answer) {
        if !matches!(self.state, State::Running) {
            return answer.give(Err(CommandStatus::State));
        }
        match self.processor.stop() {
            Ok(()) => self.state = State::Stopping(answer),
            Err(status) => answer.give(Err(status)),
        }
    }

    /// Calls `f`. A panic in it ends the processor, and nobody else's: `f` then has the result
    /// `otherwise`.
    pub fn guard<T>(&mut self, otherwise: T, f: impl FnOnce(&mut Self) -> T) -> T {
        match panic::catch_unwind(AssertUnwindSafe(|| f(self))) {
            Ok(value) => value,
            Err(_) => {
                self.abandon();
                otherwise
            }
        }
    }

    /// Gives the processor up. Frames for it are dropped until the function is reset.
    fn abandon(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Abandoned);
        self.processor = parked::stand_in(&self.config);
        self.absent = true;
        self.close();
        match state {
            State::Stopping(answer) => answer.give(Err(CommandStatus::Fault)),
            _ => self.reporter.failed(self.index),
        }
    }

    fn close(&mut self) {
        self.port.reset();
        self.port.set_open(false);
        self.open = false;
        self.held_for.clear();
        self.full_since = None;
    }

    /// Begins a reset: drops everything configured by the driver, and gives the processor out, to be
    /// cleared by another thread.
    pub fn park(&mut self) -> Parked {
        self.close();
        self.state = State::Idle;
        let processor = std::mem::replace(&mut self.processor, parked::stand_in(&self.config));
        let there = !std::mem::replace(&mut self.absent, true);
        Parked::new(there.then_some(processor), &self.config)
    }

    /// Ends a reset: takes the processor back.
    pub fn unpark(&mut self, processor: Box<Processor>) {
        self.processor = processor;
        self.absent = false;
    }

    /// Accounts for a turn that took `micros` of CPU time. The time that it took on the clock says
    /// nothing on a busy machine.
    pub fn account(&mut self, micros: u64) {
        self.budget = match micros {
            0..=TURN => (self.budget + BUDGET / 8).min(BUDGET),
            _ => (self.budget / 2).max(LEAST),
        };
    }

    /// Applies a setting.
    ///
    /// # Errors
    ///
    /// As returned by the engine.
    pub fn configure(&mut self, setting: Setting) -> Result<(), CommandStatus> {
        match setting {
            Setting::Rss {
                context,
                config,
                fields,
            } => self.processor.set_rss(context, &config, fields),
            Setting::RemoveContext(context) => self.processor.remove_context(context),
            Setting::Rule(rule) => self.processor.set_rule(rule),
            Setting::RemoveRule(location) => {
                self.processor.remove_rule(location);
                Ok(())
            }
            Setting::Filter {
                mac,
                flags,
                multicast,
            } => self.processor.set_filter(mac, flags, &multicast),
            Setting::Mtu(mtu) => self.processor.set_mtu(mtu),
            Setting::Coalesce { usecs, completions } => {
                self.processor.set_coalesce(usecs, completions)
            }
            Setting::Storage { flags, small_frame } => {
                self.processor.set_storage(flags, small_frame)
            }
            Setting::Impairment(impairment) => {
                self.port.impair(impairment);
                Ok(())
            }
        }
    }

    /// Receives frames from the port into the buffers of `frames`. Frames for other processors are
    /// passed to `forward`, which returns whether it took the frame. Returns whether any frame was
    /// received.
    pub fn receive(
        &mut self,
        now: u64,
        frames: &mut [Frame],
        mut forward: impl FnMut(usize, &mut Frame) -> bool,
    ) -> bool {
        if matches!(self.state, State::Abandoned) {
            return false;
        }
        self.port.tick(now);
        if !self.forward_held(&mut forward) {
            return false;
        }
        let mut count = 0;
        while count < self.budget && self.held_for.is_empty() {
            let most = frames.len().min(self.budget - count);
            let taken = self.take(now, &mut frames[..most]);
            if taken == 0 {
                break;
            }
            count += taken;
            self.receive_batch(now, &mut frames[..taken], &mut forward);
        }
        count > 0
    }

    /// Fills `frames` from the port while the host has room. Returns the number of frames.
    fn take(&mut self, now: u64, frames: &mut [Frame]) -> usize {
        let mut ahead = Ahead::default();
        for frame in frames {
            if ahead.bytes > BATCH_BYTES || !self.has_room(now, ahead) || !self.port.receive(frame)
            {
                break;
            }
            ahead.frames += 1;
            ahead.bytes += frame.bytes().len();
        }
        ahead.frames
    }

    fn receive_batch(
        &mut self,
        now: u64,
        frames: &mut [Frame],
        forward: &mut impl FnMut(usize, &mut Frame) -> bool,
    ) {
        if !self.open {
            return;
        }
        let mut elsewhere = [None; BATCH];
        let received = frames.iter().map(|frame| (frame.bytes(), frame.received()));
        self.processor
            .receive_batch(now, env!(self), received, |number, to| {
                elsewhere[number] = Some(usize::from(to));
            });
        for (frame, to) in frames.iter_mut().zip(elsewhere) {
            let Some(to) = to else {
                continue;
            };
            // Keep the order: no frame may overtake one that waits.
            if !self.held_for.is_empty() || !forward(to, frame) {
                std::mem::swap(&mut self.held[self.held_for.len()], frame);
                self.held_for.push_back(to);
            }
        }
    }

    /// Forwards frames that wait for room in a link. Returns `false` if some still wait.
    fn forward_held(&mut self, forward: &mut impl FnMut(usize, &mut Frame) -> bool) -> bool {
        while let Some(&to) = self.held_for.front() {
            if !forward(to, &mut self.held[0]) {
                return false;
            }
            self.held_for.pop_front();
            // Next frame first. There is always room for one more after them.
            self.held.rotate_left(1);
        }
        true
    }

    /// Whether the host's rings have room for the next frame, in addition to those in `ahead`. A
    /// host that makes no room for too long must not block others: its frames are then dropped.
    fn has_room(&mut self, now: u64, ahead: Ahead) -> bool {
        if !self.open || self.processor.has_room(env!(self), ahead) {
            self.full_since = None;
            return true;
        }
        if ahead.frames != 0 {
            return false;
        }
        now - *self.full_since.get_or_insert(now) > HOST_TIMEOUT
    }

    /// Takes a message from a processor of the same function on another worker.
    pub fn receive_message(&mut self, now: u64, message: &Message) {
        if self.open {
            self.processor
                .receive_message(now, env!(self), message.borrow());
        }
    }

    fn started(&self) -> bool {
        matches!(self.state, State::Running | State::Stopping(_))
    }

    /// Polls the processor. Returns when it must be polled next: `None` for immediately, else the
    /// deadline, which is `u64::MAX` if there is none.
    pub fn poll(&mut self, now: u64) -> Option<u64> {
        if !self.started() {
            return Some(u64::MAX);
        }
        let next = self.processor.poll(now, env!(self), self.budget);
        self.settle(next)
    }

    /// Announces to the host that the processor sleeps. Returns the same as [`Self::poll`]. If it
    /// returns a deadline, [`Self::wake`] must follow.
    pub fn prepare_sleep(&mut self, now: u64) -> Option<u64> {
        if !self.started() {
            return Some(u64::MAX);
        }
        let next = self.processor.prepare_sleep(now, env!(self));
        self.settle(next)
    }

    /// Withdraws the announcement of sleep.
    pub fn wake(&mut self) {
        if self.started() {
            self.processor.wake(env!(self));
        }
    }

    fn settle(&mut self, next: Next) -> Option<u64> {
        match next {
            Next::Work => return None,
            Next::Sleep { deadline } => return Some(deadline.unwrap_or(u64::MAX)),
            Next::Stopped => {
                if let State::Stopping(answer) = std::mem::replace(&mut self.state, State::Idle) {
                    answer.give(Ok(()));
                }
            }
            Next::Failed => match std::mem::replace(&mut self.state, State::Idle) {
                State::Stopping(answer) => answer.give(Err(CommandStatus::Fault)),
                _ => self.reporter.failed(self.index),
            },
        }
        Some(u64::MAX)
    }

    /// The port's queue.
    pub fn port(&self) -> &Impaired {
        &self.port
    }

    /// The port may have room again.
    pub fn unblock(&mut self) {
        self.port.unblock();
    }

    /// Time of the next retry for frames that wait for room in a link or in the host's rings, if
    /// any. Frames for an abandoned processor wait for its reset.
    pub fn holds(&self, now: u64) -> Option<u64> {
        if matches!(self.state, State::Abandoned) {
            return Some(u64::MAX);
        }
        if !self.held_for.is_empty() {
            return Some(now + RETRY_LINK);
        }
        self.full_since.map(|_| now + RETRY_HOST)
    }

    /// Time at which the processor last had work.
    pub fn worked_at(&self) -> u64 {
        self.processor.worked_at()
    }

    /// The processor's counters.
    pub fn counters(&self) -> &[u64] {
        self.processor.counters()
    }
}
