/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C shims for sockets and TCP: what the shadow socket needs of inline functions,
 * of structures that Rust does not see into, and of queue surgery that Linux
 * does not export.
 *
 * "Locked" means that the caller owns the socket (lock_sock), or holds its
 * spinlock with bottom halves off while nobody owns it.
 */
#ifndef _TOE_TCP_HELPERS_H
#define _TOE_TCP_HELPERS_H

#include <linux/types.h>
#include <net/sock.h>
#include <net/tcp.h>

/* rust/helpers/calls.c */

/* Of sendmsg(): nothing was done, Linux is to carry the call out. */
#define TOE_CALL_LINUX INT_MIN

/* What is done before Linux carries a call out. */
struct toe_first_calls {
	int (*sendmsg)(struct sock *sk, struct msghdr *msg, size_t size);
	void (*close)(struct sock *sk, long timeout);
};

int toe_helper_calls_enter(void);
void toe_helper_calls_leave(int index);
void toe_helper_calls_drain(void);
void toe_helper_calls_begin(const struct toe_first_calls *first);
int toe_helper_call_sendmsg(struct sock *sk, struct msghdr *msg, size_t size);
void toe_helper_call_close(struct sock *sk, long timeout);

/* rust/helpers/sock.c */

void toe_helper_sock_hold(struct sock *sk);
void toe_helper_sock_put(struct sock *sk);
bool toe_helper_sock_hold_live(struct sock *sk);
void toe_helper_lock_sock(struct sock *sk);
void toe_helper_bh_lock_sock(struct sock *sk);
void toe_helper_bh_unlock_sock(struct sock *sk);
bool toe_helper_sock_owned_by_user(struct sock *sk);
void toe_helper_sk_flush_backlog(struct sock *sk);
u64 toe_helper_sock_cookie(const struct sock *sk);
u32 toe_helper_sock_uid(const struct sock *sk);
struct net *toe_helper_sock_net(const struct sock *sk);
int toe_helper_sock_ifindex(const struct sock *sk);
u32 toe_helper_sock_hash(const struct sock *sk);
struct sock *toe_helper_tcp_lookup(struct net *net, bool ipv6, const u8 *local, u16 local_port,
				   const u8 *remote, u16 remote_port, int ifindex);
struct sk_buff *toe_helper_alloc_backlog_marker(unsigned int kind, bool atomic);
void toe_helper_backlog_marker_add(struct sock *sk, struct sk_buff *skb);
int toe_helper_backlog_marker_kind(const struct sk_buff *skb);
struct sock *toe_helper_skb_tcp_sender(const struct sk_buff *skb);
long toe_helper_sock_sndtimeo(const struct sock *sk, bool noblock);
size_t toe_helper_msg_data_left(const struct msghdr *msg);
bool toe_helper_msg_zerocopy_start(struct sock *sk, struct msghdr *msg, size_t size);
void toe_helper_msg_zerocopy_end(struct msghdr *msg, bool sent);

/* rust/helpers/sysctl.c */

int toe_helper_sysctl_register(void);
void toe_helper_sysctl_unregister(void);
int toe_helper_sysctl_enable(const struct net *net);
unsigned long toe_helper_sysctl_min_bytes(const struct net *net);

/* rust/helpers/watch.c */

int toe_helper_watch_register(void (*changed)(void));
void toe_helper_watch_unregister(void);
/* Of this module's own settings. */
void toe_watch_changed(void);

/* rust/helpers/tcp_state.c */

/* Why a connection cannot be delegated, found in the socket itself. */
enum toe_tcp_obstacle {
	TOE_TCP_NOT_ESTABLISHED		= 1 << 0,
	TOE_TCP_ULP			= 1 << 1,
	TOE_TCP_PROTOCOL		= 1 << 2,	/* sockmap, SMC, MPTCP */
	TOE_TCP_SIGNATURE		= 1 << 3,	/* MD5, AO */
	TOE_TCP_URGENT			= 1 << 4,
	TOE_TCP_REPAIR			= 1 << 5,
	TOE_TCP_FASTOPEN		= 1 << 6,
	TOE_TCP_IP_OPTIONS		= 1 << 7,
	TOE_TCP_FILTER			= 1 << 8,	/* socket filter, sockops */
	TOE_TCP_PACING			= 1 << 9,
	TOE_TCP_CONGESTION		= 1 << 10,	/* not cubic */
	TOE_TCP_NOTSENT_LOWAT		= 1 << 11,
	TOE_TCP_XFRM			= 1 << 12,
	TOE_TCP_MTU_PROBE		= 1 << 13,
	TOE_TCP_TIMESTAMPING		= 1 << 14,	/* transmit time stamps */
	TOE_TCP_USER_TIMEOUT		= 1 << 15,
	TOE_TCP_ACCECN			= 1 << 16,
	TOE_TCP_NO_ROUTE		= 1 << 17,
	TOE_TCP_NO_NEIGHBOUR		= 1 << 18,
	TOE_TCP_LINEAR_DATA		= 1 << 19,	/* payload that is not in pages */
	TOE_TCP_STEERING		= 1 << 20,	/* RPS would break the order */
	TOE_TCP_INSPECTED		= 1 << 21,	/* netfilter, tc, XDP, taps */
	/* From here on: of the moment, worth another try. */
	TOE_TCP_RECOVERY		= 1 << 24,
	TOE_TCP_OUT_OF_ORDER		= 1 << 25,
};

/* What stands against going on with a delegated connection. */
enum toe_tcp_change {
	TOE_TCP_CHANGE_ADDRESS		= 1 << 0,	/* the local one is not ours now */
	TOE_TCP_CHANGE_ROUTE		= 1 << 1,
	TOE_TCP_CHANGE_NEIGHBOUR	= 1 << 2,
	TOE_TCP_CHANGE_FILTER		= 1 << 3,
};

/* State of a connection. Times in microseconds, windows in bytes. */
struct toe_tcp_state {
	u8 local_address[16], remote_address[16];
	u16 local_port, remote_port;
	bool ipv6, timestamps, sack, window_scale, ecn, nodelay, cork, ecn_echo;
	u8 local_mac[6], remote_mac[6];
	u32 flow_label;
	u8 tos, ttl, snd_wscale, rcv_wscale;
	u16 mss, rcv_mss;
	u32 snd_una, snd_nxt, write_seq, snd_wnd, snd_wl1, max_window;
	u32 rcv_nxt, rcv_edge;
	u32 tsval, ts_tick_us, ts_recent;
	u32 srtt_us, rttvar_us, min_rtt_us, rto_us;
	u32 cwnd, ssthresh, reordering, backoff;
};

/* What the adapter reports about the send side. Counters are increments. */
struct toe_tcp_progress {
	u32 snd_una, snd_nxt, snd_wnd, cwnd, ssthresh;
	u32 srtt_us, rttvar_us, min_rtt_us, rto_us;
	u32 retransmits, segs_out, segs_in, bytes_retransmitted, bytes_sent, delivered;
};

/* What the adapter reports only when a connection returns. Increments. */
struct toe_tcp_return {
	u32 snd_nxt, snd_wl1, max_window, ts_recent, backoff, reordering;
	u32 data_segs_in, data_segs_out, duplicates, out_of_order;
	bool ecn_echo, has_ts_recent;
};

struct net_device *toe_helper_tcp_device(struct sock *sk);
void toe_helper_tcp_device_put(struct net_device *dev);
u32 toe_helper_tcp_snapshot(struct sock *sk, struct toe_tcp_state *state);
u32 toe_helper_tcp_obstacles(struct sock *sk);
bool toe_helper_tcp_route_valid(struct sock *sk, int ifindex);
u32 toe_helper_tcp_changes(struct sock *sk, int ifindex, u8 *remote_mac);
bool toe_helper_tcp_send_obstacle(const struct sock *sk);
void toe_helper_tcp_set_shadow(struct sock *sk);
u32 toe_helper_tcp_write_seq(const struct sock *sk);
u64 toe_helper_tcp_bytes(const struct sock *sk);
u32 toe_helper_tcp_rcv_nxt(const struct sock *sk);
u16 toe_helper_tcp_nagle(const struct sock *sk);
u32 toe_helper_tcp_mss(const struct sock *sk);
bool toe_helper_tcp_is_urgent(const struct sock *sk);
void *toe_helper_tcp_ulp_data(const struct sock *sk, const struct tcp_ulp_ops *ops);
bool toe_helper_tcp_has_ulp(const struct sock *sk);
struct proto *toe_helper_sock_creator(const struct sock *sk);
bool toe_helper_sock_is_inet6(const struct sock *sk);
u32 toe_helper_tcp_snd_una(const struct sock *sk);
bool toe_helper_sock_established(const struct sock *sk);

/* rust/helpers/tcp_attach.c */

int toe_helper_tcp_attach(struct sock *sk, const struct tcp_ulp_ops *ops, void *data,
			  struct proto *proto,
			  int (*backlog_rcv)(struct sock *sk, struct sk_buff *skb));
void toe_helper_tcp_detach(struct sock *sk);
struct file *toe_helper_sock_file(struct sock *sk);

/* rust/helpers/tcp_send.c */


int toe_helper_tcp_sendmsg_shadow(struct sock *sk, struct msghdr *msg, size_t size);
void toe_helper_tcp_entail(struct sock *sk);
int toe_helper_tcp_fragments(struct sock *sk, u32 seq, skb_frag_t *out, int max);
void toe_helper_tcp_acked(struct sock *sk, const struct toe_tcp_progress *progress);
void toe_helper_tcp_forget_losses(struct sock *sk);
void toe_helper_tcp_unsend(struct sock *sk, u32 snd_nxt);
void toe_helper_tcp_returned(struct sock *sk, const struct toe_tcp_return *state);
void toe_helper_tcp_resume(struct sock *sk);

/* rust/helpers/tcp_receive.c */

int toe_helper_tcp_deliver(struct sock *sk, struct sk_buff *skb);
bool toe_helper_tcp_legacy_ok(struct sock *sk, struct sk_buff *skb);
void toe_helper_tcp_deliver_prepare(struct sk_buff *skb, u32 seq, u32 ts_recent, bool push);

#endif
