// SPDX-License-Identifier: GPL-2.0

#include <asm/syscall.h>
#include <linux/cleanup.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "tcp_helpers.h"

void toe_helper_sock_hold(struct sock *sk)
{
	sock_hold(sk);
}

void toe_helper_sock_put(struct sock *sk)
{
	sock_put(sk);
}

/* Takes a reference to a socket whose count may be zero. */
bool toe_helper_sock_hold_live(struct sock *sk)
{
	return refcount_inc_not_zero(&sk->sk_refcnt);
}

void toe_helper_lock_sock(struct sock *sk)
{
	lock_sock(sk);
}

/* Owns @sk unless somebody else does. */
static bool toe_trylock_sock(struct sock *sk)
{
	bool owned;

	spin_lock_bh(&sk->sk_lock.slock);
	owned = sk->sk_lock.owned;
	sk->sk_lock.owned = 1;
	spin_unlock_bh(&sk->sk_lock.slock);
	if (!owned)
		mutex_acquire(&sk->sk_lock.dep_map, 0, 1, _RET_IP_);
	return !owned;
}

/* Does what lock_sock() does, but waits for at most @timeout jiffies. Returns success. */
bool toe_helper_lock_sock_timeout(struct sock *sk, long timeout)
{
	might_sleep();
	return wait_event_timeout(sk->sk_lock.wq, toe_trylock_sock(sk), timeout);
}

void toe_helper_bh_lock_sock(struct sock *sk)
{
	local_bh_disable();
	bh_lock_sock(sk);
}

void toe_helper_bh_unlock_sock(struct sock *sk)
{
	bh_unlock_sock(sk);
	local_bh_enable();
}

bool toe_helper_sock_owned_by_user(struct sock *sk)
{
	return sock_owned_by_user(sk);
}

/* Whether a process waits in setsockopt(2) for a socket that is owned. */
bool toe_helper_sock_awaits_option(struct sock *sk)
{
	struct wait_queue_head *waiting = &sk->sk_lock.wq;
	const struct wait_queue_entry *entry;

	guard(spinlock_irqsave)(&waiting->lock);
	list_for_each_entry(entry, &waiting->head, entry) {
		/* It does not return from its call before its entry has been removed. */
		struct task_struct *task = entry->private;

		if (syscall_get_nr(task, task_pt_regs(task)) == __NR_setsockopt)
			return true;
	}
	return false;
}

/* Lets release_cb() sleep: does what __release_sock() does around the backlog. */
void toe_helper_sock_pause_release(struct sock *sk)
{
	spin_unlock_bh(&sk->sk_lock.slock);
}

/* Does what release_sock() does before it calls release_cb(). */
void toe_helper_sock_continue_release(struct sock *sk)
{
	spin_lock_bh(&sk->sk_lock.slock);
	while (sk->sk_backlog.tail) {
		spin_unlock_bh(&sk->sk_lock.slock);
		sk_flush_backlog(sk);
		spin_lock_bh(&sk->sk_lock.slock);
	}
}

void toe_helper_sk_flush_backlog(struct sock *sk)
{
	sk_flush_backlog(sk);
}

/* 0 if the cookie has not been generated: a module cannot generate it. */
u64 toe_helper_sock_cookie(const struct sock *sk)
{
	return atomic64_read(&sk->sk_cookie);
}

u32 toe_helper_sock_uid(const struct sock *sk)
{
	return from_kuid_munged(sock_net(sk)->user_ns, sk_uid(sk));
}

u32 toe_helper_sock_kuid(const struct sock *sk)
{
	return __kuid_val(sk_uid(sk));
}

struct net *toe_helper_sock_net(const struct sock *sk)
{
	return sock_net(sk);
}

/*
 * Returns the socket that sends @skb if it is a TCP socket in state ESTABLISHED that
 * has been accepted.
 */
struct sock *toe_helper_skb_tcp_sender(const struct sk_buff *skb)
{
	struct sock *sk = skb->sk;

	if (!sk || !sk_fullsock(sk) || !sk_is_tcp(sk) ||
	    READ_ONCE(sk->sk_state) != TCP_ESTABLISHED || !READ_ONCE(sk->sk_socket))
		return NULL;
	return sk;
}

long toe_helper_sock_sndtimeo(const struct sock *sk, bool noblock)
{
	return sock_sndtimeo(sk, noblock);
}

size_t toe_helper_msg_data_left(const struct msghdr *msg)
{
	return msg_data_left(msg);
}

/*
 * MSG_ZEROCOPY notifications count calls of sendmsg(). One call is carried out in
 * several steps: allocate the notification once for all of them.
 */
bool toe_helper_msg_zerocopy_start(struct sock *sk, struct msghdr *msg, size_t size)
{
	if (!(msg->msg_flags & MSG_ZEROCOPY) || !size || msg->msg_ubuf ||
	    !sock_flag(sk, SOCK_ZEROCOPY))
		return true;
	msg->msg_ubuf = msg_zerocopy_realloc(sk, size, NULL, false);
	return msg->msg_ubuf;
}

void toe_helper_msg_zerocopy_end(struct msghdr *msg, bool sent)
{
	if (sent)
		net_zcopy_put(msg->msg_ubuf);
	else
		net_zcopy_put_abort(msg->msg_ubuf, true);
	msg->msg_ubuf = NULL;
}

u32 toe_helper_sock_hash(const struct sock *sk)
{
	return READ_ONCE(sk->sk_hash);
}

/* An established TCP socket, held, or NULL. Ports in host order. */
struct sock *toe_helper_tcp_lookup(struct net *net, bool ipv6, const u8 *local, u16 local_port,
				   const u8 *remote, u16 remote_port, int ifindex)
{
	struct sock *sk;

	if (ipv6) {
#if IS_ENABLED(CONFIG_IPV6)
		sk = __inet6_lookup_established(net, (const struct in6_addr *)remote,
						htons(remote_port),
						(const struct in6_addr *)local, local_port,
						ifindex, 0);
#else
		sk = NULL;
#endif
	} else {
		__be32 raddr, laddr;

		memcpy(&raddr, remote, sizeof(raddr));
		memcpy(&laddr, local, sizeof(laddr));
		sk = __inet_lookup_established(net, raddr, htons(remote_port), laddr, local_port,
					       ifindex, 0);
	}
	if (sk && (!sk_fullsock(sk) || !sk_is_tcp(sk))) {
		sock_gen_put(sk);
		sk = NULL;
	}
	return sk;
}
