// SPDX-License-Identifier: GPL-2.0

//! `struct ethtool_ops` of a driver.

mod rss;
mod rules;
mod settings;
mod statistics;

use super::operations::Operations;
use crate::{
    bindings,
    net::device::Unregistered, //
};
use core::marker::PhantomData;

/// The operations of `T` as the core calls them: for devices whose
/// [`Registration<T>`](crate::net::device::Registration) is alive, with the instance lock held unless
/// stated otherwise.
struct VTable<T: Operations>(PhantomData<T>);

/// Settable ring parameters besides the sizes.
const RING_PARAMETERS: u32 = bindings::ethtool_supported_ring_param_ETHTOOL_RING_USE_TCP_DATA_SPLIT
    | bindings::ethtool_supported_ring_param_ETHTOOL_RING_USE_HDS_THRS;

/// The bit fields of `struct ethtool_ops`: `supported_input_xfrm` is the first byte;
/// `rxfh_per_ctx_fields` and `rxfh_per_ctx_key` are bits 1 and 2 of the second.
const CAPABILITIES: bindings::__BindgenBitfieldUnit<[u8; 2]> =
    bindings::__BindgenBitfieldUnit::new([bindings::RXH_XFRM_SYM_XOR as u8, 0b110]);

impl<T: Operations> VTable<T> {
    const OPS: bindings::ethtool_ops = bindings::ethtool_ops {
        supported_coalesce_params: bindings::ETHTOOL_COALESCE_RX_USECS
            | bindings::ETHTOOL_COALESCE_RX_MAX_FRAMES,
        supported_ring_params: RING_PARAMETERS,
        _bitfield_1: CAPABILITIES,
        rxfh_max_num_contexts: T::CONTEXTS,
        // The RTNL protects the link watch, which `ethtool_op_get_link` reads, and the qdiscs, which a
        // change of the number of queues affects.
        op_needs_rtnl: bindings::ETHTOOL_OP_NEEDS_RTNL_GLINK
            | bindings::ETHTOOL_OP_NEEDS_RTNL_SCHANNELS,
        get_link: Some(bindings::ethtool_op_get_link),
        get_link_ksettings: Some(Self::get_link_ksettings),
        get_channels: Some(Self::get_channels),
        set_channels: Some(Self::set_channels),
        get_ringparam: Some(Self::get_ringparam),
        set_ringparam: Some(Self::set_ringparam),
        get_coalesce: Some(Self::get_coalesce),
        set_coalesce: Some(Self::set_coalesce),
        get_priv_flags: Some(Self::get_priv_flags),
        set_priv_flags: Some(Self::set_priv_flags),
        get_sset_count: Some(Self::get_sset_count),
        get_strings: Some(Self::get_strings),
        get_ethtool_stats: Some(Self::get_ethtool_stats),
        get_rx_ring_count: Some(Self::get_rx_ring_count),
        get_rxnfc: Some(Self::get_rxnfc),
        set_rxnfc: Some(Self::set_rxnfc),
        get_rxfh_key_size: Some(Self::get_rxfh_key_size),
        get_rxfh_indir_size: Some(Self::get_rxfh_indir_size),
        get_rxfh: Some(Self::get_rxfh),
        set_rxfh: Some(Self::set_rxfh),
        get_rxfh_fields: Some(Self::get_rxfh_fields),
        set_rxfh_fields: Some(Self::set_rxfh_fields),
        create_rxfh_context: Some(Self::create_rxfh_context),
        modify_rxfh_context: Some(Self::modify_rxfh_context),
        remove_rxfh_context: Some(Self::remove_rxfh_context),
        get_regs_len: Some(Self::get_regs_len),
        get_regs: Some(Self::get_regs),
        get_ts_info: Some(bindings::ethtool_op_get_ts_info),
        get_eth_mac_stats: Some(Self::get_eth_mac_stats),
        get_rmon_stats: Some(Self::get_rmon_stats),
        ..pin_init::zeroed()
    };
}

impl<T: Operations> Unregistered<'_, T> {
    /// Adds the driver's `ethtool` operations to the device.
    pub fn set_ethtool(&mut self) {
        let raw = self.raw();
        // SAFETY: The device is allocated and not registered.
        unsafe { (*raw).ethtool_ops = &VTable::<T>::OPS };
    }
}

/// A slice of `len` values at `data`, empty when `data` is null.
///
/// # Safety
///
/// `data` must be null, or valid for `len` values that nothing else uses for `'a`.
unsafe fn slice_mut<'a, V>(data: *mut V, len: usize) -> &'a mut [V] {
    if data.is_null() {
        return &mut [];
    }
    // SAFETY: The caller promises it.
    unsafe { core::slice::from_raw_parts_mut(data, len) }
}

#[kernel::macros::kunit_tests(toe_net_ethtool)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_where_c_has_them() {
        let ops = bindings::ethtool_ops {
            _bitfield_1: CAPABILITIES,
            ..pin_init::zeroed()
        };
        assert_eq!(ops.supported_input_xfrm(), bindings::RXH_XFRM_SYM_XOR);
        assert_eq!(ops.cap_link_lanes_supported(), 0);
        assert_eq!(ops.rxfh_per_ctx_fields(), 1);
        assert_eq!(ops.rxfh_per_ctx_key(), 1);
        assert_eq!(ops.cap_rss_rxnfc_adds(), 0);
    }
}
