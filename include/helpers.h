/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C shims for inline functions and macros, which Rust cannot call.
 *
 * toe_helper_NAME() calls NAME(); where the kernel has no such function, a comment
 * at the definition describes it. Each group below is defined in the file of
 * rust/helpers that it names. Rust code calls them as bindings::NAME.
 */
#ifndef _TOE_HELPERS_H
#define _TOE_HELPERS_H

#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/ethtool.h>
#include <linux/jiffies.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <net/neighbour.h>
#include <net/netmem.h>
#include <net/page_pool/types.h>
#include <net/xdp.h>

/* rust/helpers/completion.c */
void toe_helper_init_completion(struct completion *completion);

/* rust/helpers/dma.c */
dma_addr_t toe_helper_dma_map_single(struct device *dev, void *ptr, size_t size,
				     enum dma_data_direction dir);
void toe_helper_dma_unmap_page(struct device *dev, dma_addr_t addr, size_t size,
			       enum dma_data_direction dir);
int toe_helper_dma_mapping_error(struct device *dev, dma_addr_t addr);
dma_addr_t toe_helper_skb_frag_dma_map(struct device *dev, const skb_frag_t *frag);
netmem_ref toe_helper_skb_frag_netmem(const skb_frag_t *frag);
void toe_helper_get_netmem(netmem_ref netmem);
void toe_helper_put_netmem(netmem_ref netmem);

/* rust/helpers/ethtool.c */
u32 *toe_helper_ethtool_rxfh_context_indir(struct ethtool_rxfh_context *ctx);
u8 *toe_helper_ethtool_rxfh_context_key(struct ethtool_rxfh_context *ctx);

/* rust/helpers/lock.c */
void toe_helper_spin_lock_init(spinlock_t *lock, const char *name, struct lock_class_key *key);
void toe_helper_spin_lock_bh(spinlock_t *lock);
int toe_helper_spin_trylock_bh(spinlock_t *lock);
void toe_helper_spin_unlock_bh(spinlock_t *lock);
void toe_helper_spin_assert_is_held(spinlock_t *lock);

/* rust/helpers/module.c */
void toe_helper_module_get(void);
void toe_helper_module_put(void);

/* rust/helpers/napi.c */
void toe_helper_netif_napi_add_config_locked(struct net_device *dev, struct napi_struct *napi,
					     int (*poll)(struct napi_struct *, int), int index);
void toe_helper_netif_napi_del_locked(struct napi_struct *napi);
void toe_helper_napi_schedule(struct napi_struct *napi);
void toe_helper_napi_schedule_bh(struct napi_struct *napi);
void toe_helper_napi_schedule_irqoff(struct napi_struct *napi);
int toe_helper_napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb);
void toe_helper_napi_gro_flush(struct napi_struct *napi, bool flush_old);
void toe_helper_skb_mark_napi_id(struct sk_buff *skb, struct napi_struct *napi);

/* rust/helpers/neighbour.c */
bool toe_helper_neigh_address(const struct neighbour *neigh, u8 *address);
void toe_helper_neigh_release(struct neighbour *neigh);

/* rust/helpers/netdev.c */
void *toe_helper_netdev_priv(const struct net_device *dev);
void toe_helper_netdev_lockdep_set_classes(struct net_device *dev);
void toe_helper_netdev_lock(struct net_device *dev);
void toe_helper_netdev_unlock(struct net_device *dev);
bool toe_helper_netif_running(const struct net_device *dev);
struct net *toe_helper_netdev_net(const struct net_device *dev);
bool toe_helper_netif_carrier_ok(const struct net_device *dev);
void toe_helper_eth_hw_addr_set(struct net_device *dev, const u8 *addr);
bool toe_helper_is_valid_ether_addr(const u8 *addr);
void toe_helper_eth_hw_addr_random(struct net_device *dev);
void toe_helper_netdev_set_capabilities(struct net_device *dev);
void toe_helper_set_netdev_dev(struct net_device *dev, struct device *parent);

/* rust/helpers/queue.c */
struct netdev_queue *toe_helper_netdev_get_tx_queue(const struct net_device *dev,
						    unsigned int index);
void toe_helper___netif_tx_lock_bh(struct netdev_queue *txq);
void toe_helper___netif_tx_unlock_bh(struct netdev_queue *txq);
void toe_helper___netif_tx_lock(struct netdev_queue *txq);
void toe_helper___netif_tx_unlock(struct netdev_queue *txq);
void toe_helper_txq_trans_cond_update(struct netdev_queue *txq);
unsigned int toe_helper_smp_processor_id(void);
void toe_helper_netif_tx_start_queue(struct netdev_queue *txq);
void toe_helper_netif_tx_stop_queue(struct netdev_queue *txq);
bool toe_helper_netif_tx_queue_stopped(const struct netdev_queue *txq);
bool toe_helper___netdev_tx_sent_queue(struct netdev_queue *txq, unsigned int bytes, bool more);
void toe_helper_netdev_txq_completed_mb(struct netdev_queue *txq, unsigned int packets,
					unsigned int bytes);
void toe_helper_netdev_tx_reset_queue(struct netdev_queue *txq);
bool toe_helper_netdev_xmit_more(void);
void toe_helper_netif_tx_disable(struct net_device *dev);

/* rust/helpers/page_pool.c */
netmem_ref toe_helper_page_pool_dev_alloc_netmems(struct page_pool *pool);
void toe_helper_page_pool_fragment_netmem(netmem_ref netmem, long count);
void toe_helper_page_pool_drain(struct page_pool *pool, netmem_ref netmem, long count);
dma_addr_t toe_helper_page_pool_get_dma_addr_netmem(netmem_ref netmem);
void toe_helper_page_pool_dma_sync_netmem_for_cpu(const struct page_pool *pool, netmem_ref netmem,
						  u32 offset, u32 size);
void toe_helper_page_pool_put_frag(netmem_ref netmem);
void *toe_helper_netmem_address(netmem_ref netmem);

/* rust/helpers/skb.c */
struct skb_shared_info *toe_helper_skb_shinfo(const struct sk_buff *skb);
bool toe_helper_skb_frag_is_net_iov(const skb_frag_t *frag);
void toe_helper_skb_add_rx_frag_netmem(struct sk_buff *skb, int i, netmem_ref netmem, int offset,
				       int size, unsigned int truesize);
void toe_helper_skb_mark_for_recycle(struct sk_buff *skb);
void *toe_helper___skb_put(struct sk_buff *skb, unsigned int length);
void toe_helper_skb_set_hash(struct sk_buff *skb, u32 hash, enum pkt_hash_types type);
void toe_helper_skb_record_rx_queue(struct sk_buff *skb, u16 queue);
void toe_helper___vlan_hwaccel_put_tag(struct sk_buff *skb, __be16 proto, u16 tci);
bool toe_helper_skb_vlan_tag_present(const struct sk_buff *skb);
u16 toe_helper_skb_vlan_tag_get(const struct sk_buff *skb);
int toe_helper_skb_checksum_start_offset(const struct sk_buff *skb);
unsigned int toe_helper_skb_gso_header_length(const struct sk_buff *skb);
void toe_helper_skb_tx_timestamp(struct sk_buff *skb);
netdev_features_t toe_helper_vlan_features_check(struct sk_buff *skb, netdev_features_t features);

/* rust/helpers/time.c */
unsigned int toe_helper_jiffies_to_msecs(unsigned long j);

/* rust/helpers/workqueue.c */
struct workqueue_struct *toe_helper_alloc_unbound_workqueue(const char *name, int active);

/* rust/helpers/xdp.c */
struct toe_xdp_buff {
	struct xdp_buff xdp;		/* what programs see */
	u32 hash;
	enum xdp_rss_hash_type hash_type;
};

void toe_helper_xdp_set_capabilities(struct net_device *dev);
void toe_helper_bpf_prog_put(struct bpf_prog *prog);
bool toe_helper_xdp_prog_has_frags(const struct bpf_prog *prog);
void *toe_helper_page_pool_dev_alloc_va(struct page_pool *pool, unsigned int *size);
void toe_helper_xdp_begin(struct toe_xdp_buff *buff, void *start, u32 size, u32 headroom,
			  struct xdp_rxq_info *rxq);
u32 toe_helper_xdp_tailroom(const struct xdp_buff *xdp);
bool toe_helper_xdp_buff_add_frag(struct xdp_buff *xdp, netmem_ref netmem, u32 offset, u32 size,
				  u32 truesize);
bool toe_helper_xdp_buff_has_frags(const struct xdp_buff *xdp);
u32 toe_helper_xdp_get_buff_len(const struct xdp_buff *xdp);
u32 toe_helper_bpf_prog_run_xdp(const struct bpf_prog *prog, struct xdp_buff *xdp);
int toe_helper_xdp_do_redirect(struct net_device *dev, struct xdp_buff *xdp,
			       const struct bpf_prog *prog);
void toe_helper_xdp_do_flush(void);
void toe_helper_bpf_warn_invalid_xdp_action(const struct net_device *dev,
					    const struct bpf_prog *prog, u32 act);
void toe_helper_trace_xdp_exception(const struct net_device *dev, const struct bpf_prog *prog,
				    u32 act);
struct xdp_frame *toe_helper_xdp_convert_buff_to_frame(struct xdp_buff *xdp);
void toe_helper_xdp_discard(struct xdp_buff *xdp);
u32 toe_helper_xdp_get_frame_len(const struct xdp_frame *frame);
const struct skb_shared_info *toe_helper_xdp_frame_frags(const struct xdp_frame *frame);

#endif
