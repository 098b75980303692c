// SPDX-License-Identifier: GPL-2.0
/*
 * Disables Linux's loss detection and retransmission timer for a shadow socket:
 * the adapter retransmits.
 */

#include <net/tcp.h>

#include "tcp_helpers.h"

/*
 * Does what tcp_clear_retrans() and tcp_set_ca_state() do, for all of Linux's loss
 * accounting. Frames that Linux processes around a hand-over can change it, but the
 * skbs that it counts are freed and split as the adapter reports. Locked.
 */
void toe_tcp_forget_losses(struct sock *sk)
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
	/* Skbs marked lost are not in the list of sent skbs, which is ordered by time. */
	INIT_LIST_HEAD(&tp->tsorted_sent_queue);
	skb_rbtree_walk(skb, &sk->tcp_rtx_queue) {
		/* These two flags keep the skb out of round-trip measurements. */
		TCP_SKB_CB(skb)->sacked &= TCPCB_EVER_RETRANS | TCPCB_REPAIRED;
		list_add_tail(&skb->tcp_tsorted_anchor, &tp->tsorted_sent_queue);
	}
	icsk->icsk_ca_state = TCP_CA_Open;
}

/* Stops the retransmission timer and forgets losses. Locked. */
void toe_helper_tcp_set_shadow(struct sock *sk)
{
	inet_csk_clear_xmit_timer(sk, ICSK_TIME_RETRANS);
	toe_tcp_forget_losses(sk);
	/* Header prediction assumes a window that only the adapter knows. */
	tcp_sk(sk)->pred_flags = 0;
}
