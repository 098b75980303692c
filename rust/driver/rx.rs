// SPDX-License-Identifier: GPL-2.0

//! Receive: from completions to frames and payload.

use super::{
    fill_ring::{
        FillRing,
        Invalid, //
    },
    queue_pair::QueuePair,
    registers::Registers,
    rx_skb,
    xdp::XdpRx, //
};
use crate::{
    abi::completion::{
        frame_flag,
        Deliver,
        PagesReleased,
        RxFrame,
        NO_PAGE, //
    },
    net::{
        device::Operations,
        napi::{
            RxContext,
            RxSkBuff, //
        },
        netmem::Pool, //
    },
    offload::Payload, //
};
use core::mem;
use kernel::sync::Arc;

/// The receive side of a running queue pair.
pub(super) struct Rx {
    headers: FillRing,
    payload: FillRing,
    xdp: XdpRx,
    /// A frame of which more completions follow.
    partial: PartialFrame,
}

/// A frame of which more completions follow.
enum PartialFrame {
    None,
    Skb(rx_skb::Partial),
    /// [`XdpRx`] holds it for a program.
    Xdp,
    /// Dropped and counted. Its remaining fragments are released.
    Dropped,
}

impl Rx {
    /// Creates the receive side with its two fill rings.
    pub(super) fn new(headers: FillRing, payload: FillRing, xdp: XdpRx) -> Self {
        Self {
            headers,
            payload,
            xdp,
            partial: PartialFrame::None,
        }
    }

    /// Returns the pools that the poll allocates from.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        let rings = [&self.headers, &self.payload].into_iter();
        Iterator::chain(rings.flat_map(FillRing::pools), [self.xdp.pool()])
    }

    /// Returns the DMA addresses of the header and the payload fill ring.
    pub(super) fn dma_addresses(&self) -> (u64, u64) {
        (self.headers.dma_address(), self.payload.dma_address())
    }

    /// Refills both fill rings. Returns true when pages were posted.
    pub(super) fn refill(
        &mut self,
        rx: &RxContext<'_>,
        pair: &QueuePair,
        registers: &Registers,
    ) -> bool {
        let headers = self.headers.refill(rx, pair, registers);
        let payload = self.payload.refill(rx, pair, registers);
        headers || payload
    }

    /// Ends a poll: sends the frames that programs have transmitted.
    pub(super) fn flush<T: Operations>(
        &mut self,
        rx: &RxContext<'_>,
        adapter: &T,
        pair: &QueuePair,
    ) {
        self.xdp.flush(rx, adapter, pair);
    }

    /// Takes back pages without data.
    pub(super) fn released(&mut self, entry: &PagesReleased) -> Result<(), Invalid> {
        let ids = entry.pages.get(..entry.page_count.into()).ok_or(Invalid)?;
        let ring = match entry.payload {
            0 => &mut self.headers,
            1 => &mut self.payload,
            _ => return Err(Invalid),
        };
        ids.iter().try_for_each(|&id| ring.release(id))
    }

    /// Takes payload page `id` back.
    pub(super) fn release_payload(&mut self, id: u32) -> Result<(), Invalid> {
        self.payload.release(id)
    }

    /// Returns the payload of a delegated connection.
    pub(super) fn deliver(&mut self, entry: &Deliver) -> Result<Payload, Invalid> {
        let ids = entry.pages.get(..entry.page_count.into()).ok_or(Invalid)?;
        let (offset, length) = (entry.data_offset.into(), entry.data_length as usize);
        self.payload
            .gather(true, ids, entry.release, offset, length)
    }

    /// Adds a completion to a frame, and returns the frame when it is complete.
    ///
    /// `Ok(None)` when more completions follow, when there was no memory (which is counted), or when
    /// an XDP program took the frame.
    pub(super) fn frame<'a, T: Operations>(
        &mut self,
        rx: &'a RxContext<'a>,
        adapter: &T,
        pair: &QueuePair,
        entry: &RxFrame,
    ) -> Result<Option<RxSkBuff<'a>>, Invalid> {
        // Coalesced frames do not go through a program. The adapter sends them only for a moment
        // after a program was attached, which turns hardware GRO off.
        let program = match entry.gso_size {
            0 => adapter.xdp().program(rx),
            _ => None,
        };
        let for_xdp = program.is_some() || matches!(self.partial, PartialFrame::Xdp);
        let ids = entry.pages.get(..entry.page_count.into()).ok_or(Invalid)?;
        let mut header = None;
        if entry.header_page != NO_PAGE {
            let (offset, length) = (entry.header_offset.into(), entry.header_length.into());
            header = Some(self.headers.fragment(entry.header_page, offset, length)?);
            if entry.release & 1 == 1 {
                self.headers.release(entry.header_page)?;
            }
        }
        let ring = match entry.flags & frame_flag::HEADER_RING {
            0 => &mut self.payload,
            _ => &mut self.headers,
        };
        let (offset, length) = (entry.data_offset.into(), entry.data_length as usize);
        let mut frags = ring.gather(!for_xdp, ids, entry.release >> 1, offset, length)?;

        let mut frame = match mem::replace(&mut self.partial, PartialFrame::None) {
            PartialFrame::None => match program {
                Some(program) => {
                    let begun = self
                        .xdp
                        .begin(rx, pair, &program, entry, header, &mut frags)?;
                    match begun {
                        true => PartialFrame::Xdp,
                        false => PartialFrame::Dropped,
                    }
                }
                None => match rx_skb::begin(rx, pair, entry, header, &mut frags)? {
                    Some(partial) => PartialFrame::Skb(partial),
                    None => {
                        pair.count_no_memory();
                        PartialFrame::Dropped
                    }
                },
            },
            _ if header.is_some() => return Err(Invalid),
            partial => partial,
        };
        for fragment in frags {
            match &mut frame {
                PartialFrame::Skb(partial) => {
                    let truesize = rx_skb::truesize(&fragment, entry.flags);
                    // No valid frame has more fragments than an skb holds.
                    let added = partial.skb.add_fragment(fragment, truesize);
                    added.map_err(|_| Invalid)?;
                }
                PartialFrame::Xdp => self.xdp.add(fragment, entry.flags)?,
                PartialFrame::Dropped | PartialFrame::None => {}
            }
        }
        if entry.flags & frame_flag::MORE != 0 {
            self.partial = frame;
            return Ok(None);
        }
        match frame {
            PartialFrame::Skb(partial) => rx_skb::finish(rx, pair, entry, partial).map(Some),
            PartialFrame::Xdp => self.xdp.finish(rx, adapter, pair, entry),
            PartialFrame::Dropped | PartialFrame::None => Ok(None),
        }
    }
}
