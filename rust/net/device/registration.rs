// SPDX-License-Identifier: GPL-2.0

//! The life of a device: allocated, equipped, registered, and taken away again.

use super::{
    control::Control,
    operations::{
        Operations,
        Private,
        VTable, //
    },
    queue_management::{
        self,
        QueueManagement, //
    },
    Allocation,
    NetDevice, //
};
use crate::{
    bindings,
    net::ethtool,
    util::device::raw_device, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    error::to_result,
    prelude::*,
    sync::Arc, //
};

/// A device that is not registered yet.
pub struct Unregistered<'a, T: Operations> {
    dev: Arc<Allocation>,
    _parent: PhantomData<&'a device::Device<Bound>>,
    _driver: PhantomData<T>,
}

impl<'a, T: QueueManagement + ethtool::Operations> Unregistered<'a, T> {
    /// Allocates an Ethernet device with `queues` queue pairs below `parent`.
    pub fn new(parent: &'a device::Device<Bound>, queues: u16) -> Result<Self> {
        const {
            // NETDEV_ALIGN, what `alloc_netdev_mqs` guarantees.
            assert!(align_of::<Private<T>>() <= 32);
        }
        // SAFETY: No preconditions. A failure is null, not an error pointer.
        let raw = unsafe {
            bindings::alloc_etherdev_mqs(
                size_of::<Private<T>>() as c_int,
                queues.into(),
                queues.into(),
            )
        };
        let raw = NonNull::new(raw).ok_or(ENOMEM)?;
        // INVARIANT: The device is allocated.
        let allocation = Allocation { raw };
        // SAFETY: The device is allocated and known to nobody else.
        unsafe {
            bindings::set_netdev_dev(raw.as_ptr(), raw_device(parent));
            bindings::netdev_lockdep_set_classes(raw.as_ptr());
            bindings::xdp_offer(raw.as_ptr());
            let dev = &mut *raw.as_ptr();
            dev.netdev_ops = VTable::<T>::ops();
            dev.stat_ops = &VTable::<T>::STAT_OPS;
            dev.queue_mgmt_ops = &queue_management::VTable::<T>::OPS;
            dev.ethtool_ops = ethtool::vtable::<T>();
            dev.request_ops_lock = true;
            // The address may change while the interface is up.
            bindings::set_live_addr_change(raw.as_ptr());
            // Interrupts of NAPI instances go to one processor each, or where the user wants them.
            bindings::netif_set_affinity_auto(raw.as_ptr());
            bindings::offer_netmem_tx(raw.as_ptr());
        }
        Ok(Self {
            dev: Arc::new(allocation, GFP_KERNEL)?,
            _parent: PhantomData,
            _driver: PhantomData,
        })
    }

    /// The allocation, for what is added to it before it is registered.
    pub fn allocation(&self) -> &Arc<Allocation> {
        &self.dev
    }

    fn raw(&mut self) -> &mut bindings::net_device {
        // SAFETY: The device is allocated, and nobody else knows it but NAPI instances, which do not
        // look at what is set here.
        unsafe { &mut *self.dev.raw.as_ptr() }
    }

    /// Sets the permanent MAC address, or a random one when `mac` is not valid.
    pub fn set_mac(&mut self, mac: [u8; 6]) {
        let raw: *mut _ = self.raw();
        // SAFETY: The device is allocated and not registered.
        unsafe {
            if bindings::is_valid_ether_addr(mac.as_ptr()) {
                bindings::eth_hw_addr_set(raw, mac.as_ptr());
            } else {
                bindings::eth_hw_addr_random(raw);
            }
        }
    }

    /// Sets the MTU that the interface starts with, and its limits.
    pub fn set_mtu(&mut self, mtu: u32, min: u32, max: u32) {
        let raw = self.raw();
        raw.mtu = mtu;
        raw.min_mtu = min;
        raw.max_mtu = max;
    }

    /// Sets the features ([`feature`]): those that are on, those of them that can be switched, and
    /// those that VLAN devices on top get.
    pub fn set_features(&mut self, features: u64, switchable: u64, vlan: u64) {
        let raw = self.raw();
        raw.features = features;
        raw.hw_features = switchable;
        raw.vlan_features = vlan;
    }

    /// Sets up to which size frames are not split into header and data (`hds-thresh`).
    pub fn set_split_threshold(&mut self, bytes: u32) {
        // SAFETY: The configuration is the allocated device's own.
        unsafe { (*self.raw().cfg).hds_thresh = bytes };
    }

    /// Sets after which time a stopped queue calls [`Operations::tx_timeout`].
    pub fn set_watchdog(&mut self, msecs: u32) {
        // CAST: some seconds are few jiffies.
        self.raw().watchdog_timeo = kernel::time::msecs_to_jiffies(msecs) as i32;
    }

    /// The MAC address.
    pub fn mac(&mut self) -> [u8; 6] {
        // SAFETY: The device is an Ethernet device.
        unsafe { *self.raw().dev_addr.cast() }
    }

    /// Registers the device: from here on its operations are called.
    pub fn register(self, data: Arc<T>, control: T::Control) -> Result<Registration<'a, T>> {
        let dev = self.dev;
        let mut tx = KVec::new();
        for _ in 0..dev.device().num_tx_queues() {
            tx.push(UnsafeCell::new(None), GFP_KERNEL)?;
        }
        let private = Private::of(dev.device());
        let state = Private {
            data,
            control: UnsafeCell::new(control),
            tx,
        };
        // SAFETY: The private area has room for it, and is unused.
        unsafe { private.write(state) };
        // INVARIANT: The private area holds the state.
        let mut registration = Registration {
            dev,
            registered: false,
            _parent: PhantomData,
            _driver: PhantomData,
        };
        let raw = registration.dev.raw.as_ptr();
        // SAFETY: The device is complete and not registered. No link is known yet.
        unsafe {
            bindings::netif_carrier_off(raw);
            to_result(bindings::register_netdev(raw))?;
        }
        // INVARIANT: The device is registered.
        registration.registered = true;
        Ok(registration)
    }
}

/// A registered device. Dropping it takes the interface down and away, then drops the driver's
/// state.
///
/// # Invariants
///
/// The device's private area holds a `Private<T>`. `registered` says whether the device is
/// registered.
pub struct Registration<'a, T: Operations> {
    dev: Arc<Allocation>,
    registered: bool,
    _parent: PhantomData<&'a device::Device<Bound>>,
    _driver: PhantomData<T>,
}

impl<'a, T: Operations> Registration<'a, T> {
    /// The device.
    pub fn device(&self) -> &NetDevice {
        self.dev.device()
    }

    /// Runs `f` with the instance lock held. In process context.
    pub fn control<R>(&self, f: impl FnOnce(&mut Control<'_, T>) -> R) -> R {
        let raw = self.dev.raw.as_ptr();
        // SAFETY: The device is registered; the lock is held around the use of the `Control`, the
        // only one.
        unsafe {
            bindings::rtnl_lock();
            bindings::netdev_lock(raw);
            let result = f(&mut Control::new(raw));
            bindings::netdev_unlock(raw);
            bindings::rtnl_unlock();
            result
        }
    }
}

impl<T: Operations> Drop for Registration<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. After `unregister_netdev` nothing refers to the device,
        // no operation runs, and none will.
        unsafe {
            if self.registered {
                bindings::unregister_netdev(self.dev.raw.as_ptr());
            }
            core::ptr::drop_in_place(Private::<T>::of(self.dev.device()));
        }
    }
}
