// SPDX-License-Identifier: GPL-2.0

//! Access to transmit queues from the device's polls.

use super::{
    operations::Operations,
    state::Private,
    vtable::VTable, //
};
use crate::net::{
    napi::RxContext,
    netdev::NetDevice,
    queue::LockedTxQueue, //
};

/// The private area of `dev`, when it was allocated for the driver `T`.
#[inline]
fn private<T: Operations>(dev: &NetDevice) -> Option<&Private<T>> {
    // SAFETY: By the type invariant; `netdev_ops` is set before a reference to the device exists.
    let ops = unsafe { (*dev.as_raw()).netdev_ops };
    // SAFETY: Only devices that were allocated for `T` have these operations.
    core::ptr::eq(ops, VTable::<T>::ops()).then(|| unsafe { Private::of(dev) })
}

impl RxContext<'_> {
    /// Runs `f` on transmit queue `index` of the device and its state, with the transmit lock held;
    /// `None` when the device is not one of `T`'s, is not registered, or the queue has no state. `f`
    /// must not send through the stack.
    #[inline]
    pub fn transmit<T: Operations, R>(
        &self,
        index: u16,
        f: impl FnOnce(&LockedTxQueue<'_>, &mut T::TxQueue) -> R,
    ) -> Option<R> {
        let private = private::<T>(self.device())?;
        // SAFETY: A poll is an RCU read-side critical section with bottom halves disabled. It holds no
        // transmit lock but in an `f`.
        unsafe { private.get()?.with_tx_queue_of(self.device(), index, f) }
    }
}
