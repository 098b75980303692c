// SPDX-License-Identifier: GPL-2.0

//! Synchronous requests through an io_uring.

use anyhow::Context;
use anyhow::Result;
use io_uring::IoUring;
use io_uring::opcode;
use io_uring::squeue::Entry;
use io_uring::types::Fd;
use nix::errno::Errno;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

/// An io_uring.
pub struct Uring(IoUring);

impl Uring {
    /// Creates a ring.
    pub fn new() -> Result<Self> {
        Ok(Self(IoUring::new(4).context("io_uring is not available")?))
    }

    /// Sends; blocks while there is no room.
    pub fn send(&mut self, fd: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<usize> {
        let fd = Fd(fd.as_raw_fd());
        self.run(opcode::Send::new(fd, bytes.as_ptr(), bytes.len() as u32).build())
    }

    /// Receives; blocks while there is no data.
    pub fn receive(&mut self, fd: BorrowedFd<'_>, bytes: &mut [u8]) -> nix::Result<usize> {
        let fd = Fd(fd.as_raw_fd());
        self.run(opcode::Recv::new(fd, bytes.as_mut_ptr(), bytes.len() as u32).build())
    }

    /// Executes one request. The caller's borrows last until it returns.
    fn run(&mut self, entry: Entry) -> nix::Result<usize> {
        let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
        // SAFETY: The request refers to one buffer, which the caller borrows until this function
        // returns, and it returns only after the request has completed.
        unsafe { self.0.submission().push(&entry) }.map_err(|_| Errno::EBUSY)?;
        loop {
            match self.0.submit_and_wait(1) {
                Ok(_) => (),
                Err(error) if error.raw_os_error() == Some(nix::libc::EINTR) => (),
                // The request may be in flight with a buffer that is about to be freed.
                Err(error) => {
                    eprintln!("toe-stream: io_uring_enter: {}", errno(error));
                    std::process::abort();
                }
            }
            if let Some(completion) = self.0.completion().next() {
                return Errno::result(completion.result()).map_or_else(
                    |_| Err(Errno::from_raw(-completion.result())),
                    |length| Ok(length as usize),
                );
            }
        }
    }
}
