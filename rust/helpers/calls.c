// SPDX-License-Identifier: GPL-2.0
/*
 * Calls of the socket layer into this module. They may sleep; the module must not be
 * unloaded before they have returned.
 */

#include <linux/bpf.h>
#include <linux/rcupdate.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>
#include <net/sock.h>

#include "tcp_helpers.h"

/* Without it synchronize_rcu_tasks() is synchronize_rcu(), which does not wait for preempted tasks. */
#if defined(CONFIG_PREEMPTION) && !defined(CONFIG_TASKS_RCU)
#error "A preemptible kernel needs CONFIG_TASKS_RCU: set CONFIG_FUNCTION_TRACER or CONFIG_FORCE_TASKS_RCU"
#endif

DEFINE_STATIC_SRCU(toe_calls);
static struct workqueue_struct *toe_free;

int toe_helper_calls_enter(void)
{
	return srcu_read_lock(&toe_calls);
}

void toe_helper_calls_leave(int index)
{
	srcu_read_unlock(&toe_calls, index);
}

/*
 * Called when no socket has a pointer into this module any longer. Waits until tasks
 * that have read such a pointer have entered (they do not sleep in between), then
 * until they have left, then until they have executed the last instructions.
 */
void toe_helper_calls_drain(void)
{
	synchronize_rcu_tasks();
	synchronize_srcu(&toe_calls);
	synchronize_rcu_tasks();
	rcu_barrier();
	destroy_workqueue(toe_free);
}

/*
 * Waits until no processor is in the middle of the interrupt that it served, or stopped
 * by a hypervisor, as when this was called: each has served another one, or was idle or
 * in user space. A task that ran between reading a socket's protocol and waiting for the
 * socket has got on.
 */
void toe_helper_calls_advance(void)
{
	synchronize_rcu_expedited();
}

/* Frees data that RCU readers may use, in process context. */
void toe_helper_calls_free(struct rcu_work *work, void (*free)(struct work_struct *work))
{
	INIT_RCU_WORK(work, free);
	queue_rcu_work(toe_free, work);
}

/* Whether a BPF program calls, as in tcp_abort(). */
bool toe_helper_has_current_bpf_ctx(void)
{
	return has_current_bpf_ctx();
}

/*
 * A call that Linux carries out can sleep for an unlimited time and must not return
 * through this module: these functions end in a tail call.
 */
#if __has_attribute(musttail)
#define toe_jump __attribute__((musttail)) return
#else
#define toe_jump return
#ifdef CONFIG_FRAME_POINTER
#error "With CONFIG_FRAME_POINTER gcc before version 15 emits no tail calls: use the ORC unwinder"
#endif
#endif

static const struct toe_first_calls *toe_first;

int toe_helper_calls_begin(const struct toe_first_calls *first)
{
	toe_free = alloc_workqueue("toe_free", WQ_UNBOUND, 0);
	toe_first = first;
	return toe_free ? 0 : -ENOMEM;
}

int toe_helper_call_sendmsg(struct sock *sk, struct msghdr *msg, size_t size)
{
	int ret = toe_first->sendmsg(sk, msg, size);

	if (ret != TOE_CALL_LINUX)
		return ret;
	toe_jump sk->sk_prot_creator->sendmsg(sk, msg, size);
}

bool toe_call_received(struct sock *sk, int ifindex)
{
	return toe_first->received(sk, ifindex);
}

void toe_helper_call_close(struct sock *sk, long timeout)
{
	toe_first->close(sk, timeout);
	toe_jump sk->sk_prot_creator->close(sk, timeout);
}

int toe_helper_call_getsockopt(struct sock *sk, int level, int name, char __user *value,
			       int __user *length)
{
	if (level == SOL_TCP && name == TCP_ULP)
		return toe_first->get_ulp(sk, value, length);
	toe_jump sk->sk_prot_creator->getsockopt(sk, level, name, value, length);
}

/* Returns whether Linux need not send an acknowledgement. Locked. */
bool toe_call_announce(struct sock *sk)
{
	return toe_first->announce(sk);
}

/* Linux was about to retransmit. Locked. */
void toe_call_retransmits(struct sock *sk)
{
	toe_first->retransmits(sk);
}
