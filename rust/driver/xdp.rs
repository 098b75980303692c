// SPDX-License-Identifier: GPL-2.0

//! XDP: runs a program on received frames and carries out its verdict.
//!
//! The adapter stores the headers of many frames in one page, and payload separately. For a
//! program the headers are copied behind headroom, as the stack would copy them; payload stays in
//! its pages. A frame that is not split is copied whole as far as it fits, and so is any frame for
//! a program without multi-buffer support.
//!
//! Programs see frames as on the wire: tagged, and not coalesced.

use super::{
    fill_ring::Invalid,
    queue_pair::QueuePair,
    rx_skb, //
};
use crate::{
    abi::completion::{
        frame_flag,
        CompletionOp,
        HashType as WireHash,
        RxFrame, //
    },
    net::{
        device::Operations,
        napi::{
            RxContext,
            RxSkBuff, //
        },
        netdev::feature,
        netmem::{
            Pool,
            PoolFrag, //
        },
        xdp::{
            RssHashType,
            RunningProgram,
            Verdict,
            XdpRxQueue,
            MAX_LINEAR,
            TAILROOM, //
        }, //
    },
    offload::Payload, //
};
use core::mem;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// Length of an 802.1Q tag.
const TAG: usize = 4;
/// Offset of the tag in a frame.
const TAG_AT: usize = 12;

/// Largest MTU at which a frame with two tags fits into one buffer.
pub(super) const LINEAR_MTU: u32 = (MAX_LINEAR - ETHERNET - 2 * TAG) as u32;

/// The XDP receive queue of a running queue pair. One frame at a time.
pub(super) struct XdpRx {
    queue: XdpRxQueue,
    /// Frames were posted with `XDP_TX`, and the doorbell has not been written yet.
    transmitted: bool,
}

impl XdpRx {
    /// Wraps a receive queue.
    pub(super) fn new(queue: XdpRxQueue) -> Self {
        Self {
            queue,
            transmitted: false,
        }
    }

    /// Returns the pool of the buffers.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        self.queue.pool()
    }

    /// Begins the frame of `entry` for `program`. Returns false when the frame is dropped and counted.
    pub(super) fn begin(
        &mut self,
        rx: &RxContext<'_>,
        pair: &QueuePair,
        program: &RunningProgram<'_>,
        entry: &RxFrame,
        header: Option<PoolFrag>,
        frags: &mut Payload,
    ) -> Result<bool, Invalid> {
        let split = entry.flags & frame_flag::HEADER_RING == 0 && entry.data_length != 0;
        let tag = match entry.flags & frame_flag::VLAN {
            0 => 0,
            _ => TAG,
        };
        let in_header = match header {
            Some(_) => usize::from(entry.header_length),
            None => 0,
        };
        let length = tag + in_header + entry.data_length as usize;
        let most = match (program.supports_frags(), split) {
            (true, true) => 0,
            (true, false) => MAX_LINEAR - TAILROOM,
            (false, _) => MAX_LINEAR,
        };
        let whole = entry.flags & frame_flag::MORE == 0 && length <= most;
        if !whole && !program.supports_frags() {
            pair.xdp.errors.add(1);
            return Ok(false);
        }

        let (first, flags) = rx_skb::first(entry, header, frags)?;
        let head = match whole {
            true => first.len(),
            false => {
                let bytes = first.bytes().ok_or(Invalid)?;
                let start = &bytes[..bytes.len().min(rx_skb::LINEAR)];
                rx_skb::linear_length(rx, start, bytes.len())
            }
        };
        let linear = match whole {
            true => length,
            false => tag + head,
        };
        if self.queue.begin(rx, linear, !whole).is_err() {
            pair.count_no_memory();
            return Ok(false);
        }
        let bytes = first.bytes().and_then(|bytes| bytes.get(..head));
        let bytes = bytes.ok_or(Invalid)?;
        if tag != 0 {
            let (addresses, rest) = bytes.split_at_checked(TAG_AT).ok_or(Invalid)?;
            let [high, low] = entry.vlan_tci.to_be_bytes();
            self.put(addresses)?;
            self.put(&[0x81, 0x00, high, low])?;
            self.put(rest)?;
        } else {
            self.put(bytes)?;
        }
        if let Some(kind) = hash_type(entry, bytes)? {
            self.queue.set_hash(entry.hash, kind);
        }
        if let Some(rest) = first.advance(head) {
            self.add(rest, flags)?;
        }
        if whole {
            for fragment in frags {
                self.put(fragment.bytes().ok_or(Invalid)?)?;
            }
        }
        Ok(true)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        self.queue.put(bytes).map_err(|_| Invalid)
    }

    /// Appends a fragment to the frame; `flags` are those of its completion.
    pub(super) fn add(&mut self, fragment: PoolFrag, flags: u8) -> Result<(), Invalid> {
        let truesize = rx_skb::truesize(&fragment, flags);
        // No valid frame has more fragments than there is room for.
        self.queue
            .add_fragment(fragment, truesize)
            .map_err(|_| Invalid)
    }

    /// Runs the program on the frame, which is complete. Returns the frame when the program passes it
    /// to the stack.
    pub(super) fn finish<'a, T: Operations>(
        &mut self,
        rx: &'a RxContext<'a>,
        adapter: &T,
        pair: &QueuePair,
        entry: &RxFrame,
    ) -> Result<Option<RxSkBuff<'a>>, Invalid> {
        let counters = &pair.xdp;
        // It may have been replaced or detached since the frame was begun.
        let program = adapter.xdp().program(rx);
        if program.is_some() {
            counters.packets.add(1);
        }
        let verdict = self.queue.run(rx, program.as_ref());
        match verdict.map_err(|_| Invalid)? {
            Verdict::Pass { mut skb, intact } => {
                // Checksum and hash do not apply to a frame that the program has resized.
                if intact {
                    rx_skb::set_offloads(rx, entry, &mut skb)?;
                }
                return Ok(Some(skb));
            }
            Verdict::Transmit(frame) => {
                let index = pair.index.into();
                let sent = rx.transmit::<T, _>(index, |queue, ring| {
                    adapter.xdp_transmit(queue, ring, frame).is_ok()
                });
                if sent == Some(true) {
                    self.transmitted = true;
                    counters.transmits.add(1);
                } else {
                    counters.errors.add(1);
                    program.inspect(|program| program.transmit_failed(rx));
                }
            }
            Verdict::Redirected => counters.redirects.add(1),
            Verdict::Dropped => counters.drops.add(1),
            Verdict::Failed => counters.errors.add(1),
            Verdict::NoMemory => pair.count_no_memory(),
        }
        Ok(None)
    }

    /// Writes the doorbell for frames posted with `XDP_TX`.
    pub(super) fn flush<T: Operations>(
        &mut self,
        rx: &RxContext<'_>,
        adapter: &T,
        pair: &QueuePair,
    ) {
        if mem::take(&mut self.transmitted) {
            rx.transmit::<T, _>(pair.index.into(), |_, ring| adapter.xdp_flush(ring));
        }
    }
}

/// Returns what the hash of a frame was computed over; the frame begins with `bytes`, without tag.
fn hash_type(entry: &RxFrame, bytes: &[u8]) -> Result<Option<RssHashType>, Invalid> {
    let hash = WireHash::from_raw(entry.hash_type).ok_or(Invalid)?;
    let tcp = entry.op != CompletionOp::NotTcp.raw();
    Ok(match (hash, bytes.get(TAG_AT..ETHERNET), tcp) {
        (WireHash::L3, Some([0x08, 0x00]), _) => Some(RssHashType::Ip4),
        (WireHash::L3, Some([0x86, 0xdd]), _) => Some(RssHashType::Ip6),
        (WireHash::L4, Some([0x08, 0x00]), true) => Some(RssHashType::Tcp4),
        (WireHash::L4, Some([0x86, 0xdd]), true) => Some(RssHashType::Tcp6),
        (WireHash::L4, Some([0x08, 0x00]), false) => Some(RssHashType::Udp4),
        (WireHash::L4, Some([0x86, 0xdd]), false) => Some(RssHashType::Udp6),
        _ => None,
    })
}

/// Returns `features` without those that a program excludes: coalescing hides frames from it.
pub(super) fn features_with_program(features: u64) -> u64 {
    features & !feature::GRO_HW
}
