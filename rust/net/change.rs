// SPDX-License-Identifier: GPL-2.0

//! Notice of changes that may concern connections: of addresses, neighbours, redirects and this
//! module's settings.
//!
//! C headers: [`include/net/netevent.h`](srctree/include/net/netevent.h),
//! [`include/linux/inetdevice.h`](srctree/include/linux/inetdevice.h)

use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// Who is told.
pub trait Watcher: 'static {
    /// Something has changed. From any context but hard interrupts; must not sleep.
    fn changed();
}

/// `W` is told, until this is dropped. There is one at a time.
pub struct Registration<W: Watcher>(PhantomData<W>);

impl<W: Watcher> Registration<W> {
    /// Begins it.
    pub fn new() -> Result<Self> {
        // SAFETY: The callback has no preconditions, and stays with the module.
        to_result(unsafe { bindings::watch_register(Some(Self::changed)) })?;
        Ok(Self(PhantomData))
    }

    extern "C" fn changed() {
        W::changed();
    }
}

impl<W: Watcher> Drop for Registration<W> {
    fn drop(&mut self) {
        // SAFETY: It was registered; waits for notices under way.
        unsafe { bindings::watch_unregister() }
    }
}
