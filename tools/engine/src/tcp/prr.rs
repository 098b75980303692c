// SPDX-License-Identifier: GPL-2.0

//! Proportional rate reduction (RFC 9937): limits sending while the congestion window is reduced to
//! ssthresh. All amounts are in bytes.

/// State of one reduction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prr {
    /// Delivered since the reduction began (prr_delivered).
    delivered: u64,
    /// Sent since the reduction began (prr_out).
    out: u64,
    /// Outstanding when the reduction began (RecoverFS).
    flight: u64,
}

impl Prr {
    /// Begins a reduction with `flight` bytes outstanding. `unused` is cwnd left unused because
    /// several ACKs were processed before sending; it is credited as if sent and delivered.
    pub fn new(flight: u32, unused: u32) -> Self {
        Self {
            delivered: u64::from(unused),
            out: 0,
            flight: (u64::from(flight) + u64::from(unused)).max(1),
        }
    }

    /// `length` bytes were sent.
    #[inline]
    pub fn sent(&mut self, length: u32) {
        self.out += u64::from(length);
    }

    /// Processes an ACK that delivers `delivered` more bytes and leaves `pipe` in flight. Returns
    /// the number of bytes that may be sent now.
    ///
    /// `progress`: SND.UNA has advanced and no further loss was detected. Only then may the window
    /// grow as in slow start (SafeACK, as in `tcp_cwnd_reduction()`).
    pub fn on_ack(
        &mut self,
        delivered: u32,
        pipe: u32,
        ssthresh: u32,
        mss: u32,
        progress: bool,
    ) -> u32 {
        self.delivered += u64::from(delivered);
        let allowed = if pipe > ssthresh {
            let target = (self.delivered * u64::from(ssthresh)).div_ceil(self.flight);
            target.saturating_sub(self.out)
        } else {
            let behind = self.delivered.saturating_sub(self.out);
            let growth = if progress { mss } else { 0 };
            let limit = behind.max(u64::from(delivered)) + u64::from(growth);
            limit.min(u64::from(ssthresh - pipe))
        };
        // Always allow the fast retransmit.
        let least = if self.out == 0 { mss } else { 0 };
        u32::try_from(allowed).unwrap_or(u32::MAX).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    /// Reduction to half: one segment for every other ACK until the data in flight is down to
    /// ssthresh, then one per ACK.
    #[test]
    fn rfc9937_reduces_in_proportion() {
        let mut prr = Prr::new(20 * MSS, 0);
        let mut pipe = 16 * MSS;
        let mut sent = 0;
        for ack in 1..=17 {
            pipe -= MSS;
            let allowed = prr.on_ack(MSS, pipe, 10 * MSS, MSS, false) / MSS * MSS;
            prr.sent(allowed);
            pipe += allowed;
            sent += allowed / MSS;
            if ack == 10 {
                assert_eq!((sent, pipe), (4, 10 * MSS));
            }
        }
        assert_eq!((sent, pipe), (11, 10 * MSS));
    }

    #[test]
    fn rfc9937_conserves_packets_below_the_threshold() {
        let mut prr = Prr::new(20 * MSS, 0);
        prr.sent(MSS);
        assert_eq!(prr.on_ack(3 * MSS, 4 * MSS, 10 * MSS, MSS, false), 3 * MSS);
        assert_eq!(prr.on_ack(MSS, 4 * MSS, 10 * MSS, MSS, true), 4 * MSS);
        assert_eq!(prr.on_ack(MSS, 9 * MSS, 10 * MSS, MSS, true), MSS);
    }

    /// What was delivered may be sent again, although the fast retransmit has been sent in advance.
    #[test]
    fn rfc9937_a_fast_retransmit_in_advance_is_not_held_against_the_next() {
        let mut prr = Prr::new(20 * MSS, 0);
        assert_eq!(prr.on_ack(1, 9 * MSS, 10 * MSS, MSS, false), MSS);
        prr.sent(MSS);
        assert_eq!(prr.on_ack(MSS, 8 * MSS, 10 * MSS, MSS, false), MSS);
    }

    #[test]
    fn the_fast_retransmit_does_not_wait() {
        assert_eq!(
            Prr::new(20 * MSS, 0).on_ack(1, 19 * MSS, 10 * MSS, MSS, false),
            MSS
        );
    }
}
