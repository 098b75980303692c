// SPDX-License-Identifier: GPL-2.0

#include <linux/ethtool.h>

#include "helpers.h"

u32 *toe_helper_ethtool_rxfh_context_indir(struct ethtool_rxfh_context *ctx)
{
	return ethtool_rxfh_context_indir(ctx);
}

u8 *toe_helper_ethtool_rxfh_context_key(struct ethtool_rxfh_context *ctx)
{
	return ethtool_rxfh_context_key(ctx);
}
