// SPDX-License-Identifier: GPL-2.0

//! `struct net_device_ops` of a driver.

use super::{
    callback::control_callbacks,
    operations::Operations,
    rx_mode::{
        Addresses,
        RxMode, //
    },
    state::Private, //
};
use crate::{
    bindings,
    net::{
        netdev::NetDevice,
        queue::{
            LockedTxQueue,
            TxQueue, //
        },
        skb::{
            DropReason,
            SkBuff,
            SkBuffRef, //
        },
        stats::LinkStats, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    ffi::{
        c_int,
        c_uint,
        c_ulong,
        c_void, //
    },
    prelude::*, //
};

/// The operations of `T` as the core calls them.
///
/// # Safety
///
/// The callbacks are for devices whose [`super::Registration<T>`] is alive. The core calls them with
/// the arguments, and under the locks, that `struct net_device_ops` documents.
pub(super) struct VTable<T: Operations>(PhantomData<T>);

impl<T: Operations> VTable<T> {
    const OPS: bindings::net_device_ops = bindings::net_device_ops {
        ndo_open: Some(Self::open),
        ndo_stop: Some(Self::stop),
        ndo_start_xmit: Some(Self::start_xmit),
        ndo_features_check: Some(Self::features_check),
        ndo_select_queue: Some(Self::select_queue),
        ndo_set_rx_mode_async: Some(Self::set_rx_mode),
        ndo_set_mac_address: Some(Self::set_mac_address),
        ndo_validate_addr: Some(bindings::eth_validate_addr),
        ndo_change_mtu: Some(Self::change_mtu),
        ndo_fix_features: Some(Self::fix_features),
        ndo_set_features: Some(Self::set_features),
        ndo_bpf: Some(super::xdp::bpf::<T>),
        ndo_xdp_xmit: Some(super::xdp::xmit::<T>),
        ndo_tx_timeout: Some(Self::tx_timeout),
        ndo_work: Some(Self::work),
        ndo_get_stats64: Some(Self::stats),
        ..pin_init::zeroed()
    };

    /// `OPS` at one address, which identifies devices of `T`: a constant may be promoted several
    /// times.
    #[inline(never)]
    pub(super) fn ops() -> &'static bindings::net_device_ops {
        &Self::OPS
    }
}

impl<T: Operations> VTable<T> {
    control_callbacks! {
        /// `ndo_open`.
        fn open(cx) -> Result {
            T::open(cx)
        }

        /// `ndo_stop`.
        fn stop(cx) -> Result {
            T::stop(cx);
            Ok(())
        }

        /// `ndo_set_rx_mode_async`. The lists are snapshots for this call.
        fn set_rx_mode(
            cx,
            unicast: val *mut bindings::netdev_hw_addr_list,
            multicast: val *mut bindings::netdev_hw_addr_list,
        ) -> Result {
            // SAFETY: The device is registered, and the lists are valid and stay as they are.
            let mode = unsafe {
                let flags = (*cx.device().as_raw()).flags;
                RxMode {
                    promiscuous: flags & bindings::net_device_flags_IFF_PROMISC != 0,
                    all_multicast: flags & bindings::net_device_flags_IFF_ALLMULTI != 0,
                    unicast: Addresses::new(unicast),
                    multicast: Addresses::new(multicast),
                }
            };
            T::set_rx_mode(cx, mode)
        }

        /// `ndo_set_mac_address`. `address` is a `sockaddr` of the device's address length.
        fn set_mac_address(cx, address: val *mut c_void) -> Result {
            let dev = cx.device().as_raw();
            // SAFETY: The device is an Ethernet device, whose instance lock is held, and the address
            // is valid.
            unsafe {
                to_result(bindings::eth_prepare_mac_addr_change(dev, address))?;
                let mac: [u8; 6] =
                    *(&raw const (*address.cast::<bindings::sockaddr>()).sa_data).cast();
                T::set_mac_address(cx, mac)?;
                bindings::eth_hw_addr_set(dev, mac.as_ptr());
            }
            Ok(())
        }

        /// `ndo_change_mtu`. The core has checked the limits.
        fn change_mtu(cx, mtu: val c_int) -> Result {
            // CAST: within the limits.
            let mtu = mtu as c_uint;
            T::change_mtu(cx, mtu)?;
            // SAFETY: The device is registered and its instance lock held; others read it without a
            // lock.
            unsafe { core::ptr::write_volatile(&raw mut (*cx.device().as_raw()).mtu, mtu) };
            Ok(())
        }

        /// `ndo_set_features`.
        fn set_features(cx, features: val u64) -> Result {
            T::set_features(cx, features)
        }

        /// `ndo_work`.
        fn work(cx, events: val c_ulong) {
            T::work(cx, events)
        }
    }
}

#[expect(
    clippy::missing_safety_doc,
    reason = "the type documents it for all callbacks"
)]
impl<T: Operations> VTable<T> {
    unsafe extern "C" fn start_xmit(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
    ) -> bindings::netdev_tx_t {
        // SAFETY: The core hands over a valid skb with its queue set, which has no other reference,
        // since `IFF_TX_SKB_SHARING` is not set, and holds that queue's transmit lock.
        unsafe {
            let state = Private::<T>::state(dev);
            let skb = SkBuff::from_raw(NonNull::new_unchecked(skb));
            match TxQueue::new(NetDevice::from_raw(dev), skb.queue_mapping()) {
                Some(queue) => {
                    let queue = LockedTxQueue::assume_locked(queue);
                    let more = bindings::netdev_xmit_more();
                    let mut skb = Some(skb);
                    let _ = state.with_tx_queue(&queue, |tx| {
                        if let Some(skb) = skb.take() {
                            state.data.start_xmit(&queue, tx, skb, more);
                        }
                    });
                    if let Some(skb) = skb {
                        skb.drop_with(DropReason::DevReady);
                    }
                }
                None => skb.drop_with(DropReason::DevReady),
            }
        }
        bindings::netdev_tx_NETDEV_TX_OK
    }

    unsafe extern "C" fn features_check(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
        features: u64,
    ) -> u64 {
        // SAFETY: The core lends a valid skb.
        unsafe {
            let skb = SkBuffRef::from_raw(NonNull::new_unchecked(skb));
            // The core does this for devices without the operation: a second tag excludes most
            // features.
            let features = bindings::vlan_features_check(skb.as_raw(), features);
            let data = &Private::<T>::state(dev).data;
            data.features_check(NetDevice::from_raw(dev), &skb, features)
        }
    }

    unsafe extern "C" fn select_queue(
        dev: *mut bindings::net_device,
        skb: *mut bindings::sk_buff,
        sb_dev: *mut bindings::net_device,
    ) -> u16 {
        // SAFETY: The core lends a valid skb.
        unsafe {
            let data = &Private::<T>::state(dev).data;
            let chosen = data.select_queue(&SkBuffRef::from_raw(NonNull::new_unchecked(skb)));
            chosen.unwrap_or_else(|| bindings::netdev_pick_tx(dev, skb, sb_dev))
        }
    }

    unsafe extern "C" fn fix_features(dev: *mut bindings::net_device, features: u64) -> u64 {
        // SAFETY: As the type says.
        unsafe { Private::<T>::state(dev).data.fix_features(features) }
    }

    unsafe extern "C" fn tx_timeout(dev: *mut bindings::net_device, index: c_uint) {
        // SAFETY: As the type says.
        unsafe {
            // CAST: an existing queue.
            if let Some(queue) = TxQueue::new(NetDevice::from_raw(dev), index as u16) {
                Private::<T>::state(dev).data.tx_timeout(queue);
            }
        }
    }

    unsafe extern "C" fn stats(dev: *mut bindings::net_device, stats: *mut LinkStats) {
        // SAFETY: The core passes zeroed statistics.
        unsafe { Private::<T>::state(dev).data.stats(&mut *stats) }
    }
}
