// SPDX-License-Identifier: GPL-2.0

//! Proportional rate reduction (RFC 6937): how much may be sent while the congestion window comes
//! down to the slow start threshold. All amounts in bytes.

/// State of one reduction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prr {
    /// Delivered since the reduction began.
    delivered: u64,
    /// Sent since.
    out: u64,
    /// Outstanding when it began ("RecoverFS").
    flight: u64,
}

impl Prr {
    /// Begins a reduction with `flight` bytes outstanding, and `unused` that the window had room for
    /// before, because acknowledgements came several at a time: as if these had been sent, and had
    /// arrived.
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

    /// `delivered` more bytes have reached the peer and `pipe` are on their way. Returns how many
    /// bytes may be sent now.
    ///
    /// `progress`: SND.UNA has advanced and nothing more was found lost. Only then may the window
    /// grow back as in slow start (RFC 6937's heuristic for its two bounds, as Linux has it).
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
            let mut limit = self.delivered.saturating_sub(self.out);
            if progress {
                limit = limit.max(u64::from(delivered)) + u64::from(mss);
            }
            limit.min(u64::from(ssthresh - pipe))
        };
        // The fast retransmit itself must not wait.
        let least = if self.out == 0 { mss } else { 0 };
        u32::try_from(allowed).unwrap_or(u32::MAX).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    /// Half the window after a loss: a segment for every other acknowledgement until what is on its
    /// way is as much as the threshold, then one for each.
    #[test]
    fn rfc6937_reduces_in_proportion() {
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
    fn rfc6937_conserves_packets_below_the_threshold() {
        let mut prr = Prr::new(20 * MSS, 0);
        prr.sent(MSS);
        assert_eq!(prr.on_ack(3 * MSS, 4 * MSS, 10 * MSS, MSS, false), 2 * MSS);
        assert_eq!(prr.on_ack(MSS, 4 * MSS, 10 * MSS, MSS, true), 4 * MSS);
        assert_eq!(prr.on_ack(MSS, 9 * MSS, 10 * MSS, MSS, true), MSS);
    }

    #[test]
    fn the_fast_retransmit_does_not_wait() {
        assert_eq!(
            Prr::new(20 * MSS, 0).on_ack(1, 19 * MSS, 10 * MSS, MSS, false),
            MSS
        );
    }
}
