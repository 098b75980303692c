// SPDX-License-Identifier: GPL-2.0

//! The transmit ring: from skb to entries, and back when the adapter is done.

use super::{
    adapter::Adapter,
    processor::Processor, //
};
use crate::{
    abi::{
        ring::{
            Ring as Line,
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
        napi::{
            RxContext,
            TxContext, //
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
    offload::Client,
    util::spsc, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The queue stops when a frame of any kind might not fit any more, and runs again when some do.
const STOP: u32 = MAX_ENTRIES as u32;
pub(super) const START: u32 = 4 * STOP;

/// What an entry of the ring stands for.
struct Slot {
    mapping: Mapping,
    /// With the last entry of a frame: the frame.
    frame: Option<Sent>,
}

/// A frame that is being sent.
enum Sent {
    /// The stack's.
    Skb(SkBuff),
    /// As an XDP program has decided.
    Program(XdpFrame),
}

impl From<SkBuff> for Sent {
    fn from(skb: SkBuff) -> Self {
        Self::Skb(skb)
    }
}

impl From<XdpFrame> for Sent {
    fn from(frame: XdpFrame) -> Self {
        Self::Program(frame)
    }
}

/// What entries can be made of.
trait Sendable: Into<Sent> {
    fn map_linear(&self, mapper: &Mapper) -> Option<Mapping>;
    fn frags(&self) -> &[Frag];
}

impl Sendable for SkBuff {
    fn map_linear(&self, mapper: &Mapper) -> Option<Mapping> {
        mapper.map_linear(self)
    }

    fn frags(&self) -> &[Frag] {
        self.frags()
    }
}

impl Sendable for XdpFrame {
    fn map_linear(&self, mapper: &Mapper) -> Option<Mapping> {
        mapper.map_frame(self)
    }

    fn frags(&self) -> &[Frag] {
        self.frags()
    }
}

/// The transmit callback's end: one queue, under its transmit lock.
pub(crate) struct Sender {
    processor: Arc<Processor>,
    ring: Arc<Ring<TRANSMIT_ENTRY>>,
    status: Arc<SharedPage>,
    slots: spsc::Sender<Slot>,
    mapper: Mapper,
    producer: u32,
    published: u32,
}

/// The poll's end.
pub(super) struct Completer {
    slots: spsc::Receiver<Slot>,
    mapper: Mapper,
}

/// Both ends of the ring of `processor`.
pub(super) fn pair(
    processor: &Arc<Processor>,
    ring: Ring<TRANSMIT_ENTRY>,
    status: &Arc<SharedPage>,
    mapper: &Mapper,
) -> Result<(Sender, Completer)> {
    let (sender, receiver) = spsc::channel(ring.log2())?;
    Ok((
        Sender {
            processor: processor.clone(),
            ring: Arc::new(ring, GFP_KERNEL)?,
            status: status.clone(),
            slots: sender,
            mapper: mapper.clone(),
            producer: 0,
            published: 0,
        },
        Completer {
            slots: receiver,
            mapper: mapper.clone(),
        },
    ))
}

/// What is to be done to `skb`, as its first entry says it.
fn describe(skb: &SkBuff) -> Descriptor {
    let mut frame = Descriptor::default();
    if let Checksum::Partial { start, offset } = skb.checksum() {
        frame.flags |= flag::CSUM;
        frame.csum_start = start as u16;
        frame.csum_offset = offset;
    }
    if let Some(gso) = skb.gso() {
        frame.flags |= match gso.kind {
            GsoKind::Tcp4 | GsoKind::Tcp6 => flag::TSO,
            GsoKind::Udp => flag::USO,
        };
        frame.gso_size = gso.size;
        frame.header_length = gso.header_length as u16;
    }
    if let Some(tci) = skb.vlan() {
        frame.flags |= flag::VLAN;
        frame.vlan_tci = tci;
    }
    frame
}

impl Sender {
    /// Sends `skb`, or drops and counts it.
    pub(super) fn send<C: Client>(
        &mut self,
        adapter: &Adapter<C>,
        queue: &LockedTxQueue<'_>,
        skb: SkBuff,
        more: bool,
    ) {
        let bytes = skb.len();
        let first = describe(&skb);
        if let Err((skb, reason)) = self.post(skb, first) {
            self.processor.tx_dropped.add(1);
            skb.drop_with(reason);
            // Frames before it may rely on this one to be the last of a burst.
            if !more {
                self.publish(adapter);
            }
            return;
        }
        let tell = queue.sent(bytes, more);
        if queue.maybe_stop(|| self.slots.room(), STOP, START) {
            self.processor.tx_stop.add(1);
            self.publish(adapter);
        } else if tell {
            self.publish(adapter);
        }
    }

    /// Posts a frame as an XDP program has decided, and gives it back when there is no room: there is
    /// always left what the stack may need next, so that the queue never has to stop for it.
    /// [`Self::publish`] tells the adapter.
    pub(super) fn send_frame(
        &mut self,
        queue: &LockedTxQueue<'_>,
        frame: XdpFrame,
    ) -> Result<(), XdpFrame> {
        let room = self.slots.room();
        let result = if room < STOP + 1 + frame.frags().len() as u32 {
            Err(frame)
        } else {
            let posted = self.post(frame, Descriptor::default());
            posted.map_err(|(frame, _)| frame)
        };
        match &result {
            Ok(()) => {
                queue.update_trans_start();
                self.processor.xdp.sent.add(1);
            }
            Err(_) => self.processor.xdp.full.add(1),
        }
        result
    }

    /// Writes the entries of a frame, of which `first` says what is to be done to it.
    fn post<S: Sendable>(&mut self, sent: S, first: Descriptor) -> Result<(), (S, DropReason)> {
        let frags = sent.frags();
        let count = 1 + frags.len();
        if count > MAX_ENTRIES || self.slots.room() < count as u32 {
            return Err((sent, DropReason::FullRing));
        }
        let mut mapped: [Option<Mapping>; MAX_ENTRIES] = [const { None }; MAX_ENTRIES];
        mapped[0] = sent.map_linear(&self.mapper);
        for (slot, frag) in mapped[1..].iter_mut().zip(frags) {
            *slot = self.mapper.map_frag(frag);
        }
        if mapped[..count].iter().any(Option::is_none) {
            mapped
                .into_iter()
                .flatten()
                .for_each(|m| self.mapper.unmap(m));
            return Err((sent, DropReason::NoMem));
        }
        let mut frame = first;
        let mut sent = Some(sent);
        for (i, mapping) in mapped.into_iter().flatten().enumerate() {
            let last = i + 1 == count;
            frame.address = mapping.address();
            frame.length = mapping.len();
            if last {
                frame.flags |= flag::END;
            }
            self.ring.write(self.producer, &frame.to_bytes());
            self.producer = self.producer.wrapping_add(1);
            let slot = Slot {
                mapping,
                frame: if last { sent.take().map(S::into) } else { None },
            };
            // There is room, as checked: nobody else takes it.
            if self.slots.push(slot).is_err() {
                break;
            }
            frame = Descriptor::default();
        }
        Ok(())
    }

    /// Tells the adapter of everything posted.
    pub(super) fn publish<C: Client>(&mut self, adapter: &Adapter<C>) {
        if self.published == self.producer {
            return;
        }
        self.published = self.producer;
        let line = Line::Transmit.index_offset();
        adapter
            .registers
            .doorbell(self.processor.index, line, self.producer);
        adapter.wake(self.processor.index, &self.status);
    }
}

impl Completer {
    /// Frees the frames that the adapter has sent: all entries before `consumer`. How many; `None`
    /// when the adapter claims more than it was given.
    pub(super) fn complete(
        &mut self,
        processor: &Processor,
        tx: &TxContext<'_>,
        rx: Option<&RxContext<'_>>,
        consumer: u32,
    ) -> Option<u32> {
        let mut left = consumer.wrapping_sub(self.slots.taken());
        if left == 0 {
            return Some(0);
        }
        if left > self.slots.count() {
            return None;
        }
        let (mut packets, mut bytes) = (0, 0);
        while left > 0 {
            // netpoll, without budget, must not free XDP frames.
            let program = |slot: &Slot| matches!(slot.frame, Some(Sent::Program(_)));
            if rx.is_none() && self.slots.peek().is_some_and(program) {
                break;
            }
            let Some(slot) = self.slots.pop() else { break };
            left -= 1;
            self.mapper.unmap(slot.mapping);
            match slot.frame {
                Some(Sent::Skb(skb)) => {
                    packets += 1;
                    bytes += skb.len();
                    tx.consume(skb);
                }
                Some(Sent::Program(frame)) => drop(frame),
                None => {}
            }
        }
        let queue = tx.queue();
        if queue.completed_wake(packets, bytes, || self.slots.room(), START) {
            processor.tx_wake.add(1);
        }
        Some(packets)
    }

    /// The consumer index at which it is time for an interrupt: three quarters of what is under way,
    /// or the next frame, is sent.
    pub(super) fn target(&self) -> u32 {
        self.slots
            .taken()
            .wrapping_add((self.slots.count() / 4 * 3).max(1))
    }
}

impl Drop for Completer {
    /// Frees what was never sent. The adapter does not read it any more.
    fn drop(&mut self) {
        while let Some(slot) = self.slots.pop() {
            self.mapper.unmap(slot.mapping);
            if let Some(Sent::Skb(skb)) = slot.frame {
                skb.drop_with(DropReason::DevReady);
            }
        }
    }
}
