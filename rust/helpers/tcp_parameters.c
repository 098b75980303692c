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
	to->tos = toe_tos(sk);
	to->ttl = toe_helper_tcp_hop_limit(sk);
	to->fragment = !toe_helper_tcp_is_ipv6(sk) && !ip_dont_fragment(sk, __sk_dst_get(sk));
	to->report_sent = tcp_notsent_lowat(tp) != U32_MAX;
	to->keep_cwnd = !READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_slow_start_after_idle);
}
