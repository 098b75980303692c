// SPDX-License-Identifier: GPL-2.0

#include <linux/etherdevice.h>
#include <linux/netdevice.h>
#include <net/netdev_lock.h>

#include "helpers.h"

void *toe_helper_netdev_priv(const struct net_device *dev)
{
	return netdev_priv(dev);
}

void toe_helper_netdev_lockdep_set_classes(struct net_device *dev)
{
	netdev_lockdep_set_classes(dev);
}

void toe_helper_netdev_lock(struct net_device *dev)
{
	netdev_lock(dev);
}

void toe_helper_netdev_unlock(struct net_device *dev)
{
	netdev_unlock(dev);
}

bool toe_helper_netif_running(const struct net_device *dev)
{
	return netif_running(dev);
}

bool toe_helper_netif_carrier_ok(const struct net_device *dev)
{
	return netif_carrier_ok(dev);
}

void toe_helper_eth_hw_addr_set(struct net_device *dev, const u8 *addr)
{
	eth_hw_addr_set(dev, addr);
}

bool toe_helper_is_valid_ether_addr(const u8 *addr)
{
	return is_valid_ether_addr(addr);
}

void toe_helper_eth_hw_addr_random(struct net_device *dev)
{
	eth_hw_addr_random(dev);
}

/* Sets the flags that the abstractions in rust/net rely on or implement. */
void toe_helper_netdev_set_capabilities(struct net_device *dev)
{
	/* An skb passed to ndo_start_xmit has no other reference. */
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
	/* ndo_set_mac_address works while the interface is up. */
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
	/* Fragments without a page are sent by their DMA address. */
	dev->netmem_tx = NETMEM_TX_DMA;
}

void toe_helper_set_netdev_dev(struct net_device *dev, struct device *parent)
{
	SET_NETDEV_DEV(dev, parent);
}

struct net *toe_helper_netdev_net(const struct net_device *dev)
{
	return dev_net(dev);
}
