// SPDX-License-Identifier: GPL-2.0

#include <linux/bpf.h>
#include <linux/bpf_trace.h>
#include <linux/filter.h>
#include <linux/mm.h>
#include <net/page_pool/helpers.h>
#include <net/xdp.h>

#include "helpers.h"

static int toe_xdp_rx_hash(const struct xdp_md *ctx, u32 *hash, enum xdp_rss_hash_type *type)
{
	const struct toe_xdp_buff *buff = (const void *)ctx;

	if (!buff->hash_type)
		return -ENODATA;
	*hash = buff->hash;
	*type = buff->hash_type;
	return 0;
}

static const struct xdp_metadata_ops toe_xdp_metadata = {
	.xmo_rx_hash = toe_xdp_rx_hash,
};

/* Advertises the XDP features of @dev, which is not registered yet. */
void toe_helper_xdp_set_capabilities(struct net_device *dev)
{
	dev->xdp_features = NETDEV_XDP_ACT_BASIC | NETDEV_XDP_ACT_REDIRECT |
			    NETDEV_XDP_ACT_NDO_XMIT | NETDEV_XDP_ACT_RX_SG |
			    NETDEV_XDP_ACT_NDO_XMIT_SG;
	dev->xdp_metadata_ops = &toe_xdp_metadata;
}

void toe_helper_bpf_prog_put(struct bpf_prog *prog)
{
	bpf_prog_put(prog);
}

bool toe_helper_xdp_prog_has_frags(const struct bpf_prog *prog)
{
	return prog->aux->xdp_has_frags;
}

/* Allocates a buffer of at least @size bytes, and sets @size to its size. */
void *toe_helper_page_pool_dev_alloc_va(struct page_pool *pool, unsigned int *size)
{
	return page_pool_dev_alloc_va(pool, size);
}

/* Initialises an empty frame in a buffer of @size bytes at @start. */
void toe_helper_xdp_begin(struct toe_xdp_buff *buff, void *start, u32 size, u32 headroom,
			  struct xdp_rxq_info *rxq)
{
	xdp_init_buff(&buff->xdp, size, rxq);
	xdp_prepare_buff(&buff->xdp, start, headroom, 0, true);
	buff->hash_type = XDP_RSS_TYPE_NONE;
}

u32 toe_helper_xdp_tailroom(const struct xdp_buff *xdp)
{
	return xdp_data_hard_end(xdp) - xdp->data_end;
}

/*
 * Adjacent fragments are not merged: none may be larger than the buffer, see
 * rust/net/xdp/queue.rs.
 */
bool toe_helper_xdp_buff_add_frag(struct xdp_buff *xdp, netmem_ref netmem, u32 offset, u32 size,
				  u32 truesize)
{
	if (!__xdp_buff_add_frag(xdp, netmem, offset, size, truesize, false))
		return false;
	if (netmem_is_pfmemalloc(netmem))
		xdp_buff_set_frag_pfmemalloc(xdp);
	if (netmem_is_net_iov(netmem))
		xdp_buff_set_frag_unreadable(xdp);
	return true;
}

bool toe_helper_xdp_buff_has_frags(const struct xdp_buff *xdp)
{
	return xdp_buff_has_frags(xdp);
}

u32 toe_helper_xdp_get_buff_len(const struct xdp_buff *xdp)
{
	return xdp_get_buff_len(xdp);
}

u32 toe_helper_bpf_prog_run_xdp(const struct bpf_prog *prog, struct xdp_buff *xdp)
{
	return bpf_prog_run_xdp(prog, xdp);
}

int toe_helper_xdp_do_redirect(struct net_device *dev, struct xdp_buff *xdp,
			       const struct bpf_prog *prog)
{
	return xdp_do_redirect(dev, xdp, prog);
}

void toe_helper_xdp_do_flush(void)
{
	xdp_do_flush();
}

void toe_helper_bpf_warn_invalid_xdp_action(const struct net_device *dev,
					    const struct bpf_prog *prog, u32 act)
{
	bpf_warn_invalid_xdp_action(dev, prog, act);
}

void toe_helper_trace_xdp_exception(const struct net_device *dev, const struct bpf_prog *prog,
				    u32 act)
{
	trace_xdp_exception(dev, prog, act);
}

struct xdp_frame *toe_helper_xdp_convert_buff_to_frame(struct xdp_buff *xdp)
{
	return xdp_convert_buff_to_frame(xdp);
}

/* Returns all memory of @xdp, which consists of pool pages. Also called outside of a poll. */
void toe_helper_xdp_discard(struct xdp_buff *xdp)
{
	if (xdp_buff_has_frags(xdp)) {
		struct skb_shared_info *sinfo = xdp_get_shared_info_from_buff(xdp);

		for (int i = 0; i < sinfo->nr_frags; i++)
			toe_helper_page_pool_put_frag(skb_frag_netmem(&sinfo->frags[i]));
	}
	toe_helper_page_pool_put_frag(page_to_netmem(virt_to_page(xdp->data_hard_start)));
}

u32 toe_helper_xdp_get_frame_len(const struct xdp_frame *frame)
{
	return xdp_get_frame_len(frame);
}

/* The fragments of @frame; NULL when it has none. */
const struct skb_shared_info *toe_helper_xdp_frame_frags(const struct xdp_frame *frame)
{
	return xdp_frame_has_frags(frame) ? xdp_get_shared_info_from_frame(frame) : NULL;
}
