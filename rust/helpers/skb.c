// SPDX-License-Identifier: GPL-2.0

#include <linux/if_vlan.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "helpers.h"

struct skb_shared_info *toe_helper_skb_shinfo(const struct sk_buff *skb)
{
	return skb_shinfo(skb);
}

bool toe_helper_skb_frag_is_net_iov(const skb_frag_t *frag)
{
	return skb_frag_is_net_iov(frag);
}

void toe_helper_skb_add_rx_frag_netmem(struct sk_buff *skb, int i, netmem_ref netmem, int offset,
				       int size, unsigned int truesize)
{
	skb_add_rx_frag_netmem(skb, i, netmem, offset, size, truesize);
}

void toe_helper_skb_mark_for_recycle(struct sk_buff *skb)
{
	skb_mark_for_recycle(skb);
}

void *toe_helper___skb_put(struct sk_buff *skb, unsigned int length)
{
	return __skb_put(skb, length);
}

void toe_helper_skb_set_hash(struct sk_buff *skb, u32 hash, enum pkt_hash_types type)
{
	skb_set_hash(skb, hash, type);
}

void toe_helper_skb_record_rx_queue(struct sk_buff *skb, u16 queue)
{
	skb_record_rx_queue(skb, queue);
}

void toe_helper___vlan_hwaccel_put_tag(struct sk_buff *skb, __be16 proto, u16 tci)
{
	__vlan_hwaccel_put_tag(skb, proto, tci);
}

bool toe_helper_skb_vlan_tag_present(const struct sk_buff *skb)
{
	return skb_vlan_tag_present(skb);
}

u16 toe_helper_skb_vlan_tag_get(const struct sk_buff *skb)
{
	return skb_vlan_tag_get(skb);
}

int toe_helper_skb_checksum_start_offset(const struct sk_buff *skb)
{
	return skb_checksum_start_offset(skb);
}

/* Length of the headers of each segment, from the Ethernet header on. */
unsigned int toe_helper_skb_gso_header_length(const struct sk_buff *skb)
{
	if (skb_shinfo(skb)->gso_type & SKB_GSO_UDP_L4)
		return skb_transport_offset(skb) + sizeof(struct udphdr);
	return skb_tcp_all_headers(skb);
}

void toe_helper_skb_tx_timestamp(struct sk_buff *skb)
{
	skb_tx_timestamp(skb);
}

netdev_features_t toe_helper_vlan_features_check(struct sk_buff *skb, netdev_features_t features)
{
	return vlan_features_check(skb, features);
}
