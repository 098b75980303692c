/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C declaration of the TCP connection state that host and adapter exchange.
 * rust/abi/connection.rs defines and documents it; rust/tcp/state.rs checks that
 * the two agree.
 */
#ifndef _TOE_CONNECTION_H
#define _TOE_CONNECTION_H

#include <linux/types.h>

/* Bits of toe_connection.flags that C code uses. */
enum toe_connection_flag {
	TOE_CONNECTION_TIMESTAMPS	= 1 << 1,
	TOE_CONNECTION_ECN_ECHO		= 1 << 8,
	TOE_CONNECTION_CWR		= 1 << 14,
};

struct toe_send_state {
	u32 snd_una, snd_nxt, snd_wnd;
	u32 cwnd, ssthresh;
	u32 srtt_us, rttvar_us, min_rtt_us, rto_us;
	u32 retransmits, segs_out, segs_in, bytes_retransmitted, delivered;
};

struct toe_connection {
	u8 local_address[16], remote_address[16];
	u16 local_port, remote_port;
	u16 flags, vlan_tci;
	u8 local_mac[6], remote_mac[6];
	u32 flow_label;
	u8 tos, ttl, snd_wscale, rcv_wscale;
	u16 mss, rcv_mss;
	struct toe_send_state send;
	u32 snd_wl1, max_window, rcv_nxt, rcv_edge;
	u32 tsval, ts_tick_us, ts_recent;
	u32 reordering, backoff;
	u32 data_segs_in, data_segs_out, duplicates, out_of_order, unanswered_us, delivered_ce;
};

#endif
