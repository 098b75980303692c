// SPDX-License-Identifier: GPL-2.0

//! The PCI function: registers, admin queue, reset and enable.

use super::{
    admin_queue::AdminQueue,
    limits::{
        Deadline,
        Operation, //
    },
    registers::Registers, //
};
use crate::{
    abi::{
        self,
        admin::{
            Event,
            COMMAND_SIZE, //
        },
        feature,
        regs,
        ring::SLEEPING,
        Layout, //
    },
    net::{
        dma::{
            SharedBytes,
            SharedPage, //
        },
        netdev::{
            Allocation,
            NetDevice, //
        },
        ratelimit, //
    },
    util::pci::set_bus_master, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    io::poll::read_poll_timeout,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            AtomicFlag,
            Relaxed, //
        },
        barrier::{
            mb,
            Full, //
        },
        Arc,
        Mutex, //
    },
    time::Delta, //
};

/// Features that the driver uses.
const FEATURES: u64 = feature::TX_CSUM
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
    | feature::RULES
    | feature::LEGACY;

/// How long a reset may take.
const RESET_TIMEOUT: Delta = Delta::from_secs(2);

/// Polling interval of the status register during a reset.
const RESET_INTERVAL: Delta = Delta::from_micros(100);

/// Work items of the interface ([`NetDevice::schedule_work`]).
pub(super) mod work {
    /// The link has changed.
    pub(in super::super) const LINK: usize = 1 << 0;
    /// The function has to be reset.
    pub(in super::super) const RESET: usize = 1 << 1;
}

/// Properties of a function, as its registers report them. They do not change.
#[derive(Clone, Copy)]
pub(super) struct Properties {
    /// Features that the adapter offers and the driver uses.
    pub(super) features: u64,
    /// Number of offload processors, 1 to [`abi::MAX_PROCESSORS`].
    pub(super) processors: u8,
    /// Delegated connections that one processor holds.
    pub(super) connections: u32,
    /// Payload fragments that one processor holds.
    pub(super) fragments: u32,
    /// Page identifiers of one processor.
    pub(super) pages: u32,
    /// Permanent MAC address.
    pub(super) mac: [u8; 6],
    /// Largest MTU in bytes.
    pub(super) max_mtu: u32,
}

impl Properties {
    /// Reads the properties of a function, and checks that the driver supports it.
    pub(super) fn read(pdev: &pci::Device<Bound>, registers: &Registers) -> Result<Self> {
        let magic = registers.read(regs::MAGIC)?;
        if magic != regs::MAGIC_VALUE {
            dev_err!(pdev, "not a toe adapter (magic {:#x})\n", magic);
            return Err(ENODEV);
        }
        let version = registers.read(regs::VERSION)?;
        if version >> 16 != abi::VERSION >> 16 {
            dev_err!(
                pdev,
                "unsupported ABI version {} (driver has {})\n",
                version >> 16,
                abi::VERSION >> 16
            );
            return Err(ENODEV);
        }
        let processors = registers.read(regs::PROCESSORS)?;
        if processors == 0 || processors as usize > abi::MAX_PROCESSORS {
            dev_err!(pdev, "unsupported number of processors: {}\n", processors);
            return Err(EINVAL);
        }
        let mac = registers.read64(regs::MAC).to_le_bytes();
        Ok(Self {
            features: registers.read64(regs::FEATURES) & FEATURES,
            // CAST: at most `MAX_PROCESSORS`.
            processors: processors as u8,
            connections: registers.read(regs::CONNECTIONS)?,
            fragments: registers.read(regs::FRAGMENTS)?,
            pages: registers.read(regs::PAGES)?,
            mac: [mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]],
            max_mtu: registers.read(regs::MAX_MTU)?,
        })
    }
}

/// A PCI function, from probe until the last reference is gone.
///
/// It may outlive the driver's binding ([`Enabled`]). Commands then fail with `ENODEV`.
#[pin_data]
pub(super) struct Function {
    dev: ARef<device::Device>,
    registers: Registers,
    properties: Properties,
    netdev: Arc<Allocation>,
    /// `None` while the function is not enabled.
    #[pin]
    admin: Mutex<Option<AdminQueue>>,
    /// Deadline of the commands of one operation.
    deadline: Deadline,
    /// A fault was found. A reset is scheduled.
    faulted: AtomicFlag,
    /// The function has failed, and recovery was given up.
    dead: AtomicFlag,
    /// A reset has failed, and bus mastering is disabled.
    isolated: AtomicFlag,
}

impl Function {
    /// Creates a function that is not enabled. Its interface is `netdev`.
    pub(super) fn new(
        dev: &device::Device<Bound>,
        registers: Registers,
        properties: Properties,
        netdev: &Arc<Allocation>,
    ) -> Result<Arc<Self>> {
        let (dev, netdev) = (ARef::from(&**dev), netdev.clone());
        Arc::pin_init(
            pin_init!(Self {
                dev,
                registers,
                properties,
                netdev,
                admin <- kernel::new_mutex!(None, "toe::admin"),
                deadline: Deadline::new(),
                faulted: AtomicFlag::new(false),
                dead: AtomicFlag::new(false),
                isolated: AtomicFlag::new(false),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns the device, for messages.
    pub(super) fn dev(&self) -> &device::Device {
        &self.dev
    }

    /// Returns the registers.
    #[inline]
    pub(super) fn registers(&self) -> &Registers {
        &self.registers
    }

    /// Returns the properties.
    #[inline]
    pub(super) fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Returns whether the feature ([`abi::feature`]) is negotiated.
    pub(super) fn has(&self, feature: u64) -> bool {
        self.properties.features & feature != 0
    }

    /// Returns the interface.
    #[inline]
    pub(super) fn netdev(&self) -> &NetDevice {
        self.netdev.device()
    }

    /// Wakes a processor if it sleeps. Called after a doorbell was written.
    #[inline]
    pub(super) fn wake(&self, processor: u8, status: &SharedPage) {
        // Orders the doorbell before the flag. The adapter sets the flag, then reads the doorbell.
        mb(Full);
        if status.load_acquire::<SLEEPING>() != 0 {
            self.registers.write(regs::KICK, processor.into());
        }
    }

    /// Reports a fault of the adapter, and schedules a reset. Softirq or process context.
    #[cold]
    pub(super) fn fault(&self, why: &str) {
        if !self.is_dead() && !self.faulted.xchg(true, kernel::sync::atomic::Full) {
            dev_err!(&*self.dev, "{}; resetting the function\n", why);
            self.netdev().schedule_work(work::RESET);
        }
    }

    /// Schedules the reset that follows a fault found before the interface was registered. Called once
    /// it is.
    pub(super) fn recheck_fault(&self) {
        // Orders the registration before the flag. `fault` has them the other way round.
        mb(Full);
        if self.is_faulted() {
            self.netdev().schedule_work(work::RESET);
        }
    }

    /// Returns whether a fault was reported and no reset has followed yet.
    pub(super) fn is_faulted(&self) -> bool {
        self.faulted.load(Relaxed)
    }

    /// Clears earlier faults before a reset. A later fault schedules another reset.
    pub(super) fn clear_fault(&self) {
        self.faulted.store(false, Relaxed);
    }

    /// Returns whether recovery was given up.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Relaxed)
    }

    /// Gives the function up until the driver is bound again.
    pub(super) fn set_dead(&self) {
        self.dead.store(true, Relaxed);
    }

    fn event(&self, event: Event, value: u32) {
        match event {
            Event::Link => self.netdev().schedule_work(work::LINK),
            Event::ProcessorFailed => {
                if !self.is_faulted() {
                    dev_err!(&*self.dev, "processor {} stopped with an error\n", value);
                }
                self.fault("processor failed");
            }
        }
    }

    /// Handles pending events of the admin queue. Process context.
    pub(super) fn handle_events(&self) {
        if let Some(admin) = &mut *self.admin.lock() {
            admin.events(&self.registers, |event, value| self.event(event, value));
        }
    }

    /// Begins an operation: its commands have one deadline.
    pub(super) fn begin(&self) -> Operation<'_> {
        self.deadline.begin()
    }

    /// Moves the deadline of the operation by `time`, which was not the function's.
    pub(super) fn extend(&self, time: Delta) {
        self.deadline.extend(time);
    }

    /// Executes an admin command. Process context.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the function is gone or not enabled, otherwise as [`AdminQueue::command`].
    pub(super) fn command<T: Layout<Bytes = [u8; COMMAND_SIZE]>>(&self, command: &T) -> Result {
        self.command_with(command, None)
    }

    /// As [`Self::command`], for a command that may refer to the memory `operand`.
    pub(super) fn command_with<T: Layout<Bytes = [u8; COMMAND_SIZE]>>(
        &self,
        command: &T,
        operand: Option<SharedBytes>,
    ) -> Result {
        if self.is_dead() {
            return Err(ENODEV);
        }
        let mut guard = self.admin.lock();
        let admin: &mut Option<AdminQueue> = &mut guard;
        let on = |event, value| self.event(event, value);
        let admin = admin.as_mut().ok_or(ENODEV)?;
        let limit = self.deadline.left();
        let result = admin.command(&self.registers, command, operand, limit, on);
        if let Err(error) = result {
            if ratelimit() {
                dev_err!(&*self.dev, "{} failed: {}\n", T::NAME, error.to_errno());
            }
            if error == ETIMEDOUT || error == ENODEV {
                self.fault("admin queue timeout");
            }
        }
        result
    }

    /// Resets the function, waits for the end of the reset, and stops the admin queue: commands fail until
    /// the function is enabled. Sleeps.
    ///
    /// When this returns the function no longer accesses host memory: it was reset, or bus mastering
    /// is disabled. Memory that the function knew can be freed.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the function is gone, `ETIMEDOUT` when the reset takes too long.
    pub(super) fn reset(&self, dev: &device::Device<Bound>) -> Result {
        self.reset_with(&mut self.admin.lock(), dev)
    }

    fn reset_with(&self, admin: &mut Option<AdminQueue>, dev: &device::Device<Bound>) -> Result {
        let result = self.reset_hardware(dev);
        // The function no longer uses the rings.
        *admin = None;
        result
    }

    /// Resets the function, as [`Self::reset`].
    fn reset_hardware(&self, dev: &device::Device<Bound>) -> Result {
        self.registers.write(regs::CONTROL, regs::control::RESET);
        let result = read_poll_timeout(
            || self.registers.read(regs::STATUS),
            |status| status & regs::status::RESETTING == 0,
            RESET_INTERVAL,
            RESET_TIMEOUT,
        );
        let Err(error) = result else { return Ok(()) };
        set_bus_master(dev, false)?;
        // Recovery retries. One message is enough.
        if !self.isolated.xchg(true, kernel::sync::atomic::Full) {
            dev_err!(
                dev,
                "reset failed ({}), bus mastering disabled\n",
                error.to_errno()
            );
        }
        Err(error)
    }

    /// Resets the function, negotiates features, and starts the admin queue. Sleeps.
    pub(super) fn enable(&self, dev: &device::Device<Bound>) -> Result {
        let mut admin = self.admin.lock();
        self.reset_with(&mut admin, dev)?;
        set_bus_master(dev, true)?;
        self.isolated.store(false, Relaxed);

        let registers = &self.registers;
        registers.write64(regs::DRIVER_FEATURES, self.properties.features);
        *admin = Some(AdminQueue::new(dev, registers)?);
        registers.write(regs::CONTROL, regs::control::ENABLE);
        let expected = regs::status::READY;
        match registers.read(regs::STATUS) {
            Ok(status) if status & (expected | regs::status::FAILED) == expected => Ok(()),
            _ => {
                let _ = self.reset_with(&mut admin, dev);
                Err(EIO)
            }
        }
    }

    /// Resets the function, unless it is gone, disables bus mastering, and stops the admin queue. Sleeps.
    fn disable(&self, dev: &device::Device<Bound>) {
        let mut admin = self.admin.lock();
        // A function that seems to be gone may still access memory.
        self.registers.write(regs::CONTROL, regs::control::RESET);
        if self.registers.read(regs::STATUS).is_ok() {
            // A failure is logged.
            let _ = self.reset_hardware(dev);
        }
        let _ = set_bus_master(dev, false);
        *admin = None;
    }
}

/// An enabled function of a bound device.
///
/// Dropping it resets the function, waits for the end of the reset, and disables bus mastering.
/// Everything else that the function may access is dropped first.
pub(super) struct Enabled<'bound> {
    dev: &'bound device::Device<Bound>,
    function: Arc<Function>,
}

impl<'bound> Enabled<'bound> {
    /// Enables `function`.
    pub(super) fn new(dev: &'bound device::Device<Bound>, function: Arc<Function>) -> Result<Self> {
        // Constructed first: its drop resets the function after a failure.
        let this = Self { dev, function };
        this.function.enable(dev).inspect_err(|error| {
            dev_err!(dev, "enabling the function failed: {}\n", error.to_errno());
        })?;
        Ok(this)
    }
}

impl Drop for Enabled<'_> {
    fn drop(&mut self) {
        self.function.disable(self.dev);
    }
}
