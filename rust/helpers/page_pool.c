// SPDX-License-Identifier: GPL-2.0

#include <net/page_pool/helpers.h>

#include "helpers.h"

netmem_ref toe_helper_page_pool_dev_alloc_netmems(struct page_pool *pool)
{
	return page_pool_dev_alloc_netmems(pool);
}

void toe_helper_page_pool_fragment_netmem(netmem_ref netmem, long count)
{
	page_pool_fragment_netmem(netmem, count);
}

/* Drops @count references at once; the last ones return the memory to @pool. */
void toe_helper_page_pool_drain(struct page_pool *pool, netmem_ref netmem, long count)
{
	if (page_pool_unref_netmem(netmem, count) == 0)
		page_pool_put_unrefed_netmem(pool, netmem, -1, false);
}

dma_addr_t toe_helper_page_pool_get_dma_addr_netmem(netmem_ref netmem)
{
	return page_pool_get_dma_addr_netmem(netmem);
}

void toe_helper_page_pool_dma_sync_netmem_for_cpu(const struct page_pool *pool, netmem_ref netmem,
						  u32 offset, u32 size)
{
	page_pool_dma_sync_netmem_for_cpu(pool, netmem, offset, size);
}

/* Drops one reference to memory of any pool. */
void toe_helper_page_pool_put_frag(netmem_ref netmem)
{
	page_pool_put_full_netmem(netmem_get_pp(netmem), netmem, false);
}

void *toe_helper_netmem_address(netmem_ref netmem)
{
	return netmem_address(netmem);
}
