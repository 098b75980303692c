// SPDX-License-Identifier: GPL-2.0

//! A processor's way into operation: memory first, then the command.

use super::{
    adapter::{
        Adapter,
        Queue, //
    },
    lifecycle,
    poll::Poller,
    processor::Submission,
    receive::{
        Lent,
        Receiver, //
    },
    sizes::Sizes,
    transmit::{
        self,
        Completer,
        Sender, //
    },
    xdp::Programmed, //
};
use crate::{
    abi::{
        admin,
        ring::{
            Ring as Line,
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
    dma::DmaAddress,
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    }, //
};

/// Pages that are kept of those in which XDP programs see frames: a poll takes no more.
const XDP_PAGES: u32 = 256;

/// All the memory that a processor takes to run. It may run on other memory meanwhile.
pub(crate) struct Prepared<C: Client> {
    log2: [u8; RINGS],
    status: Arc<SharedPage>,
    transmit: DmaAddress,
    sender: Sender,
    transmitted: Completer,
    receiver: Receiver,
    submissions: Ring<SUBMISSION_ENTRY>,
    completions: Ring<COMPLETION_ENTRY>,
    poller: KBox<MaybeUninit<Poller<C>>>,
}

impl<C: Client> Prepared<C> {
    /// For `processor`, with rings of `sizes` and payload pages from `source`.
    pub(super) fn new(
        cx: &Control<'_, Adapter<C>>,
        processor: &Queue<C>,
        sizes: Sizes,
        source: Source,
    ) -> Result<Self> {
        let (adapter, dev) = (cx.data(), cx.parent());
        let log2 = sizes.log2();
        let status = Arc::new(SharedPage::new(dev)?, GFP_KERNEL)?;
        let ring = Ring::new(dev, log2[Line::Transmit as usize])?;
        let transmit = ring.dma_address();
        let (sender, transmitted) = transmit::pair(processor, ring, &status, &adapter.mapper)?;
        let wanted = match source {
            Source::Provider => cx.queue_order(processor.index.into()),
            Source::Kernel => None,
        };
        let order = wanted.unwrap_or(sizes.payload_order());
        let lent = |line: Line, order: u32, source: Source| {
            let ring = Ring::new(dev, log2[line as usize])?;
            let (pages, queue) = (ring.entries(), processor.index.into());
            let pool =
                |order| PagePool::new(cx.lock(), &adapter.netdev, queue, dev, pages, order, source);
            // Blocks of a size that a user wants are all there is.
            let blocks = order > 0 && wanted.is_none();
            let single = blocks.then(|| pool(0)).transpose()?;
            Lent::new(line, ring, pool(order)?, single)
        };
        let index = processor.index.into();
        let queue = XdpRxQueue::new(cx.lock(), &adapter.netdev, index, XDP_PAGES)?;
        Ok(Self {
            log2,
            transmit,
            sender,
            transmitted,
            receiver: Receiver::new(
                lent(Line::HeaderPages, 0, Source::Kernel)?,
                lent(Line::PayloadPages, order, source)?,
                Programmed::new(queue),
            ),
            submissions: Ring::new(dev, log2[Line::Submission as usize])?,
            completions: Ring::new(dev, log2[Line::Completion as usize])?,
            status,
            poller: KBox::new_uninit(GFP_KERNEL)?,
        })
    }
}

impl<C: Client> Adapter<C> {
    /// Starts a processor that does not run on `prepared`.
    pub(super) fn launch(
        self: &Arc<Self>,
        cx: &mut Control<'_, Self>,
        processor: &Queue<C>,
        prepared: Prepared<C>,
    ) -> Result {
        let index = processor.index;
        let Prepared {
            log2,
            status,
            transmit,
            sender,
            transmitted,
            receiver,
            submissions,
            completions,
            poller,
        } = prepared;
        for ring in Line::ALL {
            self.registers.doorbell(index, ring.index_offset(), 0);
        }
        self.registers.doorbell(index, ARM, 0);
        self.registers.doorbell(index, ARM_TRANSMIT, 0);
        processor.consumed.store(0, Relaxed);
        processor.broken.store(false, Relaxed);
        let command = admin::StartProcessor {
            opcode: admin::Opcode::StartProcessor.raw(),
            processor: index,
            vector: index + 1,
            log2_entries: log2,
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
        let shim = C::start(&Handle::new(self.clone()), index)?;
        if let Err(error) = self.command(&command) {
            C::stopped(shim);
            if error == ETIMEDOUT {
                // It may start yet, on memory that is about to go.
                let _ = lifecycle::reset(&self.registers);
            }
            return Err(error);
        }
        processor.totals.lock().begin(status.clone());
        *processor.submission.lock() = Some(Submission {
            ring: submissions,
            status: status.clone(),
            producer: 0,
        });
        let poller = KBox::write(
            poller,
            Poller {
                adapter: self.clone(),
                processor: processor.pair.clone(),
                status,
                completions,
                receiver,
                transmitted,
                shim: Some(shim),
                consumer: 0,
                gro_holds_tcp: false,
                starved: false,
            },
        );
        if let Err((error, mut poller)) = processor.napi.enable(cx.lock(), poller) {
            self.command_stop(processor);
            self.detach(cx, processor);
            if let Some(shim) = poller.shim.take() {
                C::stopped(shim);
            }
            return Err(error);
        }
        // After NAPI, which clears the queue's BQL state.
        cx.set_tx_queue(index.into(), Some(sender));
        // Posts pages and arms the interrupt.
        processor.napi.schedule();
        Ok(())
    }
}
