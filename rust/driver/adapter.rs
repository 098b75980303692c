// SPDX-License-Identifier: GPL-2.0

//! The adapter: a PCI function and its interface.

use super::{
    function::Function,
    limits::Recoveries,
    poll::Poller,
    queue_pair::QueuePair,
    ring_sizes::RingSizes,
    steering::Steering, //
};
use crate::{
    abi::stats::Counter as HwCounter,
    net::{
        dma::Mapper,
        ethtool::{
            Coalesce,
            FlowRule, //
        },
        napi::Napi,
        netdev::Allocation,
        xdp::Attachment, //
    },
    offload::{
        Client,
        Gate, //
    },
    util::lock::{
        new_bh_spinlock,
        BhSpinLock, //
    }, //
};
use core::ops::Deref;
use kernel::{
    device::{
        self,
        Bound, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            AtomicFlag, //
        },
        Arc, //
    }, //
};

/// Settings of the interface, which the driver restores after a reset. Protected by the instance
/// lock.
pub(crate) struct Settings {
    /// The interface is up.
    pub(super) up: bool,
    /// MTU in bytes.
    pub(super) mtu: u32,
    /// Unicast address of the filter.
    pub(super) mac: [u8; 6],
    /// Flags of the filter ([`crate::abi::admin::filter`]).
    pub(super) filter_flags: u32,
    /// Multicast addresses of the filter, padded to 8 bytes.
    pub(super) multicast: KVec<[u8; 8]>,
    /// Interrupt coalescing.
    pub(super) coalesce: Coalesce,
    /// How the adapter stores received frames ([`crate::abi::admin::storage`]).
    pub(super) storage: u32,
    /// Frames up to this size in bytes are not split.
    pub(super) small_frame: u16,
    /// Ring sizes.
    pub(super) sizes: RingSizes,
    /// Receive rules, ordered by location.
    pub(super) rules: KVec<FlowRule>,
    /// History of recoveries.
    pub(super) recoveries: Recoveries,
}

/// A queue pair and the NAPI instance that polls it.
pub(super) struct Channel<C: Client> {
    /// The queue pair.
    pub(super) pair: Arc<QueuePair>,
    /// The NAPI instance.
    pub(super) napi: Napi<Poller<C>>,
}

impl<C: Client> Deref for Channel<C> {
    type Target = QueuePair;

    fn deref(&self) -> &QueuePair {
        &self.pair
    }
}

/// A PCI function and its interface, with the client `C` of its offload processors.
#[pin_data]
pub(crate) struct Adapter<C: Client> {
    pub(super) function: Arc<Function>,
    pub(super) netdev: Arc<Allocation>,
    pub(super) mapper: Mapper,
    pub(super) channels: KVec<Channel<C>>,
    #[pin]
    pub(super) steering: BhSpinLock<Steering>,
    /// The interface is up and the adapter works.
    pub(super) running: AtomicFlag,
    /// The user permits delegation.
    pub(super) delegation: AtomicFlag,
    /// The client's gate.
    pub(super) gate: Gate,
    /// The XDP program of the interface.
    pub(super) xdp: Attachment,
    /// Resets after a fault.
    pub(super) resets: Atomic<u64>,
}

impl<C: Client> Adapter<C> {
    /// Creates the adapter of `function`, with a channel for each processor.
    pub(super) fn new(
        dev: &device::Device<Bound>,
        function: Arc<Function>,
        netdev: &Arc<Allocation>,
    ) -> Result<Arc<Self>> {
        let properties = function.properties();
        let mut channels = KVec::new();
        for index in 0..properties.processors {
            let channel = Channel {
                pair: QueuePair::new(index, properties.fragments)?,
                napi: Napi::new(netdev, index.into())?,
            };
            channels.push(channel, GFP_KERNEL)?;
        }
        let steering = Steering::new(properties.processors)?;
        let mapper = Mapper::new(dev)?;
        Arc::pin_init(
            pin_init!(Self {
                function,
                netdev: netdev.clone(),
                mapper,
                channels,
                steering <- new_bh_spinlock!(steering),
                running: AtomicFlag::new(false),
                delegation: AtomicFlag::new(true),
                gate: Gate::new(),
                xdp: Attachment::new(),
                resets: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns the channel with this index.
    pub(super) fn channel(&self, index: usize) -> Result<&Channel<C>> {
        self.channels.get(index).ok_or(EINVAL)
    }

    /// Returns the channels that run while the interface is up: one for each queue in use.
    pub(super) fn active(&self) -> &[Channel<C>] {
        let queues = self.netdev.device().queues() as usize;
        self.channels.get(..queues).unwrap_or(&self.channels)
    }

    /// Returns the sum of counters of the adapter over all processors. Additions wrap.
    pub(super) fn hw_sum(&self, counters: &[HwCounter]) -> u64 {
        self.channels
            .iter()
            .fold(0, |sum, channel| channel.hw_sum(counters).wrapping_add(sum))
    }
}
