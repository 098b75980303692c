// SPDX-License-Identifier: GPL-2.0

//! The driver's state in a device's private area.

use super::{
    control::Control,
    operations::Operations, //
};
use crate::{
    bindings,
    net::{
        netdev::{
            InstanceLock,
            NetDevice, //
        },
        queue::{
            LockedTxQueue,
            TxQueue, //
        }, //
    }, //
};
use core::{
    cell::UnsafeCell,
    mem::MaybeUninit, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            AtomicFlag,
            Release, //
        },
        Arc, //
    }, //
};

/// State of a registered device.
pub(in crate::net) struct State<T: Operations> {
    /// Shared by all operations.
    pub(in crate::net) data: Arc<T>,
    /// Accessed under the instance lock.
    control: UnsafeCell<T::Control>,
    /// One slot for each transmit queue, accessed under its transmit lock.
    tx: KVec<UnsafeCell<Option<T::TxQueue>>>,
}

impl<T: Operations> State<T> {
    /// State for `queues` transmit queues.
    pub(super) fn new(data: Arc<T>, control: T::Control, queues: u32) -> Result<Self> {
        let mut tx = KVec::with_capacity(queues as usize, GFP_KERNEL)?;
        for _ in 0..queues {
            tx.push(UnsafeCell::new(None), GFP_KERNEL)?;
        }
        Ok(Self {
            data,
            control: UnsafeCell::new(control),
            tx,
        })
    }

    /// Runs `f` on the state of `queue`; `None` when it has none.
    ///
    /// # Safety
    ///
    /// This must be the state of the queue's device.
    #[inline]
    pub(super) unsafe fn with_tx_queue<R>(
        &self,
        queue: &LockedTxQueue<'_>,
        f: impl FnOnce(&mut T::TxQueue) -> R,
    ) -> Option<R> {
        let slot = self.tx.get(usize::from(queue.index()))?;
        // SAFETY: The queue's transmit lock, which is held, makes access to the slot exclusive.
        unsafe { (*slot.get()).as_mut() }.map(f)
    }

    /// Runs `f` on transmit queue `index` of `dev` and its state, with the transmit lock held;
    /// `None` when there is no such queue or it has no state.
    ///
    /// # Safety
    ///
    /// This must be the state of `dev`. Bottom halves must be disabled, and the context must hold no
    /// transmit lock of the device.
    #[inline]
    pub(super) unsafe fn with_tx_queue_of<R>(
        &self,
        dev: &NetDevice,
        index: u16,
        f: impl FnOnce(&LockedTxQueue<'_>, &mut T::TxQueue) -> R,
    ) -> Option<R> {
        let queue = TxQueue::new(dev, index)?;
        // SAFETY: The caller promises it.
        unsafe { queue.with_lock(|queue| self.with_tx_queue(queue, |state| f(queue, state))) }
    }
}

/// The private area of a device that was allocated for the driver `T`.
///
/// # Invariants
///
/// `state` is initialised while `live` is set, and until an RCU grace period has passed since it was
/// cleared.
pub(in crate::net) struct Private<T: Operations> {
    live: AtomicFlag,
    state: UnsafeCell<MaybeUninit<State<T>>>,
}

impl<T: Operations> Private<T> {
    /// Initialises the private area of a new device.
    ///
    /// # Safety
    ///
    /// `dev` must be newly allocated with a private area for a `Private<T>`.
    pub(super) unsafe fn init(dev: *mut bindings::net_device) {
        let empty = Self {
            live: AtomicFlag::new(false),
            state: UnsafeCell::new(MaybeUninit::uninit()),
        };
        // SAFETY: The caller promises room.
        // INVARIANT: It is not live.
        unsafe { bindings::netdev_priv(dev).cast::<Self>().write(empty) };
    }

    /// # Safety
    ///
    /// `dev` must have been allocated for the driver `T`.
    #[inline]
    pub(super) unsafe fn of(dev: &NetDevice) -> &Self {
        // SAFETY: The caller promises an initialised private area.
        unsafe { &*bindings::netdev_priv(dev.as_raw()).cast::<Self>() }
    }

    /// The state; `None` while the device is not registered.
    ///
    /// # Safety
    ///
    /// The result must be used only in the RCU read-side critical section that it was obtained in.
    #[inline]
    pub(super) unsafe fn get(&self) -> Option<&State<T>> {
        if !self.live.load(Acquire) {
            return None;
        }
        // SAFETY: By the type invariant and the caller's promise.
        Some(unsafe { (*self.state.get()).assume_init_ref() })
    }

    /// The state, for operations.
    ///
    /// # Safety
    ///
    /// `dev` must have been registered by a [`super::Registration<T>`] that is alive for `'a`.
    #[inline]
    pub(in crate::net) unsafe fn state<'a>(dev: *mut bindings::net_device) -> &'a State<T> {
        // SAFETY: The caller promises that the device is live.
        unsafe { (*Self::of(NetDevice::from_raw(dev)).state.get()).assume_init_ref() }
    }

    /// The context for control operations.
    ///
    /// # Safety
    ///
    /// As for [`Self::state`]. The instance lock must be held for `'a`, and no other `Control` of the
    /// device be alive.
    #[inline]
    pub(in crate::net) unsafe fn control<'a>(dev: *mut bindings::net_device) -> Control<'a, T> {
        // SAFETY: The caller promises it; the lock makes access to the control state exclusive.
        unsafe {
            let state = Self::state(dev);
            let lock = InstanceLock::assume_held(NetDevice::from_raw(dev));
            Control::new(lock, &state.data, &state.tx, &mut *state.control.get())
        }
    }

    /// Installs the state.
    ///
    /// # Safety
    ///
    /// The private area must be without state, and installed to by nobody else.
    pub(super) unsafe fn install(&self, state: State<T>) {
        // SAFETY: Nothing accesses it while it is not live.
        unsafe { (*self.state.get()).write(state) };
        // INVARIANT: Initialised just now.
        self.live.store(true, Release);
    }

    /// Drops the state. Sleeps.
    ///
    /// # Safety
    ///
    /// The state must be installed, and no operation run or be called any more.
    pub(super) unsafe fn remove(&self) {
        self.live.store(false, Release);
        // SAFETY: After the grace period nothing accesses the state.
        unsafe {
            bindings::synchronize_rcu();
            (*self.state.get()).assume_init_drop();
        }
    }
}
