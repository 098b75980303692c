// SPDX-License-Identifier: GPL-2.0

//! Ports: what a function's frames go to and come from.
//!
//! A port has one [`PortQueue`] for every processor, each used by that processor's thread alone.

use std::os::fd::BorrowedFd;

use toe_engine::env::Capabilities;
use toe_engine::env::OutFrame;
use toe_engine::env::SendError;

use crate::frame::Frame;
use crate::memory::MemoryMap;

pub mod cable;
pub mod dgram;
pub mod impaired;
pub mod spec;
pub mod tap;

/// One processor's way to the wire and back. Nothing here blocks.
pub trait PortQueue {
    /// What may be left to the port.
    fn capabilities(&self) -> Capabilities;

    /// Sends `frame`, whose payload stands in `memory`.
    ///
    /// # Errors
    ///
    /// After `Full`, [`Self::blocked`] is true until there may be room again.
    fn send(&mut self, frame: &OutFrame<'_>, memory: &MemoryMap) -> Result<(), SendError>;

    /// Takes the next frame into `frame`, whose buffer may be exchanged for another; `false` when
    /// none is there.
    fn receive(&mut self, frame: &mut Frame) -> bool;

    /// Whether a frame waits that no descriptor announces.
    fn pending(&self) -> bool {
        false
    }

    /// Whether a frame was refused for want of room.
    fn blocked(&self) -> bool;

    /// Descriptor that becomes readable when a frame comes and writable when there is room.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether this queue's descriptor announces frames.
    fn receives(&self) -> bool {
        true
    }

    /// Tells the port whether its function is in use: frames to one that is not are lost.
    fn set_open(&mut self, open: bool) {
        let _ = open;
    }

    /// Forgets what a driver has set, and frames on the way in.
    fn reset(&mut self) {}

    /// Frames lost in the port since it was made.
    fn dropped(&self) -> u64;
}

/// A frame in one piece, with nothing to be done to it.
#[cfg(test)]
fn out(header: &[u8]) -> OutFrame<'_> {
    OutFrame {
        header,
        payload: &[],
        offload: Default::default(),
    }
}
