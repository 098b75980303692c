// SPDX-License-Identifier: GPL-2.0
/*
 * The route of a connection: its interface, its next hop, and the taps, programs and
 * filters that see its frames.
 */

#include <linux/bpf-cgroup.h>
#include <linux/cleanup.h>
#include <linux/inetdevice.h>
#include <linux/netfilter.h>
#include <net/addrconf.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/neighbour.h>
#include <net/netdev_rx_queue.h>
#include <net/route.h>
#include <net/tcp.h>
#include <net/xfrm.h>

#include "tcp_helpers.h"

/* Returns the device of the route in use, with a reference, or NULL. Locked. */
struct net_device *toe_helper_tcp_device(struct sock *sk)
{
	struct dst_entry *dst = __sk_dst_get(sk);
	struct net_device *dev;

	if (!dst)
		return NULL;
	dev = READ_ONCE(dst->dev);
	dev_hold(dev);
	return dev;
}

void toe_helper_tcp_device_put(struct net_device *dev)
{
	dev_put(dev);
}

/*
 * Whether the route leads through the interface @ifindex. Looks the route up again
 * if it is no longer valid, as __tcp_retransmit_skb() does. Locked.
 */
bool toe_helper_tcp_route_valid(struct sock *sk, int ifindex)
{
	struct dst_entry *dst;
	u32 cookie = 0;

#if IS_ENABLED(CONFIG_IPV6)
	if (toe_helper_tcp_is_ipv6(sk))
		cookie = inet6_sk(sk)->dst_cookie;
#endif
	dst = __sk_dst_check(sk, cookie);
	if (!dst && !inet_csk(sk)->icsk_af_ops->rebuild_header(sk))
		dst = __sk_dst_get(sk);
	return dst && READ_ONCE(dst->dev)->ifindex == ifindex;
}

/* Whether the route applies an xfrm transform (IPsec). The socket has a route. Locked. */
bool toe_helper_tcp_has_xfrm(struct sock *sk)
{
	return dst_xfrm(__sk_dst_get(sk));
}

/*
 * Whether a tap, an XDP or tc program or netfilter has to see the frames of all
 * connections of an address family through @dev.
 */
bool toe_helper_dev_is_inspected(const struct net_device *dev, bool ipv6)
{
	const struct net *net;

	guard(rcu)();
	net = dev_net_rcu(dev);
	if (!list_empty(&net->ptype_all) || !list_empty(&dev->ptype_all))
		return true;
	if (dev_xdp_prog_count((struct net_device *)dev))
		return true;
#ifdef CONFIG_NET_XGRESS
	if (rcu_access_pointer(dev->tcx_ingress) || rcu_access_pointer(dev->tcx_egress))
		return true;
#endif
#ifdef CONFIG_NETFILTER_INGRESS
	if (rcu_access_pointer(dev->nf_hooks_ingress))
		return true;
#endif
#ifdef CONFIG_NETFILTER_EGRESS
	if (rcu_access_pointer(dev->nf_hooks_egress))
		return true;
#endif
#ifdef CONFIG_NETFILTER
	for (int hook = 0; hook < NF_INET_NUMHOOKS; hook++) {
		const struct nf_hook_entries *entries;

		if (hook == NF_INET_FORWARD)
			continue;
		entries = ipv6 ? rcu_dereference(net->nf.hooks_ipv6[hook]) :
				 rcu_dereference(net->nf.hooks_ipv4[hook]);
		if (entries && entries->num_hook_entries)
			return true;
	}
#endif
	return false;
}

/*
 * Whether a tap, an XDP or tc program, netfilter or a cgroup program has to see the
 * frames of the connection, which bypass the host while an adapter carries it. The
 * socket has a route. Locked.
 */
bool toe_helper_tcp_is_inspected(struct sock *sk)
{
#ifdef CONFIG_CGROUP_BPF
	if (cgroup_bpf_sock_enabled(sk, CGROUP_INET_INGRESS) ||
	    cgroup_bpf_sock_enabled(sk, CGROUP_INET_EGRESS))
		return true;
#endif
	return toe_helper_dev_is_inspected(__sk_dst_get(sk)->dev, toe_helper_tcp_is_ipv6(sk));
}

/*
 * Whether the route's interface does RPS, which can reorder frames and completions.
 * The socket has a route. Locked.
 */
bool toe_helper_tcp_has_rps(struct sock *sk)
{
#ifdef CONFIG_RPS
	const struct net_device *dev = __sk_dst_get(sk)->dev;
	unsigned int i;

	for (i = 0; i < dev->real_num_rx_queues; i++)
		if (rcu_access_pointer(dev->_rx[i].rps_map))
			return true;
#endif
	return false;
}

/*
 * Whether the Ethernet address of the next hop is known, and that address. The
 * socket has a route. Locked.
 */
bool toe_helper_tcp_next_hop(struct sock *sk, u8 *mac)
{
	struct dst_entry *dst = __sk_dst_get(sk);
	struct neighbour *neigh;
	bool known;

	if (toe_helper_tcp_is_ipv6(sk))
		neigh = dst_neigh_lookup(dst, &sk->sk_v6_daddr);
	else
		neigh = dst_neigh_lookup(dst, &inet_sk(sk)->inet_daddr);
	if (!neigh)
		return false;
	known = (READ_ONCE(neigh->nud_state) & NUD_VALID) && neigh->dev == dst->dev &&
		dst->dev->addr_len == ETH_ALEN;
	if (known)
		neigh_ha_snapshot(mac, neigh, neigh->dev);
	neigh_release(neigh);
	return known;
}

/* Copies the address of the route's interface. The socket has a route. Locked. */
void toe_helper_tcp_local_mac(struct sock *sk, u8 *mac)
{
	ether_addr_copy(mac, __sk_dst_get(sk)->dev->dev_addr);
}

/* Time to live, or hop limit, of frames that the socket sends. It has a route. Locked. */
u8 toe_helper_tcp_hop_limit(struct sock *sk)
{
	struct dst_entry *dst = __sk_dst_get(sk);
	int limit;

#if IS_ENABLED(CONFIG_IPV6)
	if (toe_helper_tcp_is_ipv6(sk)) {
		limit = READ_ONCE(inet6_sk(sk)->hop_limit);
		return limit < 0 ? ip6_dst_hoplimit(dst) : limit;
	}
#endif
	limit = READ_ONCE(inet_sk(sk)->uc_ttl);
	return limit < 0 ? ip4_dst_hoplimit(dst) : limit;
}

/* Whether the local address is still configured. */
bool toe_helper_tcp_address_is_local(const struct sock *sk)
{
#if IS_ENABLED(CONFIG_IPV6)
	if (toe_helper_tcp_is_ipv6(sk))
		return ipv6_chk_addr(sock_net(sk), &inet6_sk(sk)->saddr, NULL, 0);
#endif
	return inet_addr_type(sock_net(sk), inet_sk(sk)->inet_saddr) == RTN_LOCAL;
}
