// SPDX-License-Identifier: GPL-2.0

//! References to this module.
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h)

use crate::bindings;
use kernel::sync::atomic::{
    AtomicFlag,
    Full, //
};

/// A reference to this module that may be taken: `rmmod` fails meanwhile.
///
/// The code that drops it still has to execute. So it must be code that unloading waits for.
pub struct ModulePin(AtomicFlag);

impl ModulePin {
    /// Creates a pin without a reference.
    pub const fn new() -> Self {
        Self(AtomicFlag::new(false))
    }

    /// Takes the reference, if it is not taken. Any context.
    pub fn set(&self) {
        if !self.0.xchg(true, Full) {
            // SAFETY: No preconditions.
            unsafe { bindings::module_get() }
        }
    }

    /// Drops the reference, if it is taken. Any context.
    pub fn clear(&self) {
        if self.0.xchg(false, Full) {
            // SAFETY: The reference was taken by `set`.
            unsafe { bindings::module_put() }
        }
    }
}

impl Default for ModulePin {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ModulePin {
    fn drop(&mut self) {
        self.clear();
    }
}
