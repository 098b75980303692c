// SPDX-License-Identifier: GPL-2.0

//! The delegated connection table.
//!
//! A [`Connection`] has three parts:
//!
//! - the match: the [`Key`] by which [`Table`] finds it, and the identifiers of host and adapter;
//! - the protocol: the state machine that the connection runs, a [`Protocol`];
//! - the [`Buffers`]: payload to send, placement of received payload, frames held out of order.
//!
//! The memory behind the buffers belongs to the processor and is shared by all of its connections
//! ([`Pools`]).

mod held_frames;
mod index;
mod protocol;
mod send_buffer;
mod table;
mod tcp;
mod template;

use toe_abi::completion::Reason;

pub use self::held_frames::FramePool;
pub use self::held_frames::HeldFrame;
pub use self::held_frames::HeldFrames;
pub use self::protocol::Packet;
pub use self::protocol::Protocol;
pub use self::send_buffer::FragPool;
pub use self::send_buffer::SendBuffer;
pub use self::send_buffer::Submitted;
pub use self::table::Table;
pub use self::tcp::Tcp;
pub use self::tcp::fits;
use crate::storage::Reassembly;
use crate::tcp::Seq;
use crate::tuple::Key;

/// A delegated connection.
pub struct Connection {
    /// Tuple and hash.
    pub key: Key,
    /// Identifier that the host has chosen.
    pub host_id: u32,
    /// Reason of a return for which the completion ring has no room yet. The connection neither
    /// sends nor receives while this is set.
    pub returning: Option<Reason>,
    /// Time from which received payload has been dropped for lack of pages, in microseconds.
    pub starved_since: Option<u64>,
    /// State of the protocol.
    pub protocol: Protocol,
    /// Payload in both directions.
    pub buffers: Buffers,
}

/// The buffers of one connection.
pub struct Buffers {
    /// Payload that the host has submitted.
    pub send: SendBuffer,
    /// Placement of received payload in host memory.
    pub reassembly: Reassembly,
    /// Frames received out of order.
    pub held: HeldFrames,
}

/// Memory behind the buffers of all connections of a processor.
pub struct Pools {
    /// Descriptors of submitted payload.
    pub frags: FragPool,
    /// Device memory for held frames.
    pub frames: FramePool,
}

impl Connection {
    /// A connection whose first byte to send has sequence number `start`.
    pub fn new(key: Key, host_id: u32, start: Seq, protocol: Protocol) -> Self {
        Self {
            key,
            host_id,
            returning: None,
            starved_since: None,
            protocol,
            buffers: Buffers {
                send: SendBuffer::new(start),
                reassembly: Reassembly::new(host_id),
                held: HeldFrames::new(),
            },
        }
    }
}

impl Buffers {
    /// Returns all memory to `pools`.
    fn clear(&mut self, pools: &mut Pools) {
        self.send.clear(&mut pools.frags);
        self.held.clear(&mut pools.frames);
    }
}

impl Pools {
    /// Creates pools of `frags` payload fragments and `bytes` bytes of device memory.
    fn new(frags: u32, bytes: u32) -> Self {
        Self {
            frags: FragPool::new(frags),
            frames: FramePool::new(bytes),
        }
    }

    /// Marks all memory free.
    fn clear(&mut self) {
        self.frags.clear();
        self.frames.clear();
    }
}
