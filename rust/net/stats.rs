// SPDX-License-Identifier: GPL-2.0

//! Statistics: counters, and the structures in which the core asks for them.
//!
//! C headers: [`include/uapi/linux/if_link.h`](srctree/include/uapi/linux/if_link.h),
//! [`include/net/netdev_queues.h`](srctree/include/net/netdev_queues.h)

use crate::bindings;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;

/// A counter with one writer at a time and any number of readers.
///
/// Counting is a load and a store, not a locked instruction: two writers at once lose counts.
pub struct Counter(Atomic<u64>);

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}

impl Counter {
    /// A counter that stands at zero.
    pub const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Adds `n`. For the counter's one writer.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The count.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Statistics of an interface (`struct rtnl_link_stats64`).
pub type LinkStats = bindings::rtnl_link_stats64;
/// Statistics of a receive queue; fields that are not set stay unreported.
pub type RxQueueStats = bindings::netdev_queue_stats_rx;
/// Statistics of a transmit queue; fields that are not set stay unreported.
pub type TxQueueStats = bindings::netdev_queue_stats_tx;
