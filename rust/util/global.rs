// SPDX-License-Identifier: GPL-2.0

//! Something that a whole module has one of, for a time, and that any context may look at.

use core::ptr;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering,
            Atomic, //
        },
        rcu,
        Arc,
        ArcBorrow, //
    }, //
};

/// A place for an `Arc<T>`, guarded by RCU. For a `static`.
///
/// # Invariants
///
/// The pointer is null, or one that `Arc::into_raw` gave, with the reference that went with it.
pub struct Global<T: Send + Sync + 'static>(Atomic<*mut T>);

impl<T: Send + Sync + 'static> Default for Global<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Send + Sync + 'static> Global<T> {
    /// An empty place.
    pub const fn new() -> Self {
        // INVARIANT: Null.
        Self(Atomic::new(ptr::null_mut()))
    }

    /// Puts `value` there.
    ///
    /// # Errors
    ///
    /// `EBUSY` when there is something.
    pub fn publish(&self, value: Arc<T>) -> Result {
        let raw = Arc::into_raw(value).cast_mut();
        // INVARIANT: The reference goes over.
        if self
            .0
            .cmpxchg(ptr::null_mut(), raw, ordering::Full)
            .is_err()
        {
            // SAFETY: It did not go over.
            drop(unsafe { Arc::from_raw(raw.cast_const()) });
            return Err(EBUSY);
        }
        Ok(())
    }

    /// Looks at what is there. From any context.
    #[inline]
    pub fn get(&self, _guard: &rcu::Guard) -> Option<Arc<T>> {
        let raw = self.0.load(ordering::Acquire);
        if raw.is_null() {
            return None;
        }
        // SAFETY: By the type invariant; `retract` waits for `_guard` before it gives the reference
        // away.
        Some(unsafe { ArcBorrow::from_raw(raw.cast_const()) }.into())
    }

    /// Takes out what is there, when nobody looks at it any more by [`Self::get`]. Sleeps.
    pub fn retract(&self) -> Option<Arc<T>> {
        let raw = self.0.xchg(ptr::null_mut(), ordering::Full);
        if raw.is_null() {
            return None;
        }
        rcu::synchronize_rcu();
        // SAFETY: By the type invariant the reference is ours now.
        Some(unsafe { Arc::from_raw(raw.cast_const()) })
    }
}
