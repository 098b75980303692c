// SPDX-License-Identifier: GPL-2.0

//! Operations of `ethtool`.

use super::{
    adapter::Adapter,
    counters::{
        XdpCounters,
        HW_COUNTERS, //
    },
    ring_sizes::RingSizes,
    steering::Rss, //
};
use crate::{
    abi::{
        self,
        admin::storage,
        feature,
        regs,
        rss::{
            self,
            field,
            Traffic, //
        },
        rules,
        stats::{
            Counter as HwCounter,
            Direction,
            FCS,
            RECEIVED,
            SENT,
            SIZES, //
        }, //
    },
    net::{
        device::Control,
        ethtool::{
            self,
            Channels,
            Coalesce,
            Flow,
            FlowRule,
            HashFields,
            LinkSettings,
            MacStatistics,
            Names,
            RingChange,
            Rings,
            RssChange,
            SizeRange, //
        },
        netdev::feature as netif, //
    },
    offload::Client, //
};
use kernel::{
    prelude::*,
    str::CStr,
    sync::atomic::Relaxed, //
};

/// Private flag: delegation is permitted.
const DELEGATION: u32 = 1 << 0;

/// Returns whether a counter belongs to the private statistics: the standard statistics lack it.
fn is_private(counter: HwCounter) -> bool {
    ![RECEIVED, SENT].iter().any(|direction| {
        let one = [
            direction.frames,
            direction.bytes,
            direction.multicast,
            direction.broadcast,
        ];
        one.contains(&counter) || direction.sizes.contains(&counter)
    })
}

fn private() -> impl Iterator<Item = HwCounter> {
    HwCounter::ALL
        .iter()
        .copied()
        .filter(|&counter| is_private(counter))
}

impl<C: Client> ethtool::Operations for Adapter<C> {
    const PRIVATE_FLAGS: &'static [&'static CStr] = &[c"toe-delegation"];
    const KEY_SIZE: usize = rss::KEY_SIZE;
    const INDIRECTION: usize = rss::INDIRECTION;
    const CONTEXTS: u32 = rules::CONTEXTS as u32;
    const RULES: u32 = rules::RULES as u32;
    const SIZES: &'static [SizeRange] = &size_ranges();
    // Those that can be read.
    const REGISTERS: usize = regs::ADMIN_COMMANDS / size_of::<u32>();
    const REGISTERS_VERSION: u32 = abi::VERSION;

    fn link_settings(cx: &mut Control<'_, Self>) -> LinkSettings {
        let speed = cx.data().function.registers().read(regs::SPEED);
        LinkSettings {
            speed: speed.unwrap_or(0),
        }
    }

    fn registers(cx: &mut Control<'_, Self>, values: &mut [u32]) {
        let registers = cx.data().function.registers();
        for (value, offset) in values.iter_mut().zip((0..).step_by(size_of::<u32>())) {
            *value = registers.read(offset).unwrap_or(u32::MAX);
        }
    }

    fn channels(cx: &mut Control<'_, Self>) -> Channels {
        Channels {
            count: cx.device().queues(),
            // CAST: at most `MAX_PROCESSORS`.
            max: cx.data().channels.len() as u32,
        }
    }

    fn set_channels(cx: &mut Control<'_, Self>, count: u32) -> Result {
        Self::reconfigure(cx, count, cx.state.sizes)
    }

    fn rings(cx: &mut Control<'_, Self>) -> Rings {
        let (tx_max, rx_max) = RingSizes::max(cx.data().function.properties().pages);
        Rings {
            rx: cx.state.sizes.payload(),
            tx: cx.state.sizes.transmit(),
            rx_max,
            tx_max,
            split: cx.state.storage & storage::SPLIT != 0,
            threshold_max: abi::MAX_SMALL_FRAME.into(),
        }
    }

    fn set_rings(cx: &mut Control<'_, Self>, change: RingChange) -> Result {
        let adapter = cx.data();
        // Header-data split is requested by applications that map payload, one page at a time.
        let single_pages = change.split == Some(true);
        let pages = adapter.function.properties().pages;
        let sizes = RingSizes::new(change.tx, change.rx, single_pages, pages)?;
        let former = (cx.state.storage, cx.state.small_frame);
        let flags = match change.split {
            Some(false) => former.0 & !(storage::SPLIT | storage::SPLIT_ALL),
            Some(true) => former.0 | storage::SPLIT | storage::SPLIT_ALL,
            None => former.0 & !storage::SPLIT_ALL | storage::SPLIT,
        };
        let small_frame = change.threshold.try_into().map_err(|_| EINVAL)?;
        if (flags, small_frame) != former {
            adapter.apply_storage(flags, small_frame)?;
            (cx.state.storage, cx.state.small_frame) = (flags, small_frame);
        }
        Self::reconfigure(cx, cx.device().queues(), sizes).inspect_err(|_| {
            // If this fails too, a reset follows that restores the settings.
            (cx.state.storage, cx.state.small_frame) = former;
            let _ = adapter.apply_storage(former.0, former.1);
        })
    }

    fn coalesce(cx: &mut Control<'_, Self>) -> Coalesce {
        cx.state.coalesce
    }

    fn set_coalesce(cx: &mut Control<'_, Self>, coalesce: Coalesce) -> Result {
        if cx.state.up {
            cx.data().apply_coalesce(coalesce)?;
        }
        cx.state.coalesce = coalesce;
        Ok(())
    }

    fn private_flags(cx: &mut Control<'_, Self>) -> u32 {
        match cx.data().delegation.load(Relaxed) {
            true => DELEGATION,
            false => 0,
        }
    }

    fn set_private_flags(cx: &mut Control<'_, Self>, flags: u32) -> Result {
        let wanted = flags & DELEGATION != 0;
        if wanted && !cx.data().function.has(feature::DELEGATION) {
            return Err(EOPNOTSUPP);
        }
        cx.data().delegation.store(wanted, Relaxed);
        Ok(())
    }

    fn statistic_count(cx: &mut Control<'_, Self>) -> usize {
        1 + cx.data().channels.len() * (private().count() + 1 + XdpCounters::COUNT)
    }

    fn statistic_names(cx: &mut Control<'_, Self>, names: &mut Names<'_>) {
        names.push(fmt!("resets"));
        for channel in &cx.data().channels {
            for counter in private() {
                names.push(fmt!("p{}_{}", channel.index, counter.name()));
            }
            names.push(fmt!("p{}_rx_invalid", channel.index));
            for (name, _) in channel.xdp.all() {
                names.push(fmt!("p{}_{}", channel.index, name));
            }
        }
    }

    fn statistics(cx: &mut Control<'_, Self>, values: &mut [u64]) {
        let adapter = cx.data();
        let mut slots = values.iter_mut();
        if let Some(slot) = slots.next() {
            *slot = adapter.resets.load(Relaxed);
        }
        for channel in &adapter.channels {
            let mut all = [0; HW_COUNTERS];
            channel.hw_copy(&mut all);
            for (counter, slot) in private().zip(&mut slots) {
                *slot = all[counter as usize];
            }
            if let Some(slot) = slots.next() {
                *slot = channel.rx_invalid.get();
            }
            for ((_, value), slot) in channel.xdp.all().into_iter().zip(&mut slots) {
                *slot = value;
            }
        }
    }

    fn rss(
        cx: &mut Control<'_, Self>,
        context: u32,
        key: &mut [u8],
        table: &mut [u32],
    ) -> Result<bool> {
        let rss = cx.data().steering.lock().context(context)?;
        for (to, from) in key.iter_mut().zip(rss.key) {
            *to = from;
        }
        for (to, from) in table.iter_mut().zip(rss.table.0) {
            *to = from.into();
        }
        Ok(rss.fields.is_symmetric())
    }

    fn set_rss(cx: &mut Control<'_, Self>, context: u32, change: RssChange<'_>) -> Result {
        Self::change_context(cx, context, |rss| update(rss, &change))
    }

    fn create_context(cx: &mut Control<'_, Self>, context: u32, change: RssChange<'_>) -> Result {
        Self::add_context(cx, context, |rss| update(rss, &change))
    }

    fn remove_context(&self, context: u32) -> Result {
        self.delete_context(context)
    }

    fn rules<'a>(cx: &'a mut Control<'_, Self>) -> &'a [FlowRule] {
        &cx.state.rules
    }

    fn set_rule(cx: &mut Control<'_, Self>, rule: FlowRule) -> Result {
        if cx.device().features() & netif::NTUPLE == 0 {
            return Err(EOPNOTSUPP);
        }
        Self::put_rule(cx, rule)
    }

    fn remove_rule(cx: &mut Control<'_, Self>, location: u32) -> Result {
        Self::delete_rule(cx, location)
    }

    fn mac_statistics(cx: &mut Control<'_, Self>, statistics: &mut MacStatistics) {
        let sum = |counters: &[HwCounter]| cx.data().hw_sum(counters);
        let octets = |direction: &Direction| {
            let check = sum(&[direction.frames]).wrapping_mul(FCS as u64);
            sum(&[direction.bytes]).wrapping_add(check)
        };
        // The adapter counts broadcasts as multicasts too. One may arrive between the two reads.
        let multicast = |direction: &Direction| {
            let broadcast = sum(&[direction.broadcast]);
            sum(&[direction.multicast]).saturating_sub(broadcast)
        };
        statistics.FramesTransmittedOK = sum(&[SENT.frames]);
        statistics.OctetsTransmittedOK = octets(&SENT);
        statistics.MulticastFramesXmittedOK = multicast(&SENT);
        statistics.BroadcastFramesXmittedOK = sum(&[SENT.broadcast]);
        statistics.FramesReceivedOK = sum(&[RECEIVED.frames]);
        statistics.OctetsReceivedOK = octets(&RECEIVED);
        statistics.MulticastFramesReceivedOK = multicast(&RECEIVED);
        statistics.BroadcastFramesReceivedOK = sum(&[RECEIVED.broadcast]);
        statistics.FrameTooLongErrors = sum(&[HwCounter::RxTooLong]);
        statistics.FramesLostDueToIntMACXmitError = sum(&[HwCounter::TxFault]);
        statistics.FramesLostDueToIntMACRcvError =
            sum(&[HwCounter::RxNoPage, HwCounter::RxNoCompletion]);
    }

    fn size_statistics(cx: &mut Control<'_, Self>, received: &mut [u64], sent: &mut [u64]) {
        for (slots, direction) in [(received, RECEIVED), (sent, SENT)] {
            for (slot, counter) in slots.iter_mut().zip(direction.sizes) {
                *slot = cx.data().hw_sum(&[counter]);
            }
        }
    }

    fn hash_fields(cx: &mut Control<'_, Self>, context: u32, flow: Flow) -> Result<HashFields> {
        let rss = cx.data().steering.lock().context(context)?;
        let bits = rss.fields.of(traffic(flow));
        Ok(HashFields {
            source: bits & field::SOURCE != 0,
            destination: bits & field::DESTINATION != 0,
            source_port: bits & field::SOURCE_PORT != 0,
            destination_port: bits & field::DESTINATION_PORT != 0,
        })
    }

    fn set_hash_fields(
        cx: &mut Control<'_, Self>,
        context: u32,
        flow: Flow,
        fields: HashFields,
    ) -> Result {
        let mut bits = 0;
        for (set, bit) in [
            (fields.source, field::SOURCE),
            (fields.destination, field::DESTINATION),
            (fields.source_port, field::SOURCE_PORT),
            (fields.destination_port, field::DESTINATION_PORT),
        ] {
            if set {
                bits |= bit;
            }
        }
        Self::change_context(cx, context, |rss| {
            rss.fields = rss.fields.with(traffic(flow), bits).ok_or(EINVAL)?;
            Ok(())
        })
    }
}

/// Returns [`SIZES`] as ranges.
const fn size_ranges() -> [SizeRange; SIZES.len() + 1] {
    let mut ranges = [const { SizeRange::END }; SIZES.len() + 1];
    let (mut i, mut low) = (0, 0);
    while i < SIZES.len() {
        ranges[i] = SizeRange::new(low, SIZES[i]);
        low = SIZES[i] + 1;
        i += 1;
    }
    ranges
}

fn traffic(flow: Flow) -> Traffic {
    match flow {
        Flow::Tcp4 => Traffic::Tcp4,
        Flow::Tcp6 => Traffic::Tcp6,
        Flow::Udp4 => Traffic::Udp4,
        Flow::Udp6 => Traffic::Udp6,
    }
}

/// Applies the user's change to `rss`.
fn update(rss: &mut Rss, change: &RssChange<'_>) -> Result {
    if let Some(key) = change.key {
        rss.key = key.try_into().map_err(|_| EINVAL)?;
    }
    for (to, &from) in rss.table.0.iter_mut().zip(change.table.unwrap_or_default()) {
        // CAST: the core has checked that the queue exists.
        *to = from as u8;
    }
    if let Some(symmetric) = change.symmetric {
        rss.fields = rss.fields.symmetric(symmetric).ok_or(EINVAL)?;
    }
    Ok(())
}
