// SPDX-License-Identifier: GPL-2.0
/*
 * Turns a socket into a shadow and back.
 */

#include <linux/cleanup.h>
#include <linux/fs.h>
#include <net/tcp.h>

#include "tcp_helpers.h"

/*
 * Keeps Linux from transmitting payload of a shadow. A process that slept in
 * Linux's own sendmsg() during the hand-over, or waited there for the socket's
 * lock, continues there; a throttled transmission or a timer can run late. Their
 * payload counts as sent, like all payload of a shadow, and the adapter sends it.
 */
struct toe_af_ops {
	struct inet_connection_sock_af_ops ops;
	const struct inet_connection_sock_af_ops *original;
};

/* For ipv4_specific, ipv6_specific and ipv6_mapped. */
static struct toe_af_ops toe_af_ops[3];
static DEFINE_SPINLOCK(toe_af_ops_lock);

/*
 * tcp_select_window() records the window that it has chosen as announced, even if it
 * exceeds the window field, because the next acknowledgement announces the rest. A
 * shadow sends its next one only when Linux has more to announce: record the window
 * of the segment.
 */
static void toe_note_announced(struct sock *sk, const struct sk_buff *skb)
{
	struct tcp_sock *tp = tcp_sk(sk);
	u32 announced = ntohs(tcp_hdr(skb)->window) << tp->rx_opt.rcv_wscale;

	if (unlikely(tp->rcv_wnd > announced))
		tp->rcv_wnd = announced;
}

/*
 * Whether @skb, which has no payload, only acknowledges and announces a window: a
 * keepalive probe is before snd_una.
 */
static bool toe_is_acknowledgement(const struct sock *sk, const struct sk_buff *skb)
{
	const struct tcphdr *th = tcp_hdr(skb);

	return !(th->syn | th->fin | th->rst | th->urg) &&
	       !before(ntohl(th->seq), tcp_sk(sk)->snd_una);
}

/*
 * tcp_simple_retransmit() has learned of a smaller path MTU, or a timer runs late: the
 * adapter retransmits, and the shim puts the shadow right again. The error ends
 * Linux's attempt.
 */
static int toe_refuse_retransmission(struct sock *sk, struct sk_buff *skb, u32 segs, u32 payload)
{
	struct tcp_sock *tp = tcp_sk(sk);

	WRITE_ONCE(tp->total_retrans, tp->total_retrans - segs);
	WRITE_ONCE(tp->bytes_retrans, tp->bytes_retrans - payload);
	consume_skb(skb);
	toe_call_retransmits(sk);
	return -EBUSY;
}

/*
 * Does what ip_queue_xmit() or inet6_csk_xmit() does, for segments without payload
 * that the adapter does not send. Drops the others, and sends the acknowledgement of
 * those with new payload alone.
 */
static int toe_queue_xmit(struct sock *sk, struct sk_buff *skb, struct flowi *fl)
{
	const struct toe_af_ops *ops = container_of(inet_csk(sk)->icsk_af_ops,
						    struct toe_af_ops, ops);
	u32 segs = max_t(u32, skb_shinfo(skb)->gso_segs, 1);
	u32 payload = skb->len - tcp_hdrlen(skb);
	struct tcp_sock *tp = tcp_sk(sk);

	if (likely(!payload)) {
		toe_note_announced(sk, skb);
		if (!toe_is_acknowledgement(sk, skb) || !toe_call_announce(sk))
			return ops->original->queue_xmit(sk, skb, fl);
		/* The adapter reports the segment. */
		tp->segs_out--;
		consume_skb(skb);
		return NET_XMIT_SUCCESS;
	}
	/* The adapter reports these segments. */
	tp->segs_out -= segs;
	WRITE_ONCE(tp->data_segs_out, tp->data_segs_out - segs);
	WRITE_ONCE(tp->bytes_sent, tp->bytes_sent - payload);
	if (before(ntohl(tcp_hdr(skb)->seq), tp->snd_nxt))
		return toe_refuse_retransmission(sk, skb, segs, payload);
	consume_skb(skb);
	/*
	 * The dropped segment carried the acknowledgement number and the window. Send
	 * both in a frame of their own, from which the adapter learns them. Do it now:
	 * applying the backlog first would change them.
	 */
	__tcp_send_ack(sk, tp->rcv_nxt, 0);
	return NET_XMIT_SUCCESS;
}

/*
 * Whether the numbers of a segment say that it is the peer's. tcp_validate_incoming()
 * and tcp_ack() check the rest.
 */
static bool toe_is_plausible(const struct sock *sk, const struct sk_buff *skb)
{
	const struct tcp_skb_cb *cb = TCP_SKB_CB(skb);
	const struct tcp_sock *tp = tcp_sk(sk);

	return !before(cb->end_seq, tp->rcv_nxt - tp->rcv_wnd) &&
	       !after(cb->seq, tp->rcv_nxt + tcp_receive_window(tp)) &&
	       !before(cb->ack_seq, tp->snd_una - tp->max_window) &&
	       !after(cb->ack_seq, tp->snd_nxt);
}

/*
 * TCP calls this for a segment that it processes by itself, as long as it has no route
 * for received frames: a shadow has none until a segment of the peer has come by
 * another interface than the adapter's.
 */
static void toe_sk_rx_dst_set(struct sock *sk, const struct sk_buff *skb)
{
	const struct toe_af_ops *ops = container_of(inet_csk(sk)->icsk_af_ops,
						    struct toe_af_ops, ops);
	/* A VRF has put its own index into the skb. */
	int ifindex = toe_helper_tcp_is_ipv6(sk) ? tcp_v6_sdif(skb) :
						   tcp_v4_sdif((struct sk_buff *)skb);

	if (toe_is_plausible(sk, skb) && !toe_call_received(sk, ifindex ?: skb->skb_iif))
		ops->original->sk_rx_dst_set(sk, skb);
}

/* Returns the replacement for @original, NULL for an unknown address family. */
static const struct inet_connection_sock_af_ops *
toe_af_ops_for(const struct inet_connection_sock_af_ops *original)
{
	int i;

	guard(spinlock_bh)(&toe_af_ops_lock);
	for (i = 0; i < ARRAY_SIZE(toe_af_ops); i++) {
		struct toe_af_ops *slot = &toe_af_ops[i];

		if (!slot->original) {
			slot->ops = *original;
			slot->ops.queue_xmit = toe_queue_xmit;
			slot->ops.sk_rx_dst_set = toe_sk_rx_dst_set;
			slot->original = original;
		}
		if (slot->original == original)
			return &slot->ops;
	}
	return NULL;
}

/*
 * Makes @proto the socket's protocol, and @data what it finds there; -EOPNOTSUPP for a
 * socket of an unknown kind. Locked.
 */
int toe_helper_tcp_attach(struct sock *sk, void *data, struct proto *proto,
			  int (*backlog_rcv)(struct sock *sk, struct sk_buff *skb))
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	const struct inet_connection_sock_af_ops *af_ops = toe_af_ops_for(icsk->icsk_af_ops);

	if (!af_ops)
		return -EOPNOTSUPP;
	rcu_assign_pointer(icsk->icsk_ulp_data, data);
	WRITE_ONCE(icsk->icsk_af_ops, af_ops);
	toe_tcp_forget_rx_dst(sk);
	WRITE_ONCE(sk->sk_backlog_rcv, backlog_rcv);
	/* Pairs with the barriers of toe_helper_tcp_shadow_data(). */
	smp_store_release(&sk->sk_prot, proto);
	/* tcp_set_ulp() clears this for all ULPs; this one supports it. */
	if (sk->sk_socket)
		set_bit(SOCK_SUPPORT_ZC, &sk->sk_socket->flags);
	return 0;
}

/* Makes @ops the ULP of a socket with a shadow. Locked. */
void toe_helper_tcp_publish(struct sock *sk, const struct tcp_ulp_ops *ops)
{
	WRITE_ONCE(inet_csk(sk)->icsk_ulp_ops, ops);
}

/* Undoes toe_helper_tcp_attach() and toe_helper_tcp_publish(). Locked. */
void toe_helper_tcp_detach(struct sock *sk)
{
	struct inet_connection_sock *icsk = inet_csk(sk);

	WRITE_ONCE(icsk->icsk_ulp_ops, NULL);
	/* Linux's getsockopt(TCP_ULP), which takes no lock, finds the ULP or NULL, not both. */
	smp_store_release(&sk->sk_prot, sk->sk_prot_creator);
	WRITE_ONCE(sk->sk_backlog_rcv, sk->sk_prot_creator->backlog_rcv);
	/* IPV6_ADDRFORM replaces the operations. */
	if (icsk->icsk_af_ops->queue_xmit == toe_queue_xmit)
		WRITE_ONCE(icsk->icsk_af_ops,
			   container_of(icsk->icsk_af_ops, struct toe_af_ops, ops)->original);
	rcu_assign_pointer(icsk->icsk_ulp_data, NULL);
	/* If the backlog with the return was processed by tcp_sendmsg_locked(), that goes on as Linux's. */
	if (!toe_tcp_in_repair(sk)) {
		tcp_sk(sk)->repair = 0;
		tcp_sk(sk)->repair_queue = TCP_NO_QUEUE;
	}
}

/*
 * Whether a process has the socket open: it is not being closed, does not wait to be
 * accepted, and does not belong to the kernel. Locked.
 */
bool toe_helper_sock_is_open(struct sock *sk)
{
	/*
	 * __fput() has given up the last reference before it reads sk_prot. If that was
	 * before the check, this says so; otherwise it finds the present sk_prot. It waits
	 * for the socket's lock before it frees anything.
	 */
	smp_mb();
	return sk->sk_socket && sk->sk_socket->file && file_count(sk->sk_socket->file);
}

/*
 * The data that was attached if the socket's protocol is @proto, else NULL. Locked, or
 * in an RCU read-side section.
 */
void *toe_helper_tcp_shadow_data(const struct sock *sk, const struct proto *proto)
{
	const struct inet_connection_sock *icsk = inet_csk(sk);

	void *data = rcu_dereference_check(icsk->icsk_ulp_data, true);

	/* The data is that of @proto if it was the same before and after the socket had @proto. */
	if (smp_load_acquire(&sk->sk_prot) != proto)
		return NULL;
	return data == rcu_access_pointer(icsk->icsk_ulp_data) ? data : NULL;
}

/* Whether the socket was created by AF_INET6. */
bool toe_helper_sock_is_inet6(const struct sock *sk)
{
	return sk->sk_prot_creator != &tcp_prot;
}
