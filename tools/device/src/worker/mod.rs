// SPDX-License-Identifier: GPL-2.0

//! An offload processor's thread.
//!
//! Worker `i` runs processor `i` of every function. It owns its state. Other threads send it
//! messages: control requests on a channel, frames on the links. It sleeps when there is no work.
//!
//! Functions may belong to hosts that do not trust each other. A panic that one of them causes ends
//! its own processor ([`ProcessorSlot::guard`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;
use std::time::Instant;

use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::ppoll;
use nix::sys::time::TimeSpec;
use nix::time::ClockId;
use nix::time::clock_gettime;
use toe_abi::admin::CommandStatus;
use toe_abi::stats::Counter;
use toe_engine::processor::BATCH;
use toe_engine::processor::Config;
use toe_engine::processor::Processor;
use toe_engine::processor::Rings;
use tracing::info;
use tracing::warn;

use crate::admin::Answer;
use crate::admin::Reporter;
use crate::doorbells::Doorbells;
use crate::frame::Frame;
use crate::host::Host;
use crate::links::Inbox;
use crate::links::Outbox;
use crate::parked::Parked;
use crate::port::PortQueue;
use crate::port::cable::Cable;
use crate::port::impaired::Impaired;
use crate::port::impaired::Impairment;
use crate::setting::Setting;
use crate::slot::ProcessorSlot;
use crate::waker::Waker;

/// Maximum number of messages taken from one link per turn.
const BUDGET: usize = 64;

/// A worker that had work within this many microseconds naps instead of sleeping: a kick costs the
/// host more than polling the doorbells costs the worker.
const NAPPING: u64 = 1_000;
/// Length of a nap in microseconds.
const NAP: u64 = 100;

/// Request to a worker.
pub enum Control {
    /// A function's host has changed.
    Host {
        /// The function.
        function: usize,
        /// The new host.
        host: Arc<Host>,
        /// Dropped when the old host is no longer used.
        done: Sender<()>,
    },
    /// The driver has enabled a function.
    Open {
        /// The function.
        function: usize,
    },
    /// Start a function's processor.
    Start {
        /// The function.
        function: usize,
        /// Its rings.
        rings: Rings,
        /// Its MSI-X vector.
        vector: usize,
        /// Receives the answer.
        answer: Answer,
    },
    /// Stop a function's processor.
    Stop {
        /// The function.
        function: usize,
        /// Receives the answer.
        answer: Answer,
    },
    /// Apply a setting to a function's processor.
    Configure {
        /// The function.
        function: usize,
        /// The setting.
        setting: Setting,
        /// Receives the answer.
        answer: Answer,
    },
    /// Begin a reset of a function. Its end is `Unpark`.
    Park {
        /// The function.
        function: usize,
        /// Receives the processor.
        to: Sender<Parked>,
    },
    /// End a reset of a function.
    Unpark {
        /// The function.
        function: usize,
        /// The processor.
        processor: Box<Processor>,
        /// Dropped when the reset is complete.
        done: Sender<()>,
    },
    /// Write the counters to the log.
    Report {
        /// Dropped when the counters are written.
        done: Sender<()>,
    },
}

/// Handle for sending requests to a worker.
#[derive(Clone)]
pub struct Handle {
    control: Sender<Control>,
    waker: Arc<Waker>,
}

impl Handle {
    /// Creates a handle of the worker that receives from the other end of `control`.
    pub fn new(control: Sender<Control>, waker: Arc<Waker>) -> Self {
        Self { control, waker }
    }

    /// Sends a request and wakes the worker.
    pub fn send(&self, control: Control) {
        // Fails only while the process exits.
        let _ = self.control.send(control);
        self.waker.notify();
    }

    /// Wakes the worker.
    pub fn kick(&self) {
        self.waker.notify();
    }
}

/// Port of a function, from which a worker creates its queue.
pub enum PortPlan {
    /// One end of the cable with this number. The worker creates both ends.
    Cable(usize),
    /// A queue of another kind of port.
    Queue(Box<dyn PortQueue + Send>),
}

/// Arguments for creating a slot.
pub struct SlotPlan {
    /// Sizes of the processor.
    pub config: Config,
    /// The function's doorbells.
    pub doorbells: Arc<Doorbells>,
    /// The function's host, without mappings or interrupts.
    pub host: Arc<Host>,
    /// The function's port.
    pub port: PortPlan,
    /// Initial impairment of the port.
    pub impairment: Option<Impairment>,
    /// Receives failures of the processor.
    pub reporter: Reporter,
}

/// Arguments of [`Worker::new`].
pub struct Plan {
    /// Number of the worker.
    pub index: usize,
    /// Receiver of requests.
    pub control: Receiver<Control>,
    /// Wakes the worker.
    pub waker: Arc<Waker>,
    /// Time 0 of all workers: the start of the device.
    pub epoch: Instant,
    /// A slot for every function.
    pub slots: Vec<SlotPlan>,
    /// Links to the other workers, by number.
    pub outboxes: Vec<Option<Outbox>>,
    /// Links from the other workers.
    pub inboxes: Vec<Inbox>,
}

/// State of a worker thread.
pub struct Worker {
    index: usize,
    epoch: Instant,
    control: Receiver<Control>,
    waker: Arc<Waker>,
    slots: Vec<ProcessorSlot>,
    outboxes: Vec<Option<Outbox>>,
    inboxes: Vec<Inbox>,
    /// Buffers for frames from ports.
    frames: Box<[Frame]>,
}

/// The device has been dropped.
struct Ended;

/// CPU time of this thread in microseconds.
fn cpu_time() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    time.map_or(0, |time| time.as_micros() as u64)
}

impl Worker {
    /// Creates a worker. Called on the worker's thread.
    pub fn new(plan: Plan) -> Self {
        let mut cables: HashMap<usize, Cable> = HashMap::new();
        let mut end = |number| {
            cables.remove(&number).unwrap_or_else(|| {
                let (this, other) = Cable::pair();
                cables.insert(number, other);
                this
            })
        };
        let slots = plan.slots.into_iter().map(|slot| {
            let port: Box<dyn PortQueue> = match slot.port {
                PortPlan::Cable(number) => Box::new(end(number)),
                PortPlan::Queue(queue) => queue,
            };
            let port = Impaired::new(port, slot.config.index, slot.impairment);
            let processor = Processor::new(&slot.config);
            ProcessorSlot::new(processor, slot.host, slot.doorbells, port, slot.reporter)
        });
        Self {
            index: plan.index,
            epoch: plan.epoch,
            control: plan.control,
            waker: plan.waker,
            slots: slots.collect(),
            outboxes: plan.outboxes,
            inboxes: plan.inboxes,
            frames: (0..BATCH).map(|_| Frame::new()).collect(),
        }
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }

    /// Runs until the device is dropped.
    pub fn run(mut self) {
        // The default slack delays timers by up to 50 microseconds, too much for paced senders.
        if let Err(error) = nix::sys::prctl::set_timerslack(1000) {
            warn!("cannot set the timer slack: {error}");
        }
        while let Ok(next) = self.turn() {
            let Some(deadline) = next else {
                continue;
            };
            let now = self.now();
            if self
                .slots
                .iter()
                .any(|slot| now < slot.worked_at() + NAPPING)
            {
                self.nap(deadline.min(now + NAP));
            } else {
                self.sleep(deadline);
            }
        }
    }

    /// Runs one turn of all functions. Returns the deadline of the next turn, `None` for
    /// immediately.
    fn turn(&mut self) -> Result<Option<u64>, Ended> {
        let mut busy = self.obey()?;
        let now = self.now();
        busy |= self.take_messages(now);
        let (mut deadline, mut start) = (u64::MAX, cpu_time());
        for (number, slot) in self.slots.iter_mut().enumerate() {
            let (outboxes, frames) = (&mut self.outboxes, &mut self.frames);
            let forward = |to: usize, frame: &mut Frame| match outboxes.get_mut(to) {
                Some(Some(outbox)) => outbox.send_frame(number, frame),
                // Does not happen: the engine has validated its indirection table.
                _ => true,
            };
            busy |= slot.guard(false, |slot| slot.receive(now, frames, forward));
            deadline = deadline.min(slot.holds(now).unwrap_or(u64::MAX));
            match slot.guard(Some(u64::MAX), |slot| slot.poll(now)) {
                None => busy = true,
                Some(at) => deadline = deadline.min(at),
            }
            let end = cpu_time();
            slot.account(end - start);
            start = end;
        }
        for outbox in self.outboxes.iter_mut().flatten() {
            outbox.announce();
        }
        Ok(if busy { None } else { Some(deadline) })
    }

    /// Executes pending requests. Returns whether there were any.
    fn obey(&mut self) -> Result<bool, Ended> {
        let mut busy = false;
        loop {
            match self.control.try_recv() {
                Ok(control) => self.carry_out(control),
                Err(TryRecvError::Empty) => return Ok(busy),
                Err(TryRecvError::Disconnected) => return Err(Ended),
            }
            busy = true;
        }
    }

    fn carry_out(&mut self, control: Control) {
        let now = self.now();
        match control {
            Control::Host {
                function,
                host,
                done,
            } => {
                self.slots[function].set_host(host);
                drop(done);
            }
            Control::Open { function } => self.slots[function].open(),
            Control::Start {
                function,
                rings,
                vector,
                answer,
            } => {
                // Starting the processor zeroes its counters.
                self.report(function);
                let start = |slot: &mut ProcessorSlot| slot.start(now, &rings, vector);
                answer.give(self.slots[function].guard(Err(CommandStatus::Fault), start));
            }
            Control::Stop { function, answer } => {
                self.slots[function].guard((), |slot| slot.stop(answer));
            }
            Control::Configure {
                function,
                setting,
                answer,
            } => {
                let configure = |slot: &mut ProcessorSlot| slot.configure(setting);
                answer.give(self.slots[function].guard(Err(CommandStatus::Fault), configure));
            }
            Control::Park { function, to } => {
                // The reset zeroes the counters.
                self.report(function);
                // Fails only while the process exits.
                let _ = to.send(self.slots[function].park());
            }
            Control::Unpark {
                function,
                processor,
                done,
            } => {
                self.slots[function].unpark(processor);
                drop(done);
            }
            Control::Report { done } => {
                for function in 0..self.slots.len() {
                    self.report(function);
                }
                drop(done);
            }
        }
    }

    /// Takes messages from other workers. Returns whether there were any.
    fn take_messages(&mut self, now: u64) -> bool {
        let mut busy = false;
        for inbox in &mut self.inboxes {
            for _ in 0..BUDGET {
                let Some((function, message)) = inbox.receive() else {
                    break;
                };
                busy = true;
                let receive = |slot: &mut ProcessorSlot| slot.receive_message(now, &message);
                self.slots[function].guard((), receive);
                inbox.recycle(message);
            }
        }
        busy
    }

    /// Sleeps until `deadline` or an event. Does not announce sleep: the next turn polls the
    /// doorbells, so hosts need not kick.
    fn nap(&mut self, deadline: u64) {
        self.waker.prepare();
        let raised = !self.work_waits(self.now()) && self.obey_or_wait(deadline);
        self.waker.finish(raised);
    }

    /// Whether a message from another worker or a frame in a port is pending.
    fn work_waits(&self, now: u64) -> bool {
        self.inboxes.iter().any(|inbox| !inbox.is_empty())
            || self
                .slots
                .iter()
                .any(|slot| slot.port().pending() && slot.holds(now).is_none())
    }

    /// Executes a request that arrived before `Waker::prepare`, otherwise waits. Returns whether
    /// the worker was woken.
    fn obey_or_wait(&mut self, deadline: u64) -> bool {
        match self.control.try_recv() {
            Ok(control) => {
                self.carry_out(control);
                false
            }
            Err(_) => self.wait(deadline),
        }
    }

    /// Announces sleep to the hosts and sleeps until `deadline` or an event.
    fn sleep(&mut self, mut deadline: u64) {
        self.waker.prepare();
        let mut announced = 0;
        let mut work = false;
        let now = self.now();
        while !work && announced < self.slots.len() {
            let slot = &mut self.slots[announced];
            match slot.guard(Some(u64::MAX), |slot| slot.prepare_sleep(now)) {
                Some(at) => {
                    deadline = deadline.min(at);
                    announced += 1;
                }
                None => work = true,
            }
        }
        // A slot may have sent a frame to another slot's cable during its last poll.
        work |= self.work_waits(now);
        // Read after the last poll, which may have sent frames.
        let held = self.slots.iter().map(|slot| slot.port().deadline());
        let deadline = held.fold(deadline, u64::min);
        let raised = !work && self.obey_or_wait(deadline);
        self.waker.finish(raised);
        for slot in &mut self.slots[..announced] {
            slot.guard((), ProcessorSlot::wake);
        }
    }

    /// Waits for a descriptor or the deadline. Returns whether the worker was woken.
    fn wait(&mut self, deadline: u64) -> bool {
        let now = self.now();
        let timeout = (deadline != u64::MAX).then(|| {
            let micros = deadline.saturating_sub(now);
            TimeSpec::new(
                (micros / 1_000_000) as i64,
                (micros % 1_000_000 * 1000) as i64,
            )
        });
        // The thread is idle, so the cost of this allocation does not matter.
        let mut descriptors = Vec::with_capacity(1 + self.slots.len());
        let mut functions = Vec::with_capacity(self.slots.len());
        descriptors.push(PollFd::new(self.waker.descriptor(), PollFlags::POLLIN));
        for (function, slot) in self.slots.iter().enumerate() {
            let port = slot.port();
            let mut events = PollFlags::empty();
            events.set(
                PollFlags::POLLIN,
                port.receives() && slot.holds(now).is_none(),
            );
            events.set(PollFlags::POLLOUT, port.blocked());
            if let Some(descriptor) = port.descriptor().filter(|_| !events.is_empty()) {
                descriptors.push(PollFd::new(descriptor, events));
                functions.push(function);
            }
        }
        if ppoll(&mut descriptors, timeout, None).is_err() {
            return false;
        }
        let raised = descriptors[0].any().unwrap_or(true);
        // A port whose function has nothing more to send would end each sleep.
        let ready: Vec<usize> = functions
            .into_iter()
            .zip(&descriptors[1..])
            .filter(|(_, descriptor)| {
                let events = descriptor.revents();
                events.is_none_or(|events| events.intersects(!PollFlags::POLLIN))
            })
            .map(|(function, _)| function)
            .collect();
        for function in ready {
            self.slots[function].unblock();
        }
        raised
    }

    /// Logs the nonzero counters of a function's processor.
    fn report(&self, function: usize) {
        let slot = &self.slots[function];
        let mut counters: Vec<_> = Counter::ALL
            .iter()
            .zip(slot.counters())
            .filter(|(_, value)| **value != 0)
            .map(|(counter, value)| format!("{}={value}", counter.name()))
            .collect();
        if slot.port().dropped() != 0 {
            counters.push(format!("port_dropped={}", slot.port().dropped()));
        }
        let processor = self.index;
        if !counters.is_empty() {
            info!(
                "function {function} processor {processor}: {}",
                counters.join(" ")
            );
        }
        for (way, tally) in ["egress", "ingress"].iter().zip(slot.port().tallies()) {
            if let Some(tally) = tally {
                info!("function {function} processor {processor}: impaired {way}: {tally}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
