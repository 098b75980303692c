/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C shims for generic netlink, defined in rust/helpers/genl.c.
 */
#ifndef _TOE_GENL_HELPERS_H
#define _TOE_GENL_HELPERS_H

#include <net/genetlink.h>

struct sk_buff *toe_helper_genlmsg_new_default(bool atomic);
void toe_helper_genlmsg_end(struct sk_buff *skb, void *hdr);
void toe_helper_genlmsg_cancel(struct sk_buff *skb, void *hdr);
int toe_helper_genlmsg_reply(struct sk_buff *skb, struct genl_info *info);
bool toe_helper_genl_has_listeners(const struct genl_family *family, struct net *net,
				   unsigned int group);
void toe_helper_genlmsg_multicast_netns(const struct genl_family *family, struct net *net,
					struct sk_buff *skb, unsigned int group);
void toe_helper_nlmsg_free(struct sk_buff *skb);
const struct genl_info *toe_helper_genl_info_dump(struct netlink_callback *cb);
struct net *toe_helper_genl_info_net(const struct genl_info *info);
const void *toe_helper_nla_data(const struct nlattr *nla);
int toe_helper_nla_len(const struct nlattr *nla);
struct nlattr *toe_helper_nla_nest_start(struct sk_buff *skb, int attrtype);
void toe_helper_nla_nest_end(struct sk_buff *skb, struct nlattr *start);
void toe_helper_nla_nest_cancel(struct sk_buff *skb, struct nlattr *start);

#endif
