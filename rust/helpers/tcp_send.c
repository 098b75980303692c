// SPDX-License-Identifier: GPL-2.0
/*
 * The send side of the shadow socket.
 *
 * While the adapter carries a connection every byte that the application has
 * written stands in the retransmit queue, snd_nxt is write_seq, and the write
 * queue is empty whenever the socket is not locked.
 */

#include <linux/skbuff.h>
#include <linux/skbuff_ref.h>
#include <net/proto_memory.h>
#include <net/tcp.h>

#include "tcp_helpers.h"

/* tcp_rbtree_insert() for an skb that comes after all others. */
static void toe_rtx_append(struct sock *sk, struct sk_buff *skb)
{
	struct rb_node **link = &sk->tcp_rtx_queue.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = &parent->rb_right;
	}
	rb_link_node(&skb->rbnode, parent, link);
	rb_insert_color(&skb->rbnode, &sk->tcp_rtx_queue);
}

/* tcp_set_skb_tso_segs() */
static void toe_set_segments(struct sock *sk, struct sk_buff *skb)
{
	u32 mss = tcp_sk(sk)->mss_cache, segs = DIV_ROUND_UP(skb->len, mss);

	tcp_skb_pcount_set(skb, segs);
	TCP_SKB_CB(skb)->tcp_gso_size = segs > 1 ? mss : 0;
}

/*
 * Moves what waits in the write queue to the retransmit queue, as
 * tcp_event_new_data_sent() does. Locked.
 */
void toe_helper_tcp_entail(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);
	struct sk_buff *skb;

	while ((skb = tcp_send_head(sk))) {
		if (TCP_SKB_CB(skb)->end_seq == TCP_SKB_CB(skb)->seq)
			break;
		toe_set_segments(sk, skb);
		TCP_SKB_CB(skb)->sacked |= TCPCB_REPAIRED;
		skb_set_delivery_time(skb, tp->tcp_clock_cache, SKB_CLOCK_MONOTONIC);
		list_move_tail(&skb->tcp_tsorted_anchor, &tp->tsorted_sent_queue);
		__skb_unlink(skb, &sk->sk_write_queue);
		toe_rtx_append(sk, skb);
		WRITE_ONCE(tp->snd_nxt, TCP_SKB_CB(skb)->end_seq);
		if (!tp->highest_sack)
			tp->highest_sack = skb;
		tp->packets_out += tcp_skb_pcount(skb);
	}
	inet_csk_clear_xmit_timer(sk, ICSK_TIME_RETRANS);
}

/*
 * Takes up to @size bytes of @msg into the shadow without sleeping and without
 * sending: in repair mode tcp_write_xmit() moves each skb to the retransmit
 * queue and no more. Bytes, or an error as sendmsg() has it. Locked, by a
 * process.
 */
int toe_helper_tcp_sendmsg_shadow(struct sock *sk, struct msghdr *msg, size_t size)
{
	size_t left = msg_data_left(msg), rest = 0;
	struct tcp_sock *tp = tcp_sk(sk);
	unsigned int flags = msg->msg_flags;
	int ret;

	if (size < left) {
		/* Below 16 skbs: tcp_sendmsg_locked() leaves the backlog alone. */
		rest = left - size;
		iov_iter_truncate(&msg->msg_iter, size);
		msg->msg_flags |= MSG_MORE;
	}
	msg->msg_flags |= MSG_DONTWAIT;

	tp->repair = 1;
	tp->repair_queue = TCP_SEND_QUEUE;
	ret = tcp_sendmsg_locked(sk, msg, min(size, left));
	tp->repair = 0;
	tp->repair_queue = TCP_NO_QUEUE;

	msg->msg_flags = flags;
	if (rest)
		iov_iter_reexpand(&msg->msg_iter, msg_data_left(msg) + rest);
	/* Autocorking may have left the last skb. */
	toe_helper_tcp_entail(sk);
	if (ret > 0)
		tp->lsndtime = tcp_jiffies32;
	return ret;
}

/* The skb of the retransmit queue that holds @seq. */
static struct sk_buff *toe_rtx_find(struct sock *sk, u32 seq)
{
	struct rb_node *node = sk->tcp_rtx_queue.rb_node;

	while (node) {
		struct sk_buff *skb = rb_to_skb(node);

		if (before(seq, TCP_SKB_CB(skb)->seq))
			node = node->rb_left;
		else if (!before(seq, TCP_SKB_CB(skb)->end_seq))
			node = node->rb_right;
		else
			return skb;
	}
	return NULL;
}

/*
 * Lists the pieces of memory that hold the payload from @seq on, at most @max
 * of them. Returns their number, -EOPNOTSUPP for payload that is not in pages.
 * The pages are the skbs': hold them before the socket is unlocked. Locked.
 */
int toe_helper_tcp_fragments(struct sock *sk, u32 seq, skb_frag_t *out, int max)
{
	struct sk_buff *skb = toe_rtx_find(sk, seq);
	u32 skip = skb ? seq - TCP_SKB_CB(skb)->seq : 0;
	int i, n = 0;

	for (; skb && n < max; skb = skb_rb_next(skb), skip = 0) {
		if (skb_headlen(skb) || !skb_frags_readable(skb))
			return n ?: -EOPNOTSUPP;
		for (i = 0; i < skb_shinfo(skb)->nr_frags && n < max; i++) {
			const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

			if (skip >= skb_frag_size(frag)) {
				skip -= skb_frag_size(frag);
				continue;
			}
			out[n] = *frag;
			skb_frag_off_add(&out[n], skip);
			skb_frag_size_sub(&out[n], skip);
			skip = 0;
			n++;
		}
	}
	return n;
}

/* tcp_should_expand_sndbuf() and tcp_sndbuf_expand() */
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

static void toe_free_acked(struct sock *sk, u32 snd_una)
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
	if (!freed)
		return;
	if (tcp_rtx_and_write_queues_empty(sk))
		tcp_chrono_set(tp, TCP_CHRONO_UNSPEC);
	/* tcp_check_space() */
	smp_mb();
	if (sk->sk_socket && test_bit(SOCK_NOSPACE, &sk->sk_socket->flags)) {
		toe_sndbuf_expand(sk);
		READ_ONCE(sk->sk_write_space)(sk);
	}
}

/*
 * Brings the send side to where the adapter says it is. snd_una must lie
 * between the socket's snd_una and snd_nxt. Locked.
 */
void toe_helper_tcp_acked(struct sock *sk, const struct toe_tcp_progress *p)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	struct tcp_sock *tp = tcp_sk(sk);

	tcp_mstamp_refresh_inline(tp);
	tp->rcv_tstamp = tcp_jiffies32;
	WRITE_ONCE(icsk->icsk_probes_out, 0);

	tp->snd_wnd = p->snd_wnd;
	tp->max_window = max(tp->max_window, p->snd_wnd);
	tcp_snd_cwnd_set(tp, clamp_t(u32, p->cwnd, 1, tp->snd_cwnd_clamp));
	tp->snd_ssthresh = min_t(u32, p->ssthresh, TCP_INFINITE_SSTHRESH);
	if (p->srtt_us) {
		WRITE_ONCE(tp->srtt_us, min(p->srtt_us, U32_MAX >> 3) << 3);
		tp->mdev_us = min(p->rttvar_us, U32_MAX >> 2) << 2;
		tp->rttvar_us = max(tp->mdev_us, tcp_rto_min_us(sk));
		if (!tp->rcv_rtt_est.rtt_us || tp->srtt_us < tp->rcv_rtt_est.rtt_us)
			tp->rcv_rtt_est.rtt_us = tp->srtt_us;
		icsk->icsk_rto = clamp_t(u32, usecs_to_jiffies(p->rto_us), 1, tcp_rto_max(sk));
	}
	if (p->min_rtt_us != U32_MAX)
		minmax_reset(&tp->rtt_min, tcp_jiffies32, p->min_rtt_us);

	WRITE_ONCE(tp->total_retrans, tp->total_retrans + p->retransmits);
	tp->bytes_retrans += p->bytes_retransmitted;
	tp->bytes_sent += p->bytes_sent + p->bytes_retransmitted;
	tp->segs_out += p->segs_out;
	WRITE_ONCE(tp->segs_in, tp->segs_in + p->segs_in);
	WRITE_ONCE(tp->delivered, tp->delivered + p->delivered);

	if (after(p->snd_una, tp->snd_una)) {
		if (before(tp->snd_up, p->snd_una))
			tp->snd_up = p->snd_una;
		tp->bytes_acked += p->snd_una - tp->snd_una;
		WRITE_ONCE(tp->snd_una, p->snd_una);
		WRITE_ONCE(icsk->icsk_retransmits, 0);
		if (READ_ONCE(sk->sk_err_soft))
			WRITE_ONCE(sk->sk_err_soft, 0);
		sk_dst_confirm(sk);
		toe_free_acked(sk, p->snd_una);
	}
}

/*
 * tcp_tso_acked(): takes what is acknowledged off the first skb of the retransmit
 * queue. Linux's accounts assume that this has been done.
 */
static void toe_trim_acked(struct sock *sk)
{
	struct sk_buff *skb = tcp_rtx_queue_head(sk);
	struct tcp_sock *tp = tcp_sk(sk);
	struct skb_shared_info *shinfo;
	u32 len, eat, delta, truesize;
	int i, kept = 0;

	if (!skb || !before(TCP_SKB_CB(skb)->seq, tp->snd_una))
		return;
	len = eat = tp->snd_una - TCP_SKB_CB(skb)->seq;
	if (len >= skb->len || skb_headlen(skb))
		return;
	truesize = skb->truesize;
	if (skb_unclone(skb, GFP_ATOMIC))
		return;
	sk_wmem_queued_add(sk, skb->truesize - truesize);
	sk_mem_charge(sk, skb->truesize - truesize);
	shinfo = skb_shinfo(skb);
	for (i = 0; i < shinfo->nr_frags; i++) {
		u32 size = skb_frag_size(&shinfo->frags[i]);

		if (size <= eat) {
			skb_frag_unref(skb, i);
			eat -= size;
			continue;
		}
		shinfo->frags[kept] = shinfo->frags[i];
		skb_frag_off_add(&shinfo->frags[kept], eat);
		skb_frag_size_sub(&shinfo->frags[kept], eat);
		eat = 0;
		kept++;
	}
	shinfo->nr_frags = kept;
	skb->data_len -= len;
	skb->len -= len;
	TCP_SKB_CB(skb)->seq += len;

	delta = min_t(u32, len, skb->truesize - SKB_TRUESIZE(skb_end_offset(skb)));
	skb->truesize -= delta;
	sk_wmem_queued_add(sk, -(int)delta);
	if (!skb_zcopy_pure(skb))
		sk_mem_uncharge(sk, delta);

	toe_set_segments(sk, skb);
}

/* tcp_fragment(): cuts @len bytes off the front of @skb, of the retransmit queue. */
static struct sk_buff *toe_cut(struct sock *sk, struct sk_buff *skb, u32 len)
{
	struct sk_buff *rest;
	u32 rest_len, truesize = skb->truesize;

	if (skb_headlen(skb) || skb_unclone(skb, GFP_ATOMIC))
		return NULL;
	/* A clone that the transmit queue still holds makes the head a new one. */
	sk_wmem_queued_add(sk, skb->truesize - truesize);
	sk_mem_charge(sk, skb->truesize - truesize);
	rest = alloc_skb_fclone(MAX_TCP_HEADER, GFP_ATOMIC);
	if (!rest)
		return NULL;
	rest->truesize = SKB_TRUESIZE(skb_end_offset(rest));
	skb_reserve(rest, MAX_TCP_HEADER);
	rest->ip_summed = CHECKSUM_PARTIAL;
	INIT_LIST_HEAD(&rest->tcp_tsorted_anchor);
	skb_copy_decrypted(rest, skb);
	sk_wmem_queued_add(sk, rest->truesize);
	sk_mem_charge(sk, rest->truesize);

	rest_len = skb->len - len;
	rest->truesize += rest_len;
	skb->truesize -= rest_len;

	*TCP_SKB_CB(rest) = *TCP_SKB_CB(skb);
	TCP_SKB_CB(rest)->seq += len;
	TCP_SKB_CB(skb)->end_seq = TCP_SKB_CB(rest)->seq;
	TCP_SKB_CB(skb)->tcp_flags &= ~(TCPHDR_FIN | TCPHDR_PSH);
	TCP_SKB_CB(skb)->eor = 0;
	skb_split(skb, rest, len);

	toe_set_segments(sk, skb);
	__skb_header_release(rest);
	return rest;
}

static void toe_queue_unsent(struct sock *sk, struct sk_buff *skb)
{
	TCP_SKB_CB(skb)->sacked = 0;
	tcp_skb_pcount_set(skb, 0);
	skb->tstamp = 0;
	INIT_LIST_HEAD(&skb->tcp_tsorted_anchor);
	__skb_queue_head(&sk->sk_write_queue, skb);
}

/*
 * Forgets what Linux believes of losses. It learns of them from frames that it
 * was given about the time of a hand-over, but the adapter frees and cuts the
 * packets that its accounts stand for. Locked.
 */
void toe_helper_tcp_forget_losses(struct sock *sk)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	struct tcp_sock *tp = tcp_sk(sk);
	struct sk_buff *skb;

	if (icsk->icsk_ca_state == TCP_CA_Open && !tp->sacked_out && !tp->lost_out &&
	    !tp->retrans_out)
		return;
	tp->sacked_out = 0;
	tp->lost_out = 0;
	tp->retrans_out = 0;
	tp->retrans_stamp = 0;
	tp->undo_marker = 0;
	tp->undo_retrans = 0;
	tp->tlp_high_seq = 0;
	tp->is_sack_reneg = 0;
	tp->frto = 0;
	tp->highest_sack = NULL;
	tcp_clear_all_retrans_hints(tp);
	/* What is lost does not stand in the list of what was sent, by time. */
	INIT_LIST_HEAD(&tp->tsorted_sent_queue);
	skb_rbtree_walk(skb, &sk->tcp_rtx_queue) {
		/* Of these no round trip can be told. */
		TCP_SKB_CB(skb)->sacked &= TCPCB_EVER_RETRANS | TCPCB_REPAIRED;
		list_add_tail(&skb->tcp_tsorted_anchor, &tp->tsorted_sent_queue);
	}
	icsk->icsk_ca_state = TCP_CA_Open;
}

/*
 * Makes what begins at or after @snd_nxt unsent again. When there is no memory to
 * cut an skb in two the rest of it counts as sent and lost. Locked.
 */
void toe_helper_tcp_unsend(struct sock *sk, u32 snd_nxt)
{
	struct tcp_sock *tp = tcp_sk(sk);
	struct sk_buff *skb;

	toe_helper_tcp_forget_losses(sk);
	toe_trim_acked(sk);
	while ((skb = tcp_rtx_queue_tail(sk)) && after(TCP_SKB_CB(skb)->end_seq, snd_nxt)) {
		struct sk_buff *unsent = skb;

		if (before(TCP_SKB_CB(skb)->seq, snd_nxt)) {
			unsent = toe_cut(sk, skb, snd_nxt - TCP_SKB_CB(skb)->seq);
			if (unsent)
				toe_queue_unsent(sk, unsent);
			break;
		}
		list_del(&skb->tcp_tsorted_anchor);
		tcp_rtx_queue_unlink(skb, sk);
		toe_queue_unsent(sk, skb);
	}
	skb = tcp_rtx_queue_tail(sk);
	WRITE_ONCE(tp->snd_nxt, skb ? TCP_SKB_CB(skb)->end_seq : tp->snd_una);
	/* The adapter cuts segments as it likes; from here on Linux's count is exact again. */
	tp->packets_out = 0;
	skb_rbtree_walk(skb, &sk->tcp_rtx_queue)
		tp->packets_out += tcp_skb_pcount(skb);
}

/*
 * What only counts once the connection is Linux's again. toe_helper_tcp_unsend()
 * comes first. Locked.
 */
void toe_helper_tcp_returned(struct sock *sk, const struct toe_tcp_return *r)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	struct tcp_sock *tp = tcp_sk(sk);

	tp->snd_wl1 = r->snd_wl1;
	tp->max_window = max(tp->max_window, r->max_window);
	tp->reordering = clamp_t(u32, r->reordering, tp->reordering,
				 READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_max_reordering));
	icsk->icsk_backoff = min(r->backoff, 15U);
	tp->data_segs_in += r->data_segs_in;
	tp->data_segs_out += r->data_segs_out;
	tp->dsack_dups += r->duplicates;
	tp->rcv_ooopack += r->out_of_order;
	if (r->has_ts_recent && tp->rx_opt.tstamp_ok) {
		tp->rx_opt.ts_recent = r->ts_recent;
		tp->rx_opt.ts_recent_stamp = ktime_get_seconds();
	}
	if (r->ecn_echo)
		tp->ecn_flags |= TCP_ECN_DEMAND_CWR;
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
 * Sends what can be sent and starts the timers, through what release_sock()
 * runs. Locked; without an owner, the caller holds the spinlock and calls
 * sk_prot->release_cb() itself.
 */
void toe_helper_tcp_resume(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);

	if (sk->sk_state != TCP_ESTABLISHED)
		return;
	if (tp->packets_out)
		inet_csk_reset_xmit_timer(sk, ICSK_TIME_RETRANS, inet_csk(sk)->icsk_rto, false);
	else if (!tcp_write_queue_empty(sk))
		inet_csk_reset_xmit_timer(sk, ICSK_TIME_PROBE0, inet_csk(sk)->icsk_rto, false);
	if (!test_and_set_bit(TCP_TSQ_DEFERRED, &sk->sk_tsq_flags))
		sock_hold(sk);
	set_bit(TCP_ACK_DEFERRED, &sk->sk_tsq_flags);
	if (!sock_owned_by_user(sk))
		sk->sk_prot->release_cb(sk);
}
