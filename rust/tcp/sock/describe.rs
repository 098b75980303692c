// SPDX-License-Identifier: GPL-2.0

//! The state of a connection for the adapter.

use super::{
    obstacle::Obstacle,
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

impl Tcp<'_> {
    /// Describes the connection for a hand-over.
    ///
    /// # Errors
    ///
    /// The first obstacle. Lasting ones come first.
    pub fn snapshot(&self) -> Result<ConnectionState, Obstacle> {
        self.may_be_handed_over()?;
        let ifindex = self.with_device(|dev| dev.ifindex());
        let ifindex = ifindex.ok_or(Obstacle::NoRoute)?;
        let (remote_mac, _) = self.next_hop(ifindex)?;
        if self.is_in_recovery() {
            return Err(Obstacle::Recovery);
        }
        let route = self.route(ifindex).ok_or(Obstacle::NoRoute)?;
        Ok(self.describe(&route, remote_mac))
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
        state.set(self.nagle() & (flag::NODELAY | flag::CORK), true);
        // SAFETY: The socket is locked.
        unsafe {
            use bindings::tcp_options_received as options;
            let rx_opt = &raw const (*tp).rx_opt;
            state.set(flag::TIMESTAMPS, options::tstamp_ok_raw(rx_opt) != 0);
            state.set(flag::SACK, options::sack_ok_raw(rx_opt) != 0);
            state.set(flag::WINDOW_SCALE, options::wscale_ok_raw(rx_opt) != 0);
            if bindings::tcp_ecn_mode_rfc3168(sk) {
                let pending = |bit| (*tp).ecn_flags & bit != 0;
                state.set(flag::ECN, true);
                state.set(flag::ECN_ECHO, pending(bindings::TCP_ECN_DEMAND_CWR));
                state.set(flag::CWR, pending(bindings::TCP_ECN_QUEUE_CWR));
            }
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
                state.flow_label = bindings::tcp_flow_label(sk);
                state.tos = (*pinet6).tclass & !ecn_mask;
            }
        }
    }
}
