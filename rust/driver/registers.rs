// SPDX-License-Identifier: GPL-2.0

//! The function's registers and doorbells: BAR 0, as long as the function is there.

use crate::abi::{
    regs::{
        BAR_SIZE,
        DOORBELLS,
        STATUS, //
    },
    PAGE_SIZE, //
};
use kernel::{
    device::Bound,
    io::Io,
    pci::{
        self,
        DevresBar, //
    },
    prelude::*, //
};

/// BAR 0. It may outlive the binding to the function: reads give all ones then, as they do when the
/// function has gone from the bus, and writes go nowhere.
pub(super) struct Registers(DevresBar<BAR_SIZE>);

/// What a register of a function reads that is not there.
pub(super) const GONE: u32 = u32::MAX;

impl Registers {
    /// Maps BAR 0.
    pub(super) fn new(pdev: &pci::Device<Bound>) -> Result<Self> {
        let bar = pdev.iomap_region_sized::<BAR_SIZE>(0, c"toe")?;
        Ok(Self(bar.into_devres()?))
    }

    /// Reads a register.
    pub(super) fn read(&self, offset: usize) -> u32 {
        let value = self.0.try_access().map(|bar| bar.try_read32(offset));
        value.and_then(Result::ok).unwrap_or(GONE)
    }

    /// Reads a register of 64 bits.
    pub(super) fn read64(&self, offset: usize) -> u64 {
        u64::from(self.read(offset)) | u64::from(self.read(offset + 4)) << 32
    }

    /// Writes a register.
    #[inline]
    pub(super) fn write(&self, offset: usize, value: u32) {
        if let Some(bar) = self.0.try_access() {
            // The offsets are constants of the ABI or bounded by the number of processors.
            let _ = bar.try_write32(value, offset);
        }
    }

    /// Writes a register of 64 bits.
    pub(super) fn write64(&self, offset: usize, value: u64) {
        self.write(offset, value as u32);
        self.write(offset + 4, (value >> 32) as u32);
    }

    /// Writes a word of a processor's doorbell page. What was written to memory before is visible
    /// to the adapter when it sees the word.
    #[inline]
    pub(super) fn doorbell(&self, processor: u8, offset: usize, value: u32) {
        self.write(
            DOORBELLS + usize::from(processor) * PAGE_SIZE + offset,
            value,
        );
    }

    /// Whether the function does not answer any more.
    pub(super) fn is_gone(&self) -> bool {
        self.read(STATUS) == GONE
    }
}
