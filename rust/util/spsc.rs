// SPDX-License-Identifier: GPL-2.0

//! Bounded lock-free queues with a single producer and a single consumer.

use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::MaybeUninit, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    }, //
};

/// The ring that both ends share.
///
/// # Invariants
///
/// - `slots` has `mask + 1` elements, a power of two.
/// - `head` and `tail` run freely, and `head - tail` is at most `mask + 1`.
/// - Exactly the slots from `tail` to `head` are initialised. They belong to the receiver, all others
///   to the sender.
/// - Only the sender writes `head`, only the receiver `tail`.
struct Shared<T> {
    slots: KVec<UnsafeCell<MaybeUninit<T>>>,
    mask: u32,
    head: Atomic<u32>,
    tail: Atomic<u32>,
}

// SAFETY: By the type invariants a slot belongs to one end at a time.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: As above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let (mut tail, head) = (self.tail.load(Relaxed), self.head.load(Relaxed));
        while tail != head {
            // SAFETY: By the type invariants the slot is initialised, and both ends are gone.
            unsafe {
                self.slots[(tail & self.mask) as usize]
                    .get_mut()
                    .assume_init_drop()
            };
            tail = tail.wrapping_add(1);
        }
    }
}

/// The producer's end.
pub struct Sender<T>(Arc<Shared<T>>);

/// The consumer's end. It gives out `&T`, so it is [`Sync`] only if `T` is.
pub struct Receiver<T>(Arc<Shared<T>>, PhantomData<T>);

/// Creates a queue for `1 << log2` values.
///
/// # Errors
///
/// [`EINVAL`] when `log2` is 32 or more, [`ENOMEM`] when there is no memory.
///
/// # Examples
///
/// ```
/// let (mut sender, mut receiver) = spsc::channel::<u32>(1)?;
///
/// assert_eq!(sender.push(1), Ok(()));
/// assert_eq!(sender.push(2), Ok(()));
/// assert_eq!(sender.push(3), Err(3));
/// assert_eq!(receiver.peek(), Some(&1));
/// assert_eq!(receiver.pop(), Some(1));
/// # Ok::<(), Error>(())
/// ```
pub fn channel<T: Send>(log2: u8) -> Result<(Sender<T>, Receiver<T>)> {
    let count = 1u32.checked_shl(log2.into()).ok_or(EINVAL)?;
    let mut slots = KVec::with_capacity(count as usize, GFP_KERNEL)?;
    for _ in 0..count {
        slots.push(UnsafeCell::new(MaybeUninit::uninit()), GFP_KERNEL)?;
    }
    // INVARIANT: The queue is empty: all slots belong to the sender.
    let shared = Arc::new(
        Shared {
            slots,
            mask: count - 1,
            head: Atomic::new(0),
            tail: Atomic::new(0),
        },
        GFP_KERNEL,
    )?;
    Ok((Sender(shared.clone()), Receiver(shared, PhantomData)))
}

impl<T> Shared<T> {
    #[inline]
    fn room(&self) -> u32 {
        let used = self
            .head
            .load(Relaxed)
            .wrapping_sub(self.tail.load(Acquire));
        self.mask + 1 - used
    }
}

impl<T> Sender<T> {
    /// Number of values that fit. Grows when the receiver pops one.
    #[inline]
    pub fn room(&self) -> u32 {
        self.0.room()
    }

    /// Appends `value`.
    ///
    /// # Errors
    ///
    /// Returns `value` when the queue is full.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if self.room() == 0 {
            return Err(value);
        }
        let head = self.0.head.load(Relaxed);
        // SAFETY: By the type invariants the slot at `head` is the sender's, as there is room.
        unsafe { (*self.0.slots[(head & self.0.mask) as usize].get()).write(value) };
        // INVARIANT: The release makes the initialised slot visible with the new index.
        self.0.head.store(head.wrapping_add(1), Release);
        Ok(())
    }
}

impl<T> Receiver<T> {
    /// Number of values that fit. Shrinks when the sender pushes one.
    #[inline]
    pub fn room(&self) -> u32 {
        self.0.room()
    }

    /// Number of values in the queue. Grows when the sender pushes one.
    #[inline]
    pub fn count(&self) -> u32 {
        let head = self.0.head.load(Acquire);
        head.wrapping_sub(self.0.tail.load(Relaxed))
    }

    /// Returns the oldest value without removing it.
    #[inline]
    pub fn peek(&self) -> Option<&T> {
        if self.count() == 0 {
            return None;
        }
        let tail = self.0.tail.load(Relaxed);
        // SAFETY: By the type invariants the slot at `tail` is initialised and the receiver's, as the
        // queue is not empty. It stays so until `pop`, which takes `&mut self`.
        Some(unsafe { (*self.0.slots[(tail & self.0.mask) as usize].get()).assume_init_ref() })
    }

    /// Number of values popped so far, modulo 2^32.
    #[inline]
    pub fn taken(&self) -> u32 {
        self.0.tail.load(Relaxed)
    }

    /// Removes and returns the oldest value.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.count() == 0 {
            return None;
        }
        let tail = self.0.tail.load(Relaxed);
        // SAFETY: By the type invariants the slot at `tail` is initialised and the receiver's, as the
        // queue is not empty.
        let value =
            unsafe { (*self.0.slots[(tail & self.0.mask) as usize].get()).assume_init_read() };
        // INVARIANT: The value was moved out before the release passes the slot to the sender.
        self.0.tail.store(tail.wrapping_add(1), Release);
        Some(value)
    }
}

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(toe_util_spsc)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out() -> Result {
        let (mut sender, mut receiver) = channel::<u32>(2)?;
        for round in 0..10 {
            for i in 0..4 {
                assert!(sender.push(round * 4 + i).is_ok());
            }
            assert_eq!(sender.push(0), Err(0));
            assert_eq!(receiver.count(), 4);
            for i in 0..4 {
                assert_eq!(receiver.pop(), Some(round * 4 + i));
            }
            assert_eq!(receiver.pop(), None);
        }
        assert_eq!(receiver.taken(), 40);
        Ok(())
    }

    #[test]
    fn drops_what_is_left() -> Result {
        let value = Arc::new(7u32, GFP_KERNEL)?;
        let (mut sender, receiver) = channel::<Arc<u32>>(1)?;
        assert!(sender.push(value.clone()).is_ok());
        drop((sender, receiver));
        assert!(Arc::into_unique_or_drop(value).is_some());
        Ok(())
    }
}
