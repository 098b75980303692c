// SPDX-License-Identifier: GPL-2.0

//! A bounded queue between one producer and one consumer, without a lock.

use core::{
    cell::UnsafeCell,
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

/// # Invariants
///
/// Both indices run free; `tail` to `head` are at most `mask + 1` apart, and exactly the slots
/// between them are initialised. `head` is written by the sender only, `tail` by the receiver only.
struct Shared<T> {
    slots: KVec<UnsafeCell<MaybeUninit<T>>>,
    mask: u32,
    head: Atomic<u32>,
    tail: Atomic<u32>,
}

// SAFETY: A slot belongs to the sender or to the receiver, never to both, by the type invariant.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: As above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let (mut tail, head) = (self.tail.load(Relaxed), self.head.load(Relaxed));
        while tail != head {
            // SAFETY: By the type invariant, and nobody else is left.
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

/// The consumer's end.
pub struct Receiver<T>(Arc<Shared<T>>);

/// A queue for `1 << log2` values.
pub fn channel<T: Send>(log2: u8) -> Result<(Sender<T>, Receiver<T>)> {
    let count = 1u32.checked_shl(log2.into()).ok_or(EINVAL)?;
    let mut slots = KVec::with_capacity(count as usize, GFP_KERNEL)?;
    for _ in 0..count {
        slots.push(UnsafeCell::new(MaybeUninit::uninit()), GFP_KERNEL)?;
    }
    // INVARIANT: Empty.
    let shared = Arc::new(
        Shared {
            slots,
            mask: count - 1,
            head: Atomic::new(0),
            tail: Atomic::new(0),
        },
        GFP_KERNEL,
    )?;
    Ok((Sender(shared.clone()), Receiver(shared)))
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
    /// How many more values fit, at least.
    #[inline]
    pub fn room(&self) -> u32 {
        self.0.room()
    }

    /// Appends a value, or gives it back when the queue is full.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if self.room() == 0 {
            return Err(value);
        }
        let head = self.0.head.load(Relaxed);
        // SAFETY: The slot is free, and so the sender's, by the type invariant.
        unsafe { (*self.0.slots[(head & self.0.mask) as usize].get()).write(value) };
        // INVARIANT: The slot is initialised before the index says so.
        self.0.head.store(head.wrapping_add(1), Release);
        Ok(())
    }
}

impl<T> Receiver<T> {
    /// How many values would fit now.
    #[inline]
    pub fn room(&self) -> u32 {
        self.0.room()
    }

    /// How many values are in the queue, at least.
    #[inline]
    pub fn count(&self) -> u32 {
        let head = self.0.head.load(Acquire);
        head.wrapping_sub(self.0.tail.load(Relaxed))
    }

    /// The value that comes next.
    #[inline]
    pub fn peek(&self) -> Option<&T> {
        if self.count() == 0 {
            return None;
        }
        let tail = self.0.tail.load(Relaxed);
        // SAFETY: The slot is initialised, and so the receiver's, by the type invariant; it stays so
        // until `pop`, which takes `&mut self`.
        Some(unsafe { (*self.0.slots[(tail & self.0.mask) as usize].get()).assume_init_ref() })
    }

    /// Number of values ever taken, modulo 2^32.
    #[inline]
    pub fn taken(&self) -> u32 {
        self.0.tail.load(Relaxed)
    }

    /// Takes the oldest value.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.count() == 0 {
            return None;
        }
        let tail = self.0.tail.load(Relaxed);
        // SAFETY: The slot is initialised, and so the receiver's, by the type invariant.
        let value =
            unsafe { (*self.0.slots[(tail & self.0.mask) as usize].get()).assume_init_read() };
        // INVARIANT: The slot was emptied before the index says so.
        self.0.tail.store(tail.wrapping_add(1), Release);
        Some(value)
    }
}

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(toe_net_spsc)]
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
