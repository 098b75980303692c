// SPDX-License-Identifier: GPL-2.0

#include <linux/dma-mapping.h>
#include <linux/mm.h>

#include "helpers.h"

dma_addr_t toe_helper_dma_map_single(struct device *dev, void *ptr, size_t size,
				     enum dma_data_direction dir)
{
	return dma_map_single(dev, ptr, size, dir);
}

dma_addr_t toe_helper_dma_map_page(struct device *dev, struct page *page, size_t offset,
				   size_t size, enum dma_data_direction dir)
{
	return dma_map_page(dev, page, offset, size, dir);
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

void toe_helper_get_page(struct page *page)
{
	get_page(page);
}

void toe_helper_put_page(struct page *page)
{
	put_page(page);
}
