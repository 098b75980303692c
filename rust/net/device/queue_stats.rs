// SPDX-License-Identifier: GPL-2.0

//! `struct netdev_stat_ops` of a driver.
//!
//! C header: [`include/net/netdev_queues.h`](srctree/include/net/netdev_queues.h)

use super::{
    operations::Operations,
    state::Private, //
};
use crate::{
    bindings,
    net::stats::{
        RxQueueStats,
        TxQueueStats, //
    }, //
};
use kernel::ffi::c_int;

/// The statistics operations of `T` as the core calls them: for devices whose
/// [`super::Registration<T>`] is alive, and queues that exist.
pub(super) const fn ops<T: Operations>() -> bindings::netdev_stat_ops {
    bindings::netdev_stat_ops {
        get_queue_stats_rx: Some(rx::<T>),
        get_queue_stats_tx: Some(tx::<T>),
        get_base_stats: Some(base::<T>),
    }
}

/// # Safety
///
/// As for [`ops`]; `stats` must be valid.
unsafe extern "C" fn rx<T: Operations>(
    dev: *mut bindings::net_device,
    index: c_int,
    stats: *mut RxQueueStats,
) {
    // SAFETY: The caller promises it. CAST: an existing queue.
    unsafe {
        let data = &Private::<T>::state(dev).data;
        data.rx_queue_stats(index as usize, &mut *stats)
    }
}

/// # Safety
///
/// As for [`ops`]; `stats` must be valid.
unsafe extern "C" fn tx<T: Operations>(
    dev: *mut bindings::net_device,
    index: c_int,
    stats: *mut TxQueueStats,
) {
    // SAFETY: The caller promises it. CAST: an existing queue.
    unsafe {
        let data = &Private::<T>::state(dev).data;
        data.tx_queue_stats(index as usize, &mut *stats)
    }
}

/// Reports what queues counted that are no longer in use.
///
/// # Safety
///
/// As for [`ops`]; `rx_stats` and `tx_stats` must be valid and unset.
unsafe extern "C" fn base<T: Operations>(
    dev: *mut bindings::net_device,
    rx_stats: *mut RxQueueStats,
    tx_stats: *mut TxQueueStats,
) {
    // SAFETY: The caller promises it. Both structures consist of 64-bit values.
    unsafe {
        // All queues report the same statistics: those that the first one sets start at 0.
        rx::<T>(dev, 0, rx_stats);
        tx::<T>(dev, 0, tx_stats);
        clear_reported(&mut *rx_stats.cast::<[u64; size_of::<RxQueueStats>() / 8]>());
        clear_reported(&mut *tx_stats.cast::<[u64; size_of::<TxQueueStats>() / 8]>());
        bindings::netdev_stat_queue_sum(
            dev,
            (*dev).real_num_rx_queues as c_int,
            (*dev).num_rx_queues as c_int,
            rx_stats,
            (*dev).real_num_tx_queues as c_int,
            (*dev).num_tx_queues as c_int,
            tx_stats,
        );
    }
}

/// Sets those statistics to 0 that are not `NETDEV_STAT_NOT_SET`.
fn clear_reported(statistics: &mut [u64]) {
    for value in statistics.iter_mut().filter(|value| **value != u64::MAX) {
        *value = 0;
    }
}

#[kernel::macros::kunit_tests(toe_net_queue_stats)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_64_bit_values() {
        // `base` takes the structures for arrays.
        assert_eq!(size_of::<RxQueueStats>() % 8, 0);
        assert_eq!(size_of::<TxQueueStats>() % 8, 0);
        assert_eq!(align_of::<RxQueueStats>(), align_of::<u64>());
        let unset = RxQueueStats {
            packets: 0,
            ..Default::default()
        };
        // SAFETY: As in `base`.
        let values: [u64; size_of::<RxQueueStats>() / 8] =
            unsafe { core::mem::transmute_copy(&unset) };
        assert!(values.iter().all(|&value| value == 0));
    }
}
