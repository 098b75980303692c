// SPDX-License-Identifier: GPL-2.0

//! Frame buffers: where a frame stands while it is in the adapter and in no host's memory.

use toe_engine::env::Offload;
use toe_engine::env::OutFrame;
use toe_engine::env::RxChecksum;
use toe_engine::env::RxOffload;

use crate::memory::Fault;
use crate::memory::MemoryMap;

/// Room in a buffer: the largest large segment with its Ethernet header and tags.
pub const CAPACITY: usize = 65_536 + 64;

/// Smallest frame on an Ethernet wire, without its check sequence.
const MINIMUM: usize = 60;

/// A frame with what is known of it and what is left to do to it.
///
/// # Invariants
///
/// `length <= CAPACITY`, the length of `bytes`.
pub struct Frame {
    bytes: Box<[u8]>,
    length: usize,
    /// What is left to do before the frame is on a wire.
    pub offload: Offload,
    /// The transport checksum was verified by whoever delivered the frame.
    pub verified: bool,
}

impl Frame {
    /// An empty buffer. Its memory is touched only as far as frames fill it.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; CAPACITY].into_boxed_slice(),
            length: 0,
            offload: Offload::default(),
            verified: false,
        }
    }

    /// The frame, from the Ethernet header on.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The frame, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    /// Forgets the frame; what is known of the next is nothing.
    pub fn clear(&mut self) {
        self.length = 0;
        self.offload = Offload::default();
        self.verified = false;
    }

    /// All of the buffer, for a frame to be read into; [`Self::set_length`] says how long it is.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Sets the length, at most [`CAPACITY`].
    pub fn set_length(&mut self, length: usize) {
        self.length = length.min(CAPACITY);
    }

    /// Appends `bytes`; `false` and no change when they do not fit.
    #[must_use]
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        let Some(room) = self.bytes.get_mut(self.length..self.length + bytes.len()) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.length += bytes.len();
        true
    }

    /// Makes this a copy of `frame`, its payload read from `memory`.
    ///
    /// # Errors
    ///
    /// [`Gather`]; the buffer's content is then undefined.
    pub fn gather(&mut self, frame: &OutFrame<'_>, memory: &MemoryMap) -> Result<(), Gather> {
        self.clear();
        self.offload = frame.offload;
        if !self.append(frame.header) {
            return Err(Gather::TooLong);
        }
        for piece in frame.payload {
            let end = self.length + piece.length as usize;
            let room = self
                .bytes
                .get_mut(self.length..end)
                .ok_or(Gather::TooLong)?;
            memory.read(piece.address, room)?;
            self.length = end;
        }
        Ok(())
    }

    /// Pads a frame that is shorter than a wire allows with zeroes.
    pub fn pad(&mut self) {
        if self.length < MINIMUM {
            self.bytes[self.length..MINIMUM].fill(0);
            self.length = MINIMUM;
        }
    }

    /// What a processor is to know of the frame when it receives it.
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

/// Why a frame could not be copied into a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// It is longer than a buffer.
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
