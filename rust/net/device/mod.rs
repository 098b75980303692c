// SPDX-License-Identifier: GPL-2.0

//! Network devices.
//!
//! A device is allocated ([`Unregistered`]), equipped, and registered with its driver's state
//! ([`Registration`]). Its control operations run under the device's instance lock
//! (`request_ops_lock`), which is what makes [`Operations::Control`] exclusive.
//!
//! C headers: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h),
//! [`include/net/netdev_lock.h`](srctree/include/net/netdev_lock.h)

mod control;
mod operations;
mod queue_management;
mod registration;

pub use self::{
    control::{
        Addresses,
        Control,
        InstanceLock,
        RxMode, //
    },
    operations::Operations,
    queue_management::QueueManagement,
    registration::{
        Registration,
        Unregistered, //
    }, //
};

use self::operations::{
    Private,
    VTable, //
};
use super::{
    namespace::Namespace,
    queue::TxQueue, //
};
use crate::bindings;
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    ffi::c_ulong,
    sync::Arc,
    types::Opaque, //
};

/// Feature bits of a device (`NETIF_F_*`).
pub mod feature {
    use crate::bindings;

    macro_rules! features {
        ($($(#[$meta:meta])* $name:ident = $bit:ident,)*) => {$(
            $(#[$meta])*
            pub const $name: u64 = 1 << bindings::$bit;
        )*};
    }

    features! {
        /// Scattered frames.
        SG = NETIF_F_SG_BIT,
        /// Transport checksums of any protocol on send.
        HW_CSUM = NETIF_F_HW_CSUM_BIT,
        /// Memory above the directly mapped part is reachable.
        HIGHDMA = NETIF_F_HIGHDMA_BIT,
        /// Large TCP segments over IPv4.
        TSO = NETIF_F_TSO_BIT,
        /// Large TCP segments over IPv6.
        TSO6 = NETIF_F_TSO6_BIT,
        /// Large UDP sends.
        GSO_UDP_L4 = NETIF_F_GSO_UDP_L4_BIT,
        /// Checksum verdicts on receive.
        RXCSUM = NETIF_F_RXCSUM_BIT,
        /// Flow hashes on receive.
        RXHASH = NETIF_F_RXHASH_BIT,
        /// 802.1Q tags inserted on send.
        HW_VLAN_CTAG_TX = NETIF_F_HW_VLAN_CTAG_TX_BIT,
        /// 802.1Q tags stripped on receive.
        HW_VLAN_CTAG_RX = NETIF_F_HW_VLAN_CTAG_RX_BIT,
        /// Segments coalesced by the hardware.
        GRO_HW = NETIF_F_GRO_HW_BIT,
        /// Receive rules.
        NTUPLE = NETIF_F_NTUPLE_BIT,
    }

    /// All large sends.
    pub const GSO_MASK: u64 = TSO | TSO6 | GSO_UDP_L4;
}

/// A network device (`struct net_device`).
///
/// # Invariants
///
/// A reference is to an allocated `net_device`, registered or not.
#[repr(transparent)]
pub struct NetDevice(Opaque<bindings::net_device>);

// SAFETY: `net_device` does its own synchronisation.
unsafe impl Send for NetDevice {}
// SAFETY: As above.
unsafe impl Sync for NetDevice {}

impl NetDevice {
    /// Borrows a device.
    ///
    /// # Safety
    ///
    /// `ptr` must be an allocated `net_device` for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::net_device) -> &'a Self {
        // SAFETY: The caller promises validity; `NetDevice` is transparent.
        unsafe { &*ptr.cast() }
    }

    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::net_device {
        self.0.get()
    }

    /// Number of transmit queues allocated.
    #[inline]
    pub fn num_tx_queues(&self) -> u32 {
        // SAFETY: By the type invariant; constant once allocated.
        unsafe { (*self.as_raw()).num_tx_queues }
    }

    /// Number of queue pairs in use.
    #[inline]
    pub fn queues(&self) -> u32 {
        // SAFETY: By the type invariant; the kernel reads it without lock as well.
        unsafe { core::ptr::read_volatile(&raw const (*self.as_raw()).real_num_tx_queues) }
    }

    /// Whether the user has said how the receive hash spreads frames over the queues.
    pub fn is_rss_configured(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::netif_is_rxfh_configured(self.as_raw()) }
    }

    /// Index of the interface, 0 before it is registered.
    #[inline]
    pub fn ifindex(&self) -> u32 {
        // SAFETY: By the type invariant; written once, before registration is complete.
        // CAST: never negative.
        unsafe { (*self.as_raw()).ifindex as u32 }
    }

    /// Whether the device is in `namespace` at this moment.
    pub fn is_in(&self, namespace: &Namespace) -> bool {
        // SAFETY: By the type invariant. The device may leave its namespace at any time: the pointer
        // is only compared.
        ptr::eq(
            unsafe { bindings::netdev_net(self.as_raw()) },
            namespace.as_raw(),
        )
    }

    /// The MTU in bytes.
    #[inline]
    pub fn mtu(&self) -> u32 {
        // SAFETY: By the type invariant; the kernel reads it without lock as well.
        unsafe { core::ptr::read_volatile(&raw const (*self.as_raw()).mtu) }
    }

    /// Features that are on ([`feature`]).
    #[inline]
    pub fn features(&self) -> u64 {
        // SAFETY: By the type invariant; the kernel reads it without lock as well.
        unsafe { core::ptr::read_volatile(&raw const (*self.as_raw()).features) }
    }

    /// Whether there is a link.
    #[inline]
    pub fn has_carrier(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::netif_carrier_ok(self.as_raw()) }
    }

    /// Whether the interface is up.
    #[inline]
    pub fn is_running(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::netif_running(self.as_raw()) }
    }

    /// How many bytes of the frame that begins with `bytes` are headers; at most all of them.
    #[inline]
    pub fn eth_headlen(&self, bytes: &[u8]) -> usize {
        // SAFETY: `bytes` is valid for its length, and the device by the type invariant.
        let length = unsafe {
            bindings::eth_get_headlen(self.as_raw(), bytes.as_ptr().cast(), bytes.len() as u32)
        };
        (length as usize).min(bytes.len())
    }

    /// Asks for [`Operations::work`] with `events`, bits of the driver's own. From softirq or
    /// process context; nothing happens when the device is not registered.
    pub fn schedule_work(&self, events: usize) {
        // SAFETY: By the type invariant.
        unsafe { bindings::netdev_work_sched(self.as_raw(), events as c_ulong) }
    }

    /// Runs `f` on the state of transmit queue `index`, under the queue's lock; `None` when the device
    /// is none of `T`'s, or the queue has no state now.
    ///
    /// # Safety
    ///
    /// Within a poll of the device, or a callback of its own, with bottom halves off; not with the
    /// lock of a transmit queue of it held.
    #[inline]
    pub(super) unsafe fn with_tx_queue<T: Operations, R>(
        &self,
        index: u16,
        f: impl FnOnce(TxQueue<'_>, &mut T::TxQueue) -> R,
    ) -> Option<R> {
        self.driver_data::<T>()?;
        let queue = TxQueue::new(self, index)?;
        // SAFETY: The device has such private data, and is registered as long as it polls and is
        // called. The queue's lock makes access to the slot exclusive.
        unsafe {
            let private = &*Private::<T>::of(self);
            let slot = private.tx.get(usize::from(index))?;
            bindings::__netif_tx_lock(queue.as_raw());
            let result = (*slot.get()).as_mut().map(|state| f(queue, state));
            bindings::__netif_tx_unlock(queue.as_raw());
            result
        }
    }

    /// The shared state of the driver `T`, when the device is one of `T`'s and registered.
    ///
    /// A `NetDevice` that code outside of the driver can name is one that it holds a reference to,
    /// or that it found in the RCU read-side section it is in; `unregister_netdev` waits for both.
    pub(crate) fn driver_data<T: Operations>(&self) -> Option<&Arc<T>> {
        // SAFETY: By the type invariant. `netdev_ops` is written before registration.
        let ops = unsafe { (*self.as_raw()).netdev_ops };
        if !core::ptr::eq(ops, VTable::<T>::ops()) {
            return None;
        }
        // SAFETY: A device with these operations has such private data as long as it is registered,
        // and `unregister_netdev` waits for the caller's reference or RCU section.
        Some(unsafe { &(*Private::<T>::of(self)).data })
    }
}

/// Memory of a device. Freed with the last reference.
///
/// # Invariants
///
/// `raw` is an allocated `net_device`. It is not registered once this is dropped.
pub struct Allocation {
    raw: NonNull<bindings::net_device>,
}

// SAFETY: As for `NetDevice`.
unsafe impl Send for Allocation {}
// SAFETY: As above.
unsafe impl Sync for Allocation {}

impl Allocation {
    /// The device.
    #[inline]
    pub fn device(&self) -> &NetDevice {
        // SAFETY: By the type invariant.
        unsafe { NetDevice::from_raw(self.raw.as_ptr()) }
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; nothing refers to the device any more.
        unsafe { bindings::free_netdev(self.raw.as_ptr()) }
    }
}
