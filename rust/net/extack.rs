// SPDX-License-Identifier: GPL-2.0

//! What a netlink request is told beside its error number.
//!
//! C header: [`include/linux/netlink.h`](srctree/include/linux/netlink.h)

use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    str::CStr, //
};

/// Where somebody who wants something is told why he does not get it.
///
/// # Invariants
///
/// Null, where nobody listens, or valid for `'a`.
pub struct Extack<'a>(*mut bindings::netlink_ext_ack, PhantomData<&'a mut ()>);

impl Extack<'_> {
    /// # Safety
    ///
    /// `raw` is null, or valid as long as the result.
    pub(in crate::net) unsafe fn from_raw(raw: *mut bindings::netlink_ext_ack) -> Self {
        // INVARIANT: The caller promises it.
        Self(raw, PhantomData)
    }

    /// Says why; the last word counts.
    pub fn set(&mut self, message: &'static CStr) {
        if !self.0.is_null() {
            // SAFETY: By the type invariant. The message stays.
            unsafe { (*self.0)._msg = message.as_char_ptr() };
        }
    }
}
