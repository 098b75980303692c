// SPDX-License-Identifier: GPL-2.0
/*
 * Acknowledgements that the adapter reports, applied to a shadow socket.
 */

#include <net/proto_memory.h>
#include <net/tcp.h>

#include "tcp_helpers.h"

/* Does what tcp_should_expand_sndbuf() and tcp_sndbuf_expand() do. */
static void toe_sndbuf_expand(struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	int sndmem, per_mss;
	u32 segs;

	if ((sk->sk_userlocks & SOCK_SNDBUF_LOCK) || tcp_under_memory_pressure(sk) ||
	    sk_memory_allocated(sk) >= sk_prot_mem_limits(sk, 0))
		return;
	per_mss = max_t(u32, tp->rx_opt.mss_clamp, tp->mss_cache) + MAX_TCP_HEADER +
		  SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	per_mss = roundup_pow_of_two(per_mss) + SKB_DATA_ALIGN(sizeof(struct sk_buff));
	segs = max3((u32)TCP_INIT_CWND, tcp_snd_cwnd(tp), tp->reordering + 1);
	sndmem = min_t(u64, 2ULL * segs * per_mss,
		       READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_wmem[2]));
	if (sk->sk_sndbuf < sndmem)
		WRITE_ONCE(sk->sk_sndbuf, sndmem);
}

/* Does what tcp_check_space() does. */
static void toe_check_space(struct sock *sk)
{
	/* Pairs with the barrier in tcp_poll(). */
	smp_mb();
	if (sk->sk_socket && test_bit(SOCK_NOSPACE, &sk->sk_socket->flags)) {
		toe_sndbuf_expand(sk);
		READ_ONCE(sk->sk_write_space)(sk);
	}
}

/*
 * Does what tcp_clean_rtx_queue() does, for acknowledgements of whole skbs. The
 * adapter handles round-trip times, losses and congestion. Returns whether there were any.
 */
static bool toe_free_acked(struct sock *sk, u32 snd_una)
{
	struct tcp_sock *tp = tcp_sk(sk);
	struct sk_buff *skb, *next;
	bool freed = false;

	for (skb = tcp_rtx_queue_head(sk); skb; skb = next) {
		if (after(TCP_SKB_CB(skb)->end_seq, snd_una))
			break;
		next = skb_rb_next(skb);
		tp->packets_out -= min(tp->packets_out, (u32)tcp_skb_pcount(skb));
		if (skb == tp->retransmit_skb_hint)
			tp->retransmit_skb_hint = NULL;
		tcp_highest_sack_replace(sk, skb, next);
		tcp_rtx_queue_unlink_and_free(skb, sk);
		freed = true;
	}
	if (freed && tcp_rtx_and_write_queues_empty(sk))
		tcp_chrono_set(tp, TCP_CHRONO_UNSPEC);
	return freed;
}

/* Does what tcp_rtt_estimator() and tcp_set_rto() do, with the adapter's estimates. */
static void toe_set_rtt(struct sock *sk, const struct toe_send_state *now)
{
	struct tcp_sock *tp = tcp_sk(sk);

	if (now->srtt_us) {
		WRITE_ONCE(tp->srtt_us, min(now->srtt_us, U32_MAX >> 3) << 3);
		tp->mdev_us = min(now->rttvar_us, U32_MAX >> 2) << 2;
		tp->rttvar_us = max(tp->mdev_us, tcp_rto_min_us(sk));
		if (!tp->rcv_rtt_est.rtt_us || tp->srtt_us < tp->rcv_rtt_est.rtt_us)
			tp->rcv_rtt_est.rtt_us = tp->srtt_us;
		inet_csk(sk)->icsk_rto = clamp_t(u32, usecs_to_jiffies(now->rto_us), 1,
						 tcp_rto_max(sk));
	}
	if (now->min_rtt_us != U32_MAX)
		minmax_reset(&tp->rtt_min, tcp_jiffies32, now->min_rtt_us);
}

/* Adds what the adapter has counted since @last. */
static void toe_add_counts(struct tcp_sock *tp, const struct toe_send_state *now,
			   const struct toe_send_state *last)
{
	u32 resent = now->bytes_retransmitted - last->bytes_retransmitted;
	u32 sent = after(now->snd_nxt, last->snd_nxt) ? now->snd_nxt - last->snd_nxt : 0;

	tp->bytes_retrans += resent;
	tp->bytes_sent += sent + resent;
	tp->segs_out += now->segs_out - last->segs_out;
	WRITE_ONCE(tp->segs_in, tp->segs_in + (now->segs_in - last->segs_in));
	WRITE_ONCE(tp->delivered, tp->delivered + (now->delivered - last->delivered));
	WRITE_ONCE(tp->total_retrans,
		   tp->total_retrans + (now->retransmits - last->retransmits));
}

/*
 * Does what tcp_ack() does, with the adapter's report @now; @last is the report
 * before. @now->snd_una must be between the socket's snd_una and snd_nxt. Locked.
 */
void toe_helper_tcp_acked(struct sock *sk, const struct toe_send_state *now,
			  const struct toe_send_state *last)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	struct tcp_sock *tp = tcp_sk(sk);
	/* Unsent payload counts, see TCP_NOTSENT_LOWAT. */
	bool room = after(now->snd_nxt, last->snd_nxt);

	tcp_mstamp_refresh_inline(tp);
	tp->rcv_tstamp = tcp_jiffies32;
	WRITE_ONCE(icsk->icsk_probes_out, 0);

	tp->snd_wnd = now->snd_wnd;
	tp->max_window = max(tp->max_window, now->snd_wnd);
	tcp_snd_cwnd_set(tp, clamp_t(u32, now->cwnd, 1, tp->snd_cwnd_clamp));
	tp->snd_ssthresh = min_t(u32, now->ssthresh, TCP_INFINITE_SSTHRESH);
	toe_set_rtt(sk, now);
	toe_add_counts(tp, now, last);

	if (after(now->snd_una, tp->snd_una)) {
		if (before(tp->snd_up, now->snd_una))
			tp->snd_up = now->snd_una;
		tp->bytes_acked += now->snd_una - tp->snd_una;
		tp->delivered_mstamp = tp->tcp_mstamp;
		WRITE_ONCE(tp->snd_una, now->snd_una);
		WRITE_ONCE(icsk->icsk_retransmits, 0);
		if (READ_ONCE(sk->sk_err_soft))
			WRITE_ONCE(sk->sk_err_soft, 0);
		sk_dst_confirm(sk);
		room |= toe_free_acked(sk, now->snd_una);
	}
	if (room)
		toe_check_space(sk);
}
