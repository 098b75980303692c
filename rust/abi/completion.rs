// SPDX-License-Identifier: GPL-2.0

//! The completion ring: everything that a processor reports, in order.
//!
//! Entries are [`COMPLETION_ENTRY`](super::ring::COMPLETION_ENTRY) bytes; the first byte is the
//! [`CompletionOp`]. Data begins at `data_offset` of the first listed page and continues at the start
//! of each further one; each page but the last is filled to its end. A set bit of a release mask
//! returns a listed page to the host after this data.

use super::{
    connection::SendState,
    layout::layout,
    table::{
        constants,
        flags,
        wire_enum, //
    }, //
};

wire_enum! {
    /// Type of a completion. Values below 16 are received frames, by their class.
    pub enum CompletionOp: u8 {
        /// A frame that is not TCP, or that cannot be parsed.
        NotTcp = 1,
        /// A TCP frame up to the small-frame threshold, whole at the header location, when no other
        /// class applies.
        Small = 2,
        /// A TCP frame without payload.
        NoPayload = 3,
        /// The payload continues its flow at the expected sequence number.
        Reassembled = 4,
        /// The payload does not continue its flow.
        NotReassembled = 5,
        /// The frame ends its flow (FIN or RST).
        FlowEnds = 6,
        /// The frame starts a new flow, or restarts a flow whose expected sequence number was
        /// discarded.
        FlowBegins = 7,
        /// Pages are released without data: [`PagesReleased`].
        PagesReleased = 16,
        /// Answer to a hand-over: [`Delegated`].
        Delegated = 32,
        /// Payload of a delegated connection: [`Deliver`].
        Deliver = 33,
        /// State of the send side of a delegated connection: [`Acked`].
        Acked = 34,
        /// A delegated connection is returned: [`Returned`] and three entries of state.
        Returned = 35,
        /// Payload of a delegated connection in a bound memory area: [`Placed`].
        Placed = 36,
        /// The adapter delivers the payload of a delegated connection again: [`Resumed`].
        Resumed = 37,
    }
}

constants! {
    /// Number of entries of a `Returned`: header and connection state.
    pub const RETURNED_ENTRIES: usize = 4;

    /// Number of pages that an [`RxFrame`] can list.
    pub const FRAME_PAGES: usize = 6;
    /// Number of pages that a [`Deliver`] can list.
    pub const DELIVER_PAGES: usize = 10;
    /// Number of pages that a [`PagesReleased`] can list.
    pub const RELEASED_PAGES: usize = 14;

    /// "No page": header location of a continuation, or of a frame that is in data pages only.
    pub const NO_PAGE: u32 = u32::MAX;

    /// "No flow": the frame belongs to neither a flow nor a connection.
    pub const NO_FLOW: u32 = u32::MAX;
}

flags! {
    /// Bits of [`RxFrame::flags`].
    pub mod frame_flag: u8 {
        /// The IPv4 header checksum is correct.
        L3_CSUM_OK = 0,
        /// The TCP or UDP checksum is correct, or the frame never left the machine and needs none.
        L4_CSUM_OK = 1,
        /// A checksum is wrong. The frame is delivered nevertheless.
        CSUM_BAD = 2,
        /// An 802.1Q tag was stripped; `vlan_tci` has it.
        VLAN = 3,
        /// The frame belongs to a delegated connection, or to one that was just returned; `flow` is its
        /// host identifier. The host's TCP processes the frame (legacy frame).
        LEGACY = 4,
        /// The frame continues in the next completion, which has the same op and no header location.
        MORE = 5,
        /// `pages` has identifiers of the header page ring (an MTU page or a chain of pages) instead of
        /// the payload page ring.
        HEADER_RING = 6,
    }
}

wire_enum! {
    /// Fields that [`RxFrame::hash`] covers.
    pub enum HashType: u8 {
        /// None: there is no hash.
        None = 0,
        /// IP addresses.
        L3 = 1,
        /// IP addresses and ports.
        L4 = 2,
    }
}

layout! {
    /// A received frame: the bytes at the header location, followed by the data in `pages`. Either part
    /// may be missing.
    pub struct RxFrame: 64 {
        /// A [`CompletionOp`] below 16.
        0 => op: u8,
        /// [`frame_flag`] bits.
        1 => flags: u8,
        /// Number of entries of `pages` in use.
        2 => page_count: u8,
        /// A [`HashType`].
        3 => hash_type: u8,
        /// Flow identifier; with `LEGACY`, host identifier of the connection; else [`NO_FLOW`].
        4 => flow: u32,
        /// Toeplitz hash ([`super::rss`]).
        8 => hash: u32,
        /// Bit 0 releases the header page, bit `i + 1` releases `pages[i]`.
        12 => release: u16,
        /// With `VLAN`: 802.1Q tag control information.
        14 => vlan_tci: u16,
        /// Page with the headers or the whole frame: an identifier of the header page ring, or
        /// [`NO_PAGE`].
        16 => header_page: u32,
        /// Offset of the header location in `header_page`, in bytes.
        20 => header_offset: u16,
        /// Length of the header location in bytes.
        22 => header_length: u16,
        /// Offset of the data in `pages[0]`, in bytes.
        24 => data_offset: u16,
        /// If the frame represents several wire frames: payload bytes of each but the last, else 0.
        26 => gso_size: u16,
        /// Length of the data in `pages`, in bytes.
        28 => data_length: u32,
        /// Number of wire frames that the frame represents, at least 1.
        32 => segments: u16,
        /// Data pages: identifiers of the payload page ring unless [`frame_flag::HEADER_RING`].
        40 => pages: [u32; FRAME_PAGES],
    }
}

layout! {
    /// Pages that the adapter releases without further data.
    pub struct PagesReleased: 64 {
        /// [`CompletionOp::PagesReleased`].
        0 => op: u8,
        /// Ring of the identifiers: 0 for the header page ring, 1 for the payload page ring.
        1 => payload: u8,
        /// Number of entries of `pages` in use.
        2 => page_count: u8,
        /// Identifiers of the pages.
        8 => pages: [u32; RELEASED_PAGES],
    }
}

wire_enum! {
    /// Result of a hand-over. Unless it is `Ok`, the adapter keeps no state of the connection.
    pub enum HandoverStatus: u8 {
        /// The adapter carries the connection.
        Ok = 0,
        /// The adapter does not know yet which payload of this flow the host has received. The host may
        /// retry.
        Busy = 1,
        /// The connection table is full, or the processor is being stopped.
        TableFull = 2,
        /// A connection with the same addresses and ports is in the table.
        Exists = 3,
        /// Rules and hash assign the connection to another processor, or a rule drops its frames.
        WrongProcessor = 4,
        /// The state is inconsistent.
        BadState = 5,
        /// The state requires a function that the adapter does not have.
        Unsupported = 6,
    }
}

layout! {
    /// Answer to a hand-over.
    pub struct Delegated: 64 {
        /// [`CompletionOp::Delegated`].
        0 => op: u8,
        /// A [`HandoverStatus`].
        1 => status: u8,
        /// Host identifier of the connection.
        4 => host_id: u32,
        /// Device identifier of the connection; 0 unless `status` is `Ok`.
        8 => device_id: u32,
        /// End of the contiguous payload from the host's `rcv_nxt` on that was passed to the host before;
        /// 0 unless `status` is `Ok`.
        12 => rcv_nxt: u32,
    }
}

flags! {
    /// Bits of [`Deliver::flags`] and [`Placed::flags`].
    pub mod deliver_flag: u8 {
        /// The segment with the last byte had PSH set.
        PUSH = 0,
        /// The area is full and released to the host ([`Placed`] only).
        AREA_FULL = 1,
    }
}

layout! {
    /// Payload of a delegated connection, in order and without gaps, except for payload in legacy
    /// frames.
    pub struct Deliver: 64 {
        /// [`CompletionOp::Deliver`].
        0 => op: u8,
        /// [`deliver_flag`] bits.
        1 => flags: u8,
        /// Number of entries of `pages` in use.
        2 => page_count: u8,
        /// Host identifier of the connection.
        4 => host_id: u32,
        /// Sequence number of the first byte.
        8 => seq: u32,
        /// Bit `i` releases `pages[i]`.
        12 => release: u16,
        /// Offset of the payload in `pages[0]`, in bytes.
        14 => data_offset: u16,
        /// Length of the payload in bytes, at least 1.
        16 => data_length: u32,
        /// Latest timestamp of the peer (TS.Recent of RFC 7323); 0 without timestamps.
        20 => ts_recent: u32,
        /// Identifiers of payload pages.
        24 => pages: [u32; DELIVER_PAGES],
    }
}

layout! {
    /// Payload of a delegated connection, in order and without gaps, in a bound memory area
    /// ([`Bind`](super::submission::Bind)).
    pub struct Placed: 64 {
        /// [`CompletionOp::Placed`].
        0 => op: u8,
        /// [`deliver_flag`] bits.
        1 => flags: u8,
        /// Host identifier of the connection.
        4 => host_id: u32,
        /// Sequence number of the first byte.
        8 => seq: u32,
        /// Host identifier of the area.
        12 => area: u32,
        /// Length of the payload in bytes, at least 1.
        16 => data_length: u32,
        /// Latest timestamp of the peer (TS.Recent of RFC 7323); 0 without timestamps.
        20 => ts_recent: u32,
        /// Offset of the payload in the area, in bytes.
        24 => data_offset: u32,
    }
}

layout! {
    /// The send side of a delegated connection as it is now. Written when `snd_una`, the peer's
    /// window or an estimate that `TCP_INFO` shows has changed, at most once per batch; and when
    /// the peer answered a keepalive probe.
    pub struct Acked: 64 {
        /// [`CompletionOp::Acked`].
        0 => op: u8,
        /// Host identifier of the connection.
        4 => host_id: u32,
        /// The send side ([`SendState`]). Payload before `snd_una` is the host's again.
        8 => send: SendState,
    }
}

layout! {
    /// The payload of the legacy frames of a delegated connection is contiguous: the adapter begins to
    /// deliver payload again, provisionally. Payload from `seq` on follows in [`Deliver`]. The adapter
    /// does not acknowledge it before the host has answered with
    /// [`Resync`](super::submission::Resync).
    pub struct Resumed: 64 {
        /// [`CompletionOp::Resumed`].
        0 => op: u8,
        /// Host identifier of the connection.
        4 => host_id: u32,
        /// First byte that will be delivered: the end of the contiguous payload.
        8 => seq: u32,
        /// Number of this resumption, for the answer.
        12 => round: u32,
    }
}

wire_enum! {
    /// Reason for the return of a connection.
    pub enum Reason: u8 {
        /// Requested by the host.
        Host = 0,
        /// The peer sent FIN.
        Fin = 1,
        /// The peer sent RST.
        Reset = 2,
        /// The peer sent SYN. Not used by the adapter of this tree.
        Syn = 3,
        /// The peer sent urgent data.
        Urgent = 4,
        /// More out-of-order data than the adapter can hold.
        OutOfOrder = 5,
        /// A TCP option that the adapter does not support, an IP option, or a missing timestamp option.
        Option = 6,
        /// An IP fragment.
        Fragment = 7,
        /// The peer keeps probing a closed window, or a window that the host believes to be open.
        Window = 8,
        /// Too many consecutive retransmission timeouts.
        Timeout = 9,
        /// The host has posted no payload pages for too long.
        NoPages = 10,
        /// A submission was invalid in the state of the connection, or its memory was inaccessible.
        Submission = 11,
        /// The processor is being stopped.
        Stop = 12,
        /// A change of hash or rules assigns the connection to another processor.
        Moved = 13,
        /// The adapter needs the table entry (least active connections first). Not used by the
        /// adapter of this tree.
        Pressure = 14,
        /// The congestion-experienced mark, or an ECN flag, on a connection that has not negotiated
        /// ECN. Not used by the adapter of this tree.
        Ecn = 15,
        /// The peer retransmits payload of frames that were passed to the host and that the host has not
        /// confirmed: the host may have lost it.
        Gap = 16,
        /// More than 10,000 legacy frames and 10 seconds without a confirmation of the host.
        OutOfStep = 17,
    }
}

layout! {
    /// A delegated connection is returned to the host. Three entries with its
    /// [`ConnectionState`](super::connection::ConnectionState) follow, then `frames` received frames
    /// with [`frame_flag::LEGACY`]: segments that the adapter held out of order, and last the frame that
    /// caused the return, if any.
    ///
    /// No later completion has the host identifier, except those legacy frames. The adapter accesses
    /// none of the connection's memory after this completion.
    pub struct Returned: 64 {
        /// [`CompletionOp::Returned`].
        0 => op: u8,
        /// A [`Reason`].
        1 => reason: u8,
        /// Number of legacy frames that follow the state.
        2 => frames: u16,
        /// Host identifier of the connection.
        4 => host_id: u32,
        /// Partly filled payload page of the connection, which is released, or [`NO_PAGE`].
        8 => page: u32,
        /// Number of those frames that the adapter held out of order. It has answered them; the one that
        /// caused the return it has not.
        12 => held: u16,
    }
}
