/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C shims for generic netlink.
 */
#ifndef _TOE_GENL_HELPERS_H
#define _TOE_GENL_HELPERS_H

#include <net/genetlink.h>
#include <net/sock.h>

/* rust/helpers/genl.c */

struct sk_buff *toe_helper_genlmsg_new(bool atomic);
void *toe_helper_genlmsg_put_info(struct sk_buff *skb, struct genl_info *info, u8 cmd);
void *toe_helper_genlmsg_put_dump(struct sk_buff *skb, struct netlink_callback *cb,
				  const struct genl_family *family, u8 cmd);
void *toe_helper_genlmsg_put_notice(struct sk_buff *skb, const struct genl_family *family, u8 cmd);
bool toe_helper_genl_has_listeners(const struct genl_family *family, struct net *net,
				   unsigned int group);
void toe_helper_genlmsg_multicast_netns(const struct genl_family *family, struct net *net,
					struct sk_buff *skb, unsigned int group);
void toe_helper_genlmsg_end(struct sk_buff *skb, void *header);
void toe_helper_genlmsg_cancel(struct sk_buff *skb, void *header);
int toe_helper_genlmsg_reply(struct sk_buff *skb, struct genl_info *info);
void toe_helper_nlmsg_free(struct sk_buff *skb);
struct net *toe_helper_genl_info_net(const struct genl_info *info);
struct net *toe_helper_genl_dump_net(const struct netlink_callback *cb);
struct nlattr **toe_helper_genl_dump_attrs(struct netlink_callback *cb);
void toe_helper_genl_set_message(const struct genl_info *info, const char *message);
u64 toe_helper_nla_number(const struct nlattr *attr);
const void *toe_helper_nla_data(const struct nlattr *attr);
int toe_helper_nla_len(const struct nlattr *attr);
int toe_helper_nla_put_uint(struct sk_buff *skb, int type, u64 value);
struct nlattr *toe_helper_nla_nest_start(struct sk_buff *skb, int type);
void toe_helper_nla_nest_end(struct sk_buff *skb, struct nlattr *nest);
void toe_helper_nla_nest_cancel(struct sk_buff *skb, struct nlattr *nest);
struct sock *toe_helper_tcp_lookup(struct net *net, bool ipv6, const u8 *local, u16 local_port,
				   const u8 *remote, u16 remote_port, int ifindex);

#endif
