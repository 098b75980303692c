// SPDX-License-Identifier: GPL-2.0

#include "tcp_helpers.h"

#define CREATE_TRACE_POINTS
#include <trace/events/toe.h>

void toe_helper_trace_refused(const struct sock *sk, u32 reason, const char *detail, int level,
			      int option)
{
	trace_toe_conn_refused(sk, reason, detail, level, option);
}

void toe_helper_trace_returned(const struct sock *sk, u32 reason, const char *detail, int level,
			       int option)
{
	trace_toe_conn_returned(sk, reason, detail, level, option);
}
