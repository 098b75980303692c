// SPDX-License-Identifier: GPL-2.0

//! Answers to the requests of a client.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::Arc;

use nix::errno::Errno;
use toe_abi::regs;
use tracing::error;
use vfio_bindings::bindings::vfio;

use crate::config_space;
use crate::interrupt::Event;
use crate::memory::MemoryMap;
use crate::memory::Region;
use crate::vfio::request;
use crate::vfio::request::Access;
use crate::vfio::request::Request;

use super::Function;

/// Answer to a request.
pub(super) struct Answer {
    /// Its body.
    pub(super) body: Vec<u8>,
    /// The file of the doorbells goes with it.
    pub(super) doorbells: bool,
}

impl From<Vec<u8>> for Answer {
    fn from(body: Vec<u8>) -> Self {
        Self {
            body,
            doorbells: false,
        }
    }
}

/// Size and flags of region `index`.
fn region(index: u32) -> Result<(usize, u32), Errno> {
    let access = vfio::VFIO_REGION_INFO_FLAG_READ | vfio::VFIO_REGION_INFO_FLAG_WRITE;
    match index {
        vfio::VFIO_PCI_BAR0_REGION_INDEX => {
            Ok((regs::BAR_SIZE, access | vfio::VFIO_REGION_INFO_FLAG_MMAP))
        }
        vfio::VFIO_PCI_CONFIG_REGION_INDEX => Ok((config_space::SIZE, access)),
        0..vfio::VFIO_PCI_NUM_REGIONS => Ok((0, 0)),
        _ => Err(Errno::EINVAL),
    }
}

/// Checks that `access` lies within its region.
fn check(access: &Access) -> Result<(), Errno> {
    let (size, _) = region(access.region)?;
    match access.offset.checked_add(access.count.into()) {
        Some(end) if end <= size as u64 => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

impl Function {
    /// Answers the request that consists of `command`, `body` and `files`.
    ///
    /// # Errors
    ///
    /// The error for the client.
    pub(super) fn answer(
        &mut self,
        command: u16,
        body: &[u8],
        files: Vec<File>,
    ) -> Result<Answer, Errno> {
        let request = Request::parse(command, body)?;
        let takes = match request {
            Request::DmaMap { .. } => 1,
            Request::SetInterrupts { count, .. } => count as usize,
            _ => 0,
        };
        if files.len() > takes {
            return Err(Errno::EINVAL);
        }
        match request {
            Request::DmaMap {
                writable,
                offset,
                address,
                size,
            } => {
                // Memory without a file is accessible to the client only, such as a ROM.
                if let Some(file) = files.into_iter().next() {
                    self.map(writable, offset, address, size, file)?;
                }
                Ok(Vec::new().into())
            }
            Request::DmaUnmap {
                argsz,
                flags,
                address,
                size,
            } => {
                self.unmap(flags, address, size);
                let mut body = request::words(&[argsz, flags]);
                body.extend(address.to_le_bytes());
                body.extend(size.to_le_bytes());
                Ok(body.into())
            }
            Request::Info => Ok(request::words(&[
                16,
                vfio::VFIO_DEVICE_FLAGS_PCI | vfio::VFIO_DEVICE_FLAGS_RESET,
                vfio::VFIO_PCI_NUM_REGIONS,
                vfio::VFIO_PCI_NUM_IRQS,
            ])
            .into()),
            Request::RegionInfo { index, room } => self.region_info(index, room),
            Request::InterruptInfo { index } => self.interrupt_info(index),
            Request::SetInterrupts {
                flags,
                index,
                start,
                count,
            } => {
                self.set_interrupts(flags, index, start, count, files)?;
                Ok(Vec::new().into())
            }
            Request::Read(access) => self.read(&access),
            Request::Write(access, data) => self.write(&access, data),
            Request::Reset => {
                self.reset_function();
                Ok(Vec::new().into())
            }
        }
    }

    fn map(
        &mut self,
        writable: bool,
        offset: u64,
        address: u64,
        size: u64,
        file: File,
    ) -> Result<(), Errno> {
        let memory = Region::map(address, size, file, offset, writable)
            .and_then(|region| self.host.memory.with(region))
            .map_err(|error| {
                error!(
                    "function {}: cannot map {size:#x} bytes at {address:#x}: {error}",
                    self.number
                );
                match error.kind() {
                    ErrorKind::InvalidInput => Errno::EINVAL,
                    _ => Errno::ENOMEM,
                }
            })?;
        self.used = true;
        self.host.memory = memory;
        self.publish_host();
        Ok(())
    }

    fn unmap(&mut self, flags: u32, address: u64, size: u64) {
        self.host.memory = if flags & vfio::VFIO_DMA_UNMAP_FLAG_ALL != 0 {
            MemoryMap::default()
        } else {
            self.host.memory.without(address, size)
        };
        self.publish_host();
    }

    /// Describes region `index`. BAR 0 has the doorbells as an area to map, which is described if
    /// the client has `room` for it.
    fn region_info(&self, index: u32, room: u32) -> Result<Answer, Errno> {
        const INFO: u32 = 32;
        const AREA: u32 = 32;
        let (size, flags) = region(index)?;
        let mapped = flags & vfio::VFIO_REGION_INFO_FLAG_MMAP != 0;
        let mut body = if mapped {
            request::words(&[
                INFO + AREA,
                flags | vfio::VFIO_REGION_INFO_FLAG_CAPS,
                index,
                INFO,
            ])
        } else {
            request::words(&[INFO, flags, index, 0])
        };
        body.extend((size as u64).to_le_bytes());
        body.extend(0u64.to_le_bytes());
        let doorbells = mapped && room >= INFO + AREA;
        if doorbells {
            const VERSION: u32 = 1 << 16;
            let sparse = vfio::VFIO_REGION_INFO_CAP_SPARSE_MMAP | VERSION;
            body.extend(request::words(&[sparse, 0, 1, 0]));
            body.extend((regs::DOORBELLS as u64).to_le_bytes());
            body.extend((self.doorbells.size() as u64).to_le_bytes());
        }
        Ok(Answer { body, doorbells })
    }

    fn interrupt_info(&self, index: u32) -> Result<Answer, Errno> {
        let count = match index {
            vfio::VFIO_PCI_MSIX_IRQ_INDEX => self.host.vectors.len() as u32,
            0..vfio::VFIO_PCI_NUM_IRQS => 0,
            _ => return Err(Errno::EINVAL),
        };
        let flags = vfio::VFIO_IRQ_INFO_EVENTFD | vfio::VFIO_IRQ_INFO_NORESIZE;
        Ok(request::words(&[16, flags, index, count]).into())
    }

    fn set_interrupts(
        &mut self,
        flags: u32,
        index: u32,
        start: u32,
        count: u32,
        files: Vec<File>,
    ) -> Result<(), Errno> {
        let data = flags & vfio::VFIO_IRQ_SET_DATA_TYPE_MASK;
        if index >= vfio::VFIO_PCI_NUM_IRQS || data & vfio::VFIO_IRQ_SET_DATA_BOOL != 0 {
            return Err(Errno::EINVAL);
        }
        if index != vfio::VFIO_PCI_MSIX_IRQ_INDEX || flags & vfio::VFIO_IRQ_SET_ACTION_TRIGGER == 0
        {
            return Ok(());
        }
        let vectors = &mut self.host.vectors;
        let range = start as usize..(start as usize).saturating_add(count as usize);
        let set = vectors.get_mut(range.clone()).ok_or(Errno::EINVAL)?;
        if data == vfio::VFIO_IRQ_SET_DATA_NONE && count > 0 {
            // Trigger by the client.
            for vector in range {
                self.host.raise(vector);
            }
            return Ok(());
        }
        if count == 0 {
            vectors.fill(None);
        } else if files.is_empty() {
            set.fill(None);
        } else if files.len() == set.len() {
            let events: Result<Vec<_>, _> = files.into_iter().map(Event::new).collect();
            for (vector, event) in set.iter_mut().zip(events.map_err(|_| Errno::EINVAL)?) {
                *vector = Some(Arc::new(event));
            }
        } else {
            return Err(Errno::EINVAL);
        }
        self.used = true;
        self.publish_host();
        Ok(())
    }

    fn read(&self, access: &Access) -> Result<Answer, Errno> {
        check(access)?;
        let mut body = request::access(access);
        let data = body.len();
        body.resize(data + access.count as usize, 0);
        match access.region {
            vfio::VFIO_PCI_BAR0_REGION_INDEX => {
                self.read_bar(access.offset as usize, &mut body[data..]);
            }
            vfio::VFIO_PCI_CONFIG_REGION_INDEX => {
                self.config.read(access.offset, &mut body[data..]);
            }
            _ => {}
        }
        Ok(body.into())
    }

    fn write(&mut self, access: &Access, data: &[u8]) -> Result<Answer, Errno> {
        check(access)?;
        self.used = true;
        match access.region {
            vfio::VFIO_PCI_BAR0_REGION_INDEX => self.write_bar(access.offset as usize, data),
            vfio::VFIO_PCI_CONFIG_REGION_INDEX => {
                if self.config.write(access.offset, data) == config_space::Effect::Reset {
                    self.reset_function();
                }
            }
            _ => {}
        }
        Ok(request::access(access).into())
    }
}
