// SPDX-License-Identifier: GPL-2.0
/*
 * Backlog entries: completions that arrive while a process owns the socket wait in
 * the socket's backlog, in order with frames. Such an entry has a protocol that no
 * TCP segment has, and flags that tcp_add_backlog() does not coalesce.
 */

#include <linux/if_ether.h>
#include <linux/skbuff.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "tcp_helpers.h"

#define TOE_BACKLOG_PROTOCOL	htons(ETH_P_CUST)

/* Makes @skb an entry of @kind, or changes its kind. */
void toe_helper_backlog_entry_set_kind(struct sk_buff *skb, unsigned int kind)
{
	skb->protocol = TOE_BACKLOG_PROTOCOL;
	skb->mark = kind;
}

struct sk_buff *toe_helper_alloc_backlog_entry(unsigned int kind, bool atomic)
{
	struct sk_buff *skb = alloc_skb(MAX_TCP_HEADER,
					atomic ? GFP_ATOMIC | __GFP_NOWARN : GFP_KERNEL);

	if (!skb)
		return NULL;
	toe_helper_backlog_entry_set_kind(skb, kind);
	TCP_SKB_CB(skb)->tcp_flags = TCPHDR_RST;
	return skb;
}

/* Returns the kind of an entry, -1 for a frame. */
int toe_helper_backlog_entry_kind(const struct sk_buff *skb)
{
	return skb->protocol == TOE_BACKLOG_PROTOCOL ? (int)skb->mark : -1;
}

/* Exceeds the backlog limit if necessary: the peer has the acknowledgement already. */
void toe_helper_backlog_entry_add(struct sock *sk, struct sk_buff *skb)
{
	lockdep_assert_held(&sk->sk_lock.slock);
	__sk_add_backlog(sk, skb);
	sk->sk_backlog.len += skb->truesize;
}

/*
 * Adds an entry with payload as toe_helper_backlog_entry_add() does, to that before it
 * if possible: the process may own the socket for long.
 */
void toe_helper_backlog_payload_add(struct sock *sk, struct sk_buff *skb)
{
	struct sk_buff *tail = sk->sk_backlog.tail;
	int delta;

	lockdep_assert_held(&sk->sk_lock.slock);
	if (tail && tail->protocol == skb->protocol && tail->mark == skb->mark) {
		if (toe_tcp_try_coalesce(tail, skb, &delta)) {
			sk->sk_backlog.len += delta;
			return;
		}
		skb = toe_tcp_make_room(tail, skb);
	}
	toe_helper_backlog_entry_add(sk, skb);
}

/* Stores a sequence number and another number in an entry. */
void toe_helper_backlog_entry_set_seq(struct sk_buff *skb, u32 seq, u32 round)
{
	TCP_SKB_CB(skb)->seq = seq;
	TCP_SKB_CB(skb)->end_seq = round;
}

void toe_helper_backlog_entry_seq(const struct sk_buff *skb, u32 *seq, u32 *round)
{
	*seq = TCP_SKB_CB(skb)->seq;
	*round = TCP_SKB_CB(skb)->end_seq;
}

/* Changes the numbers of the last entry if it is of @kind. Returns whether it is. */
bool toe_helper_backlog_entry_replace(struct sock *sk, unsigned int kind, u32 seq, u32 round)
{
	struct sk_buff *skb = sk->sk_backlog.tail;

	lockdep_assert_held(&sk->sk_lock.slock);
	if (!skb || toe_helper_backlog_entry_kind(skb) != (int)kind)
		return false;
	toe_helper_backlog_entry_set_seq(skb, seq, round);
	return true;
}

/*
 * Does what tcp_add_backlog() does, without coalescing. An error leaves @skb to the
 * caller: the peer sends the payload again.
 */
int toe_helper_backlog_frame_add(struct sock *sk, struct sk_buff *skb)
{
	u64 limit = ((u64)READ_ONCE(sk->sk_rcvbuf) << 1) + (READ_ONCE(sk->sk_sndbuf) >> 1) + SZ_64K;
	int ret;

	lockdep_assert_held(&sk->sk_lock.slock);
	ret = sk_add_backlog(sk, skb, min_t(u64, limit, UINT_MAX));
	if (ret)
		NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPBACKLOGDROP);
	return ret;
}
