// SPDX-License-Identifier: GPL-2.0

//! Counters of a queue pair.

use crate::{
    abi::{
        ring::COUNTERS,
        stats::Counter as HwCounter, //
    },
    net::dma::SharedPage,
    util::counter::Counter, //
};
use kernel::sync::Arc;

/// Number of the adapter's counters.
pub(super) const HW_COUNTERS: usize = HwCounter::ALL.len();

/// The adapter's counters of one processor.
///
/// The adapter starts at zero with each start of the processor. This adds the values of earlier runs.
pub(super) struct HwCounters {
    base: [u64; HW_COUNTERS],
    /// Status page of the current run.
    live: Option<Arc<SharedPage>>,
}

impl HwCounters {
    /// Creates counters of a processor that has not run yet.
    pub(super) const fn new() -> Self {
        Self {
            base: [0; HW_COUNTERS],
            live: None,
        }
    }

    /// Returns the value over all runs. Additions wrap, because the values come from the adapter.
    pub(super) fn get(&self, counter: HwCounter) -> u64 {
        let i = counter as usize;
        let live = self
            .live
            .as_ref()
            .map_or(0, |page| page.load64(COUNTERS + 8 * i));
        self.base[i].wrapping_add(live)
    }

    /// Begins a run with status page `page`.
    pub(super) fn begin(&mut self, page: Arc<SharedPage>) {
        self.live = Some(page);
    }

    /// Ends the run.
    pub(super) fn end(&mut self) {
        for &counter in HwCounter::ALL {
            self.base[counter as usize] = match counter {
                // A gauge.
                HwCounter::Connections => 0,
                _ => self.get(counter),
            };
        }
        self.live = None;
    }
}

/// Received frames that hold several wire frames (hardware GRO).
#[derive(Default)]
pub(super) struct GroCounters {
    /// Frames.
    pub(super) packets: Counter,
    /// Bytes of these frames.
    pub(super) bytes: Counter,
    /// Wire frames in these frames.
    pub(super) wire_packets: Counter,
    /// Bytes of these wire frames.
    pub(super) wire_bytes: Counter,
}

impl GroCounters {
    /// Counts a frame of `length` bytes, `header` of them headers, made of `segments` wire frames.
    pub(super) fn count(&self, segments: u16, header: usize, length: usize) {
        let repeated = usize::from(segments.saturating_sub(1)) * header;
        self.packets.add(1);
        self.bytes.add(length as u64);
        self.wire_packets.add(segments.into());
        self.wire_bytes.add((length + repeated) as u64);
    }
}

/// XDP verdicts on the frames of a queue pair.
#[derive(Default)]
pub(super) struct XdpCounters {
    /// Receive, written by the poll: frames that a program has run on.
    pub(super) packets: Counter,
    /// Frames that it dropped.
    pub(super) drops: Counter,
    /// Frames that it sent back through the interface (`XDP_TX`).
    pub(super) transmits: Counter,
    /// Frames that it redirected.
    pub(super) redirects: Counter,
    /// Frames lost because the program failed or its verdict could not be carried out.
    pub(super) errors: Counter,
    /// Transmit, written under the transmit lock: frames sent, including those that other
    /// interfaces redirect here.
    pub(super) sent: Counter,
    /// Frames for which the ring had no room.
    pub(super) full: Counter,
}

impl XdpCounters {
    /// Number of counters.
    pub(super) const COUNT: usize = 7;

    /// Returns names and values.
    pub(super) fn all(&self) -> [(&'static str, u64); Self::COUNT] {
        [
            ("rx_xdp_packets", self.packets.get()),
            ("rx_xdp_drops", self.drops.get()),
            ("rx_xdp_tx", self.transmits.get()),
            ("rx_xdp_redirects", self.redirects.get()),
            ("rx_xdp_errors", self.errors.get()),
            ("tx_xdp_packets", self.sent.get()),
            ("tx_xdp_drops", self.full.get()),
        ]
    }
}
