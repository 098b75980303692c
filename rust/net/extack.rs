// SPDX-License-Identifier: GPL-2.0

//! Error messages for netlink requests.
//!
//! C header: [`include/linux/netlink.h`](srctree/include/linux/netlink.h)

use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    str::CStr, //
};

/// The extended acknowledgement of a netlink request (`struct netlink_ext_ack`).
///
/// # Invariants
///
/// The pointer is null when the caller takes no message, else valid for `'a`.
pub struct Extack<'a>(*mut bindings::netlink_ext_ack, PhantomData<&'a mut ()>);

impl Extack<'_> {
    /// # Safety
    ///
    /// `raw` must be null, or valid for the lifetime of the result.
    pub(in crate::net) unsafe fn from_raw(raw: *mut bindings::netlink_ext_ack) -> Self {
        // INVARIANT: The caller promises it.
        Self(raw, PhantomData)
    }

    /// Sets the message (`NL_SET_ERR_MSG`). A later message replaces an earlier one.
    pub fn set(&mut self, message: &'static CStr) {
        if !self.0.is_null() {
            // SAFETY: By the type invariant.
            unsafe { (*self.0)._msg = message.as_char_ptr() };
        }
    }
}
