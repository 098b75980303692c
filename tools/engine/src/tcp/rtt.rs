// SPDX-License-Identifier: GPL-2.0

//! RTT estimation and retransmission timeout (RFC 6298).

use toe_abi::completion::Reason;
use toe_abi::submission::MIN_TIME_US;
use toe_abi::submission::RTO_MAX_US as RTO_MAX;
use toe_abi::submission::RTO_MIN_US as RTO_MIN;

use super::time::SECOND;

/// Initial RTO (RFC 6298 2.1).
const RTO_INITIAL: u32 = SECOND as u32;
/// Maximum RTT. Larger samples are clamped to avoid overflow.
const RTT_MAX: u32 = RTO_MAX;

/// RTT estimator. Times are in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Rtt {
    /// SRTT * 8, so that the gain of 1/8 does not round. 0 if there was no sample.
    srtt8: u32,
    /// RTTVAR * 4.
    rttvar4: u32,
    min: u32,
    rto: u32,
    /// Minimum of the variance term of the RTO, and thereby of the RTO. RFC 6298 recommends one
    /// second; 200 ms is common practice and equals the host's TCP.
    rto_min: u32,
    rto_max: u32,
}

impl Rtt {
    /// Continues with the state of another estimator. Without samples, `srtt` is 0 and `min` is
    /// `u32::MAX`.
    pub fn new(srtt: u32, rttvar: u32, min: u32, rto: u32) -> Self {
        Self {
            srtt8: srtt.min(RTT_MAX) * 8,
            rttvar4: rttvar.min(RTT_MAX) * 4,
            min,
            rto: if rto == 0 { RTO_INITIAL } else { rto }.clamp(RTO_MIN, RTO_MAX),
            rto_min: RTO_MIN,
            rto_max: RTO_MAX,
        }
    }

    /// Sets the limits of the RTO. Without a sample or after a backoff (`keep`), the current RTO
    /// changes only if it is above the maximum.
    ///
    /// # Errors
    ///
    /// `Submission` if one is out of range.
    pub fn set_limits(&mut self, min: u32, max: u32, keep: bool) -> Result<(), Reason> {
        if min < MIN_TIME_US || min > max || max > RTO_MAX {
            return Err(Reason::Submission);
        }
        self.rto_min = min;
        self.rto_max = max;
        if keep || self.srtt8 == 0 {
            self.rto = self.rto.min(max);
        } else {
            self.update_rto();
        }
        Ok(())
    }

    /// RFC 6298 2.3 and 2.4.
    fn update_rto(&mut self) {
        self.rto = (self.srtt() + self.rttvar4.max(self.rto_min)).min(self.rto_max);
    }

    /// Minimum RTO.
    #[inline]
    pub fn rto_min(&self) -> u32 {
        self.rto_min
    }

    /// SRTT, 0 if there was no sample.
    #[inline]
    pub fn srtt(&self) -> u32 {
        self.srtt8 / 8
    }

    /// RTTVAR.
    #[inline]
    pub fn rttvar(&self) -> u32 {
        self.rttvar4 / 4
    }

    /// Minimum RTT, `u32::MAX` if there was no sample.
    #[inline]
    pub fn min(&self) -> u32 {
        self.min
    }

    /// Current RTO, including backoff.
    #[inline]
    pub fn rto(&self) -> u32 {
        self.rto
    }

    /// Adds an exact sample. Resets the backoff.
    pub fn sample(&mut self, rtt: u32) {
        self.min = self.min.min(rtt);
        self.sample_coarse(rtt);
    }

    /// Adds a sample that is too coarse for the minimum RTT. Resets the backoff.
    pub fn sample_coarse(&mut self, rtt: u32) {
        let rtt = rtt.clamp(1, RTT_MAX);
        if self.srtt8 == 0 {
            // RFC 6298 2.2.
            self.srtt8 = rtt * 8;
            self.rttvar4 = rtt * 2;
        } else {
            // RFC 6298 2.3: update RTTVAR first, from the old SRTT.
            let deviation = (self.srtt8 / 8).abs_diff(rtt);
            self.rttvar4 = self.rttvar4 - self.rttvar4 / 4 + deviation;
            self.srtt8 = self.srtt8 - self.srtt8 / 8 + rtt;
        }
        self.update_rto();
    }

    /// Doubles the RTO after a timeout (RFC 6298 5.5).
    pub fn back_off(&mut self) {
        self.rto = self.rto.saturating_mul(2).min(self.rto_max);
    }

    /// RTO after `times` unanswered zero-window probes (RFC 9293 3.8.6.1).
    pub fn backed_off(&self, times: u8) -> u32 {
        self.rto
            .checked_shl(u32::from(times))
            .filter(|&rto| rto >> times == self.rto)
            .map_or(self.rto_max, |rto| rto.min(self.rto_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6298_2_2_first_measurement() {
        let mut rtt = Rtt::new(0, 0, u32::MAX, 0);
        assert_eq!(rtt.rto(), 1_000_000);
        rtt.sample(100_000);
        assert_eq!((rtt.srtt(), rtt.rttvar()), (100_000, 50_000));
        assert_eq!(rtt.rto(), 100_000 + 4 * 50_000);
        assert_eq!(rtt.min(), 100_000);
    }

    #[test]
    fn rfc6298_2_3_subsequent_measurement() {
        let mut rtt = Rtt::new(100_000, 50_000, 100_000, 300_000);
        rtt.sample(180_000);
        // RTTVAR = 3/4 * 50 + 1/4 * |100 - 180|; SRTT = 7/8 * 100 + 1/8 * 180.
        assert_eq!((rtt.srtt(), rtt.rttvar()), (110_000, 57_500));
        assert_eq!(rtt.rto(), 110_000 + 4 * 57_500);
    }

    #[test]
    fn rfc6298_2_4_never_below_the_minimum() {
        let mut rtt = Rtt::new(0, 0, u32::MAX, 0);
        for _ in 0..100 {
            rtt.sample(50);
        }
        assert_eq!((rtt.srtt(), rtt.rto()), (50, RTO_MIN + 50));
    }

    #[test]
    fn rfc6298_5_5_doubles_up_to_the_maximum() {
        let mut rtt = Rtt::new(100_000, 0, 100_000, 300_000);
        rtt.back_off();
        assert_eq!(rtt.rto(), 600_000);
        for _ in 0..20 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto(), RTO_MAX);
        rtt.sample(100_000);
        assert_eq!(rtt.rto(), 300_000);
    }

    #[test]
    fn the_host_sets_the_limits() {
        let mut rtt = Rtt::new(1_000, 0, 1_000, 201_000);
        assert_eq!(rtt.set_limits(20_000, 1_000_000, false), Ok(()));
        assert_eq!(rtt.rto(), 21_000);
        for _ in 0..10 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto(), 1_000_000);
        assert_eq!(rtt.backed_off(9), 1_000_000);
        assert_eq!(rtt.set_limits(50_000, 1_000_000, true), Ok(()));
        assert_eq!(rtt.rto(), 1_000_000);
        rtt.sample(1_000);
        assert_eq!(rtt.rto(), 51_000);
        for (min, max) in [(999, 1_000), (2_000, 1_999), (1_000, RTO_MAX + 1)] {
            assert_eq!(rtt.set_limits(min, max, false), Err(Reason::Submission));
        }
    }

    #[test]
    fn probes_back_off_without_overflow() {
        let rtt = Rtt::new(100_000, 0, 100_000, 300_000);
        assert_eq!(rtt.backed_off(2), 1_200_000);
        for times in 9..=u8::MAX {
            assert_eq!(rtt.backed_off(times), RTO_MAX);
        }
    }
}
