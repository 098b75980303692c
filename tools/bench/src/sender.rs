// SPDX-License-Identifier: GPL-2.0

//! Sending side of a connection: sends the stream in chunks of random size, in one of several
//! modes.

use crate::pattern::Pattern;
use crate::pattern::Random;
use crate::socket;
use crate::uring::Uring;
use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use nix::errno::Errno;
use nix::libc;
use nix::sys::memfd::MFdFlags;
use nix::sys::memfd::memfd_create;
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::ControlMessageOwned;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::recvmsg;
use nix::sys::socket::send;
use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

/// How to send the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SendMode {
    /// send().
    #[default]
    Send,
    /// send() with MSG_MORE, except every fourth time.
    More,
    /// send() with MSG_ZEROCOPY; every notification must arrive exactly once.
    Zerocopy,
    /// sendfile() from a memfd.
    Sendfile,
    /// io_uring's IORING_OP_SEND.
    Uring,
}

/// State of a mode.
enum Mode {
    Plain,
    More,
    Zerocopy(Zerocopy),
    Sendfile(Option<File>),
    Uring(Box<Uring>),
}

/// A part of the stream in a file. Each part needs a new file, since pages of the previous one may
/// still be in flight.
struct File {
    fd: OwnedFd,
    /// Stream position of the end of the file.
    end: u64,
    offset: i64,
}

/// Bytes of the stream per file.
const FILE: u64 = 1 << 20;

/// Buffers in use by the kernel, by the number of their send().
#[derive(Default)]
struct Zerocopy {
    next: u32,
    under_way: BTreeMap<u32, Vec<u8>>,
    copied: u64,
}

/// Maximum number of buffers in flight.
const ZEROCOPY_BUFFERS: usize = 64;

/// Disturbances during the transfer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disturbances {
    /// Send one byte as urgent data.
    pub urgent: bool,
    /// Set socket options at 32 positions of the stream.
    pub options: bool,
}

/// What limits the rate of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The socket alone.
    Unlimited,
    /// A number of bytes per second.
    Rate(u64),
    /// The same share of the stream as the other direction has transferred, as [`Sender::follow`]
    /// reports it.
    Follow,
}

/// Parameters of a sender.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Stream to send.
    pub pattern: Pattern,
    /// Number of bytes to send.
    pub total: u64,
    /// Maximum size of a send.
    pub chunk: usize,
    /// What limits the rate.
    pub pace: Pace,
    /// Mode.
    pub mode: SendMode,
    /// Disturbances.
    pub disturbances: Disturbances,
}

/// Sending side of a connection.
pub struct Sender {
    plan: Plan,
    /// Number of bytes accepted by the kernel.
    pub position: u64,
    /// Number of bytes that the pace allows to send.
    allowed: u64,
    mode: Mode,
    random: Random,
    buffer: Vec<u8>,
    began: Instant,
    urgent_at: Option<u64>,
    options: usize,
    calls: u64,
}

/// Number of positions in the stream at which socket options are set.
const OPTION_PLACES: u64 = 32;

impl Sender {
    /// Creates a sender.
    pub fn new(plan: Plan, fd: BorrowedFd<'_>) -> Result<Self> {
        let mode = match plan.mode {
            SendMode::Send => Mode::Plain,
            SendMode::More => Mode::More,
            SendMode::Zerocopy => {
                socket::set_int(fd, libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1)
                    .context("SO_ZEROCOPY")?;
                Mode::Zerocopy(Zerocopy::default())
            }
            SendMode::Sendfile => Mode::Sendfile(None),
            SendMode::Uring => Mode::Uring(Box::new(Uring::new()?)),
        };
        Ok(Self {
            plan,
            position: 0,
            allowed: match plan.pace {
                Pace::Follow => 0,
                Pace::Unlimited | Pace::Rate(_) => plan.total,
            },
            mode,
            random: Random::new(plan.total ^ 0x5e4d),
            buffer: Vec::new(),
            began: Instant::now(),
            urgent_at: (plan.disturbances.urgent && plan.total > 0).then_some(plan.total / 2),
            options: 0,
            calls: 0,
        })
    }

    /// Whether the kernel has accepted everything.
    pub fn is_done(&self) -> bool {
        self.position == self.plan.total
    }

    /// Time of the next byte according to the rate.
    pub fn due(&self) -> Option<Instant> {
        match self.plan.pace {
            Pace::Rate(rate) if !self.is_done() => {
                Some(self.began + Duration::from_secs_f64(self.position as f64 / rate as f64))
            }
            _ => None,
        }
    }

    /// Reports that `moved` of `total` bytes have arrived from the peer, for [`Pace::Follow`].
    pub fn follow(&mut self, moved: u64, total: u64) {
        if self.plan.pace == Pace::Follow {
            let share = u128::from(self.plan.total) * u128::from(moved) / u128::from(total.max(1));
            self.allowed = share as u64;
        }
    }

    /// Whether the pace allows no byte before the next [`Self::follow`].
    pub fn is_ahead(&self) -> bool {
        self.position >= self.allowed
    }

    /// Sends one chunk, unless [`Self::is_ahead`]. Returns `false` if the socket would block.
    pub fn step(&mut self, fd: BorrowedFd<'_>) -> Result<bool> {
        self.disturb(fd)?;
        let rest = self.allowed - self.position;
        let before_urgent = match self.urgent_at {
            Some(at) if at > self.position => at - self.position,
            _ => rest,
        };
        let most = rest.min(before_urgent).min(self.plan.chunk as u64) as usize;
        let length = self.random.up_to(most);
        self.calls += 1;
        let urgent = self.urgent_at == Some(self.position);
        let sent = if urgent {
            let byte = self.plan.pattern.bytes(self.position, 1);
            send(fd.as_raw_fd(), &byte, MsgFlags::MSG_OOB)
        } else {
            self.send(fd, length)?
        };
        match sent {
            Ok(0) => bail!("cannot send at byte {}", self.position),
            Ok(sent) => {
                self.position += sent as u64;
                if urgent {
                    self.urgent_at = None;
                }
                Ok(true)
            }
            Err(Errno::EAGAIN) => Ok(false),
            // MSG_ZEROCOPY: too many unread notifications.
            Err(Errno::ENOBUFS) if matches!(self.mode, Mode::Zerocopy(_)) => {
                self.reap(fd, true)?;
                Ok(true)
            }
            Err(Errno::EINTR) => Ok(true),
            Err(error) => Err(error).with_context(|| format!("sending at byte {}", self.position)),
        }
    }

    /// Sets socket options if the next position is reached.
    fn disturb(&mut self, fd: BorrowedFd<'_>) -> Result<()> {
        if self.plan.disturbances.options {
            let place = self.position * OPTION_PLACES / self.plan.total.max(1);
            while (self.options as u64) < place {
                socket::set_some_option(fd, self.options)?;
                self.options += 1;
            }
        }
        Ok(())
    }

    /// Sends at most `length` bytes, as the mode prescribes.
    fn send(&mut self, fd: BorrowedFd<'_>, length: usize) -> Result<nix::Result<usize>> {
        let (pattern, position) = (self.plan.pattern, self.position);
        let raw = fd.as_raw_fd();
        match &mut self.mode {
            Mode::Plain | Mode::More => {
                self.buffer.resize(length, 0);
                pattern.fill(position, &mut self.buffer);
                let last = position + length as u64 == self.plan.total;
                let more = matches!(self.mode, Mode::More) && self.calls % 4 != 0 && !last;
                let flags = if more {
                    MsgFlags::from_bits_retain(libc::MSG_MORE)
                } else {
                    MsgFlags::empty()
                };
                Ok(send(raw, &self.buffer, flags | MsgFlags::MSG_NOSIGNAL))
            }
            Mode::Zerocopy(state) => {
                if state.under_way.len() >= ZEROCOPY_BUFFERS {
                    self.reap(fd, true)?;
                    return self.send(fd, length);
                }
                let buffer = pattern.bytes(position, length);
                let flags = MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY);
                let sent = send(raw, &buffer, flags | MsgFlags::MSG_NOSIGNAL);
                if sent.is_ok() {
                    state.under_way.insert(state.next, buffer);
                    state.next = state.next.wrapping_add(1);
                }
                Ok(sent)
            }
            Mode::Sendfile(file) => {
                let file = match file {
                    Some(file) if file.end > position => file,
                    _ => file.insert(File::new(pattern, position, self.plan.total)?),
                };
                let length = length.min((file.end - position) as usize);
                Ok(sendfile64(fd, &file.fd, Some(&mut file.offset), length))
            }
            Mode::Uring(ring) => {
                self.buffer.resize(length, 0);
                pattern.fill(position, &mut self.buffer);
                Ok(ring.send(fd, &self.buffer))
            }
        }
    }

    /// Waits until the kernel has released every buffer. Call after everything is sent.
    ///
    /// # Errors
    ///
    /// If a notification is missing after `timeout`.
    pub fn settle(&mut self, fd: BorrowedFd<'_>, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        while let Mode::Zerocopy(state) = &self.mode {
            if state.under_way.is_empty() {
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "{} MSG_ZEROCOPY notifications missing, first number {:?}",
                state.under_way.len(),
                state.under_way.keys().next()
            );
            self.reap(fd, true)?;
        }
        Ok(())
    }

    /// Number of MSG_ZEROCOPY sends, and of those for which the kernel reports a copy.
    pub fn zerocopy(&self) -> Option<(u64, u64)> {
        match &self.mode {
            Mode::Zerocopy(state) => Some((state.next.into(), state.copied)),
            _ => None,
        }
    }

    /// Reads notifications. With `wait`, waits up to 100 ms for the first.
    fn reap(&mut self, fd: BorrowedFd<'_>, wait: bool) -> Result<()> {
        let Mode::Zerocopy(state) = &mut self.mode else {
            return Ok(());
        };
        if wait {
            let mut poll = [nix::poll::PollFd::new(fd, nix::poll::PollFlags::empty())];
            nix::poll::poll(&mut poll, 100u16)?;
        }
        loop {
            let mut space = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
            let flags = MsgFlags::MSG_ERRQUEUE;
            let message = match recvmsg::<()>(fd.as_raw_fd(), &mut [], Some(&mut space), flags) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(error) => return Err(error).context("reading the error queue"),
            };
            for control in message.cmsgs()? {
                let (ControlMessageOwned::Ipv4RecvErr(error, _)
                | ControlMessageOwned::Ipv6RecvErr(error, _)) = control
                else {
                    continue;
                };
                ensure!(
                    error.ee_origin == SO_EE_ORIGIN_ZEROCOPY,
                    "unexpected origin {} in the error queue",
                    error.ee_origin
                );
                for number in error.ee_info..=error.ee_data {
                    ensure!(
                        state.under_way.remove(&number).is_some(),
                        "duplicate or unexpected MSG_ZEROCOPY notification {number}"
                    );
                    let copied = error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED != 0;
                    state.copied += u64::from(copied);
                }
            }
        }
    }
}

/// Origin of MSG_ZEROCOPY notifications in the error queue (include/uapi/linux/errqueue.h).
const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
/// The kernel has copied the data (include/uapi/linux/errqueue.h).
const SO_EE_CODE_ZEROCOPY_COPIED: u8 = 1;

impl File {
    /// Creates a file with the stream at `position`.
    fn new(pattern: Pattern, position: u64, total: u64) -> Result<Self> {
        let length = FILE.min(total - position);
        let fd = memfd_create(c"toe-stream", MFdFlags::MFD_CLOEXEC)?;
        let bytes = pattern.bytes(position, length as usize);
        let written = nix::unistd::write(&fd, &bytes)?;
        ensure!(written == bytes.len(), "short write to memfd");
        Ok(Self {
            fd,
            end: position + length,
            offset: 0,
        })
    }
}
