// SPDX-License-Identifier: GPL-2.0

//! Transmit queues: flow control and byte queue limits (BQL).
//!
//! What may be done to a queue depends on the context, so each has a type of its own:
//!
//! | type | context |
//! |---|---|
//! | [`TxQueue`] | any |
//! | [`LockedTxQueue`] | the queue's transmit lock is held: `ndo_start_xmit`, XDP transmit |
//! | [`CompletedTxQueue`] | the NAPI poll that completes the queue's frames |
//!
//! C headers: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h),
//! [`include/net/netdev_queues.h`](srctree/include/net/netdev_queues.h)

use super::netdev::NetDevice;
use crate::bindings;
use core::ops::Deref;
use kernel::sync::barrier::{
    smp_mb,
    Full, //
};

/// A transmit queue of a device.
///
/// # Invariants
///
/// `raw` is transmit queue `index` of `dev`.
#[derive(Clone, Copy)]
pub struct TxQueue<'a> {
    raw: *mut bindings::netdev_queue,
    dev: &'a NetDevice,
    index: u16,
}

impl<'a> TxQueue<'a> {
    /// Queue `index` of `dev`; `None` when there is no such queue.
    #[inline]
    pub fn new(dev: &'a NetDevice, index: u16) -> Option<Self> {
        if u32::from(index) >= dev.num_tx_queues() {
            return None;
        }
        // SAFETY: The queue exists, as checked.
        Some(unsafe { Self::new_unchecked(dev, index) })
    }

    /// Queue `index` of `dev`.
    ///
    /// # Safety
    ///
    /// `index` must be below `dev.num_tx_queues()`.
    #[inline]
    pub(super) unsafe fn new_unchecked(dev: &'a NetDevice, index: u16) -> Self {
        // SAFETY: `dev` is valid and has that queue.
        let raw = unsafe { bindings::netdev_get_tx_queue(dev.as_raw(), index.into()) };
        // INVARIANT: As returned.
        Self { raw, dev, index }
    }

    /// Whether an enabled NAPI instance polls the queue. Under the device's instance lock.
    #[inline]
    pub(super) fn has_napi(&self) -> bool {
        // SAFETY: By the type invariant; written under the instance lock.
        unsafe { !(*self.raw).napi.is_null() }
    }

    /// Index of the queue.
    #[inline]
    pub fn index(&self) -> u16 {
        self.index
    }

    /// The device.
    #[inline]
    pub fn device(&self) -> &'a NetDevice {
        self.dev
    }

    /// Runs `f` with the transmit lock held. In process context.
    pub(super) fn with_lock_bh<R>(&self, f: impl FnOnce(&LockedTxQueue<'a>) -> R) -> R {
        // SAFETY: By the type invariant; the lock is held around the use of the `LockedTxQueue`.
        unsafe {
            bindings::__netif_tx_lock_bh(self.raw);
            let result = f(&LockedTxQueue::assume_locked(*self));
            bindings::__netif_tx_unlock_bh(self.raw);
            result
        }
    }

    /// Runs `f` with the transmit lock held.
    ///
    /// # Safety
    ///
    /// Bottom halves must be disabled, and the context must hold no transmit lock of the device.
    #[inline]
    pub(super) unsafe fn with_lock<R>(&self, f: impl FnOnce(&LockedTxQueue<'a>) -> R) -> R {
        // SAFETY: By the type invariant and the caller's promise; the lock is held around the use of
        // the `LockedTxQueue`.
        unsafe {
            bindings::__netif_tx_lock(self.raw);
            let result = f(&LockedTxQueue::assume_locked(*self));
            bindings::__netif_tx_unlock(self.raw);
            result
        }
    }

    /// Wakes the queue: frames that wait in the qdisc are sent.
    pub(super) fn wake(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::netif_tx_wake_queue(self.raw) }
    }
}

/// A transmit queue whose transmit lock is held.
///
/// # Invariants
///
/// The lock is held for `'a`, or as long as the reference to this that the holder was given.
pub struct LockedTxQueue<'a>(TxQueue<'a>);

impl<'a> Deref for LockedTxQueue<'a> {
    type Target = TxQueue<'a>;

    #[inline]
    fn deref(&self) -> &TxQueue<'a> {
        &self.0
    }
}

impl<'a> LockedTxQueue<'a> {
    /// # Safety
    ///
    /// The transmit lock of `queue` must be held as long as anybody can reach the result.
    #[inline]
    pub(super) unsafe fn assume_locked(queue: TxQueue<'a>) -> Self {
        // INVARIANT: The caller promises it.
        Self(queue)
    }

    /// Accounts `bytes` that were posted to the ring (`__netdev_tx_sent_queue()`). `more` means that
    /// another frame follows at once. Returns whether the doorbell must be rung now.
    #[inline]
    pub fn sent(&self, bytes: u32, more: bool) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::__netdev_tx_sent_queue(self.raw, bytes, more) }
    }

    /// Stops the queue when `room()` is below `stop`, and starts it again when room has since grown
    /// to `start` (`netif_txq_maybe_stop()`). Returns whether the queue is stopped.
    #[inline]
    pub fn maybe_stop(&self, room: impl Fn() -> u32, stop: u32, start: u32) -> bool {
        if room() >= stop {
            return false;
        }
        // SAFETY: By the type invariants.
        unsafe { bindings::netif_tx_stop_queue(self.raw) };
        // The producer index and the stop bit must be visible before room is read again: pairs with
        // the barrier in `CompletedTxQueue::completed_wake`.
        smp_mb(Full);
        if room() < start {
            return true;
        }
        // SAFETY: As above.
        unsafe { bindings::netif_tx_start_queue(self.raw) };
        false
    }

    /// Tells the watchdog that the queue makes progress although the stack sent nothing through it
    /// (`txq_trans_cond_update()`).
    #[inline]
    pub fn update_trans_start(&self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::txq_trans_cond_update(self.raw) }
    }

    /// Stops the queue.
    pub(super) fn stop(&self) {
        // The watchdog measures from here, not from the last frame.
        self.update_trans_start();
        // SAFETY: By the type invariants.
        unsafe { bindings::netif_tx_stop_queue(self.raw) }
    }

    /// Clears the BQL state (`netdev_tx_reset_queue()`).
    ///
    /// # Safety
    ///
    /// No poll may complete frames of the queue.
    pub(super) unsafe fn reset(&self) {
        // SAFETY: By the type invariants nothing is sent, and by the caller's promise nothing is
        // completed.
        unsafe { bindings::netdev_tx_reset_queue(self.raw) }
    }
}

/// A transmit queue in the NAPI poll that completes its frames.
///
/// # Invariants
///
/// The only context that completes frames of the queue.
pub struct CompletedTxQueue<'a>(TxQueue<'a>);

impl<'a> CompletedTxQueue<'a> {
    /// # Safety
    ///
    /// Nothing else may complete frames of `queue` for the lifetime of the result.
    #[inline]
    pub(super) unsafe fn new(queue: TxQueue<'a>) -> Self {
        // INVARIANT: The caller promises it.
        Self(queue)
    }

    /// Accounts completed frames to BQL, and wakes the queue when it is stopped and `room()` is at
    /// least `start` (`netif_txq_completed_wake()`). Returns whether it was woken.
    ///
    /// To be called after the consumer index was advanced. `packets` and `bytes` count only frames
    /// that were accounted by [`LockedTxQueue::sent`]; others make room, too.
    #[inline]
    pub fn completed_wake(
        &self,
        packets: u32,
        bytes: u32,
        room: impl Fn() -> u32,
        start: u32,
    ) -> bool {
        let raw = self.0.raw;
        if bytes == 0 {
            smp_mb(Full);
        } else {
            // SAFETY: By the type invariants. With bytes, this is a full barrier.
            unsafe { bindings::netdev_txq_completed_mb(raw, packets, bytes) };
        }
        if room() < start {
            return false;
        }
        // SAFETY: By the type invariants.
        if !unsafe { bindings::netif_tx_queue_stopped(raw) } {
            return false;
        }
        self.0.wake();
        true
    }
}
