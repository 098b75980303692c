// SPDX-License-Identifier: GPL-2.0
/*
 * Calls of the socket layer into this module. They may sleep, and the module's code
 * has to stay until they are out.
 */

#include <linux/rcupdate.h>
#include <linux/srcu.h>
#include <net/sock.h>

#include "tcp_helpers.h"

DEFINE_STATIC_SRCU(toe_calls);

int toe_helper_calls_enter(void)
{
	return srcu_read_lock(&toe_calls);
}

void toe_helper_calls_leave(int index)
{
	srcu_read_unlock(&toe_calls, index);
}

/*
 * For when no pointer into this module can be found in a socket any more: waits
 * until those who found one before have entered (which they do without sleeping
 * in between), then until they have left, then until they have run out of the
 * last instructions.
 */
void toe_helper_calls_drain(void)
{
	synchronize_rcu_tasks();
	synchronize_srcu(&toe_calls);
	synchronize_rcu_tasks();
}

/*
 * Where Linux carries a call out, it may sleep for as long as the peer likes. Nothing
 * of it must then come back here: the last call of these functions is a jump.
 */
#if __has_attribute(musttail)
#define toe_jump __attribute__((musttail)) return
#else
#define toe_jump return
#ifdef CONFIG_FRAME_POINTER
#error "With frame pointers gcc makes no jump of a last call before version 15: use the ORC unwinder"
#endif
#endif

static const struct toe_first_calls *toe_first;

void toe_helper_calls_begin(const struct toe_first_calls *first)
{
	toe_first = first;
}

int toe_helper_call_sendmsg(struct sock *sk, struct msghdr *msg, size_t size)
{
	int ret = toe_first->sendmsg(sk, msg, size);

	if (ret != TOE_CALL_LINUX)
		return ret;
	toe_jump sk->sk_prot_creator->sendmsg(sk, msg, size);
}

void toe_helper_call_close(struct sock *sk, long timeout)
{
	toe_first->close(sk, timeout);
	toe_jump sk->sk_prot_creator->close(sk, timeout);
}
