// SPDX-License-Identifier: GPL-2.0
/*
 * Takes over the state of a connection that the adapter has returned, and restarts
 * Linux's timers.
 */

#include <net/tcp.h>

#include "tcp_helpers.h"

/*
 * Takes over how often and for how long the peer has not answered, for
 * tcp_write_timeout() and tcp_probe_timer().
 */
static void toe_set_unanswered(struct sock *sk, const struct toe_connection *state)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	struct sk_buff *head = tcp_rtx_queue_head(sk);
	struct tcp_sock *tp = tcp_sk(sk);
	u32 ago = state->unanswered_us;

	if (!ago)
		return;
	if (!tp->snd_wnd) {
		WRITE_ONCE(icsk->icsk_probes_out, min(state->backoff, U8_MAX));
		icsk->icsk_probes_tstamp = tcp_jiffies32 - usecs_to_jiffies(ago);
	}
	if (!head)
		return;
	WRITE_ONCE(icsk->icsk_retransmits, min(state->backoff, U8_MAX));
	TCP_SKB_CB(head)->sacked |= TCPCB_EVER_RETRANS;
	tcp_mstamp_refresh_inline(tp);
	tp->retrans_stamp = tcp_time_stamp_ts(tp) - (tp->tcp_usec_ts ? ago : ago / USEC_PER_MSEC);
}

/*
 * The peer discards segments whose timestamps go back (RFC 7323 5): the next one is at
 * least @tsval.
 */
static void toe_advance_timestamps(struct sock *sk, u32 tsval)
{
	s32 ahead = tsval - toe_helper_tcp_tsval(sk, 0);

	if (ahead > 0)
		tcp_sk(sk)->tsoffset += ahead;
}

/*
 * Takes over the fields of @state other than @state->send. Called after
 * toe_helper_tcp_unsend(). Locked.
 */
void toe_helper_tcp_returned(struct sock *sk, const struct toe_connection *state)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	struct tcp_sock *tp = tcp_sk(sk);

	tp->snd_wl1 = state->snd_wl1;
	tp->max_window = max(tp->max_window, state->max_window);
	tp->reordering = clamp_t(u32, state->reordering, tp->reordering,
				 READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_max_reordering));
	icsk->icsk_backoff = min(state->backoff, 15U);
	toe_set_unanswered(sk, state);
	tp->data_segs_in += state->data_segs_in;
	tp->data_segs_out += state->data_segs_out;
	tp->dsack_dups += state->duplicates;
	tp->rcv_ooopack += state->out_of_order;
	tp->delivered_ce += state->delivered_ce;
	NET_ADD_STATS(sock_net(sk), LINUX_MIB_TCPDELIVEREDCE, state->delivered_ce);
	if ((state->flags & TOE_CONNECTION_TIMESTAMPS) && tp->rx_opt.tstamp_ok) {
		/* Linux may have received a later segment by itself. */
		if (after(state->ts_recent, tp->rx_opt.ts_recent))
			tp->rx_opt.ts_recent = state->ts_recent;
		tp->rx_opt.ts_recent_stamp = ktime_get_seconds();
		toe_advance_timestamps(sk, state->tsval);
	}
	/* Linux's are about frames that it has received by itself. */
	tp->ecn_flags &= ~(TCP_ECN_DEMAND_CWR | TCP_ECN_QUEUE_CWR);
	if (state->flags & TOE_CONNECTION_ECN_ECHO)
		tp->ecn_flags |= TCP_ECN_DEMAND_CWR;
	if (state->flags & TOE_CONNECTION_CWR)
		tp->ecn_flags |= TCP_ECN_QUEUE_CWR;
	/* Cubic begins a new epoch at the window that it is given. */
	if (icsk->icsk_ca_ops->init)
		icsk->icsk_ca_ops->init(sk);
	tp->snd_cwnd_stamp = tcp_jiffies32;
	tp->high_seq = tp->snd_una;
	tcp_mstamp_refresh_inline(tp);
	/* The adapter may owe an acknowledgement; a duplicate does no harm. */
	icsk->icsk_ack.pending |= ICSK_ACK_SCHED | ICSK_ACK_NOW;
}

/*
 * Does what tcp_set_xmit_timer() does for data in flight: starts the timer of a tail
 * loss probe, or of a retransmission, which may be @due.
 */
static void toe_set_xmit_timer(struct sock *sk, bool due)
{
	int early_retrans = READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_early_retrans);
	const struct tcp_sock *tp = tcp_sk(sk);
	u32 rto = due ? 0 : inet_csk(sk)->icsk_rto, probe;

	if (due || (early_retrans != 3 && early_retrans != 4) || !tcp_is_sack(tp) || !tp->srtt_us) {
		tcp_reset_xmit_timer(sk, ICSK_TIME_RETRANS, rto, false);
		return;
	}
	probe = tp->srtt_us >> 2;
	probe += tp->packets_out == 1 ? tcp_rto_min_us(sk) : TCP_TIMEOUT_MIN_US;
	tcp_reset_xmit_timer(sk, ICSK_TIME_LOSS_PROBE, min(usecs_to_jiffies(probe), rto), false);
}

/*
 * Restarts the timers, and does what tcp_push_pending_frames() does. Transmission is
 * left to sk_prot->release_cb(), which release_sock() calls; without an owner it is
 * called here. @due: a retransmission is due. Locked.
 */
void toe_helper_tcp_resume(struct sock *sk, bool due)
{
	struct tcp_sock *tp = tcp_sk(sk);

	if (!toe_helper_tcp_can_send(sk))
		return;
	/* Linux may have started it for segments that it received by itself. */
	inet_csk_clear_xmit_timer(sk, ICSK_TIME_RETRANS);
	if (tp->packets_out)
		toe_set_xmit_timer(sk, due);
	else if (!tcp_write_queue_empty(sk))
		tcp_reset_xmit_timer(sk, ICSK_TIME_PROBE0, inet_csk(sk)->icsk_rto, false);
	if (!test_and_set_bit(TCP_TSQ_DEFERRED, &sk->sk_tsq_flags))
		sock_hold(sk);
	set_bit(TCP_ACK_DEFERRED, &sk->sk_tsq_flags);
	if (!sock_owned_by_user(sk))
		sk->sk_prot->release_cb(sk);
}
