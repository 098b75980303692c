/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C shims for sockets and TCP: inline functions, macros, structures that Rust cannot
 * access, and operations on TCP's queues that Linux does not export. If a shim does
 * the work of a kernel function, its comment names that function.
 *
 * "Locked" means that the caller owns the socket (lock_sock), or holds its
 * spinlock with bottom halves off while nobody owns it.
 */
#ifndef _TOE_TCP_HELPERS_H
#define _TOE_TCP_HELPERS_H

#include <linux/types.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "connection.h"

/* rust/helpers/calls.c */

/* Result of sendmsg(): nothing was done, Linux carries out the call. */
#define TOE_CALL_LINUX INT_MIN

/* Functions of the module that helpers call. The first two run before Linux carries out a call. */
struct toe_first_calls {
	int (*sendmsg)(struct sock *sk, struct msghdr *msg, size_t size);
	void (*close)(struct sock *sk, long timeout);
	int (*get_ulp)(struct sock *sk, char __user *value, int __user *length);
	/* Locked. Returns whether the acknowledgement need not be sent. */
	bool (*announce)(struct sock *sk);
	/* Locked. */
	void (*retransmits)(struct sock *sk);
	bool (*received)(struct sock *sk, int ifindex);
};

int toe_helper_calls_enter(void);
void toe_helper_calls_leave(int index);
void toe_helper_calls_drain(void);
void toe_helper_calls_advance(void);
bool toe_helper_has_current_bpf_ctx(void);
int toe_helper_calls_begin(const struct toe_first_calls *first);
void toe_helper_calls_free(struct rcu_work *work, void (*free)(struct work_struct *work));
int toe_helper_call_sendmsg(struct sock *sk, struct msghdr *msg, size_t size);
void toe_helper_call_close(struct sock *sk, long timeout);
int toe_helper_call_getsockopt(struct sock *sk, int level, int name, char __user *value,
			       int __user *length);
bool toe_call_announce(struct sock *sk);
void toe_call_retransmits(struct sock *sk);
bool toe_call_received(struct sock *sk, int ifindex);

/* rust/helpers/sock.c */

void toe_helper_sock_hold(struct sock *sk);
void toe_helper_sock_put(struct sock *sk);
bool toe_helper_sock_hold_live(struct sock *sk);
void toe_helper_lock_sock(struct sock *sk);
bool toe_helper_lock_sock_timeout(struct sock *sk, long timeout);
void toe_helper_bh_lock_sock(struct sock *sk);
void toe_helper_bh_unlock_sock(struct sock *sk);
bool toe_helper_sock_owned_by_user(struct sock *sk);
bool toe_helper_sock_awaits_option(struct sock *sk);
void toe_helper_sock_pause_release(struct sock *sk);
void toe_helper_sock_continue_release(struct sock *sk);
void toe_helper_sk_flush_backlog(struct sock *sk);
u64 toe_helper_sock_cookie(const struct sock *sk);
u32 toe_helper_sock_uid(const struct sock *sk);
u32 toe_helper_sock_kuid(const struct sock *sk);
struct net *toe_helper_sock_net(const struct sock *sk);
u32 toe_helper_sock_hash(const struct sock *sk);
struct sock *toe_helper_tcp_lookup(struct net *net, bool ipv6, const u8 *local, u16 local_port,
				   const u8 *remote, u16 remote_port, int ifindex);
struct sock *toe_helper_skb_tcp_sender(const struct sk_buff *skb);
long toe_helper_sock_sndtimeo(const struct sock *sk, bool noblock);
size_t toe_helper_msg_data_left(const struct msghdr *msg);
bool toe_helper_msg_zerocopy_start(struct sock *sk, struct msghdr *msg, size_t size);
void toe_helper_msg_zerocopy_end(struct msghdr *msg, bool sent);

/* rust/helpers/backlog.c */

struct sk_buff *toe_helper_alloc_backlog_entry(unsigned int kind, bool atomic);
void toe_helper_backlog_entry_add(struct sock *sk, struct sk_buff *skb);
void toe_helper_backlog_payload_add(struct sock *sk, struct sk_buff *skb);
bool toe_helper_backlog_entry_replace(struct sock *sk, unsigned int kind, u32 seq, u32 round);
int toe_helper_backlog_entry_kind(const struct sk_buff *skb);
void toe_helper_backlog_entry_set_kind(struct sk_buff *skb, unsigned int kind);
void toe_helper_backlog_entry_set_seq(struct sk_buff *skb, u32 seq, u32 round);
void toe_helper_backlog_entry_seq(const struct sk_buff *skb, u32 *seq, u32 *round);
int toe_helper_backlog_frame_add(struct sock *sk, struct sk_buff *skb);

/* rust/helpers/sysctl.c */

int toe_helper_sysctl_register(void);
void toe_helper_sysctl_unregister(void);
int toe_helper_sysctl_enable(const struct net *net);
unsigned long toe_helper_sysctl_min_bytes(const struct net *net);
unsigned int toe_helper_sysctl_max_user_connections(const struct net *net);

/* rust/helpers/notifier.c */

int toe_helper_notifier_register(void (*changed)(void));
void toe_helper_notifier_unregister(void);
void toe_notify(void);		/* for changes of this module's own settings */

/* rust/helpers/tcp_state.c */

bool toe_helper_tcp_is_ipv6(const struct sock *sk);
__be32 toe_helper_inet_daddr(const struct sock *sk);
__be16 toe_helper_inet_dport(const struct sock *sk);
u16 toe_helper_inet_num(const struct sock *sk);
bool toe_helper_sock_flag(const struct sock *sk, enum sock_flags flag);
bool toe_helper_sk_is_mptcp(const struct sock *sk);
bool toe_helper_tcp_can_send(const struct sock *sk);
bool toe_helper_tcp_is_signed(const struct sock *sk);
u32 toe_helper_tcp_notsent_lowat(const struct sock *sk);
bool toe_helper_tcp_ecn_mode_rfc3168(const struct sock *sk);
bool toe_helper_tcp_ecn_mode_accecn(const struct sock *sk);
bool toe_helper_tcp_has_linear_data(const struct sock *sk);
u32 toe_helper_tcp_receive_window(const struct sock *sk);
u32 toe_helper_tcp_tsval(struct sock *sk, u32 ahead_ms);
u32 toe_helper_tcp_min_rtt(const struct sock *sk);
u32 toe_helper_tcp_rto_us(const struct sock *sk);

/* rust/helpers/tcp_route.c */

struct net_device *toe_helper_tcp_device(struct sock *sk);
void toe_helper_tcp_device_put(struct net_device *dev);
bool toe_helper_tcp_route_valid(struct sock *sk, int ifindex);
struct neighbour *toe_helper_tcp_next_hop(struct sock *sk);
void toe_helper_tcp_use_neighbour(struct sock *sk, struct neighbour *neigh);
void toe_helper_tcp_local_mac(struct sock *sk, u8 *mac);
u8 toe_helper_tcp_hop_limit(struct sock *sk);
bool toe_helper_tcp_address_is_local(struct sock *sk);
bool toe_helper_tcp_receives_here(struct sock *sk);
void toe_tcp_forget_rx_dst(struct sock *sk);

/* rust/helpers/tcp_obstacle.c */

const char *toe_helper_tcp_socket_observer(const struct sock *sk);
bool toe_tcp_in_repair(const struct sock *sk);
const char *toe_helper_tcp_option(const struct sock *sk);
const char *toe_helper_dev_observer(const struct net_device *dev, bool ipv6);
const char *toe_helper_tcp_observer(struct sock *sk);
bool toe_helper_tcp_in_sockops_cgroup(struct sock *sk);

/* rust/helpers/trace.c */

void toe_helper_trace_refused(const struct sock *sk, u32 reason, const char *detail, int level,
			      int option);
void toe_helper_trace_returned(const struct sock *sk, u32 reason, const char *detail, int level,
			       int option);

/* rust/helpers/tcp_parameters.c */

/* Times in microseconds. */
struct toe_parameters {
	u32 rto_min_us, rto_max_us, delack_max_us;
	u32 retry_us, user_timeout_us;
	u32 cwnd_limit;
	u32 flow_label;
	u8 tos, ttl;
	bool fragment, keep_cwnd, report_sent;
};

void toe_helper_tcp_parameters(struct sock *sk, struct toe_parameters *to);
u32 toe_helper_tcp_flow_label(const struct sock *sk);
void toe_helper_tcp_rehash(struct sock *sk);

/* rust/helpers/tcp_attach.c */

int toe_helper_tcp_attach(struct sock *sk, void *data, struct proto *proto,
			  int (*backlog_rcv)(struct sock *sk, struct sk_buff *skb));
void toe_helper_tcp_publish(struct sock *sk, const struct tcp_ulp_ops *ops);
void toe_helper_tcp_detach(struct sock *sk);
bool toe_helper_sock_is_open(struct sock *sk);
void *toe_helper_tcp_shadow_data(const struct sock *sk, const struct proto *proto);
bool toe_helper_sock_is_inet6(const struct sock *sk);

/* rust/helpers/tcp_send.c */

int toe_helper_tcp_sendmsg_shadow(struct sock *sk, struct msghdr *msg, size_t size);
void toe_helper_tcp_entail(struct sock *sk);
u32 toe_helper_tcp_room_seq(struct sock *sk);
int toe_helper_tcp_fragments(struct sock *sk, u32 seq, skb_frag_t *out, int max,
			     bool *ends_record);
void toe_tcp_set_segments(const struct sock *sk, struct sk_buff *skb);

/* rust/helpers/tcp_ack.c */

void toe_helper_tcp_acked(struct sock *sk, const struct toe_send_state *now,
			  const struct toe_send_state *last);

/* rust/helpers/tcp_shadow.c */

void toe_helper_tcp_set_shadow(struct sock *sk);
void toe_tcp_forget_losses(struct sock *sk);

/* rust/helpers/tcp_unsend.c */

void toe_helper_tcp_unsend(struct sock *sk, u32 snd_nxt);
void toe_tcp_trim_acked(struct sock *sk);

/* rust/helpers/tcp_return.c */

void toe_helper_tcp_returned(struct sock *sk, const struct toe_connection *state);
void toe_helper_tcp_resume(struct sock *sk, bool due);

/* rust/helpers/tcp_receive.c */

int toe_helper_tcp_deliver(struct sock *sk, struct sk_buff *skb, bool confirmed);
void toe_tcp_timestamp(struct sock *sk, struct sk_buff *skb);
bool toe_tcp_try_coalesce(struct sk_buff *to, struct sk_buff *from, int *delta);
struct sk_buff *toe_tcp_make_room(const struct sk_buff *tail, struct sk_buff *skb);
void toe_helper_tcp_deliver_prepare(struct sk_buff *skb, u32 seq, u32 ts_recent, bool push);

/* rust/helpers/tcp_legacy.c */

bool toe_helper_tcp_frame_prepare(struct sk_buff *skb, unsigned int kind);
void toe_helper_tcp_frame_restore(struct sk_buff *skb);
void toe_helper_tcp_frame_receive(struct sock *sk, struct sk_buff *skb);
bool toe_helper_tcp_early_ok(struct sock *sk, struct sk_buff *skb);
bool toe_helper_tcp_has_out_of_order(const struct sock *sk);

#endif
