// SPDX-License-Identifier: GPL-2.0

//! Loss detection by time (RACK, RFC 8985, 6): what was sent before something that has been
//! delivered since, and by more than the reordering window, is lost.
//!
//! Times are those of the scoreboard's runs, which are true to a grain. The reordering window has a
//! grain to spare, so a loss may be found later than segment by segment, never earlier.

use super::scoreboard::Scoreboard;
use super::seq::Seq;
use super::span::Span;
use super::span::Stamp;
use super::span::State;
use super::time::Instant;
use super::time::TimestampClock;

/// Segments reported behind a hole that show a loss while no reordering has been seen (RFC 5681).
pub const DUP_THRESH: u32 = 3;

/// Recoveries for which a widened reordering window lasts (RFC 8985, 6.2, step 4).
const REO_WND_PERSIST: u8 = 16;

/// Where and when the segment was sent that was sent last of all that are known to be delivered.
#[derive(Clone, Copy, Debug)]
struct Latest {
    stamp: Stamp,
    end: Seq,
    /// It was not the first time.
    resent: bool,
    /// Round-trip time of it, microseconds.
    rtt: u32,
}

impl Latest {
    /// `RACK_sent_after(other, self)`: what was sent at the same time is in the order of its sequence
    /// numbers.
    #[inline]
    fn is_before(&self, stamp: Stamp, end: Seq) -> bool {
        stamp.after(self.stamp) || (stamp == self.stamp && end.after(self.end))
    }

    /// `RACK_sent_after(self, span)`. Within a grain, sequence numbers tell the order of what was
    /// sent for the first time only: new data that left just before a retransmission says nothing
    /// of it.
    #[inline]
    fn was_sent_after(&self, span: &Span) -> bool {
        self.stamp.after(span.stamp)
            || (self.stamp == span.stamp
                && !self.resent
                && span.state == State::Sent
                && self.end.after(span.range.end))
    }
}

/// Circumstances that decide on the reordering window.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Smallest round-trip time, `u32::MAX` when unknown.
    pub min_rtt: u32,
    /// Smoothed round-trip time.
    pub srtt: u32,
    /// How much too early the scoreboard's stamps can be, microseconds.
    pub grain: u32,
    /// In recovery, or as many segments as [`DUP_THRESH`] reported behind a hole.
    pub suspicious: bool,
}

/// State of loss detection.
#[derive(Clone, Copy, Debug)]
pub struct Rack {
    latest: Option<Latest>,
    /// End of the highest byte that is known to be delivered.
    fack: Seq,
    /// Highest degree of reordering seen, in segments; at least [`DUP_THRESH`].
    reordering: u32,
    /// Reordering window in quarters of the smallest round-trip time.
    reo_wnd_mult: u8,
    reo_wnd_persist: u8,
    /// A duplicate was reported, and the window is not widened again before this is acknowledged.
    dsack_round: Option<Seq>,
}

impl Rack {
    /// Begins with everything before `una` delivered, and `reordering` as seen so far.
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

    /// Highest degree of reordering seen, in segments.
    pub fn reordering(&self) -> u32 {
        self.reordering
    }

    /// End of the highest byte that is known to be delivered.
    pub fn fack(&self) -> Seq {
        self.fack
    }

    /// `span`, in this state until now, has been delivered (RFC 8985, 6.2, steps 1 to 3). `echo`:
    /// the timestamp echoed with the news, and the clock that it is of; `fack`: [`Self::fack`] as
    /// it was before these news, which may be told in any order.
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
            // Rather an answer to what was sent first?
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

    /// Whether the network has been seen to reorder.
    #[inline]
    pub fn reordering_seen(&self) -> bool {
        self.reordering > DUP_THRESH
    }

    /// What was taken for lost was late.
    pub fn on_late(&mut self) {
        self.reordering = self.reordering.max(DUP_THRESH + 1);
    }

    /// The peer reported a duplicate: what was taken for lost was late (step 4).
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

    /// How much later than something sent after it a segment may arrive (step 4), microseconds.
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

    /// Takes for lost what is (step 5). Returns how many bytes, and after how many microseconds more
    /// will be unless it is delivered by then.
    pub fn detect(&self, board: &mut Scoreboard, now: Instant, path: &Path) -> (u32, Option<u32>) {
        let Some(latest) = self.latest else {
            return (0, None);
        };
        let patience = latest.rtt.saturating_add(self.reo_wnd(&latest, path));
        let mut timeout = None;
        let lost = board.lose(|span| {
            if !latest.was_sent_after(&span) {
                return false;
            }
            let elapsed = span.stamp.elapsed(now);
            if elapsed < patience {
                timeout = timeout.max(Some(patience - elapsed));
                return false;
            }
            true
        });
        (lost, timeout)
    }

    /// The retransmission timer has expired: takes for lost what has been on its way for longer than
    /// it should (RFC 8985, 6.3).
    pub fn expire(&self, board: &mut Scoreboard, now: Instant, path: &Path) {
        let patience = self.latest.map_or(0, |latest| {
            latest.rtt.saturating_add(self.reo_wnd(&latest, path))
        });
        board.lose(|span| span.stamp.elapsed(now) >= patience);
    }
}
