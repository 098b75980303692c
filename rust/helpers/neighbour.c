// SPDX-License-Identifier: GPL-2.0

#include <linux/etherdevice.h>
#include <net/neighbour.h>

#include "helpers.h"

/* Whether the Ethernet address of @neigh is known, and that address. */
bool toe_helper_neigh_address(const struct neighbour *neigh, u8 *address)
{
	if (!(READ_ONCE(neigh->nud_state) & NUD_VALID) || neigh->dev->addr_len != ETH_ALEN)
		return false;
	neigh_ha_snapshot(address, neigh, neigh->dev);
	return true;
}

void toe_helper_neigh_release(struct neighbour *neigh)
{
	neigh_release(neigh);
}
