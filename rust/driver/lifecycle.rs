// SPDX-License-Identifier: GPL-2.0

//! Start, stop and reconfiguration of the interface.

use super::{
    adapter::{
        Adapter,
        Channel, //
    },
    queue_start::QueueMemory,
    ring_sizes::RingSizes, //
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
    prelude::*,
    sync::atomic::Relaxed,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// Longest time in which the poll may consume none of the last completions of a stopped processor.
const DRAIN_TIMEOUT: Delta = Delta::from_secs(10);

/// Time between two polls of a stopped processor.
const DRAIN_INTERVAL: Delta = Delta::from_micros(100);

impl<C: Client> Adapter<C> {
    /// Starts the channels of all queues in use, and opens the interface for frames.
    pub(super) fn start(cx: &mut Control<'_, Self>) -> Result {
        let memory = Self::allocate(cx, cx.device().queues(), cx.state.sizes)?;
        Self::start_on(cx, memory)
    }

    /// Allocates memory for the first `count` channels.
    fn allocate(
        cx: &Control<'_, Self>,
        count: u32,
        sizes: RingSizes,
    ) -> Result<KVec<QueueMemory<C>>> {
        let mut all = KVec::new();
        for channel in cx.data().channels.iter().take(count as usize) {
            let memory = QueueMemory::new(cx, channel, sizes, Source::Provider)?;
            all.push(memory, GFP_KERNEL)?;
        }
        Ok(all)
    }

    /// Starts one channel on each element of `memory`, and opens the interface for frames.
    fn start_on(cx: &mut Control<'_, Self>, memory: KVec<QueueMemory<C>>) -> Result {
        let this = cx.data().clone();
        let _operation = this.function.begin();
        for (channel, memory) in this.channels.iter().zip(memory) {
            if let Err(error) = this.start_channel(cx, channel, memory) {
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

    /// Changes the number of queues and the ring sizes. Connections return to Linux, which may hand
    /// them over again.
    ///
    /// # Errors
    ///
    /// Nothing changes when memory is short. When the adapter refuses, the former configuration is
    /// restored by a reset.
    pub(super) fn reconfigure(cx: &mut Control<'_, Self>, queues: u32, sizes: RingSizes) -> Result {
        let this = cx.data().clone();
        let former = (cx.device().queues(), cx.state.sizes);
        if (queues, sizes) == former {
            return Ok(());
        }
        let up = cx.state.up && this.running.load(Relaxed);
        let memory = up.then(|| Self::allocate(cx, queues, sizes)).transpose()?;
        if up {
            Self::stop_all(cx, true);
        }
        cx.state.sizes = sizes;
        let result = Self::set_queues(cx, queues)
            .and_then(|()| memory.map_or(Ok(()), |memory| Self::start_on(cx, memory)));
        if result.is_err() {
            cx.state.sizes = former.1;
            let restored = Self::set_queues(cx, former.0);
            if up || restored.is_err() {
                this.function.fault("reconfiguration failed");
            }
        }
        result
    }

    /// Sets the number of queues. Spreads RSS context 0 over them unless the user has configured it.
    fn set_queues(cx: &mut Control<'_, Self>, queues: u32) -> Result {
        if queues == cx.device().queues() {
            return Ok(());
        }
        cx.set_queues(queues)?;
        if cx.device().is_rss_configured() {
            return Ok(());
        }
        // CAST: at most the number of processors.
        Self::spread(cx, queues as u8)
    }

    /// Stops all channels. With `works`, the adapter returns their connections first; otherwise it
    /// has been reset, and the client takes the connections back without it.
    pub(super) fn stop_all(cx: &mut Control<'_, Self>, mut works: bool) {
        let this = cx.data().clone();
        let _operation = this.function.begin();
        this.running.store(false, Relaxed);
        // First, because the transmit watchdog ignores an interface without carrier.
        cx.set_carrier(false);
        for channel in &this.channels {
            C::stopping(&Handle::new(this.clone()), channel.index);
        }
        cx.disable_tx();
        for channel in &this.channels {
            works = Self::stop_channel(cx, channel, works);
        }
    }

    /// Stops a channel, if it runs, whose transmit queue is stopped. `works` is as for
    /// [`Self::stop_all`]. Returns false when the function does not work or had to be reset.
    pub(super) fn stop_channel(
        cx: &mut Control<'_, Self>,
        channel: &Channel<C>,
        works: bool,
    ) -> bool {
        let this = cx.data().clone();
        if channel.submission.lock().is_none() {
            return works;
        }
        C::stopping(&Handle::new(this.clone()), channel.index);
        let works = works && this.stop_processor(cx, channel);
        this.drain(channel);
        if let Some(mut poller) = channel.napi.disable(cx.lock()) {
            this.detach(cx, channel);
            if let Some(client) = poller.take_client() {
                C::stopped(client);
            }
        }
        works
    }

    /// Stops the channel's processor. The adapter no longer accesses its memory afterwards. Returns
    /// false when the function had to be reset; recovery is scheduled then.
    pub(super) fn stop_processor(&self, cx: &Control<'_, Self>, channel: &Channel<C>) -> bool {
        let stopped = self.function.command(&admin::StopProcessor {
            opcode: admin::Opcode::StopProcessor.raw(),
            processor: channel.index,
            ..Default::default()
        });
        if stopped.is_err() {
            // A failure is logged, and leaves the function without access to memory.
            let _ = self.function.reset(cx.parent());
            self.function.fault("stopping a processor failed");
        }
        stopped.is_ok()
    }

    /// Waits until the poll has consumed the completions that a stopped processor has produced. They may
    /// carry payload that was acknowledged to the peer: the poll may take long, for lack of memory, but
    /// has to make progress. This is not the adapter's time: the deadline of the operation is moved.
    ///
    /// Completions that a broken adapter produces later are not waited for.
    fn drain(&self, channel: &Channel<C>) {
        let Some(end) = channel.produced() else {
            return;
        };
        let start: Instant<Monotonic> = Instant::now();
        self.drain_to(channel, end);
        self.function.extend(start.elapsed());
    }

    fn drain_to(&self, channel: &Channel<C>, end: u32) {
        let mut consumed = channel.consumed.load(Relaxed);
        let mut progress: Instant<Monotonic> = Instant::now();
        while !channel.has_consumed(end) {
            if progress.elapsed() > DRAIN_TIMEOUT {
                dev_err!(
                    self.function.dev(),
                    "no memory for the last completions of processor {}\n",
                    channel.index
                );
                return;
            }
            channel.napi.schedule();
            fsleep(DRAIN_INTERVAL);
            let now = channel.consumed.load(Relaxed);
            if now != consumed {
                consumed = now;
                progress = Instant::now();
            }
        }
    }

    /// Detaches transmit queue, submission ring and counters from the memory of a stopped processor.
    pub(super) fn detach(&self, cx: &mut Control<'_, Self>, channel: &Channel<C>) {
        drop(cx.set_tx_queue(channel.index.into(), None));
        let submission = channel.submission.lock().take();
        drop(submission);
        channel.hw.lock().end();
    }

    /// Sets the carrier to the link that the function reports.
    pub(super) fn update_link(cx: &Control<'_, Self>) {
        let this = cx.data();
        let status = this.function.registers().read(regs::STATUS);
        let up = status.is_ok_and(|status| status & regs::status::LINK != 0);
        cx.set_carrier(up && this.running.load(Relaxed));
    }
}
