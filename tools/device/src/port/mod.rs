// SPDX-License-Identifier: GPL-2.0

//! Ports, which connect functions to a network.
//!
//! A port has one [`PortQueue`] per processor, used only by that processor's thread.

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

/// Transmit and receive queue of one processor. No method blocks.
pub trait PortQueue {
    /// Supported transmit offloads.
    fn capabilities(&self) -> Capabilities;

    /// Transmits `frame`, whose payload is in `memory`.
    ///
    /// # Errors
    ///
    /// After `Full`, [`Self::blocked`] returns `true` until [`Self::unblock`] or the next frame.
    fn send(&mut self, frame: &OutFrame<'_>, memory: &MemoryMap) -> Result<(), SendError>;

    /// Receives the next frame into `frame`, whose buffer may be swapped with another. Returns
    /// `false` if there is none.
    fn receive(&mut self, frame: &mut Frame) -> bool;

    /// Whether a frame is pending that the descriptor does not signal.
    fn pending(&self) -> bool {
        false
    }

    /// Whether a frame was refused for lack of room, and there may be none yet.
    fn blocked(&self) -> bool;

    /// There may be room again: the descriptor is writable, or nobody waits for it any more.
    fn unblock(&mut self);

    /// Descriptor that becomes readable when a frame arrives and writable when there is room.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether the descriptor of this queue signals received frames.
    fn receives(&self) -> bool {
        true
    }

    /// Tells the port whether its function is enabled. Frames to a disabled function are dropped.
    fn set_open(&mut self, open: bool) {
        let _ = open;
    }

    /// Frames dropped by the port since its creation.
    fn dropped(&self) -> u64;
}

/// A contiguous frame without offloads.
#[cfg(test)]
pub fn out(header: &[u8]) -> OutFrame<'_> {
    OutFrame {
        header,
        payload: &[],
        offload: Default::default(),
    }
}
