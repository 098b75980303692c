// SPDX-License-Identifier: GPL-2.0

//! Work that is left to the process that owns a socket.
//!
//! A process can own a socket for ever, for example while a page fault in its `recvmsg` waits for a
//! file system that does not answer. Nobody waits for such a process. What needs the socket's lock is
//! done at once if no process owns the socket. Otherwise the process finds a [`Mark`] when it releases
//! the socket, and does it then.
//!
//! The module cannot be unloaded before. A mark that is old keeps it from being unloaded
//! ([`Marks::pin`]), so that `rmmod` fails instead of waiting.

use crate::{
    tcp::sock::{
        Locked,
        TcpSock, //
    },
    util::module::ModulePin, //
};
use kernel::sync::atomic::{
    ordering::Relaxed,
    Atomic, //
};

/// What has to be done with the socket locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Mark {
    /// The surroundings of the connection have to be checked.
    Check = 1 << 0,
    /// A user wants the connection back.
    Return = 1 << 1,
    /// The processor has stopped.
    Lost = 1 << 2,
}

/// The marks of a connection that have been found.
#[derive(Clone, Copy)]
pub(super) struct Found(u32);

impl Found {
    /// Returns whether `mark` is among them.
    pub(super) fn has(self, mark: Mark) -> bool {
        self.0 & mark as u32 != 0
    }
}

/// The marks of a connection.
///
/// They are written with the socket's spinlock held.
pub(super) struct Marks {
    bits: Atomic<u32>,
    pin: ModulePin,
}

impl Marks {
    /// Creates an empty set.
    pub(super) const fn new() -> Self {
        Self {
            bits: Atomic::new(0),
            pin: ModulePin::new(),
        }
    }

    /// Calls `now` with `sock` locked. If a process owns it, leaves `mark` to that process instead, and
    /// returns whether there was a mark already.
    pub(super) fn with(
        &self,
        sock: &TcpSock,
        mark: Mark,
        now: impl FnOnce(&mut Locked<'_>),
    ) -> bool {
        let mut spin = sock.spin();
        if let Some(mut lock) = spin.locked() {
            now(&mut lock);
            return false;
        }
        // The process takes the spinlock before it releases the socket.
        self.add(mark).0 != 0
    }

    /// Adds `mark`. Returns the marks before.
    fn add(&self, mark: Mark) -> Found {
        let mut bits = self.bits.load(Relaxed);
        loop {
            match self.bits.cmpxchg(bits, bits | mark as u32, Relaxed) {
                Ok(before) => return Found(before),
                Err(now) => bits = now,
            }
        }
    }

    /// Returns whether there is a mark.
    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.bits.load(Relaxed) != 0
    }

    /// Takes all marks out.
    pub(super) fn take(&self) -> Found {
        let found = Found(self.bits.xchg(0, Relaxed));
        self.pin.clear();
        found
    }

    /// Keeps the module from being unloaded while there is a mark. `sock` is the socket.
    pub(super) fn pin(&self, sock: &TcpSock) {
        let _spin = sock.spin();
        if self.is_any() {
            self.pin.set();
        }
    }
}
