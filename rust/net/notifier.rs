// SPDX-License-Identifier: GPL-2.0

//! Notifications of changes that may concern established connections: addresses, neighbours,
//! redirects, path MTUs, and this module's own settings.
//!
//! C headers: [`include/net/netevent.h`](srctree/include/net/netevent.h),
//! [`include/linux/inetdevice.h`](srctree/include/linux/inetdevice.h),
//! [`include/net/addrconf.h`](srctree/include/net/addrconf.h)

use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// A receiver of notifications.
pub trait Notifier: 'static {
    /// Something has changed. Called from any context but hard interrupts; must not sleep.
    fn changed();
}

/// The registration of `N` for all notifications. There is one at a time in the module.
///
/// The core has pointers to code and statics of the module only, which are valid while the module is
/// loaded. The exit function drops the `InPlaceModule` type, which holds the value, before the module is
/// unloaded. The module must not forget the value, as it must not forget a
/// [`kernel::driver::Registration`].
pub struct Registration<N: Notifier>(PhantomData<N>);

impl<N: Notifier> Registration<N> {
    /// Registers `N`.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] when a notifier is registered already.
    pub fn new() -> Result<Self> {
        // SAFETY: The callback has no preconditions.
        to_result(unsafe { bindings::notifier_register(Some(Self::callback)) })?;
        Ok(Self(PhantomData))
    }

    extern "C" fn callback() {
        N::changed();
    }
}

impl<N: Notifier> Drop for Registration<N> {
    fn drop(&mut self) {
        // SAFETY: The notifier was registered by `new`. Waits for running calls.
        unsafe { bindings::notifier_unregister() }
    }
}
