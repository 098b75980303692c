// SPDX-License-Identifier: GPL-2.0

//! A coarse clock.
//!
//! C header: [`include/linux/jiffies.h`](srctree/include/linux/jiffies.h)

use crate::bindings;

/// The time in milliseconds, with the resolution of a jiffy. Reading it costs one load; it wraps, so
/// only differences have a meaning.
#[inline]
pub fn jiffies_msecs() -> u32 {
    // SAFETY: `jiffies` is always valid; C reads it as volatile without a lock as well.
    unsafe { bindings::jiffies_to_msecs(core::ptr::read_volatile(&raw const bindings::jiffies)) }
}
