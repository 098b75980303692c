// SPDX-License-Identifier: GPL-2.0

//! Neighbours: next hops with their hardware addresses.
//!
//! C header: [`include/net/neighbour.h`](srctree/include/net/neighbour.h)

use crate::bindings;
use core::ptr::NonNull;

/// A reference to a neighbour (`struct neighbour`). The neighbour table does not evict it meanwhile.
///
/// It must be dropped before the interface is unregistered, which waits for that.
///
/// # Invariants
///
/// The pointer is a valid neighbour, with a reference that the value owns.
pub struct Neighbour(NonNull<bindings::neighbour>);

// SAFETY: A neighbour is not bound to a thread.
unsafe impl Send for Neighbour {}
// SAFETY: All operations on `&Neighbour` can run at the same time.
unsafe impl Sync for Neighbour {}

impl Neighbour {
    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// `ptr` must be a valid neighbour, and the caller must hand over a reference.
    pub(crate) unsafe fn from_raw(ptr: NonNull<bindings::neighbour>) -> Self {
        // INVARIANT: The caller promises it.
        Self(ptr)
    }

    /// Returns the pointer, which stays owned by `self`.
    pub(crate) fn as_raw(&self) -> *mut bindings::neighbour {
        self.0.as_ptr()
    }

    /// Returns the Ethernet address, if it is known. Any context but hard interrupts.
    pub fn address(&self) -> Option<[u8; 6]> {
        let mut address = [0; 6];
        // SAFETY: By the type invariant; an Ethernet address has six bytes.
        unsafe { bindings::neigh_address(self.as_raw(), address.as_mut_ptr()) }.then_some(address)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the reference ends here.
        unsafe { bindings::neigh_release(self.as_raw()) }
    }
}
