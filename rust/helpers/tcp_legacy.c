// SPDX-License-Identifier: GPL-2.0
/*
 * Frames that Linux's TCP receives for a shadow socket. The adapter handles
 * acknowledgements, windows and losses of the send side; only the payload is new.
 */

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <net/inet_ecn.h>
#include <net/tcp.h>

#include "tcp_helpers.h"

/* Does what ip_rcv() and ip_local_deliver() do. Returns the header length, 0 if invalid. */
static unsigned int toe_pull_ipv4(struct sk_buff *skb)
{
	const struct iphdr *iph;

	if (!pskb_may_pull(skb, sizeof(*iph)))
		return 0;
	iph = ip_hdr(skb);
	if (iph->ihl * 4 != sizeof(*iph) || iph->protocol != IPPROTO_TCP ||
	    ip_is_fragment(iph) || pskb_trim_rcsum(skb, iph_totlen(skb, iph)))
		return 0;
	memset(&TCP_SKB_CB(skb)->header.h4, 0, sizeof(struct inet_skb_parm));
	TCP_SKB_CB(skb)->header.h4.iif = skb->skb_iif;
	TCP_SKB_CB(skb)->ip_dsfield = ipv4_get_dsfield(iph);
	return sizeof(*iph);
}

/* Does what ipv6_rcv() and ip6_input() do. Returns the header length, 0 if invalid. */
static unsigned int toe_pull_ipv6(struct sk_buff *skb)
{
	const struct ipv6hdr *hdr;

	if (!pskb_may_pull(skb, sizeof(*hdr)))
		return 0;
	hdr = ipv6_hdr(skb);
	if (hdr->nexthdr != IPPROTO_TCP ||
	    pskb_trim_rcsum(skb, sizeof(*hdr) + ipv6_payload_len(skb, hdr)))
		return 0;
#if IS_ENABLED(CONFIG_IPV6)
	memset(&TCP_SKB_CB(skb)->header.h6, 0, sizeof(struct inet6_skb_parm));
	TCP_SKB_CB(skb)->header.h6.iif = skb->skb_iif;
	TCP_SKB_CB(skb)->header.h6.nhoff = offsetof(struct ipv6hdr, nexthdr);
#endif
	TCP_SKB_CB(skb)->ip_dsfield = ipv6_get_dsfield(hdr);
	return sizeof(*hdr);
}

/*
 * Does what tcp_v4_rcv() and tcp_v6_rcv() do before they look the socket up, with a
 * frame whose Ethernet header was pulled and whose checksums the adapter has
 * verified. Makes it a backlog entry of @kind. Returns false if it is not a TCP
 * segment, has IP options, is a fragment, or is shorter than it claims.
 */
static bool toe_prepare(struct sk_buff *skb, unsigned int kind)
{
	struct tcp_skb_cb *cb = TCP_SKB_CB(skb);
	const struct tcphdr *th;
	unsigned int header;

	skb_reset_network_header(skb);
	skb->skb_iif = skb->dev->ifindex;
	memset(cb, 0, sizeof(*cb));
	switch (skb->protocol) {
	case htons(ETH_P_IP):
		header = toe_pull_ipv4(skb);
		break;
	case htons(ETH_P_IPV6):
		header = toe_pull_ipv6(skb);
		break;
	default:
		return false;
	}
	if (!header || !pskb_may_pull(skb, header + sizeof(*th)))
		return false;
	__skb_pull(skb, header);
	skb_reset_transport_header(skb);
	th = tcp_hdr(skb);
	if (th->doff * 4 < sizeof(*th) || !pskb_may_pull(skb, th->doff * 4))
		return false;
	th = tcp_hdr(skb);
	cb->seq = ntohl(th->seq);
	cb->end_seq = cb->seq + th->syn + th->fin + skb->len - th->doff * 4;
	cb->ack_seq = ntohl(th->ack_seq);
	/* tcp_add_backlog() does not coalesce with RST. */
	cb->tcp_flags = tcp_flags_ntohs(th) | TCPHDR_RST;
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->dev = NULL;
	toe_helper_backlog_entry_set_kind(skb, kind);
	return true;
}

/*
 * Makes a received frame a backlog entry of @kind. Returns false, and counts the frame
 * as dropped by the interface, if it is not a TCP segment for a socket: an XDP program
 * may have changed it.
 */
bool toe_helper_tcp_frame_prepare(struct sk_buff *skb, unsigned int kind)
{
	struct net_device *dev = skb->dev;

	if (toe_prepare(skb, kind))
		return true;
	dev_core_stats_rx_dropped_inc(dev);
	return false;
}

/* Makes a backlog entry a frame again. */
void toe_helper_tcp_frame_restore(struct sk_buff *skb)
{
	struct tcp_skb_cb *cb = TCP_SKB_CB(skb);

	skb->protocol = ip_hdr(skb)->version == 4 ? htons(ETH_P_IP) : htons(ETH_P_IPV6);
	skb->mark = 0;
	cb->tcp_flags = tcp_flags_ntohs(tcp_hdr(skb));
}

/* Returns the first option of @kind, NULL if there is none. */
static u8 *toe_find_option(struct tcphdr *th, u8 kind)
{
	u8 *option = (u8 *)(th + 1), *end = (u8 *)th + th->doff * 4;

	while (option < end && *option != TCPOPT_EOL) {
		if (*option == TCPOPT_NOP) {
			option++;
			continue;
		}
		if (option + 1 >= end || option[1] < 2 || option + option[1] > end)
			break;
		if (*option == kind)
			return option;
		option += option[1];
	}
	return NULL;
}

/* Overwrites SACK options, by which Linux would mark losses. */
static void toe_remove_sack(struct tcphdr *th)
{
	u8 *sack;

	while ((sack = toe_find_option(th, TCPOPT_SACK)))
		memset(sack, TCPOPT_NOP, sack[1]);
}

/*
 * Does what tcp_send_dupack() does for a frame without payload that is not in the
 * window, for example a probe of a closed window.
 */
static void toe_answer(struct sock *sk, const struct tcp_skb_cb *cb)
{
	u32 interval = READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_invalid_ratelimit);
	struct tcp_sock *tp = tcp_sk(sk);

	if (!before(cb->seq, tp->rcv_nxt) &&
	    !after(cb->seq, tp->rcv_nxt + tcp_receive_window(tp)))
		return;
	if (tp->last_oow_ack_time && tcp_jiffies32 - tp->last_oow_ack_time < interval)
		return;
	tp->last_oow_ack_time = tcp_jiffies32;
	__tcp_send_ack(sk, tp->rcv_nxt, 0);
}

/*
 * Does what tcp_v4_do_rcv() or tcp_v6_do_rcv() does with a legacy frame, as far as it
 * concerns received payload. Acknowledgement, SACK, window, ECN echo and timestamp
 * have no effect: the adapter has checked and used them. Consumes @skb. Locked.
 */
void toe_helper_tcp_frame_receive(struct sock *sk, struct sk_buff *skb)
{
	struct tcphdr *th = (struct tcphdr *)skb->data;
	struct tcp_skb_cb *cb = TCP_SKB_CB(skb);
	struct tcp_sock *tp = tcp_sk(sk);
	u32 snd_wnd = tp->snd_wnd, snd_wl1 = tp->snd_wl1, max_window = tp->max_window;
	u32 ts_recent = tp->rx_opt.ts_recent;

	/* The adapter returns the connection for these. */
	if (th->syn || th->rst || th->fin || th->urg || sk->sk_state != TCP_ESTABLISHED) {
		kfree_skb(skb);
		return;
	}
	/* tcp_inbound_hash() */
	if (toe_find_option(th, TCPOPT_MD5SIG) || toe_find_option(th, TCPOPT_AO)) {
		NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPMD5UNEXPECTED);
		kfree_skb(skb);
		return;
	}
	/* It would count as a duplicate acknowledgement. */
	if (cb->end_seq == cb->seq) {
		toe_answer(sk, cb);
		consume_skb(skb);
		return;
	}
	toe_tcp_timestamp(sk, skb);
	toe_tcp_trim_acked(sk);
	cb->ack_seq = tp->snd_una;
	cb->tcp_flags &= ~TCPHDR_ECE;
	th->ece = 0;
	toe_remove_sack(th);
	/* tcp_paws_check() accepts any timestamp after 0. */
	tp->rx_opt.ts_recent = 0;
	sk->sk_prot_creator->backlog_rcv(sk, skb);
	tp->rx_opt.ts_recent = ts_recent;
	/* tcp_ack_update_window() believes any frame with payload. */
	tp->snd_wnd = snd_wnd;
	tp->snd_wl1 = snd_wl1;
	tp->max_window = max_window;
	/* The adapter sees all marks and echoes them. */
	tp->ecn_flags &= ~TCP_ECN_DEMAND_CWR;
}

/*
 * Filters a frame that was in the backlog at the hand-over before tcp_v4_do_rcv() or
 * tcp_v6_do_rcv(). Linux may process acknowledgement and payload, but must not
 * retransmit, which the adapter does: removes SACK options and old acknowledgements,
 * which would have tcp_fastretrans_alert() mark losses. Returns whether Linux may
 * process @skb. Locked.
 */
bool toe_helper_tcp_early_ok(struct sock *sk, struct sk_buff *skb)
{
	struct tcphdr *th = (struct tcphdr *)skb->data;
	struct tcp_skb_cb *cb = TCP_SKB_CB(skb);
	struct tcp_sock *tp = tcp_sk(sk);

	if (th->syn || th->rst || th->fin || th->urg)
		return true;
	if (cb->end_seq == cb->seq && !after(cb->ack_seq, tp->snd_una))
		return false;
	if (before(cb->ack_seq, tp->snd_una))
		cb->ack_seq = tp->snd_una;
	toe_remove_sack(th);
	return true;
}

/* Whether payload after rcv_nxt was received out of order. Locked. */
bool toe_helper_tcp_has_out_of_order(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	/* tcp_ofo_queue() has not removed what the adapter has delivered too. */
	return !RB_EMPTY_ROOT(&tp->out_of_order_queue) &&
	       after(TCP_SKB_CB(tp->ooo_last_skb)->end_seq, tp->rcv_nxt);
}
