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
    /// Smallest [`Connection::mss`] in bytes.
    pub const MIN_MSS: u16 = 64;
    /// Largest window scale shift (RFC 7323).
    pub const MAX_WSCALE: u8 = 14;
    /// Largest receive window: `rcv_edge - rcv_nxt`, in bytes.
    pub const MAX_RCV_WINDOW: u32 = 1 << 30;
    /// Largest send window ([`Connection::snd_wnd`]) in bytes.
    pub const MAX_SND_WINDOW: u32 = 65_535 << MAX_WSCALE;
    /// Largest amount of payload in flight at hand-over: `snd_nxt - snd_una`, in bytes.
    pub const MAX_FLIGHT: u32 = 1 << 30;
    /// Largest [`Connection::ts_tick_us`].
    pub const MAX_TS_TICK_US: u32 = 1_000_000;
}

flags! {
    /// Bits of [`Connection::flags`].
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
    }
}

layout! {
    /// State of a connection. "local" is the host's side. Windows are in bytes, scaled; times in
    /// microseconds.
    pub struct Connection: 192 {
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
        /// Largest payload of a segment sent, options already taken off.
        60 => mss: u16,
        /// Maximum segment size announced to the peer (`advmss`).
        62 => rcv_mss: u16,
        /// First byte not yet acknowledged by the peer.
        64 => snd_una: u32,
        /// First byte not yet sent.
        68 => snd_nxt: u32,
        /// Peer's window, from `snd_una`.
        72 => snd_wnd: u32,
        /// Sequence number of the segment that last updated `snd_wnd`.
        76 => snd_wl1: u32,
        /// Largest window that the peer has announced.
        80 => max_window: u32,
        /// First byte not yet received in order.
        84 => rcv_nxt: u32,
        /// Right edge of the window announced to the peer: the first byte that it may not send.
        88 => rcv_edge: u32,
        /// Timestamp to put into a segment sent at the moment of hand-over.
        92 => tsval: u32,
        /// Microseconds of one timestamp tick: 1000, or 1 with microsecond timestamps
        /// (`tcp_usec_ts`).
        96 => ts_tick_us: u32,
        /// Latest timestamp of the peer, to be echoed.
        100 => ts_recent: u32,
        /// Smoothed round-trip time, 0 when none was measured.
        104 => srtt_us: u32,
        /// Round-trip time variation (RFC 6298 RTTVAR).
        108 => rttvar_us: u32,
        /// Smallest round-trip time seen, `u32::MAX` when none was.
        112 => min_rtt_us: u32,
        /// Retransmission timeout in force.
        116 => rto_us: u32,
        /// Congestion window in segments of `mss`.
        120 => cwnd: u32,
        /// Slow start threshold in segments of `mss`, `u32::MAX` when not yet set.
        124 => ssthresh: u32,
        /// Highest degree of reordering seen, in segments.
        128 => reordering: u32,
        /// Consecutive retransmission timeouts without an acknowledgement.
        132 => backoff: u32,
        /// Segments received while delegated.
        136 => segs_in: u32,
        /// Segments sent while delegated.
        140 => segs_out: u32,
        /// Segments received that carried data.
        144 => data_segs_in: u32,
        /// Segments sent that carried data.
        148 => data_segs_out: u32,
        /// Segments retransmitted.
        152 => retransmits: u32,
        /// Segments known to have reached the peer.
        156 => delivered: u32,
        /// Bytes retransmitted.
        160 => bytes_retransmitted: u64,
        /// Segments received that held nothing new.
        168 => duplicates: u32,
        /// Segments received out of order and held.
        172 => out_of_order: u32,
    }
}
