// SPDX-License-Identifier: GPL-2.0

//! The lifecycle of a device: allocated, set up, registered, unregistered.

use super::{
    operations::Operations,
    queue_management::{
        self,
        QueueManagement, //
    },
    queue_stats,
    state::{
        Private,
        State, //
    },
    vtable::VTable, //
};
use crate::{
    bindings,
    net::netdev::Allocation,
    util::device::raw_device, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    devres::Devres,
    error::to_result,
    ffi::c_int,
    prelude::*,
    sync::Arc, //
};

/// A device that is not registered yet.
///
/// # Invariants
///
/// `dev` is allocated for the driver `T` below `parent`, not registered and without state.
///
/// # Examples
///
/// An interface for an existing driver, with one queue pair:
///
/// ```
/// use crate::net::{
///     device::{
///         Operations,
///         Registration,
///         Unregistered, //
///     },
///     netdev::feature, //
/// };
/// use kernel::{
///     device,
///     prelude::*,
///     sync::Arc, //
/// };
///
/// fn probe<T: Operations>(
///     parent: &device::Device<device::Bound>,
///     driver: Arc<T>,
///     control: T::Control,
/// ) -> Result<Registration<T>> {
///     let mut dev = Unregistered::<T>::new(parent, 1)?;
///     dev.set_mac([0; 6]);
///     dev.set_mtu(1500, 68, 9000);
///     dev.set_features(feature::SG, feature::SG, feature::SG);
///     dev.register(driver, control)
/// }
/// ```
pub struct Unregistered<'a, T: Operations> {
    dev: Arc<Allocation>,
    parent: &'a device::Device<Bound>,
    _driver: PhantomData<T>,
}

impl<'a, T: Operations> Unregistered<'a, T> {
    /// Allocates an Ethernet device with `queues` queue pairs below `parent`.
    pub fn new(parent: &'a device::Device<Bound>, queues: u16) -> Result<Self> {
        const {
            // NETDEV_ALIGN, which `alloc_netdev_mqs` guarantees.
            assert!(align_of::<Private<T>>() <= 32);
        }
        // SAFETY: No preconditions.
        let raw = unsafe {
            bindings::alloc_etherdev_mqs(
                size_of::<Private<T>>() as c_int,
                queues.into(),
                queues.into(),
            )
        };
        let raw = NonNull::new(raw).ok_or(ENOMEM)?;
        // SAFETY: The device is newly allocated, and nothing else refers to it.
        let allocation = unsafe {
            Private::<T>::init(raw.as_ptr());
            bindings::set_netdev_dev(raw.as_ptr(), raw_device(parent));
            bindings::netdev_lockdep_set_classes(raw.as_ptr());
            bindings::netdev_set_capabilities(raw.as_ptr());
            bindings::xdp_set_capabilities(raw.as_ptr());
            let dev = &mut *raw.as_ptr();
            dev.netdev_ops = VTable::<T>::ops();
            dev.stat_ops = const { &queue_stats::ops::<T>() };
            dev.request_ops_lock = true;
            // One CPU for each NAPI instance's interrupt, unless the user sets others.
            bindings::netif_set_affinity_auto(raw.as_ptr());
            Allocation::from_raw(raw)
        };
        // INVARIANT: As allocated just now.
        Ok(Self {
            dev: Arc::new(allocation, GFP_KERNEL)?,
            parent,
            _driver: PhantomData,
        })
    }

    /// The allocation, for objects that are added to the device before it is registered.
    pub fn allocation(&self) -> &Arc<Allocation> {
        &self.dev
    }

    /// The `net_device`, to set up.
    pub(in crate::net) fn raw(&mut self) -> *mut bindings::net_device {
        self.dev.device().as_raw()
    }

    /// Sets the permanent MAC address, or a random one when `mac` is not valid.
    pub fn set_mac(&mut self, mac: [u8; 6]) {
        let raw = self.raw();
        // SAFETY: The device is allocated and not registered.
        unsafe {
            if bindings::is_valid_ether_addr(mac.as_ptr()) {
                bindings::eth_hw_addr_set(raw, mac.as_ptr());
            } else {
                bindings::eth_hw_addr_random(raw);
            }
        }
    }

    /// Sets the initial MTU and its limits, in bytes.
    pub fn set_mtu(&mut self, mtu: u32, min: u32, max: u32) {
        let raw = self.raw();
        // SAFETY: The device is allocated and not registered.
        unsafe {
            (*raw).mtu = mtu;
            (*raw).min_mtu = min;
            (*raw).max_mtu = max;
        }
    }

    /// Sets features ([`feature`](crate::net::netdev::feature)): those that are active, those of them
    /// that the user can switch, and those that VLAN devices on top inherit.
    pub fn set_features(&mut self, features: u64, switchable: u64, vlan: u64) {
        let raw = self.raw();
        // SAFETY: The device is allocated and not registered.
        unsafe {
            (*raw).features = features;
            (*raw).hw_features = switchable;
            (*raw).vlan_features = vlan;
        }
    }

    /// Sets the size in bytes up to which frames are not split into header and data (`hds-thresh`).
    pub fn set_split_threshold(&mut self, bytes: u32) {
        let raw = self.raw();
        // SAFETY: The configuration belongs to the allocated device.
        unsafe { (*(*raw).cfg).hds_thresh = bytes };
    }

    /// Sets the time in milliseconds after which a stopped queue is reported to
    /// [`Operations::tx_timeout`].
    pub fn set_watchdog(&mut self, msecs: u32) {
        let raw = self.raw();
        // SAFETY: The device is allocated and not registered. CAST: some seconds are few jiffies.
        unsafe { (*raw).watchdog_timeo = kernel::time::msecs_to_jiffies(msecs) as i32 };
    }

    /// Adds operations on single queue pairs.
    pub fn set_queue_management(&mut self)
    where
        T: QueueManagement,
    {
        let raw = self.raw();
        // SAFETY: The device is allocated and not registered.
        unsafe { (*raw).queue_mgmt_ops = &queue_management::VTable::<T>::OPS };
    }

    /// The MAC address.
    pub fn mac(&mut self) -> [u8; 6] {
        let raw = self.raw();
        // SAFETY: The device is an Ethernet device.
        unsafe { *(*raw).dev_addr.cast() }
    }

    /// Registers the device: from now on its operations are called.
    pub fn register(self, data: Arc<T>, control: T::Control) -> Result<Registration<T>> {
        let queues = self.dev.device().num_tx_queues();
        let state = State::new(data, control, queues)?;
        let registered = Registered::<T>::new(self.dev, state)?;
        Ok(Registration {
            _registered: Devres::new(self.parent, registered)?,
        })
    }
}

/// A registered device.
///
/// # Invariants
///
/// `dev` has state, and is registered from the end of [`Self::new`] until this is dropped.
struct Registered<T: Operations> {
    dev: Arc<Allocation>,
    _driver: PhantomData<T>,
}

// SAFETY: All of the driver's state is `Send`, and the device not bound to a thread.
unsafe impl<T: Operations> Send for Registered<T> {}
// SAFETY: A reference gives access to the device only, which is `Sync`.
unsafe impl<T: Operations> Sync for Registered<T> {}

impl<T: Operations> Registered<T> {
    /// Registers `dev`, a device of [`Unregistered<T>`], with `state`.
    fn new(dev: Arc<Allocation>, state: State<T>) -> Result<Self> {
        let raw = dev.device().as_raw();
        // SAFETY: The device is allocated for `T`, not registered and without state. The state stays
        // as long as it is registered. The state of the link is unknown.
        unsafe {
            let private = Private::<T>::of(dev.device());
            private.install(state);
            bindings::netif_carrier_off(raw);
            if let Err(error) = to_result(bindings::register_netdev(raw)) {
                private.remove();
                return Err(error);
            }
        }
        // INVARIANT: Registered just now.
        Ok(Self {
            dev,
            _driver: PhantomData,
        })
    }
}

impl<T: Operations> Drop for Registered<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. After `unregister_netdev` no operation runs or is called.
        unsafe {
            bindings::unregister_netdev(self.dev.device().as_raw());
            Private::<T>::of(self.dev.device()).remove();
        }
    }
}

/// A registered device. Dropping it brings the interface down, unregisters it and drops the driver's
/// state. If it is leaked, that happens when the parent is unbound.
pub struct Registration<T: Operations> {
    _registered: Devres<Registered<T>>,
}
