// SPDX-License-Identifier: GPL-2.0

//! Calls of the socket layer into the module, which may sleep, and the wait for them at unloading.

use crate::bindings;
use kernel::{
    prelude::*,
    sync::atomic::{
        ordering,
        AtomicFlag, //
    }, //
};

/// The module is being unloaded.
static LEAVING: AtomicFlag = AtomicFlag::new(false);

/// Whether the module is being unloaded, so that calls that can take long have to return.
#[inline]
pub fn is_leaving() -> bool {
    LEAVING.load(ordering::Relaxed)
}

/// Sets [`is_leaving`].
pub(super) fn start_leaving() {
    LEAVING.store(true, ordering::Relaxed);
}

/// Waits until all calls have returned. No socket has a pointer into the module any longer. Process
/// context; sleeps.
pub(super) fn drain() {
    // SAFETY: Process context.
    unsafe { bindings::calls_drain() }
}

/// Lets tasks get on that have called Linux's operations of a socket just before it got those of a shadow.
/// They wait for the socket's lock soon after, unless they are preempted. Process context; sleeps.
pub fn advance() {
    // SAFETY: Process context.
    unsafe { bindings::calls_advance() }
}

/// A call that is in progress. The module's code stays until the value is dropped.
///
/// # Invariants
///
/// The value is what `calls_enter` returned.
pub(super) struct Call(c_int);

impl Call {
    /// Starts a call.
    #[inline]
    pub(super) fn enter() -> Self {
        // INVARIANT: By definition.
        // SAFETY: No preconditions.
        Self(unsafe { bindings::calls_enter() })
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type's invariant.
        unsafe { bindings::calls_leave(self.0) }
    }
}
