// SPDX-License-Identifier: GPL-2.0

//! The sysctls `net.toe.*` of each network namespace.

use super::sock::WeakSock;
use crate::bindings;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// The registration of the sysctls, in every network namespace. There is one at a time.
///
/// The core has pointers to code and statics of the module only. The module must not forget the value,
/// for the reason given at [`shadow::Registration`](super::shadow::Registration).
pub struct Registration(());

impl Registration {
    /// Registers the sysctls.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] when they are registered already, [`ENOMEM`].
    pub fn new() -> Result<Self> {
        // SAFETY: No preconditions.
        to_result(unsafe { bindings::sysctl_register() })?;
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: The sysctls were registered by `new`.
        unsafe { bindings::sysctl_unregister() }
    }
}

/// Values of `net.toe.enable`: which connections are delegated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// None.
    Off,
    /// Those whose application asks for it.
    OnRequest,
    /// Those that the policy selects as well.
    Automatic,
}

/// `net.toe.enable` in the namespace of `sock`; [`Mode::Off`] while not registered.
#[inline]
pub fn mode(sock: &WeakSock) -> Mode {
    // SAFETY: The namespace is valid.
    match unsafe { bindings::sysctl_enable(sock.namespace().as_raw()) } {
        0 => Mode::Off,
        1 => Mode::OnRequest,
        _ => Mode::Automatic,
    }
}

/// `net.toe.max_user_connections` in the namespace of `sock`; 0, for no limit, while not registered.
pub fn max_user_connections(sock: &WeakSock) -> u32 {
    // SAFETY: As above.
    unsafe { bindings::sysctl_max_user_connections(sock.namespace().as_raw()) }
}

/// `net.toe.min_bytes` in the namespace of `sock`; 0 while not registered.
#[inline]
pub fn min_bytes(sock: &WeakSock) -> u64 {
    // SAFETY: As above.
    unsafe { bindings::sysctl_min_bytes(sock.namespace().as_raw()) as u64 }
}
