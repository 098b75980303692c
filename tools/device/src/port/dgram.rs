// SPDX-License-Identifier: GPL-2.0

//! A wire made of two Unix datagram sockets, with one raw Ethernet frame per datagram, as in QEMU's
//! `-netdev dgram`.
//!
//! The queue of the first processor receives for all; every processor sends. The other end may
//! disappear and reappear. Frames sent while it is absent are dropped, as with an unplugged cable.

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use nix::sys::socket;
use nix::sys::socket::sockopt;
use toe_engine::env::Capabilities;
use toe_engine::env::OutFrame;
use toe_engine::env::SendError;
use tracing::warn;

use super::PortQueue;
use crate::frame::Frame;
use crate::memory::MemoryMap;

/// Interval between attempts to connect to the other end.
const RETRY: Duration = Duration::from_millis(100);
/// Socket buffer size in bytes.
const BUFFER: usize = 4 << 20;

/// The socket. Removed from the file system with its last queue.
struct Socket {
    socket: UnixDatagram,
    local: PathBuf,
    remote: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.local);
    }
}

/// Removes a socket at `path` left behind by a process that has ended.
fn remove_stale(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
        let _ = fs::remove_file(path);
    }
}

/// Queue of one processor.
pub struct Dgram {
    socket: Arc<Socket>,
    /// This queue receives.
    receiver: bool,
    /// Time of the next connection attempt, `None` while connected.
    retry: Option<Instant>,
    frame: Frame,
    blocked: bool,
    dropped: u64,
}

impl Dgram {
    /// Binds `local` and returns `queues` queues that send to `remote`.
    ///
    /// # Errors
    ///
    /// If `local` cannot be bound.
    pub fn open(local: &Path, remote: &Path, queues: usize) -> io::Result<Vec<Self>> {
        remove_stale(local);
        let socket = UnixDatagram::bind(local)?;
        socket.set_nonblocking(true)?;
        socket::setsockopt(&socket, sockopt::SndBuf, &BUFFER)?;
        socket::setsockopt(&socket, sockopt::RcvBuf, &BUFFER)?;
        let socket = Arc::new(Socket {
            socket,
            local: local.to_path_buf(),
            remote: remote.to_path_buf(),
        });
        Ok((0..queues)
            .map(|queue| Self {
                socket: Arc::clone(&socket),
                receiver: queue == 0,
                retry: Some(Instant::now()),
                frame: Frame::new(),
                blocked: false,
                dropped: 0,
            })
            .collect())
    }

    /// Tries to connect to the other end if an attempt is due.
    fn reach(&mut self) -> bool {
        match self.retry {
            None => true,
            Some(at) if Instant::now() < at => false,
            Some(_) => {
                let reached = self.socket.socket.connect(&self.socket.remote).is_ok();
                self.retry = (!reached).then(|| Instant::now() + RETRY);
                reached
            }
        }
    }
}

impl PortQueue for Dgram {
    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
    }

    fn send(&mut self, frame: &OutFrame<'_>, memory: &MemoryMap) -> Result<(), SendError> {
        self.blocked = false;
        self.frame.gather(frame, memory)?;
        self.frame.pad();
        if !self.reach() {
            self.dropped += 1;
            return Ok(());
        }
        match self.socket.socket.send(self.frame.bytes()) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.blocked = true;
                Err(SendError::Full)
            }
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => Err(SendError::Rejected),
            Err(_) => {
                // The other end has closed its socket. Try to reconnect from now on.
                self.retry = Some(Instant::now());
                self.dropped += 1;
                Ok(())
            }
        }
    }

    fn receive(&mut self, frame: &mut Frame) -> bool {
        if !self.receiver {
            return false;
        }
        frame.clear();
        match self.socket.socket.recv(frame.room()) {
            Ok(length) => {
                frame.set_length(length);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => {
                warn!("cannot receive on {}: {error}", self.socket.local.display());
                false
            }
        }
    }

    fn blocked(&self) -> bool {
        self.blocked
    }

    fn unblock(&mut self) {
        self.blocked = false;
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.socket.as_fd())
    }

    fn receives(&self) -> bool {
        self.receiver
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }
}
