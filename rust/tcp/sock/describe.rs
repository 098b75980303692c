// SPDX-License-Identifier: GPL-2.0

//! The state of a connection for the adapter, and what prevents delegation.

use super::{
    route::Route,
    tcp::Tcp, //
};
use crate::{
    abi::connection::{
        flag,
        ConnectionState,
        SendState, //
    },
    bindings, //
};
use kernel::prelude::*;

/// A property of a socket that prevents delegation, in order of precedence: lasting ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The connection is not in state ESTABLISHED, is shut down, or has an error.
    NotEstablished,
    /// Another protocol owns the socket: a ULP, sockmap, SMC, MPTCP.
    Protocol,
    /// There is no route.
    NoRoute,
    /// The next hop's Ethernet address is not known.
    NoNeighbour,
    /// Segments are signed: TCP-MD5, TCP-AO.
    Signed,
    /// The congestion control is not cubic.
    CongestionControl,
    /// Accurate ECN was agreed.
    AccurateEcn,
    /// Something inspects or steers the frames: a socket filter, sockops, IPsec, netfilter, tc, XDP,
    /// a tap, RPS.
    Filter,
    /// Urgent data is pending.
    Urgent,
    /// An option that the adapter does not implement, or payload that is not in pages.
    Option,
    /// Data is being retransmitted. Transient.
    Recovery,
}

/// The congestion control that the adapter implements, as `tcp_congestion_ops` names it.
const CONGESTION_CONTROL: &[u8] = b"cubic\0";

impl Tcp<'_> {
    /// Describes the connection for a hand-over.
    ///
    /// # Errors
    ///
    /// The first obstacle.
    pub fn snapshot(&self) -> Result<ConnectionState, Obstacle> {
        if !self.is_usable() {
            return Err(Obstacle::NotEstablished);
        }
        if self.has_other_protocol() {
            return Err(Obstacle::Protocol);
        }
        let ifindex = self.with_device(|dev| dev.ifindex());
        let route = ifindex
            .and_then(|ifindex| self.route(ifindex))
            .ok_or(Obstacle::NoRoute)?;
        let remote_mac = route.next_hop().ok_or(Obstacle::NoNeighbour)?;
        // SAFETY: The socket is locked.
        if unsafe { bindings::tcp_is_signed(self.as_raw()) } {
            return Err(Obstacle::Signed);
        }
        if !self.has_known_congestion_control() {
            return Err(Obstacle::CongestionControl);
        }
        // SAFETY: The socket is locked.
        if unsafe { bindings::tcp_ecn_mode_accecn(self.as_raw()) } {
            return Err(Obstacle::AccurateEcn);
        }
        if self.has_filter() || route.has_xfrm() || route.is_inspected() || route.has_rps() {
            return Err(Obstacle::Filter);
        }
        // SAFETY: The socket is locked.
        if self.is_urgent() || unsafe { (*self.as_tcp()).urg_data } != 0 {
            return Err(Obstacle::Urgent);
        }
        if self.send_obstacle() || self.has_unknown_option() {
            return Err(Obstacle::Option);
        }
        if self.is_in_recovery() {
            return Err(Obstacle::Recovery);
        }
        Ok(self.describe(&route, remote_mac))
    }

    /// Whether a process has set a `SOL_SOCKET` option that only Linux implements: packet
    /// timestamps, pacing. Such options do not pass through the protocol's `setsockopt`.
    #[inline]
    pub fn send_obstacle(&self) -> bool {
        let sk = self.as_raw();
        // SAFETY: The socket is alive. Volatile, as READ_ONCE().
        let (timestamping, pacing, rate) = unsafe {
            (
                (&raw const (*sk).sk_tsflags).read_volatile(),
                (&raw const (*sk).sk_pacing_status).read_volatile(),
                (&raw const (*sk).sk_max_pacing_rate).read_volatile(),
            )
        };
        timestamping & bindings::SOF_TIMESTAMPING_TX_RECORD_MASK != 0
            || pacing != bindings::sk_pacing_SK_PACING_NONE
            || rate != c_ulong::MAX
    }

    fn is_usable(&self) -> bool {
        let sk = self.as_raw();
        self.is_established()
            // SAFETY: The socket is locked.
            && unsafe {
                (*sk).sk_shutdown == 0
                    && (*sk).sk_err == 0
                    && !bindings::sock_flag(sk, bindings::sock_flags_SOCK_DEAD)
            }
    }

    fn has_other_protocol(&self) -> bool {
        let sk = self.as_raw();
        // SAFETY: The socket is locked.
        unsafe {
            !(*self.as_tcp()).inet_conn.icsk_ulp_ops.is_null()
                || (*sk).__sk_common.skc_prot != (*sk).sk_prot_creator
                || bindings::sk_is_mptcp(sk)
        }
    }

    fn has_known_congestion_control(&self) -> bool {
        // SAFETY: The socket is locked; TCP always has a congestion control.
        let name = unsafe { (*(*self.as_tcp()).inet_conn.icsk_ca_ops).name };
        name.starts_with(CONGESTION_CONTROL)
    }

    fn has_filter(&self) -> bool {
        let sk = self.as_raw();
        // SAFETY: The socket is locked.
        unsafe { !(*sk).sk_filter.is_null() || bindings::tcp_has_sock_ops(sk) }
    }

    /// Whether anything is in use that the adapter does not implement, beyond
    /// [`Self::send_obstacle`].
    fn has_unknown_option(&self) -> bool {
        let (sk, tp) = (self.as_raw(), self.as_tcp());
        // SAFETY: The socket is locked.
        unsafe {
            let icsk = &raw const (*tp).inet_conn;
            bindings::tcp_sock::repair_raw(tp) != 0
                || !(*tp).fastopen_req.is_null()
                || !(*tp).fastopen_rsk.is_null()
                || bindings::tcp_has_ip_options(sk)
                || (*tp).tcp_tx_delay != 0
                || bindings::tcp_notsent_lowat(sk) != u32::MAX
                || bindings::inet_connection_sock__bindgen_ty_3::enabled_raw(
                    &raw const (*icsk).icsk_mtup,
                ) != 0
                || (*icsk).icsk_user_timeout != 0
                || bindings::tcp_has_linear_data(sk)
        }
    }

    fn describe(&self, route: &Route<'_>, remote_mac: [u8; 6]) -> ConnectionState {
        let (sk, tp) = (self.as_raw(), self.as_tcp());
        let mut state = ConnectionState {
            local_mac: route.local_mac(),
            remote_mac,
            ttl: route.hop_limit(),
            send: self.send_state(),
            ..ConnectionState::default()
        };
        self.describe_flags(&mut state);
        self.describe_addresses(&mut state);
        // SAFETY: The socket is locked.
        unsafe {
            use bindings::tcp_options_received as options;
            let rx_opt = &raw const (*tp).rx_opt;
            // CAST: Four bits each.
            state.snd_wscale = options::snd_wscale_raw(rx_opt) as u8;
            state.rcv_wscale = options::rcv_wscale_raw(rx_opt) as u8;
            state.ts_recent = (*rx_opt).ts_recent;
            // CAST: Limited by the size of a packet.
            state.mss = (*tp).mss_cache as u16;
            state.rcv_mss = (*tp).advmss;
            state.snd_wl1 = (*tp).snd_wl1;
            state.max_window = (*tp).max_window;
            state.rcv_nxt = (*tp).rcv_nxt;
            state.rcv_edge = state.rcv_nxt.wrapping_add(bindings::tcp_receive_window(sk));
            state.tsval = self.tsval(0);
            state.ts_tick_us = match bindings::tcp_sock::tcp_usec_ts_raw(tp) {
                0 => 1000,
                _ => 1,
            };
            state.reordering = (*tp).reordering;
            state.backoff = (*tp).inet_conn.icsk_backoff.into();
        }
        state
    }

    fn describe_flags(&self, state: &mut ConnectionState) {
        let (sk, tp) = (self.as_raw(), self.as_tcp());
        let (nodelay, cork) = self.nagle();
        state.set(flag::NODELAY, nodelay);
        state.set(flag::CORK, cork);
        // SAFETY: The socket is locked.
        unsafe {
            use bindings::tcp_options_received as options;
            let rx_opt = &raw const (*tp).rx_opt;
            state.set(flag::TIMESTAMPS, options::tstamp_ok_raw(rx_opt) != 0);
            state.set(flag::SACK, options::sack_ok_raw(rx_opt) != 0);
            state.set(flag::WINDOW_SCALE, options::wscale_ok_raw(rx_opt) != 0);
            state.set(flag::ECN, bindings::tcp_ecn_mode_rfc3168(sk));
            let echo = (*tp).ecn_flags & bindings::TCP_ECN_DEMAND_CWR;
            state.set(flag::ECN_ECHO, echo != 0);
            state.set(flag::OUT_OF_ORDER, bindings::tcp_has_out_of_order(sk));
        }
    }

    fn send_state(&self) -> SendState {
        let (sk, tp) = (self.as_raw(), self.as_tcp());
        // SAFETY: The socket is locked.
        unsafe {
            SendState {
                snd_una: (*tp).snd_una,
                snd_nxt: (*tp).snd_nxt,
                snd_wnd: (*tp).snd_wnd,
                cwnd: (*tp).snd_cwnd,
                ssthresh: match (*tp).snd_ssthresh {
                    bindings::TCP_INFINITE_SSTHRESH.. => u32::MAX,
                    segments => segments,
                },
                srtt_us: (*tp).srtt_us >> 3,
                rttvar_us: (*tp).rttvar_us >> 2,
                min_rtt_us: bindings::tcp_min_rtt(sk),
                rto_us: bindings::tcp_rto_us(sk),
                ..SendState::default()
            }
        }
    }

    fn describe_addresses(&self, state: &mut ConnectionState) {
        let (sk, tp) = (self.as_raw(), self.as_tcp());
        let ecn_mask = bindings::INET_ECN_MASK;
        // SAFETY: The socket is locked; its addresses do not change while it is connected. Volatile,
        // as READ_ONCE().
        unsafe {
            let inet = &raw const (*tp).inet_conn.icsk_inet;
            let (local, remote) = ((*inet).inet_saddr, bindings::inet_daddr(sk));
            state.local_address[..4].copy_from_slice(&local.to_ne_bytes());
            state.remote_address[..4].copy_from_slice(&remote.to_ne_bytes());
            state.local_port = bindings::inet_num(sk);
            state.remote_port = u16::from_be(bindings::inet_dport(sk));
            state.tos = (&raw const (*inet).tos).read_volatile() & !ecn_mask;

            #[cfg(CONFIG_IPV6)]
            if bindings::tcp_is_ipv6(sk) {
                let pinet6 = (*inet).pinet6;
                state.set(flag::IPV6, true);
                state.local_address = (*pinet6).saddr.in6_u.u6_addr8;
                state.remote_address = (*sk).__sk_common.skc_v6_daddr.in6_u.u6_addr8;
                state.flow_label = u32::from_be((*pinet6).flow_label) & FLOW_LABEL;
                state.tos = (*pinet6).tclass & !ecn_mask;
            }
        }
    }
}

/// The flow label's part of the first word of an IPv6 header.
#[cfg(CONFIG_IPV6)]
const FLOW_LABEL: u32 = 0x000f_ffff;
