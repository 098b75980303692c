// SPDX-License-Identifier: GPL-2.0
/*
 * The state of a connection, out of the socket.
 */

#include <linux/bpf-cgroup.h>
#include <linux/filter.h>
#include <linux/inetdevice.h>
#include <linux/net_tstamp.h>
#include <linux/netfilter.h>
#include <net/addrconf.h>
#include <net/inet_ecn.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/neighbour.h>
#include <net/netdev_rx_queue.h>
#include <net/route.h>
#include <net/tcp.h>
#include <net/tcp_ecn.h>
#include <net/xfrm.h>

#include "tcp_helpers.h"

static bool toe_is_ipv6(const struct sock *sk)
{
#if IS_ENABLED(CONFIG_IPV6)
	return sk->sk_family == AF_INET6 && !ipv6_addr_v4mapped(&sk->sk_v6_daddr);
#else
	return false;
#endif
}

/* The device of the route in use, held, or NULL. Locked. */
struct net_device *toe_helper_tcp_device(struct sock *sk)
{
	struct dst_entry *dst = __sk_dst_get(sk);
	struct net_device *dev;

	if (!dst)
		return NULL;
	dev = READ_ONCE(dst->dev);
	dev_hold(dev);
	return dev;
}

void toe_helper_tcp_device_put(struct net_device *dev)
{
	dev_put(dev);
}

/*
 * Whether the route leads through @ifindex. A change of any route makes those in
 * use be looked up again, as Linux's TCP does before it sends. Locked.
 */
bool toe_helper_tcp_route_valid(struct sock *sk, int ifindex)
{
	struct dst_entry *dst;
	u32 cookie = 0;

#if IS_ENABLED(CONFIG_IPV6)
	if (toe_is_ipv6(sk))
		cookie = inet6_sk(sk)->dst_cookie;
#endif
	dst = __sk_dst_check(sk, cookie);
	if (!dst && !inet_csk(sk)->icsk_af_ops->rebuild_header(sk))
		dst = __sk_dst_get(sk);
	return dst && READ_ONCE(dst->dev)->ifindex == ifindex;
}

/* Whether somebody looks at the frames of a connection that an adapter would carry past him. */
static bool toe_is_inspected(const struct sock *sk, const struct net_device *dev)
{
	const struct net *net = sock_net(sk);
	bool found = false;

	if (!list_empty(&net->ptype_all) || !list_empty(&dev->ptype_all))
		return true;
	if (dev_xdp_prog_count((struct net_device *)dev))
		return true;
#ifdef CONFIG_NET_XGRESS
	if (rcu_access_pointer(dev->tcx_ingress) || rcu_access_pointer(dev->tcx_egress))
		return true;
#endif
#ifdef CONFIG_NETFILTER_INGRESS
	if (rcu_access_pointer(dev->nf_hooks_ingress))
		return true;
#endif
#ifdef CONFIG_NETFILTER_EGRESS
	if (rcu_access_pointer(dev->nf_hooks_egress))
		return true;
#endif
#ifdef CONFIG_CGROUP_BPF
	if (cgroup_bpf_sock_enabled((struct sock *)sk, CGROUP_INET_INGRESS) ||
	    cgroup_bpf_sock_enabled((struct sock *)sk, CGROUP_INET_EGRESS))
		return true;
#endif
#ifdef CONFIG_NETFILTER
	rcu_read_lock();
	for (int hook = 0; hook < NF_INET_NUMHOOKS && !found; hook++) {
		const struct nf_hook_entries *entries;

		if (hook == NF_INET_FORWARD)
			continue;
		entries = toe_is_ipv6(sk) ? rcu_dereference(net->nf.hooks_ipv6[hook]) :
					    rcu_dereference(net->nf.hooks_ipv4[hook]);
		found = entries && entries->num_hook_entries;
	}
	rcu_read_unlock();
#endif
	return found;
}

/* The hardware address of the next hop, when it is known. Locked. */
static bool toe_next_hop(struct sock *sk, struct dst_entry *dst, u8 *mac)
{
	struct neighbour *neigh;
	bool known;

	if (toe_is_ipv6(sk))
		neigh = dst_neigh_lookup(dst, &sk->sk_v6_daddr);
	else
		neigh = dst_neigh_lookup(dst, &inet_sk(sk)->inet_daddr);
	if (!neigh)
		return false;
	known = (READ_ONCE(neigh->nud_state) & NUD_VALID) && neigh->dev == dst->dev &&
		dst->dev->addr_len == ETH_ALEN;
	if (known)
		neigh_ha_snapshot(mac, neigh, neigh->dev);
	neigh_release(neigh);
	return known;
}

static bool toe_address_is_local(const struct sock *sk)
{
#if IS_ENABLED(CONFIG_IPV6)
	if (toe_is_ipv6(sk))
		return ipv6_chk_addr(sock_net(sk), &inet6_sk(sk)->saddr, NULL, 0);
#endif
	return inet_addr_type(sock_net(sk), inet_sk(sk)->inet_saddr) == RTN_LOCAL;
}

/* What has changed around a delegated connection: enum toe_tcp_change. Locked. */
u32 toe_helper_tcp_changes(struct sock *sk, int ifindex, u8 *remote_mac)
{
	struct dst_entry *dst;

	if (!toe_address_is_local(sk))
		return TOE_TCP_CHANGE_ADDRESS;
	if (!toe_helper_tcp_route_valid(sk, ifindex))
		return TOE_TCP_CHANGE_ROUTE;
	dst = __sk_dst_get(sk);
	if (dst_xfrm(dst) || toe_is_inspected(sk, dst->dev))
		return TOE_TCP_CHANGE_FILTER;
	if (!toe_next_hop(sk, dst, remote_mac))
		return TOE_TCP_CHANGE_NEIGHBOUR;
	return 0;
}

static bool toe_rps_configured(const struct net_device *dev)
{
#ifdef CONFIG_RPS
	unsigned int i;

	for (i = 0; i < dev->real_num_rx_queues; i++)
		if (rcu_access_pointer(dev->_rx[i].rps_map))
			return true;
#endif
	return false;
}

static u32 toe_route_obstacles(struct sock *sk, struct toe_tcp_state *state)
{
	struct dst_entry *dst = __sk_dst_get(sk);
	u32 obstacles = 0;

	if (!dst || !toe_helper_tcp_route_valid(sk, dst->dev->ifindex))
		return TOE_TCP_NO_ROUTE;
	dst = __sk_dst_get(sk);
	if (dst_xfrm(dst))
		obstacles |= TOE_TCP_XFRM;
	if (toe_rps_configured(dst->dev))
		obstacles |= TOE_TCP_STEERING;
	if (toe_is_inspected(sk, dst->dev))
		obstacles |= TOE_TCP_INSPECTED;
	if (!toe_next_hop(sk, dst, state->remote_mac))
		return obstacles | TOE_TCP_NO_NEIGHBOUR;
	memcpy(state->local_mac, dst->dev->dev_addr, ETH_ALEN);

	if (toe_is_ipv6(sk))
		state->ttl = READ_ONCE(inet6_sk(sk)->hop_limit) < 0 ?
			     ip6_dst_hoplimit(dst) : READ_ONCE(inet6_sk(sk)->hop_limit);
	else
		state->ttl = READ_ONCE(inet_sk(sk)->uc_ttl) < 0 ?
			     ip4_dst_hoplimit(dst) : READ_ONCE(inet_sk(sk)->uc_ttl);
	return obstacles;
}

/* What a send finds changed in the socket that only its owner changes. */
bool toe_helper_tcp_send_obstacle(const struct sock *sk)
{
	return (READ_ONCE(sk->sk_tsflags) & SOF_TIMESTAMPING_TX_RECORD_MASK) ||
	       READ_ONCE(sk->sk_pacing_status) != SK_PACING_NONE ||
	       READ_ONCE(sk->sk_max_pacing_rate) != ~0UL;
}

/* What stands against delegation, in the socket. Locked. */
u32 toe_helper_tcp_obstacles(struct sock *sk)
{
	const struct inet_connection_sock *icsk = inet_csk(sk);
	const struct tcp_sock *tp = tcp_sk(sk);
	u32 obstacles = 0;
	struct sk_buff *skb;

	if (sk->sk_state != TCP_ESTABLISHED || sk->sk_shutdown || sk->sk_err ||
	    sock_flag(sk, SOCK_DEAD))
		return TOE_TCP_NOT_ESTABLISHED;
	if (icsk->icsk_ulp_ops)
		obstacles |= TOE_TCP_ULP;
	if (sk->sk_prot != sk->sk_prot_creator || sk_is_mptcp(sk))
		obstacles |= TOE_TCP_PROTOCOL;
#ifdef CONFIG_TCP_MD5SIG
	if (rcu_access_pointer(tp->md5sig_info))
		obstacles |= TOE_TCP_SIGNATURE;
#endif
#ifdef CONFIG_TCP_AO
	if (rcu_access_pointer(tp->ao_info))
		obstacles |= TOE_TCP_SIGNATURE;
#endif
	if (tp->urg_data || tp->snd_una != tp->snd_up)
		obstacles |= TOE_TCP_URGENT;
	if (tp->repair)
		obstacles |= TOE_TCP_REPAIR;
	if (tp->fastopen_req || rcu_access_pointer(tp->fastopen_rsk))
		obstacles |= TOE_TCP_FASTOPEN;
	if (rcu_access_pointer(inet_sk(sk)->inet_opt))
		obstacles |= TOE_TCP_IP_OPTIONS;
#if IS_ENABLED(CONFIG_IPV6)
	if (toe_is_ipv6(sk) && rcu_access_pointer(inet6_sk(sk)->opt))
		obstacles |= TOE_TCP_IP_OPTIONS;
#endif
	if (rcu_access_pointer(sk->sk_filter))
		obstacles |= TOE_TCP_FILTER;
#ifdef CONFIG_BPF
	if (tp->bpf_sock_ops_cb_flags)
		obstacles |= TOE_TCP_FILTER;
#endif
	if (READ_ONCE(sk->sk_pacing_status) != SK_PACING_NONE ||
	    READ_ONCE(sk->sk_max_pacing_rate) != ~0UL || READ_ONCE(tp->tcp_tx_delay))
		obstacles |= TOE_TCP_PACING;
	if (strcmp(icsk->icsk_ca_ops->name, "cubic"))
		obstacles |= TOE_TCP_CONGESTION;
	if (tcp_notsent_lowat(tp) != UINT_MAX)
		obstacles |= TOE_TCP_NOTSENT_LOWAT;
	if (icsk->icsk_mtup.enabled)
		obstacles |= TOE_TCP_MTU_PROBE;
	if (READ_ONCE(sk->sk_tsflags) & SOF_TIMESTAMPING_TX_RECORD_MASK)
		obstacles |= TOE_TCP_TIMESTAMPING;
	if (READ_ONCE(icsk->icsk_user_timeout))
		obstacles |= TOE_TCP_USER_TIMEOUT;
	if (tcp_ecn_mode_accecn(tp))
		obstacles |= TOE_TCP_ACCECN;
	if (icsk->icsk_ca_state != TCP_CA_Open || tp->sacked_out || tp->lost_out ||
	    tp->retrans_out || icsk->icsk_retransmits)
		obstacles |= TOE_TCP_RECOVERY;
	if (!RB_EMPTY_ROOT(&tp->out_of_order_queue))
		obstacles |= TOE_TCP_OUT_OF_ORDER;
	for (skb = tcp_rtx_queue_head(sk); skb; skb = skb_rb_next(skb))
		if (skb_headlen(skb) || !skb_frags_readable(skb))
			obstacles |= TOE_TCP_LINEAR_DATA;
	skb_queue_walk(&sk->sk_write_queue, skb)
		if (skb_headlen(skb) || !skb_frags_readable(skb))
			obstacles |= TOE_TCP_LINEAR_DATA;
	return obstacles;
}

/* Describes the connection; returns what stands against delegation. Locked. */
u32 toe_helper_tcp_snapshot(struct sock *sk, struct toe_tcp_state *state)
{
	const struct inet_connection_sock *icsk = inet_csk(sk);
	const struct inet_sock *inet = inet_sk(sk);
	struct tcp_sock *tp = tcp_sk(sk);
	u32 obstacles;

	memset(state, 0, sizeof(*state));
	obstacles = toe_helper_tcp_obstacles(sk);
	obstacles |= toe_route_obstacles(sk, state);
	if (obstacles)
		return obstacles;

	state->ipv6 = toe_is_ipv6(sk);
#if IS_ENABLED(CONFIG_IPV6)
	if (state->ipv6) {
		memcpy(state->local_address, &inet6_sk(sk)->saddr, 16);
		memcpy(state->remote_address, &sk->sk_v6_daddr, 16);
		state->flow_label = ntohl(inet6_sk(sk)->flow_label & IPV6_FLOWLABEL_MASK);
		state->tos = inet6_sk(sk)->tclass;
	} else
#endif
	{
		memcpy(state->local_address, &inet->inet_saddr, 4);
		memcpy(state->remote_address, &inet->inet_daddr, 4);
		state->tos = READ_ONCE(inet->tos);
	}
	state->tos &= ~INET_ECN_MASK;
	state->local_port = inet->inet_num;
	state->remote_port = ntohs(inet->inet_dport);

	state->timestamps = tp->rx_opt.tstamp_ok;
	state->sack = tcp_is_sack(tp);
	state->window_scale = tp->rx_opt.wscale_ok;
	state->ecn = tcp_ecn_mode_rfc3168(tp);
	state->ecn_echo = tp->ecn_flags & TCP_ECN_DEMAND_CWR;
	state->nodelay = tp->nonagle & TCP_NAGLE_OFF;
	state->cork = tp->nonagle & TCP_NAGLE_CORK;
	state->snd_wscale = tp->rx_opt.snd_wscale;
	state->rcv_wscale = tp->rx_opt.rcv_wscale;
	state->mss = tp->mss_cache;
	state->rcv_mss = tp->advmss;

	state->snd_una = tp->snd_una;
	state->snd_nxt = tp->snd_nxt;
	state->write_seq = tp->write_seq;
	state->snd_wnd = tp->snd_wnd;
	state->snd_wl1 = tp->snd_wl1;
	state->max_window = tp->max_window;
	state->rcv_nxt = tp->rcv_nxt;
	state->rcv_edge = tp->rcv_nxt + tcp_receive_window(tp);

	tcp_mstamp_refresh_inline(tp);
	state->tsval = tcp_time_stamp_ts(tp) + tp->tsoffset;
	state->ts_tick_us = tp->tcp_usec_ts ? 1 : USEC_PER_MSEC;
	state->ts_recent = tp->rx_opt.ts_recent;

	state->srtt_us = tp->srtt_us >> 3;
	state->rttvar_us = tp->rttvar_us >> 2;
	state->min_rtt_us = tcp_min_rtt(tp);
	state->rto_us = jiffies_to_usecs(icsk->icsk_rto);
	state->cwnd = tcp_snd_cwnd(tp);
	state->ssthresh = tp->snd_ssthresh >= TCP_INFINITE_SSTHRESH ? U32_MAX : tp->snd_ssthresh;
	state->reordering = tp->reordering;
	state->backoff = icsk->icsk_backoff;
	return 0;
}

/* No timer of Linux's send side runs while the adapter carries the connection. Locked. */
void toe_helper_tcp_set_shadow(struct sock *sk)
{
	inet_csk_clear_xmit_timer(sk, ICSK_TIME_RETRANS);
	toe_helper_tcp_forget_losses(sk);
	/* Everything goes the slow path, where nothing is assumed of the window. */
	tcp_sk(sk)->pred_flags = 0;
}

u32 toe_helper_tcp_write_seq(const struct sock *sk)
{
	return READ_ONCE(tcp_sk(sk)->write_seq);
}

u32 toe_helper_tcp_snd_una(const struct sock *sk)
{
	return READ_ONCE(tcp_sk(sk)->snd_una);
}

u32 toe_helper_tcp_rcv_nxt(const struct sock *sk)
{
	return READ_ONCE(tcp_sk(sk)->rcv_nxt);
}

u32 toe_helper_tcp_mss(const struct sock *sk)
{
	return READ_ONCE(tcp_sk(sk)->mss_cache);
}

/* Whether there is urgent data to send. */
bool toe_helper_tcp_is_urgent(const struct sock *sk)
{
	return tcp_sk(sk)->snd_una != tcp_sk(sk)->snd_up;
}

/* TCP_NAGLE_OFF, TCP_NAGLE_CORK. */
u16 toe_helper_tcp_nagle(const struct sock *sk)
{
	return tcp_sk(sk)->nonagle;
}

/* Payload carried so far, both ways. From any context. */
u64 toe_helper_tcp_bytes(const struct sock *sk)
{
	return READ_ONCE(tcp_sk(sk)->bytes_acked) + READ_ONCE(tcp_sk(sk)->bytes_received);
}

/* The ULP's data when the ULP is @ops. Locked, or in an RCU read-side section. */
void *toe_helper_tcp_ulp_data(const struct sock *sk, const struct tcp_ulp_ops *ops)
{
	const struct inet_connection_sock *icsk = inet_csk(sk);

	if (READ_ONCE(icsk->icsk_ulp_ops) != ops)
		return NULL;
	return rcu_dereference_check(icsk->icsk_ulp_data, true);
}

bool toe_helper_tcp_has_ulp(const struct sock *sk)
{
	return inet_csk(sk)->icsk_ulp_ops;
}

struct proto *toe_helper_sock_creator(const struct sock *sk)
{
	return sk->sk_prot_creator;
}

bool toe_helper_sock_is_inet6(const struct sock *sk)
{
	return sk->sk_prot_creator != &tcp_prot;
}
