// SPDX-License-Identifier: GPL-2.0

//! Callbacks for receive side scaling.

use super::{
    slice_mut,
    VTable, //
};
use crate::{
    bindings,
    net::{
        device::{
            control_callbacks,
            IntoC,
            Private, //
        },
        ethtool::{
            operations::Operations,
            rss::{
                Flow,
                HashFields,
                RssChange, //
            }, //
        }, //
    }, //
};
use kernel::{
    ffi::c_int,
    prelude::*, //
};

// The keys and tables that the core passes are null, or of the lengths that `get_rxfh_key_size` and
// `get_rxfh_indir_size` return.
impl<T: Operations> VTable<T> {
    /// Length of the key. Needs no lock.
    pub(super) extern "C" fn get_rxfh_key_size(_dev: *mut bindings::net_device) -> u32 {
        T::KEY_SIZE as u32
    }

    /// Length of the indirection table. Needs no lock.
    pub(super) extern "C" fn get_rxfh_indir_size(_dev: *mut bindings::net_device) -> u32 {
        T::INDIRECTION as u32
    }

    control_callbacks! {
        /// Number of receive rings.
        pub(super) fn get_rx_ring_count(cx) -> u32 {
            T::channels(cx).count
        }

        /// The default context.
        pub(super) fn get_rxfh(cx, param: mut bindings::ethtool_rxfh_param) -> Result {
            // SAFETY: Null, or of these lengths.
            let (key, table) = unsafe {
                (slice_mut(param.key, T::KEY_SIZE), slice_mut(param.indir, T::INDIRECTION))
            };
            param.hfunc = bindings::ETH_RSS_HASH_TOP as u8;
            param.input_xfrm = input_xfrm(T::rss(cx, 0, key, table)?);
            Ok(())
        }

        /// The default context.
        pub(super) fn set_rxfh(
            cx,
            param: mut bindings::ethtool_rxfh_param,
            _extack: val *mut bindings::netlink_ext_ack,
        ) -> Result {
            // SAFETY: Key and table are null, or of the right lengths.
            T::set_rss(cx, 0, unsafe { Self::change(param)? })
        }

        /// The core keeps a copy of key and table in `context`, which has room for both.
        pub(super) fn create_rxfh_context(
            cx,
            context: mut bindings::ethtool_rxfh_context,
            param: const bindings::ethtool_rxfh_param,
            _extack: val *mut bindings::netlink_ext_ack,
        ) -> Result {
            let number = param.rss_context;
            // SAFETY: Key and table are null, or of the right lengths.
            T::create_context(cx, number, unsafe { Self::change(param)? })?;
            // SAFETY: The context is valid, with room for key and table.
            let (key, table) = unsafe {
                (
                    slice_mut(bindings::ethtool_rxfh_context_key(context), T::KEY_SIZE),
                    slice_mut(bindings::ethtool_rxfh_context_indir(context), T::INDIRECTION),
                )
            };
            context.input_xfrm = input_xfrm(T::rss(cx, number, key, table)?);
            context.hfunc = bindings::ETH_RSS_HASH_TOP as u8;
            Ok(())
        }

        /// Another context.
        pub(super) fn modify_rxfh_context(
            cx,
            _context: val *mut bindings::ethtool_rxfh_context,
            param: const bindings::ethtool_rxfh_param,
            _extack: val *mut bindings::netlink_ext_ack,
        ) -> Result {
            // SAFETY: Key and table are null, or of the right lengths.
            T::set_rss(cx, param.rss_context, unsafe { Self::change(param)? })
        }

        /// Hash fields.
        pub(super) fn get_rxfh_fields(cx, fields: mut bindings::ethtool_rxfh_fields) -> Result {
            let hashed = match (Flow::from_raw(fields.flow_type), fields.flow_type) {
                (Some(flow), _) => T::hash_fields(cx, fields.rss_context, flow)?.raw(),
                (None, bindings::IPV4_FLOW | bindings::IPV6_FLOW) => HashFields::IP.raw(),
                _ => 0,
            };
            fields.data = hashed;
            Ok(())
        }

        /// Hash fields.
        pub(super) fn set_rxfh_fields(
            cx,
            fields: const bindings::ethtool_rxfh_fields,
            _extack: val *mut bindings::netlink_ext_ack,
        ) -> Result {
            let flow = Flow::from_raw(fields.flow_type).ok_or(EOPNOTSUPP)?;
            let hashed = HashFields::from_raw(fields.data).ok_or(EOPNOTSUPP)?;
            T::set_hash_fields(cx, fields.rss_context, flow, hashed)
        }
    }

    /// Removes a context.
    ///
    /// # Safety
    ///
    /// `dev` must be a device of `T` whose registration is alive. `netdev_rss_contexts_free()` calls
    /// this without the instance lock.
    pub(super) unsafe extern "C" fn remove_rxfh_context(
        dev: *mut bindings::net_device,
        _context: *mut bindings::ethtool_rxfh_context,
        number: u32,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: The caller promises it.
        let data = unsafe { &Private::<T>::state(dev).data };
        data.remove_context(number).into_c()
    }

    /// The requested changes.
    ///
    /// # Errors
    ///
    /// [`EOPNOTSUPP`] for another hash function.
    ///
    /// # Safety
    ///
    /// Key and table must be null or of the lengths that were reported, and valid for `'a`.
    unsafe fn change<'a>(param: &'a bindings::ethtool_rxfh_param) -> Result<RssChange<'a>> {
        let top = bindings::ETH_RSS_HASH_TOP as u8;
        if param.hfunc != 0 && param.hfunc != top {
            return Err(EOPNOTSUPP);
        }
        // SAFETY: The caller promises it.
        let (key, table) = unsafe {
            (
                (!param.key.is_null()).then(|| &*slice_mut(param.key, T::KEY_SIZE)),
                (!param.indir.is_null()).then(|| &*slice_mut(param.indir, T::INDIRECTION)),
            )
        };
        Ok(RssChange {
            key,
            table,
            symmetric: match param.input_xfrm.into() {
                bindings::RXH_XFRM_NO_CHANGE => None,
                xfrm => Some(xfrm & bindings::RXH_XFRM_SYM_XOR != 0),
            },
        })
    }
}

/// The transformation of the hash input (`RXH_XFRM_*`).
fn input_xfrm(symmetric: bool) -> u8 {
    // CAST: a bit of the low byte.
    match symmetric {
        true => bindings::RXH_XFRM_SYM_XOR as u8,
        false => 0,
    }
}
