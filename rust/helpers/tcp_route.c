// SPDX-License-Identifier: GPL-2.0
/*
 * The route of a connection: its interface, its addresses and its next hop.
 */

#include <linux/inetdevice.h>
#include <net/addrconf.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>
#include <net/neighbour.h>
#include <net/route.h>
#include <net/tcp.h>

#include "tcp_helpers.h"

/*
 * Returns the route, which is looked up again if it is no longer valid, as
 * __tcp_retransmit_skb() does; NULL if there is none. Locked.
 */
static struct dst_entry *toe_route(struct sock *sk)
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
	return dst;
}

/* Returns the device of the route, with a reference, or NULL. Locked. */
struct net_device *toe_helper_tcp_device(struct sock *sk)
{
	struct dst_entry *dst = toe_route(sk);
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

/* Whether the route leads through the interface @ifindex. Locked. */
bool toe_helper_tcp_route_valid(struct sock *sk, int ifindex)
{
	const struct dst_entry *dst = toe_route(sk);

	return dst && READ_ONCE(dst->dev)->ifindex == ifindex;
}

/*
 * Returns the next hop, with a reference, or NULL. The socket has a route. Locked.
 */
struct neighbour *toe_helper_tcp_next_hop(struct sock *sk)
{
	struct dst_entry *dst = __sk_dst_get(sk);
	struct neighbour *neigh;

	if (toe_helper_tcp_is_ipv6(sk))
		neigh = dst_neigh_lookup(dst, &sk->sk_v6_daddr);
	else
		neigh = dst_neigh_lookup(dst, &inet_sk(sk)->inet_daddr);
	if (neigh && neigh->dev != dst->dev) {
		neigh_release(neigh);
		return NULL;
	}
	return neigh;
}

/*
 * Does what ip_finish_output2() does for each frame that is sent to @neigh, for what the
 * adapter has sent since the last call: confirms that the peer is reachable if there
 * was progress; else has Linux find out. Locked.
 */
void toe_helper_tcp_use_neighbour(struct sock *sk, struct neighbour *neigh)
{
	bool progress = READ_ONCE(sk->sk_dst_pending_confirm);

	if (progress) {
		WRITE_ONCE(sk->sk_dst_pending_confirm, 0);
		neigh_confirm(neigh);
	}
	if (progress || tcp_sk(sk)->packets_out)
		neigh_event_send(neigh, NULL);
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

/* Whether the local address is one of the host, or of the VRF of the route. Locked. */
bool toe_helper_tcp_address_is_local(struct sock *sk)
{
	const struct dst_entry *dst = __sk_dst_get(sk);
	const struct net_device *dev = dst ? dst->dev : NULL;
#if IS_ENABLED(CONFIG_IPV6)
	struct rt6_info *route;
	bool local;

	if (toe_helper_tcp_is_ipv6(sk)) {
		/* Anycast, and local routes that are no addresses, too. */
		route = rt6_lookup(sock_net(sk), &inet6_sk(sk)->saddr, NULL, dev ? dev->ifindex : 0,
				   NULL, 0);
		if (!route)
			return false;
		local = route->rt6i_flags & (RTF_LOCAL | RTF_ANYCAST);
		ip6_rt_put(route);
		return local;
	}
#endif
	return inet_addr_type_dev_table(sock_net(sk), dev, inet_sk(sk)->inet_saddr) == RTN_LOCAL;
}

/* Lets TCP note by which interface the next frame comes. Locked. */
void toe_tcp_forget_rx_dst(struct sock *sk)
{
	struct dst_entry *dst = rcu_dereference_protected(sk->sk_rx_dst, true);

	RCU_INIT_POINTER(sk->sk_rx_dst, NULL);
	dst_release(dst);
}

/*
 * Whether a recent frame that Linux received came by the interface of the route. TCP
 * notes the interface when it has no route for received frames, or that is no longer
 * valid: if the answer is no, it notes that of the next frame for a later call. In a
 * VRF it notes the VRF's interface. The socket has a route. Locked.
 */
bool toe_helper_tcp_receives_here(struct sock *sk)
{
	struct net_device *dev = __sk_dst_get(sk)->dev;
	int ifindex = sk->sk_rx_dst_ifindex;

	if (!ifindex || ifindex == dev->ifindex || ifindex == l3mdev_master_ifindex(dev))
		return true;
	toe_tcp_forget_rx_dst(sk);
	return false;
}
