// SPDX-License-Identifier: GPL-2.0

//! Resources that the vfio-user client gives to a function: DMA mappings and interrupts.
//!
//! Everything that a function tells its guest passes a [`Host`], where a hostile adapter lies.

use std::io;
use std::sync::Arc;

use toe_abi::admin;
use toe_engine::processor::Rings;

use crate::hostile::Hostility;
use crate::interrupt::Event;
use crate::interrupt::Signaller;
use crate::memory::Fault;
use crate::memory::MemoryMap;

/// Snapshot of the host.
///
/// Each user holds its own `Arc` and is sent a new one on every change, so access to host memory
/// takes no lock and no shared reference count. The function's control thread answers the client
/// only after every holder has switched to the new snapshot.
#[derive(Clone)]
pub struct Host {
    /// DMA address space.
    pub memory: MemoryMap,
    /// Eventfds of the MSI-X vectors that are set up.
    pub vectors: Vec<Option<Arc<Event>>>,
    signaller: Arc<Signaller>,
    hostility: Option<Arc<Hostility>>,
}

impl Host {
    /// Creates a host without mappings or interrupts, for a function with `vectors` vectors. The
    /// function lies as `hostility` says.
    ///
    /// # Errors
    ///
    /// As [`Signaller::new`].
    pub fn new(vectors: usize, hostility: Option<Arc<Hostility>>) -> io::Result<Self> {
        Ok(Self {
            memory: MemoryMap::default(),
            vectors: vec![None; vectors],
            signaller: Arc::new(Signaller::new()?),
            hostility,
        })
    }

    /// Drops all mappings and interrupts.
    pub fn clear(&mut self) {
        self.memory = MemoryMap::default();
        self.vectors.fill(None);
    }

    /// Raises MSI-X vector `vector`. Has no effect if the vector is not set up, as with a masked
    /// vector.
    pub fn raise(&self, vector: usize) {
        match &self.hostility {
            None => self.signal(vector),
            Some(hostility) => {
                let vectors = hostility.interrupts(vector, self.vectors.len());
                vectors.into_iter().flatten().for_each(|v| self.signal(v));
            }
        }
    }

    fn signal(&self, vector: usize) {
        if let Some(Some(event)) = self.vectors.get(vector) {
            self.signaller.signal(event);
        }
    }

    /// Processor `number` is about to start on `rings`.
    pub fn start(&self, number: usize, rings: &Rings) {
        if let Some(hostility) = &self.hostility {
            hostility.start(number, rings);
        }
    }

    /// Reads memory for processor `number`.
    ///
    /// # Errors
    ///
    /// As [`MemoryMap::read`].
    #[inline]
    pub fn read(&self, number: usize, address: u64, to: &mut [u8]) -> Result<(), Fault> {
        self.memory.read(address, to)?;
        if let Some(hostility) = &self.hostility {
            hostility.note_read(number, address, to);
        }
        Ok(())
    }

    /// Writes memory for processor `number`.
    ///
    /// # Errors
    ///
    /// As [`MemoryMap::write`].
    #[inline]
    pub fn write(&self, number: usize, address: u64, from: &[u8]) -> Result<(), Fault> {
        match &self.hostility {
            None => self.memory.write(address, from),
            Some(hostility) => hostility.write(&self.memory, number, address, from),
        }
    }

    /// Stores a word for processor `number` with release semantics.
    ///
    /// # Errors
    ///
    /// As [`MemoryMap::store_release`].
    #[inline]
    pub fn store_release(&self, number: usize, address: u64, value: u32) -> Result<(), Fault> {
        match &self.hostility {
            None => self.memory.store_release(address, value.to_le()),
            Some(hostility) => hostility.store_release(&self.memory, number, address, value),
        }
    }

    /// The admin completion to write for `honest`.
    pub fn answer(&self, honest: admin::Completion) -> admin::Completion {
        match &self.hostility {
            None => honest,
            Some(hostility) => hostility.answer(honest),
        }
    }

    /// Register values that the guest reads, in `bytes`, are about to be returned.
    pub fn registers(&self, bytes: &mut [u8]) {
        if let Some(hostility) = &self.hostility {
            hostility.registers(bytes);
        }
    }
}
