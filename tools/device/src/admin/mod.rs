// SPDX-License-Identifier: GPL-2.0

//! A function's control: its admin queue, its resets, its link.
//!
//! Each function has a thread for it, beside the one that serves the vfio-user client, because a
//! command may take as long as the guest needs to drain a ring, and the client must not wait for
//! that: it may hold back the guest meanwhile. Everything arrives as an [`Event`] on one channel.

mod commands;
mod queue;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;

use toe_abi::Layout;
use toe_abi::MAX_PROCESSORS;
use toe_abi::admin;
use toe_abi::admin::Opcode;
use toe_abi::admin::Status;
use toe_abi::regs::status;
use tracing::debug;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::host::Host;
use crate::registers::Setup;
use crate::registers::Status as FunctionStatus;
use crate::worker::Control;
use crate::worker::Handle;

use self::queue::AdminQueue;
use self::queue::QueueError;

/// What a function's control hears of.
pub enum Event {
    /// The driver has ended negotiation; the sender is dropped when the function is ready.
    Enable(Setup, Sender<()>),
    /// The driver's set-up is impossible; the sender is dropped when the function has failed.
    Fail(&'static str, Sender<()>),
    /// Commands were posted.
    Producer(u32),
    /// Completions were consumed.
    Consumer(u32),
    /// Reset the function; the sender is dropped when that is done.
    Reset(Sender<()>),
    /// The client has given or taken something; the sender is dropped when all use the new host.
    Host(Arc<Host>, Sender<()>),
    /// The port's link went up or down.
    Link(bool),
    /// A worker has answered; the number is the [`Admin::epoch`] it was asked in.
    Answered(u32, Status),
    /// A processor has stopped because of an error in its rings.
    Failed(usize),
}

/// The right to answer a command once.
#[derive(Debug)]
pub struct Answer {
    to: Sender<Event>,
    epoch: u32,
}

impl Answer {
    /// Answers.
    pub fn give(self, result: Result<(), Status>) {
        let status = result.err().unwrap_or(Status::Ok);
        // It fails only when the process is ending.
        let _ = self.to.send(Event::Answered(self.epoch, status));
    }
}

/// A worker's way to tell a function's control what happened.
#[derive(Clone)]
pub struct Reporter(Sender<Event>);

impl Reporter {
    /// Reports to the receiver of `to`.
    pub fn new(to: Sender<Event>) -> Self {
        Self(to)
    }

    /// A processor has failed.
    pub fn failed(&self, processor: usize) {
        let _ = self.0.send(Event::Failed(processor));
    }
}

/// A command under way.
struct Pending {
    token: u32,
    opcode: Opcode,
    /// Answers that are still to come.
    waiting: usize,
    /// The first that was not `Ok`, else `Ok`.
    status: Status,
}

/// A function's control.
pub struct Admin {
    function: usize,
    status: Arc<FunctionStatus>,
    host: Arc<Host>,
    workers: Vec<Handle>,
    events: Receiver<Event>,
    to_self: Sender<Event>,
    /// Control of the function at the other end of the cable.
    peer: Option<Sender<Event>>,
    /// Counts resets, so that answers to what was asked before one are known as such.
    epoch: u32,
    queue: Option<AdminQueue>,
    pending: Option<Pending>,
    /// Events that the driver is still to be told of.
    news: VecDeque<(admin::Event, u32)>,
}

/// What an [`Admin`] needs.
pub struct Plan {
    /// Number of the function.
    pub function: usize,
    /// Its status register.
    pub status: Arc<FunctionStatus>,
    /// Its host, which has given nothing yet.
    pub host: Arc<Host>,
    /// The workers, by number.
    pub workers: Vec<Handle>,
    /// Where events arrive.
    pub events: Receiver<Event>,
    /// The other end of `events`.
    pub to_self: Sender<Event>,
    /// Control of the function at the other end of the cable, when the port is a cable.
    pub peer: Option<Sender<Event>>,
}

impl Admin {
    /// A function's control before anything has happened.
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
            news: VecDeque::new(),
        }
    }

    /// Works until the device ends.
    pub fn run(mut self) {
        while let Ok(event) = self.events.recv() {
            if let Err(broken) = self.handle(event).and_then(|()| self.advance()) {
                self.fail(&broken.to_string());
            }
        }
    }

    fn fail(&mut self, why: &str) {
        error!("function {}: {why}; it waits for a reset", self.function);
        self.reset_workers();
        self.status.set(status::FAILED);
    }

    fn handle(&mut self, event: Event) -> Result<(), QueueError> {
        match event {
            Event::Enable(setup, done) => {
                self.enable(setup);
                drop(done);
            }
            Event::Fail(why, done) => {
                self.fail(why);
                drop(done);
            }
            Event::Producer(index) => {
                if let Some(queue) = &mut self.queue {
                    queue.set_producer(index)?;
                }
            }
            Event::Consumer(index) => {
                if let Some(queue) = &mut self.queue {
                    queue.set_consumer(index)?;
                }
            }
            Event::Reset(done) => {
                self.reset_workers();
                self.status.clear(status::READY | status::FAILED);
                drop(done);
            }
            Event::Host(host, done) => {
                self.host = Arc::clone(&host);
                self.all_workers(|function, done| Control::Host {
                    function,
                    host: Arc::clone(&host),
                    done,
                });
                drop(done);
            }
            Event::Link(up) => self.set_link(up),
            Event::Answered(epoch, status) => {
                if let Some(pending) = self.pending.as_mut().filter(|_| epoch == self.epoch) {
                    pending.waiting -= 1;
                    if pending.status == Status::Ok {
                        pending.status = status;
                    }
                }
            }
            Event::Failed(processor) => {
                warn!(
                    "function {}: processor {processor} has stopped: its rings contradict the \
                     contract or their memory is gone",
                    self.function
                );
                self.tell(admin::Event::ProcessorFailed, processor as u32);
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

    /// Makes every worker forget the driver's set-up, and waits for it.
    fn reset_workers(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.pending = None;
        self.news.clear();
        if self.queue.take().is_some() {
            info!("function {}: reset", self.function);
            self.tell_peer(false);
        }
        self.all_workers(|function, done| Control::Reset { function, done });
    }

    /// Asks all workers for something and waits until they have done it. They never wait for the
    /// guest, so this is soon.
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
            let _ = peer.send(Event::Link(up));
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
            self.news.retain(|(event, _)| *event != admin::Event::Link);
            self.tell(admin::Event::Link, up.into());
        }
    }

    /// Leaves news for the driver; what it has not been told within a ring's worth it will not be.
    fn tell(&mut self, event: admin::Event, value: u32) {
        if self.queue.is_some() && self.news.len() <= MAX_PROCESSORS {
            self.news.push_back((event, value));
        }
    }

    /// Writes what can be written and carries out what can be carried out.
    fn advance(&mut self) -> Result<(), QueueError> {
        loop {
            let Some(queue) = self.queue.as_mut().filter(|queue| !queue.full()) else {
                return Ok(());
            };
            if let Some((event, value)) = self.news.pop_front() {
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
                if pending.status != Status::Ok {
                    warn!(
                        "function {}: {:?} answered with {:?}",
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
                    warn!("function {}: no command {}", self.function, header.opcode);
                    let completion = admin::Completion {
                        token: header.token,
                        status: Status::Unknown.raw(),
                        ..Default::default()
                    };
                    queue.complete(&self.host, completion)?;
                    continue;
                };
                let (waiting, status) = match self.execute(opcode, &command, features) {
                    Ok(waiting) => (waiting, Status::Ok),
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
