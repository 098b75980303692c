// SPDX-License-Identifier: GPL-2.0

//! The operations as the core calls them.

use super::{
    Channels,
    Coalesce,
    Flow,
    FlowAction,
    FlowRule,
    HashFields,
    Names,
    Operations,
    RingChange,
    RssChange,
    NAME, //
};
use crate::{
    bindings,
    net::device::Control, //
};
use core::marker::PhantomData;
use kernel::{
    ffi::c_int,
    prelude::*, //
};

/// What can be set of the rings besides their sizes.
const RING_PARAMETERS: u32 = bindings::ethtool_supported_ring_param_ETHTOOL_RING_USE_TCP_DATA_SPLIT
    | bindings::ethtool_supported_ring_param_ETHTOOL_RING_USE_HDS_THRS;

/// The operations of `T` for a `net_device`.
pub(in super::super) fn vtable<T: Operations>() -> &'static bindings::ethtool_ops {
    &VTable::<T>::OPS
}

/// All callbacks are for devices that a [`Registration<T>`](crate::net::device::Registration)
/// registered, with the instance lock held.
struct VTable<T: Operations>(PhantomData<T>);

#[expect(
    clippy::missing_safety_doc,
    reason = "the type says it for all callbacks"
)]
impl<T: Operations> VTable<T> {
    const OPS: bindings::ethtool_ops = bindings::ethtool_ops {
        supported_coalesce_params: bindings::ETHTOOL_COALESCE_RX_USECS
            | bindings::ETHTOOL_COALESCE_RX_MAX_FRAMES,
        supported_ring_params: RING_PARAMETERS,
        // `supported_input_xfrm` is the first byte of the bit fields; in the second,
        // `rxfh_per_ctx_fields` and `rxfh_per_ctx_key` follow `cap_link_lanes_supported`.
        _bitfield_1: bindings::__BindgenBitfieldUnit::new([
            bindings::RXH_XFRM_SYM_XOR as u8,
            0b110,
        ]),
        rxfh_max_num_contexts: T::CONTEXTS,
        // `ethtool_op_get_link` looks at the link watch, a change of the number of queues at the
        // queueing disciplines: the RTNL protects both.
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
        get_eth_mac_stats: Some(Self::get_eth_mac_stats),
        get_rmon_stats: Some(Self::get_rmon_stats),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// As the type says.
    #[inline]
    unsafe fn control<R>(
        dev: *mut bindings::net_device,
        f: impl FnOnce(&mut Control<'_, T>) -> R,
    ) -> R {
        // SAFETY: The instance lock is held, by the caller's promise.
        f(&mut unsafe { Control::new(dev) })
    }

    unsafe extern "C" fn get_link_ksettings(
        dev: *mut bindings::net_device,
        settings: *mut bindings::ethtool_link_ksettings,
    ) -> c_int {
        // SAFETY: As the type says; the core gives zeroed settings.
        unsafe {
            let link = Self::control(dev, T::link_settings);
            let base = &mut (*settings).base;
            base.speed = match link.speed {
                0 => bindings::SPEED_UNKNOWN as u32,
                speed => speed,
            };
            base.duplex = bindings::DUPLEX_FULL as u8;
            base.port = bindings::PORT_OTHER as u8;
        }
        0
    }

    unsafe extern "C" fn get_channels(
        dev: *mut bindings::net_device,
        channels: *mut bindings::ethtool_channels,
    ) {
        // SAFETY: As the type says; the core gives the structure to fill in.
        unsafe {
            let Channels { count, max } = Self::control(dev, T::channels);
            (*channels).max_combined = max;
            (*channels).combined_count = count;
        }
    }

    unsafe extern "C" fn set_channels(
        dev: *mut bindings::net_device,
        channels: *mut bindings::ethtool_channels,
    ) -> c_int {
        // SAFETY: As above. The core has checked the limits.
        unsafe {
            let count = (*channels).combined_count;
            errno(Self::control(dev, |cx| T::set_channels(cx, count)))
        }
    }

    unsafe extern "C" fn get_ringparam(
        dev: *mut bindings::net_device,
        ring: *mut bindings::ethtool_ringparam,
        kernel: *mut bindings::kernel_ethtool_ringparam,
        _extack: *mut bindings::netlink_ext_ack,
    ) {
        // SAFETY: As above.
        unsafe {
            let rings = Self::control(dev, T::rings);
            (*ring).rx_max_pending = rings.rx_max;
            (*ring).rx_pending = rings.rx;
            (*ring).tx_max_pending = rings.tx_max;
            (*ring).tx_pending = rings.tx;
            (*kernel).hds_thresh_max = rings.threshold_max;
            (*kernel).tcp_data_split = match rings.split {
                true => bindings::ETHTOOL_TCP_DATA_SPLIT_ENABLED,
                false => bindings::ETHTOOL_TCP_DATA_SPLIT_DISABLED,
            };
        }
    }

    unsafe extern "C" fn set_ringparam(
        dev: *mut bindings::net_device,
        ring: *mut bindings::ethtool_ringparam,
        kernel: *mut bindings::kernel_ethtool_ringparam,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: As above. The core has checked the limits.
        unsafe {
            let change = RingChange {
                rx: (*ring).rx_pending,
                tx: (*ring).tx_pending,
                split: match (*kernel).tcp_data_split {
                    bindings::ETHTOOL_TCP_DATA_SPLIT_ENABLED => Some(true),
                    bindings::ETHTOOL_TCP_DATA_SPLIT_DISABLED => Some(false),
                    _ => None,
                },
                threshold: (*kernel).hds_thresh,
            };
            errno(Self::control(dev, |cx| T::set_rings(cx, change)))
        }
    }

    unsafe extern "C" fn get_coalesce(
        dev: *mut bindings::net_device,
        coalesce: *mut bindings::ethtool_coalesce,
        _kernel: *mut bindings::kernel_ethtool_coalesce,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: As above.
        unsafe {
            let current = Self::control(dev, T::coalesce);
            (*coalesce).rx_coalesce_usecs = current.usecs;
            (*coalesce).rx_max_coalesced_frames = current.frames;
        }
        0
    }

    unsafe extern "C" fn set_coalesce(
        dev: *mut bindings::net_device,
        coalesce: *mut bindings::ethtool_coalesce,
        _kernel: *mut bindings::kernel_ethtool_coalesce,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: As above.
        unsafe {
            let wanted = Coalesce {
                usecs: (*coalesce).rx_coalesce_usecs,
                frames: (*coalesce).rx_max_coalesced_frames,
            };
            errno(Self::control(dev, |cx| T::set_coalesce(cx, wanted)))
        }
    }

    unsafe extern "C" fn get_priv_flags(dev: *mut bindings::net_device) -> u32 {
        // SAFETY: As the type says.
        unsafe { Self::control(dev, T::private_flags) }
    }

    unsafe extern "C" fn set_priv_flags(dev: *mut bindings::net_device, flags: u32) -> c_int {
        // SAFETY: As the type says.
        errno(unsafe { Self::control(dev, |cx| T::set_private_flags(cx, flags)) })
    }

    unsafe extern "C" fn get_sset_count(dev: *mut bindings::net_device, set: c_int) -> c_int {
        match set as u32 {
            bindings::ethtool_stringset_ETH_SS_STATS => {
                // SAFETY: As the type says.
                unsafe { Self::control(dev, T::statistic_count) as c_int }
            }
            bindings::ethtool_stringset_ETH_SS_PRIV_FLAGS => T::PRIVATE_FLAGS.len() as c_int,
            _ => EOPNOTSUPP.to_errno(),
        }
    }

    unsafe extern "C" fn get_strings(dev: *mut bindings::net_device, set: u32, data: *mut u8) {
        // SAFETY: As the type says.
        let count = unsafe { Self::get_sset_count(dev, set as c_int) }.max(0) as usize;
        let mut names = Names {
            next: data,
            // SAFETY: The core has allocated as many names as `get_sset_count` said.
            end: unsafe { data.add(count * NAME) },
            _buffer: PhantomData,
        };
        if set == bindings::ethtool_stringset_ETH_SS_STATS {
            // SAFETY: As the type says.
            unsafe { Self::control(dev, |cx| T::statistic_names(cx, &mut names)) };
        } else {
            for name in T::PRIVATE_FLAGS {
                names.push(fmt!("{}", *name));
            }
        }
    }

    unsafe extern "C" fn get_ethtool_stats(
        dev: *mut bindings::net_device,
        stats: *mut bindings::ethtool_stats,
        data: *mut u64,
    ) {
        // SAFETY: As the type says; the core has allocated `n_stats` values.
        unsafe {
            let values = core::slice::from_raw_parts_mut(data, (*stats).n_stats as usize);
            Self::control(dev, |cx| T::statistics(cx, values));
        }
    }

    unsafe extern "C" fn get_rx_ring_count(dev: *mut bindings::net_device) -> u32 {
        // SAFETY: As the type says.
        unsafe { Self::control(dev, T::channels).count }
    }

    unsafe extern "C" fn get_rxfh_key_size(_dev: *mut bindings::net_device) -> u32 {
        T::KEY_SIZE as u32
    }

    unsafe extern "C" fn get_rxfh_indir_size(_dev: *mut bindings::net_device) -> u32 {
        T::INDIRECTION as u32
    }

    unsafe extern "C" fn get_rxfh(
        dev: *mut bindings::net_device,
        param: *mut bindings::ethtool_rxfh_param,
    ) -> c_int {
        // SAFETY: As the type says; key and table are null or of the lengths that we gave.
        unsafe {
            let param = &mut *param;
            param.hfunc = bindings::ETH_RSS_HASH_TOP as u8;
            let key = slice_mut(param.key, T::KEY_SIZE);
            let table = slice_mut(param.indir, T::INDIRECTION);
            match Self::control(dev, |cx| T::rss(cx, 0, key, table)) {
                Ok(symmetric) => param.input_xfrm = transform(symmetric),
                Err(error) => return error.to_errno(),
            }
        }
        0
    }

    /// What is asked for, unless it is another hash.
    ///
    /// # Safety
    ///
    /// Key and table are null or of the lengths that we gave, and valid for `'a`.
    unsafe fn change<'a>(param: &bindings::ethtool_rxfh_param) -> Result<RssChange<'a>> {
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

    unsafe extern "C" fn set_rxfh(
        dev: *mut bindings::net_device,
        param: *mut bindings::ethtool_rxfh_param,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: As above.
        errno(unsafe {
            Self::change(&*param)
                .and_then(|change| Self::control(dev, |cx| T::set_rss(cx, 0, change)))
        })
    }

    unsafe extern "C" fn create_rxfh_context(
        dev: *mut bindings::net_device,
        context: *mut bindings::ethtool_rxfh_context,
        param: *const bindings::ethtool_rxfh_param,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: As above; the context has room for a key and a table of these lengths.
        let result: Result = unsafe {
            let number = (*param).rss_context;
            Self::change(&*param).and_then(|change| {
                Self::control(dev, |cx| {
                    T::create_context(cx, number, change)?;
                    let table = bindings::ethtool_rxfh_context_indir(context);
                    let key = bindings::ethtool_rxfh_context_key(context);
                    let table = slice_mut(table, T::INDIRECTION);
                    let symmetric = T::rss(cx, number, slice_mut(key, T::KEY_SIZE), table)?;
                    (*context).hfunc = bindings::ETH_RSS_HASH_TOP as u8;
                    (*context).input_xfrm = transform(symmetric);
                    Ok(())
                })
            })
        };
        errno(result)
    }

    unsafe extern "C" fn modify_rxfh_context(
        dev: *mut bindings::net_device,
        _context: *mut bindings::ethtool_rxfh_context,
        param: *const bindings::ethtool_rxfh_param,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: As above.
        errno(unsafe {
            let number = (*param).rss_context;
            Self::change(&*param)
                .and_then(|change| Self::control(dev, |cx| T::set_rss(cx, number, change)))
        })
    }

    unsafe extern "C" fn remove_rxfh_context(
        dev: *mut bindings::net_device,
        _context: *mut bindings::ethtool_rxfh_context,
        number: u32,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: As the type says.
        errno(unsafe { Self::control(dev, |cx| T::remove_context(cx, number)) })
    }

    unsafe extern "C" fn get_rxnfc(
        dev: *mut bindings::net_device,
        info: *mut bindings::ethtool_rxnfc,
        locations: *mut u32,
    ) -> c_int {
        // SAFETY: As the type says; `locations` has room for `rule_cnt` of them, where it is asked for.
        let result = unsafe {
            let info = &mut *info;
            Self::control(dev, |cx| {
                let rules = T::rules(cx);
                match info.cmd {
                    bindings::ETHTOOL_GRXCLSRLCNT => {
                        info.data = (T::RULES | bindings::RX_CLS_LOC_SPECIAL).into();
                    }
                    bindings::ETHTOOL_GRXCLSRLALL => {
                        info.data = T::RULES.into();
                        let room = slice_mut(locations, info.__bindgen_anon_1.rule_cnt as usize);
                        if room.len() < rules.len() {
                            return Err(EMSGSIZE);
                        }
                        for (to, rule) in room.iter_mut().zip(rules) {
                            *to = rule.location();
                        }
                    }
                    bindings::ETHTOOL_GRXCLSRULE => {
                        let there = |rule: &&FlowRule| rule.location() == info.fs.location;
                        let rule = rules.iter().find(there).ok_or(ENOENT)?;
                        info.fs = rule.spec;
                        info.data = T::RULES.into();
                        info.__bindgen_anon_1.rss_context = rule.context;
                        return Ok(());
                    }
                    _ => return Err(EOPNOTSUPP),
                }
                // CAST: at most as many as there are locations.
                info.__bindgen_anon_1.rule_cnt = rules.len() as u32;
                Ok(())
            })
        };
        errno(result)
    }

    unsafe extern "C" fn set_rxnfc(
        dev: *mut bindings::net_device,
        info: *mut bindings::ethtool_rxnfc,
    ) -> c_int {
        // SAFETY: As the type says; the union is one number by two names.
        let result = unsafe {
            let info = &mut *info;
            Self::control(dev, |cx| match info.cmd {
                bindings::ETHTOOL_SRXCLSRLINS => {
                    let rule = FlowRule {
                        spec: info.fs,
                        context: match info.fs.flow_type & bindings::FLOW_RSS {
                            0 => 0,
                            _ => info.__bindgen_anon_1.rss_context,
                        },
                    };
                    let location = place(T::rules(cx), rule.location(), T::RULES)?;
                    if let FlowAction::Queue(queue) = rule.action()? {
                        if queue >= T::channels(cx).count {
                            return Err(EINVAL);
                        }
                    }
                    T::set_rule(cx, rule.at(location))?;
                    info.fs.location = location;
                    Ok(())
                }
                bindings::ETHTOOL_SRXCLSRLDEL => T::remove_rule(cx, info.fs.location),
                _ => Err(EOPNOTSUPP),
            })
        };
        errno(result)
    }

    unsafe extern "C" fn get_rxfh_fields(
        dev: *mut bindings::net_device,
        fields: *mut bindings::ethtool_rxfh_fields,
    ) -> c_int {
        // SAFETY: As above.
        unsafe {
            let fields = &mut *fields;
            let context = fields.rss_context;
            let hashed = match (Flow::new(fields.flow_type), fields.flow_type) {
                (Some(flow), _) => Self::control(dev, |cx| T::hash_fields(cx, context, flow)),
                (None, bindings::IPV4_FLOW | bindings::IPV6_FLOW) => Ok(HashFields::IP),
                _ => {
                    fields.data = 0;
                    return 0;
                }
            };
            errno(hashed.map(|hashed| fields.data = hashed.raw()))
        }
    }

    unsafe extern "C" fn set_rxfh_fields(
        dev: *mut bindings::net_device,
        fields: *const bindings::ethtool_rxfh_fields,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: As above.
        unsafe {
            let context = (*fields).rss_context;
            let Some(flow) = Flow::new((*fields).flow_type) else {
                return EOPNOTSUPP.to_errno();
            };
            let Some(fields) = HashFields::from_raw((*fields).data) else {
                return EOPNOTSUPP.to_errno();
            };
            errno(Self::control(dev, |cx| {
                T::set_hash_fields(cx, context, flow, fields)
            }))
        }
    }

    unsafe extern "C" fn get_eth_mac_stats(
        dev: *mut bindings::net_device,
        statistics: *mut bindings::ethtool_eth_mac_stats,
    ) {
        // SAFETY: As above; the core gives statistics that are all unset, and both variants of the
        // union are the same 64-bit values.
        unsafe {
            let numbers = &mut (*statistics).__bindgen_anon_1.__bindgen_anon_1;
            Self::control(dev, |cx| T::mac_statistics(cx, numbers));
        }
    }

    unsafe extern "C" fn get_rmon_stats(
        dev: *mut bindings::net_device,
        statistics: *mut bindings::ethtool_rmon_stats,
        ranges: *mut *const bindings::ethtool_rmon_hist_range,
    ) {
        let groups = const {
            assert!(!T::SIZES.is_empty());
            assert!(T::SIZES.len() <= bindings::ETHTOOL_RMON_HIST_MAX as usize);
            T::SIZES.len() - 1
        };
        // SAFETY: As above. The list of ranges lives as long as the module, and `SizeRange` is
        // transparent.
        unsafe {
            let numbers = &mut (*statistics).__bindgen_anon_1.__bindgen_anon_1;
            let received = &mut numbers.hist[..groups];
            let sent = &mut numbers.hist_tx[..groups];
            Self::control(dev, |cx| T::size_statistics(cx, received, sent));
            *ranges = T::SIZES.as_ptr().cast();
        }
    }
}

/// # Safety
///
/// `data` is null or valid for `len` values, and not aliased.
unsafe fn slice_mut<'a, V>(data: *mut V, len: usize) -> &'a mut [V] {
    if data.is_null() {
        return &mut [];
    }
    // SAFETY: The caller promises it.
    unsafe { core::slice::from_raw_parts_mut(data, len) }
}

fn errno(result: Result) -> c_int {
    match result {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// How a hash transforms its input, for the core.
fn transform(symmetric: bool) -> u8 {
    // CAST: one of 8 bits.
    match symmetric {
        true => bindings::RXH_XFRM_SYM_XOR as u8,
        false => 0,
    }
}

/// The location for a rule that asks for `wanted`, of `count` that there are.
fn place(rules: &[FlowRule], wanted: u32, count: u32) -> Result<u32> {
    let free = |location: &u32| !rules.iter().any(|rule| rule.location() == *location);
    match wanted {
        bindings::RX_CLS_LOC_ANY | bindings::RX_CLS_LOC_FIRST => {
            (0..count).find(free).ok_or(ENOSPC)
        }
        bindings::RX_CLS_LOC_LAST => (0..count).rev().find(free).ok_or(ENOSPC),
        location if location < count => Ok(location),
        _ => Err(EINVAL),
    }
}
