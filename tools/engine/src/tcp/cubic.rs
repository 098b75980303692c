// SPDX-License-Identifier: GPL-2.0

//! Congestion window: CUBIC (RFC 9438) with slow start (RFC 5681). Windows are in bytes.

use super::time::Instant;

/// Maximum congestion window.
const CWND_MAX: u32 = 1 << 30;

/// Minimum window after an idle period, in segments (RFC 6928; `TCP_INIT_CWND`).
const RESTART_SEGMENTS: u32 = 10;

/// State to restore when a reduction was spurious.
#[derive(Clone, Copy, Debug)]
struct Saved {
    cwnd: u32,
    ssthresh: u32,
    w_max: u32,
}

/// An epoch of congestion avoidance between two reductions.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    start: Instant,
    /// Time from the start to the plateau, in milliseconds (K).
    k: u32,
    /// Window at the plateau.
    origin: u32,
    /// Window of Reno (W_est).
    w_est: u32,
    /// Remainders of the divisions by the window, so that slow growth is not rounded away.
    credit: u64,
    reno_credit: u64,
}

/// Congestion window and slow start threshold.
#[derive(Clone, Copy, Debug)]
pub struct Cubic {
    cwnd: u32,
    /// Largest window.
    limit: u32,
    ssthresh: u32,
    /// Window before the last reduction (W_max).
    w_max: u32,
    epoch: Option<Epoch>,
    saved: Saved,
}

impl Cubic {
    /// Starts with the given windows. An `ssthresh` of `u32::MAX` means it was never set.
    pub fn new(cwnd: u32, ssthresh: u32) -> Self {
        let cwnd = cwnd.min(CWND_MAX);
        Self {
            cwnd,
            limit: CWND_MAX,
            ssthresh,
            w_max: 0,
            epoch: None,
            saved: Saved {
                cwnd,
                ssthresh,
                w_max: 0,
            },
        }
    }

    /// Congestion window.
    #[inline]
    pub fn cwnd(&self) -> u32 {
        self.cwnd
    }

    /// Slow start threshold.
    #[inline]
    pub fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    /// Whether the window is below ssthresh.
    #[inline]
    pub fn in_slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// Sets the window while another rule governs it (recovery, RTO).
    pub fn set_cwnd(&mut self, cwnd: u32, mss: u32) {
        self.cwnd = cwnd.min(self.limit).max(mss);
    }

    /// Limits the window.
    pub fn set_limit(&mut self, limit: u32, mss: u32) {
        self.limit = limit.min(CWND_MAX);
        self.set_cwnd(self.cwnd, mss);
    }

    /// Grows the window for `acked` more delivered bytes. Called only if the window limits sending.
    pub fn grow(&mut self, now: Instant, mut acked: u32, srtt: u32, mss: u32) {
        if self.in_slow_start() {
            let growth = acked.min(self.ssthresh - self.cwnd);
            self.cwnd = self.cwnd.saturating_add(growth).min(CWND_MAX);
            acked -= growth;
        }
        if acked > 0 {
            self.avoid_congestion(now, acked, srtt, mss);
        }
        self.set_cwnd(self.cwnd, mss);
    }

    /// Congestion avoidance (RFC 9438 4.2 to 4.5).
    fn avoid_congestion(&mut self, now: Instant, acked: u32, srtt: u32, mss: u32) {
        let cwnd = self.cwnd;
        let w_max = self.w_max;
        let epoch = self.epoch.get_or_insert_with(|| Epoch {
            start: now,
            // K = cbrt((W_max - cwnd) / C) with C = 0.4 segments/s^3, in milliseconds.
            k: cbrt(u64::from(w_max.saturating_sub(cwnd)) * 2_500_000_000 / u64::from(mss)),
            origin: w_max.max(cwnd),
            w_est: cwnd,
            credit: 0,
            reno_credit: 0,
        });

        // 4.3: Reno's window, with alpha = 3 * (1 - beta) / (1 + beta) = 9/17 until it has regained
        // the window before the last reduction, then 1.
        let alpha = if epoch.w_est < w_max { 9 } else { 17 };
        epoch.reno_credit += u64::from(acked) * u64::from(mss) * alpha;
        let step = u64::from(cwnd) * 17;
        let growth = epoch.reno_credit / step;
        epoch.reno_credit %= step;
        epoch.w_est = epoch.w_est.saturating_add(growth as u32).min(CWND_MAX);

        let elapsed = now - epoch.start;
        if w_cubic(epoch, elapsed, mss) < epoch.w_est {
            self.cwnd = cwnd.max(epoch.w_est);
            return;
        }
        // 4.2: the window one RTT from now, at most 1.5 times the current one.
        let target = w_cubic(epoch, elapsed + u64::from(srtt), mss);
        let target = target.clamp(cwnd, cwnd.saturating_add(cwnd / 2));
        epoch.credit += u64::from(acked) * u64::from(target - cwnd);
        let growth = epoch.credit / u64::from(cwnd);
        epoch.credit %= u64::from(cwnd);
        self.cwnd = cwnd.saturating_add(growth as u32).min(CWND_MAX);
    }

    /// Reacts to congestion by reducing ssthresh (RFC 9438 4.6, with fast convergence, 4.7).
    /// Recovery then sets the window.
    pub fn on_congestion(&mut self, mss: u32) {
        self.saved = Saved {
            cwnd: self.cwnd,
            ssthresh: self.ssthresh,
            w_max: self.w_max,
        };
        self.w_max = if self.cwnd < self.w_max {
            (u64::from(self.cwnd) * 17 / 20) as u32
        } else {
            self.cwnd
        };
        self.ssthresh = ((u64::from(self.cwnd) * 7 / 10) as u32).max(2 * mss);
        self.epoch = None;
    }

    /// Undoes a spurious reduction (RFC 9438 4.9).
    pub fn undo(&mut self) {
        self.cwnd = self.cwnd.max(self.saved.cwnd).min(self.limit);
        self.ssthresh = self.ssthresh.max(self.saved.ssthresh);
        self.w_max = self.saved.w_max;
        self.epoch = None;
    }

    /// Sending resumes after `idle` microseconds, which are not part of the epoch.
    pub fn exclude(&mut self, idle: u64) {
        if let Some(epoch) = &mut self.epoch {
            epoch.start = epoch.start + idle;
        }
    }

    /// Sending resumes after `idle` microseconds: halves the window once per elapsed RTO (RFC 2861;
    /// `tcp_slow_start_after_idle`).
    pub fn on_idle(&mut self, idle: u64, rto: u32, mss: u32) {
        let floor = self.cwnd.min(RESTART_SEGMENTS * mss);
        let halvings = (idle / u64::from(rto.max(1))).min(31);
        if halvings > 0 {
            self.ssthresh = self.ssthresh.max(self.cwnd / 4 * 3);
            self.cwnd = (self.cwnd >> halvings).max(floor);
        }
    }
}

/// W_cubic(t) (RFC 9438 4.2), `elapsed` microseconds into the epoch.
fn w_cubic(epoch: &Epoch, elapsed: u64, mss: u32) -> u32 {
    // 2^19 ms are nearly nine minutes. The window reaches its limit long before.
    let t = (elapsed / 1000).min(1 << 19);
    let distance = t.abs_diff(u64::from(epoch.k)).min(1 << 19);
    let milli_segments = distance * distance * distance / 2_500_000;
    let bytes = milli_segments * u64::from(mss) / 1000;
    let bytes = bytes.min(u64::from(CWND_MAX)) as u32;
    if t < u64::from(epoch.k) {
        epoch.origin.saturating_sub(bytes)
    } else {
        epoch.origin.saturating_add(bytes).min(CWND_MAX)
    }
}

/// Integer cube root, digit by digit.
fn cbrt(mut x: u64) -> u32 {
    let mut root = 0u64;
    for shift in (0..=63).rev().step_by(3) {
        root *= 2;
        let digit = 3 * root * (root + 1) + 1;
        if x >> shift >= digit {
            x -= digit << shift;
            root += 1;
        }
    }
    root as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MSS: u32 = 1000;
    const RTT: u32 = 100_000;

    /// Grows for `round_trips` with every window fully used; returns the window after each.
    fn run(cubic: &mut Cubic, now: &mut Instant, round_trips: u32) -> alloc::vec::Vec<u32> {
        (0..round_trips)
            .map(|_| {
                let mut left = cubic.cwnd();
                while left > 0 {
                    let acked = left.min(2 * MSS);
                    cubic.grow(*now, acked, RTT, MSS);
                    left -= acked;
                }
                *now = *now + u64::from(RTT);
                cubic.cwnd()
            })
            .collect()
    }

    #[test]
    fn rfc5681_slow_start_doubles_and_stops_at_the_threshold() {
        let mut cubic = Cubic::new(10 * MSS, 50 * MSS);
        let windows = run(&mut cubic, &mut Instant(0), 3);
        assert_eq!(windows[..2], [20 * MSS, 40 * MSS]);
        assert!((50 * MSS..52 * MSS).contains(&windows[2]));
    }

    #[test]
    fn rfc9438_4_6_reduces_to_seven_tenths() {
        let mut cubic = Cubic::new(100 * MSS, u32::MAX);
        cubic.on_congestion(MSS);
        assert_eq!((cubic.ssthresh(), cubic.w_max), (70 * MSS, 100 * MSS));
        let mut tiny = Cubic::new(2 * MSS, u32::MAX);
        tiny.on_congestion(MSS);
        assert_eq!(tiny.ssthresh(), 2 * MSS);
    }

    #[test]
    fn rfc9438_4_7_fast_convergence() {
        let mut cubic = Cubic::new(100 * MSS, u32::MAX);
        cubic.on_congestion(MSS);
        cubic.set_cwnd(80 * MSS, MSS);
        cubic.on_congestion(MSS);
        assert_eq!(cubic.w_max, 68 * MSS);
    }

    /// Concave to W_max at time K, then convex (RFC 9438, 4.2).
    #[test]
    fn rfc9438_4_2_passes_the_plateau_at_k() {
        let mut cubic = Cubic::new(1000 * MSS, u32::MAX);
        cubic.on_congestion(MSS);
        cubic.set_cwnd(cubic.ssthresh(), MSS);
        let mut now = Instant(0);
        // K = cbrt(300 / 0.4) = 9.08 s.
        let windows = run(&mut cubic, &mut now, 200);
        assert!(
            windows[80].abs_diff(1000 * MSS) < 10 * MSS,
            "{}",
            windows[80]
        );
        assert!(
            windows[91].abs_diff(1000 * MSS) < 4 * MSS,
            "{}",
            windows[91]
        );
        assert!(windows[20] - windows[10] > windows[60] - windows[50]);
        assert!(windows[190] - windows[180] > windows[120] - windows[110]);
        assert!(windows.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    /// On a short path Reno grows faster, and CUBIC keeps up with it (RFC 9438, 4.3).
    #[test]
    fn rfc9438_4_3_is_not_slower_than_reno() {
        let mut cubic = Cubic::new(20 * MSS, u32::MAX);
        cubic.on_congestion(MSS);
        cubic.set_cwnd(cubic.ssthresh(), MSS);
        let windows = run(&mut cubic, &mut Instant(0), 20);
        // 14 segments, 9/17 of a segment each round trip up to 20, then one.
        assert!(windows[19] > 22 * MSS, "{}", windows[19]);
    }

    #[test]
    fn rfc9438_4_9_undo_restores() {
        let mut cubic = Cubic::new(100 * MSS, u32::MAX);
        cubic.on_congestion(MSS);
        cubic.set_cwnd(MSS, MSS);
        cubic.undo();
        assert_eq!((cubic.cwnd(), cubic.ssthresh()), (100 * MSS, u32::MAX));
    }

    #[test]
    fn the_host_limits_the_window() {
        let mut cubic = Cubic::new(100 * MSS, u32::MAX);
        cubic.set_limit(20 * MSS, MSS);
        assert_eq!(cubic.cwnd(), 20 * MSS);
        cubic.grow(Instant(0), 10 * MSS, RTT, MSS);
        assert_eq!(cubic.cwnd(), 20 * MSS);
        cubic.on_congestion(MSS);
        cubic.set_limit(10 * MSS, MSS);
        cubic.undo();
        assert_eq!(cubic.cwnd(), 10 * MSS);
        cubic.set_limit(u32::MAX, MSS);
        cubic.grow(Instant(0), 10 * MSS, RTT, MSS);
        assert!(cubic.cwnd() > 10 * MSS);
    }

    #[test]
    fn idle_time_halves_down_to_the_restart_window() {
        let mut cubic = Cubic::new(100 * MSS, u32::MAX);
        cubic.on_idle(450_000, 200_000, MSS);
        assert_eq!(cubic.cwnd(), 25 * MSS);
        cubic.on_idle(3_600_000_000, 200_000, MSS);
        assert_eq!(cubic.cwnd(), 10 * MSS);
    }

    proptest! {
        #[test]
        fn cbrt_is_the_cube_root(x: u64) {
            let root = u128::from(cbrt(x));
            prop_assert!(root.pow(3) <= u128::from(x) && u128::from(x) < (root + 1).pow(3));
        }

        #[test]
        fn never_overflows_nor_shrinks_by_growth(
            cwnd in 1..CWND_MAX,
            w_max in 1..CWND_MAX,
            acked in 1..CWND_MAX,
            wait in 0..1u64 << 40,
            srtt in 0..120_000_000u32,
            mss in 64..65_535u32,
        ) {
            let mut cubic = Cubic::new(w_max.max(mss), u32::MAX);
            cubic.on_congestion(mss);
            cubic.set_cwnd(cwnd, mss);
            let before = cubic.cwnd();
            cubic.grow(Instant(5), acked, srtt, mss);
            cubic.grow(Instant(5 + wait), acked, srtt, mss);
            prop_assert!(cubic.cwnd() >= before && cubic.cwnd() <= CWND_MAX);
        }
    }
}
