// SPDX-License-Identifier: GPL-2.0

//! ACK processing of the sending half.

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

/// Allowance for the peer's timer granularity in the probe timeout, as in
/// `tcp_schedule_loss_probe()`.
const PROBE_SLACK: u64 = 2 * MILLISECOND;
/// Maximum RTT accepted from a timestamp echo.
const ECHO_MAX: u64 = 60 * SECOND;

/// Effect of one ACK.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// SND.UNA advanced.
    advanced: bool,
    /// Bytes newly delivered, in order or not.
    delivered: u32,
    /// The part of `delivered` that is SACKed.
    sacked: u32,
    /// Bytes newly marked lost.
    lost: u32,
    /// Range reported as a duplicate (D-SACK).
    duplicate: Option<Range>,
    /// A mark was echoed.
    marked: bool,
}

impl Sender {
    /// Whether SEG.ACK is not so old that it must be forged (RFC 5961 5.2).
    #[inline]
    pub fn ack_is_new_enough(&self, ack: Seq) -> bool {
        ack.at_least(self.board.una() - self.max_window)
    }

    /// Processes acknowledgement, window, SACK blocks and ECE of an acceptable segment whose
    /// SEG.ACK is at most [`Self::acknowledgeable`]. Of a reordered older ACK, only the SACK blocks
    /// are used.
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
        if segment.length == 0 || segment.ack.after(self.board.una()) {
            // `MSG_MORE` holds payload back until the next transmission, which an acknowledgement
            // triggers (`tcp_data_snd_check()`).
            self.more = false;
        }
        let echo = match (clock, segment.timestamps) {
            (Some(clock), Some(timestamps)) => Some((timestamps.echo, clock)),
            _ => None,
        };
        let ca_state = self.ca_state;
        self.cwnd_unused = match self.limited {
            true => self.room(),
            false => 0,
        };
        let in_flight = self.board.outstanding() > 0;
        let window_changed = !overtaken && self.update_window(now, segment);
        let mut progress = self.apply_ack(now, segment, echo);
        if progress.advanced {
            self.on_advance(now, segment.ack, echo);
        }
        let repeats = in_flight
            && segment.ack == self.board.una()
            && !progress.advanced
            && !window_changed
            && segment.length == 0;
        self.detect_losses(now, repeats, &mut progress);
        self.on_tail_probe_ack(segment.ack, repeats, &mut progress);
        self.update_ca_state(now, segment, &mut progress, echo);
        self.update_cwnd(now, ca_state, &progress);
        let progressing = progress.advanced || progress.sacked > 0;
        if progressing && self.ca_state == CaState::Recovery {
            self.tail = None;
        }
        self.arm(now, progressing);
        if progress.advanced || window_changed || progress.lost > 0 || ca_state != self.ca_state {
            self.progressed(now);
        }
    }

    /// Updates SND.WND (RFC 9293 3.10.7.4). Returns whether it has changed.
    ///
    /// When ACKs are reordered, the same SEG.SEQ and SEG.ACK may arrive with an older window after
    /// a newer one. Since the right edge of a window does not move back (3.8.6), the larger window
    /// is the newer one. A zero window is always accepted.
    fn update_window(&mut self, now: Instant, segment: &Segment) -> bool {
        let window = u32::from(segment.window) << self.wscale;
        let newer = segment.ack.after(self.board.una())
            || segment.seq.after(self.wl1)
            || (segment.seq == self.wl1 && (window > self.window || window == 0));
        if !newer {
            return false;
        }
        let before = self.window;
        // Relative to the new SND.UNA, which the caller updates next.
        self.window = window;
        self.wl1 = segment.seq;
        self.max_window = self.max_window.max(window);
        if before != window {
            self.persist_at = Timer::OFF;
        }
        if before == 0 && window > 0 {
            if self.board.outstanding() == 1 && segment.ack == self.board.una() && self.probes > 0 {
                // The octet that probed the window is sent again as part of what follows it. It may
                // be acknowledged all the same.
                self.host_sent = self.host_sent.max(self.board.nxt());
                self.board.unsend();
            } else if self.probes > 0 {
                // Segments sent into the closed window are lost.
                self.board.lose(|_| true);
            } else if self.board.outstanding() > 0 {
                self.rto_at.start(now + u64::from(self.rtt.rto()));
            }
        }
        if window > 0 {
            self.probes = 0;
        }
        if before == 0 && window > 0 {
            self.unanswered = None;
        }
        before != window
    }

    /// Records on the scoreboard what the segment acknowledges and SACKs.
    fn apply_ack(
        &mut self,
        now: Instant,
        segment: &Segment,
        echo: Option<(u32, &TimestampClock)>,
    ) -> Progress {
        let mut progress = Progress {
            advanced: segment.ack.after(self.board.una()),
            // An overtaken ACK may be older than the peer's knowledge of CWR.
            marked: self.ecn
                && segment.flags & flag::ECE != 0
                && segment.ack.at_least(self.board.una()),
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
                    // While there is a hole, the timestamp echo is the one from before the hole.
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
        self.unanswered = None;
        self.host_sent = self.host_sent.max(ack);
        self.reduced = self.reduced.filter(|&end| !ack.after(end));
        match (self.timed, echo) {
            (Some((end, at)), _) if ack.at_least(end) => {
                self.timed = None;
                self.rtt.sample(u32::try_from(now - at).unwrap_or(u32::MAX));
            }
            (None, Some((echo, clock))) if self.ca_state != CaState::Open => {
                // Karn's algorithm excludes retransmitted segments from RTT samples, but the echo
                // identifies the transmission that was acknowledged (RFC 7323 4).
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

    /// Marks lost segments. `repeats`: the segment is a duplicate ACK as defined in RFC 5681 2.
    fn detect_losses(&mut self, now: Instant, repeats: bool, progress: &mut Progress) {
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
            if enough && matches!(self.ca_state, CaState::Open | CaState::Cwr) {
                progress.lost = self.board.lose_head(self.mss);
            }
        } else if progress.advanced {
            let segments = progress.delivered.div_ceil(self.mss);
            // Do not count again what duplicate ACKs stood for.
            let counted = self.duplicates.saturating_mul(self.mss);
            progress.delivered = progress.delivered.saturating_sub(counted).max(self.mss);
            if self.ca_state == CaState::Recovery && self.board.una().before(self.high) {
                // Partial acknowledgement (RFC 6582 3.2, step 3).
                self.duplicates = self.duplicates.saturating_sub(segments.saturating_sub(1));
                progress.lost = self.board.lose_head(self.mss);
            } else {
                self.duplicates = 0;
            }
        }
    }

    /// Runs RACK loss detection and arms its reordering timer.
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

    /// RFC 8985 7.4.2: checks whether the tail loss probe repaired a loss.
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
            // The D-SACK reports a needless probe, not reordering.
            progress.duplicate = None;
        } else if ack.after(tail.end) {
            self.tail = None;
            if self.ca_state == CaState::Open {
                self.reduce(CaState::Cwr);
            }
        } else if repeats && progress.sacked == 0 {
            self.tail = None;
        }
    }

    /// Enters and leaves recovery.
    fn update_ca_state(
        &mut self,
        now: Instant,
        segment: &Segment,
        progress: &mut Progress,
        echo: Option<(u32, &TimestampClock)>,
    ) {
        let mss = self.mss;
        if progress.marked {
            // The network says itself that it is congested.
            self.undo.close();
        }
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
            // Losses detected by this ACK were sent after the reduction and start a new one.
            progress.lost = self.board.lost();
        }
        if progress.lost > 0 && matches!(self.ca_state, CaState::Open | CaState::Cwr) {
            self.enter_recovery();
        } else if progress.marked && self.ca_state == CaState::Open && self.reduced.is_none() {
            // RFC 3168 6.1.2: once per window.
            self.reduce(CaState::Cwr);
            self.undo.close();
        }
    }

    /// Undoes the reduction: everything retransmitted had arrived already, as shown by timestamps
    /// (`late`) or D-SACK. Segments still missing count as in flight again until RACK detects their
    /// loss.
    fn undo_reduction(&mut self, now: Instant, late: bool, progress: &mut Progress) {
        if late && self.ca_state == CaState::Recovery {
            self.rack.on_late();
        }
        self.undo.close();
        self.withdraw_reduction();
        self.cubic.undo();
        self.board.restore_lost();
        self.rack.on_recovered();
        self.ca_state = CaState::Open;
        progress.lost = match self.sack {
            true => self.detect(now),
            false => 0,
        };
    }

    /// Enters fast recovery after a loss was detected.
    pub(super) fn enter_recovery(&mut self) {
        self.reduce(CaState::Recovery);
        self.events.recoveries = self.events.recoveries.saturating_add(1);
    }

    /// Updates the congestion window. `before` is the state before this ACK.
    fn update_cwnd(&mut self, now: Instant, before: CaState, progress: &Progress) {
        if progress.delivered == 0 && progress.lost == 0 {
            return;
        }
        let segments = progress.delivered.div_ceil(self.mss);
        let counts = &mut self.counts;
        counts.delivered = counts.delivered.wrapping_add(segments);
        if progress.marked {
            counts.delivered_ce = counts.delivered_ce.wrapping_add(segments);
        }
        match self.ca_state {
            CaState::Open => {
                // RFC 5681 3.2: duplicate ACKs do not grow the window, except if the network is
                // known to reorder; losses then show with time.
                let progressing = progress.advanced || self.rack.reordering_seen();
                if matches!(before, CaState::Recovery | CaState::Cwr) || !progressing {
                    return;
                }
                let cwnd = self.cubic.cwnd();
                // Do not grow an unused window, which is not evidence of path capacity (RFC 7661;
                // `tcp_is_cwnd_limited()`).
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
            CaState::Cwr | CaState::Recovery => {
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

    /// Arms the tail loss probe (RFC 8985 7.2) after a transmission or a delivery, and cancels it
    /// if another timer or state detects the loss.
    ///
    /// Unlike in the RFC, fast recovery is probed too. Where the RTT is a fraction of the minimum
    /// RTO, a lost retransmission with nothing sent after it, or the loss of its ACK, would
    /// otherwise cost a thousand round trips.
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
            // The peer's delay of an ACK (RFC 8985 7.2, `TLP.max_ack_delay`) is below the minimum RTO,
            // as in `tcp_schedule_loss_probe()`.
            2 * srtt + u64::from(self.rtt.rto_min())
        } else {
            2 * srtt + PROBE_SLACK
        };
        self.tail_at = Timer::at(now + timeout).min(self.rto_at);
    }
}

/// D-SACK (RFC 2883 4): the first block reports a duplicate if it is below the acknowledgement
/// number or within the second block. A block before `oldest` is ignored.
fn duplicate_in(ack: Seq, oldest: Seq, blocks: &[Range]) -> Option<Range> {
    let first = *blocks.first()?;
    if !first.start.before(first.end) {
        return None;
    }
    let below = first.start.before(ack) && first.end.at_most(ack) && first.start.at_least(oldest);
    let within = blocks.get(1).is_some_and(|second| second.contains(first));
    (below || within).then_some(first)
}
