// SPDX-License-Identifier: GPL-2.0

//! A function's control: its admin queue, its resets, its link.
//!
//! Each function has a thread for it, beside the one that serves the vfio-user client, because a
//! command may take as long as the guest needs to drain a ring, and the client must not wait for
//! that: it may hold back the guest meanwhile. Everything arrives as an [`Event`] on one channel.

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
use toe_abi::feature;
use toe_abi::regs;
use toe_abi::regs::status;
use toe_abi::rss;
use toe_abi::rules::Action;
use toe_abi::rules::ActionKind;
use toe_abi::rules::Pattern;
use toe_abi::rules::Rule;
use toe_engine::processor::Rings;
use tracing::debug;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::host::Host;
use crate::impairment::Profile;
use crate::impairment::WireClock;
use crate::memory::Fault;
use crate::port::impaired::Impairment;
use crate::registers::Setup;
use crate::registers::Status as FunctionStatus;
use crate::setting::Setting;
use crate::worker::Control;
use crate::worker::Handle;

/// Multicast addresses that a filter holds at most.
const MULTICAST: u32 = 512;

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

/// Why the admin queue cannot go on.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("an admin ring cannot be reached: {0}")]
    Fault(#[from] Fault),
    #[error("the {0} index of an admin ring lies outside the ring")]
    Index(&'static str),
}

/// The admin rings at work.
struct Queue {
    setup: Setup,
    command_producer: u32,
    command_consumer: u32,
    completion_producer: u32,
    completion_consumer: u32,
}

impl Queue {
    fn new(setup: Setup) -> Self {
        Self {
            setup,
            command_producer: 0,
            command_consumer: 0,
            completion_producer: 0,
            completion_consumer: 0,
        }
    }

    fn entries(&self) -> u32 {
        1 << self.setup.log2_entries
    }

    fn full(&self) -> bool {
        self.completion_producer
            .wrapping_sub(self.completion_consumer)
            == self.entries()
    }

    fn set_producer(&mut self, index: u32) -> Result<(), Broken> {
        if index.wrapping_sub(self.command_consumer) > self.entries() {
            return Err(Broken::Index("producer"));
        }
        self.command_producer = index;
        Ok(())
    }

    fn set_consumer(&mut self, index: u32) -> Result<(), Broken> {
        let unread = self.completion_producer.wrapping_sub(index);
        let before = self
            .completion_producer
            .wrapping_sub(self.completion_consumer);
        if unread > before {
            return Err(Broken::Index("consumer"));
        }
        self.completion_consumer = index;
        Ok(())
    }

    /// Takes the next command.
    fn next(&mut self, host: &Host) -> Result<Option<[u8; admin::COMMAND_SIZE]>, Broken> {
        if self.command_consumer == self.command_producer {
            return Ok(None);
        }
        let place = u64::from(self.command_consumer & (self.entries() - 1));
        let mut command = [0; admin::COMMAND_SIZE];
        let address = place * admin::COMMAND_SIZE as u64;
        host.memory
            .read(self.setup.commands.wrapping_add(address), &mut command)?;
        self.command_consumer = self.command_consumer.wrapping_add(1);
        Ok(Some(command))
    }

    /// Writes a completion, of which there must be room for, and raises the vector.
    fn complete(&mut self, host: &Host, completion: admin::Completion) -> Result<(), Broken> {
        const PHASE: usize = admin::COMPLETION_SIZE - 4;
        let place = u64::from(self.completion_producer & (self.entries() - 1));
        let address = self
            .setup
            .completions
            .wrapping_add(place * admin::COMPLETION_SIZE as u64);
        let phase = u32::from((self.completion_producer >> self.setup.log2_entries) & 1 == 0);
        host.memory
            .write(address, &completion.to_bytes()[..PHASE])?;
        host.memory
            .store_release(address.wrapping_add(PHASE as u64), phase.to_le())?;
        self.completion_producer = self.completion_producer.wrapping_add(1);
        host.raise(regs::ADMIN_VECTOR.into());
        Ok(())
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
    queue: Option<Queue>,
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

    fn handle(&mut self, event: Event) -> Result<(), Broken> {
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
        self.queue = Some(Queue::new(setup));
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
    fn advance(&mut self) -> Result<(), Broken> {
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
                let features = queue.setup.features;
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

    fn answer(&self) -> Answer {
        Answer {
            to: self.to_self.clone(),
            epoch: self.epoch,
        }
    }

    /// Sets `setting` on every processor. Says how many will answer.
    fn configure_all(&self, setting: &Setting) -> usize {
        for worker in &self.workers {
            worker.send(Control::Configure {
                function: self.function,
                setting: setting.clone(),
                answer: self.answer(),
            });
        }
        self.workers.len()
    }

    /// Carries out a command. Says how many answers of workers make its answer.
    fn execute(
        &self,
        opcode: Opcode,
        command: &[u8; admin::COMMAND_SIZE],
        features: u64,
    ) -> Result<usize, Status> {
        let worker = |number: u8| self.workers.get(usize::from(number)).ok_or(Status::Invalid);
        let function = self.function;
        match opcode {
            Opcode::StartProcessor => {
                let command = admin::StartProcessor::from_bytes(command);
                worker(command.processor)?.send(Control::Start {
                    function,
                    rings: Rings {
                        log2_entries: command.log2_entries,
                        addresses: command.rings,
                        status: command.status,
                    },
                    vector: command.vector.into(),
                    answer: self.answer(),
                });
                Ok(1)
            }
            Opcode::StopProcessor => {
                let command = admin::StopProcessor::from_bytes(command);
                worker(command.processor)?.send(Control::Stop {
                    function,
                    answer: self.answer(),
                });
                Ok(1)
            }
            Opcode::SetRss => {
                if features & feature::RSS == 0 {
                    return Err(Status::Unsupported);
                }
                let command = admin::SetRss::from_bytes(command);
                if command.context != 0 && features & feature::RULES == 0 {
                    return Err(Status::Unsupported);
                }
                let setting = self.rss(&command)?;
                Ok(self.configure_all(&setting))
            }
            Opcode::RemoveContext | Opcode::SetRule if features & feature::RULES == 0 => {
                Err(Status::Unsupported)
            }
            Opcode::RemoveContext => {
                let command = admin::RemoveContext::from_bytes(command);
                Ok(self.configure_all(&Setting::RemoveContext(command.context)))
            }
            Opcode::SetRule => {
                let setting = self.rule(&admin::SetRule::from_bytes(command))?;
                Ok(self.configure_all(&setting))
            }
            Opcode::SetFilter => {
                let setting = self.filter(&admin::SetFilter::from_bytes(command))?;
                Ok(self.configure_all(&setting))
            }
            Opcode::SetMtu => {
                let command = admin::SetMtu::from_bytes(command);
                Ok(self.configure_all(&Setting::Mtu(command.mtu)))
            }
            Opcode::SetCoalesce => {
                let command = admin::SetCoalesce::from_bytes(command);
                worker(command.processor)?.send(Control::Configure {
                    function,
                    setting: Setting::Coalesce {
                        usecs: command.usecs,
                        completions: command.completions,
                    },
                    answer: self.answer(),
                });
                Ok(1)
            }
            Opcode::SetStorage => {
                let command = admin::SetStorage::from_bytes(command);
                if command.flags & admin::storage::GRO != 0 && features & feature::GRO == 0 {
                    return Err(Status::Unsupported);
                }
                Ok(self.configure_all(&Setting::Storage {
                    flags: command.flags,
                    small_frame: command.small_frame,
                }))
            }
            Opcode::SetImpairment => {
                if features & feature::IMPAIR == 0 {
                    return Err(Status::Unsupported);
                }
                let command = admin::SetImpairment::from_bytes(command);
                let profile = Profile::new(&command).ok_or(Status::Invalid)?;
                let clock = |bit| (command.directions & bit != 0).then(WireClock::default);
                Ok(self.configure_all(&Setting::Impairment(Impairment {
                    profile,
                    egress: clock(admin::direction::EGRESS),
                    ingress: clock(admin::direction::INGRESS),
                })))
            }
        }
    }

    /// An operand of `N` bytes.
    fn operand<const N: usize>(&self, address: u64) -> Result<[u8; N], Status> {
        let mut bytes = [0; N];
        let read = self.host.memory.read(address, &mut bytes);
        read.map(|()| bytes).map_err(|_| Status::Fault)
    }

    fn rss(&self, command: &admin::SetRss) -> Result<Setting, Status> {
        Ok(Setting::Rss {
            context: command.context,
            config: rss::Config::from_bytes(&self.operand(command.config)?),
            fields: command.fields,
        })
    }

    fn rule(&self, command: &admin::SetRule) -> Result<Setting, Status> {
        let kind = ActionKind::from_raw(command.action).ok_or(Status::Invalid)?;
        if kind == ActionKind::Remove {
            return Ok(Setting::RemoveRule(command.location));
        }
        let action = Action::new(kind, command.target).ok_or(Status::Invalid)?;
        let pattern = Pattern::from_bytes(&self.operand(command.pattern)?);
        let rule = Rule::new(command.location, action, &pattern);
        Ok(Setting::Rule(rule.tagged(command.tag)))
    }

    fn filter(&self, command: &admin::SetFilter) -> Result<Setting, Status> {
        const ENTRY: usize = 8;
        if command.count > MULTICAST {
            return Err(Status::Invalid);
        }
        let mut entries = vec![0; command.count as usize * ENTRY];
        self.host
            .memory
            .read(command.addresses, &mut entries)
            .map_err(|_| Status::Fault)?;
        let multicast = entries
            .chunks_exact(ENTRY)
            .map(|entry| std::array::from_fn(|i| entry[i]))
            .collect();
        Ok(Setting::Filter {
            mac: command.mac,
            flags: command.flags,
            multicast,
        })
    }
}
