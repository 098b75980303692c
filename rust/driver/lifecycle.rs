// SPDX-License-Identifier: GPL-2.0

//! How an adapter is started, stopped and brought back.

use super::{
    adapter::{
        Adapter,
        Queue,
        Settings, //
    },
    admin::Admin,
    launch::Prepared,
    registers::Registers,
    sizes::Sizes, //
};
use crate::{
    abi::{
        admin,
        regs, //
    },
    net::{
        device::Control,
        page_pool::Source, //
    },
    offload::{
        Client,
        Handle, //
    }, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    prelude::*,
    sync::atomic::Relaxed,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// How long a reset may take, and the last completions to be taken.
const PATIENCE: Delta = Delta::from_secs(2);

/// How long bringing the function back is tried.
const RECOVERY: Delta = Delta::from_secs(3);

/// Resets the function and waits for it.
pub(super) fn reset(registers: &Registers) -> Result {
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

impl<C: Client> Adapter<C> {
    /// Starts the processors and lets frames in.
    pub(super) fn start(cx: &mut Control<'_, Self>) -> Result {
        let prepared = Self::prepare(cx, cx.device().queues(), cx.state.sizes)?;
        Self::start_on(cx, prepared)
    }

    /// Memory for `count` processors to run.
    fn prepare(cx: &Control<'_, Self>, count: u32, sizes: Sizes) -> Result<KVec<Prepared<C>>> {
        let mut prepared = KVec::new();
        for processor in cx.data().processors.iter().take(count as usize) {
            let one = Prepared::new(cx, processor, sizes, Source::Provider)?;
            prepared.push(one, GFP_KERNEL)?;
        }
        Ok(prepared)
    }

    /// Starts the processors on `prepared` and lets frames in.
    fn start_on(cx: &mut Control<'_, Self>, prepared: KVec<Prepared<C>>) -> Result {
        let this = cx.data().clone();
        for (processor, prepared) in this.processors.iter().zip(prepared) {
            if let Err(error) = this.launch(cx, processor, prepared) {
                Self::stop_all(cx, true);
                return Err(error);
            }
        }
        if let Err(error) = this.apply_coalesce(cx.state.coalesce) {
            Self::stop_all(cx, true);
            return Err(error);
        }
        this.running.store(true, Relaxed);
        cx.enable_tx();
        Self::update_link(cx);
        Ok(())
    }

    /// Goes on with `queues` queues and rings of `sizes`. Connections come back to Linux and are
    /// handed over again. What there is no memory for, or the adapter refuses, leaves everything as
    /// it was.
    pub(super) fn reshape(cx: &mut Control<'_, Self>, queues: u32, sizes: Sizes) -> Result {
        let this = cx.data().clone();
        let former = (cx.device().queues(), cx.state.sizes);
        if (queues, sizes) == former {
            return Ok(());
        }
        let up = cx.state.up && this.running.load(Relaxed);
        let prepared = up.then(|| Self::prepare(cx, queues, sizes)).transpose()?;
        if up {
            Self::stop_all(cx, true);
        }
        cx.state.sizes = sizes;
        let result = Self::set_queues(cx, queues)
            .and_then(|()| prepared.map_or(Ok(()), |prepared| Self::start_on(cx, prepared)));
        if result.is_err() {
            cx.state.sizes = former.1;
            let restored = Self::set_queues(cx, former.0);
            if up || restored.is_err() {
                this.fault("it does not start with other queues");
            }
        }
        result
    }

    /// Sets the number of queues, and spreads the receive hash over them unless the user has said
    /// how.
    fn set_queues(cx: &mut Control<'_, Self>, queues: u32) -> Result {
        if queues == cx.device().queues() {
            return Ok(());
        }
        cx.set_queues(queues)?;
        if cx.device().is_rss_configured() {
            return Ok(());
        }
        // CAST: at most as many as there are processors.
        Self::spread(cx, queues as u8)
    }

    /// Stops all processors. An adapter that works gives their connections back first; from one
    /// that does not, or has been reset, the shim takes them.
    pub(super) fn stop_all(cx: &mut Control<'_, Self>, mut works: bool) {
        let this = cx.data().clone();
        this.running.store(false, Relaxed);
        // Before the queues stop: without link it is no fault that they do not move.
        cx.set_carrier(false);
        for processor in &this.processors {
            C::stopping(&Handle::new(this.clone()), processor.index);
        }
        cx.disable_tx();
        for processor in &this.processors {
            works = Self::stop_one(cx, processor, works);
        }
    }

    /// Stops a processor, if it runs, to which no frames are given any more. An adapter that works
    /// gives its connections back first. False when the adapter does not work, or had to be reset.
    pub(super) fn stop_one(cx: &mut Control<'_, Self>, processor: &Queue<C>, works: bool) -> bool {
        let this = cx.data().clone();
        if processor.submission.lock().is_none() {
            return works;
        }
        C::stopping(&Handle::new(this.clone()), processor.index);
        let works = works && this.command_stop(processor);
        this.drain(processor);
        if let Some(mut poller) = processor.napi.disable(cx.lock()) {
            this.detach(cx, processor);
            if let Some(shim) = poller.shim.take() {
                C::stopped(shim);
            }
        }
        works
    }

    /// Asks the adapter to stop a processor. Afterwards the adapter touches none of the processor's
    /// memory any more. False when it had to be reset to that end.
    pub(super) fn command_stop(&self, processor: &Queue<C>) -> bool {
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
    pub(super) fn drain(&self, processor: &Queue<C>) {
        let since = Instant::<Monotonic>::now();
        while !processor.is_drained() && since.elapsed() < PATIENCE {
            processor.napi.schedule();
            fsleep(Delta::from_micros(100));
        }
    }

    /// Takes away what reaches into the rings of a stopped processor.
    pub(super) fn detach(&self, cx: &mut Control<'_, Self>, processor: &Queue<C>) {
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
