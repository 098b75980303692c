// SPDX-License-Identifier: GPL-2.0

//! What the host has of one offload processor, whether it runs or not.

use super::xdp;
use crate::{
    abi::{
        ring::{
            Ring as Line,
            COUNTERS,
            SUBMISSION_ENTRY, //
        },
        stats::Counter as Wire, //
    },
    net::dma::{
        Ring,
        SharedPage, //
    },
    util::{
        counter::Counter,
        lock::{
            new_bh_spinlock,
            BhSpinLock, //
        }, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            AtomicFlag,
            Full,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// Number of the adapter's counters.
pub(super) const WIRE_COUNTERS: usize = Wire::ALL.len();

/// The host's end of the submission ring.
pub(super) struct Submission {
    pub(super) ring: Ring<SUBMISSION_ENTRY>,
    pub(super) status: Arc<SharedPage>,
    pub(super) producer: u32,
}

impl Submission {
    /// Number of entries that fit now.
    pub(super) fn room(&self) -> u32 {
        const CONSUMER: usize = Line::Submission.index_offset();
        let used = self
            .producer
            .wrapping_sub(self.status.load_acquire::<CONSUMER>());
        // An adapter that claims to have consumed what it was not given gets nothing more.
        self.ring.entries().saturating_sub(used)
    }
}

/// Counters of the adapter: of earlier runs, and the page where it keeps those of this one.
pub(super) struct Totals {
    base: [u64; WIRE_COUNTERS],
    live: Option<Arc<SharedPage>>,
}

impl Totals {
    fn get(&self, counter: Wire) -> u64 {
        let i = counter as usize;
        let live = self
            .live
            .as_ref()
            .map_or(0, |page| page.load64(COUNTERS + 8 * i));
        self.base[i].wrapping_add(live)
    }

    /// A run begins, with its counters at zero.
    pub(super) fn begin(&mut self, page: Arc<SharedPage>) {
        self.live = Some(page);
    }

    /// A run has ended.
    pub(super) fn end(&mut self) {
        for &counter in Wire::ALL {
            self.base[counter as usize] = match counter {
                // Not a count of events: nothing is left of it.
                Wire::Connections => 0,
                _ => self.get(counter),
            };
        }
        self.live = None;
    }
}

/// Frames that stand for several wire frames (hardware GRO).
#[derive(Default)]
pub(super) struct Gro {
    /// Such frames.
    pub(super) packets: Counter,
    /// Their bytes.
    pub(super) bytes: Counter,
    /// Wire frames that they stand for.
    pub(super) wire_packets: Counter,
    /// Bytes of those.
    pub(super) wire_bytes: Counter,
}

impl Gro {
    /// Counts a frame of `length` bytes with `header` bytes of headers, which stands for `segments`
    /// wire frames.
    pub(super) fn count(&self, segments: u16, header: usize, length: usize) {
        let repeated = usize::from(segments.saturating_sub(1)) * header;
        self.packets.add(1);
        self.bytes.add(length as u64);
        self.wire_packets.add(segments.into());
        self.wire_bytes.add((length + repeated) as u64);
    }
}

/// An offload processor.
#[pin_data]
pub(super) struct Processor {
    pub(super) index: u8,
    /// `None` while the processor does not run.
    #[pin]
    pub(super) submission: BhSpinLock<Option<Submission>>,
    #[pin]
    pub(super) totals: BhSpinLock<Totals>,
    /// Fragment credits left.
    credits: Atomic<u32>,
    /// Consumer index of the completion ring, as of the last poll.
    pub(super) consumed: Atomic<u32>,
    /// What the processor says cannot be believed any more; a reset is on its way.
    pub(super) broken: AtomicFlag,
    /// Somebody met a full submission ring.
    pub(super) waiting: AtomicFlag,
    /// Receive: pages or skbs for which there was no memory when they were wanted; a block of pages
    /// may be had in single ones then.
    pub(super) rx_alloc_fail: Counter,
    /// Receive: frames dropped because there was no memory.
    pub(super) rx_dropped: Counter,
    /// Receive: completions that contradict themselves.
    pub(super) rx_invalid: Counter,
    /// Receive: frames passed on.
    pub(super) rx_frames: Counter,
    /// Receive: frames that stand for several.
    pub(super) gro: Gro,
    /// What XDP programs have decided.
    pub(super) xdp: xdp::Counters,
    /// Transmit: frames dropped, counted under the transmit lock.
    pub(super) tx_dropped: Counter,
    /// Transmit: times the queue stopped.
    pub(super) tx_stop: Counter,
    /// Transmit: times it was woken.
    pub(super) tx_wake: Counter,
}

impl Processor {
    /// Processor `index`, with `credits` fragments.
    pub(super) fn new(index: u8, credits: u32) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                index,
                submission <- new_bh_spinlock!(None),
                totals <- new_bh_spinlock!(Totals {
                    base: [0; WIRE_COUNTERS],
                    live: None,
                }),
                credits: Atomic::new(credits),
                consumed: Atomic::new(0),
                broken: AtomicFlag::new(false),
                waiting: AtomicFlag::new(false),
                rx_alloc_fail: Counter::new(),
                rx_dropped: Counter::new(),
                rx_invalid: Counter::new(),
                rx_frames: Counter::new(),
                gro: Gro::default(),
                xdp: xdp::Counters::default(),
                tx_dropped: Counter::new(),
                tx_stop: Counter::new(),
                tx_wake: Counter::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Counts a received frame that is lost because there was no memory for it.
    pub(super) fn no_memory(&self) {
        self.rx_alloc_fail.add(1);
        self.rx_dropped.add(1);
    }

    /// A counter of the adapter, over all runs.
    pub(super) fn wire(&self, counter: Wire) -> u64 {
        self.totals.lock().get(counter)
    }

    /// The sum of counters of the adapter. It wraps: their values are the adapter's.
    pub(super) fn sum(&self, counters: &[Wire]) -> u64 {
        let totals = self.totals.lock();
        counters
            .iter()
            .fold(0, |sum, &counter| totals.get(counter).wrapping_add(sum))
    }

    /// All counters of the adapter, in their order.
    pub(super) fn wires(&self, values: &mut [u64]) {
        let totals = self.totals.lock();
        for (value, &counter) in values.iter_mut().zip(Wire::ALL) {
            *value = totals.get(counter);
        }
    }

    /// Whether the poll has taken everything that the adapter has said, as far as it is to be
    /// believed.
    pub(super) fn is_drained(&self) -> bool {
        const PRODUCED: usize = Line::Completion.index_offset();
        if self.broken.load(Relaxed) {
            return true;
        }
        let submission = self.submission.lock();
        submission.as_ref().is_none_or(|submission| {
            submission.status.load_acquire::<PRODUCED>() == self.consumed.load(Relaxed)
        })
    }

    /// Takes `count` credits, if there are as many.
    pub(super) fn reserve(&self, count: u32) -> bool {
        let mut left = self.credits.load(Relaxed);
        while left >= count {
            match self.credits.cmpxchg(left, left - count, Full) {
                Ok(_) => return true,
                Err(now) => left = now,
            }
        }
        false
    }

    /// Gives `count` credits back.
    pub(super) fn release(&self, count: u32) {
        self.credits.add(count, Relaxed);
    }
}
