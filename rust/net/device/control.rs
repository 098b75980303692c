// SPDX-License-Identifier: GPL-2.0

//! What control operations are given, under the instance lock.

use super::{
    operations::{
        Operations,
        Private, //
    },
    NetDevice, //
};
use crate::{
    bindings,
    net::queue::TxQueue, //
};
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

/// Proof that the instance lock of a device is held.
pub struct InstanceLock<'a>(&'a NetDevice);

impl<'a> InstanceLock<'a> {
    /// Whose lock it is.
    #[inline]
    pub fn device(&self) -> &'a NetDevice {
        self.0
    }
}

/// What a control operation is given: the device with its instance lock held.
pub struct Control<'a, T: Operations> {
    lock: InstanceLock<'a>,
    private: &'a Private<T>,
    /// The driver's control state.
    pub state: &'a mut T::Control,
}

impl<'a, T: Operations> Control<'a, T> {
    /// # Safety
    ///
    /// `dev` must be registered with the operations of `T`, and its instance lock held for `'a`
    /// with no other `Control` of it alive.
    pub(crate) unsafe fn new(dev: *mut bindings::net_device) -> Self {
        // SAFETY: The caller promises a live device with such private data, and exclusiveness of
        // the control state.
        unsafe {
            let dev = NetDevice::from_raw(dev);
            let private = &*Private::<T>::of(dev);
            Self {
                lock: InstanceLock(dev),
                private,
                state: &mut *private.control.get(),
            }
        }
    }

    /// The device.
    #[inline]
    pub fn device(&self) -> &'a NetDevice {
        self.lock.0
    }

    /// The driver's shared state.
    #[inline]
    pub fn data(&self) -> &'a Arc<T> {
        &self.private.data
    }

    /// The instance lock.
    #[inline]
    pub fn lock(&self) -> &InstanceLock<'a> {
        &self.lock
    }

    /// The device that the interface belongs to.
    pub fn parent(&self) -> &'a device::Device<Bound> {
        // SAFETY: The parent was given as bound to `Unregistered::new`, and the registration, by its
        // lifetime, ends before it is unbound; control operations run within the registration.
        // CAST: both bindings describe the same `struct device`.
        unsafe { &*(*self.device().as_raw()).dev.parent.cast() }
    }

    /// Puts the state of transmit queue `index` in place, or takes it away, and gives the former
    /// one back. Waits for a transmit callback under way; without state frames are dropped.
    pub fn set_tx_queue(&mut self, index: u16, state: Option<T::TxQueue>) -> Option<T::TxQueue> {
        let queue = TxQueue::new(self.device(), index)?;
        let slot = self.private.tx.get(usize::from(index))?;
        // SAFETY: The queue is valid; its lock is what makes access to the slot exclusive.
        unsafe {
            bindings::__netif_tx_lock_bh(queue.as_raw());
            let former = core::mem::replace(&mut *slot.get(), state);
            bindings::__netif_tx_unlock_bh(queue.as_raw());
            former
        }
    }

    /// Sets the number of queue pairs in use. While the interface is up no frame must be under way;
    /// another number than now takes the RTNL.
    pub fn set_queues(&mut self, count: u32) -> Result {
        // SAFETY: The device is registered, and its instance lock is held.
        to_result(unsafe {
            bindings::netif_set_real_num_queues(self.device().as_raw(), count, count)
        })
    }

    /// Stops all transmit queues, and waits for transmit callbacks under way.
    pub fn disable_tx(&self) {
        // SAFETY: The device is registered.
        unsafe { bindings::netif_tx_disable(self.device().as_raw()) }
    }

    /// Stops transmit queue `index`, and waits for a transmit callback under way.
    pub fn stop_tx_queue(&self, index: u16) {
        if let Some(queue) = TxQueue::new(self.device(), index) {
            queue.stop();
        }
    }

    /// Lets frames into transmit queue `index`, those first that wait already.
    pub fn wake_tx_queue(&self, index: u16) {
        if let Some(queue) = TxQueue::new(self.device(), index) {
            queue.wake();
        }
    }

    /// Lets frames into all transmit queues, those first that wait already. Also into those that are
    /// not in use: the watchdog looks at all.
    pub fn enable_tx(&self) {
        for index in 0..self.device().num_tx_queues() {
            // CAST: as many as were allocated with 16 bits.
            self.wake_tx_queue(index as u16);
        }
    }

    /// Says whether there is a link.
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

    /// Marks the device as gone: the core calls no operation any more but `stop`.
    pub fn detach(&self) {
        // SAFETY: The device is registered.
        unsafe { bindings::netif_device_detach(self.device().as_raw()) }
    }

    /// The MAC address.
    pub fn mac(&self) -> [u8; 6] {
        // SAFETY: The device is an Ethernet device, and the instance lock is held.
        unsafe { *(*self.device().as_raw()).dev_addr.cast() }
    }
}

/// Which frames the core wants received (`ndo_set_rx_mode_async`).
pub struct RxMode<'a> {
    /// Every frame.
    pub promiscuous: bool,
    /// Every multicast frame.
    pub all_multicast: bool,
    /// Unicast addresses besides the own.
    pub unicast: Addresses<'a>,
    /// Multicast addresses.
    pub multicast: Addresses<'a>,
}

/// A list of MAC addresses.
///
/// # Invariants
///
/// `list` is valid and does not change for `'a`.
#[derive(Clone, Copy)]
pub struct Addresses<'a> {
    list: &'a bindings::netdev_hw_addr_list,
    at: *const bindings::list_head,
}

impl<'a> Addresses<'a> {
    pub(super) fn new(list: &'a bindings::netdev_hw_addr_list) -> Self {
        Self {
            list,
            at: list.list.next,
        }
    }

    /// Number of addresses in the whole list.
    pub fn count(&self) -> usize {
        self.list.count.max(0) as usize
    }
}

impl Iterator for Addresses<'_> {
    type Item = [u8; 6];

    fn next(&mut self) -> Option<[u8; 6]> {
        if core::ptr::eq(self.at, &self.list.list) {
            return None;
        }
        // SAFETY: By the type invariant this is the `list` of an address of the list, not its head.
        unsafe {
            let entry = kernel::container_of!(self.at, bindings::netdev_hw_addr, list);
            self.at = (*self.at).next;
            Some(*(&raw const (*entry).addr).cast())
        }
    }
}
