// SPDX-License-Identifier: GPL-2.0

//! When the host is interrupted: arm words and moderation ([`toe_abi::ring`]).

use toe_abi::ring;
use toe_abi::stats::Counter;

use crate::counters::Counters;
use crate::env::Host;

/// Interrupt moderation of a processor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Coalesce {
    /// An interrupt is held back at most this long, in microseconds.
    pub usecs: u32,
    /// ... or until this many completions wait.
    pub completions: u32,
    /// Since when an armed interrupt is held back.
    since: Option<u64>,
    /// The arm words that have fired: each fires once.
    fired: u32,
    fired_transmit: u32,
}

impl Coalesce {
    /// Forgets what the host has armed; the settings stay.
    pub fn restart(&mut self) {
        self.since = None;
        self.fired = 0;
        self.fired_transmit = 0;
    }

    /// Raises the interrupt if the host asked for it and it is due. `producer` is the published
    /// index of the completion ring, `consumer` that of the transmit ring.
    #[inline]
    pub fn poll<H: Host>(
        &mut self,
        now: u64,
        host: &mut H,
        producer: u32,
        consumer: u32,
        counters: &mut Counters,
    ) {
        let word = host.doorbell(ring::ARM);
        let transmit = host.doorbell(ring::ARM_TRANSMIT);
        if transmit == 0 {
            self.fired_transmit = 0;
        }
        let received = word != self.fired && ring::arm_fires(word, producer);
        let sent = transmit != self.fired_transmit && ring::transmit_arm_fires(transmit, consumer);
        if !received && !sent {
            self.since = None;
            return;
        }
        let since = *self.since.get_or_insert(now);
        let waiting = producer.wrapping_sub(word >> 1) & 0x7fff_ffff;
        let hold = self.usecs != 0
            && now < since + u64::from(self.usecs)
            && (self.completions <= 1 || waiting < self.completions);
        if hold {
            return;
        }
        self.since = None;
        // One interrupt answers both words when both are due.
        if received {
            self.fired = word;
        }
        if sent {
            self.fired_transmit = transmit;
        }
        host.interrupt();
        counters.count(Counter::Interrupts);
    }

    /// When an interrupt that is held back is due.
    #[inline]
    pub fn deadline(&self) -> Option<u64> {
        self.since.map(|since| since + u64::from(self.usecs))
    }
}
