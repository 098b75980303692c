// SPDX-License-Identifier: GPL-2.0

//! The message of a `sendmsg`.
//!
//! C header: [`include/linux/socket.h`](srctree/include/linux/socket.h)

use crate::bindings;
use core::marker::PhantomData;

/// The message of a `sendmsg` (`struct msghdr`).
///
/// # Invariants
///
/// `raw` is valid and not used otherwise for `'a`.
pub struct Message<'a> {
    raw: *mut bindings::msghdr,
    pub(super) zerocopy: bool,
    _message: PhantomData<&'a mut bindings::msghdr>,
}

impl Message<'_> {
    /// Borrows a message.
    ///
    /// # Safety
    ///
    /// `raw` must be valid, and not be used otherwise, for the lifetime of the result.
    pub(crate) unsafe fn from_raw(raw: *mut bindings::msghdr) -> Self {
        // INVARIANT: The caller promises it.
        Self {
            raw,
            zerocopy: false,
            _message: PhantomData,
        }
    }

    pub(crate) fn as_raw(&mut self) -> *mut bindings::msghdr {
        self.raw
    }

    /// Number of bytes not yet sent.
    #[inline]
    pub fn left(&self) -> usize {
        // SAFETY: The message is valid.
        unsafe { bindings::msg_data_left(self.raw) }
    }

    /// `MSG_*` flags.
    #[inline]
    pub fn flags(&self) -> u32 {
        // SAFETY: The message is valid.
        unsafe { (*self.raw).msg_flags }
    }

    /// Whether there is ancillary data.
    #[inline]
    pub fn has_control(&self) -> bool {
        // SAFETY: The message is valid.
        unsafe { (*self.raw).msg_controllen != 0 }
    }

    /// Ends [`Owned::zerocopy_start`](super::sock::Owned::zerocopy_start). `sent`: any bytes were sent.
    pub fn zerocopy_end(&mut self, sent: bool) {
        if core::mem::take(&mut self.zerocopy) {
            // SAFETY: The message is valid, and `zerocopy_start` has set up its notification.
            unsafe { bindings::msg_zerocopy_end(self.raw, sent) }
        }
    }
}
