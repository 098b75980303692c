// SPDX-License-Identifier: GPL-2.0

//! Error messages for netlink requests.
//!
//! C header: [`include/linux/netlink.h`](srctree/include/linux/netlink.h)

use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    fmt::{
        self,
        Write, //
    },
    prelude::*,
    str::{
        CStr,
        NullTerminatedFormatter, //
    }, //
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

    /// Formats the message (`NL_SET_ERR_MSG_FMT`), cut off at the length that fits. A later message
    /// replaces an earlier one.
    pub fn set_fmt(&mut self, args: fmt::Arguments<'_>) {
        if self.0.is_null() {
            return;
        }
        // SAFETY: By the type invariant. CAST: both are bytes.
        let buffer = unsafe {
            let buffer = &raw mut (*self.0)._msg_buf;
            &mut *buffer.cast::<[u8; bindings::NETLINK_MAX_FMTMSG_LEN as usize]>()
        };
        if let Some(mut formatter) = NullTerminatedFormatter::new(buffer) {
            // An error says that the message was cut off.
            let _ = formatter.write_fmt(args);
        }
        // SAFETY: By the type invariant; the buffer is part of the structure.
        unsafe { (*self.0)._msg = (&raw const (*self.0)._msg_buf).cast() };
    }

    /// Sets the message (`NL_SET_ERR_MSG`). A later message replaces an earlier one.
    pub fn set(&mut self, message: &'static CStr) {
        if !self.0.is_null() {
            // SAFETY: By the type invariant.
            unsafe { (*self.0)._msg = message.as_char_ptr() };
        }
    }
}
