// SPDX-License-Identifier: GPL-2.0

//! Registers and doorbells of the function: BAR 0.

use crate::abi::{
    regs::{
        BAR_SIZE,
        DOORBELLS, //
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

/// BAR 0 of a function.
///
/// It may outlive the driver's binding to the function. Reads then return all ones, as they do once
/// the function has gone from the bus, and writes have no effect.
pub(super) struct Registers(DevresBar<BAR_SIZE>);

/// The value of every register of a function that is gone.
const GONE: u32 = u32::MAX;

impl Registers {
    /// Maps BAR 0.
    pub(super) fn new(pdev: &pci::Device<Bound>) -> Result<Self> {
        let bar = pdev.iomap_region_sized::<BAR_SIZE>(0, c"toe")?;
        Ok(Self(bar.into_devres()?))
    }

    fn read_raw(&self, offset: usize) -> u32 {
        let value = self.0.try_access().map(|bar| bar.try_read32(offset));
        value.and_then(Result::ok).unwrap_or(GONE)
    }

    /// Reads a register.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the function is gone. No register of a working function reads as all ones.
    pub(super) fn read(&self, offset: usize) -> Result<u32> {
        match self.read_raw(offset) {
            GONE => Err(ENODEV),
            value => Ok(value),
        }
    }

    /// Reads a register of 64 bits. All ones when the function is gone.
    pub(super) fn read64(&self, offset: usize) -> u64 {
        u64::from(self.read_raw(offset)) | u64::from(self.read_raw(offset + 4)) << 32
    }

    /// Writes a register.
    #[inline]
    pub(super) fn write(&self, offset: usize, value: u32) {
        if let Some(bar) = self.0.try_access() {
            // In range: offsets are constants of the ABI, or bounded by the number of processors.
            let _ = bar.try_write32(value, offset);
        }
    }

    /// Writes a register of 64 bits, the low half first.
    pub(super) fn write64(&self, offset: usize, value: u64) {
        // CAST: the two halves.
        self.write(offset, value as u32);
        self.write(offset + 4, (value >> 32) as u32);
    }

    /// Writes a word of a processor's doorbell page.
    ///
    /// The write is ordered after all earlier writes to memory.
    #[inline]
    pub(super) fn doorbell(&self, processor: u8, offset: usize, value: u32) {
        let page = DOORBELLS + usize::from(processor) * PAGE_SIZE;
        self.write(page + offset, value);
    }
}
