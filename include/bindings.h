/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Input of bindgen. Everything in the headers included here is bound; of the headers
 * that these include, only the types that they need. See Kbuild.
 *
 * Sorted alphabetically.
 */

#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/jiffies.h>
#include <linux/net.h>
#include <linux/netdev_features.h>
#include <linux/netdevice.h>
#include <linux/netlink.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/socket.h>
#include <linux/spinlock.h>
#include <linux/tcp.h>
#include <linux/workqueue.h>
#include <net/dropreason-core.h>
#include <net/genetlink.h>
#include <net/gro.h>
#include <net/netdev_queues.h>
#include <net/netlink.h>
#include <net/page_pool/helpers.h>
#include <net/page_pool/types.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/xdp.h>
#include <uapi/linux/genetlink.h>

#include "connection.h"
#include "genl_helpers.h"
#include "helpers.h"
#include "tcp_helpers.h"
#include "uapi/linux/toe.h"

/* Constants that bindgen cannot evaluate, or whose headers are not included above. */
const u32 TOE_CONST_ETHTOOL_COALESCE_RX_USECS = ETHTOOL_COALESCE_RX_USECS;
const u32 TOE_CONST_ETHTOOL_COALESCE_RX_MAX_FRAMES = ETHTOOL_COALESCE_RX_MAX_FRAMES;
const u8 TOE_CONST_ETHTOOL_TCP_DATA_SPLIT_DISABLED = ETHTOOL_TCP_DATA_SPLIT_DISABLED;
const u8 TOE_CONST_ETHTOOL_TCP_DATA_SPLIT_ENABLED = ETHTOOL_TCP_DATA_SPLIT_ENABLED;
const u32 TOE_CONST_ETHTOOL_OP_NEEDS_RTNL_GLINK = ETHTOOL_OP_NEEDS_RTNL_GLINK;
const u32 TOE_CONST_ETHTOOL_OP_NEEDS_RTNL_SCHANNELS = ETHTOOL_OP_NEEDS_RTNL_SCHANNELS;
const u32 TOE_CONST_ETH_RSS_HASH_TOP = ETH_RSS_HASH_TOP;
const int TOE_CONST_CALL_LINUX = TOE_CALL_LINUX;
const u8 TOE_CONST_INET_ECN_MASK = INET_ECN_MASK;
const u32 TOE_CONST_SOF_TIMESTAMPING_TX_RECORD_MASK = SOF_TIMESTAMPING_TX_RECORD_MASK;
const u8 TOE_CONST_TCP_ESTABLISHED = TCP_ESTABLISHED;
const u8 TOE_CONST_TCP_ECN_DEMAND_CWR = TCP_ECN_DEMAND_CWR;
const u8 TOE_CONST_TCP_ECN_QUEUE_CWR = TCP_ECN_QUEUE_CWR;
const u32 TOE_CONST_XDP_ABORTED = XDP_ABORTED;
const u32 TOE_CONST_XDP_DROP = XDP_DROP;
const u32 TOE_CONST_XDP_PASS = XDP_PASS;
const u32 TOE_CONST_XDP_TX = XDP_TX;
const u32 TOE_CONST_XDP_REDIRECT = XDP_REDIRECT;
const u32 TOE_CONST_XDP_PACKET_HEADROOM = XDP_PACKET_HEADROOM;
const u32 TOE_CONST_PP_FLAG_ALLOW_UNREADABLE_NETMEM = PP_FLAG_ALLOW_UNREADABLE_NETMEM;
const u32 TOE_CONST_PP_FLAG_DMA_MAP = PP_FLAG_DMA_MAP;
const u32 TOE_CONST_PP_FLAG_DMA_SYNC_DEV = PP_FLAG_DMA_SYNC_DEV;
