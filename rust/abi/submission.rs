// SPDX-License-Identifier: GPL-2.0

//! The submission ring: what the host asks of a processor about delegated connections.
//!
//! Entries are [`SUBMISSION_ENTRY`](super::ring::SUBMISSION_ENTRY) bytes. A [`Delegate`] header is
//! followed by three further entries that hold the [`Connection`](super::connection::Connection);
//! the host publishes all four with one index. The first byte of an entry is its [`Op`].
//!
//! A connection has two identifiers. The host chooses `host_id` at hand-over, any number; the
//! adapter puts it into every completion. The adapter answers with `device_id`; the host puts it
//! into every submission. The device identifier carries a generation, so that a submission which
//! was under way when the adapter returned the connection finds nothing and is counted as stale;
//! the host can tell because the completion ring then holds a `Returned`.

use super::layout::{
    layout,
    wire_enum, //
};

wire_enum! {
    /// What a submission asks for.
    pub enum Op: u8 {
        /// Take over a connection: [`Delegate`] and three entries of state. Answered by
        /// `Delegated`.
        Delegate = 1,
        /// Send payload: [`Send`]. Answered by `Acked` when the peer has acknowledged.
        Send = 2,
        /// Give the connection back: [`Return`]. Answered by `Returned`.
        Return = 3,
        /// Change what can change while delegated: [`Update`]. Not answered.
        Update = 4,
        /// Place payload in memory of the application: [`Bind`]. Answered by `Placed` when payload
        /// has come.
        Bind = 5,
    }
}

/// Number of entries that a `Delegate` takes: its header and the connection's state.
pub const DELEGATE_ENTRIES: usize = 4;

/// Storage areas that a connection can have bound at a time.
pub const AREAS: usize = 4;

/// Payload pieces in one [`Send`].
pub const SEND_FRAGS: usize = 4;

layout! {
    /// Header of a hand-over.
    ///
    /// It is refused as a whole or accepted as a whole. The adapter knows from its flow database
    /// what it has uploaded of this flow in frames that the host's TCP may not have seen yet: when
    /// that is one contiguous run from the given `rcv_nxt` on, delivery begins at the run's end;
    /// until the host's TCP is seen to acknowledge that end, the adapter acknowledges no more than
    /// the host has. When the adapter cannot tell, it answers `Busy`, watches the flow from then
    /// on, and the host tries again.
    pub struct Delegate: 64 {
        /// [`Op::Delegate`].
        0 => op: u8,
        /// Identifier for completions.
        4 => host_id: u32,
    }
}

/// Bits of [`Send::flags`].
pub mod send_flag {
    /// The application's write ends here: set PSH, and Nagle's algorithm may count the data as
    /// complete.
    pub const PUSH: u8 = 1 << 0;
    /// More is about to come (`MSG_MORE`): hold back a segment that is not full.
    pub const MORE: u8 = 1 << 1;
}

layout! {
    /// Payload to send, up to four pieces of host memory.
    ///
    /// The memory must keep its content until `Acked` passes it or `Returned` arrives: the adapter
    /// reads it again for every retransmission. The host keeps count of the pieces under way and
    /// never exceeds [`FRAGMENTS`](super::regs::FRAGMENTS).
    pub struct Send: 64 {
        /// [`Op::Send`].
        0 => op: u8,
        /// [`send_flag`] bits.
        1 => flags: u8,
        /// Number of pieces, 1 to 4.
        2 => count: u8,
        /// The connection.
        4 => device_id: u32,
        /// Sequence number of the first byte: must follow all that was submitted before.
        8 => seq: u32,
        /// Lengths of the pieces, each at least 1.
        16 => lengths: [u32; 4],
        /// DMA addresses of the pieces.
        32 => addresses: [u64; 4],
    }
}

layout! {
    /// Asks for a connection back.
    pub struct Return: 64 {
        /// [`Op::Return`].
        0 => op: u8,
        /// The connection.
        4 => device_id: u32,
    }
}

/// Bits of [`Update::valid`]: which fields of an [`Update`] count.
pub mod update {
    /// `flags`: [`NODELAY`](super::super::connection::flag::NODELAY) and
    /// [`CORK`](super::super::connection::flag::CORK).
    pub const FLAGS: u16 = 1 << 0;
    /// `rcv_edge`.
    pub const RCV_EDGE: u16 = 1 << 1;
    /// `remote_mac`.
    pub const REMOTE_MAC: u16 = 1 << 2;
    /// `mss`.
    pub const MSS: u16 = 1 << 3;
}

layout! {
    /// New values for a connection. A right edge before the current one is ignored (RFC 9293 3.8.6:
    /// no shrinking).
    pub struct Update: 64 {
        /// [`Op::Update`].
        0 => op: u8,
        /// [`update`] bits.
        2 => valid: u16,
        /// The connection.
        4 => device_id: u32,
        /// Connection flags.
        8 => flags: u16,
        /// Largest payload of a segment sent.
        10 => mss: u16,
        /// Right edge of the receive window.
        12 => rcv_edge: u32,
        /// MAC address of the next hop.
        16 => remote_mac: [u8; 6],
    }
}

layout! {
    /// Binds a storage area to a connection: payload goes there, and nothing else ever does, until
    /// the area is full. Several areas are filled in the order in which they were bound; without any,
    /// payload goes into payload pages.
    ///
    /// The area is `length` bytes from `offset` of its first page on. The DMA addresses of its pages
    /// stand in host memory, 8 bytes each, multiples of 4096. Area and addresses must stay where
    /// they are until the adapter gives the area back: with `Placed` when it is full, or with
    /// `Returned`. An area too many, or one without length, returns the connection.
    pub struct Bind: 64 {
        /// [`Op::Bind`].
        0 => op: u8,
        /// The connection.
        4 => device_id: u32,
        /// The host's identifier of the area, any number.
        8 => area: u32,
        /// Bytes of the area, at least 1.
        12 => length: u32,
        /// DMA address of the addresses of its pages, a multiple of 8.
        16 => pages: u64,
        /// Where in its first page it begins, below 4096.
        24 => offset: u32,
    }
}
