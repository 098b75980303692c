// SPDX-License-Identifier: GPL-2.0

//! The adapter: one PCI function and its interface.

use super::{
    admin::Admin,
    poll::Poller,
    processor::{
        Processor,
        Submission, //
    },
    registers::Registers,
    sizes::Sizes,
    steering::Steering, //
};
use crate::{
    abi::{
        admin::{
            self,
            Event,
            COMMAND_SIZE, //
        },
        feature,
        regs,
        ring::SLEEPING,
        stats::Counter as Wire,
        Layout, //
    },
    net::{
        dma::{
            Mapper,
            SharedBytes,
            SharedPage, //
        },
        ethtool::{
            Coalesce,
            FlowRule, //
        },
        napi::Napi,
        netdev::Allocation,
        xdp, //
    },
    offload::Client,
    util::{
        lock::BhSpinLock,
        workqueue::Tick, //
    }, //
};
use core::ops::Deref;
use kernel::{
    device::{
        self,
        Bound, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            AtomicFlag,
            Relaxed, //
        },
        barrier::{
            mb,
            Full, //
        },
        Arc,
        Mutex, //
    }, //
};

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
    | feature::IMPAIR
    | feature::RULES;

/// The most multicast addresses that the adapter's filter holds.
const FILTER: usize = 512;

/// Work that is left to process context.
pub(super) mod work {
    /// The link has changed.
    pub(in super::super) const LINK: usize = 1 << 0;
    /// The function has to be reset.
    pub(in super::super) const RESET: usize = 1 << 1;
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
    pub(super) small_frame: u16,
    pub(super) sizes: Sizes,
    /// Receive rules, in the order of their locations.
    pub(super) rules: KVec<FlowRule>,
}

/// A queue pair and the NAPI instance that polls it.
pub(super) struct Queue<C: Client> {
    pub(super) pair: Arc<Processor>,
    pub(super) napi: Napi<Poller<C>>,
}

impl<C: Client> Deref for Queue<C> {
    type Target = Arc<Processor>;

    fn deref(&self) -> &Arc<Processor> {
        &self.pair
    }
}

/// One PCI function and its interface.
#[pin_data]
pub(crate) struct Adapter<C: Client> {
    pub(super) dev: ARef<device::Device>,
    pub(super) registers: Registers,
    pub(super) features: u64,
    pub(super) connections: u32,
    pub(super) pages: u32,
    pub(super) netdev: Arc<Allocation>,
    pub(super) mapper: Mapper,
    pub(super) processors: KVec<Queue<C>>,
    #[pin]
    pub(super) admin: Mutex<Option<Admin>>,
    #[pin]
    pub(super) steering: BhSpinLock<Steering>,
    /// The interface is up and the adapter works.
    pub(super) running: AtomicFlag,
    /// The adapter has failed and could not be brought back.
    pub(super) dead: AtomicFlag,
    /// A reset is scheduled.
    pub(super) resetting: AtomicFlag,
    /// Delegation is allowed on this interface.
    pub(super) delegation: AtomicFlag,
    /// The XDP program of the interface.
    pub(super) xdp: xdp::Attachment,
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

impl<C: Client> Adapter<C> {
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
            let queue = Queue {
                pair: Processor::new(index, fragments)?,
                napi: Napi::new(netdev, index.into())?,
            };
            processors.push(queue, GFP_KERNEL)?;
        }
        let steering = Steering::new(function.processors)?;
        let parent = ARef::from(&**dev);
        let mapper = Mapper::new(dev)?;
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
                steering <- crate::util::lock::new_bh_spinlock!(steering),
                processors,
                running: AtomicFlag::new(false),
                dead: AtomicFlag::new(false),
                resetting: AtomicFlag::new(false),
                delegation: AtomicFlag::new(true),
                xdp: xdp::Attachment::new(),
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

    /// Handles the events of the admin queue. In process context.
    pub(super) fn handle_admin_events(&self) {
        if let Some(admin) = &mut *self.admin.lock() {
            admin.events(&self.registers, |event, value| self.event(event, value));
        }
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
    pub(super) fn command<T: Layout<Bytes = [u8; COMMAND_SIZE]>>(&self, command: &T) -> Result {
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
            dev_err!(&*self.dev, "{} failed: {}\n", T::NAME, error.to_errno());
            if error == ETIMEDOUT || error == ENODEV {
                self.fault("the admin queue does not answer");
            }
        }
        result
    }

    /// The sum of counters of the adapter over all processors. It wraps: their values are the
    /// adapter's.
    pub(super) fn sum(&self, counters: &[Wire]) -> u64 {
        self.processors.iter().fold(0, |sum, processor| {
            processor.sum(counters).wrapping_add(sum)
        })
    }

    /// Sets what a reset forgets.
    pub(super) fn apply(&self, dev: &device::Device<Bound>, settings: &Settings) -> Result {
        self.command(&admin::SetMtu {
            opcode: admin::Opcode::SetMtu.raw(),
            mtu: settings.mtu,
            ..Default::default()
        })?;
        self.apply_storage(settings.storage, settings.small_frame)?;
        self.apply_filter(dev, settings)?;
        self.apply_steering(dev, settings)
    }

    /// Sets how received frames are stored.
    pub(super) fn apply_storage(&self, flags: u32, small_frame: u16) -> Result {
        self.command(&admin::SetStorage {
            opcode: admin::Opcode::SetStorage.raw(),
            flags,
            small_frame,
            ..Default::default()
        })
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

    /// The processors that run while the interface is up: one for each of its queues.
    pub(super) fn active(&self) -> &[Queue<C>] {
        let queues = self.netdev.device().queues() as usize;
        self.processors.get(..queues).unwrap_or(&self.processors)
    }

    /// Sets interrupt moderation of the processors that run.
    pub(super) fn apply_coalesce(&self, coalesce: Coalesce) -> Result {
        self.active()
            .iter()
            .try_for_each(|processor| self.moderate(processor, coalesce))
    }

    /// Sets interrupt moderation of a processor that runs.
    pub(super) fn moderate(&self, processor: &Processor, coalesce: Coalesce) -> Result {
        self.command(&admin::SetCoalesce {
            opcode: admin::Opcode::SetCoalesce.raw(),
            processor: processor.index,
            usecs: coalesce.usecs,
            completions: coalesce.frames,
            ..Default::default()
        })
    }
}

impl<C: Client> Tick for Adapter<C> {
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
