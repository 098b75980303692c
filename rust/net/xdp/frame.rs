// SPDX-License-Identifier: GPL-2.0

//! Frames that programs send.

use crate::{
    bindings,
    net::skb::Frag, //
};
use core::{
    mem::ManuallyDrop,
    ptr::NonNull,
    slice, //
};

/// A frame that a program sends through a device, of whatever memory.
///
/// # Invariants
///
/// A valid `xdp_frame`, owned. Dropping gives it back to where its memory is from; in softirq
/// context, or process context with bottom halves on.
pub struct Frame(NonNull<bindings::xdp_frame>);

// SAFETY: An owned frame may be given back on any processor.
unsafe impl Send for Frame {}

impl Frame {
    /// # Safety
    ///
    /// `raw` is a valid frame that nobody else owns.
    #[inline]
    pub(in crate::net) unsafe fn from_raw(raw: NonNull<bindings::xdp_frame>) -> Self {
        // INVARIANT: The caller promises it.
        Self(raw)
    }

    /// Gives the ownership away.
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

    /// The pieces behind it.
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

impl Drop for Frame {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the ownership ends here.
        unsafe { bindings::xdp_return_frame(self.0.as_ptr()) }
    }
}
