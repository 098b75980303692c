// SPDX-License-Identifier: GPL-2.0

//! How an adapter is started, stopped and brought back.

use super::adapter::Adapter;
use super::adapter::Settings;
use super::admin::Admin;
use super::offload::Client as _;
use super::offload::Handle;
use super::poll::Poller;
use super::processor::Processor;
use super::processor::Submission;
use super::receive::Lent;
use super::receive::Receiver;
use super::registers::Registers;
use super::transmit;
use crate::abi::admin;
use crate::abi::page::BATCH;
use crate::abi::regs;
use crate::abi::ring::Ring as Line;
use crate::abi::ring::ARM;
use crate::abi::ring::ARM_TRANSMIT;
use crate::abi::ring::INDEX;
use crate::abi::ring::RINGS;
use crate::net::device::Control;
use crate::net::dma::Ring;
use crate::net::dma::SharedPage;
use crate::net::page_pool::PagePool;
use crate::net::queue::TxQueue;
use crate::shim::Shim;
use kernel::device;
use kernel::device::Bound;
use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;
use kernel::sync::Arc;
use kernel::time::delay::fsleep;
use kernel::time::Delta;
use kernel::time::Instant;
use kernel::time::Monotonic;

/// log2 of the entries of the rings, in the order of [`Line`].
pub(super) const LOG2: [u8; RINGS] = [transmit::LOG2, 9, 10, 9, 11];

/// log2 of the pages of a block of payload pages: one batch of the ring. The adapter takes the pages
/// of a batch one after the other, so that much payload of a connection makes large pieces.
const PAYLOAD_ORDER: u32 = BATCH.ilog2();

/// How long a reset may take, and the last completions to be taken.
const PATIENCE: Delta = Delta::from_secs(2);

/// How long bringing the function back is tried.
const RECOVERY: Delta = Delta::from_secs(3);

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
            if let Some(queue) = TxQueue::new(cx.device(), processor.index.into()) {
                queue.start();
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
        // First: what a queue that has been woken sends from here on counts.
        if let Some(queue) = TxQueue::new(cx.device(), index.into()) {
            queue.reset();
        }
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
