// SPDX-License-Identifier: GPL-2.0

//! The settings under `net.toe`, in each network namespace.

use super::sock::WeakSock;
use crate::bindings;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// The settings, registered in every namespace, those to come included.
pub struct Registration(());

impl Registration {
    /// Registers them.
    pub fn new() -> Result<Self> {
        // SAFETY: No preconditions.
        to_result(unsafe { bindings::sysctl_register() })?;
        Ok(Self(()))
    }

    /// `net.toe.enable` where the socket lives: 0 to 2.
    #[inline]
    pub fn enable(sock: &WeakSock) -> Enable {
        // SAFETY: The namespace is valid.
        match unsafe { bindings::sysctl_enable(sock.namespace().as_raw()) } {
            0 => Enable::Off,
            1 => Enable::Asked,
            _ => Enable::Automatic,
        }
    }

    /// `net.toe.min_bytes` where the socket lives.
    #[inline]
    pub fn min_bytes(sock: &WeakSock) -> u64 {
        // SAFETY: As above.
        unsafe { bindings::sysctl_min_bytes(sock.namespace().as_raw()) as u64 }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: It was registered.
        unsafe { bindings::sysctl_unregister() }
    }
}

/// What `net.toe.enable` allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Enable {
    /// Nothing is delegated.
    Off,
    /// A connection whose application asks for it.
    Asked,
    /// What the policy selects, too.
    Automatic,
}
