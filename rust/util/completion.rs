// SPDX-License-Identifier: GPL-2.0

//! Completions that can be waited for with a timeout.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)

use crate::bindings;
use kernel::{
    prelude::*,
    time::Jiffies,
    types::Opaque, //
};

/// A completion (`struct completion`).
///
/// [`kernel::sync::Completion`] has no wait with a timeout and does not give out its C structure, so
/// this is a type of its own with the same interface.
///
/// # Examples
///
/// ```
/// let done = KBox::pin_init(Completion::new(), GFP_KERNEL)?;
/// assert!(!done.wait_for_completion_timeout(msecs_to_jiffies(10)));
///
/// assert!(!done.is_complete());
/// done.complete_all();
/// assert!(done.is_complete());
/// assert!(done.wait_for_completion_timeout(msecs_to_jiffies(10)));
/// # Ok::<(), Error>(())
/// ```
#[pin_data]
pub struct Completion {
    #[pin]
    inner: Opaque<bindings::completion>,
}

// SAFETY: A completion does its own synchronisation and is not bound to a thread.
unsafe impl Send for Completion {}
// SAFETY: As above.
unsafe impl Sync for Completion {}

impl Completion {
    /// Creates an initialiser for a completion that is not complete.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                // SAFETY: `slot` is valid for writes.
                unsafe { bindings::init_completion(slot) };
            }),
        })
    }

    /// Completes it for all current and future waiters. Callable from any context.
    #[inline]
    pub fn complete_all(&self) {
        // SAFETY: The completion is initialised and pinned.
        unsafe { bindings::complete_all(self.inner.get()) }
    }

    /// Returns whether it is complete. Callable from any context.
    pub fn is_complete(&self) -> bool {
        // SAFETY: The completion is initialised and pinned.
        unsafe { bindings::completion_done(self.inner.get()) }
    }

    /// Waits until it is complete. Sleeps uninterruptibly.
    pub fn wait_for_completion(&self) {
        // SAFETY: The completion is initialised and pinned.
        unsafe { bindings::wait_for_completion(self.inner.get()) }
    }

    /// Waits until it is complete, but no longer than `timeout`. Returns whether it is complete.
    /// Sleeps uninterruptibly.
    pub fn wait_for_completion_timeout(&self, timeout: Jiffies) -> bool {
        // SAFETY: The completion is initialised and pinned.
        unsafe { bindings::wait_for_completion_timeout(self.inner.get(), timeout) != 0 }
    }
}
