// SPDX-License-Identifier: GPL-2.0

//! Waking a worker that sleeps, and only one that sleeps.

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
/// Whoever has work for the worker makes it visible, then calls [`Self::notify`]; the worker calls
/// [`Self::prepare`], looks for work once more, and only then sleeps on the descriptor. The full
/// barriers in both see to it that one of them sees the other.
pub struct Waker {
    event: EventFd,
    sleeping: AtomicBool,
}

impl Waker {
    /// A waker of a worker that is awake.
    ///
    /// # Errors
    ///
    /// When no event descriptor can be had.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self {
            event: EventFd::from_flags(flags)?,
            sleeping: AtomicBool::new(false),
        })
    }

    /// Wakes the worker if it sleeps or is about to.
    pub fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel) {
            // It refuses only when its count would overflow: the worker is woken then.
            let _ = self.event.write(1);
        }
    }

    /// Announces that the worker is about to sleep.
    pub fn prepare(&self) {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The worker is awake again; `raised` is whether its descriptor was readable.
    pub fn finish(&self, raised: bool) {
        self.sleeping.store(false, Ordering::Relaxed);
        if raised {
            let _ = self.event.read();
        }
    }

    /// The descriptor to sleep on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
