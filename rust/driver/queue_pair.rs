// SPDX-License-Identifier: GPL-2.0

//! A queue pair: the host's state of one offload processor, whether it runs or not.

use super::{
    counters::{
        GroCounters,
        HwCounters,
        XdpCounters, //
    },
    function::Function,
    submission_ring::SubmissionRing, //
};
use crate::{
    abi::{
        ring::{
            RingId,
            SUBMISSION_ENTRY, //
        },
        stats::Counter as HwCounter, //
    },
    offload::SubmitError,
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
        barrier::{
            self,
            mb, //
        },
        Arc, //
    }, //
};

/// A queue pair.
#[pin_data]
pub(super) struct QueuePair {
    /// Number of the queue pair and of its processor.
    pub(super) index: u8,
    /// `None` while the processor does not run.
    #[pin]
    pub(super) submission: BhSpinLock<Option<SubmissionRing>>,
    /// Somebody waits for fragment credits since the last poll began.
    shortage: AtomicFlag,
    /// Fragment credits left.
    credits: Atomic<u32>,
    /// Consumer index of the completion ring at the end of the last poll.
    pub(super) consumed: Atomic<u32>,
    /// The poll found invalid completions and stopped. A reset is scheduled.
    pub(super) broken: AtomicFlag,
    #[pin]
    pub(super) hw: BhSpinLock<HwCounters>,
    /// Receive: failed allocations of pages and skbs. A block of pages that could not be allocated
    /// may have been replaced by single pages.
    pub(super) rx_alloc_fail: Counter,
    /// Receive: frames dropped for lack of memory.
    pub(super) rx_dropped: Counter,
    /// Receive: invalid completions.
    pub(super) rx_invalid: Counter,
    /// Receive: frames that the adapter has coalesced.
    pub(super) gro: GroCounters,
    /// XDP verdicts.
    pub(super) xdp: XdpCounters,
    /// Transmit, written under the transmit lock: frames dropped.
    pub(super) tx_dropped: Counter,
    /// Transmit, written under the transmit lock: times the queue was stopped.
    pub(super) tx_stop: Counter,
    /// Transmit, written by the poll: times the queue was woken.
    pub(super) tx_wake: Counter,
}

impl QueuePair {
    /// Creates queue pair `index` with `credits` fragment credits.
    pub(super) fn new(index: u8, credits: u32) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                index,
                submission <- new_bh_spinlock!(None),
                shortage: AtomicFlag::new(false),
                credits: Atomic::new(credits),
                consumed: Atomic::new(0),
                broken: AtomicFlag::new(false),
                hw <- new_bh_spinlock!(HwCounters::new()),
                rx_alloc_fail: Counter::new(),
                rx_dropped: Counter::new(),
                rx_invalid: Counter::new(),
                gro: GroCounters::default(),
                xdp: XdpCounters::default(),
                tx_dropped: Counter::new(),
                tx_stop: Counter::new(),
                tx_wake: Counter::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Counts a received frame that is dropped for lack of memory.
    pub(super) fn count_no_memory(&self) {
        self.rx_alloc_fail.add(1);
        self.rx_dropped.add(1);
    }

    /// Returns a counter of the adapter.
    pub(super) fn hw_counter(&self, counter: HwCounter) -> u64 {
        self.hw.lock().get(counter)
    }

    /// Returns the sum of counters of the adapter. Additions wrap.
    pub(super) fn hw_sum(&self, counters: &[HwCounter]) -> u64 {
        let hw = self.hw.lock();
        counters
            .iter()
            .fold(0, |sum, &counter| hw.get(counter).wrapping_add(sum))
    }

    /// Copies all counters of the adapter, in the order of [`HwCounter::ALL`].
    pub(super) fn hw_copy(&self, values: &mut [u64]) {
        let hw = self.hw.lock();
        for (value, &counter) in values.iter_mut().zip(HwCounter::ALL) {
            *value = hw.get(counter);
        }
    }

    /// Returns the producer index of the completion ring, if the channel has memory.
    pub(super) fn produced(&self) -> Option<u32> {
        const PRODUCED: usize = RingId::Completion.index_offset();
        let submission = self.submission.lock();
        submission
            .as_ref()
            .map(|ring| ring.status().load_acquire::<PRODUCED>())
    }

    /// Returns whether the poll has consumed the completions before index `end`. True after invalid
    /// ones, because the poll then consumes no more.
    pub(super) fn has_consumed(&self, end: u32) -> bool {
        // CAST: The distance is at most the length of the ring.
        let left = end.wrapping_sub(self.consumed.load(Relaxed)) as i32;
        left <= 0 || self.broken.load(Relaxed)
    }

    /// Submits `entries`, all or none.
    pub(super) fn submit(
        &self,
        function: &Function,
        entries: &[[u8; SUBMISSION_ENTRY]],
    ) -> Result<(), SubmitError> {
        let mut guard = self.submission.lock();
        let ring: &mut Option<SubmissionRing> = &mut guard;
        let ring = ring.as_mut().ok_or(SubmitError::Stopped)?;
        if (ring.room() as usize) < entries.len() {
            return Err(SubmitError::Full);
        }
        ring.submit(function, entries);
        Ok(())
    }

    /// Takes at most `most` fragment credits, and returns how many.
    pub(super) fn reserve(&self, most: u32) -> u32 {
        let mut left = self.credits.load(Relaxed);
        loop {
            let count = most.min(left);
            if count == 0 {
                return 0;
            }
            match self.credits.cmpxchg(left, left - count, Full) {
                Ok(_) => return count,
                Err(now) => left = now,
            }
        }
    }

    /// Returns `count` fragment credits. Returns true when somebody waits for them, and the next poll
    /// has to be scheduled.
    pub(super) fn release(&self, count: u32) -> bool {
        if count == 0 {
            return false;
        }
        self.credits.fetch_add(count, Full);
        self.shortage.load(Relaxed)
    }

    /// Notes that somebody waits for fragment credits, until the next poll begins. Returns true when
    /// there are some.
    pub(super) fn announce_shortage(&self) -> bool {
        self.shortage.store(true, Relaxed);
        // Orders the flag before the credits. `release` has them the other way round: it sees the
        // flag, or its credits are seen here.
        mb(barrier::Full);
        self.credits.load(Relaxed) > 0
    }

    /// Ends a shortage that was announced. Called at the start of a poll, whose end lets the client try
    /// again.
    pub(super) fn end_shortage(&self) {
        if self.shortage.load(Relaxed) {
            self.shortage.xchg(false, Full);
        }
    }
}
