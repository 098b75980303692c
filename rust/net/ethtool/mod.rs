// SPDX-License-Identifier: GPL-2.0

//! What `ethtool` shows and sets.
//!
//! The core calls these operations under the instance lock; [`Operations::set_channels`] under the
//! RTNL as well, which is not held for the others.
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h)

mod flow;
mod table;

pub use self::flow::{
    FlowAction,
    FlowFields,
    FlowMatch,
    FlowRule, //
};
pub(super) use self::table::vtable;

use super::device::{
    self,
    Control, //
};
use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    fmt,
    prelude::*,
    str::CStr, //
};

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
    /// Hash contexts: their numbers are below it, and that of the ordinary one is 0.
    const CONTEXTS: u32;
    /// Locations of rules.
    const RULES: u32;
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
    /// Writes key and indirection table of a context; true when both directions of a flow hash alike.
    /// What is empty does not matter.
    fn rss(
        cx: &mut Control<'_, Self>,
        context: u32,
        key: &mut [u8],
        table: &mut [u32],
    ) -> Result<bool>;
    /// Changes the hash of a context.
    fn set_rss(cx: &mut Control<'_, Self>, context: u32, change: RssChange<'_>) -> Result;
    /// Creates a context; what is not said is as the driver sees fit.
    fn create_context(cx: &mut Control<'_, Self>, context: u32, change: RssChange<'_>) -> Result;
    /// Removes a context, which no rule names.
    fn remove_context(cx: &mut Control<'_, Self>, context: u32) -> Result;
    /// What of such frames is hashed in a context.
    fn hash_fields(cx: &mut Control<'_, Self>, context: u32, flow: Flow) -> Result<HashFields>;
    /// Sets what of such frames is hashed in a context.
    fn set_hash_fields(
        cx: &mut Control<'_, Self>,
        context: u32,
        flow: Flow,
        fields: HashFields,
    ) -> Result;
    /// The rules, in the order of their locations.
    fn rules<'a>(cx: &'a mut Control<'_, Self>) -> &'a [FlowRule];
    /// Sets a rule, instead of one at its location, which is below [`Self::RULES`].
    fn set_rule(cx: &mut Control<'_, Self>, rule: FlowRule) -> Result;
    /// Removes the rule at `location`.
    ///
    /// # Errors
    ///
    /// `ENOENT` when there is none.
    fn remove_rule(cx: &mut Control<'_, Self>, location: u32) -> Result;
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
