// SPDX-License-Identifier: GPL-2.0

//! The adapter: one PCI function and its interface.

use super::admin::Admin;
use super::offload::Client;
use super::offload::Handle;
use super::poll::Poller;
use super::processor::Processor;
use super::processor::Submission;
use super::receive::Lent;
use super::receive::Receiver;
use super::registers::Registers;
use super::transmit;
use crate::abi::admin;
use crate::abi::admin::Event;
use crate::abi::admin::COMMAND_SIZE;
use crate::abi::feature;
use crate::abi::page::BATCH;
use crate::abi::regs;
use crate::abi::ring::Ring as Line;
use crate::abi::ring::ARM;
use crate::abi::ring::ARM_TRANSMIT;
use crate::abi::ring::INDEX;
use crate::abi::ring::RINGS;
use crate::abi::ring::SLEEPING;
use crate::abi::rss;
use crate::abi::Layout;
use crate::net::device::Allocation;
use crate::net::device::Control;
use crate::net::dma::Mapper;
use crate::net::dma::Ring;
use crate::net::dma::SharedBytes;
use crate::net::dma::SharedPage;
use crate::net::ethtool::Coalesce;
use crate::net::irq::ThreadHandler;
use crate::net::lock::BhSpinLock;
use crate::net::page_pool::PagePool;
use crate::net::work::Tick;
use crate::shim::Shim;
use kernel::device;
use kernel::device::Bound;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::AtomicFlag;
use kernel::sync::atomic::Relaxed;
use kernel::sync::barrier::mb;
use kernel::sync::barrier::Full;
use kernel::sync::Arc;
use kernel::sync::Mutex;
use kernel::time::delay::fsleep;
use kernel::time::Delta;
use kernel::time::Instant;
use kernel::time::Monotonic;

/// What the driver makes use of.
pub(super) const FEATURES: u64 = feature::TX_CSUM
    | feature::TSO4
    | feature::TSO6
    | feature::USO
    | feature::RX_CSUM
    | feature::RSS
    | feature::VLAN
    | feature::GRO
    | feature::DELEGATION
    | feature::ECN
    | feature::IMPAIR;

/// log2 of the entries of the rings, in the order of [`Line`].
pub(super) const LOG2: [u8; RINGS] = [transmit::LOG2, 9, 10, 9, 11];

/// log2 of the pages of a block of payload pages: one batch of the ring. The adapter takes the pages
/// of a batch one after the other, so that much payload of a connection makes large pieces.
const PAYLOAD_ORDER: u32 = BATCH.ilog2();

/// How long a reset may take, and the last completions to be taken.
const PATIENCE: Delta = Delta::from_secs(2);

/// How long bringing the function back is tried.
const RECOVERY: Delta = Delta::from_secs(3);

/// The most multicast addresses that the adapter's filter holds.
const FILTER: usize = 512;

/// Work that is left to process context.
pub(super) mod work {
    /// The link has changed.
    pub(in super::super) const LINK: usize = 1 << 0;
    /// The function has to be reset.
    pub(in super::super) const RESET: usize = 1 << 1;
}

/// Hash and indirection table in force.
pub(super) struct Rss {
    pub(super) key: [u8; rss::KEY_SIZE],
    pub(super) table: rss::Indirection,
}

/// What is set by control operations, to be set anew after a reset. Under the instance lock.
pub(crate) struct Settings {
    pub(super) up: bool,
    pub(super) mtu: u32,
    pub(super) mac: [u8; 6],
    pub(super) filter_flags: u32,
    pub(super) multicast: KVec<[u8; 8]>,
    pub(super) coalesce: Coalesce,
    pub(super) storage: u32,
}

/// One PCI function and its interface.
#[pin_data]
pub(crate) struct Adapter {
    pub(super) dev: ARef<device::Device>,
    pub(super) registers: Registers,
    pub(super) features: u64,
    pub(super) connections: u32,
    pub(super) pages: u32,
    pub(super) netdev: Arc<Allocation>,
    pub(super) mapper: Mapper,
    pub(super) processors: KVec<Arc<Processor>>,
    #[pin]
    admin: Mutex<Option<Admin>>,
    #[pin]
    pub(super) rss: BhSpinLock<Rss>,
    /// The interface is up and the adapter works.
    pub(super) running: AtomicFlag,
    /// The adapter has failed and could not be brought back.
    pub(super) dead: AtomicFlag,
    /// A reset is scheduled.
    resetting: AtomicFlag,
    /// Delegation is allowed on this interface.
    pub(super) delegation: AtomicFlag,
    /// Times that the function was reset because of a fault.
    pub(super) resets: Atomic<u64>,
}

/// What a probe finds out about a function before there is an interface.
pub(super) struct Function {
    pub(super) registers: Registers,
    pub(super) features: u64,
    pub(super) processors: u8,
    pub(super) admin: Admin,
}

/// Resets the function and waits for it.
fn reset(registers: &Registers) -> Result {
    registers.write(regs::CONTROL, regs::control::RESET);
    let since = Instant::<Monotonic>::now();
    loop {
        let status = registers.read(regs::STATUS);
        if status == super::registers::GONE {
            return Err(ENODEV);
        }
        if status & regs::status::RESETTING == 0 {
            return Ok(());
        }
        if since.elapsed() > PATIENCE {
            return Err(ETIMEDOUT);
        }
        fsleep(Delta::from_micros(100));
    }
}

/// Resets the function, accepts `features` and starts its admin queue.
pub(super) fn enable(
    dev: &device::Device<Bound>,
    registers: &Registers,
    features: u64,
) -> Result<Admin> {
    reset(registers)?;
    registers.write64(regs::DRIVER_FEATURES, features);
    let admin = Admin::new(dev, registers)?;
    registers.write(regs::CONTROL, regs::control::ENABLE);
    let status = registers.read(regs::STATUS);
    if status & (regs::status::READY | regs::status::FAILED) != regs::status::READY {
        // Before the rings go: the function may know them.
        let _ = reset(registers);
        return Err(EIO);
    }
    Ok(admin)
}

impl Adapter {
    /// The adapter of a function that is enabled, with its processors.
    pub(super) fn new(
        dev: &device::Device<Bound>,
        function: Function,
        netdev: &Arc<Allocation>,
    ) -> Result<Arc<Self>> {
        let registers = function.registers;
        let fragments = registers.read(regs::FRAGMENTS);
        let mut processors = KVec::new();
        for index in 0..function.processors {
            processors.push(Processor::new(netdev, index, fragments)?, GFP_KERNEL)?;
        }
        let parent = ARef::from(&**dev);
        let mapper = Mapper::new(dev);
        Arc::pin_init(
            pin_init!(Self {
                dev: parent,
                features: function.features,
                connections: registers.read(regs::CONNECTIONS),
                pages: registers.read(regs::PAGES),
                registers,
                netdev: netdev.clone(),
                mapper,
                admin <- kernel::new_mutex!(Some(function.admin), "toe::admin"),
                rss <- crate::net::lock::new_bh_spinlock!(Rss {
                    key: rss::DEFAULT_KEY,
                    table: rss::Indirection::even(function.processors),
                }),
                processors,
                running: AtomicFlag::new(false),
                dead: AtomicFlag::new(false),
                resetting: AtomicFlag::new(false),
                delegation: AtomicFlag::new(true),
                resets: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Something that the adapter must not do: it is reset. From softirq or process context.
    #[cold]
    pub(super) fn fault(&self, why: &str) {
        if !self.resetting.xchg(true, kernel::sync::atomic::Full) {
            dev_err!(&*self.dev, "{}; the function is reset\n", why);
            self.netdev.device().schedule_work(work::RESET);
        }
    }

    /// Wakes a processor when it sleeps. After its doorbell was written.
    #[inline]
    pub(super) fn wake(&self, processor: u8, status: &SharedPage) {
        // The doorbell must be visible before the flag is looked at: the adapter sets the flag, then
        // looks at the doorbell.
        mb(Full);
        if status.load_acquire::<SLEEPING>() != 0 {
            self.registers.write(regs::KICK, processor.into());
        }
    }

    /// Room in a submission ring.
    pub(super) fn submission_room(&self, processor: u8) -> u32 {
        let processor = self.processors.get(usize::from(processor));
        processor.map_or(0, |p| {
            p.submission.lock().as_ref().map_or(0, Submission::room)
        })
    }

    fn event(&self, event: Event, value: u32) {
        match event {
            Event::Link => self.netdev.device().schedule_work(work::LINK),
            Event::ProcessorFailed => {
                dev_err!(&*self.dev, "processor {} has stopped by itself\n", value);
                self.fault("a processor failed");
            }
        }
    }

    /// Gives an admin command. In process context.
    pub(super) fn command<C: Layout<Bytes = [u8; COMMAND_SIZE]>>(&self, command: &C) -> Result {
        if self.dead.load(Relaxed) {
            return Err(ENODEV);
        }
        let mut guard = self.admin.lock();
        let admin: &mut Option<Admin> = &mut guard;
        let result =
            admin
                .as_mut()
                .ok_or(ENODEV)?
                .command(&self.registers, command, |event, value| {
                    self.event(event, value)
                });
        if let Err(error) = result {
            dev_err!(&*self.dev, "{} failed: {}\n", C::NAME, error.to_errno());
            if error == ETIMEDOUT || error == ENODEV {
                self.fault("the admin queue does not answer");
            }
        }
        result
    }

    /// Sets what a reset forgets.
    pub(super) fn apply(&self, dev: &device::Device<Bound>, settings: &Settings) -> Result {
        self.command(&admin::SetMtu {
            opcode: admin::Opcode::SetMtu.raw(),
            mtu: settings.mtu,
            ..Default::default()
        })?;
        self.command(&admin::SetStorage {
            opcode: admin::Opcode::SetStorage.raw(),
            flags: settings.storage,
            small_frame: crate::abi::SMALL_FRAME,
            ..Default::default()
        })?;
        self.apply_filter(dev, settings)?;
        self.apply_rss(dev)
    }

    /// Sets which frames are received.
    pub(super) fn apply_filter(&self, dev: &device::Device<Bound>, settings: &Settings) -> Result {
        let mut command = admin::SetFilter {
            opcode: admin::Opcode::SetFilter.raw(),
            flags: settings.filter_flags,
            mac: settings.mac,
            ..Default::default()
        };
        let mut list = KVec::new();
        if settings.multicast.len() > FILTER {
            command.flags |= admin::filter::ALL_MULTICAST;
        } else {
            for address in &settings.multicast {
                list.extend_from_slice(address, GFP_KERNEL)?;
            }
        }
        command.count = (list.len() / 8) as u32;
        // At least one entry: there is no memory of length 0.
        list.resize(list.len().max(8), 0, GFP_KERNEL)?;
        let memory = SharedBytes::new(dev, &list)?;
        command.addresses = memory.dma_address();
        self.command(&command)
    }

    /// Sets hash and indirection table.
    pub(super) fn apply_rss(&self, dev: &device::Device<Bound>) -> Result {
        if self.features & feature::RSS == 0 {
            return Ok(());
        }
        let config = {
            let rss = self.rss.lock();
            rss::Config {
                key: rss.key,
                table: rss.table.0,
            }
        };
        let memory = SharedBytes::new(dev, &config.to_bytes())?;
        self.command(&admin::SetRss {
            opcode: admin::Opcode::SetRss.raw(),
            fields: rss::field::DEFAULT,
            config: memory.dma_address(),
            ..Default::default()
        })
    }

    /// Sets interrupt moderation.
    pub(super) fn apply_coalesce(&self, coalesce: Coalesce) -> Result {
        for processor in &self.processors {
            self.command(&admin::SetCoalesce {
                opcode: admin::Opcode::SetCoalesce.raw(),
                processor: processor.index,
                usecs: coalesce.usecs,
                completions: coalesce.frames,
                ..Default::default()
            })?;
        }
        Ok(())
    }

    /// Starts all processors and lets frames in.
    pub(super) fn start(cx: &mut Control<'_, Self>) -> Result {
        let this = cx.data().clone();
        for processor in &this.processors {
            if let Err(error) = this.start_processor(cx, processor) {
                Self::stop_all(cx, true);
                return Err(error);
            }
        }
        if let Err(error) = this.apply_coalesce(cx.state.coalesce) {
            Self::stop_all(cx, true);
            return Err(error);
        }
        this.running.store(true, Relaxed);
        for processor in &this.processors {
            if let Some(queue) =
                crate::net::queue::TxQueue::new(cx.device(), processor.index.into())
            {
                queue.reset_and_start();
            }
            // Takes what came meanwhile, and arms.
            processor.napi.schedule();
        }
        Self::update_link(cx);
        Ok(())
    }

    /// Rings for one processor, and the command that starts it on them.
    fn start_processor(
        self: &Arc<Self>,
        cx: &mut Control<'_, Self>,
        processor: &Arc<Processor>,
    ) -> Result {
        let dev = cx.parent();
        let index = processor.index;
        let log2 = |line: Line| LOG2[line as usize];
        let status = Arc::new(SharedPage::new(dev)?, GFP_KERNEL)?;

        let ring = Ring::new(dev, log2(Line::Transmit))?;
        let transmit = ring.dma_address();
        let (sender, transmitted) = transmit::pair(processor, ring, &status, &self.mapper)?;
        let lent = |line: Line, order: u32| {
            let log2 = log2(line);
            if 1 << log2 > self.pages {
                return Err(EINVAL);
            }
            let napi = processor.napi.instance();
            let pool = |order| PagePool::new(cx.lock(), napi, dev, 1 << log2, order, index.into());
            let single = (order > 0).then(|| pool(0)).transpose()?;
            Lent::new(line, Ring::new(dev, log2)?, pool(order)?, single)
        };
        let mut receiver = Receiver::new(
            lent(Line::HeaderPages, 0)?,
            lent(Line::PayloadPages, PAYLOAD_ORDER)?,
        );
        let submissions = Ring::new(dev, log2(Line::Submission))?;
        let completions = Ring::new(dev, log2(Line::Completion))?;

        for line in 0..RINGS {
            self.registers
                .doorbell(index, line * crate::abi::ring::LINE + INDEX, 0);
        }
        self.registers.doorbell(index, ARM, 0);
        self.registers.doorbell(index, ARM_TRANSMIT, 0);
        processor.consumed.store(0, Relaxed);
        processor.broken.store(false, Relaxed);
        let command = admin::StartProcessor {
            opcode: admin::Opcode::StartProcessor.raw(),
            processor: index,
            vector: index + 1,
            log2_entries: LOG2,
            status: status.dma_address(),
            rings: [
                transmit,
                receiver.headers.dma_address(),
                receiver.payload.dma_address(),
                submissions.dma_address(),
                completions.dma_address(),
            ],
            ..Default::default()
        };
        let shim = Shim::start(&Handle::new(self.clone()), index)?;
        if let Err(error) = self.command(&command) {
            Shim::stopped(shim);
            if error == ETIMEDOUT {
                // It may start yet, on memory that is about to go.
                let _ = reset(&self.registers);
            }
            return Err(error);
        }
        // The pages of the first round.
        receiver.headers.refill(processor, &self.registers);
        receiver.payload.refill(processor, &self.registers);
        self.wake(index, &status);

        processor.totals.lock().begin(status.clone());
        *processor.submission.lock() = Some(Submission {
            ring: submissions,
            status: status.clone(),
            producer: 0,
        });
        cx.set_tx_queue(index.into(), Some(sender));
        let poller = KBox::new(
            Poller {
                adapter: self.clone(),
                processor: processor.clone(),
                status,
                completions,
                receiver,
                transmitted,
                shim: Some(shim),
                consumer: 0,
                gro_holds_tcp: false,
                starved: false,
            },
            GFP_KERNEL,
        );
        let result = poller
            .map_err(Error::from)
            .and_then(|poller| processor.napi.enable(cx.lock(), poller));
        if let Err(error) = result {
            self.command_stop(processor);
            self.drain(processor);
            self.detach(cx, processor);
            return Err(error);
        }
        Ok(())
    }

    /// Stops all processors. An adapter that works gives their connections back first; from one
    /// that does not, or has been reset, the shim takes them.
    pub(super) fn stop_all(cx: &mut Control<'_, Self>, mut works: bool) {
        let this = cx.data().clone();
        this.running.store(false, Relaxed);
        // Before the queues stop: without link it is no fault that they do not move.
        cx.set_carrier(false);
        Shim::stopping(&Handle::new(this.clone()));
        cx.disable_tx();
        for processor in &this.processors {
            if processor.submission.lock().is_none() {
                continue;
            }
            works = works && this.command_stop(processor);
            this.drain(processor);
            if let Some(mut poller) = processor.napi.disable(cx.lock()) {
                this.detach(cx, processor);
                if let Some(shim) = poller.shim.take() {
                    Shim::stopped(shim);
                }
            }
        }
    }

    /// Asks the adapter to stop a processor. Afterwards the adapter touches none of the processor's
    /// memory any more. False when it had to be reset to that end.
    fn command_stop(&self, processor: &Processor) -> bool {
        let stopped = self.command(&admin::StopProcessor {
            opcode: admin::Opcode::StopProcessor.raw(),
            processor: processor.index,
            ..Default::default()
        });
        if stopped.is_err() {
            self.reset_or_complain();
        }
        stopped.is_ok()
    }

    fn reset_or_complain(&self) {
        if let Err(error) = reset(&self.registers) {
            dev_err!(
                &*self.dev,
                "the function cannot be reset: {}\n",
                error.to_errno()
            );
        }
    }

    /// Waits until the poll has taken all that a stopped processor has said: payload among it that
    /// the peer will not send again.
    fn drain(&self, processor: &Processor) {
        let since = Instant::<Monotonic>::now();
        while !processor.is_drained() && since.elapsed() < PATIENCE {
            processor.napi.schedule();
            fsleep(Delta::from_micros(100));
        }
    }

    /// Takes away what reaches into the rings of a stopped processor.
    fn detach(&self, cx: &mut Control<'_, Self>, processor: &Processor) {
        drop(cx.set_tx_queue(processor.index.into(), None));
        let submission = processor.submission.lock().take();
        drop(submission);
        processor.totals.lock().end();
    }

    /// Shows the link as the function reports it.
    pub(super) fn update_link(cx: &Control<'_, Self>) {
        let this = cx.data();
        let status = this.registers.read(regs::STATUS);
        let up = status != super::registers::GONE && status & regs::status::LINK != 0;
        cx.set_carrier(up && this.running.load(Relaxed));
    }

    /// Brings the function back after a fault.
    pub(super) fn recover(cx: &mut Control<'_, Self>) {
        let this = cx.data().clone();
        this.resets.add(1, Relaxed);
        let up = cx.state.up;
        // Whatever it does, it does it no longer.
        this.reset_or_complain();
        if up {
            Self::stop_all(cx, false);
        }
        let since = Instant::<Monotonic>::now();
        let result = loop {
            let result = this.renew(cx.parent(), cx.state).and_then(|()| match up {
                true => Self::start(cx),
                false => Ok(()),
            });
            // While the PCI core resets the function it has neither memory nor mastery of the bus.
            if result.is_ok() || since.elapsed() > RECOVERY {
                break result;
            }
            fsleep(Delta::from_millis(50));
        };
        this.resetting.store(false, Relaxed);
        match result {
            Ok(()) => dev_info!(&*this.dev, "the function works again\n"),
            Err(error) => {
                this.dead.store(true, Relaxed);
                cx.set_carrier(false);
                dev_err!(
                    &*this.dev,
                    "the adapter is lost ({}): bind the driver anew when it is back\n",
                    error.to_errno()
                );
            }
        }
    }

    /// Resets the function and sets it up as it was.
    fn renew(&self, dev: &device::Device<Bound>, settings: &Settings) -> Result {
        *self.admin.lock() = None;
        let admin = enable(dev, &self.registers, self.features)?;
        *self.admin.lock() = Some(admin);
        self.apply(dev, settings)
    }

    /// The driver goes: the function forgets all host memory.
    pub(super) fn shutdown(&self) {
        if !self.registers.is_gone() {
            self.reset_or_complain();
        }
        *self.admin.lock() = None;
    }
}

impl ThreadHandler for Adapter {
    /// The admin interrupt.
    fn handle(&self) {
        if let Some(admin) = &mut *self.admin.lock() {
            admin.events(&self.registers, |event, value| self.event(event, value));
        }
    }
}

impl Tick for Adapter {
    /// Finds out about an adapter that has died or was reset behind the driver's back, and retries
    /// to lend pages for which there was no memory.
    fn tick(&self) {
        if !self.running.load(Relaxed) || self.dead.load(Relaxed) {
            return;
        }
        let status = self.registers.read(regs::STATUS);
        let wrong = regs::status::RESETTING | regs::status::FAILED;
        if status == super::registers::GONE {
            self.fault("the function does not answer");
        } else if status & regs::status::READY == 0 || status & wrong != 0 {
            self.fault("the function was reset or has failed");
        } else {
            self.processors.iter().for_each(|p| p.napi.schedule());
        }
    }
}
