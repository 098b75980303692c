// SPDX-License-Identifier: GPL-2.0

//! The admin queue, the host's side. One command at a time, each with an end to its patience.

use super::registers::Registers;
use crate::{
    abi::{
        admin::{
            Completion,
            Event,
            Status,
            COMMAND_SIZE,
            COMPLETION_SIZE, //
        },
        regs,
        Layout, //
    },
    net::dma::Ring, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    prelude::*,
    sync::barrier::{
        dma_mb,
        Read, //
    },
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// log2 of the entries of both rings.
const LOG2: u8 = 6;

/// How long a command may take. Stopping a processor returns all its connections first.
const PATIENCE: Delta = Delta::from_secs(3);

/// Both rings, and where the host is in them.
pub(super) struct Admin {
    commands: Ring<COMMAND_SIZE>,
    completions: Ring<COMPLETION_SIZE>,
    producer: u32,
    consumer: u32,
}

impl Admin {
    /// Allocates the rings and tells the function, which has been reset, where they are.
    pub(super) fn new(dev: &device::Device<Bound>, registers: &Registers) -> Result<Self> {
        let this = Self {
            commands: Ring::new(dev, LOG2)?,
            completions: Ring::new(dev, LOG2)?,
            producer: 0,
            consumer: 0,
        };
        registers.write64(regs::ADMIN_COMMANDS, this.commands.dma_address());
        registers.write64(regs::ADMIN_COMPLETIONS, this.completions.dma_address());
        registers.write(regs::ADMIN_LOG2, LOG2.into());
        Ok(this)
    }

    /// Takes the next completion.
    fn next(&mut self, registers: &Registers) -> Option<Completion> {
        let round = self.consumer >> LOG2;
        if Completion::from_bytes(&self.completions.read(self.consumer)).phase != (round + 1) & 1 {
            return None;
        }
        // The phase is written last: what is read from here on is the whole entry.
        dma_mb(Read);
        let completion = Completion::from_bytes(&self.completions.read(self.consumer));
        self.consumer = self.consumer.wrapping_add(1);
        registers.write(regs::ADMIN_CONSUMER, self.consumer);
        Some(completion)
    }

    /// Takes all events that wait.
    pub(super) fn events(&mut self, registers: &Registers, mut on: impl FnMut(Event, u32)) {
        while let Some(completion) = self.next(registers) {
            Self::event(&completion, &mut on);
        }
    }

    fn event(completion: &Completion, on: &mut impl FnMut(Event, u32)) {
        // An event of a later minor version is none of ours; an answer that nobody waits for any
        // more was reported when its time ran out.
        if completion.event == 1 {
            if let Some(event) = Event::from_raw(completion.status) {
                on(event, completion.value);
            }
        }
    }

    /// Gives a command and waits for its answer. Events that come meanwhile go to `on`.
    ///
    /// # Errors
    ///
    /// [`ENODEV`] when the function is gone, [`ETIMEDOUT`] when it does not answer, and what stands
    /// for the [`Status`] that it answers.
    pub(super) fn command<C: Layout<Bytes = [u8; COMMAND_SIZE]>>(
        &mut self,
        registers: &Registers,
        command: &C,
        mut on: impl FnMut(Event, u32),
    ) -> Result {
        // Never 0: that is an event's.
        let token = self.producer | 1 << 31;
        let mut bytes = command.to_bytes();
        bytes[4..8].copy_from_slice(&token.to_le_bytes());
        self.commands.write(self.producer, &bytes);
        self.producer = self.producer.wrapping_add(1);
        registers.write(regs::ADMIN_PRODUCER, self.producer);

        let since = Instant::<Monotonic>::now();
        loop {
            while let Some(completion) = self.next(registers) {
                if completion.event == 0 && completion.token == token {
                    return outcome(completion.status);
                }
                Self::event(&completion, &mut on);
            }
            if since.elapsed() > PATIENCE {
                return Err(if registers.is_gone() {
                    ENODEV
                } else {
                    ETIMEDOUT
                });
            }
            fsleep(Delta::from_micros(50));
        }
    }
}

fn outcome(status: u16) -> Result {
    match Status::from_raw(status) {
        Some(Status::Ok) => Ok(()),
        Some(Status::Invalid) => Err(EINVAL),
        Some(Status::State) => Err(EBUSY),
        Some(Status::Fault) => Err(EFAULT),
        Some(Status::Unknown | Status::Unsupported) => Err(EOPNOTSUPP),
        Some(Status::Internal) | None => Err(EIO),
    }
}
