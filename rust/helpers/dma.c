// SPDX-License-Identifier: GPL-2.0

#include <linux/dma-mapping.h>
#include <linux/skbuff.h>
#include <net/netmem.h>

#include "helpers.h"

dma_addr_t toe_helper_dma_map_single(struct device *dev, void *ptr, size_t size,
				     enum dma_data_direction dir)
{
	return dma_map_single(dev, ptr, size, dir);
}

void toe_helper_dma_unmap_page(struct device *dev, dma_addr_t addr, size_t size,
			       enum dma_data_direction dir)
{
	dma_unmap_page(dev, addr, size, dir);
}

int toe_helper_dma_mapping_error(struct device *dev, dma_addr_t addr)
{
	return dma_mapping_error(dev, addr);
}

dma_addr_t toe_helper_skb_frag_dma_map(struct device *dev, const skb_frag_t *frag)
{
	return skb_frag_dma_map(dev, frag);
}

netmem_ref toe_helper_skb_frag_netmem(const skb_frag_t *frag)
{
	return skb_frag_netmem(frag);
}

void toe_helper_get_netmem(netmem_ref netmem)
{
	get_netmem(netmem);
}

void toe_helper_put_netmem(netmem_ref netmem)
{
	put_netmem(netmem);
}
