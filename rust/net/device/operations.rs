// SPDX-License-Identifier: GPL-2.0

//! The operations that a driver implements.

use super::{
    control::Control,
    rx_mode::RxMode, //
};
use crate::net::{
    extack::Extack,
    netdev::NetDevice,
    queue::{
        LockedTxQueue,
        TxQueue, //
    },
    skb::SkBuff,
    stats::{
        LinkStats,
        RxQueueStats,
        TxQueueStats, //
    },
    xdp::{
        Attachment,
        Program,
        XdpFrame, //
    }, //
};
use kernel::prelude::*;

/// The operations of a driver.
///
/// Operations that are given a [`Control`] run in process context under the instance lock, most of
/// them under the RTNL, too. All others take `&self` and may run at any time, several at once.
///
/// See [`Unregistered`](super::Unregistered) for how a device is registered.
pub trait Operations: Sized + Send + Sync + 'static {
    /// State that only control operations access.
    type Control: Send;
    /// State of a transmit queue, accessed under the queue's transmit lock.
    type TxQueue: Send;

    /// Brings the interface up (`ndo_open`).
    fn open(cx: &mut Control<'_, Self>) -> Result;

    /// Brings the interface down (`ndo_stop`). Transmit queues are still running.
    fn stop(cx: &mut Control<'_, Self>);

    /// Transmits a frame (`ndo_start_xmit`). `more` means that another frame follows at once.
    /// Softirq or process context, bottom halves disabled.
    fn start_xmit(
        &self,
        queue: &LockedTxQueue<'_>,
        state: &mut Self::TxQueue,
        skb: SkBuff,
        more: bool,
    );

    /// Returns those of `features` that apply to this frame (`ndo_features_check`).
    fn features_check(&self, dev: &NetDevice, skb: &SkBuff, features: u64) -> u64;

    /// Returns the transmit queue for this frame; `None` leaves the choice to the core
    /// (`ndo_select_queue`).
    fn select_queue(&self, skb: &SkBuff) -> Option<u16>;

    /// Sets which frames to receive (`ndo_set_rx_mode_async`). After an error the core tries again.
    fn set_rx_mode(cx: &mut Control<'_, Self>, mode: RxMode<'_>) -> Result;

    /// Sets a valid MAC address, also while the interface is up (`ndo_set_mac_address`). On success
    /// the core stores it in the device.
    fn set_mac_address(cx: &mut Control<'_, Self>, mac: [u8; 6]) -> Result;

    /// Sets an MTU within the device's limits (`ndo_change_mtu`). On success it is stored in the
    /// device.
    fn change_mtu(cx: &mut Control<'_, Self>, mtu: u32) -> Result;

    /// Returns those of `features` that can be active at present (`ndo_fix_features`). Also called
    /// during registration.
    fn fix_features(&self, features: u64) -> u64;

    /// Sets the active features (`ndo_set_features`).
    fn set_features(cx: &mut Control<'_, Self>, features: u64) -> Result;

    /// The attachment point of the device's XDP program.
    fn xdp(&self) -> &Attachment;

    /// Checks whether `program` can be attached at present. On an error, `extack` should tell why.
    fn xdp_check(cx: &mut Control<'_, Self>, program: &Program, extack: &mut Extack<'_>) -> Result;

    /// A program was attached or detached, or attaching it failed.
    fn xdp_changed(cx: &mut Control<'_, Self>);

    /// Transmits a frame for an XDP program (`ndo_xdp_xmit`), or returns it when the ring is full.
    /// Softirq context, or process context with bottom halves disabled.
    fn xdp_transmit(
        &self,
        queue: &LockedTxQueue<'_>,
        state: &mut Self::TxQueue,
        frame: XdpFrame,
    ) -> Result<(), XdpFrame>;

    /// Rings the doorbell for frames passed to [`Self::xdp_transmit`]. In the same context.
    fn xdp_flush(&self, state: &mut Self::TxQueue);

    /// A transmit queue has been stopped for longer than the watchdog timeout (`ndo_tx_timeout`).
    /// Atomic context.
    fn tx_timeout(&self, queue: TxQueue<'_>);

    /// Handles `events` from [`NetDevice::schedule_work`] (`ndo_work`).
    fn work(cx: &mut Control<'_, Self>, events: usize);

    /// Reports the statistics of the interface (`ndo_get_stats64`). Atomic context.
    fn stats(&self, stats: &mut LinkStats);

    /// Reports the statistics of a receive queue.
    fn rx_queue_stats(&self, index: usize, stats: &mut RxQueueStats);

    /// Reports the statistics of a transmit queue.
    fn tx_queue_stats(&self, index: usize, stats: &mut TxQueueStats);
}
