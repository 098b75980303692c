// SPDX-License-Identifier: GPL-2.0

//! XDP: received frames as a program sees them, and what comes of them.
//!
//! The adapter stores headers of many frames in one page, and payload apart from them. For a program
//! the headers are copied behind room to grow into, where the stack would get a copy of them too,
//! and payload stays in its pages. A frame that is not split is copied whole as long as it fits, and
//! any frame for a program that takes no pieces.
//!
//! A program sees frames as they were on the wire: with their tag, and each by itself.

use super::{
    adapter::Adapter,
    processor::Processor,
    receive::{
        self,
        Invalid, //
    }, //
};
use crate::{
    abi::completion::{
        frame_flag,
        HashType as WireHash,
        Op, //
        RxFrame,
    },
    net::{
        napi::{
            RxContext,
            RxSkBuff, //
        },
        netdev::feature,
        netmem::{
            Fragment,
            Pool, //
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
    offload::{
        Client,
        Payload, //
    },
    util::counter::Counter, //
};
use core::mem;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Length of an Ethernet header, and of an 802.1Q tag.
const ETHERNET: usize = 14;
const TAG: usize = 4;

/// Where the tag is in a frame.
const TAG_AT: usize = 12;

/// The largest MTU with which every frame fits into one piece, with two tags.
pub(super) const LINEAR_MTU: u32 = (MAX_LINEAR - ETHERNET - 2 * TAG) as u32;

/// What programs have decided about the frames of a processor.
#[derive(Default)]
pub(super) struct Counters {
    /// Receive, counted by the poll: frames that a program has seen.
    packets: Counter,
    /// Those that it dropped.
    drops: Counter,
    /// Those that it sent back through the interface.
    transmits: Counter,
    /// Those that it sent elsewhere.
    redirects: Counter,
    /// Those that were lost: the program failed, or what it wanted could not be done.
    errors: Counter,
    /// Transmit, counted under the transmit lock: frames sent as programs have decided, those of
    /// other interfaces too.
    pub(super) sent: Counter,
    /// Those for which there was no room.
    pub(super) full: Counter,
}

impl Counters {
    /// Number of counters.
    pub(super) const COUNT: usize = 7;

    /// Their names and values.
    pub(super) fn all(&self) -> [(&'static str, u64); Self::COUNT] {
        [
            ("rx_xdp_packets", self.packets.get()),
            ("rx_xdp_drops", self.drops.get()),
            ("rx_xdp_tx", self.transmits.get()),
            ("rx_xdp_redirects", self.redirects.get()),
            ("rx_xdp_errors", self.errors.get()),
            ("tx_xdp_packets", self.sent.get()),
            ("tx_xdp_drops", self.full.get()),
        ]
    }
}

/// A processor's frames on their way through a program, one after the other.
pub(super) struct Programmed {
    queue: XdpRxQueue,
    /// Some have been posted to go out again, of which the adapter has not been told.
    transmitted: bool,
}

impl Programmed {
    pub(super) fn new(queue: XdpRxQueue) -> Self {
        Self {
            queue,
            transmitted: false,
        }
    }

    /// The pool of its buffers.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        self.queue.pool()
    }

    /// Begins the frame of `entry`, for `program`. False when it is lost, which is counted.
    pub(super) fn begin(
        &mut self,
        rx: &RxContext<'_>,
        processor: &Processor,
        program: &RunningProgram<'_>,
        entry: &RxFrame,
        header: Option<Fragment>,
        pieces: &mut Payload,
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
            processor.xdp.errors.add(1);
            return Ok(false);
        }

        let (first, flags) = receive::first(entry, header, pieces)?;
        let head = match whole {
            true => first.len(),
            false => receive::head(rx, first.bytes().ok_or(Invalid)?),
        };
        let linear = match whole {
            true => length,
            false => tag + head,
        };
        if self.queue.begin(rx, linear, !whole).is_err() {
            processor.no_memory();
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
            for piece in pieces {
                self.put(piece.bytes().ok_or(Invalid)?)?;
            }
        }
        Ok(true)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        self.queue.put(bytes).map_err(|_| Invalid)
    }

    /// Appends a piece to the frame that was begun; `flags` are those of its completion.
    pub(super) fn add(&mut self, piece: Fragment, flags: u8) -> Result<(), Invalid> {
        let truesize = receive::truesize(&piece, flags);
        // More pieces than there is room for are more than any frame has.
        self.queue
            .add_fragment(piece, truesize)
            .map_err(|_| Invalid)
    }

    /// Lets the program decide about the frame, which is whole. The frame, when it is the stack's.
    pub(super) fn finish<'a, C: Client>(
        &mut self,
        rx: &'a RxContext<'a>,
        adapter: &Adapter<C>,
        processor: &Processor,
        entry: &RxFrame,
    ) -> Result<Option<RxSkBuff<'a>>, Invalid> {
        let counters = &processor.xdp;
        // Another one, or none, since the frame was begun.
        let program = adapter.xdp.program(rx);
        if program.is_some() {
            counters.packets.add(1);
        }
        let verdict = self.queue.run(rx, program.as_ref());
        match verdict.map_err(|_| Invalid)? {
            Verdict::Pass { mut skb, intact } => {
                // Of another frame than that which was received nothing is known.
                if intact {
                    receive::describe(rx, entry, &mut skb)?;
                }
                return Ok(Some(skb));
            }
            Verdict::Transmit(frame) => {
                let index = processor.index.into();
                let sent = rx.transmit::<Adapter<C>, _>(index, |queue, sender| {
                    sender.send_frame(queue, frame).is_ok()
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
            Verdict::NoMemory => processor.no_memory(),
        }
        Ok(None)
    }

    /// Tells the adapter of what is to go out again.
    pub(super) fn flush<C: Client>(
        &mut self,
        rx: &RxContext<'_>,
        adapter: &Adapter<C>,
        processor: &Processor,
    ) {
        if mem::take(&mut self.transmitted) {
            rx.transmit::<Adapter<C>, _>(processor.index.into(), |_, sender| {
                sender.publish(adapter)
            });
        }
    }
}

/// What the hash of a frame was computed over, which begins with `bytes`, its tag taken off.
fn hash_type(entry: &RxFrame, bytes: &[u8]) -> Result<Option<RssHashType>, Invalid> {
    let hash = WireHash::from_raw(entry.hash_type).ok_or(Invalid)?;
    let tcp = entry.op != Op::NotTcp.raw();
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

/// Features that can be on beside a program: none that joins what a program has to see apart.
pub(super) fn features_beside(features: u64) -> u64 {
    features & !feature::GRO_HW
}
