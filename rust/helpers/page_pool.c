// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>
#include <net/page_pool/helpers.h>

#include "helpers.h"

struct page *toe_helper_page_pool_dev_alloc_pages(struct page_pool *pool)
{
	return page_pool_dev_alloc_pages(pool);
}

void toe_helper_page_pool_fragment_page(struct page *page, long count)
{
	page_pool_fragment_page(page, count);
}

/* Gives back @count references at once; the last ones return the page to @pool. */
void toe_helper_page_pool_drain(struct page_pool *pool, struct page *page, long count)
{
	if (page_pool_unref_page(page, count) == 0)
		page_pool_put_unrefed_page(pool, page, -1, false);
}

dma_addr_t toe_helper_page_pool_get_dma_addr(const struct page *page)
{
	return page_pool_get_dma_addr(page);
}

void toe_helper_page_pool_dma_sync_for_cpu(const struct page_pool *pool, const struct page *page,
					   u32 offset, u32 size)
{
	page_pool_dma_sync_for_cpu(pool, page, offset, size);
}

/* Gives back one reference to a page of whatever pool it is from. */
void toe_helper_page_pool_put_frag(struct page *page)
{
	page_pool_put_full_page(pp_page_to_nmdesc(page)->pp, page, false);
}

void *toe_helper_page_address(const struct page *page)
{
	return page_address(page);
}
