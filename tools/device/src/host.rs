// SPDX-License-Identifier: GPL-2.0

//! What the vfio-user client has given a function: memory to reach and interrupts to raise.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use crate::memory::MemoryMap;

/// The host at one moment.
///
/// Whoever uses it holds an `Arc` of its own and is sent a new one on every change, so reaching
/// host memory takes no lock and no shared counter. The function's control waits until every holder
/// has taken the new one before it answers the client.
#[derive(Clone)]
pub struct Host {
    /// DMA address space.
    pub memory: MemoryMap,
    /// An event descriptor for every MSI-X vector that is set up.
    pub vectors: Vec<Option<Arc<File>>>,
}

impl Host {
    /// A host that has given nothing, of a function with `vectors` vectors.
    pub fn new(vectors: usize) -> Self {
        Self {
            memory: MemoryMap::default(),
            vectors: vec![None; vectors],
        }
    }

    /// Raises MSI-X vector `vector`; a vector that is not set up swallows it, as a masked one does
    /// in hardware.
    pub fn raise(&self, vector: usize) {
        if let Some(Some(event)) = self.vectors.get(vector) {
            // An event descriptor refuses only when its count would overflow: it is raised then.
            let _ = event.as_ref().write(&1u64.to_ne_bytes());
        }
    }
}
