// SPDX-License-Identifier: GPL-2.0

//! The submission ring: requests of the host concerning delegated connections.
//!
//! Entries are [`SUBMISSION_ENTRY`](super::ring::SUBMISSION_ENTRY) bytes; the first byte is the
//! [`SubmissionOp`]. A [`Delegate`] header is followed by three entries with the
//! [`ConnectionState`](super::connection::ConnectionState). The host publishes all four with one
//! index update.
//!
//! A connection has two identifiers. The host chooses `host_id`, any value, at hand-over; the adapter
//! puts it into every completion. The adapter answers with `device_id`; the host puts it into every
//! submission. The device identifier contains a generation that changes with every return: a
//! submission in flight while the adapter returns the connection matches no connection and is counted
//! as stale (`toe_stale`). The host learns of this by the `Returned` completion.

use super::{
    layout::layout,
    table::{
        constants,
        flags,
        wire_enum, //
    }, //
};

wire_enum! {
    /// Type of a submission.
    pub enum SubmissionOp: u8 {
        /// Hands a connection over: [`Delegate`] and three entries of state. Answered by
        /// [`Delegated`](super::completion::Delegated).
        Delegate = 1,
        /// Sends payload: [`Send`]. [`Acked`](super::completion::Acked) reports its acknowledgement by
        /// the peer.
        Send = 2,
        /// Requests the return of a connection: [`Return`]. Answered by
        /// [`Returned`](super::completion::Returned).
        Return = 3,
        /// Changes parameters of a connection: [`Update`]. Not answered.
        Update = 4,
        /// Binds a memory area to a connection: [`Bind`]. [`Placed`](super::completion::Placed)
        /// reports payload placed in it.
        Bind = 5,
        /// Tells what the host's TCP has received: [`Resync`]. Answers
        /// [`Resumed`](super::completion::Resumed).
        Resync = 6,
    }
}

constants! {
    /// Number of entries of a `Delegate`: header and connection state.
    pub const DELEGATE_ENTRIES: usize = 4;

    /// Largest number of memory areas bound to a connection at a time.
    pub const AREAS: usize = 4;

    /// Largest number of payload fragments of a [`Send`].
    pub const SEND_FRAGS: usize = 4;

    /// Payload of one [`Send`] in bytes is below this value.
    pub const MAX_SEND: u32 = 1 << 30;

    /// Shortest time that an [`Update`] sets, in microseconds.
    pub const MIN_TIME_US: u32 = 1_000;

    /// Smallest retransmission timeout in microseconds, unless an [`Update`] sets it.
    pub const RTO_MIN_US: u32 = 200_000;

    /// Largest retransmission timeout in microseconds.
    pub const RTO_MAX_US: u32 = 120_000_000;

    /// Longest delay of an acknowledgement in microseconds.
    pub const DELACK_MAX_US: u32 = 40_000;
}

layout! {
    /// Header of a hand-over.
    ///
    /// The adapter accepts or refuses a hand-over as a whole. Its flow database records which payload
    /// of this flow it has already passed to the host in frames that the host's TCP may not have
    /// processed yet. If this is one contiguous range from `rcv_nxt` on, the connection begins in
    /// legacy mode, as it does if the host holds payload out of order. If the range is unknown, the
    /// adapter answers `Busy` and tracks the flow from then on, so that a later attempt succeeds.
    pub struct Delegate: 64 {
        /// [`SubmissionOp::Delegate`].
        0 => op: u8,
        /// Host identifier of the connection, any value, for use in completions.
        4 => host_id: u32,
    }
}

flags! {
    /// Bits of [`Send::flags`].
    pub mod send_flag: u8 {
        /// The last byte ends a write of the application: the segment that carries it has PSH set.
        PUSH = 0,
        /// More payload follows (`MSG_MORE`): the adapter holds back a partial segment until the
        /// next submission, acknowledgement of the peer or `Update` of the flags.
        MORE = 1,
        /// The last byte ends a record (`MSG_EOR`): the segment that carries it carries nothing after
        /// it.
        EOR = 2,
    }
}

layout! {
    /// Payload to send: up to [`SEND_FRAGS`] fragments of host memory.
    ///
    /// The memory must keep its content until `Acked` acknowledges it or `Returned` arrives, because
    /// the adapter reads it again for retransmissions. The host counts outstanding fragments and never
    /// exceeds [`FRAGMENTS`](super::regs::FRAGMENTS). Submissions begin at `snd_una` of the
    /// hand-over: payload between `snd_una` and `snd_nxt` is in flight and is submitted again for
    /// retransmission.
    pub struct Send: 64 {
        /// [`SubmissionOp::Send`].
        0 => op: u8,
        /// [`send_flag`] bits.
        1 => flags: u8,
        /// Number of fragments, 1 to [`SEND_FRAGS`].
        2 => count: u8,
        /// Device identifier of the connection.
        4 => device_id: u32,
        /// Sequence number of the first byte: the end of the previous submission.
        8 => seq: u32,
        /// The acknowledgement number that the host waits for: with it a process goes on that waits
        /// for room in the socket's buffer. It replaces that of the previous submission. The adapter
        /// writes `Acked` as soon as the peer has sent it; it may delay other reports of progress.
        12 => awaited: u32,
        /// Lengths of the fragments in bytes, each at least 1.
        16 => lengths: [u32; 4],
        /// DMA addresses of the fragments, of any alignment.
        32 => addresses: [u64; 4],
    }
}

layout! {
    /// Requests the return of a connection.
    pub struct Return: 64 {
        /// [`SubmissionOp::Return`].
        0 => op: u8,
        /// Device identifier of the connection.
        4 => device_id: u32,
    }
}

flags! {
    /// Bits of [`Update::valid`]: the fields of an [`Update`] that apply.
    pub mod update: u16 {
        /// `flags`: [`NODELAY`](super::super::connection::flag::NODELAY),
        /// [`CORK`](super::super::connection::flag::CORK),
        /// [`PUSH`](super::super::connection::flag::PUSH),
        /// [`FRAGMENT`](super::super::connection::flag::FRAGMENT),
        /// [`KEEP_CWND`](super::super::connection::flag::KEEP_CWND) and
        /// [`REPORT_SENT`](super::super::connection::flag::REPORT_SENT); other bits are ignored. Payload
        /// submitted so far is no longer held back for [`MORE`](send_flag::MORE).
        FLAGS = 0,
        /// `rcv_edge`.
        RCV_EDGE = 1,
        /// `remote_mac`.
        REMOTE_MAC = 2,
        /// `mss`.
        MSS = 3,
        /// `tos`, `ttl` and `flow_label`.
        IP = 4,
        /// `rto_min_us`, `rto_max_us` and `delack_max_us`.
        TIMES = 5,
        /// `retry_us` and `user_timeout_us`.
        PATIENCE = 6,
        /// `cwnd_limit`.
        CWND_LIMIT = 7,
    }
}

layout! {
    /// New parameters of a connection.
    pub struct Update: 64 {
        /// [`SubmissionOp::Update`].
        0 => op: u8,
        /// [`update`] bits; unknown bits are ignored.
        2 => valid: u16,
        /// Device identifier of the connection.
        4 => device_id: u32,
        /// Connection flags ([`flag`](super::connection::flag)).
        8 => flags: u16,
        /// Largest payload of a transmitted segment in bytes, at least
        /// [`MIN_MSS`](super::connection::MIN_MSS). If it is smaller than before, the adapter sends what
        /// is in flight again, because a router has dropped it (RFC 1191 6.5).
        10 => mss: u16,
        /// Right edge of the receive window, which the adapter announces at once. A value before the
        /// current edge is ignored: the window does not shrink (RFC 9293 3.8.6). So is a value more
        /// than [`MAX_RCV_WINDOW`](super::connection::MAX_RCV_WINDOW) ahead of the first byte not
        /// received in order.
        12 => rcv_edge: u32,
        /// MAC address of the next hop, unicast.
        16 => remote_mac: [u8; 6],
        /// Type of service or traffic class, without the ECN bits.
        22 => tos: u8,
        /// Time to live or hop limit, not 0.
        23 => ttl: u8,
        /// Smallest retransmission timeout in microseconds, [`MIN_TIME_US`] to [`RTO_MAX_US`].
        /// [`RTO_MIN_US`] at first.
        24 => rto_min_us: u32,
        /// Largest retransmission timeout in microseconds, `rto_min_us` to [`RTO_MAX_US`], which it
        /// is at first.
        28 => rto_max_us: u32,
        /// Longest delay of an acknowledgement in microseconds, at least [`MIN_TIME_US`]. The adapter
        /// delays none for longer than [`DELACK_MAX_US`].
        32 => delack_max_us: u32,
        /// The first retransmission timeout that is this much later than the first retransmission
        /// returns the connection ([`Timeout`](super::completion::Reason::Timeout)). 0, as at first: only
        /// their number does.
        36 => retry_us: u32,
        /// The connection returns this long after the first retransmission, or the first probe of a
        /// closed window. 0, as at first: it does not.
        40 => user_timeout_us: u32,
        /// Largest congestion window in segments of the MSS. 0, as at first: none.
        44 => cwnd_limit: u32,
        /// IPv6 flow label, 20 bits.
        48 => flow_label: u32,
    }
}

layout! {
    /// Binds a memory area to a connection: the adapter places received payload in it until it is
    /// full. Several areas are filled in the order of binding. Without an area, payload goes into
    /// payload pages.
    ///
    /// The area is `length` bytes from `offset` of its first page on. An array in host memory has the
    /// DMA addresses of its pages, 8 bytes each, multiples of 4096. Area and array must stay in place
    /// until the adapter releases the area: with a `Placed` that has
    /// [`AREA_FULL`](super::completion::deliver_flag::AREA_FULL), or with `Returned`. One area more
    /// than [`AREAS`], or an invalid one, returns the connection.
    pub struct Bind: 64 {
        /// [`SubmissionOp::Bind`].
        0 => op: u8,
        /// Device identifier of the connection.
        4 => device_id: u32,
        /// Host identifier of the area, any value.
        8 => area: u32,
        /// Length of the area in bytes, at least 1.
        12 => length: u32,
        /// DMA address of the array of page addresses, a multiple of 8.
        16 => pages: u64,
        /// Offset of the area in its first page, below 4096.
        24 => offset: u32,
    }
}

flags! {
    /// Bits of [`Resync::flags`].
    pub mod resync_flag: u8 {
        /// The host's TCP has all payload before the `seq` of the `Resumed`, and no payload out of
        /// order. Otherwise the host has dropped, and drops, the payload that the adapter delivered
        /// after the `Resumed`.
        IN_STEP = 0,
    }
}

layout! {
    /// What the host's TCP had received when it processed a
    /// [`Resumed`](super::completion::Resumed). A `Resumed` that a later one follows need not be
    /// answered.
    pub struct Resync: 64 {
        /// [`SubmissionOp::Resync`].
        0 => op: u8,
        /// [`resync_flag`] bits.
        1 => flags: u8,
        /// Device identifier of the connection.
        4 => device_id: u32,
        /// First byte that the host's TCP has not received in order.
        8 => rcv_nxt: u32,
        /// `round` of the `Resumed`.
        12 => round: u32,
    }
}
