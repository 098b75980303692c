// SPDX-License-Identifier: GPL-2.0

//! The completion ring: everything that a processor tells the host, in one order.
//!
//! Entries are [`COMPLETION_ENTRY`](super::ring::COMPLETION_ENTRY) bytes; the first byte is the
//! [`Op`]. Data lies at `data_offset` in the first listed payload page and runs on from the start
//! of each further one, each filled to its end before the next is begun. Bit `i` of a release mask
//! gives the `i`-th listed page back to the host after this data.

use super::layout::{
    layout,
    wire_enum, //
};

wire_enum! {
    /// What a completion says. Values below 16 are received frames, classified (R1.3).
    pub enum Op: u8 {
        /// A frame that is not TCP, or that the parser does not understand.
        NotTcp = 1,
        /// A TCP frame up to the small-frame threshold, whole in the header location.
        Small = 2,
        /// A TCP frame without payload.
        NoPayload = 3,
        /// The frame's payload continues its flow where the flow was expected to continue.
        Reassembled = 4,
        /// The frame has payload that cannot be re-assembled.
        NotReassembled = 5,
        /// The frame ends its flow (FIN or RST).
        FlowEnds = 6,
        /// The frame begins its flow anew: a new flow, or one whose expected sequence number was
        /// given up.
        FlowBegins = 7,
        /// Pages come back without data: [`PagesReleased`].
        PagesReleased = 16,
        /// Answer to a hand-over: [`Delegated`].
        Delegated = 32,
        /// Payload of a delegated connection: [`Deliver`].
        Deliver = 33,
        /// Progress of a delegated connection's send side: [`Acked`].
        Acked = 34,
        /// A delegated connection is back: [`Returned`] and three entries of state.
        Returned = 35,
        /// Payload of a delegated connection in memory of the application: [`Placed`].
        Placed = 36,
    }
}

/// Number of entries that a `Returned` takes: its header and the connection's state.
pub const RETURNED_ENTRIES: usize = 4;

/// Payload pages that one [`RxFrame`] can list.
pub const FRAME_PAGES: usize = 6;
/// Payload pages that one [`Deliver`] can list.
pub const DELIVER_PAGES: usize = 10;
/// Pages that one [`PagesReleased`] can list.
pub const RELEASED_PAGES: usize = 14;

/// "No page": the header location of a continuation, or a frame without payload pages.
pub const NO_PAGE: u32 = u32::MAX;

/// "No flow": the frame belongs to neither a flow nor a connection.
pub const NO_FLOW: u32 = u32::MAX;

/// Bits of [`RxFrame::flags`].
pub mod frame_flag {
    /// The IPv4 header checksum is right.
    pub const L3_CSUM_OK: u8 = 1 << 0;
    /// The TCP or UDP checksum is right, or the frame never left a machine and needs none.
    pub const L4_CSUM_OK: u8 = 1 << 1;
    /// A checksum is wrong. The frame is delivered all the same.
    pub const CSUM_BAD: u8 = 1 << 2;
    /// An 802.1Q tag was stripped into `vlan_tci`.
    pub const VLAN: u8 = 1 << 3;
    /// `flow` is the host identifier of a delegated connection, and the frame is the special case
    /// which the host's own TCP has to deal with (legacy frame).
    pub const LEGACY: u8 = 1 << 4;
    /// The frame goes on in the next completion, which has the same op and no header location.
    pub const MORE: u8 = 1 << 5;
    /// Data pages are named by identifiers of the header page ring (an MTU page or a chain), not of
    /// the payload ring.
    pub const HEADER_RING: u8 = 1 << 6;
}

wire_enum! {
    /// What [`RxFrame::hash`] was computed over.
    pub enum HashType: u8 {
        /// Nothing: there is no hash.
        None = 0,
        /// IP addresses.
        L3 = 1,
        /// IP addresses and ports.
        L4 = 2,
    }
}

layout! {
    /// A received frame. With a header location and pages, the frame is the header followed by the
    /// data.
    pub struct RxFrame: 64 {
        /// One of the ops below 16.
        0 => op: u8,
        /// [`frame_flag`] bits.
        1 => flags: u8,
        /// Number of entries of `pages` in use.
        2 => page_count: u8,
        /// A [`HashType`].
        3 => hash_type: u8,
        /// Flow identifier, or host identifier of a connection; [`NO_FLOW`] when there is neither.
        4 => flow: u32,
        /// Toeplitz hash ([`super::rss`]).
        8 => hash: u32,
        /// Bit 0 releases the header page, bit `i + 1` releases `pages[i]`.
        12 => release: u16,
        /// Tag control information of a stripped 802.1Q tag.
        14 => vlan_tci: u16,
        /// Page that holds headers, or the whole frame: an identifier of the header page ring, or
        /// [`NO_PAGE`].
        16 => header_page: u32,
        /// Where in it.
        20 => header_offset: u16,
        /// How many bytes of it.
        22 => header_length: u16,
        /// Where in `pages[0]` data begins.
        24 => data_offset: u16,
        /// With several wire frames in one: payload bytes of each but the last. Else 0.
        26 => gso_size: u16,
        /// Bytes of data in `pages`.
        28 => data_length: u32,
        /// Number of wire frames in this one.
        32 => segments: u16,
        /// Pages of data: identifiers of the payload ring unless [`frame_flag::HEADER_RING`].
        40 => pages: [u32; 6],
    }
}

layout! {
    /// Pages that the adapter gives back without having placed (further) data in them.
    pub struct PagesReleased: 64 {
        /// [`Op::PagesReleased`].
        0 => op: u8,
        /// 0: identifiers of the header page ring, 1: of the payload page ring.
        1 => payload: u8,
        /// Number of entries of `pages` in use.
        2 => page_count: u8,
        /// The pages.
        8 => pages: [u32; 14],
    }
}

wire_enum! {
    /// Outcome of a hand-over. Anything but `Ok` leaves the adapter without any trace of the
    /// connection.
    pub enum Status: u8 {
        /// The adapter carries the connection.
        Ok = 0,
        /// The adapter cannot tell yet what the host has received of this flow. Try again.
        Busy = 1,
        /// The connection table is full.
        TableFull = 2,
        /// The connection is in the table already.
        Exists = 3,
        /// The hash assigns the connection to another processor.
        WrongProcessor = 4,
        /// The state contradicts itself.
        BadState = 5,
        /// The state asks for something that the adapter does not do.
        Unsupported = 6,
    }
}

layout! {
    /// Answer to a hand-over.
    pub struct Delegated: 64 {
        /// [`Op::Delegated`].
        0 => op: u8,
        /// A [`Status`].
        1 => status: u8,
        /// The host's identifier.
        4 => host_id: u32,
        /// The adapter's identifier; counts only with `Status::Ok`.
        8 => device_id: u32,
        /// Sequence number of the first byte that will be delivered; counts only with `Status::Ok`.
        12 => rcv_nxt: u32,
    }
}

/// Bits of [`Deliver::flags`] and [`Placed::flags`].
pub mod deliver_flag {
    /// The peer set PSH on the last byte.
    pub const PUSH: u8 = 1 << 0;
    /// The area is full, and the host's again.
    pub const AREA_FULL: u8 = 1 << 1;
}

layout! {
    /// Payload of a delegated connection, in order and without gaps.
    pub struct Deliver: 64 {
        /// [`Op::Deliver`].
        0 => op: u8,
        /// [`deliver_flag`] bits.
        1 => flags: u8,
        /// Number of entries of `pages` in use.
        2 => page_count: u8,
        /// The host's identifier of the connection.
        4 => host_id: u32,
        /// Sequence number of the first byte.
        8 => seq: u32,
        /// Bit `i` releases `pages[i]`.
        12 => release: u16,
        /// Where in `pages[0]` the payload begins.
        14 => data_offset: u16,
        /// Bytes of payload.
        16 => data_length: u32,
        /// Latest timestamp of the peer (`ts_recent`).
        20 => ts_recent: u32,
        /// Payload pages.
        24 => pages: [u32; 10],
    }
}

layout! {
    /// Payload of a delegated connection, in order and without gaps, in an area that was bound to it
    /// ([`Bind`](super::submission::Bind)).
    pub struct Placed: 64 {
        /// [`Op::Placed`].
        0 => op: u8,
        /// [`deliver_flag`] bits.
        1 => flags: u8,
        /// The host's identifier of the connection.
        4 => host_id: u32,
        /// Sequence number of the first byte.
        8 => seq: u32,
        /// The host's identifier of the area.
        12 => area: u32,
        /// Bytes of payload.
        16 => data_length: u32,
        /// Latest timestamp of the peer (`ts_recent`).
        20 => ts_recent: u32,
        /// Where in the area the payload begins, in bytes.
        24 => data_offset: u32,
    }
}

layout! {
    /// The send side of a delegated connection as it is now. Written when `snd_una`, the peer's
    /// window or an estimate that `TCP_INFO` shows has changed, at most once per batch; and when
    /// the peer answered a keepalive probe.
    pub struct Acked: 64 {
        /// [`Op::Acked`].
        0 => op: u8,
        /// The host's identifier of the connection.
        4 => host_id: u32,
        /// First byte not acknowledged: payload before it is the host's again.
        8 => snd_una: u32,
        /// First byte not yet sent.
        12 => snd_nxt: u32,
        /// Peer's window in bytes.
        16 => snd_wnd: u32,
        /// Congestion window in segments.
        20 => cwnd: u32,
        /// Slow start threshold in segments.
        24 => ssthresh: u32,
        /// Smoothed round-trip time in microseconds.
        28 => srtt_us: u32,
        /// Round-trip time variation in microseconds.
        32 => rttvar_us: u32,
        /// Smallest round-trip time in microseconds.
        36 => min_rtt_us: u32,
        /// Retransmission timeout in microseconds.
        40 => rto_us: u32,
        /// Segments retransmitted while delegated.
        44 => retransmits: u32,
        /// Segments sent while delegated.
        48 => segs_out: u32,
        /// Segments received while delegated.
        52 => segs_in: u32,
        /// Bytes retransmitted while delegated, modulo 2^32.
        56 => bytes_retransmitted: u32,
        /// Segments known to have reached the peer, while delegated.
        60 => delivered: u32,
    }
}

wire_enum! {
    /// Why a connection came back.
    pub enum Reason: u8 {
        /// The host asked.
        Host = 0,
        /// The peer sent FIN.
        Fin = 1,
        /// The peer sent RST.
        Reset = 2,
        /// The peer sent SYN.
        Syn = 3,
        /// The peer sent urgent data.
        Urgent = 4,
        /// More out-of-order data than the adapter holds.
        OutOfOrder = 5,
        /// A TCP or IP option that the adapter does not know.
        Option = 6,
        /// An IP fragment.
        Fragment = 7,
        /// The peer goes on probing a window that the host keeps closed, or believes to have opened.
        Window = 8,
        /// Too many retransmission timeouts in a row.
        Timeout = 9,
        /// The host has posted no pages for too long.
        NoPages = 10,
        /// A submission contradicted the connection's state, or memory it named could not be read.
        Submission = 11,
        /// The processor is being stopped.
        Stop = 12,
        /// A hash or filter change assigns the connection elsewhere.
        Moved = 13,
        /// The adapter needs the room (table pressure, lowest activity first).
        Pressure = 14,
        /// The congestion-experienced mark, or an ECN flag, on a connection that has not agreed to
        /// ECN as needed.
        Ecn = 15,
        /// The peer repeats what was uploaded before the hand-over and the host has not
        /// acknowledged: the host may never have seen it.
        Gap = 16,
    }
}

layout! {
    /// A delegated connection is the host's again; three entries with its
    /// [`Connection`](super::connection::Connection) follow. When a frame was the cause, it follows
    /// as an ordinary frame with [`frame_flag::LEGACY`], after any segments that the adapter held
    /// out of order.
    ///
    /// This is the last completion that names the host identifier. The adapter reads none of the
    /// connection's memory after it.
    pub struct Returned: 64 {
        /// [`Op::Returned`].
        0 => op: u8,
        /// A [`Reason`].
        1 => reason: u8,
        /// Number of legacy frames that follow.
        2 => frames: u16,
        /// The host's identifier of the connection.
        4 => host_id: u32,
        /// A payload page that held undelivered room of this connection and is released, or
        /// [`NO_PAGE`].
        8 => page: u32,
    }
}
