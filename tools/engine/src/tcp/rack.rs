// SPDX-License-Identifier: GPL-2.0

//! RACK loss detection (RFC 8985 6): a segment is lost if another one that was sent later, by more
//! than the reordering window, has been delivered.
//!
//! Send times are those of the scoreboard's spans, which are rounded down to a grain. The
//! reordering window is enlarged by one grain, so a loss may be detected later than with exact
//! times, but never earlier.

use super::scoreboard::Scoreboard;
use super::seq::Seq;
use super::span::Span;
use super::span::Stamp;
use super::span::State;
use super::time::Instant;
use super::time::TimestampClock;

/// Duplicate threshold: SACKed segments above a hole that indicate loss while no reordering has
/// been observed (RFC 5681).
pub const DUP_THRESH: u32 = 3;

/// Number of recoveries for which an enlarged reordering window persists (RFC 8985 6.2, step 4).
const REO_WND_PERSIST: u8 = 16;

/// The most recently sent segment among those delivered (RACK.segment).
#[derive(Clone, Copy, Debug)]
struct Latest {
    stamp: Stamp,
    end: Seq,
    /// It was a retransmission.
    resent: bool,
    /// Its RTT in microseconds.
    rtt: u32,
}

impl Latest {
    /// `RACK_sent_after(other, self)`: segments sent at the same time are ordered by sequence
    /// number.
    #[inline]
    fn is_before(&self, stamp: Stamp, end: Seq) -> bool {
        stamp.after(self.stamp) || (stamp == self.stamp && end.after(self.end))
    }

    /// `RACK_sent_after(self, span)`. Within a grain, sequence numbers give the order of first
    /// transmissions only: new data sent just before a retransmission says nothing about it.
    #[inline]
    fn was_sent_after(&self, span: &Span) -> bool {
        self.stamp.after(span.stamp)
            || (self.stamp == span.stamp
                && !self.resent
                && span.state == State::Sent
                && self.end.after(span.range.end))
    }
}

/// Inputs to the reordering window.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Minimum RTT in microseconds, `u32::MAX` if unknown.
    pub min_rtt: u32,
    /// Smoothed RTT in microseconds.
    pub srtt: u32,
    /// Maximum rounding error of the scoreboard's stamps, in microseconds.
    pub grain: u32,
    /// In recovery, or at least [`DUP_THRESH`] segments are SACKed above a hole.
    pub suspicious: bool,
}

/// State of loss detection.
#[derive(Clone, Copy, Debug)]
pub struct Rack {
    latest: Option<Latest>,
    /// RACK.fack: end of the highest byte delivered.
    fack: Seq,
    /// Highest degree of reordering observed, in segments; at least [`DUP_THRESH`].
    reordering: u32,
    /// Reordering window in units of min RTT / 4 (RACK.reo_wnd_mult).
    reo_wnd_mult: u8,
    reo_wnd_persist: u8,
    /// SND.NXT at the last D-SACK. The window is not enlarged again before this is acknowledged.
    dsack_round: Option<Seq>,
}

impl Rack {
    /// Starts with everything before `una` delivered and the degree of reordering observed so far.
    pub fn new(una: Seq, reordering: u32) -> Self {
        Self {
            latest: None,
            fack: una,
            reordering: reordering.max(DUP_THRESH),
            reo_wnd_mult: 1,
            reo_wnd_persist: 0,
            dsack_round: None,
        }
    }

    /// Highest degree of reordering observed, in segments.
    pub fn reordering(&self) -> u32 {
        self.reordering
    }

    /// End of the highest byte delivered.
    pub fn fack(&self) -> Seq {
        self.fack
    }

    /// `span` has been delivered; its state is the one before (RFC 8985 6.2, steps 1 to 3). `echo`
    /// is the timestamp echo of the ACK with its clock. `fack` is [`Self::fack`] before the ACK,
    /// whose spans may be passed in any order.
    pub fn on_delivered(
        &mut self,
        now: Instant,
        span: &Span,
        fack: Seq,
        min_rtt: u32,
        mss: u32,
        echo: Option<(u32, &TimestampClock)>,
    ) {
        if span.state.is_original() && span.range.end.before(fack) {
            let distance = (fack - span.range.start).div_ceil(mss);
            self.on_late();
            self.reordering = self.reordering.max(distance);
        }
        self.fack = self.fack.max(span.range.end);
        if span.state == State::Sacked {
            return;
        }
        let rtt = span.stamp.elapsed(now);
        let resent = !span.state.is_original();
        if resent {
            // The echo shows that the original transmission was delivered.
            let early = echo.is_some_and(|(echo, clock)| {
                let sent = clock.value(Instant(now.0.saturating_sub(u64::from(rtt))));
                (echo.wrapping_sub(sent) as i32) < 0
            });
            if early || (min_rtt != u32::MAX && rtt < min_rtt) {
                return;
            }
        }
        let later = self
            .latest
            .is_none_or(|latest| latest.is_before(span.stamp, span.range.end));
        if later {
            self.latest = Some(Latest {
                stamp: span.stamp,
                end: span.range.end,
                resent,
                rtt,
            });
        }
    }

    /// Whether reordering has been observed.
    #[inline]
    pub fn reordering_seen(&self) -> bool {
        self.reordering > DUP_THRESH
    }

    /// A segment marked lost was late.
    pub fn on_late(&mut self) {
        self.reordering = self.reordering.max(DUP_THRESH + 1);
    }

    /// D-SACK: a segment marked lost was late (step 4).
    pub fn on_duplicate(&mut self, una: Seq, nxt: Seq) {
        if self.dsack_round.is_some_and(|round| una.before(round)) {
            return;
        }
        self.dsack_round = Some(nxt);
        self.reo_wnd_mult = self.reo_wnd_mult.saturating_add(1);
        self.reo_wnd_persist = REO_WND_PERSIST;
    }

    /// A recovery has ended.
    pub fn on_recovered(&mut self) {
        self.reo_wnd_persist = self.reo_wnd_persist.saturating_sub(1);
        if self.reo_wnd_persist == 0 {
            self.reo_wnd_mult = 1;
        }
    }

    /// Reordering window in microseconds (step 4).
    fn reo_wnd(&self, latest: &Latest, path: &Path) -> u32 {
        let seen = self.reordering_seen() || self.reo_wnd_mult > 1;
        if !seen && path.suspicious {
            return 0;
        }
        (path.min_rtt.min(latest.rtt) / 4)
            .saturating_mul(u32::from(self.reo_wnd_mult))
            .min(path.srtt)
            .saturating_add(path.grain)
    }

    /// Marks lost segments (step 5). Returns the number of bytes, and the time in microseconds
    /// after which more segments will be lost unless delivered by then.
    pub fn detect(&self, board: &mut Scoreboard, now: Instant, path: &Path) -> (u32, Option<u32>) {
        let Some(latest) = self.latest else {
            return (0, None);
        };
        let limit = latest.rtt.saturating_add(self.reo_wnd(&latest, path));
        let mut timeout = None;
        let lost = board.lose(|span| {
            if !latest.was_sent_after(&span) {
                return false;
            }
            let elapsed = span.stamp.elapsed(now);
            if elapsed < limit {
                timeout = timeout.max(Some(limit - elapsed));
                return false;
            }
            true
        });
        (lost, timeout)
    }

    /// RTO: marks segments lost that have been in flight for longer than the RTT plus the
    /// reordering window (RFC 8985 6.3).
    pub fn expire(&self, board: &mut Scoreboard, now: Instant, path: &Path) {
        let limit = self.latest.map_or(0, |latest| {
            latest.rtt.saturating_add(self.reo_wnd(&latest, path))
        });
        board.lose(|span| span.stamp.elapsed(now) >= limit);
    }
}
