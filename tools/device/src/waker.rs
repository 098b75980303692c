// SPDX-License-Identifier: GPL-2.0

//! Wakes a worker thread if it sleeps.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::atomic::fence;

use nix::sys::eventfd::EfdFlags;
use nix::sys::eventfd::EventFd;

/// Wakes one worker.
///
/// A thread with work for the worker makes it visible, then calls [`Self::notify`]. The worker
/// calls [`Self::prepare`], checks for work once more, and only then sleeps on the descriptor. The
/// full barriers in both functions ensure that at least one thread sees the other's store.
pub struct Waker {
    event: EventFd,
    sleeping: AtomicBool,
}

impl Waker {
    /// Creates a waker for a worker that is awake.
    ///
    /// # Errors
    ///
    /// If the eventfd cannot be created.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self {
            event: EventFd::from_flags(flags)?,
            sleeping: AtomicBool::new(false),
        })
    }

    /// Wakes the worker if it sleeps or is about to sleep.
    pub fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel) {
            // Fails only if the count would overflow. The worker is woken then.
            let _ = self.event.write(1);
        }
    }

    /// Announces that the worker is about to sleep.
    pub fn prepare(&self) {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The worker is awake again. `raised` tells whether its descriptor was readable.
    pub fn finish(&self, raised: bool) {
        self.sleeping.store(false, Ordering::Relaxed);
        if raised {
            let _ = self.event.read();
        }
    }

    /// Descriptor to sleep on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
