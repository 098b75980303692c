// SPDX-License-Identifier: GPL-2.0

//! Network devices: a borrowed [`NetDevice`], its memory ([`Allocation`]) and its instance lock
//! ([`InstanceLock`]).
//!
//! [`super::device`] builds on this what a driver implements and registers.
//!
//! C headers: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h),
//! [`include/net/netdev_lock.h`](srctree/include/net/netdev_lock.h)

use super::namespace::Namespace;
use crate::bindings;
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    ffi::c_ulong,
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
        /// Scatter-gather transmit.
        SG = NETIF_F_SG_BIT,
        /// Transmit checksum offload for any protocol.
        HW_CSUM = NETIF_F_HW_CSUM_BIT,
        /// DMA to high memory.
        HIGHDMA = NETIF_F_HIGHDMA_BIT,
        /// TCP segmentation offload over IPv4.
        TSO = NETIF_F_TSO_BIT,
        /// TCP segmentation offload over IPv6.
        TSO6 = NETIF_F_TSO6_BIT,
        /// UDP segmentation offload.
        GSO_UDP_L4 = NETIF_F_GSO_UDP_L4_BIT,
        /// Receive checksum offload.
        RXCSUM = NETIF_F_RXCSUM_BIT,
        /// Receive flow hash.
        RXHASH = NETIF_F_RXHASH_BIT,
        /// 802.1Q tag insertion on transmit.
        HW_VLAN_CTAG_TX = NETIF_F_HW_VLAN_CTAG_TX_BIT,
        /// 802.1Q tag stripping on receive.
        HW_VLAN_CTAG_RX = NETIF_F_HW_VLAN_CTAG_RX_BIT,
        /// Hardware GRO.
        GRO_HW = NETIF_F_GRO_HW_BIT,
        /// Receive flow steering rules.
        NTUPLE = NETIF_F_NTUPLE_BIT,
    }

    /// All segmentation offloads.
    pub const GSO_MASK: u64 = TSO | TSO6 | GSO_UDP_L4;
}

/// A network device (`struct net_device`).
///
/// # Invariants
///
/// A reference points to an allocated `net_device`, registered or not.
#[repr(transparent)]
pub struct NetDevice(Opaque<bindings::net_device>);

// SAFETY: `net_device` is not bound to a thread.
unsafe impl Send for NetDevice {}
// SAFETY: The methods only read fields that the core reads without a lock, or call functions that
// lock by themselves.
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
        // SAFETY: By the type invariant; constant after allocation.
        unsafe { (*self.as_raw()).num_tx_queues }
    }

    /// Number of queue pairs in use.
    #[inline]
    pub fn queues(&self) -> u32 {
        // SAFETY: By the type invariant; the core reads it without a lock, too.
        unsafe { ptr::read_volatile(&raw const (*self.as_raw()).real_num_tx_queues) }
    }

    /// Whether the user has set the RSS indirection table.
    pub fn is_rss_configured(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::netif_is_rxfh_configured(self.as_raw()) }
    }

    /// Interface index; 0 before registration.
    #[inline]
    pub fn ifindex(&self) -> u32 {
        // SAFETY: By the type invariant; written once, before registration is complete.
        // CAST: never negative.
        unsafe { (*self.as_raw()).ifindex as u32 }
    }

    /// Whether the device is in `namespace` at this moment.
    pub fn is_in(&self, namespace: &Namespace) -> bool {
        // SAFETY: By the type invariant.
        let net = unsafe { bindings::netdev_net(self.as_raw()) };
        // The device may leave its namespace at any time: the pointer is only compared.
        ptr::eq(net, namespace.as_raw())
    }

    /// Whether a tap, an XDP or tc program or netfilter has to see the frames of all IPv6, or IPv4,
    /// connections through the device.
    pub fn is_inspected(&self, ipv6: bool) -> bool {
        // SAFETY: By the type invariant.
        unsafe { !bindings::dev_observer(self.as_raw(), ipv6).is_null() }
    }

    /// MTU in bytes.
    #[inline]
    pub fn mtu(&self) -> u32 {
        // SAFETY: By the type invariant; the core reads it without a lock, too.
        unsafe { ptr::read_volatile(&raw const (*self.as_raw()).mtu) }
    }

    /// Active features ([`feature`]).
    #[inline]
    pub fn features(&self) -> u64 {
        // SAFETY: By the type invariant; the core reads it without a lock, too.
        unsafe { ptr::read_volatile(&raw const (*self.as_raw()).features) }
    }

    /// Whether the carrier is on.
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

    /// Length of the headers of the frame that starts with `bytes`, at most `bytes.len()`.
    ///
    /// A BPF flow dissector may make it any shorter length.
    #[inline]
    pub fn eth_headlen(&self, bytes: &[u8]) -> usize {
        // SAFETY: `bytes` is valid for its length, and the device by the type invariant.
        let length = unsafe {
            bindings::eth_get_headlen(self.as_raw(), bytes.as_ptr().cast(), bytes.len() as u32)
        };
        (length as usize).min(bytes.len())
    }

    /// Schedules the driver's `work` operation with `events`, bits that the driver defines. Callable
    /// from softirq and process context. Does nothing while the device is not registered: the core
    /// would queue work of a device that `register_netdevice()` has not seen yet, and does not take it
    /// back when such a device is freed.
    pub fn schedule_work(&self, events: usize) {
        // SAFETY: By the type invariant. Volatile as `READ_ONCE()`: the state changes meanwhile.
        let state = unsafe { (&raw const (*self.as_raw()).reg_state).read_volatile() };
        if u32::from(state) != bindings::netdev_reg_state_NETREG_REGISTERED {
            return;
        }
        // SAFETY: By the type invariant.
        unsafe { bindings::netdev_work_sched(self.as_raw(), events as c_ulong) }
    }
}

/// Proof that the instance lock (`netdev_lock()`) of a device is held.
///
/// # Invariants
///
/// The lock is held for `'a`.
pub struct InstanceLock<'a>(&'a NetDevice);

impl<'a> InstanceLock<'a> {
    /// # Safety
    ///
    /// The instance lock of `dev` must be held for `'a`.
    #[inline]
    pub(super) unsafe fn assume_held(dev: &'a NetDevice) -> Self {
        // INVARIANT: The caller promises it.
        Self(dev)
    }

    /// The locked device.
    #[inline]
    pub fn device(&self) -> &'a NetDevice {
        self.0
    }

    /// Whether it is the lock of `dev`.
    #[inline]
    pub(super) fn is_of(&self, dev: &Allocation) -> bool {
        ptr::eq(self.0, dev.device())
    }
}

/// Memory of a device, freed with the last reference.
///
/// # Invariants
///
/// `raw` is an allocated `net_device`. It is no longer registered when this is dropped.
pub struct Allocation {
    raw: NonNull<bindings::net_device>,
}

// SAFETY: As for `NetDevice`.
unsafe impl Send for Allocation {}
// SAFETY: As for `NetDevice`.
unsafe impl Sync for Allocation {}

impl Allocation {
    /// # Safety
    ///
    /// `raw` must be an allocated `net_device` that nothing else frees. Whoever registers it must
    /// hold a reference to the allocation until it is unregistered.
    pub(super) unsafe fn from_raw(raw: NonNull<bindings::net_device>) -> Self {
        // INVARIANT: The caller promises it.
        Self { raw }
    }

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
