// SPDX-License-Identifier: GPL-2.0

//! Resources that the vfio-user client gives to a function: DMA mappings and interrupts.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

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
    pub vectors: Vec<Option<Arc<File>>>,
}

impl Host {
    /// Creates a host without mappings or interrupts, for a function with `vectors` vectors.
    pub fn new(vectors: usize) -> Self {
        Self {
            memory: MemoryMap::default(),
            vectors: vec![None; vectors],
        }
    }

    /// Raises MSI-X vector `vector`. Has no effect if the vector is not set up, as with a masked
    /// vector.
    pub fn raise(&self, vector: usize) {
        if let Some(Some(event)) = self.vectors.get(vector) {
            // Fails only if the count would overflow. The vector is pending then.
            let _ = event.as_ref().write(&1u64.to_ne_bytes());
        }
    }
}
