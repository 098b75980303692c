// SPDX-License-Identifier: GPL-2.0

//! Control thread of a function: admin queue, resets and link state.
//!
//! Each function has one in addition to the thread that serves the vfio-user client. A command may
//! take until the guest drains a ring, and the client must not wait for that, because it may stall
//! the guest meanwhile. All input arrives as a [`ControlEvent`] on one channel.

mod commands;
mod queue;

use std::collections::VecDeque;
use std::mem;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;

use toe_abi::Layout;
use toe_abi::MAX_PROCESSORS;
use toe_abi::admin;
use toe_abi::admin::CommandStatus;
use toe_abi::admin::Opcode;
use toe_abi::regs::status;
use tracing::debug;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::host::Host;
use crate::registers::Setup;
use crate::registers::StatusRegister;
use crate::worker::Control;
use crate::worker::Handle;

use self::queue::AdminQueue;
use self::queue::QueueError;

/// Input of a function's control thread.
pub enum ControlEvent {
    /// The driver has finished negotiation. The sender is dropped when the function is ready.
    Enable(Setup, Sender<()>),
    /// The driver's configuration is invalid. The sender is dropped when the function has failed.
    Fail(&'static str, Sender<()>),
    /// Commands were posted. The sender is dropped when the index is taken, so that a client does
    /// not fill the channel.
    Producer(u32, Sender<()>),
    /// Completions were consumed. The sender as above.
    Consumer(u32, Sender<()>),
    /// Reset the function. The sender is dropped when the reset is complete.
    Reset(Sender<()>),
    /// The client has changed mappings or interrupts. The sender is dropped when all threads use
    /// the new host.
    Host(Arc<Host>, Sender<()>),
    /// The port's link went up or down.
    Link(bool),
    /// A worker has answered a request made in the given [`Admin::epoch`].
    Answered(u32, CommandStatus),
    /// A processor has stopped because of an error of the host.
    Failed(usize),
}

/// One-time permission to answer a command.
#[derive(Debug)]
pub struct Answer {
    to: Sender<ControlEvent>,
    epoch: u32,
}

impl Answer {
    /// Sends the answer.
    pub fn give(self, result: Result<(), CommandStatus>) {
        let status = result.err().unwrap_or(CommandStatus::Ok);
        // Fails only while the process exits.
        let _ = self.to.send(ControlEvent::Answered(self.epoch, status));
    }
}

/// Channel from a worker to a function's control thread.
#[derive(Clone)]
pub struct Reporter(Sender<ControlEvent>);

impl Reporter {
    /// Creates a reporter that sends to `to`.
    pub fn new(to: Sender<ControlEvent>) -> Self {
        Self(to)
    }

    /// Reports that a processor has failed.
    pub fn failed(&self, processor: usize) {
        let _ = self.0.send(ControlEvent::Failed(processor));
    }
}

/// A command in progress.
struct Pending {
    token: u32,
    opcode: Opcode,
    /// Number of answers outstanding.
    waiting: usize,
    /// First status other than `Ok`, else `Ok`.
    status: CommandStatus,
}

/// Control of a function.
pub struct Admin {
    function: usize,
    status: Arc<StatusRegister>,
    host: Arc<Host>,
    workers: Vec<Handle>,
    events: Receiver<ControlEvent>,
    to_self: Sender<ControlEvent>,
    /// Control of the function at the other end of the cable.
    peer: Option<Sender<ControlEvent>>,
    /// Number of resets. Identifies answers to requests made before a reset.
    epoch: u32,
    queue: Option<AdminQueue>,
    pending: Option<Pending>,
    /// Asynchronous events not yet written to the completion ring.
    events_pending: VecDeque<(admin::Event, u32)>,
}

/// Arguments of [`Admin::new`].
pub struct Plan {
    /// Number of the function.
    pub function: usize,
    /// Its status register.
    pub status: Arc<StatusRegister>,
    /// Its host, which has no mappings or interrupts yet.
    pub host: Arc<Host>,
    /// The workers, by number.
    pub workers: Vec<Handle>,
    /// Receiver of events.
    pub events: Receiver<ControlEvent>,
    /// Sender of events.
    pub to_self: Sender<ControlEvent>,
    /// Control of the function at the other end of the cable, if the port is a cable.
    pub peer: Option<Sender<ControlEvent>>,
}

impl Admin {
    /// Creates the control of a function in its initial state.
    pub fn new(plan: Plan) -> Self {
        if plan.peer.is_none() {
            plan.status.set(status::LINK);
        }
        Self {
            function: plan.function,
            status: plan.status,
            host: plan.host,
            workers: plan.workers,
            events: plan.events,
            to_self: plan.to_self,
            peer: plan.peer,
            epoch: 0,
            queue: None,
            pending: None,
            events_pending: VecDeque::new(),
        }
    }

    /// Runs until the device is dropped.
    pub fn run(mut self) {
        while let Ok(event) = self.events.recv() {
            let handle = || self.handle(event).and_then(|()| self.advance());
            match panic::catch_unwind(AssertUnwindSafe(handle)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.fail(&error.to_string()),
                Err(_) => self.fail("a panic"),
            }
        }
    }

    fn fail(&mut self, why: &str) {
        error!(
            "function {}: failed: {why}; reset the function to recover",
            self.function
        );
        self.reset_workers();
        self.status.set(status::FAILED);
    }

    fn handle(&mut self, event: ControlEvent) -> Result<(), QueueError> {
        match event {
            ControlEvent::Enable(setup, done) => {
                self.enable(setup);
                drop(done);
            }
            ControlEvent::Fail(why, done) => {
                self.fail(why);
                drop(done);
            }
            ControlEvent::Producer(index, done) => {
                drop(done);
                if let Some(queue) = &mut self.queue {
                    queue.set_producer(index)?;
                }
            }
            ControlEvent::Consumer(index, done) => {
                drop(done);
                if let Some(queue) = &mut self.queue {
                    queue.set_consumer(index)?;
                }
            }
            ControlEvent::Reset(done) => {
                self.reset_workers();
                self.status.clear(status::READY | status::FAILED);
                drop(done);
            }
            ControlEvent::Host(host, done) => {
                let former = mem::replace(&mut self.host, Arc::clone(&host));
                self.all_workers(|function, done| Control::Host {
                    function,
                    host: Arc::clone(&host),
                    done,
                });
                // Unmapping a large memory takes long: not on a worker.
                drop(former);
                drop(done);
            }
            ControlEvent::Link(up) => self.set_link(up),
            ControlEvent::Answered(epoch, status) => {
                if let Some(pending) = self.pending.as_mut().filter(|_| epoch == self.epoch) {
                    pending.waiting -= 1;
                    if pending.status == CommandStatus::Ok {
                        pending.status = status;
                    }
                }
            }
            ControlEvent::Failed(processor) => {
                warn!(
                    "function {}: processor {processor} failed: invalid ring index or unmapped \
                     memory; reset the function to recover",
                    self.function
                );
                self.notify(admin::Event::ProcessorFailed, processor as u32);
            }
        }
        Ok(())
    }

    fn enable(&mut self, setup: Setup) {
        if self.status.bits() & (status::READY | status::FAILED) != 0 {
            return;
        }
        info!(
            "function {}: enabled, features {:#x}",
            self.function, setup.features
        );
        for worker in &self.workers {
            worker.send(Control::Open {
                function: self.function,
            });
        }
        self.queue = Some(AdminQueue::new(setup));
        self.status.set(status::READY);
        self.tell_peer(true);
    }

    /// Resets all workers and waits for them.
    fn reset_workers(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.pending = None;
        self.events_pending.clear();
        if self.queue.take().is_some() {
            info!("function {}: reset", self.function);
            self.tell_peer(false);
        }
        let function = self.function;
        let (to, parked) = mpsc::channel();
        for worker in &self.workers {
            let to = to.clone();
            worker.send(Control::Park { function, to });
        }
        drop(to);
        // Ends when the last worker has answered. What takes long is done here: a worker's other
        // functions do not wait for it.
        let parked: Vec<_> = parked.iter().collect();
        let (done, wait) = mpsc::channel();
        for parked in parked {
            let worker = &self.workers[parked.index()];
            let (processor, done) = (parked.cleared(), done.clone());
            worker.send(Control::Unpark {
                function,
                processor,
                done,
            });
        }
        drop(done);
        let _ = wait.recv();
    }

    /// Sends a request to all workers and waits for its completion. Workers never wait for the
    /// guest, so this is short.
    fn all_workers(&self, control: impl Fn(usize, Sender<()>) -> Control) {
        let (done, wait) = mpsc::channel();
        for worker in &self.workers {
            worker.send(control(self.function, done.clone()));
        }
        drop(done);
        // Ends when the last worker has dropped its sender.
        let _ = wait.recv();
    }

    fn tell_peer(&self, up: bool) {
        if let Some(peer) = &self.peer {
            let _ = peer.send(ControlEvent::Link(up));
        }
    }

    fn set_link(&mut self, up: bool) {
        let changed = if up {
            self.status.set(status::LINK)
        } else {
            self.status.clear(status::LINK)
        };
        if changed {
            debug!(
                "function {}: link {}",
                self.function,
                if up { "up" } else { "down" }
            );
            self.events_pending
                .retain(|(event, _)| *event != admin::Event::Link);
            self.notify(admin::Event::Link, up.into());
        }
    }

    /// Queues an asynchronous event for the driver. Drops it if a full ring of events is pending.
    fn notify(&mut self, event: admin::Event, value: u32) {
        if self.queue.is_some() && self.events_pending.len() <= MAX_PROCESSORS {
            self.events_pending.push_back((event, value));
        }
    }

    /// Writes pending completions and executes pending commands.
    fn advance(&mut self) -> Result<(), QueueError> {
        loop {
            let Some(queue) = self.queue.as_mut().filter(|queue| !queue.full()) else {
                return Ok(());
            };
            if let Some((event, value)) = self.events_pending.pop_front() {
                let completion = admin::Completion {
                    status: event.raw(),
                    event: 1,
                    value,
                    ..Default::default()
                };
                queue.complete(&self.host, completion)?;
            } else if let Some(pending) = self.pending.take() {
                if pending.waiting > 0 {
                    self.pending = Some(pending);
                    return Ok(());
                }
                if pending.status != CommandStatus::Ok {
                    warn!(
                        "function {}: command {:?} failed: {:?}",
                        self.function, pending.opcode, pending.status
                    );
                }
                let completion = admin::Completion {
                    token: pending.token,
                    status: pending.status.raw(),
                    ..Default::default()
                };
                queue.complete(&self.host, completion)?;
            } else if let Some(command) = queue.next(&self.host)? {
                let features = queue.features();
                let header = admin::Header::from_bytes(&command);
                let Some(opcode) = Opcode::from_raw(header.opcode) else {
                    warn!(
                        "function {}: unknown command opcode {}",
                        self.function, header.opcode
                    );
                    let completion = admin::Completion {
                        token: header.token,
                        status: CommandStatus::Unknown.raw(),
                        ..Default::default()
                    };
                    queue.complete(&self.host, completion)?;
                    continue;
                };
                let (waiting, status) = match self.execute(opcode, &command, features) {
                    Ok(waiting) => (waiting, CommandStatus::Ok),
                    Err(status) => (0, status),
                };
                self.pending = Some(Pending {
                    token: header.token,
                    opcode,
                    waiting,
                    status,
                });
            } else {
                return Ok(());
            }
        }
    }
}
