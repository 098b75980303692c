// SPDX-License-Identifier: GPL-2.0

//! One request at a time through an io_uring.

use anyhow::Context;
use anyhow::Result;
use io_uring::IoUring;
use io_uring::opcode;
use io_uring::squeue::Entry;
use io_uring::types::Fd;
use nix::errno::Errno;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

/// A ring.
pub struct Uring(IoUring);

impl Uring {
    /// Sets a ring up.
    pub fn new() -> Result<Self> {
        Ok(Self(IoUring::new(4).context("io_uring is not available")?))
    }

    /// Sends, waiting for room.
    pub fn send(&mut self, fd: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<usize> {
        let fd = Fd(fd.as_raw_fd());
        self.run(opcode::Send::new(fd, bytes.as_ptr(), bytes.len() as u32).build())
    }

    /// Receives, waiting for data.
    pub fn receive(&mut self, fd: BorrowedFd<'_>, bytes: &mut [u8]) -> nix::Result<usize> {
        let fd = Fd(fd.as_raw_fd());
        self.run(opcode::Recv::new(fd, bytes.as_mut_ptr(), bytes.len() as u32).build())
    }

    /// Carries one request out. The callers' borrows last as long as this call.
    fn run(&mut self, entry: Entry) -> nix::Result<usize> {
        let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
        // SAFETY: The request names one buffer, which the caller borrows until this function
        // returns; and it returns only when the request has completed.
        unsafe { self.0.submission().push(&entry) }.map_err(|_| Errno::EBUSY)?;
        loop {
            match self.0.submit_and_wait(1) {
                Ok(_) => (),
                Err(error) if error.raw_os_error() == Some(nix::libc::EINTR) => (),
                // The request may be under way, with a buffer that is about to go.
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
