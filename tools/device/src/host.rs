// SPDX-License-Identifier: GPL-2.0

//! Resources that the vfio-user client gives to a function: DMA mappings and interrupts.

use std::io;
use std::sync::Arc;

use crate::interrupt::Event;
use crate::interrupt::Signaller;
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
}

impl Host {
    /// Creates a host without mappings or interrupts, for a function with `vectors` vectors.
    ///
    /// # Errors
    ///
    /// As [`Signaller::new`].
    pub fn new(vectors: usize) -> io::Result<Self> {
        Ok(Self {
            memory: MemoryMap::default(),
            vectors: vec![None; vectors],
            signaller: Arc::new(Signaller::new()?),
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
        if let Some(Some(event)) = self.vectors.get(vector) {
            self.signaller.signal(event);
        }
    }
}
