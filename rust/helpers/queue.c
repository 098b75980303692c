// SPDX-License-Identifier: GPL-2.0

#include <linux/netdevice.h>
#include <net/netdev_queues.h>

#include "helpers.h"

struct netdev_queue *toe_helper_netdev_get_tx_queue(const struct net_device *dev,
						    unsigned int index)
{
	return netdev_get_tx_queue(dev, index);
}

void toe_helper___netif_tx_lock_bh(struct netdev_queue *txq)
{
	__netif_tx_lock_bh(txq);
}

void toe_helper___netif_tx_unlock_bh(struct netdev_queue *txq)
{
	__netif_tx_unlock_bh(txq);
}

/* With bottom halves disabled. */
void toe_helper___netif_tx_lock(struct netdev_queue *txq)
{
	__netif_tx_lock(txq, smp_processor_id());
}

void toe_helper___netif_tx_unlock(struct netdev_queue *txq)
{
	__netif_tx_unlock(txq);
}

void toe_helper_txq_trans_cond_update(struct netdev_queue *txq)
{
	txq_trans_cond_update(txq);
}

unsigned int toe_helper_smp_processor_id(void)
{
	return smp_processor_id();
}

void toe_helper_netif_tx_start_queue(struct netdev_queue *txq)
{
	netif_tx_start_queue(txq);
}

void toe_helper_netif_tx_stop_queue(struct netdev_queue *txq)
{
	netif_tx_stop_queue(txq);
}

bool toe_helper_netif_tx_queue_stopped(const struct netdev_queue *txq)
{
	return netif_tx_queue_stopped(txq);
}

bool toe_helper___netdev_tx_sent_queue(struct netdev_queue *txq, unsigned int bytes, bool more)
{
	return __netdev_tx_sent_queue(txq, bytes, more);
}

void toe_helper_netdev_txq_completed_mb(struct netdev_queue *txq, unsigned int packets,
					unsigned int bytes)
{
	netdev_txq_completed_mb(txq, packets, bytes);
}

void toe_helper_netdev_tx_reset_queue(struct netdev_queue *txq)
{
	netdev_tx_reset_queue(txq);
}

bool toe_helper_netdev_xmit_more(void)
{
	return netdev_xmit_more();
}

void toe_helper_netif_tx_disable(struct net_device *dev)
{
	netif_tx_disable(dev);
}
