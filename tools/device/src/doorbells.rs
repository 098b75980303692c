// SPDX-License-Identifier: GPL-2.0

//! Doorbell area: adapter memory that the guest writes without a trap.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use nix::fcntl::F_ADD_SEALS;
use nix::fcntl::SealFlag;
use nix::fcntl::fcntl;
use nix::sys::memfd;
use nix::sys::memfd::MFdFlags;
use toe_abi::PAGE_SIZE;
use toe_abi::regs;
use vm_memory::Bytes;
use vm_memory::FileOffset;
use vm_memory::VolatileMemory;
use vm_memory::mmap::MmapRegion;

/// Doorbell pages of a function's processors.
///
/// The client maps them from a file with the layout of BAR 0.
pub struct Doorbells {
    file: File,
    mapping: MmapRegion,
}

impl Doorbells {
    /// Creates zeroed doorbell pages for `processors` processors.
    ///
    /// # Errors
    ///
    /// If memory cannot be allocated.
    pub fn new(processors: usize) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd::memfd_create("toe-doorbells", flags)?);
        file.set_len(regs::BAR_SIZE as u64)?;
        // The client has the file too. An access beyond its end would raise SIGBUS.
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, F_ADD_SEALS(seals))?;
        let offset = FileOffset::new(file.try_clone()?, regs::DOORBELLS as u64);
        let mapping =
            MmapRegion::from_file(offset, processors * PAGE_SIZE).map_err(io::Error::other)?;
        Ok(Self { file, mapping })
    }

    /// Size of the area in bytes.
    pub fn size(&self) -> usize {
        self.mapping.size()
    }

    /// File to map, with the offsets of BAR 0.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Loads the word at `offset` (4-byte aligned) of the page of `processor` with acquire
    /// semantics. Returns 0 outside the page.
    #[inline]
    pub fn load(&self, processor: usize, offset: usize) -> u32 {
        self.mapping
            .as_volatile_slice()
            .load(processor * PAGE_SIZE + offset, Ordering::Acquire)
            .map_or(0, u32::from_le)
    }

    /// Reads on behalf of a client that has not mapped the area. `offset` is relative to the area.
    pub fn read(&self, offset: usize, data: &mut [u8]) {
        data.fill(0);
        if let Ok(slice) = self.mapping.get_slice(offset, data.len()) {
            slice.copy_to(data);
        }
    }

    /// Writes on behalf of a client that has not mapped the area.
    pub fn write(&self, offset: usize, data: &[u8]) {
        if let Ok(slice) = self.mapping.get_slice(offset, data.len()) {
            slice.copy_from(data);
        }
    }

    /// Zeroes the area.
    pub fn clear(&self) {
        self.write(0, &vec![0; self.size()]);
    }
}
