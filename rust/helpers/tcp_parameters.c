// SPDX-License-Identifier: GPL-2.0
/*
 * What options, sysctls and the route say about how a connection sends.
 */

#include <linux/log2.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/tcp.h>

#include "tcp_helpers.h"

/* Does what tcp_model_timeout() does. Returns microseconds. */
static u32 toe_model_timeout(const struct sock *sk, unsigned int boundary)
{
	unsigned int max = tcp_rto_max(sk), thresh = ilog2(max / TCP_RTO_MIN);
	u64 timeout;

	if (boundary <= thresh)
		timeout = ((2ULL << boundary) - 1) * TCP_RTO_MIN;
	else
		timeout = ((2ULL << thresh) - 1) * TCP_RTO_MIN + (u64)(boundary - thresh) * max;
	return min_t(u64, timeout * (USEC_PER_SEC / HZ), U32_MAX);
}

/*
 * How long tcp_write_timeout() retransmits before it gives up, or suspects a black
 * hole (tcp_mtu_probing()).
 */
static u32 toe_retry_us(const struct sock *sk)
{
	const struct net *net = sock_net(sk);
	unsigned int retries = READ_ONCE(net->ipv4.sysctl_tcp_retries2);

	if (READ_ONCE(net->ipv4.sysctl_tcp_mtu_probing))
		retries = min_t(unsigned int, retries, READ_ONCE(net->ipv4.sysctl_tcp_retries1));
	return toe_model_timeout(sk, retries);
}

/* Does what tcp_delack_max() does. Returns microseconds. */
static u32 toe_delack_max_us(const struct sock *sk)
{
	u32 max = min(READ_ONCE(inet_csk(sk)->icsk_delack_max), max(tcp_rto_min(sk), 2U) - 1);

	return jiffies_to_usecs(max);
}

/* Type of service or traffic class, without the ECN bits. */
static u8 toe_tos(const struct sock *sk)
{
#if IS_ENABLED(CONFIG_IPV6)
	if (toe_helper_tcp_is_ipv6(sk))
		return READ_ONCE(inet6_sk(sk)->tclass) & ~INET_ECN_MASK;
#endif
	return READ_ONCE(inet_sk(sk)->tos) & ~INET_ECN_MASK;
}

/*
 * The IPv6 flow label, in host order: does what ip6_make_flowlabel() does with the hash
 * that __tcp_transmit_skb() gives an skb. 0 for IPv4.
 */
u32 toe_helper_tcp_flow_label(const struct sock *sk)
{
#if IS_ENABLED(CONFIG_IPV6)
	const struct net *net = sock_net(sk);
	u8 mode = READ_ONCE(net->ipv6.sysctl.auto_flowlabels);
	__be32 label;
	bool automatic;

	if (!toe_helper_tcp_is_ipv6(sk))
		return 0;
	label = inet6_sk(sk)->flow_label & IPV6_FLOWLABEL_MASK;
	if (label)
		return ntohl(label);
	/* ip6_autoflowlabel() */
	automatic = inet6_test_bit(AUTOFLOWLABEL_SET, sk) ? inet6_test_bit(AUTOFLOWLABEL, sk) :
							    ip6_default_np_autolabel(net);
	if (mode == IP6_AUTO_FLOW_LABEL_OFF || (!automatic && mode != IP6_AUTO_FLOW_LABEL_FORCED))
		return 0;
	label = (__force __be32)rol32(READ_ONCE(sk->sk_txhash), 16) & IPV6_FLOWLABEL_MASK;
	if (READ_ONCE(net->ipv6.sysctl.flowlabel_state_ranges))
		label |= IPV6_FLOWLABEL_STATELESS_FLAG;
	return ntohl(label);
#else
	return 0;
#endif
}

/*
 * Does what tcp_write_timeout() does if nothing has been acknowledged for a retransmission
 * timeout: chooses another hash, and with it another path for IPv6. Locked.
 */
void toe_helper_tcp_rehash(struct sock *sk)
{
	u32 rto = jiffies_to_usecs(inet_csk(sk)->icsk_rto);
	struct sk_buff *head = tcp_rtx_queue_head(sk);
	struct tcp_sock *tp = tcp_sk(sk);

	if (!head || !toe_helper_tcp_is_ipv6(sk) ||
	    after(TCP_SKB_CB(head)->end_seq, tcp_wnd_end(tp)))
		return;
	tcp_mstamp_refresh_inline(tp);
	/* What has waited in the adapter was written long ago. */
	if (tcp_stamp_us_delta(tp->tcp_mstamp, tp->delivered_mstamp) < rto ||
	    tcp_rto_delta_us(sk) > 0 || !__sk_rethink_txhash_reset_dst(sk))
		return;
	WRITE_ONCE(tp->timeout_rehash, tp->timeout_rehash + 1);
	NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPTIMEOUTREHASH);
}

/* Reads the parameters of a socket that has a route. Locked. */
void toe_helper_tcp_parameters(struct sock *sk, struct toe_parameters *to)
{
	const struct inet_connection_sock *icsk = inet_csk(sk);
	const struct tcp_sock *tp = tcp_sk(sk);

	to->rto_min_us = tcp_rto_min_us(sk);
	to->rto_max_us = jiffies_to_usecs(tcp_rto_max(sk));
	to->delack_max_us = toe_delack_max_us(sk);
	to->retry_us = toe_retry_us(sk);
	to->user_timeout_us = min_t(u64, (u64)READ_ONCE(icsk->icsk_user_timeout) * USEC_PER_MSEC,
				    U32_MAX);
	to->cwnd_limit = tp->snd_cwnd_clamp == U32_MAX ? 0 : tp->snd_cwnd_clamp;
	to->flow_label = toe_helper_tcp_flow_label(sk);
	to->tos = toe_tos(sk);
	to->ttl = toe_helper_tcp_hop_limit(sk);
	to->fragment = !toe_helper_tcp_is_ipv6(sk) && !ip_dont_fragment(sk, __sk_dst_get(sk));
	to->report_sent = tcp_notsent_lowat(tp) != U32_MAX;
	to->keep_cwnd = !READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_slow_start_after_idle);
}
