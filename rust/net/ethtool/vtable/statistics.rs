// SPDX-License-Identifier: GPL-2.0

//! Callbacks for statistics and string sets.

use super::{
    slice_mut,
    VTable, //
};
use crate::{
    bindings,
    net::{
        device::{
            control_callbacks,
            Control, //
        },
        ethtool::{
            operations::Operations,
            statistics::Names, //
        }, //
    }, //
};
use kernel::{
    ffi::c_int,
    prelude::*, //
};

impl<T: Operations> VTable<T> {
    /// Number of strings in string set `set`.
    fn count(cx: &mut Control<'_, T>, set: u32) -> Result<usize> {
        match set {
            bindings::ethtool_stringset_ETH_SS_STATS => Ok(T::statistic_count(cx)),
            bindings::ethtool_stringset_ETH_SS_PRIV_FLAGS => Ok(T::PRIVATE_FLAGS.len()),
            _ => Err(EOPNOTSUPP),
        }
    }

    control_callbacks! {
        /// Number of strings in a set.
        pub(super) fn get_sset_count(cx, set: val c_int) -> Result<c_int> {
            // CAST: sets have small, positive numbers, and are small.
            Self::count(cx, set as u32).map(|count| count as c_int)
        }

        /// `data` has room for the number of strings that [`Self::get_sset_count`] returns.
        pub(super) fn get_strings(cx, set: val u32, data: val *mut u8) {
            let count = Self::count(cx, set).unwrap_or(0);
            // SAFETY: The core allocated room for that many.
            let mut names = unsafe { Names::new(data, count) };
            if set == bindings::ethtool_stringset_ETH_SS_STATS {
                T::statistic_names(cx, &mut names);
            } else {
                for name in T::PRIVATE_FLAGS {
                    names.push(fmt!("{}", *name));
                }
            }
        }

        /// `data` has room for `n_stats` values.
        pub(super) fn get_ethtool_stats(
            cx,
            stats: mut bindings::ethtool_stats,
            data: val *mut u64,
        ) {
            // SAFETY: The core allocated room for that many.
            let values = unsafe { slice_mut(data, stats.n_stats as usize) };
            T::statistics(cx, values)
        }

        /// Size of the register dump in bytes.
        pub(super) fn get_regs_len(_cx) -> Result<c_int> {
            // CAST: a function has few registers.
            Ok((T::REGISTERS * size_of::<u32>()) as c_int)
        }

        /// `data` has room for [`Self::get_regs_len`] bytes.
        pub(super) fn get_regs(
            cx,
            regs: mut bindings::ethtool_regs,
            data: val *mut kernel::ffi::c_void,
        ) {
            regs.version = T::REGISTERS_VERSION;
            // SAFETY: The core allocated room for that many, aligned to pages.
            let values = unsafe { slice_mut(data.cast::<u32>(), T::REGISTERS) };
            T::registers(cx, values)
        }

        /// The core passes unset statistics.
        pub(super) fn get_eth_mac_stats(cx, statistics: mut bindings::ethtool_eth_mac_stats) {
            // SAFETY: Both variants of the union are the same 64-bit values.
            let statistics = unsafe { &mut statistics.__bindgen_anon_1.__bindgen_anon_1 };
            T::mac_statistics(cx, statistics)
        }

        /// The core passes unset statistics.
        pub(super) fn get_rmon_stats(
            cx,
            statistics: mut bindings::ethtool_rmon_stats,
            ranges: mut *const bindings::ethtool_rmon_hist_range,
        ) {
            let groups = const {
                assert!(!T::SIZES.is_empty());
                assert!(T::SIZES.len() <= bindings::ETHTOOL_RMON_HIST_MAX as usize);
                T::SIZES.len() - 1
            };
            // SAFETY: Both variants of the union are the same 64-bit values.
            let statistics = unsafe { &mut statistics.__bindgen_anon_1.__bindgen_anon_1 };
            let received = &mut statistics.hist[..groups];
            T::size_statistics(cx, received, &mut statistics.hist_tx[..groups]);
            // The list lives as long as the module; `SizeRange` is transparent.
            *ranges = T::SIZES.as_ptr().cast();
        }
    }
}
