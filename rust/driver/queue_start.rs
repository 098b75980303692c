// SPDX-License-Identifier: GPL-2.0

//! Start of a queue pair: memory first, then the command.

use super::{
    adapter::{
        Adapter,
        Channel, //
    },
    fill_ring::FillRing,
    poll::Poller,
    ring_sizes::RingSizes,
    rx::Rx,
    submission_ring::SubmissionRing,
    tx_clean::TxClean,
    tx_ring::TxRing,
    xdp::XdpRx, //
};
use crate::{
    abi::{
        admin,
        ring::{
            RingId,
            ARM,
            ARM_TRANSMIT,
            COMPLETION_ENTRY,
            RINGS,
            SUBMISSION_ENTRY, //
        }, //
    },
    net::{
        device::Control,
        dma::{
            Ring,
            SharedPage, //
        },
        page_pool::{
            PagePool,
            Source, //
        },
        xdp::XdpRxQueue, //
    },
    offload::{
        Client,
        Handle, //
    }, //
};
use core::mem::MaybeUninit;
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    }, //
};

/// Pages in the pool of XDP buffers. A poll does not use more.
const XDP_PAGES: u32 = 256;

/// All memory that a queue pair runs on.
pub(crate) struct QueueMemory<C: Client> {
    log2: [u8; RINGS],
    status: Arc<SharedPage>,
    tx_ring: TxRing,
    tx_clean: TxClean,
    rx: Rx,
    submissions: Ring<SUBMISSION_ENTRY>,
    completions: Ring<COMPLETION_ENTRY>,
    poller: KBox<MaybeUninit<Poller<C>>>,
}

impl<C: Client> QueueMemory<C> {
    /// Allocates memory for `channel`, which may run on other memory. Rings have `sizes`, payload
    /// pages come from `source`.
    pub(super) fn new(
        cx: &Control<'_, Adapter<C>>,
        channel: &Channel<C>,
        sizes: RingSizes,
        source: Source,
    ) -> Result<Self> {
        let (adapter, dev) = (cx.data(), cx.parent());
        let index = channel.index.into();
        let log2 = sizes.log2();
        let status = Arc::new(SharedPage::new(dev)?, GFP_KERNEL)?;
        let (tx_ring, tx_clean) = TxRing::new(
            &channel.pair,
            Ring::new(dev, log2[RingId::Transmit as usize])?,
            &status,
            &adapter.mapper,
        )?;
        let requested = match source {
            Source::Provider => cx.queue_order(index),
            Source::Kernel => None,
        };
        let order = requested.unwrap_or(sizes.payload_order());
        let fill_ring = |id: RingId, order: u32, source: Source| {
            let ring = Ring::new(dev, log2[id as usize])?;
            let pages = ring.entries();
            let pool =
                |order| PagePool::new(cx.lock(), &adapter.netdev, index, dev, pages, order, source);
            // A page size that the user requested has no fallback.
            let has_fallback = order > 0 && requested.is_none();
            let fallback = has_fallback.then(|| pool(0)).transpose()?;
            FillRing::new(id, ring, pool(order)?, fallback)
        };
        let xdp_queue = XdpRxQueue::new(cx.lock(), &adapter.netdev, index, XDP_PAGES)?;
        Ok(Self {
            log2,
            tx_ring,
            tx_clean,
            rx: Rx::new(
                fill_ring(RingId::HeaderPages, 0, Source::Kernel)?,
                fill_ring(RingId::PayloadPages, order, source)?,
                XdpRx::new(xdp_queue),
            ),
            submissions: Ring::new(dev, log2[RingId::Submission as usize])?,
            completions: Ring::new(dev, log2[RingId::Completion as usize])?,
            status,
            poller: KBox::new_uninit(GFP_KERNEL)?,
        })
    }

    /// Returns the command that starts `processor` on this memory.
    fn start_command(&self, processor: u8) -> admin::StartProcessor {
        let (headers, payload) = self.rx.dma_addresses();
        admin::StartProcessor {
            opcode: admin::Opcode::StartProcessor.raw(),
            processor,
            vector: processor + 1,
            log2_entries: self.log2,
            status: self.status.dma_address(),
            rings: [
                self.tx_ring.dma_address(),
                headers,
                payload,
                self.submissions.dma_address(),
                self.completions.dma_address(),
            ],
            ..Default::default()
        }
    }
}

impl<C: Client> Adapter<C> {
    /// Starts a stopped channel on `memory`.
    pub(super) fn start_channel(
        self: &Arc<Self>,
        cx: &mut Control<'_, Self>,
        channel: &Channel<C>,
        memory: QueueMemory<C>,
    ) -> Result {
        let processor = channel.index;
        let (function, registers) = (&self.function, self.function.registers());
        for ring in RingId::ALL {
            registers.doorbell(processor, ring.index_offset(), 0);
        }
        registers.doorbell(processor, ARM, 0);
        registers.doorbell(processor, ARM_TRANSMIT, 0);
        channel.consumed.store(0, Relaxed);
        channel.broken.store(false, Relaxed);

        let client = C::start(&Handle::new(self.clone()), processor)?;
        if let Err(error) = function.command(&memory.start_command(processor)) {
            C::stopped(client);
            // Whatever the answer, the processor may run, on memory that is about to be freed.
            let _ = function.reset(cx.parent());
            function.fault("starting a processor failed");
            return Err(error);
        }
        let QueueMemory {
            log2: _,
            status,
            tx_ring,
            tx_clean,
            rx,
            submissions,
            completions,
            poller,
        } = memory;
        channel.hw.lock().begin(status.clone());
        let submission = SubmissionRing::new(processor, submissions, status.clone());
        *channel.submission.lock() = Some(submission);
        let poller = KBox::write(
            poller,
            Poller::new(
                self.clone(),
                channel.pair.clone(),
                status,
                completions,
                (rx, tx_clean),
                client,
            ),
        );
        if let Err((error, mut poller)) = channel.napi.enable(cx.lock(), poller) {
            self.stop_processor(cx, channel);
            self.detach(cx, channel);
            if let Some(client) = poller.take_client() {
                C::stopped(client);
            }
            return Err(error);
        }
        // After NAPI, because enabling it clears the queue's BQL state.
        cx.set_tx_queue(processor.into(), Some(tx_ring));
        // The first poll posts pages and arms the interrupt.
        channel.napi.schedule();
        Ok(())
    }
}
