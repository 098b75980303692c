// SPDX-License-Identifier: GPL-2.0

//! What `ethtool` shows and sets.

use super::adapter::Adapter;
use super::lifecycle::LOG2;
use super::processor::WIRE_COUNTERS;
use crate::abi::feature;
use crate::abi::regs;
use crate::abi::ring::Ring as Line;
use crate::abi::rss;
use crate::abi::stats::Counter as Wire;
use crate::net::device::Control;
use crate::net::ethtool;
use crate::net::ethtool::Coalesce;
use crate::net::ethtool::LinkSettings;
use crate::net::ethtool::Names;
use crate::net::ethtool::RingSizes;
use crate::net::ethtool::RssChange;
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::sync::atomic::Relaxed;

/// Private flag: connections may be delegated.
const DELEGATION: u32 = 1 << 0;

/// Whether a counter is shown among the private statistics: not one that the standard statistics
/// have already.
fn is_private(wire: Wire) -> bool {
    !matches!(
        wire,
        Wire::RxFrames | Wire::RxBytes | Wire::RxMulticast | Wire::TxFrames | Wire::TxBytes
    )
}

fn private() -> impl Iterator<Item = Wire> {
    Wire::ALL.iter().copied().filter(|&wire| is_private(wire))
}

impl ethtool::Operations for Adapter {
    const PRIVATE_FLAGS: &'static [&'static CStr] = &[c"toe-delegation"];
    const KEY_SIZE: usize = rss::KEY_SIZE;
    const INDIRECTION: usize = rss::INDIRECTION;

    fn link_settings(cx: &mut Control<'_, Self>) -> LinkSettings {
        let speed = cx.data().registers.read(regs::SPEED);
        LinkSettings {
            speed: if speed == super::registers::GONE {
                0
            } else {
                speed
            },
        }
    }

    fn channels(cx: &mut Control<'_, Self>) -> u32 {
        cx.data().processors.len() as u32
    }

    fn ring_sizes(_cx: &mut Control<'_, Self>) -> RingSizes {
        let (rx, tx) = (
            1 << LOG2[Line::PayloadPages as usize],
            1 << LOG2[Line::Transmit as usize],
        );
        RingSizes {
            rx,
            tx,
            rx_max: rx,
            tx_max: tx,
        }
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
        if wanted && cx.data().features & feature::DELEGATION == 0 {
            return Err(EOPNOTSUPP);
        }
        cx.data().delegation.store(wanted, Relaxed);
        Ok(())
    }

    fn statistic_count(cx: &mut Control<'_, Self>) -> usize {
        1 + cx.data().processors.len() * private().count()
    }

    fn statistic_names(cx: &mut Control<'_, Self>, names: &mut Names<'_>) {
        names.push(fmt!("resets"));
        for processor in &cx.data().processors {
            for wire in private() {
                names.push(fmt!("p{}_{}", processor.index, wire.name()));
            }
        }
    }

    fn statistics(cx: &mut Control<'_, Self>, values: &mut [u64]) {
        let adapter = cx.data();
        let mut slots = values.iter_mut();
        if let Some(slot) = slots.next() {
            *slot = adapter.resets.load(Relaxed);
        }
        for processor in &adapter.processors {
            let mut all = [0; WIRE_COUNTERS];
            processor.wires(&mut all);
            for (wire, slot) in private().zip(&mut slots) {
                *slot = all[wire as usize];
            }
        }
    }

    fn rss(cx: &mut Control<'_, Self>, key: &mut [u8], table: &mut [u32]) {
        let rss = cx.data().rss.lock();
        for (to, from) in key.iter_mut().zip(rss.key) {
            *to = from;
        }
        for (to, from) in table.iter_mut().zip(rss.table.0) {
            *to = from.into();
        }
    }

    fn set_rss(cx: &mut Control<'_, Self>, change: RssChange<'_>) -> Result {
        let adapter = cx.data();
        if adapter.features & feature::RSS == 0 {
            return Err(EOPNOTSUPP);
        }
        let former = {
            let mut rss = adapter.rss.lock();
            let former = (rss.key, rss.table);
            if let Some(key) = change.key {
                rss.key = key.try_into().map_err(|_| EINVAL)?;
            }
            if let Some(table) = change.table {
                for (to, &from) in rss.table.0.iter_mut().zip(table) {
                    // The core has checked that there is such a queue.
                    *to = from as u8;
                }
            }
            former
        };
        let result = adapter.apply_rss(cx.parent());
        if result.is_err() {
            let mut rss = adapter.rss.lock();
            (rss.key, rss.table) = former;
        }
        result
    }

    fn hashes_ports(_cx: &mut Control<'_, Self>, udp: bool) -> bool {
        let fields = match udp {
            false => rss::field::TCP4 | rss::field::TCP6,
            true => rss::field::UDP4 | rss::field::UDP6,
        };
        rss::field::DEFAULT & fields != 0
    }
}
