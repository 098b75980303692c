// SPDX-License-Identifier: GPL-2.0

//! Frame buffers for frames inside the adapter.

use toe_engine::MAX_FRAME;
use toe_engine::env::Offload;
use toe_engine::env::OutFrame;
use toe_engine::env::RxChecksum;
use toe_engine::env::RxOffload;
use toe_engine::env::Source;

use crate::memory::Fault;
use crate::memory::MemoryMap;

/// Minimum length of an Ethernet frame without FCS.
const MINIMUM: usize = 60;

/// A frame with its offload metadata.
///
/// # Invariants
///
/// `length <= MAX_FRAME`, and `MAX_FRAME` is the length of `bytes`.
pub struct Frame {
    bytes: Box<[u8]>,
    length: usize,
    /// Work left to do before the frame is transmitted.
    pub offload: Offload,
    /// The sender has verified the transport checksum.
    pub verified: bool,
}

impl Frame {
    /// Creates an empty buffer. Its memory is touched only as far as frames fill it.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; MAX_FRAME].into_boxed_slice(),
            length: 0,
            offload: Offload::default(),
            verified: false,
        }
    }

    /// The frame, starting with the Ethernet header.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The frame, for modification in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    /// Removes frame and metadata.
    pub fn clear(&mut self) {
        self.length = 0;
        self.offload = Offload::default();
        self.verified = false;
    }

    /// The whole buffer, to read a frame into. Must be followed by [`Self::set_length`].
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Sets the length in bytes, at most [`MAX_FRAME`].
    pub fn set_length(&mut self, length: usize) {
        self.length = length.min(MAX_FRAME);
    }

    /// Appends `bytes`. Returns `false`, without effect, if they do not fit.
    #[must_use]
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        let Some(room) = self.bytes.get_mut(self.length..self.length + bytes.len()) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.length += bytes.len();
        true
    }

    /// Copies `frame`, with its payload read from `memory`, to this buffer.
    ///
    /// # Errors
    ///
    /// [`Gather`]. The contents of the buffer are then undefined.
    pub fn gather(&mut self, frame: &OutFrame<'_>, memory: &MemoryMap) -> Result<(), Gather> {
        self.clear();
        self.offload = frame.offload;
        if !self.append(frame.header) {
            return Err(Gather::TooLong);
        }
        for frag in frame.payload {
            let end = self.length + frag.length as usize;
            let room = self
                .bytes
                .get_mut(self.length..end)
                .ok_or(Gather::TooLong)?;
            match frag.source {
                Source::Host { address } => memory.read(address, room)?,
            }
            self.length = end;
        }
        Ok(())
    }

    /// Pads with zeroes to the minimum length of an Ethernet frame.
    pub fn pad(&mut self) {
        if self.length < MINIMUM {
            self.bytes[self.length..MINIMUM].fill(0);
            self.length = MINIMUM;
        }
    }

    /// Metadata for the processor that receives the frame.
    pub fn received(&self) -> RxOffload {
        let checksum = match self.offload.checksum {
            Some(partial) => RxChecksum::Partial(partial),
            None if self.verified => RxChecksum::Valid,
            None => RxChecksum::Unknown,
        };
        RxOffload {
            checksum,
            gso_size: self.offload.gso.map_or(0, |gso| gso.size),
        }
    }
}

/// Reasons why a frame could not be copied to a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// It exceeds [`MAX_FRAME`].
    TooLong,
    /// Its memory is not mapped.
    Fault,
}

impl From<Fault> for Gather {
    fn from(_: Fault) -> Self {
        Self::Fault
    }
}

impl From<Gather> for toe_engine::env::SendError {
    fn from(error: Gather) -> Self {
        match error {
            Gather::TooLong => Self::Rejected,
            Gather::Fault => Self::Fault,
        }
    }
}
