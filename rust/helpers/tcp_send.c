// SPDX-License-Identifier: GPL-2.0
/*
 * Queues payload of a shadow socket in its retransmit queue, and lists the pages
 * that hold it.
 *
 * While the adapter carries a connection every byte that the application has
 * written is in the retransmit queue, snd_nxt equals write_seq, and the write
 * queue is empty whenever the socket is not locked.
 */

#include <linux/skbuff.h>
#include <net/tcp.h>

#include "tcp_helpers.h"

/* Does what tcp_rbtree_insert() does, for an skb that follows all others. */
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

/* Does what tcp_set_skb_tso_segs() does. */
void toe_tcp_set_segments(const struct sock *sk, struct sk_buff *skb)
{
	u32 mss = tcp_sk(sk)->mss_cache, segs = DIV_ROUND_UP(skb->len, mss);

	tcp_skb_pcount_set(skb, segs);
	TCP_SKB_CB(skb)->tcp_gso_size = segs > 1 ? mss : 0;
}

/*
 * Does what tcp_event_new_data_sent() does, for the whole write queue, without
 * starting the retransmission timer. Locked.
 */
void toe_helper_tcp_entail(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);
	struct sk_buff *skb;

	while ((skb = tcp_send_head(sk))) {
		if (TCP_SKB_CB(skb)->end_seq == TCP_SKB_CB(skb)->seq)
			break;
		toe_tcp_set_segments(sk, skb);
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
 * Does what tcp_sendmsg_locked() does, for up to @size bytes of @msg, without
 * sleeping and without transmitting: in repair mode tcp_write_xmit() only moves
 * each skb to the retransmit queue. After 16 skbs tcp_sendmsg_locked() processes the
 * backlog: if the connection returns there, the rest is sent by Linux. Returns the
 * number of bytes or an error of sendmsg(). Locked, by a process.
 */
int toe_helper_tcp_sendmsg_shadow(struct sock *sk, struct msghdr *msg, size_t size)
{
	size_t left = msg_data_left(msg), rest = 0;
	struct tcp_sock *tp = tcp_sk(sk);
	unsigned int flags = msg->msg_flags;
	int ret;

	if (size < left) {
		rest = left - size;
		iov_iter_truncate(&msg->msg_iter, size);
		msg->msg_flags |= MSG_MORE;
		msg->msg_flags &= ~MSG_EOR;
	}
	msg->msg_flags |= MSG_DONTWAIT;

	tp->repair = 1;
	tp->repair_queue = TCP_SEND_QUEUE;
	ret = tcp_sendmsg_locked(sk, msg, min(size, left));
	msg->msg_flags = flags;
	if (rest)
		iov_iter_reexpand(&msg->msg_iter, msg_data_left(msg) + rest);
	/* toe_helper_tcp_detach() ends repair mode, too. */
	if (tp->repair) {
		tp->repair = 0;
		tp->repair_queue = TCP_NO_QUEUE;
		/* Autocorking may have left the last skb. */
		toe_helper_tcp_entail(sk);
	}
	if (ret > 0)
		tp->lsndtime = tcp_jiffies32;
	return ret;
}

/* Does what tcp_sacktag_bsearch() does. */
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
 * Returns the acknowledgement number that makes the socket writeable again, see
 * sk_stream_is_writeable(), or an earlier one if there are many skbs. Returns write_seq
 * if it is writeable. Locked.
 */
u32 toe_helper_tcp_room_seq(struct sock *sk)
{
	int excess = sk->sk_wmem_queued - sk->sk_sndbuf / 3 * 2;
	struct sk_buff *skb = tcp_rtx_queue_head(sk);
	u32 seq = tcp_sk(sk)->write_seq;
	int n;

	for (n = 0; skb && excess > 0 && n < 64; skb = skb_rb_next(skb), n++) {
		excess -= skb->truesize;
		seq = TCP_SKB_CB(skb)->end_seq;
	}
	return seq;
}

/*
 * Does what skb_to_sgvec() does, for the skbs of the retransmit queue: lists at
 * most @max page fragments with the payload from @seq on, up to the end of a record
 * (@ends_record). Returns their number, -EOPNOTSUPP for payload that is not in
 * readable pages. The skbs own the pages: a caller that needs them after unlocking
 * takes references. Locked.
 */
int toe_helper_tcp_fragments(struct sock *sk, u32 seq, skb_frag_t *out, int max,
			     bool *ends_record)
{
	struct sk_buff *skb = toe_rtx_find(sk, seq);
	u32 skip = skb ? seq - TCP_SKB_CB(skb)->seq : 0;
	int i, n = 0;

	*ends_record = false;
	for (; skb && n < max && !*ends_record; skb = skb_rb_next(skb), skip = 0) {
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
		*ends_record = TCP_SKB_CB(skb)->eor && i == skb_shinfo(skb)->nr_frags;
	}
	return n;
}
