// SPDX-License-Identifier: GPL-2.0

//! Memory, doorbells, and a port that stores the frames it sends.

use std::cell::Cell;
use std::collections::VecDeque;

use toe_engine::env::Capabilities;
use toe_engine::env::Fault;
use toe_engine::env::Frag;
use toe_engine::env::Host;
use toe_engine::env::OutFrame;
use toe_engine::env::Port;
use toe_engine::env::RxChecksum;
use toe_engine::env::RxOffload;
use toe_engine::env::SendError;
use toe_engine::env::Source;

use super::BASE;
use super::MEMORY;

/// A frame on the wire.
#[derive(Clone, Debug)]
pub struct WireFrame {
    pub bytes: Vec<u8>,
    pub offload: RxOffload,
}

/// The environment of one processor.
pub struct TestEnv {
    pub memory: Vec<u8>,
    pub doorbell: Vec<u32>,
    pub interrupts: u32,
    pub wire: VecDeque<WireFrame>,
    pub capabilities: Capabilities,
    /// Number of frames that the port accepts before it is full.
    pub room: usize,
    /// Allocations that the port has made, counted by [`TestEnv::count`].
    pub allocated: Cell<u64>,
    /// Returns the number of allocations so far. 0 unless the test counts them.
    pub count: fn() -> u64,
}

impl TestEnv {
    pub fn new(capabilities: Capabilities) -> Self {
        Self {
            memory: vec![0; MEMORY],
            doorbell: vec![0; 1024],
            interrupts: 0,
            wire: VecDeque::new(),
            capabilities,
            room: usize::MAX,
            allocated: Cell::new(0),
            count: || 0,
        }
    }

    fn range(&self, address: u64, length: usize) -> Result<std::ops::Range<usize>, Fault> {
        let start = address.checked_sub(BASE).ok_or(Fault)? as usize;
        let end = start.checked_add(length).ok_or(Fault)?;
        (end <= self.memory.len())
            .then_some(start..end)
            .ok_or(Fault)
    }

    pub fn bytes(&self, address: u64, length: usize) -> &[u8] {
        &self.memory[self.range(address, length).unwrap()]
    }

    fn payload(&self, frag: &Frag) -> Result<&[u8], Fault> {
        match frag.source {
            Source::Host { address } => {
                Ok(&self.memory[self.range(address, frag.length as usize)?])
            }
        }
    }

    pub fn status(&self, offset: usize) -> u32 {
        let raw = self.bytes(BASE + offset as u64, 4);
        u32::from_le_bytes(raw.try_into().unwrap())
    }
}

impl Host for TestEnv {
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Fault> {
        to.copy_from_slice(&self.memory[self.range(address, to.len())?]);
        Ok(())
    }

    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Fault> {
        let range = self.range(address, from.len())?;
        self.memory[range].copy_from_slice(from);
        Ok(())
    }

    fn writable(&self, address: u64, length: usize) -> bool {
        self.range(address, length).is_ok()
    }

    fn store_release(&mut self, address: u64, value: u32) -> Result<(), Fault> {
        assert_eq!(address % 4, 0);
        self.write(address, &value.to_le_bytes())
    }

    fn doorbell(&self, offset: usize) -> u32 {
        assert_eq!(offset % 4, 0);
        self.doorbell[offset / 4]
    }

    fn interrupt(&mut self) {
        self.interrupts += 1;
    }
}

impl Port for TestEnv {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn send(&mut self, frame: &OutFrame<'_>) -> Result<(), SendError> {
        if self.room == 0 {
            return Err(SendError::Full);
        }
        assert!(self.capabilities.checksum || frame.offload.checksum.is_none());
        assert!(self.capabilities.tso || frame.offload.gso.is_none());
        for frag in frame.payload {
            self.payload(frag).map_err(|Fault| SendError::Fault)?;
        }
        self.room -= 1;
        let before = (self.count)();
        let mut bytes = frame.header.to_vec();
        for frag in frame.payload {
            bytes.extend_from_slice(self.payload(frag).map_err(|Fault| SendError::Fault)?);
        }
        let checksum = match frame.offload.checksum {
            Some(partial) => RxChecksum::Partial(partial),
            None => RxChecksum::Unknown,
        };
        self.wire.push_back(WireFrame {
            bytes,
            offload: RxOffload {
                checksum,
                gso_size: frame.offload.gso.map_or(0, |gso| gso.size),
            },
        });
        self.allocated
            .set(self.allocated.get() + (self.count)() - before);
        Ok(())
    }
}
