// SPDX-License-Identifier: GPL-2.0

//! Frames that XDP programs transmit or redirect.

use crate::{
    bindings,
    net::skb::Frag, //
};
use core::{
    mem::ManuallyDrop,
    ptr::NonNull,
    slice, //
};

/// A frame to transmit (`struct xdp_frame`), in memory of any kind.
///
/// Dropping it returns the memory to its owner. Must be dropped in softirq context, or in process
/// context with interrupts enabled.
///
/// # Invariants
///
/// A valid `xdp_frame` that this value owns.
pub struct XdpFrame(NonNull<bindings::xdp_frame>);

// SAFETY: An owned frame may be returned on any CPU.
unsafe impl Send for XdpFrame {}

impl XdpFrame {
    /// # Safety
    ///
    /// `raw` must be a valid frame, and its ownership is handed over.
    #[inline]
    pub(in crate::net) unsafe fn from_raw(raw: NonNull<bindings::xdp_frame>) -> Self {
        // INVARIANT: The caller promises it.
        Self(raw)
    }

    /// Gives up ownership.
    #[inline]
    pub(in crate::net) fn into_raw(self) -> NonNull<bindings::xdp_frame> {
        ManuallyDrop::new(self).0
    }

    /// Length in bytes.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::xdp_get_frame_len(self.0.as_ptr()) }
    }

    /// The linear part.
    #[inline]
    pub fn linear(&self) -> &[u8] {
        // SAFETY: By the type invariant; `data` points to `len` initialised bytes.
        unsafe {
            let frame = self.0.as_ref();
            slice::from_raw_parts(frame.data.cast(), frame.len as usize)
        }
    }

    /// The fragments that follow it.
    #[inline]
    pub fn frags(&self) -> &[Frag] {
        // SAFETY: By the type invariant; the first `nr_frags` entries are valid. `Frag` is
        // transparent over them.
        unsafe {
            match bindings::xdp_frame_frags(self.0.as_ptr()).as_ref() {
                Some(shared) => {
                    slice::from_raw_parts(shared.frags.as_ptr().cast(), shared.nr_frags.into())
                }
                None => &[],
            }
        }
    }
}

impl Drop for XdpFrame {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the ownership ends here.
        unsafe { bindings::xdp_return_frame(self.0.as_ptr()) }
    }
}
