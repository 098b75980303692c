// SPDX-License-Identifier: GPL-2.0

//! A connection in the event loop, for both sides: request, streams, verdict and close.

use crate::hurry;
use crate::reactor::Driven;
use crate::reactor::Progress;
use crate::receiver::Receiver;
use crate::request::Finish;
use crate::request::Request;
use crate::request::VERDICT;
use crate::sender::Sender;
use crate::setup::Ends;
use crate::setup::Setup;
use crate::socket;
use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use nix::errno::Errno;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::Shutdown;
use nix::sys::socket::recv;
use nix::sys::socket::send;
use nix::sys::socket::shutdown;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// Maximum number of chunks sent and received per turn.
const SHARE: usize = 16;

/// A few bytes to send.
struct Outbox<'a> {
    bytes: &'a [u8],
    at: &'a mut usize,
}

impl Outbox<'_> {
    /// Sends the rest. Returns `false` if the socket has no room for all of it.
    fn step(self, fd: BorrowedFd<'_>) -> Result<bool> {
        while *self.at < self.bytes.len() {
            match send(
                fd.as_raw_fd(),
                &self.bytes[*self.at..],
                MsgFlags::MSG_NOSIGNAL,
            ) {
                Ok(sent) => *self.at += sent,
                Err(Errno::EAGAIN) => return Ok(false),
                Err(Errno::EINTR) => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// A few bytes to receive.
struct Inbox<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Inbox<N> {
    fn new() -> Self {
        Self {
            bytes: [0; N],
            at: 0,
        }
    }

    /// Receives the rest. Returns `None` if it is incomplete.
    fn step(&mut self, fd: BorrowedFd<'_>) -> Result<Option<&[u8; N]>> {
        while self.at < N {
            match recv(
                fd.as_raw_fd(),
                &mut self.bytes[self.at..],
                MsgFlags::empty(),
            ) {
                Ok(0) => bail!("the peer closed after {} of {N} bytes", self.at),
                Ok(received) => self.at += received,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(&self.bytes))
    }
}

/// Phase of a connection.
enum Phase {
    /// Client: connecting.
    Connecting,
    /// Server: waiting for the request.
    Request(Inbox<{ Request::SIZE }>),
    /// Both: transferring the streams, and the data before and after them.
    Stream(Box<Stream>),
    /// Client: staying open for some time after all connections have finished their transfer.
    Held(Option<Instant>),
    /// Both: waiting for the peer to close.
    Closing,
}

struct Stream {
    ends: Ends,
    /// Bytes sent of the client's request or of the server's verdict.
    extra_sent: usize,
    verdict: Inbox<{ VERDICT.len() }>,
    shut_down: bool,
}

/// Counts a connection that is still transferring.
struct Exchanging(Arc<AtomicU64>);

impl Exchanging {
    fn new(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Exchanging {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection.
pub struct Talk {
    fd: OwnedFd,
    setup: Setup,
    request: Request,
    is_server: bool,
    phase: Phase,
    exchanging: Option<Exchanging>,
    /// Result of attaching the upper layer protocol, if requested.
    pub ulp: Option<nix::Result<()>>,
    /// Bytes sent and received.
    pub moved: (u64, u64),
}

impl Talk {
    /// Creates the client side of a connection being established.
    pub fn client(fd: OwnedFd, setup: Setup, request: Request) -> Self {
        Self::new(fd, setup, request, false, Phase::Connecting)
    }

    /// Creates the server side of a connection.
    pub fn server(fd: OwnedFd, setup: Setup) -> Self {
        let phase = Phase::Request(Inbox::new());
        let mut talk = Self::new(fd, setup, Request::default(), true, phase);
        talk.attach();
        talk
    }

    fn new(fd: OwnedFd, setup: Setup, request: Request, is_server: bool, phase: Phase) -> Self {
        Self {
            fd,
            exchanging: Some(Exchanging::new(&setup.exchanging)),
            setup,
            request,
            is_server,
            phase,
            ulp: None,
            moved: (0, 0),
        }
    }

    fn attach(&mut self) {
        let ulp = self.setup.ulp.as_deref();
        self.ulp = ulp.map(|name| socket::set_ulp(self.fd.as_fd(), name));
    }

    fn stream(&mut self) -> Result<()> {
        let ends = self
            .setup
            .ends(&self.request, self.is_server, self.fd.as_fd())?;
        self.phase = Phase::Stream(Box::new(Stream {
            ends,
            extra_sent: 0,
            verdict: Inbox::new(),
            shut_down: false,
        }));
        Ok(())
    }

    /// Runs one turn of the streams.
    fn drive_stream(&mut self) -> Result<Progress> {
        let Phase::Stream(stream) = &mut self.phase else {
            return Ok(Progress::Again);
        };
        let fd = self.fd.as_fd();
        let finish = self.setup.finish;
        let request = self.request.to_bytes();
        let Ends { sender, receiver } = &mut stream.ends;
        let mut pause = None;
        let mut sending = true;
        if !self.is_server {
            let at = &mut stream.extra_sent;
            sending = Outbox {
                bytes: &request,
                at,
            }
            .step(fd)?;
        }
        let receiving = receive_share(receiver, fd)?;
        sender.follow(receiver.position, self.request.upload);
        if sending {
            sending = send_share(sender, fd, &mut pause)?;
        }
        self.moved = (sender.position, receiver.position);

        let over = if self.is_server {
            let at = &mut stream.extra_sent;
            let bytes = &VERDICT;
            sender.is_done() && receiver.is_done() && Outbox { bytes, at }.step(fd)?
        } else {
            if sender.is_done() && finish == Finish::Shutdown && !stream.shut_down {
                shutdown(fd.as_raw_fd(), Shutdown::Write)?;
                stream.shut_down = true;
            }
            let verdict = match receiver.is_done() {
                true => stream
                    .verdict
                    .step(fd)
                    .context("cannot receive the verdict")?,
                false => None,
            };
            ensure!(
                verdict.is_none_or(|verdict| *verdict == VERDICT),
                "the server sent more than its stream"
            );
            verdict.is_some() && sender.is_done()
        };
        Ok(if over {
            self.after_stream();
            Progress::Again
        } else if sending && !sender.is_done() || receiving && !receiver.is_done() {
            Progress::Again
        } else {
            pause.map_or(Progress::Blocked, Progress::Pause)
        })
    }

    fn after_stream(&mut self) {
        self.phase = match self.setup.hold {
            Some(_) if !self.is_server => Phase::Held(None),
            _ => Phase::Closing,
        };
        self.exchanging = None;
    }

    /// Ends the connection as requested.
    fn close(&mut self) -> Result<Progress> {
        let fd = self.fd.as_fd();
        let wait = if self.is_server {
            !self.request.server_closes
        } else {
            match self.setup.finish {
                Finish::Close | Finish::Shutdown => false,
                Finish::Server => true,
                Finish::Reset => {
                    socket::set_reset_on_close(fd)?;
                    false
                }
                Finish::Disconnect => {
                    socket::disconnect(fd)?;
                    false
                }
            }
        };
        if !wait {
            return Ok(Progress::Finished);
        }
        match recv(fd.as_raw_fd(), &mut [0], MsgFlags::empty()) {
            Ok(0) => Ok(Progress::Finished),
            Ok(_) => bail!("the peer sent more than its stream"),
            Err(Errno::EAGAIN) => Ok(Progress::Blocked),
            // A reset by the client is allowed.
            Err(Errno::ECONNRESET) if self.is_server => Ok(Progress::Finished),
            Err(error) => Err(error).context("waiting for the peer to close"),
        }
    }
}

/// Sends one turn's share. Returns `true` if more can be sent.
fn send_share(
    sender: &mut Sender,
    fd: BorrowedFd<'_>,
    pause: &mut Option<Duration>,
) -> Result<bool> {
    for _ in 0..SHARE {
        if sender.is_done() {
            return Ok(true);
        }
        *pause = sender.due().and_then(hurry::wait_until);
        if pause.is_some() || sender.is_ahead() || !sender.step(fd)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Receives one turn's share. Returns `true` if more may be available.
fn receive_share(receiver: &mut Receiver, fd: BorrowedFd<'_>) -> Result<bool> {
    for _ in 0..SHARE {
        if receiver.is_done() {
            return Ok(true);
        }
        if !receiver.step(fd)? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Driven for Talk {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn drive(&mut self) -> Result<Progress> {
        match &mut self.phase {
            Phase::Connecting => {
                socket::take_error(self.fd.as_fd())?;
                if !socket::is_connected(self.fd.as_fd()) {
                    return Ok(Progress::Blocked);
                }
                self.attach();
                self.stream()?;
                Ok(Progress::Again)
            }
            Phase::Request(inbox) => {
                let Some(bytes) = inbox
                    .step(self.fd.as_fd())
                    .context("cannot receive the request")?
                else {
                    return Ok(Progress::Blocked);
                };
                self.request = Request::from_bytes(bytes)?;
                self.stream()?;
                Ok(Progress::Again)
            }
            Phase::Stream(_) => self.drive_stream(),
            Phase::Held(until) => {
                let hold = self.setup.hold.unwrap_or_default();
                if until.is_none() && self.setup.exchanging.load(Ordering::Relaxed) != 0 {
                    return Ok(Progress::Pause(hurry::LOOK_AGAIN));
                }
                let until = *until.get_or_insert_with(|| Instant::now() + hold);
                if let Some(pause) = hurry::wait_until(until) {
                    return Ok(Progress::Pause(pause));
                }
                self.phase = Phase::Closing;
                Ok(Progress::Again)
            }
            Phase::Closing => self.close(),
        }
    }
}
