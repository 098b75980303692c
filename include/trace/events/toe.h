/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hand-overs and returns. Reasons are numbers of <linux/toe.h>: enum toe_refuse_reason
 * and enum toe_return_reason.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM toe

#if !defined(_TRACE_TOE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_TOE_H

#include <linux/tracepoint.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <trace/events/net_probe_common.h>

DECLARE_EVENT_CLASS(toe_conn_reason,

	TP_PROTO(const struct sock *sk, u32 reason, const char *detail, int level, int option),

	TP_ARGS(sk, reason, detail, level, option),

	TP_STRUCT__entry(
		__field(const void *, skaddr)
		__field(u32, reason)
		__field(int, level)
		__field(int, option)
		__field(u16, sport)
		__field(u16, dport)
		__array(u8, saddr, sizeof(struct sockaddr_in6))
		__array(u8, daddr, sizeof(struct sockaddr_in6))
		__string(detail, detail)
	),

	TP_fast_assign(
		const struct inet_sock *inet = inet_sk(sk);

		__entry->skaddr = sk;
		__entry->reason = reason;
		__entry->level = level;
		__entry->option = option;
		__entry->sport = ntohs(inet->inet_sport);
		__entry->dport = ntohs(inet->inet_dport);
		memset(__entry->saddr, 0, sizeof(struct sockaddr_in6));
		memset(__entry->daddr, 0, sizeof(struct sockaddr_in6));
		TP_STORE_ADDR_PORTS(__entry, inet, sk);
		__assign_str(detail);
	),

	TP_printk("skaddr=%p src=%pISpc dest=%pISpc reason=%u detail=\"%s\" level=%d option=%d",
		  __entry->skaddr, __entry->saddr, __entry->daddr, __entry->reason,
		  __get_str(detail), __entry->level, __entry->option)
);

/* A hand-over was refused. */
DEFINE_EVENT(toe_conn_reason, toe_conn_refused,
	TP_PROTO(const struct sock *sk, u32 reason, const char *detail, int level, int option),
	TP_ARGS(sk, reason, detail, level, option)
);

/* A connection has returned to Linux. */
DEFINE_EVENT(toe_conn_reason, toe_conn_returned,
	TP_PROTO(const struct sock *sk, u32 reason, const char *detail, int level, int option),
	TP_ARGS(sk, reason, detail, level, option)
);

#endif

#include <trace/define_trace.h>
