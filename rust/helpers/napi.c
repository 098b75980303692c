// SPDX-License-Identifier: GPL-2.0

#include <linux/netdevice.h>
#include <net/busy_poll.h>
#include <net/gro.h>

#include "helpers.h"

void toe_helper_netif_napi_add_config_locked(struct net_device *dev, struct napi_struct *napi,
					     int (*poll)(struct napi_struct *, int), int index)
{
	netif_napi_add_config_locked(dev, napi, poll, index);
}

void toe_helper_netif_napi_del_locked(struct napi_struct *napi)
{
	netif_napi_del_locked(napi);
}

void toe_helper_napi_schedule(struct napi_struct *napi)
{
	napi_schedule(napi);
}

/*
 * In process context: the poll runs when bottom halves are enabled again. Without
 * that it would have to wait for the next interrupt or for ksoftirqd.
 */
void toe_helper_napi_schedule_bh(struct napi_struct *napi)
{
	local_bh_disable();
	napi_schedule(napi);
	local_bh_enable();
}

void toe_helper_napi_schedule_irqoff(struct napi_struct *napi)
{
	napi_schedule_irqoff(napi);
}

int toe_helper_napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb)
{
	return napi_gro_receive(napi, skb);
}

void toe_helper_napi_gro_flush(struct napi_struct *napi, bool flush_old)
{
	napi_gro_flush(napi, flush_old);
}

void toe_helper_skb_mark_napi_id(struct sk_buff *skb, struct napi_struct *napi)
{
	skb_mark_napi_id(skb, napi);
}
