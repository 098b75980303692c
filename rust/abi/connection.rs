// SPDX-License-Identifier: GPL-2.0

//! The state of a TCP connection as it crosses the boundary, the same in both directions.
//!
//! At hand-over the host describes the connection as its own TCP left it; at return the adapter
//! describes it as its TCP left it. Names are those of RFC 9293 and of `struct tcp_sock`.

use super::{
    layout::layout,
    table::{
        constants,
        flags, //
    }, //
};

constants! {
    /// Smallest [`ConnectionState::mss`] in bytes.
    pub const MIN_MSS: u16 = 64;
    /// Largest window scale shift (RFC 7323).
    pub const MAX_WSCALE: u8 = 14;
    /// Largest receive window: `rcv_edge - rcv_nxt`, in bytes.
    pub const MAX_RCV_WINDOW: u32 = 1 << 30;
    /// Largest send window ([`ConnectionState::snd_wnd`]) in bytes.
    pub const MAX_SND_WINDOW: u32 = 65_535 << MAX_WSCALE;
    /// Largest amount of unacknowledged payload in bytes: `snd_nxt - snd_una` at hand-over, and
    /// payload that has been submitted and not acknowledged.
    pub const MAX_FLIGHT: u32 = 1 << 30;
    /// Largest [`ConnectionState::ts_tick_us`].
    pub const MAX_TS_TICK_US: u32 = 1_000_000;
}

flags! {
    /// Bits of [`ConnectionState::flags`].
    pub mod flag: u16 {
        /// Addresses are IPv6; else IPv4, in the first four bytes.
        IPV6 = 0,
        /// Timestamps were negotiated (RFC 7323).
        TIMESTAMPS = 1,
        /// Selective acknowledgements were negotiated (RFC 2018).
        SACK = 2,
        /// Window scaling was negotiated (RFC 7323).
        WINDOW_SCALE = 3,
        /// ECN was negotiated (RFC 3168).
        ECN = 4,
        /// Frames carry an 802.1Q tag.
        VLAN = 5,
        /// Nagle's algorithm is disabled (`TCP_NODELAY`).
        NODELAY = 6,
        /// Only full segments are sent (`TCP_CORK`).
        CORK = 7,
        /// With `ECN`: a congestion-experienced mark was received that the peer has not answered with
        /// CWR yet.
        ECN_ECHO = 8,
        /// The host's TCP holds payload out of order. Only at hand-over.
        OUT_OF_ORDER = 9,
        /// Payload submitted so far is sent in spite of `CORK` and Nagle's algorithm. Only in an
        /// [`Update`](super::super::submission::Update).
        PUSH = 10,
        /// IPv4 routers may fragment the packets: their don't-fragment bit is clear.
        FRAGMENT = 11,
        /// The congestion window is kept while nothing is sent (`tcp_slow_start_after_idle` 0).
        KEEP_CWND = 12,
        /// [`Acked`](super::super::completion::Acked) also reports that `snd_nxt` has advanced.
        REPORT_SENT = 13,
        /// With `ECN`: the congestion window was reduced, and CWR has not been sent yet.
        CWR = 14,
    }
}

impl ConnectionState {
    /// Whether all of `flags` ([`flag`] bits) are set.
    #[inline]
    pub const fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// Sets or clears `flags` ([`flag`] bits).
    #[inline]
    pub fn set(&mut self, flags: u16, set: bool) {
        if set {
            self.flags |= flags;
        } else {
            self.flags &= !flags;
        }
    }
}

layout! {
    /// The send side of a connection: what [`Acked`](super::completion::Acked) reports while the
    /// adapter carries it, and [`ConnectionState`] at hand-over and return. Counters start at 0 at the
    /// hand-over and wrap.
    pub struct SendState: 56 {
        /// First byte not yet acknowledged by the peer.
        0 => snd_una: u32,
        /// First byte not yet sent.
        4 => snd_nxt: u32,
        /// Peer's window in bytes, from `snd_una`.
        8 => snd_wnd: u32,
        /// Congestion window in segments of the MSS.
        12 => cwnd: u32,
        /// Slow start threshold in segments of the MSS, `u32::MAX` when not yet set.
        16 => ssthresh: u32,
        /// Smoothed round-trip time in microseconds, 0 when none was measured.
        20 => srtt_us: u32,
        /// Round-trip time variation in microseconds (RFC 6298 RTTVAR).
        24 => rttvar_us: u32,
        /// Smallest round-trip time seen in microseconds, `u32::MAX` when none was.
        28 => min_rtt_us: u32,
        /// Retransmission timeout in force, in microseconds.
        32 => rto_us: u32,
        /// Segments retransmitted.
        36 => retransmits: u32,
        /// Segments sent.
        40 => segs_out: u32,
        /// Segments received.
        44 => segs_in: u32,
        /// Bytes retransmitted.
        48 => bytes_retransmitted: u32,
        /// Segments known to have reached the peer.
        52 => delivered: u32,
    }
}

layout! {
    /// State of a connection. "local" is the host's side. Windows are in bytes, scaled; times in
    /// microseconds. Counters start at 0 at the hand-over and wrap.
    pub struct ConnectionState: 192 {
        /// Local IP address, wire order.
        0 => local_address: [u8; 16],
        /// Remote IP address, wire order.
        16 => remote_address: [u8; 16],
        /// Local port, as a number.
        32 => local_port: u16,
        /// Remote port, as a number.
        34 => remote_port: u16,
        /// [`flag`] bits.
        36 => flags: u16,
        /// 802.1Q tag control information.
        38 => vlan_tci: u16,
        /// Local MAC address.
        40 => local_mac: [u8; 6],
        /// MAC address of the next hop.
        46 => remote_mac: [u8; 6],
        /// IPv6 flow label, 20 bits.
        52 => flow_label: u32,
        /// Type of service or traffic class, without the ECN bits.
        56 => tos: u8,
        /// Time to live or hop limit.
        57 => ttl: u8,
        /// Shift of the windows that the peer announces.
        58 => snd_wscale: u8,
        /// Shift of the windows announced to the peer.
        59 => rcv_wscale: u8,
        /// Largest payload of a segment sent (MSS), options already taken off.
        60 => mss: u16,
        /// Maximum segment size announced to the peer (`advmss`).
        62 => rcv_mss: u16,
        /// The send side ([`SendState`]).
        64 => send: SendState,
        /// Sequence number of the segment that last updated `send.snd_wnd`.
        120 => snd_wl1: u32,
        /// Largest window that the peer has announced.
        124 => max_window: u32,
        /// First byte not yet received in order.
        128 => rcv_nxt: u32,
        /// Right edge of the window announced to the peer: the first byte that it may not send.
        132 => rcv_edge: u32,
        /// Timestamp to put into a segment sent at the moment of hand-over.
        136 => tsval: u32,
        /// Microseconds of one timestamp tick: 1000, or 1 with microsecond timestamps
        /// (`tcp_usec_ts`).
        140 => ts_tick_us: u32,
        /// Latest timestamp of the peer, to be echoed; counts only with [`flag::TIMESTAMPS`].
        144 => ts_recent: u32,
        /// Highest degree of reordering seen, in segments.
        148 => reordering: u32,
        /// Consecutive retransmission timeouts without an acknowledgement.
        152 => backoff: u32,
        /// Segments received that carried data.
        156 => data_segs_in: u32,
        /// Segments sent that carried data.
        160 => data_segs_out: u32,
        /// Segments received that held nothing new.
        164 => duplicates: u32,
        /// Segments received out of order and held.
        168 => out_of_order: u32,
        /// Time since the first retransmission of what is not acknowledged, or since the first probe
        /// of the closed window; 0 if there was none. Only at return.
        172 => unanswered_us: u32,
        /// Segments known to have reached the peer by acknowledgements with ECE.
        176 => delivered_ce: u32,
    }
}
