// SPDX-License-Identifier: GPL-2.0

//! What `ethtool` shows and sets.
//!
//! The core calls these operations under the instance lock; [`Operations::set_channels`] under the
//! RTNL as well, which is not held for the others.
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h)

use super::device;
use super::device::Control;
use crate::bindings;
use core::marker::PhantomData;
use kernel::ffi::c_int;
use kernel::fmt;
use kernel::prelude::*;
use kernel::str::CStr;

/// Speed of a link.
#[derive(Clone, Copy, Debug)]
pub struct LinkSettings {
    /// Mbit/s, 0 when it has none of its own.
    pub speed: u32,
}

/// Queue pairs.
#[derive(Clone, Copy, Debug)]
pub struct Channels {
    /// In use.
    pub count: u32,
    /// The most that there could be.
    pub max: u32,
}

/// The rings and how they are used.
#[derive(Clone, Copy, Debug)]
pub struct Rings {
    /// Receive: pages that can be posted.
    pub rx: u32,
    /// Transmit: entries.
    pub tx: u32,
    /// The most that `rx` could be.
    pub rx_max: u32,
    /// The most that `tx` could be.
    pub tx_max: u32,
    /// Headers are separated from payload (`tcp-data-split`).
    pub split: bool,
    /// The largest frame size that can be asked to stay whole (`hds-thresh`).
    pub threshold_max: u32,
}

/// What is wanted of the rings.
#[derive(Clone, Copy, Debug)]
pub struct RingChange {
    /// At least so many pages; at most [`Rings::rx_max`].
    pub rx: u32,
    /// At least so many entries; at most [`Rings::tx_max`].
    pub tx: u32,
    /// Whether headers are separated from payload; `None` for as the driver sees fit.
    pub split: Option<bool>,
    /// Frames up to this size stay whole; at most [`Rings::threshold_max`].
    pub threshold: u32,
}

/// Interrupt moderation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coalesce {
    /// Longest time that an interrupt is held back, in microseconds.
    pub usecs: u32,
    /// Number of completions that end it.
    pub frames: u32,
}

/// A change of the receive hash; what is `None` stays.
pub struct RssChange<'a> {
    /// Key, of the operations' length.
    pub key: Option<&'a [u8]>,
    /// Indirection table, of the operations' length.
    pub table: Option<&'a [u32]>,
    /// Whether source and destination are combined, so that both directions of a flow hash alike.
    pub symmetric: Option<bool>,
}

/// A kind of traffic that is hashed by fields of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over IPv4.
    Udp4,
    /// UDP over IPv6.
    Udp6,
}

impl Flow {
    fn new(raw: u32) -> Option<Self> {
        Some(match raw {
            bindings::TCP_V4_FLOW => Self::Tcp4,
            bindings::TCP_V6_FLOW => Self::Tcp6,
            bindings::UDP_V4_FLOW => Self::Udp4,
            bindings::UDP_V6_FLOW => Self::Udp6,
            _ => return None,
        })
    }
}

/// What of a frame is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashFields {
    /// Source address.
    pub source: bool,
    /// Destination address.
    pub destination: bool,
    /// Source port.
    pub source_port: bool,
    /// Destination port.
    pub destination_port: bool,
}

impl HashFields {
    /// Of IP traffic that has no fields of its own.
    const IP: Self = Self {
        source: true,
        destination: true,
        source_port: false,
        destination_port: false,
    };

    fn from_raw(raw: u32) -> Option<Self> {
        let fields = Self {
            source: raw & bindings::RXH_IP_SRC != 0,
            destination: raw & bindings::RXH_IP_DST != 0,
            source_port: raw & bindings::RXH_L4_B_0_1 != 0,
            destination_port: raw & bindings::RXH_L4_B_2_3 != 0,
        };
        (fields.raw() == raw).then_some(fields)
    }

    fn raw(self) -> u32 {
        [
            (self.source, bindings::RXH_IP_SRC),
            (self.destination, bindings::RXH_IP_DST),
            (self.source_port, bindings::RXH_L4_B_0_1),
            (self.destination_port, bindings::RXH_L4_B_2_3),
        ]
        .iter()
        .fold(0, |raw, &(set, bit)| if set { raw | bit } else { raw })
    }
}

/// Takes the names of statistics.
///
/// # Invariants
///
/// `next` to `end` is writable memory, a whole number of names long.
pub struct Names<'a> {
    next: *mut u8,
    end: *mut u8,
    _buffer: PhantomData<&'a mut [u8]>,
}

/// Length of a name, with its terminating zero.
const NAME: usize = bindings::ETH_GSTRING_LEN as usize;

impl Names<'_> {
    /// Appends a name; more than were announced are ignored, and what is too long is cut.
    pub fn push(&mut self, name: fmt::Arguments<'_>) {
        if self.next == self.end {
            return;
        }
        // SAFETY: By the type invariant there is room for a whole name.
        let slot = unsafe { core::slice::from_raw_parts_mut(self.next, NAME) };
        slot.fill(0);
        // Space for the terminating zero. `Cut` does not fail.
        let _ = fmt::Write::write_fmt(&mut Cut(&mut slot[..NAME - 1]), name);
        // SAFETY: Still within, or at the end of, the memory.
        self.next = unsafe { self.next.add(NAME) };
    }
}

/// Writes as much as there is room for.
struct Cut<'a>(&'a mut [u8]);

impl fmt::Write for Cut<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let n = s.len().min(self.0.len());
        let (head, tail) = core::mem::take(&mut self.0).split_at_mut(n);
        head.copy_from_slice(&s.as_bytes()[..n]);
        self.0 = tail;
        Ok(())
    }
}

/// What a driver shows and lets be set.
pub trait Operations: device::Operations {
    /// Names of the private flags, bit 0 first.
    const PRIVATE_FLAGS: &'static [&'static CStr];
    /// Length of the hash key.
    const KEY_SIZE: usize;
    /// Entries of the indirection table.
    const INDIRECTION: usize;
    /// Groups of sizes by which frames are counted, in bytes with FCS, and [`SizeRange::END`].
    const SIZES: &'static [SizeRange];

    /// Speed of the link.
    fn link_settings(cx: &mut Control<'_, Self>) -> LinkSettings;
    /// Number of queue pairs.
    fn channels(cx: &mut Control<'_, Self>) -> Channels;
    /// Sets the number of queue pairs, 1 to [`Channels::max`].
    fn set_channels(cx: &mut Control<'_, Self>, count: u32) -> Result;
    /// The rings.
    fn rings(cx: &mut Control<'_, Self>) -> Rings;
    /// Changes the rings. An error leaves them as they were.
    fn set_rings(cx: &mut Control<'_, Self>, change: RingChange) -> Result;
    /// Interrupt moderation.
    fn coalesce(cx: &mut Control<'_, Self>) -> Coalesce;
    /// Sets interrupt moderation.
    fn set_coalesce(cx: &mut Control<'_, Self>, coalesce: Coalesce) -> Result;
    /// Private flags.
    fn private_flags(cx: &mut Control<'_, Self>) -> u32;
    /// Sets the private flags.
    fn set_private_flags(cx: &mut Control<'_, Self>, flags: u32) -> Result;
    /// Number of statistics; constant for a device.
    fn statistic_count(cx: &mut Control<'_, Self>) -> usize;
    /// Their names.
    fn statistic_names(cx: &mut Control<'_, Self>, names: &mut Names<'_>);
    /// Their values, in the order of the names.
    fn statistics(cx: &mut Control<'_, Self>, values: &mut [u64]);
    /// Writes key and indirection table; true when both directions of a flow hash alike.
    fn rss(cx: &mut Control<'_, Self>, key: &mut [u8], table: &mut [u32]) -> bool;
    /// Changes the hash.
    fn set_rss(cx: &mut Control<'_, Self>, change: RssChange<'_>) -> Result;
    /// What of such frames is hashed.
    fn hash_fields(cx: &mut Control<'_, Self>, flow: Flow) -> HashFields;
    /// Sets what of such frames is hashed.
    fn set_hash_fields(cx: &mut Control<'_, Self>, flow: Flow, fields: HashFields) -> Result;
    /// Statistics of the MAC; fields that are not set stay unreported.
    fn mac_statistics(cx: &mut Control<'_, Self>, statistics: &mut MacStatistics);
    /// Frames received and sent, by their size: one number for each group of [`Self::SIZES`].
    fn size_statistics(cx: &mut Control<'_, Self>, received: &mut [u64], sent: &mut [u64]);
}

/// Statistics of an IEEE 802.3 MAC (of `struct ethtool_eth_mac_stats`).
pub type MacStatistics = bindings::ethtool_eth_mac_stats__bindgen_ty_1__bindgen_ty_1;

/// A group of frame sizes.
#[repr(transparent)]
pub struct SizeRange(bindings::ethtool_rmon_hist_range);

impl SizeRange {
    /// Ends a list of groups.
    pub const END: Self = Self::new(0, 0);

    /// From `low` to `high` bytes, both included.
    pub const fn new(low: u16, high: u16) -> Self {
        Self(bindings::ethtool_rmon_hist_range { low, high })
    }
}

/// What can be set of the rings besides their sizes.
const RING_PARAMETERS: u32 = bindings::ethtool_supported_ring_param_ETHTOOL_RING_USE_TCP_DATA_SPLIT
    | bindings::ethtool_supported_ring_param_ETHTOOL_RING_USE_HDS_THRS;

/// The operations of `T` for a `net_device`.
pub(super) fn vtable<T: Operations>() -> &'static bindings::ethtool_ops {
    &VTable::<T>::OPS
}

/// All callbacks are for devices that a [`device::Registration<T>`] registered, with the instance
/// lock held.
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
        // `supported_input_xfrm` is the first byte of the bit fields.
        _bitfield_1: bindings::__BindgenBitfieldUnit::new([bindings::RXH_XFRM_SYM_XOR as u8, 0]),
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
        get_rxfh_key_size: Some(Self::get_rxfh_key_size),
        get_rxfh_indir_size: Some(Self::get_rxfh_indir_size),
        get_rxfh: Some(Self::get_rxfh),
        set_rxfh: Some(Self::set_rxfh),
        get_rxfh_fields: Some(Self::get_rxfh_fields),
        set_rxfh_fields: Some(Self::set_rxfh_fields),
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
            let symmetric = Self::control(dev, |cx| T::rss(cx, key, table));
            // CAST: one of 8 bits.
            param.input_xfrm = if symmetric {
                bindings::RXH_XFRM_SYM_XOR as u8
            } else {
                0
            };
        }
        0
    }

    unsafe extern "C" fn set_rxfh(
        dev: *mut bindings::net_device,
        param: *mut bindings::ethtool_rxfh_param,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: As above.
        unsafe {
            let param = &*param;
            let top = bindings::ETH_RSS_HASH_TOP as u8;
            if param.hfunc != 0 && param.hfunc != top {
                return EOPNOTSUPP.to_errno();
            }
            let change = RssChange {
                key: (!param.key.is_null()).then(|| &*slice_mut(param.key, T::KEY_SIZE)),
                table: (!param.indir.is_null()).then(|| &*slice_mut(param.indir, T::INDIRECTION)),
                symmetric: match param.input_xfrm.into() {
                    bindings::RXH_XFRM_NO_CHANGE => None,
                    xfrm => Some(xfrm & bindings::RXH_XFRM_SYM_XOR != 0),
                },
            };
            errno(Self::control(dev, |cx| T::set_rss(cx, change)))
        }
    }

    unsafe extern "C" fn get_rxfh_fields(
        dev: *mut bindings::net_device,
        fields: *mut bindings::ethtool_rxfh_fields,
    ) -> c_int {
        // SAFETY: As above.
        unsafe {
            let fields = &mut *fields;
            let hashed = match (Flow::new(fields.flow_type), fields.flow_type) {
                (Some(flow), _) => Self::control(dev, |cx| T::hash_fields(cx, flow)).raw(),
                (None, bindings::IPV4_FLOW | bindings::IPV6_FLOW) => HashFields::IP.raw(),
                _ => 0,
            };
            fields.data = hashed;
        }
        0
    }

    unsafe extern "C" fn set_rxfh_fields(
        dev: *mut bindings::net_device,
        fields: *const bindings::ethtool_rxfh_fields,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: As above.
        unsafe {
            let Some(flow) = Flow::new((*fields).flow_type) else {
                return EOPNOTSUPP.to_errno();
            };
            let Some(fields) = HashFields::from_raw((*fields).data) else {
                return EOPNOTSUPP.to_errno();
            };
            errno(Self::control(dev, |cx| {
                T::set_hash_fields(cx, flow, fields)
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
