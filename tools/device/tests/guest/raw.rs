// SPDX-License-Identifier: GPL-2.0

//! A vfio-user client that sends what it is told to.

use std::io::IoSlice;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::ControlMessage;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::sendmsg;

/// Numbers of the commands.
pub mod command {
    pub const VERSION: u16 = 1;
    pub const DMA_MAP: u16 = 2;
    pub const DMA_UNMAP: u16 = 3;
    pub const INFO: u16 = 4;
    pub const REGION_INFO: u16 = 5;
    pub const REGION_FDS: u16 = 6;
    pub const INTERRUPT_INFO: u16 = 7;
    pub const SET_INTERRUPTS: u16 = 8;
    pub const READ: u16 = 9;
    pub const WRITE: u16 = 10;
    pub const DMA_READ: u16 = 11;
    pub const DMA_WRITE: u16 = 12;
    pub const RESET: u16 = 13;
    pub const DIRTY_PAGES: u16 = 14;
}

/// Size of a header.
pub const HEADER: usize = 16;

/// The header of a message of `size` bytes.
pub fn header(command: u16, flags: u32, size: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[2..4].copy_from_slice(&command.to_le_bytes());
    header[4..8].copy_from_slice(&size.to_le_bytes());
    header[8..12].copy_from_slice(&flags.to_le_bytes());
    header
}

/// A connected client.
pub struct Raw {
    pub stream: UnixStream,
}

impl Raw {
    /// Connects and agrees on a version.
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("a function");
        let timeout = Some(Duration::from_secs(20));
        stream.set_read_timeout(timeout).expect("a timeout");
        let mut client = Self { stream };
        client
            .call(command::VERSION, b"\0\0\x01\0{\"capabilities\":{}}\0", &[])
            .expect("a version");
        client
    }

    /// Sends a message with `fds`.
    pub fn send(&self, message: &[u8], fds: &[RawFd]) -> nix::Result<usize> {
        let rights = [ControlMessage::ScmRights(fds)];
        let rights = if fds.is_empty() { &[] } else { &rights[..] };
        sendmsg::<()>(
            self.stream.as_raw_fd(),
            &[IoSlice::new(message)],
            rights,
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
    }

    /// Makes a request. Returns the answer without its header, or the number of the error.
    pub fn call(&mut self, command: u16, body: &[u8], fds: &[RawFd]) -> Result<Vec<u8>, u32> {
        let mut message = header(command, 0, (HEADER + body.len()) as u32).to_vec();
        message.extend(body);
        let sent = self.send(&message, fds).expect("sent");
        assert_eq!(sent, message.len());
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header).expect("an answer");
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
        assert_eq!(header[2..4], command.to_le_bytes());
        let mut answer = vec![0; word(4) as usize - HEADER];
        self.stream.read_exact(&mut answer).expect("an answer");
        match word(8) {
            1 => Ok(answer),
            0x21 => Err(word(12)),
            flags => panic!("flags {flags:#x}"),
        }
    }
}
