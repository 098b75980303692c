// SPDX-License-Identifier: GPL-2.0

//! The admin queue. One command at a time.

use super::registers::Registers;
use crate::{
    abi::{
        admin::{
            CommandStatus,
            Completion,
            Event,
            COMMAND_SIZE,
            COMPLETION_SIZE, //
        },
        regs,
        Layout, //
    },
    net::dma::{
        Ring,
        SharedBytes, //
    }, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    io::poll::read_poll_timeout,
    prelude::*,
    sync::barrier::{
        dma_mb,
        Read, //
    },
    time::Delta, //
};

/// log2 of the entries of both rings.
const LOG2: u8 = 6;

/// How long a command may take. Stopping a processor first returns all its connections.
const COMMAND_TIMEOUT: Delta = Delta::from_secs(3);

/// Polling interval of the completion ring.
const POLL_INTERVAL: Delta = Delta::from_micros(50);

/// Both rings of the admin queue and the host's indices.
pub(super) struct AdminQueue {
    commands: Ring<COMMAND_SIZE>,
    completions: Ring<COMPLETION_SIZE>,
    producer: u32,
    consumer: u32,
    /// Memory that a command without an answer refers to. The adapter may read it until the reset,
    /// when the queue is dropped.
    operand: Option<SharedBytes>,
}

impl AdminQueue {
    /// Allocates the rings and writes their addresses to the registers of a function that was reset.
    pub(super) fn new(dev: &device::Device<Bound>, registers: &Registers) -> Result<Self> {
        let this = Self {
            commands: Ring::new(dev, LOG2)?,
            completions: Ring::new(dev, LOG2)?,
            producer: 0,
            consumer: 0,
            operand: None,
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
        // The adapter writes the phase last. The second read sees the whole entry.
        dma_mb(Read);
        let completion = Completion::from_bytes(&self.completions.read(self.consumer));
        self.consumer = self.consumer.wrapping_add(1);
        registers.write(regs::ADMIN_CONSUMER, self.consumer);
        Some(completion)
    }

    /// Passes pending events to `on`, at most as many as the ring has entries. The adapter raises an
    /// interrupt for those that come after.
    pub(super) fn events(&mut self, registers: &Registers, mut on: impl FnMut(Event, u32)) {
        for _ in 0..self.completions.entries() {
            let Some(completion) = self.next(registers) else {
                return;
            };
            Self::event(&completion, &mut on);
        }
    }

    fn event(completion: &Completion, on: &mut impl FnMut(Event, u32)) {
        // Ignored: events of a later minor version, and answers to commands that timed out.
        if completion.event == 1 {
            if let Some(event) = Event::from_raw(completion.status) {
                on(event, completion.value);
            }
        }
    }

    /// Takes completions until the answer to `token`, and returns its status. Passes events to `on`.
    /// Takes at most as many completions as the ring has entries.
    fn answer(
        &mut self,
        registers: &Registers,
        token: u32,
        on: &mut impl FnMut(Event, u32),
    ) -> Option<u16> {
        for _ in 0..self.completions.entries() {
            let completion = self.next(registers)?;
            if completion.event == 0 && completion.token == token {
                return Some(completion.status);
            }
            Self::event(&completion, on);
        }
        None
    }

    /// Executes a command, which refers to the memory `operand`, within `limit` at most. Passes events
    /// that arrive meanwhile to `on`. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the function is gone; `ETIMEDOUT` when it does not answer, and at once after a
    /// command with memory has had no answer; otherwise the error for the [`CommandStatus`] of the
    /// answer.
    pub(super) fn command<T: Layout<Bytes = [u8; COMMAND_SIZE]>>(
        &mut self,
        registers: &Registers,
        command: &T,
        operand: Option<SharedBytes>,
        limit: Option<Delta>,
        mut on: impl FnMut(Event, u32),
    ) -> Result {
        if self.operand.is_some() {
            return Err(ETIMEDOUT);
        }
        self.operand = operand;
        // Never 0, which is the token of an event.
        let token = self.producer | 1 << 31;
        let mut bytes = command.to_bytes();
        bytes[4..8].copy_from_slice(&token.to_le_bytes());
        self.commands.write(self.producer, &bytes);
        self.producer = self.producer.wrapping_add(1);
        registers.write(regs::ADMIN_PRODUCER, self.producer);

        let answer = read_poll_timeout(
            || Ok(self.answer(registers, token, &mut on)),
            Option::is_some,
            POLL_INTERVAL,
            limit.map_or(COMMAND_TIMEOUT, |limit| limit.min(COMMAND_TIMEOUT)),
        );
        match answer {
            Ok(Some(status)) => {
                self.operand = None;
                outcome(status)
            }
            // ENODEV when the function is gone.
            _ => registers.read(regs::STATUS).and(Err(ETIMEDOUT)),
        }
    }
}

fn outcome(status: u16) -> Result {
    match CommandStatus::from_raw(status) {
        Some(CommandStatus::Ok) => Ok(()),
        Some(CommandStatus::Invalid) => Err(EINVAL),
        Some(CommandStatus::State) => Err(EBUSY),
        Some(CommandStatus::Fault) => Err(EFAULT),
        Some(CommandStatus::Unknown | CommandStatus::Unsupported) => Err(EOPNOTSUPP),
        Some(CommandStatus::Internal) | None => Err(EIO),
    }
}
