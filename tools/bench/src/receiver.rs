// SPDX-License-Identifier: GPL-2.0

//! Receiving side of a connection: receives the stream in one of several modes and compares every
//! byte.

use crate::pattern::Pattern;
use crate::pattern::Random;
use crate::socket;
use crate::uring::Uring;
use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use nix::errno::Errno;
use nix::fcntl::SpliceFFlags;
use nix::fcntl::splice;
use nix::libc;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::recv;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

/// How to receive the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ReceiveMode {
    /// Edge-triggered epoll and recv(): the only mode for many connections in one thread.
    #[default]
    Epoll,
    /// Blocking recv().
    Recv,
    /// recv() with MSG_WAITALL.
    Waitall,
    /// poll(), then recv().
    Poll,
    /// MSG_PEEK, then recv(): both must return the same bytes.
    Peek,
    /// splice() into a pipe.
    Splice,
    /// SO_RCVLOWAT and poll(): no wake-up before that many bytes are available.
    Lowat,
    /// io_uring's IORING_OP_RECV.
    Uring,
}

enum Mode {
    Recv(MsgFlags),
    Poll,
    Peek,
    Splice(OwnedFd, OwnedFd),
    Lowat(Lowat),
    Uring(Box<Uring>),
}

/// Statistics of reads with SO_RCVLOWAT. Linux wakes a reader early when the receive buffer is
/// nearly full or the window is no larger than a segment (`tcp_stream_is_readable`), so some early
/// reads are correct, but not most.
#[derive(Default)]
struct Lowat {
    mark: usize,
    reads: u64,
    early: u64,
}

/// Parameters of a receiver.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Expected stream.
    pub pattern: Pattern,
    /// Number of bytes to receive.
    pub total: u64,
    /// Maximum size of a receive.
    pub chunk: usize,
    /// Mode.
    pub mode: ReceiveMode,
}

/// Receiving side of a connection.
pub struct Receiver {
    plan: Plan,
    /// Number of bytes received and verified.
    pub position: u64,
    mode: Mode,
    random: Random,
    buffer: Vec<u8>,
}

/// SO_RCVLOWAT used by [`ReceiveMode::Lowat`].
const LOWAT: usize = 8192;

impl Receiver {
    /// Creates a receiver.
    pub fn new(plan: Plan, fd: BorrowedFd<'_>) -> Result<Self> {
        let mode = match plan.mode {
            ReceiveMode::Epoll | ReceiveMode::Recv => Mode::Recv(MsgFlags::empty()),
            ReceiveMode::Waitall => Mode::Recv(MsgFlags::MSG_WAITALL),
            ReceiveMode::Poll => Mode::Poll,
            ReceiveMode::Peek => Mode::Peek,
            ReceiveMode::Splice => {
                let (read, write) = nix::unistd::pipe()?;
                Mode::Splice(read, write)
            }
            ReceiveMode::Lowat => Mode::Lowat(Lowat::default()),
            ReceiveMode::Uring => Mode::Uring(Box::new(Uring::new()?)),
        };
        let mut receiver = Self {
            plan,
            position: 0,
            mode,
            random: Random::new(plan.total ^ 0x4ec5),
            buffer: vec![0; plan.chunk],
        };
        receiver.set_lowat(fd)?;
        Ok(receiver)
    }

    /// Whether the whole stream was received.
    pub fn is_done(&self) -> bool {
        self.position == self.plan.total
    }

    /// Receives and verifies one chunk. Returns `false` if the socket would block.
    pub fn step(&mut self, fd: BorrowedFd<'_>) -> Result<bool> {
        let rest = self.plan.total - self.position;
        let most = rest.min(self.plan.chunk as u64) as usize;
        let length = self.random.up_to(most);
        match self.receive(fd, length)? {
            Ok(0) => bail!(
                "the peer ended the stream after {} of {} bytes",
                self.position,
                self.plan.total
            ),
            Ok(received) => {
                let bytes = &self.buffer[..received];
                self.plan.pattern.check(self.position, bytes)?;
                self.position += received as u64;
                self.set_lowat(fd)?;
                Ok(true)
            }
            Err(Errno::EAGAIN) => Ok(false),
            Err(Errno::EINTR) => Ok(true),
            Err(error) => {
                Err(error).with_context(|| format!("receiving at byte {}", self.position))
            }
        }
    }

    /// Receives at most `length` bytes into the buffer, as the mode prescribes.
    fn receive(&mut self, fd: BorrowedFd<'_>, length: usize) -> Result<nix::Result<usize>> {
        let raw = fd.as_raw_fd();
        let buffer = &mut self.buffer[..length];
        match &mut self.mode {
            Mode::Recv(flags) => Ok(recv(raw, buffer, *flags)),
            Mode::Poll => {
                if !wait(fd)? {
                    return Ok(Err(Errno::EAGAIN));
                }
                Ok(recv(raw, buffer, MsgFlags::MSG_DONTWAIT))
            }
            Mode::Peek => {
                let peeked = match recv(raw, buffer, MsgFlags::MSG_PEEK) {
                    Ok(0) => return Ok(Ok(0)),
                    Ok(length) => buffer[..length].to_vec(),
                    error => return Ok(error),
                };
                let buffer = &mut buffer[..peeked.len()];
                let received = recv(raw, buffer, MsgFlags::empty());
                ensure!(
                    received == Ok(peeked.len()) && buffer == peeked,
                    "recv() does not match {} bytes peeked at byte {}: {received:?}",
                    peeked.len(),
                    self.position
                );
                Ok(received)
            }
            Mode::Splice(read, write) => {
                let moved =
                    match splice(fd, None, &*write, None, length, SpliceFFlags::SPLICE_F_MOVE) {
                        Ok(moved) => moved,
                        error => return Ok(error),
                    };
                let mut taken = 0;
                while taken < moved {
                    taken += nix::unistd::read(&*read, &mut buffer[taken..moved])?;
                }
                Ok(Ok(moved))
            }
            Mode::Lowat(lowat) => {
                if !wait(fd)? {
                    return Ok(Err(Errno::EAGAIN));
                }
                let length = length.max(lowat.mark).min(self.plan.chunk);
                let received = recv(raw, &mut self.buffer[..length], MsgFlags::MSG_DONTWAIT);
                if let Ok(received @ 1..) = received {
                    lowat.reads += 1;
                    lowat.early += u64::from(received < lowat.mark);
                    ensure!(
                        lowat.reads < 20 || lowat.early * 2 < lowat.reads,
                        "{} of {} wake-ups by poll() below SO_RCVLOWAT, {} bytes",
                        lowat.early,
                        lowat.reads,
                        lowat.mark
                    );
                }
                Ok(received)
            }
            Mode::Uring(ring) => Ok(ring.receive(fd, buffer)),
        }
    }

    /// In [`ReceiveMode::Lowat`]: sets SO_RCVLOWAT, near the end to the number of bytes left.
    fn set_lowat(&mut self, fd: BorrowedFd<'_>) -> Result<()> {
        let rest = self.plan.total - self.position;
        let Mode::Lowat(lowat) = &mut self.mode else {
            return Ok(());
        };
        let wanted = rest.clamp(1, LOWAT.min(self.plan.chunk) as u64) as usize;
        if wanted != lowat.mark {
            socket::set_int(fd, libc::SOL_SOCKET, libc::SO_RCVLOWAT, wanted as i32)
                .context("SO_RCVLOWAT")?;
            lowat.mark = wanted;
        }
        Ok(())
    }
}

/// Waits until the socket is readable. Returns `false` if woken for another reason, such as a
/// notification for the sending side.
fn wait(fd: BorrowedFd<'_>) -> Result<bool> {
    let mut set = [PollFd::new(fd, PollFlags::POLLIN)];
    match poll(&mut set, PollTimeout::NONE) {
        Ok(_) => (),
        Err(Errno::EINTR) => return Ok(false),
        Err(error) => return Err(error).context("poll"),
    }
    let events = set[0].revents().unwrap_or(PollFlags::empty());
    if events.contains(PollFlags::POLLIN) {
        return Ok(true);
    }
    // The sending thread reads it.
    std::thread::yield_now();
    Ok(false)
}
