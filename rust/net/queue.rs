// SPDX-License-Identifier: GPL-2.0

//! Transmit queues: flow control and byte queue limits.
//!
//! C headers: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h),
//! [`include/net/netdev_queues.h`](srctree/include/net/netdev_queues.h)

use super::device::NetDevice;
use crate::bindings;
use kernel::sync::barrier::{
    smp_mb,
    Full, //
};

/// A transmit queue of a live device.
#[derive(Clone, Copy)]
pub struct TxQueue<'a> {
    raw: *mut bindings::netdev_queue,
    dev: &'a NetDevice,
    index: u16,
}

impl<'a> TxQueue<'a> {
    /// Queue `index` of `dev`; `None` when it has no such queue.
    #[inline]
    pub fn new(dev: &'a NetDevice, index: u16) -> Option<Self> {
        if u32::from(index) >= dev.num_tx_queues() {
            return None;
        }
        // SAFETY: `dev` is valid and `index` below the number of its transmit queues.
        let raw = unsafe { bindings::netdev_get_tx_queue(dev.as_raw(), index.into()) };
        Some(Self { raw, dev, index })
    }

    /// Number of the queue.
    #[inline]
    pub fn index(&self) -> u16 {
        self.index
    }

    /// The queue's device.
    #[inline]
    pub fn device(&self) -> &'a NetDevice {
        self.dev
    }

    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::netdev_queue {
        self.raw
    }

    /// Tells BQL of `bytes` given to the hardware; true when the hardware has to be told now.
    #[inline]
    pub fn sent(&self, bytes: u32, more: bool) -> bool {
        // SAFETY: The queue is valid as long as its device.
        unsafe { bindings::__netdev_tx_sent_queue(self.raw, bytes, more) }
    }

    /// Stops the queue unless `room()` is at least `stop`; if room appeared meanwhile, `start` or
    /// more, it runs on. True when the queue is stopped.
    ///
    /// For the transmit callback. `netif_txq_maybe_stop()`.
    #[inline]
    pub fn maybe_stop(&self, room: impl Fn() -> u32, stop: u32, start: u32) -> bool {
        if room() >= stop {
            return false;
        }
        // SAFETY: The queue is valid as long as its device.
        unsafe { bindings::netif_tx_stop_queue(self.raw) };
        // The producer index and the stop bit must be visible before room is looked at again:
        // pairs with the barrier in `completed_wake`.
        smp_mb(Full);
        if room() < start {
            return true;
        }
        // SAFETY: As above.
        unsafe { bindings::netif_tx_start_queue(self.raw) };
        false
    }

    /// Tells BQL of completed frames and wakes the queue when it is stopped and `room()` has come
    /// to `start`. True when it was woken.
    ///
    /// For the poll that completes the queue's frames, after the consumer index was moved. Frames
    /// that BQL was not told of ([`Self::sent`]) make room as well, and do not count here.
    /// `netif_txq_completed_wake()`.
    #[inline]
    pub fn completed_wake(
        &self,
        packets: u32,
        bytes: u32,
        room: impl Fn() -> u32,
        start: u32,
    ) -> bool {
        if bytes == 0 {
            smp_mb(Full);
        } else {
            // SAFETY: The queue is valid as long as its device. With bytes, this is a full barrier.
            unsafe { bindings::netdev_txq_completed_mb(self.raw, packets, bytes) };
        }
        if room() < start {
            return false;
        }
        // SAFETY: As above.
        if !unsafe { bindings::netif_tx_queue_stopped(self.raw) } {
            return false;
        }
        // SAFETY: As above.
        unsafe { bindings::netif_tx_wake_queue(self.raw) };
        true
    }

    /// Says that the queue moves, although the stack has not sent through it. With its lock held.
    #[inline]
    pub fn moves(&self) {
        // SAFETY: The queue is valid as long as its device.
        unsafe { bindings::txq_trans_cond_update(self.raw) }
    }

    /// Forgets what BQL knows of frames under way. Before anything new is sent.
    pub fn reset(&self) {
        // SAFETY: The queue is valid as long as its device.
        unsafe { bindings::netdev_tx_reset_queue(self.raw) }
    }

    /// Stops the queue, after a transmit callback that is under way.
    pub(super) fn stop(&self) {
        // SAFETY: The queue is valid as long as its device; its lock excludes the callback.
        unsafe {
            bindings::__netif_tx_lock_bh(self.raw);
            // For the watchdog it does not move from here on, not since it was used last.
            bindings::txq_trans_cond_update(self.raw);
            bindings::netif_tx_stop_queue(self.raw);
            bindings::__netif_tx_unlock_bh(self.raw);
        }
    }

    /// Lets frames in, those first that wait already.
    pub(super) fn wake(&self) {
        // SAFETY: The queue is valid as long as its device.
        unsafe { bindings::netif_tx_wake_queue(self.raw) }
    }

    /// Whether frames are held back, by the driver or by BQL.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        // SAFETY: The queue is valid as long as its device.
        unsafe { bindings::netif_xmit_stopped(self.raw) }
    }
}
