// SPDX-License-Identifier: GPL-2.0

//! Commands that set MTU, receive storage, filter and interrupt coalescing.

use super::{
    adapter::{
        Adapter,
        Settings, //
    },
    queue_pair::QueuePair, //
};
use crate::{
    abi::admin,
    net::{
        dma::SharedBytes,
        ethtool::Coalesce, //
    },
    offload::Client, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    prelude::*, //
};

impl<C: Client> Adapter<C> {
    /// Applies all settings to a function that was reset, except those of running processors.
    pub(super) fn apply(&self, dev: &device::Device<Bound>, settings: &Settings) -> Result {
        self.apply_mtu(settings.mtu)?;
        self.apply_storage(settings.storage, settings.small_frame)?;
        self.apply_filter(dev, settings)?;
        self.apply_steering(dev, settings)
    }

    /// Sets the MTU.
    pub(super) fn apply_mtu(&self, mtu: u32) -> Result {
        self.function.command(&admin::SetMtu {
            opcode: admin::Opcode::SetMtu.raw(),
            mtu,
            ..Default::default()
        })
    }

    /// Sets how received frames are stored.
    pub(super) fn apply_storage(&self, flags: u32, small_frame: u16) -> Result {
        self.function.command(&admin::SetStorage {
            opcode: admin::Opcode::SetStorage.raw(),
            flags,
            small_frame,
            ..Default::default()
        })
    }

    /// Sets which frames are received.
    pub(super) fn apply_filter(&self, dev: &device::Device<Bound>, settings: &Settings) -> Result {
        let mut command = admin::SetFilter {
            opcode: admin::Opcode::SetFilter.raw(),
            flags: settings.filter_flags,
            mac: settings.mac,
            ..Default::default()
        };
        let mut list = KVec::new();
        if settings.multicast.len() > admin::MAX_MULTICAST {
            command.flags |= admin::filter::ALL_MULTICAST;
        } else {
            for address in &settings.multicast {
                list.extend_from_slice(address, GFP_KERNEL)?;
            }
        }
        // CAST: at most `admin::MAX_MULTICAST`.
        command.count = (list.len() / 8) as u32;
        // Memory of length 0 cannot be allocated.
        list.resize(list.len().max(8), 0, GFP_KERNEL)?;
        let memory = SharedBytes::new(dev, &list)?;
        command.addresses = memory.dma_address();
        self.function.command_with(&command, Some(memory))
    }

    /// Sets interrupt coalescing of all active processors.
    pub(super) fn apply_coalesce(&self, coalesce: Coalesce) -> Result {
        self.active()
            .iter()
            .try_for_each(|channel| self.apply_coalesce_to(channel, coalesce))
    }

    /// Sets interrupt coalescing of a running processor.
    pub(super) fn apply_coalesce_to(&self, pair: &QueuePair, coalesce: Coalesce) -> Result {
        self.function.command(&admin::SetCoalesce {
            opcode: admin::Opcode::SetCoalesce.raw(),
            processor: pair.index,
            usecs: coalesce.usecs,
            completions: coalesce.frames,
            ..Default::default()
        })
    }
}
