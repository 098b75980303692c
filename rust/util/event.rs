// SPDX-License-Identifier: GPL-2.0

//! Something that happens once, to wait for.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)

use crate::bindings;
use kernel::{
    prelude::*,
    types::Opaque, //
};
use pin_init::pin_init_from_closure;

/// A `struct completion`. Unlike the kernel crate's, it can be waited for with a limit.
pub struct Event(Opaque<bindings::completion>);

// SAFETY: A completion does its own synchronisation.
unsafe impl Send for Event {}
// SAFETY: As above.
unsafe impl Sync for Event {}

impl Event {
    /// An event that has not happened.
    pub fn new() -> impl PinInit<Self> {
        // SAFETY: The slot is valid for writes, and pinned; `init_completion` initialises it.
        unsafe {
            pin_init_from_closure(|slot: *mut Self| {
                bindings::init_completion(Opaque::cast_into(&raw const (*slot).0));
                Ok::<(), core::convert::Infallible>(())
            })
        }
    }

    /// It happens. From any context.
    #[inline]
    pub fn happen(&self) {
        // SAFETY: It is initialised and pinned.
        unsafe { bindings::complete_all(self.0.get()) }
    }

    /// Waits at most `msecs` milliseconds for it. Returns whether it has happened.
    pub fn wait(&self, msecs: u32) -> bool {
        // SAFETY: It is initialised and pinned.
        unsafe { bindings::wait_for_completion_msecs(self.0.get(), msecs) }
    }
}

/// A clock of milliseconds that wraps (`jiffies`).
#[inline]
pub fn ticks() -> u32 {
    // SAFETY: No preconditions.
    unsafe { bindings::ticks() }
}
