// SPDX-License-Identifier: GPL-2.0

//! Transmit completion: frees the frames that the adapter has sent.

use super::queue_pair::QueuePair;
use crate::{
    abi::transmit::MAX_ENTRIES,
    net::{
        dma::{
            Mapper,
            Mapping, //
        },
        napi::{
            RxContext,
            TxContext, //
        },
        skb::{
            DropReason,
            SkBuff, //
        },
        xdp::XdpFrame, //
    },
    util::spsc, //
};

/// A stopped queue starts again when this many entries are free.
pub(super) const START_THRESHOLD: u32 = 4 * MAX_ENTRIES as u32;

/// The memory of a ring entry.
pub(super) struct TxBuffer {
    pub(super) mapping: Mapping,
    /// The frame, at its last entry.
    pub(super) frame: Option<TxFrame>,
}

/// A frame in the ring.
pub(super) enum TxFrame {
    /// From the stack.
    Skb(SkBuff),
    /// From an XDP program.
    Xdp(XdpFrame),
}

impl From<SkBuff> for TxFrame {
    fn from(skb: SkBuff) -> Self {
        Self::Skb(skb)
    }
}

impl From<XdpFrame> for TxFrame {
    fn from(frame: XdpFrame) -> Self {
        Self::Xdp(frame)
    }
}

/// The end of the transmit ring that the poll owns.
pub(super) struct TxClean {
    buffers: spsc::Receiver<TxBuffer>,
    mapper: Mapper,
}

impl TxClean {
    pub(super) fn new(buffers: spsc::Receiver<TxBuffer>, mapper: Mapper) -> Self {
        Self { buffers, mapper }
    }

    /// Frees all entries before `consumer`, the adapter's index, and returns the number of frames
    /// from the stack. `None` when the index is beyond what was posted.
    pub(super) fn clean(
        &mut self,
        pair: &QueuePair,
        tx: &TxContext<'_>,
        rx: Option<&RxContext<'_>>,
        consumer: u32,
    ) -> Option<u32> {
        let mut left = consumer.wrapping_sub(self.buffers.taken());
        if left == 0 {
            return Some(0);
        }
        if left > self.buffers.count() {
            return None;
        }
        let (mut packets, mut bytes) = (0, 0);
        while left > 0 {
            // netpoll, which has no budget, must not free XDP frames.
            let is_xdp = |buffer: &TxBuffer| matches!(buffer.frame, Some(TxFrame::Xdp(_)));
            if rx.is_none() && self.buffers.peek().is_some_and(is_xdp) {
                break;
            }
            let Some(buffer) = self.buffers.pop() else {
                break;
            };
            left -= 1;
            self.mapper.unmap(buffer.mapping);
            match buffer.frame {
                Some(TxFrame::Skb(skb)) => {
                    packets += 1;
                    bytes += skb.len();
                    tx.consume(skb);
                }
                Some(TxFrame::Xdp(frame)) => drop(frame),
                None => {}
            }
        }
        let room = || self.buffers.room();
        if tx
            .queue()
            .completed_wake(packets, bytes, room, START_THRESHOLD)
        {
            pair.tx_wake.add(1);
        }
        Some(packets)
    }

    /// Returns the consumer index at which an interrupt is worthwhile: when three quarters of the
    /// entries in flight, and at least one, are sent.
    pub(super) fn interrupt_at(&self) -> u32 {
        self.buffers
            .taken()
            .wrapping_add((self.buffers.count() / 4 * 3).max(1))
    }
}

impl Drop for TxClean {
    /// Frees frames that were not sent. The adapter no longer reads them.
    fn drop(&mut self) {
        while let Some(buffer) = self.buffers.pop() {
            self.mapper.unmap(buffer.mapping);
            if let Some(TxFrame::Skb(skb)) = buffer.frame {
                skb.drop_with(DropReason::DevReady);
            }
        }
    }
}
