// SPDX-License-Identifier: GPL-2.0

//! Interrupt coalescing and the arm words of the doorbell page ([`toe_abi::ring`]).

use toe_abi::ring;
use toe_abi::stats::Counter;

use crate::counters::Counters;
use crate::env::Host;

/// Interrupt coalescing of a processor (`ethtool -C rx-usecs`, `rx-frames`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Coalesce {
    /// Maximum delay of an interrupt, in microseconds. 0 disables coalescing.
    pub usecs: u32,
    /// Number of pending completions that ends the delay. 0 and 1 leave only the time limit.
    pub completions: u32,
    /// Time at which the pending interrupt was first delayed.
    since: Option<u64>,
    /// Arm words that have fired. Each fires once.
    fired: u32,
    fired_transmit: u32,
}

impl Coalesce {
    /// Resets the arm state. Settings are kept.
    pub fn restart(&mut self) {
        self.since = None;
        self.fired = 0;
        self.fired_transmit = 0;
    }

    /// Raises the interrupt if it is armed and due. `producer` is the published index of the
    /// completion ring, `consumer` that of the transmit ring.
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
        // One interrupt serves both arm words if both are due.
        if received {
            self.fired = word;
        }
        if sent {
            self.fired_transmit = transmit;
        }
        host.interrupt();
        counters.count(Counter::Interrupts);
    }

    /// Time at which the delayed interrupt is due.
    #[inline]
    pub fn deadline(&self) -> Option<u64> {
        self.since.map(|since| since + u64::from(self.usecs))
    }
}
