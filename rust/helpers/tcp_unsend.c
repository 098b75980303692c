// SPDX-License-Identifier: GPL-2.0
/*
 * Moves payload that the adapter has not sent from the retransmit queue of a
 * returned connection back to the write queue.
 */

#include <linux/skbuff.h>
#include <linux/skbuff_ref.h>
#include <net/proto_memory.h>
#include <net/tcp.h>

#include "tcp_helpers.h"

/*
 * Does what tcp_tso_acked() and tcp_trim_head() do, for skbs without linear data:
 * removes acknowledged payload from the first skb of the retransmit queue. Linux's
 * accounting assumes that the queue begins at snd_una.
 */
void toe_tcp_trim_acked(struct sock *sk)
{
	struct sk_buff *skb = tcp_rtx_queue_head(sk);
	struct tcp_sock *tp = tcp_sk(sk);
	struct skb_shared_info *shinfo;
	u32 len, eat, delta, truesize;
	int i, segments, kept = 0;

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

	segments = tcp_skb_pcount(skb);
	toe_tcp_set_segments(sk, skb);
	segments -= min_t(int, segments, tcp_skb_pcount(skb));
	tp->packets_out -= min_t(u32, tp->packets_out, segments);
}

/*
 * Does what tcp_fragment() does, for skbs of the retransmit queue without linear
 * data: keeps @len bytes in @skb and returns a new skb with the rest, which is not
 * queued; NULL without memory.
 */
static struct sk_buff *toe_cut(struct sock *sk, struct sk_buff *skb, u32 len)
{
	struct sk_buff *rest;
	u32 rest_len, truesize = skb->truesize;

	if (skb_headlen(skb) || skb_unclone(skb, GFP_ATOMIC))
		return NULL;
	/* skb_unclone() has replaced the head if a transmit queue still holds a clone. */
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

	toe_tcp_set_segments(sk, skb);
	__skb_header_release(rest);
	return rest;
}

/* Undoes what tcp_event_new_data_sent() and tcp_update_skb_after_send() did to @skb. */
static void toe_queue_unsent(struct sock *sk, struct sk_buff *skb)
{
	TCP_SKB_CB(skb)->sacked = 0;
	tcp_skb_pcount_set(skb, 0);
	skb->tstamp = 0;
	INIT_LIST_HEAD(&skb->tcp_tsorted_anchor);
	__skb_queue_head(&sk->sk_write_queue, skb);
}

/*
 * Moves payload from @snd_nxt on from the retransmit queue back to the write queue.
 * Without memory to split an skb, the rest of that skb counts as sent and lost.
 * Locked.
 */
void toe_helper_tcp_unsend(struct sock *sk, u32 snd_nxt)
{
	struct tcp_sock *tp = tcp_sk(sk);
	struct sk_buff *skb;

	toe_tcp_forget_losses(sk);
	toe_tcp_trim_acked(sk);
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
	/*
	 * The adapter decides on segment sizes and on the time of transmission. Until here
	 * packets_out was an estimate, and the stamp of an skb was the time of the write:
	 * RACK and tcp_rearm_rto() would take what waited in the adapter for overdue.
	 */
	tcp_mstamp_refresh_inline(tp);
	tp->packets_out = 0;
	skb_rbtree_walk(skb, &sk->tcp_rtx_queue) {
		tp->packets_out += tcp_skb_pcount(skb);
		skb_set_delivery_time(skb, tp->tcp_clock_cache, SKB_CLOCK_MONOTONIC);
	}
}
