// SPDX-License-Identifier: GPL-2.0

//! Interrupts of a function: eventfds that belong to its client.
//!
//! A client shares an eventfd's file with the adapter. It can fill the counter and clear O_NONBLOCK
//! at any time, and write(2) would then wait for ever. The kernel's own signal never waits: the
//! counter saturates. The way to it is an eventfd named in a request for asynchronous I/O
//! (IOCB_FLAG_RESFD), which is signalled on completion. The request here reads nothing from
//! /dev/null and completes at once.

use std::fs;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::ptr;

/// Completions that may lie unread in the kernel.
const DEPTH: usize = 128;

/// A request for asynchronous I/O (`struct iocb` of `linux/aio_abi.h`, little-endian).
#[repr(C)]
#[derive(Default)]
struct Request {
    data: u64,
    key: u32,
    rw_flags: i32,
    opcode: u16,
    priority: i16,
    file: u32,
    buffer: u64,
    length: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    eventfd: u32,
}

/// A completion (`struct io_event`).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Completion {
    data: u64,
    object: u64,
    results: [i64; 2],
}

/// IOCB_CMD_PREAD.
const READ: u16 = 0;
/// IOCB_FLAG_RESFD.
const SIGNAL: u32 = 1;

/// An eventfd of a client.
#[derive(Debug)]
pub struct Event(File);

impl Event {
    /// Takes `file`.
    ///
    /// # Errors
    ///
    /// If it is not an eventfd.
    pub fn new(file: File) -> io::Result<Self> {
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        if fs::read_link(link)?.as_os_str() == "anon_inode:[eventfd]" {
            Ok(Self(file))
        } else {
            Err(io::Error::new(ErrorKind::InvalidInput, "not an eventfd"))
        }
    }
}

/// Signals eventfds without waiting.
#[derive(Debug)]
pub struct Signaller {
    context: libc::c_ulong,
    null: File,
}

impl Signaller {
    /// Creates a signaller.
    ///
    /// # Errors
    ///
    /// If the kernel has no asynchronous I/O (CONFIG_AIO), or none left (`fs.aio-max-nr`).
    pub fn new() -> io::Result<Self> {
        let null = File::open("/dev/null")?;
        let mut context: libc::c_ulong = 0;
        // SAFETY: The kernel writes the number of the context to `context`, which is 0 as it must.
        let status = unsafe { libc::syscall(libc::SYS_io_setup, DEPTH, &raw mut context) };
        if status < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { context, null })
    }

    /// Signals `event`.
    pub fn signal(&self, event: &Event) {
        let mut request = Request {
            opcode: READ,
            file: self.null.as_raw_fd() as u32,
            flags: SIGNAL,
            eventfd: event.0.as_raw_fd() as u32,
            ..Request::default()
        };
        let requests = [&raw mut request];
        // Refused while there is no room for the completion.
        // SAFETY: `requests` holds one pointer to a request that reads no bytes, so the kernel
        // writes no memory but the request's `key`, and that is `request` itself.
        while unsafe { libc::syscall(libc::SYS_io_submit, self.context, 1, requests.as_ptr()) } < 0
            && io::Error::last_os_error().kind() == ErrorKind::WouldBlock
        {
            self.clear();
        }
    }

    /// Drops completions.
    fn clear(&self) {
        let mut completions = [Completion::default(); DEPTH];
        // SAFETY: The kernel writes at most `DEPTH` completions to `completions`, and does not
        // wait for any.
        unsafe {
            libc::syscall(
                libc::SYS_io_getevents,
                self.context,
                0,
                DEPTH,
                completions.as_mut_ptr(),
                ptr::null::<libc::timespec>(),
            )
        };
    }
}

impl Drop for Signaller {
    fn drop(&mut self) {
        // SAFETY: The context is this signaller's. No request is in flight: all complete at once.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.context) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use nix::sys::eventfd::EfdFlags;
    use nix::sys::eventfd::EventFd;

    use super::*;

    /// An eventfd that blocks, as the client and the adapter see it.
    fn event() -> (EventFd, Event) {
        let client = EventFd::from_value_and_flags(0, EfdFlags::empty()).expect("an eventfd");
        let copy = nix::unistd::dup(&client).expect("a descriptor");
        (client, Event::new(File::from(copy)).expect("an eventfd"))
    }

    #[test]
    fn every_signal_counts() {
        let signaller = Signaller::new().expect("asynchronous I/O");
        let (client, event) = event();
        for count in [1, 2, 10_000] {
            for _ in 0..count {
                signaller.signal(&event);
            }
            assert_eq!(client.read().expect("signalled"), count);
        }
    }

    #[test]
    fn a_full_counter_does_not_block() {
        let signaller = Signaller::new().expect("asynchronous I/O");
        let (client, event) = event();
        client.write(u64::MAX - 1).expect("room");
        for _ in 0..1000 {
            signaller.signal(&event);
        }
        assert_eq!(client.read().expect("signalled"), u64::MAX);
    }

    #[test]
    fn other_files_are_no_events() {
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        let null = OwnedFd::from(File::open("/dev/null").expect("a device"));
        for file in [reader, writer, null] {
            assert!(Event::new(File::from(file)).is_err());
        }
    }
}
