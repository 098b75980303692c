// SPDX-License-Identifier: GPL-2.0

//! Admin rings: commands in; completions and asynchronous events out.

use toe_abi::Layout;
use toe_abi::admin;
use toe_abi::regs;

use crate::host::Host;
use crate::memory::Fault;
use crate::registers::Setup;

/// Fatal errors of the admin queue.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueueError {
    #[error("cannot access an admin ring: {0}")]
    Fault(#[from] Fault),
    #[error("{0} index of an admin ring out of range")]
    Index(&'static str),
}

/// The admin queue of a function.
pub(super) struct AdminQueue {
    setup: Setup,
    command_producer: u32,
    command_consumer: u32,
    completion_producer: u32,
    completion_consumer: u32,
}

impl AdminQueue {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup,
            command_producer: 0,
            command_consumer: 0,
            completion_producer: 0,
            completion_consumer: 0,
        }
    }

    /// Features negotiated by the driver.
    pub(super) fn features(&self) -> u64 {
        self.setup.features
    }

    fn entries(&self) -> u32 {
        1 << self.setup.log2_entries
    }

    pub(super) fn full(&self) -> bool {
        self.completion_producer
            .wrapping_sub(self.completion_consumer)
            == self.entries()
    }

    pub(super) fn set_producer(&mut self, index: u32) -> Result<(), QueueError> {
        if index.wrapping_sub(self.command_consumer) > self.entries() {
            return Err(QueueError::Index("producer"));
        }
        self.command_producer = index;
        Ok(())
    }

    pub(super) fn set_consumer(&mut self, index: u32) -> Result<(), QueueError> {
        let unread = self.completion_producer.wrapping_sub(index);
        let before = self
            .completion_producer
            .wrapping_sub(self.completion_consumer);
        if unread > before {
            return Err(QueueError::Index("consumer"));
        }
        self.completion_consumer = index;
        Ok(())
    }

    /// Consumes the next command.
    pub(super) fn next(
        &mut self,
        host: &Host,
    ) -> Result<Option<[u8; admin::COMMAND_SIZE]>, QueueError> {
        if self.command_consumer == self.command_producer {
            return Ok(None);
        }
        let place = u64::from(self.command_consumer & (self.entries() - 1));
        let mut command = [0; admin::COMMAND_SIZE];
        let address = place * admin::COMMAND_SIZE as u64;
        host.memory
            .read(self.setup.commands.wrapping_add(address), &mut command)?;
        self.command_consumer = self.command_consumer.wrapping_add(1);
        Ok(Some(command))
    }

    /// Writes a completion, for which there must be room, and raises the admin vector.
    pub(super) fn complete(
        &mut self,
        host: &Host,
        completion: admin::Completion,
    ) -> Result<(), QueueError> {
        const PHASE: usize = admin::COMPLETION_SIZE - 4;
        let place = u64::from(self.completion_producer & (self.entries() - 1));
        let address = self
            .setup
            .completions
            .wrapping_add(place * admin::COMPLETION_SIZE as u64);
        let completion = host.answer(admin::Completion {
            phase: u32::from((self.completion_producer >> self.setup.log2_entries) & 1 == 0),
            ..completion
        });
        host.memory
            .write(address, &completion.to_bytes()[..PHASE])?;
        host.memory
            .store_release(address.wrapping_add(PHASE as u64), completion.phase.to_le())?;
        self.completion_producer = self.completion_producer.wrapping_add(1);
        host.raise(regs::ADMIN_VECTOR.into());
        Ok(())
    }
}
