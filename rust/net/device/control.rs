// SPDX-License-Identifier: GPL-2.0

//! The context of control operations.

use super::operations::Operations;
use crate::{
    bindings,
    net::{
        netdev::{
            InstanceLock,
            NetDevice, //
        },
        queue::TxQueue, //
    }, //
};
use core::cell::UnsafeCell;
use kernel::{
    device::{
        self,
        Bound, //
    },
    error::{
        to_result,
        Result, //
    },
    sync::Arc, //
};

/// A registered device with its instance lock held, as passed to control operations.
///
/// # Invariants
///
/// The device is registered for `'a`, or being registered or unregistered. `tx` has a slot for each
/// of its transmit queues, accessed under the queue's transmit lock.
pub struct Control<'a, T: Operations> {
    lock: InstanceLock<'a>,
    data: &'a Arc<T>,
    tx: &'a [UnsafeCell<Option<T::TxQueue>>],
    /// The driver's control state.
    pub state: &'a mut T::Control,
}

impl<'a, T: Operations> Control<'a, T> {
    /// # Safety
    ///
    /// The device of `lock` must have been registered by a [`super::Registration<T>`] that is alive
    /// for `'a`. `data`, `tx` and `state` must be its state.
    #[inline]
    pub(super) unsafe fn new(
        lock: InstanceLock<'a>,
        data: &'a Arc<T>,
        tx: &'a [UnsafeCell<Option<T::TxQueue>>],
        state: &'a mut T::Control,
    ) -> Self {
        // INVARIANT: The caller promises it.
        Self {
            lock,
            data,
            tx,
            state,
        }
    }

    /// The device.
    #[inline]
    pub fn device(&self) -> &'a NetDevice {
        self.lock.device()
    }

    /// The driver's shared state.
    #[inline]
    pub fn data(&self) -> &'a Arc<T> {
        self.data
    }

    /// The instance lock.
    #[inline]
    pub fn lock(&self) -> &InstanceLock<'a> {
        &self.lock
    }

    /// The parent of the device.
    pub fn parent(&self) -> &'a device::Device<Bound> {
        // SAFETY: By the type invariant the device is registered, which ends before its parent is
        // unbound. CAST: both bindings describe the same `struct device`.
        unsafe { &*(*self.device().as_raw()).dev.parent.cast() }
    }

    /// Replaces the state of transmit queue `index` and returns the previous one. Waits for a running
    /// transmit operation; without state, frames are dropped.
    pub fn set_tx_queue(&mut self, index: u16, state: Option<T::TxQueue>) -> Option<T::TxQueue> {
        let queue = TxQueue::new(self.device(), index)?;
        let slot = self.tx.get(usize::from(index))?;
        // SAFETY: The queue's transmit lock makes access to the slot exclusive.
        queue.with_lock_bh(|_| unsafe { core::mem::replace(&mut *slot.get(), state) })
    }

    /// Sets the number of queue pairs in use. No frame may be in flight while the interface is up. A
    /// change requires the RTNL.
    pub fn set_queues(&mut self, count: u32) -> Result {
        // SAFETY: The device is registered, and its instance lock is held.
        to_result(unsafe {
            bindings::netif_set_real_num_queues(self.device().as_raw(), count, count)
        })
    }

    /// Stops all transmit queues and waits for running transmit operations.
    pub fn disable_tx(&self) {
        // SAFETY: The device is registered.
        unsafe { bindings::netif_tx_disable(self.device().as_raw()) }
    }

    /// Stops transmit queue `index` and waits for a running transmit operation.
    pub fn stop_tx_queue(&self, index: u16) {
        if let Some(queue) = TxQueue::new(self.device(), index) {
            queue.with_lock_bh(|queue| queue.stop());
        }
    }

    /// Wakes transmit queue `index`: frames that wait in the qdisc are sent.
    pub fn wake_tx_queue(&self, index: u16) {
        if let Some(queue) = TxQueue::new(self.device(), index) {
            queue.wake();
        }
    }

    /// Wakes all transmit queues, including those that are not in use: the watchdog checks all of
    /// them.
    pub fn enable_tx(&self) {
        for index in 0..self.device().num_tx_queues() {
            // CAST: allocated with a 16-bit count.
            self.wake_tx_queue(index as u16);
        }
    }

    /// Sets the carrier.
    pub fn set_carrier(&self, up: bool) {
        // SAFETY: The device is registered.
        unsafe {
            if up {
                bindings::netif_carrier_on(self.device().as_raw());
            } else {
                bindings::netif_carrier_off(self.device().as_raw());
            }
        }
    }
}
