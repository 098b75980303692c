// SPDX-License-Identifier: GPL-2.0

//! Statics whose value is published for a time.

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

/// A place for an `Arc<T>` that readers in any context look up without a lock. For a `static`.
///
/// The reader side is RCU: [`Self::retract`] waits for a grace period.
///
/// # Invariants
///
/// The pointer is null, or comes from [`Arc::into_raw`] and owns that reference.
///
/// # Examples
///
/// A registry that exists as long as the module is loaded:
///
/// ```
/// #[pin_data]
/// struct Registry {
///     #[pin]
///     names: Mutex<KVec<&'static CStr>>,
/// }
///
/// static REGISTRY: Global<Registry> = Global::new();
///
/// let registry = pin_init!(Registry {
///     names <- kernel::new_mutex!(KVec::new()),
/// });
/// REGISTRY.publish(Arc::pin_init(registry, GFP_KERNEL)?)?;
/// if let Some(registry) = REGISTRY.get() {
///     registry.names.lock().push(c"eth0", GFP_KERNEL)?;
/// }
/// assert!(REGISTRY.retract().is_some());
/// assert!(REGISTRY.get().is_none());
/// # Ok::<(), Error>(())
/// ```
pub struct Global<T: Send + Sync + 'static>(Atomic<*mut T>);

impl<T: Send + Sync + 'static> Default for Global<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Send + Sync + 'static> Global<T> {
    /// Creates an empty place.
    pub const fn new() -> Self {
        // INVARIANT: The pointer is null.
        Self(Atomic::new(ptr::null_mut()))
    }

    /// Publishes `value`.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] when a value is published already.
    pub fn publish(&self, value: Arc<T>) -> Result {
        let raw = Arc::into_raw(value).cast_mut();
        // INVARIANT: The reference moves from `raw` into the place.
        if self
            .0
            .cmpxchg(ptr::null_mut(), raw, ordering::Full)
            .is_err()
        {
            // SAFETY: The pointer was not stored, so `raw` still owns its reference.
            drop(unsafe { Arc::from_raw(raw.cast_const()) });
            return Err(EBUSY);
        }
        Ok(())
    }

    /// Returns the published value. Callable from any context.
    #[inline]
    pub fn get(&self) -> Option<Arc<T>> {
        let _guard = rcu::read_lock();
        let raw = self.0.load(ordering::Acquire);
        if raw.is_null() {
            return None;
        }
        // SAFETY: By the type invariant the place owned a reference when `raw` was loaded, and
        // `retract` waits for the RCU read-side critical section before it passes that on.
        Some(unsafe { ArcBorrow::from_raw(raw.cast_const()) }.into())
    }

    /// Empties the place and returns what was published. Once this returns, no [`Self::get`] that
    /// found the value is running. Sleeps.
    pub fn retract(&self) -> Option<Arc<T>> {
        let raw = self.0.xchg(ptr::null_mut(), ordering::Full);
        if raw.is_null() {
            return None;
        }
        rcu::synchronize_rcu();
        // SAFETY: By the type invariant `raw` owns a reference, which the place has given up.
        Some(unsafe { Arc::from_raw(raw.cast_const()) })
    }
}

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(toe_util_global)]
mod tests {
    use super::*;

    static PLACE: Global<u32> = Global::new();

    #[test]
    fn publishes_one_value_at_a_time() -> Result {
        assert!(PLACE.get().is_none());
        PLACE.publish(Arc::new(1, GFP_KERNEL)?)?;
        assert_eq!(PLACE.publish(Arc::new(2, GFP_KERNEL)?), Err(EBUSY));
        assert_eq!(PLACE.get().map(|value| *value), Some(1));
        assert_eq!(PLACE.retract().map(|value| *value), Some(1));
        assert!(PLACE.get().is_none());
        Ok(())
    }
}
