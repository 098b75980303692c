// SPDX-License-Identifier: GPL-2.0

//! A connection with a client: whole messages with their file descriptors.

use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::ControlMessage;
use nix::sys::socket::ControlMessageOwned;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::recvmsg;
use nix::sys::socket::sendmsg;

use super::request::HEADER;
use super::request::Header;
use super::request::MAX_FILES;
use super::request::Malformed;

/// A client that reads no answer for this long is left.
const PATIENCE: Duration = Duration::from_secs(5);

/// Maximum number of file descriptors that the kernel passes at once (SCM_MAX_FD). With less room,
/// it would install some that nobody closes.
const KERNEL_MAX_FILES: usize = 253;

/// Reasons to leave a client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket failed, or the client reads no answers.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// The client sent no request.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The client sent more files than it was told it may.
    #[error("{0} file descriptors in a message")]
    Files(usize),
    /// The first message was not one that agrees on the version.
    #[error("no version agreed on")]
    Version,
}

/// A message of the client.
pub struct Message<'a> {
    /// Its header.
    pub header: Header,
    /// Its body.
    pub body: &'a [u8],
    /// The files sent with it.
    pub files: Vec<File>,
}

/// A connection with a client.
pub struct Connection {
    stream: UnixStream,
    body: Vec<u8>,
}

impl Connection {
    /// Takes the connection over `stream`.
    ///
    /// # Errors
    ///
    /// If the socket cannot be set up.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            body: Vec::new(),
        })
    }

    /// Receives the next message. Returns `None` if the client has closed the connection.
    ///
    /// # Errors
    ///
    /// [`Error`]: the connection must be closed.
    pub fn receive(&mut self) -> Result<Option<Message<'_>>, Error> {
        let mut header = [0; HEADER];
        let (received, files) = self.receive_files(&mut header)?;
        if received == 0 {
            return Ok(None);
        }
        self.stream.read_exact(&mut header[received..])?;
        let header = Header::parse(&header)?;
        if files.len() > MAX_FILES {
            return Err(Error::Files(files.len()));
        }
        self.body.resize(header.body, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(Some(Message {
            header,
            body: &self.body,
            files,
        }))
    }

    /// Receives the first bytes of a message with its files. Returns their number.
    fn receive_files(&self, bytes: &mut [u8]) -> io::Result<(usize, Vec<File>)> {
        let mut room = nix::cmsg_space!([i32; KERNEL_MAX_FILES]);
        let mut parts = [IoSliceMut::new(bytes)];
        let received = loop {
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(self.stream.as_raw_fd(), &mut parts, Some(&mut room), flags) {
                Err(Errno::EINTR) => {}
                received => break received?,
            }
        };
        let mut files = Vec::new();
        for message in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(descriptors) = message {
                files.extend(descriptors.into_iter().map(|descriptor| {
                    // SAFETY: The kernel has just opened the descriptor for this message, so
                    // nobody else owns it.
                    File::from(unsafe { OwnedFd::from_raw_fd(descriptor) })
                }));
            }
        }
        Ok((received.bytes, files))
    }

    /// Sends `message`, with `file` if given.
    ///
    /// # Errors
    ///
    /// If the socket fails, or has no room for too long.
    pub fn send(&mut self, message: &[u8], file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut sent = 0;
        if let Some(file) = file {
            let files = [file.as_raw_fd()];
            sent = sendmsg::<()>(
                self.stream.as_raw_fd(),
                &[IoSlice::new(message)],
                &[ControlMessage::ScmRights(&files)],
                MsgFlags::MSG_NOSIGNAL,
                None,
            )?;
        }
        self.stream
            .write_all(&message[sent..])
            .map_err(|error| match error.kind() {
                ErrorKind::WouldBlock => {
                    io::Error::new(ErrorKind::TimedOut, "answers are not read")
                }
                _ => error,
            })
    }
}
