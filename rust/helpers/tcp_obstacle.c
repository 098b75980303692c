// SPDX-License-Identifier: GPL-2.0
/*
 * What keeps a connection with Linux: settings of the socket that an adapter does not
 * honour, and observers that have to see each frame. A function returns what it has
 * found, for people, or NULL.
 */

#include <linux/bpf-cgroup.h>
#include <linux/cleanup.h>
#include <linux/net_tstamp.h>
#include <linux/netfilter.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>
#include <net/netdev_rx_queue.h>
#include <net/tcp.h>
#include <net/xfrm.h>

#include "tcp_helpers.h"

/* An observer of this socket's frames alone. Locked. */
const char *toe_helper_tcp_socket_observer(const struct sock *sk)
{
	if (rcu_access_pointer(sk->sk_filter))
		return "socket filter";
#ifdef CONFIG_BPF
	if (tcp_sk(sk)->bpf_sock_ops_cb_flags)
		return "sockops program";
#endif
#ifdef CONFIG_XFRM
	if (rcu_access_pointer(sk->sk_policy[0]) || rcu_access_pointer(sk->sk_policy[1]))
		return "xfrm policy of the socket";
#endif
	return NULL;
}

/* An option that only Linux's IP honours. */
static const char *toe_ip_option(const struct sock *sk)
{
	if (rcu_access_pointer(inet_sk(sk)->inet_opt))
		return "IP options";
	if (READ_ONCE(inet_sk(sk)->min_ttl))
		return "IP_MINTTL";
#if IS_ENABLED(CONFIG_IPV6)
	if (toe_helper_tcp_is_ipv6(sk)) {
		if (rcu_access_pointer(inet6_sk(sk)->opt))
			return "IPv6 extension headers";
		if (READ_ONCE(inet6_sk(sk)->min_hopcount))
			return "IPV6_MINHOPCOUNT";
	}
#endif
	return NULL;
}

/*
 * Whether a process has the socket in repair mode. This module's own use of that mode
 * leaves sk_reuse as it is. Locked.
 */
bool toe_tcp_in_repair(const struct sock *sk)
{
	return tcp_sk(sk)->repair && sk->sk_reuse == SK_FORCE_REUSE;
}

/* A setting of the socket that only Linux honours. Locked. */
const char *toe_helper_tcp_option(const struct sock *sk)
{
	const struct inet_connection_sock *icsk = inet_csk(sk);
	const struct tcp_sock *tp = tcp_sk(sk);

	if (READ_ONCE(sk->sk_tsflags) & SOF_TIMESTAMPING_TX_RECORD_MASK)
		return "SO_TIMESTAMPING";
	if (READ_ONCE(sk->sk_pacing_status) != SK_PACING_NONE ||
	    READ_ONCE(sk->sk_max_pacing_rate) != ~0UL)
		return "SO_MAX_PACING_RATE or packet scheduler fq";
	/* The adapter receives into memory that the kernel may need to get memory. */
	if (sock_flag(sk, SOCK_MEMALLOC) ||
	    (READ_ONCE(sk->sk_allocation) & GFP_KERNEL) != GFP_KERNEL)
		return "memory allocation of a kernel socket";
#if IS_ENABLED(CONFIG_INET_PSP)
	if (rcu_access_pointer(sk->psp_assoc))
		return "PSP";
#endif
	if (toe_tcp_in_repair(sk))
		return "TCP_REPAIR";
	if (READ_ONCE(tp->tcp_tx_delay))
		return "TCP_TX_DELAY";
	if (tp->thin_lto || READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_thin_linear_timeouts))
		return "linear timeouts of thin streams";
	if (icsk->icsk_mtup.enabled)
		return "TCP MTU probing";
	return toe_ip_option(sk);
}

#ifdef CONFIG_NETFILTER
static const char *toe_netfilter_hook(const struct net *net, bool ipv6)
{
	static const char * const names[NF_INET_NUMHOOKS] = {
		[NF_INET_PRE_ROUTING] = "netfilter prerouting",
		[NF_INET_LOCAL_IN] = "netfilter input",
		[NF_INET_LOCAL_OUT] = "netfilter output",
		[NF_INET_POST_ROUTING] = "netfilter postrouting",
	};
	struct nf_hook_entries __rcu * const *hooks = net->nf.hooks_ipv4;
	const struct nf_hook_entries *entries;
	int hook;

	if (ipv6)
		hooks = net->nf.hooks_ipv6;
	for (hook = 0; hook < NF_INET_NUMHOOKS; hook++) {
		entries = rcu_dereference(hooks[hook]);
		if (names[hook] && entries && entries->num_hook_entries)
			return names[hook];
	}
	return NULL;
}
#endif

/* IPsec that protects frames, or that has to refuse those that it does not protect. */
static const char *toe_xfrm(struct sock *sk)
{
#ifdef CONFIG_XFRM
	const struct netns_xfrm *xfrm = &sock_net(sk)->xfrm;

	if (dst_xfrm(__sk_dst_get(sk)))
		return "xfrm transform";
	if (READ_ONCE(xfrm->policy_count[XFRM_POLICY_IN]) ||
	    READ_ONCE(xfrm->policy_default[XFRM_POLICY_IN]) != XFRM_USERPOLICY_ACCEPT)
		return "inbound xfrm policy";
#endif
	return NULL;
}

/* RPS can reorder frames and completions. */
static bool toe_has_rps(const struct net_device *dev)
{
#ifdef CONFIG_RPS
	unsigned int i;

	for (i = 0; i < dev->real_num_rx_queues; i++)
		if (rcu_access_pointer(dev->_rx[i].rps_map))
			return true;
#endif
	return false;
}

/* An observer of all frames of an address family through @dev. */
const char *toe_helper_dev_observer(const struct net_device *dev, bool ipv6)
{
	const struct net *net;

	guard(rcu)();
	net = dev_net_rcu(dev);
	if (!list_empty(&net->ptype_all) || !list_empty(&dev->ptype_all))
		return "packet capture";
	if (dev_xdp_prog_count((struct net_device *)dev))
		return "XDP program";
#ifdef CONFIG_NET_XGRESS
	if (rcu_access_pointer(dev->tcx_ingress))
		return "tc ingress";
	if (rcu_access_pointer(dev->tcx_egress))
		return "tc egress";
#endif
#ifdef CONFIG_NETFILTER_INGRESS
	if (rcu_access_pointer(dev->nf_hooks_ingress))
		return "netfilter ingress";
#endif
#ifdef CONFIG_NETFILTER_EGRESS
	if (rcu_access_pointer(dev->nf_hooks_egress))
		return "netfilter egress";
#endif
#ifdef CONFIG_NETFILTER
	return toe_netfilter_hook(net, ipv6);
#else
	return NULL;
#endif
}

/*
 * An observer of frames of the route's interface, the namespace or the cgroup. The
 * socket has a route. Locked.
 */
const char *toe_helper_tcp_observer(struct sock *sk)
{
	const struct net_device *dev = __sk_dst_get(sk)->dev;
	const char *found;

#ifdef CONFIG_CGROUP_BPF
	if (cgroup_bpf_sock_enabled(sk, CGROUP_INET_INGRESS))
		return "cgroup ingress program";
	if (cgroup_bpf_sock_enabled(sk, CGROUP_INET_EGRESS))
		return "cgroup egress program";
#endif
	found = toe_helper_dev_observer(dev, toe_helper_tcp_is_ipv6(sk));
	if (!found)
		found = toe_xfrm(sk);
	if (!found && toe_has_rps(dev))
		found = "RPS";
	return found;
}

/*
 * Whether a sockops program runs for the socket. It may put the socket into a sockmap,
 * which takes no socket that has a ULP.
 */
bool toe_helper_tcp_in_sockops_cgroup(struct sock *sk)
{
#ifdef CONFIG_CGROUP_BPF
	return cgroup_bpf_sock_enabled(sk, CGROUP_SOCK_OPS);
#else
	return false;
#endif
}
