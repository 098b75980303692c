// SPDX-License-Identifier: GPL-2.0
/*
 * C shims for inline functions, macros and configuration-dependent fields of a TCP
 * socket's state.
 */

#include <net/ipv6.h>
#include <net/tcp.h>
#include <net/tcp_ecn.h>

#include "tcp_helpers.h"

/* Whether the connection's frames are IPv6. An IPv6 socket may have an IPv4-mapped peer. */
bool toe_helper_tcp_is_ipv6(const struct sock *sk)
{
#if IS_ENABLED(CONFIG_IPV6)
	return sk->sk_family == AF_INET6 && !ipv6_addr_v4mapped(&sk->sk_v6_daddr);
#else
	return false;
#endif
}

__be32 toe_helper_inet_daddr(const struct sock *sk)
{
	return inet_sk(sk)->inet_daddr;
}

__be16 toe_helper_inet_dport(const struct sock *sk)
{
	return inet_sk(sk)->inet_dport;
}

u16 toe_helper_inet_num(const struct sock *sk)
{
	return inet_sk(sk)->inet_num;
}

bool toe_helper_sock_flag(const struct sock *sk, enum sock_flags flag)
{
	return sock_flag(sk, flag);
}

bool toe_helper_sk_is_mptcp(const struct sock *sk)
{
	return sk_is_mptcp(sk);
}

/* Whether the state permits to send payload. */
bool toe_helper_tcp_can_send(const struct sock *sk)
{
	return (1 << READ_ONCE(sk->sk_state)) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT);
}

/* Whether segments are signed: TCP-MD5 (RFC 2385) or TCP-AO (RFC 5925). Locked. */
bool toe_helper_tcp_is_signed(const struct sock *sk)
{
#ifdef CONFIG_TCP_MD5SIG
	if (rcu_access_pointer(tcp_sk(sk)->md5sig_info))
		return true;
#endif
#ifdef CONFIG_TCP_AO
	if (rcu_access_pointer(tcp_sk(sk)->ao_info))
		return true;
#endif
	return false;
}

u32 toe_helper_tcp_notsent_lowat(const struct sock *sk)
{
	return tcp_notsent_lowat(tcp_sk(sk));
}

bool toe_helper_tcp_ecn_mode_rfc3168(const struct sock *sk)
{
	return tcp_ecn_mode_rfc3168(tcp_sk(sk));
}

bool toe_helper_tcp_ecn_mode_accecn(const struct sock *sk)
{
	return tcp_ecn_mode_accecn(tcp_sk(sk));
}

/* Whether payload in the send queues is not in readable pages. Locked. */
bool toe_helper_tcp_has_linear_data(const struct sock *sk)
{
	struct sk_buff *skb;

	for (skb = tcp_rtx_queue_head(sk); skb; skb = skb_rb_next(skb))
		if (skb_headlen(skb) || !skb_frags_readable(skb))
			return true;
	skb_queue_walk(&sk->sk_write_queue, skb)
		if (skb_headlen(skb) || !skb_frags_readable(skb))
			return true;
	return false;
}

u32 toe_helper_tcp_receive_window(const struct sock *sk)
{
	return tcp_receive_window(tcp_sk(sk));
}

/* The timestamp value of a segment sent in @ahead_ms milliseconds. Locked. */
u32 toe_helper_tcp_tsval(struct sock *sk, u32 ahead_ms)
{
	struct tcp_sock *tp = tcp_sk(sk);

	tcp_mstamp_refresh_inline(tp);
	return tcp_time_stamp_ts(tp) + tp->tsoffset +
	       ahead_ms * (tp->tcp_usec_ts ? USEC_PER_MSEC : 1);
}

u32 toe_helper_tcp_min_rtt(const struct sock *sk)
{
	return tcp_min_rtt(tcp_sk(sk));
}

u32 toe_helper_tcp_rto_us(const struct sock *sk)
{
	return jiffies_to_usecs(inet_csk(sk)->icsk_rto);
}
