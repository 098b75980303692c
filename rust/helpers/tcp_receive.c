// SPDX-License-Identifier: GPL-2.0
/*
 * The receive side of the shadow socket.
 */

#include <linux/net_tstamp.h>
#include <linux/skbuff.h>
#include <net/proto_memory.h>
#include <net/tcp.h>

#include "tcp_helpers.h"

/* Payload of at most this length is copied, which costs less than a part of a page. */
#define TOE_COPY_LEN	256

/*
 * Does what tcp_try_coalesce() does, but leaves accounting of @delta bytes of truesize
 * to the caller. Consumes @from on success.
 */
bool toe_tcp_try_coalesce(struct sk_buff *to, struct sk_buff *from, int *delta)
{
	bool stolen;

	if (TCP_SKB_CB(from)->seq != TCP_SKB_CB(to)->end_seq ||
	    (TCP_SKB_CB(to)->tcp_flags & TCPHDR_FIN) || !tcp_skb_can_collapse_rx(to, from) ||
	    !skb_try_coalesce(to, from, &stolen, delta))
		return false;
	TCP_SKB_CB(to)->end_seq = TCP_SKB_CB(from)->end_seq;
	TCP_SKB_CB(to)->ack_seq = TCP_SKB_CB(from)->ack_seq;
	TCP_SKB_CB(to)->tcp_flags |= TCP_SKB_CB(from)->tcp_flags;
	if (TCP_SKB_CB(from)->has_rxtstamp) {
		TCP_SKB_CB(to)->has_rxtstamp = true;
		to->tstamp = from->tstamp;
	}
	kfree_skb_partial(from, stolen);
	return true;
}

/*
 * Does what tcp_collapse() does, before it is necessary: if @skb and the unread @tail
 * before it have been copied, more small payload is likely to follow. Returns an skb
 * with room for it that replaces @skb, or @skb without memory.
 */
struct sk_buff *toe_tcp_make_room(const struct sk_buff *tail, struct sk_buff *skb)
{
	struct sk_buff *copy;

	if (skb_is_nonlinear(tail) || skb_is_nonlinear(skb))
		return skb;
	copy = alloc_skb(SKB_MAX_ORDER(0, 0), GFP_ATOMIC | __GFP_NOWARN);
	if (!copy)
		return skb;
	skb_copy_header(copy, skb);
	skb_put_data(copy, skb->data, skb->len);
	consume_skb(skb);
	return copy;
}

/* Stores the arguments of toe_helper_tcp_deliver() in @skb, whose frags are payload. */
void toe_helper_tcp_deliver_prepare(struct sk_buff *skb, u32 seq, u32 ts_recent, bool push)
{
	struct tcp_skb_cb *cb = TCP_SKB_CB(skb);

	memset(cb, 0, sizeof(*cb));
	cb->seq = seq;
	cb->end_seq = seq + skb->len;
	/* tcp_add_backlog() does not coalesce with RST. */
	cb->tcp_flags = TCPHDR_RST | (push ? TCPHDR_PSH : 0);
	cb->ack_seq = ts_recent;
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->pfmemalloc = 0;
	if (skb->len > TOE_COPY_LEN)
		return;
	skb_condense(skb);
	/* Skbs with and without memory of a page pool are not coalesced. */
	if (!skb_is_nonlinear(skb))
		skb->pp_recycle = 0;
}

/* Does what tcp_rcv_rtt_measure() does: receiving a window of payload takes a round trip. */
static void toe_rcv_rtt_measure(struct tcp_sock *tp)
{
	u32 sample;

	if (tp->rcv_rtt_est.time) {
		if (before(tp->rcv_nxt, tp->rcv_rtt_est.seq))
			return;
		sample = max(tcp_stamp_us_delta(tp->tcp_mstamp, tp->rcv_rtt_est.time), 1U) << 3;
		if (!tp->rcv_rtt_est.rtt_us || sample < tp->rcv_rtt_est.rtt_us)
			tp->rcv_rtt_est.rtt_us = sample;
	}
	tp->rcv_rtt_est.seq = tp->rcv_nxt + tp->rcv_wnd;
	tp->rcv_rtt_est.time = tp->tcp_mstamp;
}

/*
 * Does what tcp_measure_rcv_mss() does: measures the share of payload in skbs. Here it
 * differs from skb to skb, by how full the last page is, and the window would jump
 * with it. Move towards each by one step, that is, towards their median.
 */
static void toe_measure(struct sock *sk, u32 len, u32 truesize)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	struct tcp_sock *tp = tcp_sk(sk);
	u64 ratio;

	if (len < icsk->icsk_ack.rcv_mss)
		return;
	icsk->icsk_ack.rcv_mss = min_t(u32, len, tp->advmss);
	ratio = clamp_t(u64, div_u64((u64)len << TCP_RMEM_TO_WIN_SCALE, truesize), 1, U8_MAX);
	if (ratio == tp->scaling_ratio)
		return;
	tp->scaling_ratio += ratio > tp->scaling_ratio ? 1 : -1;
	WRITE_ONCE(tp->window_clamp, tcp_win_from_space(sk, sk->sk_rcvbuf));
	tp->rcvq_space.space = min_t(u32, tp->rcvq_space.space, tp->window_clamp);
}

/* Does what tcp_grow_window() does. */
static void toe_grow_window(struct sock *sk, u32 len)
{
	struct tcp_sock *tp = tcp_sk(sk);
	int room = min_t(int, tp->window_clamp, tcp_space(sk)) - tp->rcv_ssthresh;

	if (room <= 0 || len < 128)
		return;
	if (tcp_under_memory_pressure(sk))
		tcp_adjust_rcv_ssthresh(sk);
	else
		tp->rcv_ssthresh += min_t(u32, room, 2 * max_t(u32, tp->advmss, len));
}

/* Does what net_timestamp_check() does, if the socket wants receive timestamps. Locked. */
void toe_tcp_timestamp(struct sock *sk, struct sk_buff *skb)
{
	if (sock_flag(sk, SOCK_TIMESTAMP) || sock_flag(sk, SOCK_RCVTSTAMP) ||
	    (READ_ONCE(sk->sk_tsflags) & SOF_TIMESTAMPING_RX_SOFTWARE)) {
		__net_timestamp(skb);
		TCP_SKB_CB(skb)->has_rxtstamp = true;
	}
}

/*
 * Does what tcp_data_queue() does with in-order payload. Consumes @skb, unless it
 * begins after rcv_nxt, ends outside the window, the connection is not established, or
 * @confirmed is not set and Linux holds payload out of order (-EPROTO). The adapter has
 * acknowledged the payload, or will without asking again: it is queued even without
 * receive buffer space. Locked.
 */
int toe_helper_tcp_deliver(struct sock *sk, struct sk_buff *skb, bool confirmed)
{
	struct tcp_sock *tp = tcp_sk(sk);
	u32 len = skb->len, truesize = skb->truesize;
	struct sk_buff *tail;
	int delta;

	if (after(TCP_SKB_CB(skb)->seq, tp->rcv_nxt) ||
	    after(TCP_SKB_CB(skb)->end_seq, tp->rcv_nxt + tcp_max_receive_window(tp)) ||
	    sk->sk_state != TCP_ESTABLISHED ||
	    (!confirmed && toe_helper_tcp_has_out_of_order(sk))) {
		NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPRCVQDROP);
		return -EPROTO;
	}
	if (!after(TCP_SKB_CB(skb)->end_seq, tp->rcv_nxt)) {
		kfree_skb(skb);
		return 0;
	}

	tcp_mstamp_refresh_inline(tp);
	if (tp->rx_opt.tstamp_ok) {
		tp->rx_opt.ts_recent = TCP_SKB_CB(skb)->ack_seq;
		tp->rx_opt.ts_recent_stamp = ktime_get_seconds();
	}
	tp->rx_opt.saw_tstamp = 0;
	TCP_SKB_CB(skb)->tcp_flags &= ~TCPHDR_RST;
	TCP_SKB_CB(skb)->tcp_flags |= TCPHDR_ACK;
	TCP_SKB_CB(skb)->ack_seq = tp->snd_una;
	skb->protocol = 0;
	skb->mark = 0;
	toe_tcp_timestamp(sk, skb);

	tp->bytes_received += TCP_SKB_CB(skb)->end_seq - tp->rcv_nxt;
	WRITE_ONCE(tp->rcv_nxt, TCP_SKB_CB(skb)->end_seq);

	/* A failure of sk_rmem_schedule() leaves sk_forward_alloc negative until payload is read. */
	tail = skb_peek_tail(&sk->sk_receive_queue);
	if (tail && toe_tcp_try_coalesce(tail, skb, &delta)) {
		sk_rmem_schedule(sk, tail, delta);
		atomic_add(delta, &sk->sk_rmem_alloc);
		sk_mem_charge(sk, delta);
	} else {
		if (tail)
			skb = toe_tcp_make_room(tail, skb);
		sk_rmem_schedule(sk, skb, skb->truesize);
		tcp_add_receive_queue(sk, skb);
		skb_set_owner_r(skb, sk);
	}

	/*
	 * The adapter's acknowledgements repeat the edge that Linux has announced.
	 * Have tcp_cleanup_rbuf() announce the next one before the sender sees much
	 * less than the window, which may be a small part of its limit.
	 */
	if (tp->rcv_nxt - tp->rcv_wup > tp->rcv_wnd >> 4)
		inet_csk_schedule_ack(sk);

	sk_dst_confirm(sk);
	tp->rcv_tstamp = tcp_jiffies32;
	inet_csk(sk)->icsk_ack.lrcvtime = tcp_jiffies32;
	toe_measure(sk, len, truesize);
	toe_rcv_rtt_measure(tp);
	toe_grow_window(sk, len);

	/* tcp_data_ready() */
	if (!sock_flag(sk, SOCK_DEAD) &&
	    (tcp_epollin_ready(sk, sk->sk_rcvlowat) || sock_flag(sk, SOCK_DONE)))
		READ_ONCE(sk->sk_data_ready)(sk);
	return 0;
}
