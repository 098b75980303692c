// SPDX-License-Identifier: GPL-2.0

//! The structures in which the core asks for statistics.
//!
//! C headers: [`include/uapi/linux/if_link.h`](srctree/include/uapi/linux/if_link.h),
//! [`include/net/netdev_queues.h`](srctree/include/net/netdev_queues.h)

use crate::bindings;

/// Statistics of an interface (`struct rtnl_link_stats64`).
pub type LinkStats = bindings::rtnl_link_stats64;
/// Statistics of a receive queue; fields that are not set stay unreported.
pub type RxQueueStats = bindings::netdev_queue_stats_rx;
/// Statistics of a transmit queue; fields that are not set stay unreported.
pub type TxQueueStats = bindings::netdev_queue_stats_tx;
