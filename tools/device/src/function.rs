// SPDX-License-Identifier: GPL-2.0

//! A PCI function, served to one vfio-user client at a time.

use std::fs;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::Sender;

use toe_abi::regs;
use tracing::debug;
use tracing::error;
use tracing::info;
use tracing::warn;
use vfio_bindings::bindings::vfio;
use vfio_bindings::bindings::vfio::vfio_region_info;
use vfio_bindings::bindings::vfio::vfio_region_sparse_mmap_area;
use vfio_user::DmaMapFlags;
use vfio_user::DmaUnmapFlags;
use vfio_user::IrqInfo;
use vfio_user::Server;
use vfio_user::ServerBackend;
use vfio_user::ServerRegion;
use vfio_user::SparseArea;

use crate::admin::ControlEvent;
use crate::config_space;
use crate::config_space::ConfigSpace;
use crate::doorbells::Doorbells;
use crate::host::Host;
use crate::memory::MemoryMap;
use crate::memory::Region;
use crate::registers::Effect;
use crate::registers::Registers;
use crate::registers::StatusRegister;
use crate::worker::Handle;

/// A PCI function.
pub struct Function {
    number: usize,
    config: ConfigSpace,
    registers: Registers,
    status: Arc<StatusRegister>,
    doorbells: Arc<Doorbells>,
    host: Host,
    admin: Sender<ControlEvent>,
    workers: Vec<Handle>,
}

/// Listens at `path`. Replaces a socket left behind by a process that has ended.
///
/// # Errors
///
/// If another process listens there, or the path cannot be bound.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if UnixStream::connect(path).is_ok() {
                let text =
                    "socket in use by another process: stop that process or choose another path";
                return Err(io::Error::new(ErrorKind::AddrInUse, text));
            }
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

impl Function {
    /// Creates function `number`, with no client connected.
    pub fn new(
        number: usize,
        vectors: u16,
        registers: Registers,
        status: Arc<StatusRegister>,
        doorbells: Arc<Doorbells>,
        admin: Sender<ControlEvent>,
        workers: Vec<Handle>,
    ) -> Self {
        Self {
            number,
            config: ConfigSpace::new(vectors),
            registers,
            status,
            doorbells,
            host: Host::new(vectors.into()),
            admin,
            workers,
        }
    }

    /// Serves clients on `listener`, one after the other.
    pub fn serve(mut self, listener: UnixListener) {
        let server = Server::from_owned_fd(
            OwnedFd::from(listener),
            true,
            self.interrupts(),
            self.regions(),
        );
        loop {
            match server.run(&mut self) {
                Ok(()) => info!("function {}: client disconnected", self.number),
                Err(error) => warn!(
                    "function {}: client connection failed: {error}",
                    self.number
                ),
            }
            self.reset_function();
            self.host = Host::new(self.host.vectors.len());
            self.publish_host();
        }
    }

    fn interrupts(&self) -> Vec<IrqInfo> {
        (0..vfio::VFIO_PCI_NUM_IRQS)
            .map(|index| IrqInfo {
                index,
                flags: vfio::VFIO_IRQ_INFO_EVENTFD | vfio::VFIO_IRQ_INFO_NORESIZE,
                count: match index {
                    vfio::VFIO_PCI_MSIX_IRQ_INDEX => self.host.vectors.len() as u32,
                    _ => 0,
                },
            })
            .collect()
    }

    fn regions(&self) -> Vec<ServerRegion> {
        let access = vfio::VFIO_REGION_INFO_FLAG_READ | vfio::VFIO_REGION_INFO_FLAG_WRITE;
        (0..vfio::VFIO_PCI_NUM_REGIONS)
            .map(|index| {
                let (size, flags) = match index {
                    vfio::VFIO_PCI_BAR0_REGION_INDEX => {
                        (regs::BAR_SIZE, access | vfio::VFIO_REGION_INFO_FLAG_MMAP)
                    }
                    vfio::VFIO_PCI_CONFIG_REGION_INDEX => (config_space::SIZE, access),
                    _ => (0, 0),
                };
                let mapped = index == vfio::VFIO_PCI_BAR0_REGION_INDEX;
                ServerRegion {
                    region_info: vfio_region_info {
                        argsz: size_of::<vfio_region_info>() as u32,
                        flags,
                        index,
                        cap_offset: 0,
                        size: size as u64,
                        offset: 0,
                    },
                    sparse_areas: mapped
                        .then(|| SparseArea {
                            area: vfio_region_sparse_mmap_area {
                                offset: regs::DOORBELLS as u64,
                                size: self.doorbells.size() as u64,
                            },
                        })
                        .into_iter()
                        .collect(),
                    mmap_fd: mapped.then(|| self.doorbells.descriptor()),
                }
            })
            .collect()
    }

    /// Sends `event` with a sender that is dropped when it has been handled, and waits for that.
    fn and_wait(&self, event: impl FnOnce(Sender<()>) -> ControlEvent) {
        let (done, wait) = mpsc::channel();
        // Both fail only while the process exits.
        let _ = self.admin.send(event(done));
        let _ = wait.recv();
    }

    fn publish_host(&self) {
        let host = Arc::new(self.host.clone());
        self.and_wait(|done| ControlEvent::Host(host, done));
    }

    /// Resets registers, rings and processors. Keeps configuration space and host.
    fn reset_device(&mut self) {
        self.registers.reset();
        self.and_wait(ControlEvent::Reset);
        self.doorbells.clear();
    }

    /// Performs a function-level reset.
    fn reset_function(&mut self) {
        self.reset_device();
        self.config.reset();
    }

    fn write_register(&mut self, offset: usize, value: u32) {
        let event = match self.registers.write(offset, value, self.status.bits()) {
            Effect::None => return,
            Effect::Reset => return self.reset_device(),
            Effect::Kick(processor) => return self.workers[processor as usize].kick(),
            Effect::Enable(setup) => {
                return self.and_wait(|done| ControlEvent::Enable(setup, done));
            }
            Effect::Fail(why) => return self.and_wait(|done| ControlEvent::Fail(why, done)),
            Effect::AdminProducer(index) => ControlEvent::Producer(index),
            Effect::AdminConsumer(index) => ControlEvent::Consumer(index),
        };
        // Fails only while the process exits.
        let _ = self.admin.send(event);
    }

    fn read_bar(&self, offset: usize, data: &mut [u8]) {
        data.fill(0);
        if offset >= regs::DOORBELLS {
            return self.doorbells.read(offset - regs::DOORBELLS, data);
        }
        let status = self.status.bits();
        for (i, byte) in data.iter_mut().enumerate() {
            let at = offset + i;
            *byte = self.registers.read(at & !3, status).to_le_bytes()[at & 3];
        }
    }

    fn write_bar(&mut self, offset: usize, data: &[u8]) {
        if offset >= regs::DOORBELLS {
            return self.doorbells.write(offset - regs::DOORBELLS, data);
        }
        if offset % 4 != 0 || data.len() % 4 != 0 {
            debug!(
                "function {}: ignoring write of {} bytes to register {offset:#x}: not 4-byte aligned",
                self.number,
                data.len()
            );
            return;
        }
        for (i, word) in data.chunks_exact(4).enumerate() {
            let value = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            self.write_register(offset + 4 * i, value);
        }
    }
}

impl ServerBackend for Function {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        match region {
            vfio::VFIO_PCI_BAR0_REGION_INDEX if offset < regs::BAR_SIZE as u64 => {
                self.read_bar(offset as usize, data);
            }
            vfio::VFIO_PCI_CONFIG_REGION_INDEX => self.config.read(offset, data),
            _ => data.fill(0),
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        match region {
            vfio::VFIO_PCI_BAR0_REGION_INDEX if offset < regs::BAR_SIZE as u64 => {
                self.write_bar(offset as usize, data);
            }
            vfio::VFIO_PCI_CONFIG_REGION_INDEX => {
                if self.config.write(offset, data) == config_space::Effect::Reset {
                    self.reset_function();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        flags: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        fd: Option<File>,
    ) -> io::Result<()> {
        // Memory without a file descriptor is accessible to the client only, such as a ROM.
        let Some(file) = fd else {
            return Ok(());
        };
        let writable = flags.contains(DmaMapFlags::WRITE);
        match Region::map(address, size, file, offset, writable) {
            Ok(region) => {
                self.host.memory = self.host.memory.with(region);
                self.publish_host();
                Ok(())
            }
            Err(error) => {
                error!(
                    "function {}: cannot map {size:#x} bytes at {address:#x}: {error}",
                    self.number
                );
                Err(error)
            }
        }
    }

    fn dma_unmap(&mut self, flags: DmaUnmapFlags, address: u64, size: u64) -> io::Result<()> {
        self.host.memory = if flags.contains(DmaUnmapFlags::UNMAP_ALL) {
            MemoryMap::default()
        } else {
            self.host.memory.without(address, size)
        };
        self.publish_host();
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.reset_function();
        Ok(())
    }

    fn set_irqs(
        &mut self,
        index: u32,
        flags: u32,
        start: u32,
        count: u32,
        fds: Vec<File>,
    ) -> io::Result<()> {
        if index != vfio::VFIO_PCI_MSIX_IRQ_INDEX || flags & vfio::VFIO_IRQ_SET_ACTION_TRIGGER == 0
        {
            return Ok(());
        }
        let invalid = || io::Error::from(ErrorKind::InvalidInput);
        let vectors = &mut self.host.vectors;
        let data = flags & vfio::VFIO_IRQ_SET_DATA_TYPE_MASK;
        if data == vfio::VFIO_IRQ_SET_DATA_NONE && count > 0 {
            // Trigger by the client.
            for vector in start..start.saturating_add(count).min(vectors.len() as u32) {
                self.host.raise(vector as usize);
            }
            return Ok(());
        }
        if count == 0 {
            vectors.fill(None);
        } else {
            let range = start as usize..start as usize + count as usize;
            let set = vectors.get_mut(range).ok_or_else(invalid)?;
            if !fds.is_empty() && fds.len() != set.len() {
                return Err(invalid());
            }
            let mut fds = fds.into_iter();
            for vector in set {
                *vector = fds.next().map(Arc::new);
            }
        }
        self.publish_host();
        Ok(())
    }
}
