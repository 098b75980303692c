// SPDX-License-Identifier: GPL-2.0

//! The interface as the core sees it.

use super::{
    adapter::{
        work,
        Adapter,
        Settings, //
    },
    transmit,
    xdp::{
        features_beside,
        LINEAR_MTU, //
    }, //
};
use crate::{
    abi::{
        admin,
        stats::Counter as Wire, //
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
    type TxQueue = transmit::Sender;

    fn open(cx: &mut Control<'_, Self>) -> Result {
        Self::start(cx)?;
        cx.state.up = true;
        Ok(())
    }

    fn stop(cx: &mut Control<'_, Self>) {
        cx.state.up = false;
        Self::stop_all(cx, true);
    }

    fn start_xmit(
        &self,
        queue: &LockedTxQueue<'_>,
        state: &mut transmit::Sender,
        skb: SkBuff,
        more: bool,
    ) {
        // Here and not where the queue is chosen: with one queue nothing is.
        C::transmits(&skb);
        state.send(self, queue, skb, more);
    }

    fn features_check(&self, _dev: &NetDevice, skb: &SkBuff, features: u64) -> u64 {
        // Header lengths are 16 bits wide in an entry; the core makes none that long.
        match skb.gso() {
            Some(gso) if gso.header_length > u16::MAX.into() => features & !feature::GSO_MASK,
            _ => features,
        }
    }

    fn select_queue(&self, skb: &SkBuff) -> Option<u16> {
        C::transmit_queue(skb).filter(|&queue| usize::from(queue) < self.processors.len())
    }

    fn set_rx_mode(cx: &mut Control<'_, Self>, mode: RxMode<'_>) -> Result {
        let mut flags = 0;
        // The filter knows one unicast address.
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
                &*cx.data().dev,
                "an XDP program without multi-buffer support allows an MTU of {} at most\n",
                LINEAR_MTU
            );
            return Err(EINVAL);
        }
        cx.data().command(&admin::SetMtu {
            opcode: admin::Opcode::SetMtu.raw(),
            mtu,
            ..Default::default()
        })?;
        cx.state.mtu = mtu;
        Ok(())
    }

    fn fix_features(&self, features: u64) -> u64 {
        match self.xdp.is_announced() {
            true => features_beside(features),
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
            extack.set(c"the MTU is too large for a program without multi-buffer support");
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
        state: &mut transmit::Sender,
        frame: XdpFrame,
    ) -> Result<(), XdpFrame> {
        state.send_frame(queue, frame)
    }

    fn xdp_flush(&self, state: &mut transmit::Sender) {
        state.publish(self);
    }

    fn tx_timeout(&self, _queue: TxQueue<'_>) {
        self.fault("a transmit queue does not move");
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
        let sum = |wires: &[Wire]| self.sum(wires);
        stats.rx_packets = sum(&[Wire::RxFrames]);
        stats.rx_bytes = sum(&[Wire::RxBytes]);
        stats.multicast = sum(&[Wire::RxMulticast]);
        stats.tx_packets = sum(&[Wire::TxFrames]);
        stats.tx_bytes = sum(&[Wire::TxBytes]);
        stats.rx_length_errors = sum(&[Wire::RxTooLong]);
        stats.rx_crc_errors = 0;
        stats.rx_frame_errors = sum(&[Wire::RxMalformed]);
        stats.rx_errors = sum(&[Wire::RxTooLong, Wire::RxMalformed]);
        stats.rx_missed_errors = sum(&[Wire::RxNoPage, Wire::RxNoCompletion]);
        stats.rx_dropped = self.processors.iter().map(|p| p.rx_dropped.get()).sum();
        stats.tx_errors = sum(&[Wire::TxInvalid, Wire::TxFault]);
        let own: u64 = self.processors.iter().map(|p| p.tx_dropped.get()).sum();
        stats.tx_dropped = sum(&[Wire::TxDropped]).wrapping_add(own);
    }

    fn rx_queue_stats(&self, index: usize, stats: &mut RxQueueStats) {
        if let Some(processor) = self.processors.get(index) {
            stats.packets = processor.wire(Wire::RxFrames);
            stats.bytes = processor.wire(Wire::RxBytes);
            stats.alloc_fail = processor.rx_alloc_fail.get();
            stats.hw_drop_overruns = processor.sum(&[Wire::RxNoPage, Wire::RxNoCompletion]);
            stats.csum_bad = processor.wire(Wire::RxCsumError);
            stats.hw_gro_packets = processor.gro.packets.get();
            stats.hw_gro_bytes = processor.gro.bytes.get();
            stats.hw_gro_wire_packets = processor.gro.wire_packets.get();
            stats.hw_gro_wire_bytes = processor.gro.wire_bytes.get();
        }
    }

    fn tx_queue_stats(&self, index: usize, stats: &mut TxQueueStats) {
        if let Some(processor) = self.processors.get(index) {
            stats.packets = processor.wire(Wire::TxFrames);
            stats.bytes = processor.wire(Wire::TxBytes);
            stats.hw_drops = processor.wire(Wire::TxDropped);
            stats.hw_drop_errors = processor.sum(&[Wire::TxInvalid, Wire::TxFault]);
            stats.hw_gso_packets = processor.wire(Wire::TxGsoFrames);
            stats.hw_gso_bytes = processor.wire(Wire::TxGsoBytes);
            stats.hw_gso_wire_packets = processor.wire(Wire::TxGsoWireFrames);
            stats.hw_gso_wire_bytes = processor.wire(Wire::TxGsoWireBytes);
            stats.stop = processor.tx_stop.get();
            stats.wake = processor.tx_wake.get();
        }
    }
}
