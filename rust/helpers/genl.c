// SPDX-License-Identifier: GPL-2.0

#include <net/genetlink.h>
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/tcp.h>

#include "genl_helpers.h"

struct sk_buff *toe_helper_genlmsg_new(bool atomic)
{
	return genlmsg_new(GENLMSG_DEFAULT_SIZE, atomic ? GFP_ATOMIC : GFP_KERNEL);
}

void *toe_helper_genlmsg_put_info(struct sk_buff *skb, struct genl_info *info, u8 cmd)
{
	return genlmsg_put_reply(skb, info, info->family, 0, cmd);
}

void *toe_helper_genlmsg_put_dump(struct sk_buff *skb, struct netlink_callback *cb,
				  const struct genl_family *family, u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, family,
			   NLM_F_MULTI, cmd);
}

void *toe_helper_genlmsg_put_notice(struct sk_buff *skb, const struct genl_family *family, u8 cmd)
{
	return genlmsg_put(skb, 0, 0, family, 0, cmd);
}

bool toe_helper_genl_has_listeners(const struct genl_family *family, struct net *net,
				   unsigned int group)
{
	return genl_has_listeners(family, net, group);
}

void toe_helper_genlmsg_multicast_netns(const struct genl_family *family, struct net *net,
					struct sk_buff *skb, unsigned int group)
{
	genlmsg_multicast_netns(family, net, skb, 0, group, GFP_ATOMIC);
}

void toe_helper_genlmsg_end(struct sk_buff *skb, void *header)
{
	genlmsg_end(skb, header);
}

void toe_helper_genlmsg_cancel(struct sk_buff *skb, void *header)
{
	genlmsg_cancel(skb, header);
}

int toe_helper_genlmsg_reply(struct sk_buff *skb, struct genl_info *info)
{
	return genlmsg_reply(skb, info);
}

void toe_helper_nlmsg_free(struct sk_buff *skb)
{
	nlmsg_free(skb);
}

struct net *toe_helper_genl_info_net(const struct genl_info *info)
{
	return genl_info_net(info);
}

struct net *toe_helper_genl_dump_net(const struct netlink_callback *cb)
{
	return sock_net(cb->skb->sk);
}

struct nlattr **toe_helper_genl_dump_attrs(struct netlink_callback *cb)
{
	return genl_dumpit_info(cb)->info.attrs;
}

/* @message must be static. */
void toe_helper_genl_set_message(const struct genl_info *info, const char *message)
{
	if (info->extack)
		info->extack->_msg = message;
}

/* A number of 1, 2, 4 or 8 bytes. */
u64 toe_helper_nla_number(const struct nlattr *attr)
{
	switch (nla_len(attr)) {
	case sizeof(u8):
		return nla_get_u8(attr);
	case sizeof(u16):
		return nla_get_u16(attr);
	case sizeof(u32):
		return nla_get_u32(attr);
	case sizeof(u64):
		return nla_get_u64(attr);
	default:
		return 0;
	}
}

const void *toe_helper_nla_data(const struct nlattr *attr)
{
	return nla_data(attr);
}

int toe_helper_nla_len(const struct nlattr *attr)
{
	return nla_len(attr);
}

int toe_helper_nla_put_uint(struct sk_buff *skb, int type, u64 value)
{
	return nla_put_uint(skb, type, value);
}

struct nlattr *toe_helper_nla_nest_start(struct sk_buff *skb, int type)
{
	return nla_nest_start(skb, type);
}

void toe_helper_nla_nest_end(struct sk_buff *skb, struct nlattr *nest)
{
	nla_nest_end(skb, nest);
}

void toe_helper_nla_nest_cancel(struct sk_buff *skb, struct nlattr *nest)
{
	nla_nest_cancel(skb, nest);
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
