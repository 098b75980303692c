// SPDX-License-Identifier: GPL-2.0

#include <net/genetlink.h>

#include "genl_helpers.h"

/* A message of the default size. */
struct sk_buff *toe_helper_genlmsg_new_default(bool atomic)
{
	return genlmsg_new(GENLMSG_DEFAULT_SIZE, atomic ? GFP_ATOMIC : GFP_KERNEL);
}

void toe_helper_genlmsg_end(struct sk_buff *skb, void *hdr)
{
	genlmsg_end(skb, hdr);
}

void toe_helper_genlmsg_cancel(struct sk_buff *skb, void *hdr)
{
	genlmsg_cancel(skb, hdr);
}

int toe_helper_genlmsg_reply(struct sk_buff *skb, struct genl_info *info)
{
	return genlmsg_reply(skb, info);
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

void toe_helper_nlmsg_free(struct sk_buff *skb)
{
	nlmsg_free(skb);
}

const struct genl_info *toe_helper_genl_info_dump(struct netlink_callback *cb)
{
	return genl_info_dump(cb);
}

struct net *toe_helper_genl_info_net(const struct genl_info *info)
{
	return genl_info_net(info);
}

const void *toe_helper_nla_data(const struct nlattr *nla)
{
	return nla_data(nla);
}

int toe_helper_nla_len(const struct nlattr *nla)
{
	return nla_len(nla);
}

struct nlattr *toe_helper_nla_nest_start(struct sk_buff *skb, int attrtype)
{
	return nla_nest_start(skb, attrtype);
}

void toe_helper_nla_nest_end(struct sk_buff *skb, struct nlattr *start)
{
	nla_nest_end(skb, start);
}

void toe_helper_nla_nest_cancel(struct sk_buff *skb, struct nlattr *start)
{
	nla_nest_cancel(skb, start);
}
