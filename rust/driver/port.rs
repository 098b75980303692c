// SPDX-License-Identifier: GPL-2.0

//! The adapter as the shim uses it.

use super::{
    adapter::{
        Adapter,
        Queue, //
    },
    processor::Submission, //
};
use crate::{
    abi::{
        admin::SetImpairment,
        feature,
        ring::{
            Ring as Line,
            SUBMISSION_ENTRY, //
        },
        rules::Headers, //
    },
    net::{
        dma::MappedFrag,
        netdev::NetDevice,
        skb::Frag, //
    },
    offload::{
        Client,
        Port,
        SubmitError, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        barrier::{
            mb,
            Full, //
        }, //
    }, //
};

impl<C: Client> Adapter<C> {
    fn queue(&self, index: u8) -> Option<&Queue<C>> {
        self.processors.get(usize::from(index))
    }
}

impl<C: Client> Port for Adapter<C> {
    fn netdev(&self) -> &NetDevice {
        self.netdev.device()
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn is_offered(&self) -> bool {
        self.features & feature::DELEGATION != 0 && self.delegation.load(Relaxed)
    }

    fn is_running(&self) -> bool {
        self.running.load(Relaxed) && !self.dead.load(Relaxed)
    }

    fn is_inspected(&self) -> bool {
        self.xdp.is_announced()
    }

    fn connection_limit(&self) -> u32 {
        self.connections
    }

    fn processor_for(&self, headers: &Headers) -> Option<u8> {
        self.steering.lock().processor_for(headers)
    }

    fn submit(&self, processor: u8, entries: &[[u8; SUBMISSION_ENTRY]]) -> Result<(), SubmitError> {
        let processor = self.queue(processor).ok_or(SubmitError::Stopped)?;
        let mut guard = processor.submission.lock();
        let slot: &mut Option<Submission> = &mut guard;
        let submission = slot.as_mut().ok_or(SubmitError::Stopped)?;
        if (submission.room() as usize) < entries.len() {
            processor.waiting.store(true, Relaxed);
            // The poll may have looked before it could see that somebody waits.
            mb(Full);
            if (submission.room() as usize) < entries.len() {
                return Err(SubmitError::Full);
            }
        }
        for entry in entries {
            submission.ring.write(submission.producer, entry);
            submission.producer = submission.producer.wrapping_add(1);
        }
        let line = Line::Submission.index_offset();
        self.registers
            .doorbell(processor.index, line, submission.producer);
        self.wake(processor.index, &submission.status);
        Ok(())
    }

    fn taken(&self, processor: u8) -> u32 {
        self.queue(processor)
            .map_or(0, |processor| processor.consumed.load(Relaxed))
    }

    fn reserve_fragments(&self, processor: u8, count: u32) -> bool {
        self.queue(processor)
            .is_some_and(|processor| processor.reserve(count))
    }

    fn release_fragments(&self, processor: u8, count: u32) {
        if let Some(processor) = self.queue(processor) {
            processor.release(count);
        }
    }

    fn map(&self, frag: &Frag) -> Result<MappedFrag> {
        if !self.is_running() {
            return Err(ENODEV);
        }
        MappedFrag::new(&self.mapper, frag)
    }

    fn impair(&self, impairment: &SetImpairment) -> Result {
        if self.features & feature::IMPAIR == 0 {
            return Err(EOPNOTSUPP);
        }
        self.command(impairment)
    }

    fn fault(&self, why: &str) {
        Adapter::fault(self, why);
    }
}
