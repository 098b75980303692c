// SPDX-License-Identifier: GPL-2.0

//! Operations of the interface (`net_device_ops`) and its statistics.

use super::{
    adapter::{
        Adapter,
        Settings, //
    },
    function::work,
    tx_ring::TxRing,
    xdp::{
        features_with_program,
        LINEAR_MTU, //
    }, //
};
use crate::{
    abi::{
        admin,
        stats::Counter as HwCounter,
        transmit::MAX_ENTRIES, //
    },
    net::{
        device::{
            self,
            Control,
            RxMode, //
        },
        extack::Extack,
        netdev::{
            feature,
            NetDevice, //
        },
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
    },
    offload::{
        Client,
        Handle, //
    }, //
};
use kernel::prelude::*;

impl<C: Client> device::Operations for Adapter<C> {
    type Control = Settings;
    type TxQueue = TxRing;

    fn open(cx: &mut Control<'_, Self>) -> Result {
        Self::start(cx)?;
        cx.state.up = true;
        Ok(())
    }

    fn stop(cx: &mut Control<'_, Self>) {
        cx.state.up = false;
        Self::stop_all(cx, true);
    }

    fn start_xmit(&self, queue: &LockedTxQueue<'_>, ring: &mut TxRing, skb: SkBuff, more: bool) {
        // Not in `select_queue`, which is not called for an interface with one queue.
        C::transmits(self, &skb);
        ring.send(&self.function, queue, skb, more);
    }

    fn features_check(&self, _dev: &NetDevice, skb: &SkBuff, features: u64) -> u64 {
        // A kernel may be configured for skbs with more fragments than a frame has entries. Linux
        // segments or copies them.
        if skb.frags().len() >= MAX_ENTRIES {
            return features & !(feature::SG | feature::GSO_MASK);
        }
        // A descriptor has 16 bits for the length of headers.
        match skb.gso() {
            Some(gso) if gso.header_length > u16::MAX.into() => features & !feature::GSO_MASK,
            _ => features,
        }
    }

    fn select_queue(&self, skb: &SkBuff) -> Option<u16> {
        C::transmit_queue(skb).filter(|&queue| usize::from(queue) < self.channels.len())
    }

    fn set_rx_mode(cx: &mut Control<'_, Self>, mode: RxMode<'_>) -> Result {
        let mut flags = 0;
        // The filter holds one unicast address.
        if mode.promiscuous || mode.unicast.count() > 0 {
            flags |= admin::filter::PROMISCUOUS;
        }
        if mode.all_multicast {
            flags |= admin::filter::ALL_MULTICAST;
        }
        let mut multicast = KVec::new();
        for mac in mode.multicast {
            let mut entry = [0; 8];
            entry[..6].copy_from_slice(&mac);
            multicast.push(entry, GFP_KERNEL)?;
        }
        cx.state.filter_flags = flags;
        cx.state.multicast = multicast;
        cx.data().apply_filter(cx.parent(), cx.state)
    }

    fn set_mac_address(cx: &mut Control<'_, Self>, mac: [u8; 6]) -> Result {
        let former = core::mem::replace(&mut cx.state.mac, mac);
        let result = cx.data().apply_filter(cx.parent(), cx.state);
        if result.is_err() {
            cx.state.mac = former;
        }
        result
    }

    fn change_mtu(cx: &mut Control<'_, Self>, mtu: u32) -> Result {
        if mtu > LINEAR_MTU && cx.data().xdp.is_linear_only() {
            dev_warn!(
                cx.data().function.dev(),
                "MTU is limited to {} by an XDP program without multi-buffer support\n",
                LINEAR_MTU
            );
            return Err(EINVAL);
        }
        cx.data().apply_mtu(mtu)?;
        cx.state.mtu = mtu;
        Ok(())
    }

    fn fix_features(&self, features: u64) -> u64 {
        match self.xdp.is_announced() {
            true => features_with_program(features),
            false => features,
        }
    }

    fn set_features(cx: &mut Control<'_, Self>, features: u64) -> Result {
        if features & feature::NTUPLE == 0 {
            Self::delete_rules(cx)?;
        }
        let mut storage = cx.state.storage & !admin::storage::GRO;
        if features & feature::GRO_HW != 0 {
            storage |= admin::storage::GRO;
        }
        if storage == cx.state.storage {
            return Ok(());
        }
        cx.data().apply_storage(storage, cx.state.small_frame)?;
        cx.state.storage = storage;
        Ok(())
    }

    fn xdp(&self) -> &Attachment {
        &self.xdp
    }

    fn xdp_check(cx: &mut Control<'_, Self>, program: &Program, extack: &mut Extack<'_>) -> Result {
        if cx.device().mtu() > LINEAR_MTU && !program.supports_frags() {
            extack.set(c"MTU too large for a program without multi-buffer support");
            return Err(EOPNOTSUPP);
        }
        Ok(())
    }

    fn xdp_changed(cx: &mut Control<'_, Self>) {
        C::inspected(&Handle::new(cx.data().clone()));
    }

    fn xdp_transmit(
        &self,
        queue: &LockedTxQueue<'_>,
        ring: &mut TxRing,
        frame: XdpFrame,
    ) -> Result<(), XdpFrame> {
        ring.send_xdp(queue, frame)
    }

    fn xdp_flush(&self, ring: &mut TxRing) {
        ring.publish(&self.function);
    }

    fn tx_timeout(&self, _queue: TxQueue<'_>) {
        self.function.fault("transmit queue timeout");
    }

    fn work(cx: &mut Control<'_, Self>, events: usize) {
        if events & work::RESET != 0 {
            Self::recover(cx);
        }
        if events & work::LINK != 0 {
            Self::update_link(cx);
        }
    }

    fn stats(&self, stats: &mut LinkStats) {
        let sum = |counters: &[HwCounter]| self.hw_sum(counters);
        stats.rx_packets = sum(&[HwCounter::RxFrames]);
        stats.rx_bytes = sum(&[HwCounter::RxBytes]);
        stats.multicast = sum(&[HwCounter::RxMulticast]);
        stats.tx_packets = sum(&[HwCounter::TxFrames]);
        stats.tx_bytes = sum(&[HwCounter::TxBytes]);
        stats.rx_length_errors = sum(&[HwCounter::RxTooLong]);
        stats.rx_crc_errors = 0;
        stats.rx_frame_errors = sum(&[HwCounter::RxMalformed]);
        stats.rx_errors = sum(&[HwCounter::RxTooLong, HwCounter::RxMalformed]);
        stats.rx_missed_errors = sum(&[HwCounter::RxNoPage, HwCounter::RxNoCompletion]);
        stats.rx_dropped = self.channels.iter().map(|c| c.rx_dropped.get()).sum();
        stats.tx_errors = sum(&[HwCounter::TxInvalid, HwCounter::TxFault]);
        let own: u64 = self.channels.iter().map(|c| c.tx_dropped.get()).sum();
        stats.tx_dropped = sum(&[HwCounter::TxDropped]).wrapping_add(own);
    }

    fn rx_queue_stats(&self, index: usize, stats: &mut RxQueueStats) {
        if let Ok(pair) = self.channel(index) {
            stats.packets = pair.hw_counter(HwCounter::RxFrames);
            stats.bytes = pair.hw_counter(HwCounter::RxBytes);
            stats.alloc_fail = pair.rx_alloc_fail.get();
            stats.hw_drop_overruns = pair.hw_sum(&[HwCounter::RxNoPage, HwCounter::RxNoCompletion]);
            stats.csum_bad = pair.hw_counter(HwCounter::RxCsumError);
            stats.hw_gro_packets = pair.gro.packets.get();
            stats.hw_gro_bytes = pair.gro.bytes.get();
            stats.hw_gro_wire_packets = pair.gro.wire_packets.get();
            stats.hw_gro_wire_bytes = pair.gro.wire_bytes.get();
        }
    }

    fn tx_queue_stats(&self, index: usize, stats: &mut TxQueueStats) {
        if let Ok(pair) = self.channel(index) {
            stats.packets = pair.hw_counter(HwCounter::TxFrames);
            stats.bytes = pair.hw_counter(HwCounter::TxBytes);
            stats.hw_drops = pair.hw_counter(HwCounter::TxDropped);
            stats.hw_drop_errors = pair.hw_sum(&[HwCounter::TxInvalid, HwCounter::TxFault]);
            stats.hw_gso_packets = pair.hw_counter(HwCounter::TxGsoFrames);
            stats.hw_gso_bytes = pair.hw_counter(HwCounter::TxGsoBytes);
            stats.hw_gso_wire_packets = pair.hw_counter(HwCounter::TxGsoWireFrames);
            stats.hw_gso_wire_bytes = pair.hw_counter(HwCounter::TxGsoWireBytes);
            stats.stop = pair.tx_stop.get();
            stats.wake = pair.tx_wake.get();
        }
    }
}
