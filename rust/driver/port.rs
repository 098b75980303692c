// SPDX-License-Identifier: GPL-2.0

//! Interface of the adapter to its client.

use super::adapter::Adapter;
use crate::{
    abi::{
        admin::SetImpairment,
        feature,
        ring::SUBMISSION_ENTRY,
        rules::Headers, //
    },
    net::{
        dma::MappedFrag,
        netdev::NetDevice,
        skb::Frag, //
    },
    offload::{
        Client,
        Gate,
        Port,
        SubmitError, //
    }, //
};
use kernel::{
    prelude::*,
    sync::atomic::Relaxed, //
};

impl<C: Client> Port for Adapter<C> {
    fn netdev(&self) -> &NetDevice {
        self.netdev.device()
    }

    fn features(&self) -> u64 {
        self.function.properties().features
    }

    fn is_offered(&self) -> bool {
        self.function.has(feature::DELEGATION) && self.delegation.load(Relaxed)
    }

    fn is_running(&self) -> bool {
        self.running.load(Relaxed) && !self.function.is_dead()
    }

    fn is_inspected(&self) -> bool {
        self.xdp.is_announced()
    }

    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn connection_limit(&self) -> u32 {
        self.function.properties().connections
    }

    fn processor_for(&self, headers: &Headers) -> Option<u8> {
        self.steering.lock().processor_for(headers)
    }

    fn submit(&self, processor: u8, entries: &[[u8; SUBMISSION_ENTRY]]) -> Result<(), SubmitError> {
        self.channel(processor.into())
            .map_err(|_| SubmitError::Stopped)?
            .submit(&self.function, entries)
    }

    fn taken(&self, processor: u8) -> u32 {
        self.channel(processor.into())
            .map_or(0, |channel| channel.consumed.load(Relaxed))
    }

    fn reserve_fragments(&self, processor: u8, most: u32) -> u32 {
        self.channel(processor.into())
            .map_or(0, |channel| channel.pair.reserve(most))
    }

    fn release_fragments(&self, processor: u8, count: u32) {
        if let Ok(channel) = self.channel(processor.into()) {
            if channel.pair.release(count) {
                channel.napi.schedule();
            }
        }
    }

    fn await_fragments(&self, processor: u8) {
        if let Ok(channel) = self.channel(processor.into()) {
            if channel.pair.announce_shortage() {
                channel.napi.schedule();
            }
        }
    }

    fn map(&self, frag: &Frag) -> Result<MappedFrag> {
        if !self.is_running() {
            return Err(ENODEV);
        }
        MappedFrag::new(&self.mapper, frag)
    }

    fn impair(&self, impairment: &SetImpairment) -> Result {
        if !self.function.has(feature::IMPAIR) {
            return Err(EOPNOTSUPP);
        }
        self.function.command(impairment)
    }

    fn fault(&self, why: &str) {
        self.function.fault(why);
    }
}
