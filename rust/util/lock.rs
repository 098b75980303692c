// SPDX-License-Identifier: GPL-2.0

//! Spinlocks for data shared between softirq and process context.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h)

use crate::bindings;
use kernel::sync::lock::{
    Backend,
    Lock, //
};

/// A spinlock that is taken with bottom halves disabled (`spin_lock_bh`).
///
/// It may be taken in process and softirq context with interrupts enabled, never in hard interrupt
/// context. Create one with [`new_bh_spinlock!`].
///
/// # Examples
///
/// ```
/// struct Inner {
///     frames: u64,
/// }
///
/// #[pin_data]
/// struct Stats {
///     #[pin]
///     inner: BhSpinLock<Inner>,
/// }
///
/// let stats = KBox::pin_init(
///     pin_init!(Stats {
///         inner <- new_bh_spinlock!(Inner { frames: 0 }),
///     }),
///     GFP_KERNEL,
/// )?;
/// stats.inner.lock().frames += 1;
/// assert_eq!(stats.inner.lock().frames, 1);
/// # Ok::<(), Error>(())
/// ```
pub type BhSpinLock<T> = Lock<T, BhSpinLockBackend>;

/// [`Backend`] of a `spinlock_t` taken with `spin_lock_bh`.
pub struct BhSpinLockBackend;

// SAFETY: `spinlock_t` ensures mutual exclusion. `relock` is the default that calls `lock`.
unsafe impl Backend for BhSpinLockBackend {
    type State = bindings::spinlock_t;
    type GuardState = ();

    #[inline]
    unsafe fn init(
        ptr: *mut Self::State,
        name: *const kernel::ffi::c_char,
        key: *mut kernel::bindings::lock_class_key,
    ) {
        // SAFETY: `ptr` is valid for writes, `name` and `key` stay valid, as the caller promises.
        // CAST: both bindings describe the same `struct lock_class_key`.
        unsafe { bindings::spin_lock_init(ptr, name, key.cast()) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: The caller promises that `ptr` was initialised.
        unsafe { bindings::spin_lock_bh(ptr) }
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        // SAFETY: The caller promises that `ptr` was initialised.
        (unsafe { bindings::spin_trylock_bh(ptr) } != 0).then_some(())
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, _state: &Self::GuardState) {
        // SAFETY: The caller owns the lock.
        unsafe { bindings::spin_unlock_bh(ptr) }
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: The caller promises that `ptr` was initialised.
        unsafe { bindings::spin_assert_is_held(ptr) }
    }
}

/// Creates an initialiser for a [`BhSpinLock`] with a new lock class.
macro_rules! new_bh_spinlock {
    ($inner:expr $(,)?) => {
        $crate::util::lock::BhSpinLock::new(
            $inner,
            kernel::optional_name!(),
            kernel::static_lock_class!(),
        )
    };
}
pub(crate) use new_bh_spinlock;

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(toe_util_lock)]
mod tests {
    use super::*;
    use kernel::prelude::*;

    #[test]
    fn excludes_and_releases() -> Result {
        let lock = KBox::pin_init(new_bh_spinlock!(1u32), GFP_KERNEL)?;
        *lock.lock() += 1;
        {
            let mut guard = lock.lock();
            assert!(lock.try_lock().is_none());
            *guard += 1;
        }
        assert_eq!(*lock.lock(), 3);
        Ok(())
    }
}
