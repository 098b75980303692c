// SPDX-License-Identifier: GPL-2.0

//! What an acknowledgement does to the sending half.

use super::rack;
use super::segment::Range;
use super::segment::Segment;
use super::segment::flag;
use super::sender::CaState;
use super::sender::Sender;
use super::seq::Seq;
use super::span::State;
use super::time::Instant;
use super::time::MILLISECOND;
use super::time::SECOND;
use super::time::Timer;
use super::time::TimestampClock;

/// How long a peer may delay an acknowledgement (RFC 8985, 7.2, `TLP.max_ack_delay`).
const MAX_ACK_DELAY: u64 = 200 * MILLISECOND;
/// Room for the coarseness of the peer's timers in a tail loss probe's timeout, as Linux leaves it.
const PROBE_SLACK: u64 = 2 * MILLISECOND;
/// Longest round trip that an echoed timestamp is believed.
const ECHO_MAX: u64 = 60 * SECOND;

/// What one acknowledgement has brought.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// SND.UNA has advanced.
    advanced: bool,
    /// Bytes newly known to be delivered, in order or not.
    delivered: u32,
    /// ... out of order only.
    sacked: u32,
    /// Bytes newly taken for lost.
    lost: u32,
    /// The peer reported this as received twice.
    duplicate: Option<Range>,
}

impl Sender {
    /// Whether SEG.ACK is one that the peer can have sent: not so old that it must be forged (RFC
    /// 5961, 5.2), and of something that was sent.
    #[inline]
    pub fn ack_is_new_enough(&self, ack: Seq) -> bool {
        ack.at_least(self.board.una() - self.max_window)
    }

    /// Takes in the acknowledgement, window, SACK blocks and congestion echo of an acceptable
    /// segment whose SEG.ACK is not beyond [`Self::acknowledgeable`]. One that was overtaken is old in
    /// all but the SACK blocks.
    pub fn on_ack(&mut self, now: Instant, segment: &Segment, clock: Option<&TimestampClock>) {
        let nxt = self.board.nxt();
        if segment.ack.after(nxt) && !self.board.send(segment.ack - nxt, now, self.grain()) {
            return;
        }
        let overtaken = segment.ack.before(self.board.una());
        if overtaken && (!self.sack || segment.sack.is_empty()) {
            return;
        }
        if self.probes > 0 {
            self.timeouts = 0;
        }
        let echo = match (clock, segment.timestamps) {
            (Some(clock), Some(timestamps)) => Some((timestamps.echo, clock)),
            _ => None,
        };
        let ca_state = self.ca_state;
        self.unused = match self.limited {
            true => self.room(),
            false => 0,
        };
        let in_flight = self.board.outstanding() > 0;
        let window_changed = !overtaken && self.update_window(now, segment);
        let mut progress = self.take_in(now, segment, echo);
        if progress.advanced {
            self.on_advance(now, segment.ack, echo);
        }
        let repeats = in_flight
            && segment.ack == self.board.una()
            && !progress.advanced
            && !window_changed
            && segment.length == 0;
        self.find_losses(now, repeats, &mut progress);
        self.on_tail_probe_ack(segment.ack, repeats, &mut progress);
        self.change_phase(now, segment, &mut progress, echo);
        self.adapt_window(now, ca_state, &progress);
        let progressing = progress.advanced || progress.sacked > 0;
        if progressing && self.ca_state == CaState::Recovery {
            self.tail = None;
        }
        self.arm(now, progressing);
        self.news.acked |=
            progress.advanced || window_changed || progress.lost > 0 || ca_state != self.ca_state;
    }

    /// RFC 9293, 3.10.7.4: SND.WND. Returns whether it has changed.
    ///
    /// Where acknowledgements overtake each other, the same SEG.SEQ and SEG.ACK come with an older
    /// window after a newer one. As the right edge of a window does not move back (3.8.6), the one
    /// that is larger is the newer one; a closed window is believed always.
    fn update_window(&mut self, now: Instant, segment: &Segment) -> bool {
        let window = u32::from(segment.window) << self.wscale;
        let newer = segment.ack.after(self.board.una())
            || segment.seq.after(self.wl1)
            || (segment.seq == self.wl1 && (window > self.window || window == 0));
        if !newer {
            return false;
        }
        let before = self.window;
        // Seen from the new SND.UNA; what that makes of it is the caller's next step.
        self.window = window;
        self.wl1 = segment.seq;
        self.max_window = self.max_window.max(window);
        if before != window {
            self.persist_at = Timer::OFF;
        }
        if before == 0 && window > 0 {
            if self.probes > 0 {
                // What was sent into the closed window is gone.
                self.board.lose(|_| true);
            } else if self.board.outstanding() > 0 {
                self.rto_at.start(now + u64::from(self.rtt.rto()));
            }
        }
        if window > 0 {
            self.probes = 0;
        }
        before != window
    }

    /// Notes on the scoreboard what the segment acknowledges and reports.
    fn take_in(
        &mut self,
        now: Instant,
        segment: &Segment,
        echo: Option<(u32, &TimestampClock)>,
    ) -> Progress {
        let mut progress = Progress {
            advanced: segment.ack.after(self.board.una()),
            ..Progress::default()
        };
        let una = self.board.una();
        let nxt = self.board.nxt();
        let fack = self.rack.fack();
        let min_rtt = self.rtt.min();
        let mss = self.mss;
        let Self { board, rack, .. } = self;
        if progress.advanced {
            board.acknowledge(segment.ack, |span| {
                if span.state != State::Sacked {
                    progress.delivered += span.range.length();
                    rack.on_delivered(now, &span, fack, min_rtt, mss, echo);
                }
            });
        }
        let blocks = match self.sack {
            true => segment.sack.as_slice(),
            false => &[],
        };
        if blocks.is_empty() {
            return progress;
        }
        progress.duplicate = duplicate_in(segment.ack, una - self.max_window, blocks);
        for &block in blocks {
            let sound = block.start.before(block.end)
                && block.start.after(segment.ack)
                && block.end.at_most(nxt);
            if sound {
                board.sack(block, |span| {
                    progress.sacked += span.range.length();
                    // As long as there is a hole, the timestamp echoed is that of before it.
                    rack.on_delivered(now, &span, fack, min_rtt, mss, None);
                });
            }
        }
        progress.delivered += progress.sacked;
        progress
    }

    /// SND.UNA has advanced to `ack`.
    fn on_advance(&mut self, now: Instant, ack: Seq, echo: Option<(u32, &TimestampClock)>) {
        self.timeouts = 0;
        self.host_sent = self.host_sent.max(ack);
        match (self.timed, echo) {
            (Some((end, at)), _) if ack.at_least(end) => {
                self.timed = None;
                self.rtt.sample(u32::try_from(now - at).unwrap_or(u32::MAX));
            }
            (None, Some((echo, clock))) if self.ca_state != CaState::Open => {
                // Karn's algorithm forbids to time what was sent again; the echo tells which of the
                // two was acknowledged (RFC 7323, 4).
                let ticks = clock.value(now).wrapping_sub(echo);
                let elapsed = u64::from(ticks) * u64::from(clock.tick_us());
                if elapsed < ECHO_MAX {
                    self.rtt
                        .sample_coarse((elapsed as u32).max(clock.tick_us()));
                }
            }
            _ => {}
        }
        self.rto_at = if self.board.outstanding() == 0 {
            Timer::OFF
        } else {
            Timer::at(now + u64::from(self.rtt.rto()))
        };
    }

    /// Takes for lost what is. `repeats`: the segment is a duplicate acknowledgement by RFC 5681, 2.
    fn find_losses(&mut self, now: Instant, repeats: bool, progress: &mut Progress) {
        if self.sack {
            if self.board.sacked() == 0 {
                self.duplicates = 0;
            } else if progress.sacked > 0 {
                self.duplicates += progress.sacked.div_ceil(self.mss);
            }
            self.reorder_at = Timer::OFF;
            if self.board.sacked() > 0 || self.ca_state != CaState::Open {
                progress.lost = self.detect(now);
            }
            return;
        }
        if repeats {
            self.duplicates += 1;
            progress.delivered = self.mss;
            let enough = self.duplicates >= self.rack.reordering().max(rack::DUP_THRESH);
            if enough && matches!(self.ca_state, CaState::Open | CaState::Reducing) {
                progress.lost = self.board.lose_head(self.mss);
            }
        } else if progress.advanced {
            let segments = progress.delivered.div_ceil(self.mss);
            // What duplicates stood for has been counted.
            let counted = self.duplicates.saturating_mul(self.mss);
            progress.delivered = progress.delivered.saturating_sub(counted).max(1);
            if self.ca_state == CaState::Recovery && self.board.una().before(self.high) {
                // RFC 6582, 3.2, step 3: a partial acknowledgement.
                self.duplicates = self.duplicates.saturating_sub(segments.saturating_sub(1));
                progress.lost = self.board.lose_head(self.mss);
            } else {
                self.duplicates = 0;
            }
        }
    }

    /// Takes for lost what time says, and sets the timer for what it will say.
    pub(super) fn detect(&mut self, now: Instant) -> u32 {
        let path = self.path();
        let (lost, timeout) = self.rack.detect(&mut self.board, now, &path);
        if let Some(timeout) = timeout {
            self.reorder_at = Timer::at(now + u64::from(timeout).max(1));
        }
        if lost > 0 {
            self.timed = None;
        }
        lost
    }

    /// RFC 8985, 7.4.2: has the tail loss probe repaired a loss?
    fn on_tail_probe_ack(&mut self, ack: Seq, repeats: bool, progress: &mut Progress) {
        let Some(tail) = self.tail else {
            return;
        };
        if ack.before(tail.end) {
            return;
        }
        if !tail.resent {
            self.tail = None;
        } else if progress
            .duplicate
            .is_some_and(|range| range.end == tail.end)
        {
            self.tail = None;
            // It says that the probe was needless, and nothing of reordering.
            progress.duplicate = None;
        } else if ack.after(tail.end) {
            self.tail = None;
            if self.ca_state == CaState::Open {
                self.reduce(CaState::Reducing);
            }
        } else if repeats && progress.sacked == 0 {
            self.tail = None;
        }
    }

    /// Begins and ends recovery.
    fn change_phase(
        &mut self,
        now: Instant,
        segment: &Segment,
        progress: &mut Progress,
        echo: Option<(u32, &TimestampClock)>,
    ) {
        let mss = self.mss;
        let reported = progress
            .duplicate
            .is_some_and(|duplicate| self.undo.on_duplicate(duplicate, mss));
        if reported {
            self.rack.on_duplicate(self.board.una(), self.board.nxt());
        }
        let recovering = matches!(self.ca_state, CaState::Recovery | CaState::Loss);
        let late = recovering
            && progress.advanced
            && echo.is_some_and(|(echo, _)| self.undo.shown_by_time(echo));
        if late || (reported && self.undo.shown_by_duplicates()) {
            self.undo_reduction(now, late, progress);
        } else if self.ca_state != CaState::Open && segment.ack.at_least(self.high) {
            if self.ca_state != CaState::Loss {
                self.cubic.set_cwnd(self.cubic.ssthresh(), self.mss);
                self.rack.on_recovered();
            }
            self.ca_state = CaState::Open;
            self.duplicates = 0;
            // What is lost now was sent after the reduction, which does not answer for it.
            progress.lost = self.board.lost();
        }
        if progress.lost > 0 && matches!(self.ca_state, CaState::Open | CaState::Reducing) {
            self.enter_recovery();
        } else if self.ecn && segment.flags & flag::ECE != 0 && self.ca_state == CaState::Open {
            // RFC 3168, 6.1.2: once a window.
            self.reduce(CaState::Reducing);
            self.undo.close();
            self.cwr = true;
        }
    }

    /// All that was sent again had arrived anyway, by the time that timestamps tell (`late`) or by
    /// reported duplicates: the reduction was for nothing. What is still missing is on its way
    /// again, until time shows it to be lost indeed.
    fn undo_reduction(&mut self, now: Instant, late: bool, progress: &mut Progress) {
        if late && self.ca_state == CaState::Recovery {
            self.rack.on_late();
        }
        self.undo.close();
        self.cubic.undo();
        self.board.restore_lost();
        self.rack.on_recovered();
        self.ca_state = CaState::Open;
        progress.lost = match self.sack {
            true => self.detect(now),
            false => 0,
        };
    }

    /// Something was found lost: fast recovery.
    pub(super) fn enter_recovery(&mut self) {
        self.reduce(CaState::Recovery);
        self.news.recoveries = self.news.recoveries.saturating_add(1);
    }

    /// Adapts the congestion window. `before`: the ca_state that the acknowledgement found.
    fn adapt_window(&mut self, now: Instant, before: CaState, progress: &Progress) {
        if progress.delivered == 0 && progress.lost == 0 {
            return;
        }
        self.counts.delivered = self
            .counts
            .delivered
            .wrapping_add(progress.delivered.div_ceil(self.mss));
        match self.ca_state {
            CaState::Open => {
                // RFC 5681, 3.2: duplicates say nothing for a larger window, except where the
                // network is known to reorder, and a loss shows in time.
                let progressing = progress.advanced || self.rack.reordering_seen();
                if matches!(before, CaState::Recovery | CaState::Reducing) || !progressing {
                    return;
                }
                let cwnd = self.cubic.cwnd();
                // RFC 7661's concern, as Linux decides it: an unused window says nothing of the
                // path.
                let used = self.limited
                    || self.flight + self.mss > cwnd
                    || (self.cubic.in_slow_start() && cwnd / 2 < self.flight);
                if used {
                    self.cubic
                        .grow(now, progress.delivered, self.rtt.srtt(), self.mss);
                }
            }
            CaState::Loss => {
                self.cubic
                    .grow(now, progress.delivered, self.rtt.srtt(), self.mss);
            }
            CaState::Reducing | CaState::Recovery => {
                let pipe = self.pipe();
                let progressing = progress.advanced && progress.lost == 0;
                let ssthresh = self.cubic.ssthresh();
                let allowed =
                    self.prr
                        .on_ack(progress.delivered, pipe, ssthresh, self.mss, progressing);
                self.cubic.set_cwnd(pipe.saturating_add(allowed), self.mss);
            }
        }
    }

    /// Sets the timer of the tail loss probe (RFC 8985, 7.2) after a transmission or news of what has
    /// arrived, and stops it when there is another way to learn of a loss.
    ///
    /// Unlike there, fast recovery is probed too: where a round trip takes a fraction of the smallest
    /// timeout, a lost retransmission with nothing behind it, or the loss of its acknowledgement,
    /// would cost a thousand round trips.
    pub(super) fn arm(&mut self, now: Instant, restart: bool) {
        let waiting = self.sack
            && self.ca_state != CaState::Loss
            && self.tail.is_none()
            && self.window > 0
            && self.board.outstanding() > 0
            && !self.reorder_at.is_on();
        if !waiting {
            self.tail_at = Timer::OFF;
            return;
        }
        if !restart {
            return;
        }
        let srtt = u64::from(self.rtt.srtt());
        let timeout = if srtt == 0 {
            SECOND
        } else if self.board.outstanding() <= self.mss {
            2 * srtt + MAX_ACK_DELAY
        } else {
            2 * srtt + PROBE_SLACK
        };
        self.tail_at = Timer::at(now + timeout).min(self.rto_at);
    }
}

/// RFC 2883, 4: the first block reports a duplicate when it is below the acknowledgement or within
/// the second block. One further back than `oldest` is not believed.
fn duplicate_in(ack: Seq, oldest: Seq, blocks: &[Range]) -> Option<Range> {
    let first = *blocks.first()?;
    if !first.start.before(first.end) {
        return None;
    }
    let below = first.start.before(ack) && first.end.at_most(ack) && first.start.at_least(oldest);
    let within = blocks.get(1).is_some_and(|second| second.contains(first));
    (below || within).then_some(first)
}
