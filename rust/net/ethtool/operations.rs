// SPDX-License-Identifier: GPL-2.0

//! The operations that a driver implements.

use super::{
    flow::FlowRule,
    rss::{
        Flow,
        HashFields,
        RssChange, //
    },
    settings::{
        Channels,
        Coalesce,
        LinkSettings,
        RingChange,
        Rings, //
    },
    statistics::{
        MacStatistics,
        Names,
        SizeRange, //
    }, //
};
use crate::net::device::{
    self,
    Control, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};

/// The `ethtool` operations of a driver.
///
/// All of them run in process context under the instance lock, except
/// [`Self::remove_context`]. [`Unregistered::set_ethtool`](device::Unregistered::set_ethtool) adds
/// them to a device.
///
/// # Examples
///
/// Statistics of a driver with one counter:
///
/// ```
/// use crate::net::{
///     device::{
///         self,
///         Control, //
///     },
///     ethtool::Names, //
/// };
/// use kernel::prelude::*;
///
/// trait Resets: device::Operations {
///     fn resets(&self) -> u64;
/// }
///
/// // `statistic_count`, `statistic_names` and `statistics` agree on number and order.
/// fn statistic_count<T: Resets>(_cx: &mut Control<'_, T>) -> usize {
///     1
/// }
///
/// fn statistic_names<T: Resets>(_cx: &mut Control<'_, T>, names: &mut Names<'_>) {
///     names.push(fmt!("resets"));
/// }
///
/// fn statistics<T: Resets>(cx: &mut Control<'_, T>, values: &mut [u64]) {
///     if let [resets] = values {
///         *resets = cx.data().resets();
///     }
/// }
/// ```
pub trait Operations: device::Operations {
    /// Names of the private flags, bit 0 first.
    const PRIVATE_FLAGS: &'static [&'static CStr];
    /// Length of the RSS key in bytes.
    const KEY_SIZE: usize;
    /// Number of entries of the RSS indirection table.
    const INDIRECTION: usize;
    /// Number of RSS contexts, including the default one, 0.
    const CONTEXTS: u32;
    /// Number of locations for receive rules.
    const RULES: u32;
    /// Ranges of the frame size histogram in bytes with FCS, terminated by [`SizeRange::END`].
    const SIZES: &'static [SizeRange];

    /// Number of registers of 32 bits in a register dump.
    const REGISTERS: usize;
    /// Version of the layout of a register dump.
    const REGISTERS_VERSION: u32;

    /// Reports the link settings.
    fn link_settings(cx: &mut Control<'_, Self>) -> LinkSettings;

    /// Reports the number of queue pairs.
    fn channels(cx: &mut Control<'_, Self>) -> Channels;

    /// Sets the number of queue pairs, 1 to [`Channels::max`].
    fn set_channels(cx: &mut Control<'_, Self>, count: u32) -> Result;

    /// Reports the ring parameters.
    fn rings(cx: &mut Control<'_, Self>) -> Rings;

    /// Sets the ring parameters. An error leaves them unchanged.
    fn set_rings(cx: &mut Control<'_, Self>, change: RingChange) -> Result;

    /// Reports interrupt coalescing.
    fn coalesce(cx: &mut Control<'_, Self>) -> Coalesce;

    /// Sets interrupt coalescing.
    fn set_coalesce(cx: &mut Control<'_, Self>, coalesce: Coalesce) -> Result;

    /// Reports the private flags.
    fn private_flags(cx: &mut Control<'_, Self>) -> u32;

    /// Sets the private flags.
    fn set_private_flags(cx: &mut Control<'_, Self>, flags: u32) -> Result;

    /// Number of private statistics; constant for a device.
    fn statistic_count(cx: &mut Control<'_, Self>) -> usize;

    /// Names of the private statistics.
    fn statistic_names(cx: &mut Control<'_, Self>, names: &mut Names<'_>);

    /// Values of the private statistics, in the order of the names.
    fn statistics(cx: &mut Control<'_, Self>, values: &mut [u64]);

    /// Writes key and indirection table of an RSS context to slices of their length, or empty ones.
    /// Returns whether hashing is symmetric.
    fn rss(
        cx: &mut Control<'_, Self>,
        context: u32,
        key: &mut [u8],
        table: &mut [u32],
    ) -> Result<bool>;

    /// Changes an RSS context.
    fn set_rss(cx: &mut Control<'_, Self>, context: u32, change: RssChange<'_>) -> Result;

    /// Creates an RSS context. The driver chooses the parameters that `change` leaves open.
    fn create_context(cx: &mut Control<'_, Self>, context: u32, change: RssChange<'_>) -> Result;

    /// Removes an RSS context that no rule uses. The core also calls it, without the instance lock,
    /// while it unregisters the device. Other operations on contexts do not run meanwhile.
    fn remove_context(&self, context: u32) -> Result;

    /// Reports the fields that are hashed for `flow` in an RSS context.
    fn hash_fields(cx: &mut Control<'_, Self>, context: u32, flow: Flow) -> Result<HashFields>;

    /// Sets the fields that are hashed for `flow` in an RSS context.
    fn set_hash_fields(
        cx: &mut Control<'_, Self>,
        context: u32,
        flow: Flow,
        fields: HashFields,
    ) -> Result;

    /// The receive rules, in order of location.
    fn rules<'a>(cx: &'a mut Control<'_, Self>) -> &'a [FlowRule];

    /// Sets a receive rule, and replaces the one at its location, which is below [`Self::RULES`].
    fn set_rule(cx: &mut Control<'_, Self>, rule: FlowRule) -> Result;

    /// Removes the receive rule at `location`.
    ///
    /// # Errors
    ///
    /// [`ENOENT`] when there is none.
    fn remove_rule(cx: &mut Control<'_, Self>, location: u32) -> Result;

    /// Writes a register dump.
    fn registers(cx: &mut Control<'_, Self>, values: &mut [u32]);

    /// Reports the MAC statistics.
    fn mac_statistics(cx: &mut Control<'_, Self>, statistics: &mut MacStatistics);

    /// Reports the number of frames received and sent in each range of [`Self::SIZES`].
    fn size_statistics(cx: &mut Control<'_, Self>, received: &mut [u64], sent: &mut [u64]);
}
