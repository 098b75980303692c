// SPDX-License-Identifier: GPL-2.0

//! The transmit ring: from frames to ring entries.

use super::{
    function::Function,
    queue_pair::QueuePair,
    tx_clean::{
        TxBuffer,
        TxClean,
        TxFrame,
        START_THRESHOLD, //
    }, //
};
use crate::{
    abi::{
        ring::{
            RingId,
            TRANSMIT_ENTRY, //
        },
        transmit::{
            flag,
            Descriptor,
            MAX_ENTRIES, //
        },
        Layout, //
    },
    net::{
        dma::{
            Mapper,
            Mapping,
            Ring,
            SharedPage, //
        },
        queue::LockedTxQueue,
        skb::{
            Checksum,
            DropReason,
            Frag,
            GsoKind,
            SkBuff, //
        },
        xdp::XdpFrame, //
    },
    util::spsc, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The queue stops when fewer entries are free: a frame might not fit.
const STOP_THRESHOLD: u32 = MAX_ENTRIES as u32;

/// A frame that ring entries can be made of.
trait Transmittable: Into<TxFrame> {
    fn map_linear(&self, mapper: &Mapper) -> Option<Mapping>;
    fn frags(&self) -> &[Frag];
}

impl Transmittable for SkBuff {
    fn map_linear(&self, mapper: &Mapper) -> Option<Mapping> {
        mapper.map_linear(self)
    }

    fn frags(&self) -> &[Frag] {
        self.frags()
    }
}

impl Transmittable for XdpFrame {
    fn map_linear(&self, mapper: &Mapper) -> Option<Mapping> {
        mapper.map_frame(self)
    }

    fn frags(&self) -> &[Frag] {
        self.frags()
    }
}

/// The transmit ring of a running processor, accessed under the queue's transmit lock.
pub(crate) struct TxRing {
    pair: Arc<QueuePair>,
    ring: Ring<TRANSMIT_ENTRY>,
    status: Arc<SharedPage>,
    buffers: spsc::Sender<TxBuffer>,
    mapper: Mapper,
    producer: u32,
    /// Producer index last written to the doorbell.
    published: u32,
}

/// Describes the offloads that `skb` asks for.
fn describe(skb: &SkBuff) -> Descriptor {
    let mut descriptor = Descriptor::default();
    if let Checksum::Partial { start, offset } = skb.checksum() {
        descriptor.flags |= flag::CSUM;
        descriptor.csum_start = start as u16;
        descriptor.csum_offset = offset;
    }
    if let Some(gso) = skb.gso() {
        descriptor.flags |= match gso.kind {
            GsoKind::Tcp4 | GsoKind::Tcp6 => flag::TSO,
            GsoKind::Udp => flag::USO,
        };
        descriptor.gso_size = gso.size;
        descriptor.header_length = gso.header_length as u16;
    }
    if let Some(tci) = skb.vlan() {
        descriptor.flags |= flag::VLAN;
        descriptor.vlan_tci = tci;
    }
    descriptor
}

impl TxRing {
    /// Creates both ends of the transmit ring of `pair`: this, and the end that frees sent frames.
    pub(super) fn new(
        pair: &Arc<QueuePair>,
        ring: Ring<TRANSMIT_ENTRY>,
        status: &Arc<SharedPage>,
        mapper: &Mapper,
    ) -> Result<(Self, TxClean)> {
        let (sender, receiver) = spsc::channel(ring.log2())?;
        let this = Self {
            pair: pair.clone(),
            ring,
            status: status.clone(),
            buffers: sender,
            mapper: mapper.clone(),
            producer: 0,
            published: 0,
        };
        Ok((this, TxClean::new(receiver, mapper.clone())))
    }

    /// Returns the ring's DMA address.
    pub(super) fn dma_address(&self) -> u64 {
        self.ring.dma_address()
    }

    /// Sends `skb`, or drops and counts it. With `more` another frame follows at once, and the
    /// doorbell can wait for it.
    pub(super) fn send(
        &mut self,
        function: &Function,
        queue: &LockedTxQueue<'_>,
        skb: SkBuff,
        more: bool,
    ) {
        let bytes = skb.len();
        let first = describe(&skb);
        let mut doorbell = false;
        // BQL counts the frame before the adapter can report it as sent: BQL must never see more
        // bytes completed than sent.
        let count = |skb: &SkBuff| {
            skb.tx_timestamp();
            doorbell = queue.sent(bytes, more);
        };
        if let Err((skb, reason)) = self.post(skb, first, count) {
            self.pair.tx_dropped.add(1);
            skb.drop_with(reason);
            // The frames before it may wait for the doorbell of this one.
            if !more {
                self.publish(function);
            }
            return;
        }
        if queue.maybe_stop(|| self.buffers.room(), STOP_THRESHOLD, START_THRESHOLD) {
            self.pair.tx_stop.add(1);
            doorbell = true;
        }
        if doorbell {
            self.publish(function);
        }
    }

    /// Posts a frame for XDP, or returns it when there is no room. [`Self::publish`] writes the
    /// doorbell.
    ///
    /// It leaves room for a frame of the stack, because it cannot stop the queue.
    pub(super) fn send_xdp(
        &mut self,
        queue: &LockedTxQueue<'_>,
        frame: XdpFrame,
    ) -> Result<(), XdpFrame> {
        let room = self.buffers.room();
        let result = if room < STOP_THRESHOLD + 1 + frame.frags().len() as u32 {
            Err(frame)
        } else {
            // BQL does not count these frames.
            let posted = self.post(frame, Descriptor::default(), |_| ());
            posted.map_err(|(frame, _)| frame)
        };
        match &result {
            Ok(()) => {
                queue.update_trans_start();
                self.pair.xdp.sent.add(1);
            }
            Err(_) => self.pair.xdp.full.add(1),
        }
        result
    }

    /// Maps a frame and writes its entries; `first` describes its offloads. Calls `count` when the
    /// frame can no longer fail, before [`TxClean`] can see it.
    ///
    /// # Errors
    ///
    /// Returns the frame when it does not fit or cannot be mapped.
    fn post<F: Transmittable>(
        &mut self,
        frame: F,
        first: Descriptor,
        count: impl FnOnce(&F),
    ) -> Result<(), (F, DropReason)> {
        let frags = frame.frags();
        let entries = 1 + frags.len();
        if entries > MAX_ENTRIES || self.buffers.room() < entries as u32 {
            return Err((frame, DropReason::FullRing));
        }
        let mut mapped: [Option<Mapping>; MAX_ENTRIES] = [const { None }; MAX_ENTRIES];
        mapped[0] = frame.map_linear(&self.mapper);
        for (mapping, frag) in mapped[1..].iter_mut().zip(frags) {
            *mapping = self.mapper.map_frag(frag);
        }
        if mapped[..entries].iter().any(Option::is_none) {
            for mapping in mapped.into_iter().flatten() {
                self.mapper.unmap(mapping);
            }
            return Err((frame, DropReason::NoMem));
        }
        count(&frame);
        let mut descriptor = first;
        let mut frame = Some(frame);
        for (i, mapping) in mapped.into_iter().flatten().enumerate() {
            let last = i + 1 == entries;
            descriptor.address = mapping.address();
            descriptor.length = mapping.len();
            if last {
                descriptor.flags |= flag::END;
            }
            self.ring.write(self.producer, &descriptor.to_bytes());
            self.producer = self.producer.wrapping_add(1);
            let buffer = TxBuffer {
                mapping,
                frame: if last {
                    frame.take().map(F::into)
                } else {
                    None
                },
            };
            // There is room, as checked above, and nobody else takes it.
            if self.buffers.push(buffer).is_err() {
                break;
            }
            descriptor = Descriptor::default();
        }
        Ok(())
    }

    /// Tells the adapter of all posted entries.
    pub(super) fn publish(&mut self, function: &Function) {
        if self.published == self.producer {
            return;
        }
        self.published = self.producer;
        let index = RingId::Transmit.index_offset();
        let processor = self.pair.index;
        function
            .registers()
            .doorbell(processor, index, self.producer);
        function.wake(processor, &self.status);
    }
}
