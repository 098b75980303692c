// SPDX-License-Identifier: GPL-2.0

//! Output of the sending half: selects the next payload to send.

use super::segment::Range;
use super::segment::Records;
use super::segment::flag;
use super::sender::CaState;
use super::sender::Probe;
use super::sender::Sender;
use super::sender::TailProbe;
use super::time::Instant;
use super::time::MILLISECOND;
use super::time::Timer;
use super::time::TimestampClock;

/// Maximum time that `CORK` and `MORE` delay data when nothing is in flight (tcp(7), `TCP_CORK`).
const CORK_MAX: u64 = 200 * MILLISECOND;

/// Payload to send.
#[derive(Clone, Copy, Debug)]
pub struct Transmission {
    /// Sequence range.
    pub range: Range,
    /// Maximum payload of a wire frame, in bytes.
    pub mss: u32,
    /// Part of it is a retransmission.
    pub resent: bool,
    /// [`flag`] bits beside `ACK`.
    pub flags: u8,
    /// It is sent as ECN-capable (RFC 3168 6.1.2).
    pub ect: bool,
}

/// What all decisions about the next transmission depend on beside the sender's state.
pub struct Turn<'a, R> {
    pub now: Instant,
    /// Number of option bytes per wire frame that the MSS does not account for.
    pub options: u32,
    /// Most bytes of payload.
    pub max_length: u32,
    pub clock: Option<&'a TimestampClock>,
    pub records: &'a R,
}

impl Sender {
    /// Returns the next payload to send.
    pub fn next<R: Records>(&mut self, turn: &Turn<'_, R>) -> Option<Transmission> {
        let mss = self.mss - turn.options;
        if let Some(probe) = self.probe.take() {
            if let Some(transmission) = self.probe(turn, probe, mss) {
                return Some(transmission);
            }
        }
        let max = (turn.max_length / mss).max(1) * mss;
        let transmission = match self.board.lost() {
            0 => self.new_data(turn, mss, max),
            _ => self.retransmission(turn, mss, max),
        };
        if transmission.is_none() {
            self.wait_for_window(turn.now);
        }
        transmission
    }

    /// Number of bytes out of `want` that the congestion window allows: all, or whole segments. One
    /// segment is always allowed if nothing is in flight.
    fn allowed(&self, want: u32, mss: u32) -> u32 {
        let room = self.room();
        if room >= want {
            want
        } else if room < mss && self.pipe() == 0 {
            want.min(mss)
        } else {
            room / mss * mss
        }
    }

    /// Retransmits the first lost range as far as the windows allow. A window that has shrunk also
    /// limits retransmissions (RFC 9293 3.8.6, SHLD-17).
    fn retransmission<R: Records>(
        &mut self,
        turn: &Turn<'_, R>,
        mss: u32,
        max: u32,
    ) -> Option<Transmission> {
        let lost = self.board.first_lost()?;
        let end = lost.end.min(self.window_end()).min(self.end);
        if !lost.start.before(end) {
            return None;
        }
        let want = turn.records.first(lost.start, (end - lost.start).min(max));
        let length = self.allowed(want, mss);
        if length == 0 {
            self.limited = true;
            return None;
        }
        let range = Range {
            start: lost.start,
            end: lost.start + length,
        };
        self.note_resent(turn, range, mss);
        Some(self.resend(turn.now, range, mss))
    }

    /// Attributes the retransmission of `range` to the current reduction.
    fn note_resent<R>(&mut self, turn: &Turn<'_, R>, range: Range, mss: u32) {
        let timestamp = turn.clock.map(|clock| clock.value(turn.now));
        let segments = range.length().div_ceil(mss);
        self.undo.on_resend(range, segments, timestamp);
    }

    /// Records the retransmission of `range`, which is within one span of the scoreboard.
    fn resend(&mut self, now: Instant, range: Range, mss: u32) -> Transmission {
        let segments = range.length().div_ceil(mss);
        self.board.resend(range, now, self.grain());
        self.counts.retransmits = self.counts.retransmits.wrapping_add(segments);
        let bytes = &mut self.counts.bytes_retransmitted;
        *bytes = bytes.wrapping_add(range.length());
        // Karn's algorithm.
        self.timed = None;
        self.unanswered.get_or_insert(now);
        if range.start == self.board.una() && self.window > 0 {
            self.rto_at = Timer::at(now + u64::from(self.rtt.rto()));
        }
        self.sent(now, range, segments, mss, true)
    }

    /// New data, as far as the windows and Nagle's algorithm allow.
    fn new_data<R: Records>(
        &mut self,
        turn: &Turn<'_, R>,
        mss: u32,
        max: u32,
    ) -> Option<Transmission> {
        let now = turn.now;
        let unsent = self.unsent();
        if unsent == 0 {
            self.limited = false;
            return None;
        }
        let idle = now - self.last_sent;
        if self.board.outstanding() == 0 && idle > u64::from(self.rtt.rto()) {
            self.cubic.exclude(idle);
            if !self.keep_cwnd {
                self.cubic.on_idle(idle, self.rtt.rto(), self.mss);
            }
            // The idle period ends with this segment.
            self.last_sent = now;
        }
        let nxt = self.board.nxt();
        let window_end = self.window_end();
        let window = if window_end.after(nxt) {
            window_end - nxt
        } else {
            0
        };
        let possible = unsent.min(window).min(max);
        // The next byte shows whether a record ends with the last one possible.
        let seen = unsent.min(possible + 1);
        let record = turn.records.first(nxt, seen);
        let want = record.min(possible);
        let mut length = self.allowed(want, mss);
        self.limited = length < want;
        let rest = length % mss;
        // Nothing can be added to the end of a record that others follow.
        let complete = record < seen && length == want;
        if rest > 0 && !complete && !self.may_send_partial(length, unsent, rest) {
            length -= rest;
        }
        if length == 0 {
            return None;
        }
        self.send(now, length, mss)
    }

    /// Whether a partial segment of `rest` bytes at the end of the next `length` bytes may be sent
    /// (RFC 9293 3.8.6.2.1).
    fn may_send_partial(&self, length: u32, unsent: u32, rest: u32) -> bool {
        if length == unsent {
            // Nagle's algorithm with Minshall's modification: wait only while another partial
            // segment is unacknowledged.
            let held = self.small.after(self.board.una()) && self.small.at_most(self.board.nxt());
            let pushed = self.pushed.at_most(self.end) && self.pushed.after(self.end - rest);
            pushed || !self.more && !self.cork && (self.nodelay || !held)
        } else {
            // Limited by the peer's window: send if that is at least half of its maximum.
            length >= self.max_window / 2
        }
    }

    /// Records the transmission of the next `length` bytes, which are new data, and sets their ECN
    /// bits. What may have been sent before is not ECN-capable (RFC 3168 6.1.5).
    fn send(&mut self, now: Instant, length: u32, mss: u32) -> Option<Transmission> {
        let capable = self.ecn && self.host_sent.at_most(self.board.nxt());
        let mut transmission = self.send_plain(now, length, mss)?;
        transmission.ect = capable;
        if capable && core::mem::take(&mut self.cwr) {
            transmission.flags |= flag::CWR;
        }
        Some(transmission)
    }

    /// As [`Self::send`], without ECN.
    fn send_plain(&mut self, now: Instant, length: u32, mss: u32) -> Option<Transmission> {
        let range = Range {
            start: self.board.nxt(),
            end: self.board.nxt() + length,
        };
        if !self.board.send(length, now, self.grain()) {
            // The scoreboard is full. Wait for an ACK, as with a closed window.
            return None;
        }
        if length % mss != 0 {
            self.small = range.end;
        }
        self.events.acked |= self.report_sent;
        // Not if it may have been sent before (Karn's algorithm).
        let is_new = range.end.after(self.host_sent);
        if self.timed.is_none() && self.ca_state == CaState::Open && is_new {
            self.timed = Some((range.end, now));
        }
        let segments = length.div_ceil(mss);
        Some(self.sent(now, range, segments, mss, false))
    }

    /// Common part of all transmissions.
    fn sent(
        &mut self,
        now: Instant,
        range: Range,
        segments: u32,
        mss: u32,
        resent: bool,
    ) -> Transmission {
        self.counts.data_segments = self.counts.data_segments.wrapping_add(segments);
        self.last_sent = now;
        if self.window > 0 {
            self.persist_at = Timer::OFF;
            self.rto_at.start(now + u64::from(self.rtt.rto()));
        }
        if matches!(self.ca_state, CaState::Recovery | CaState::Cwr) {
            self.prr.sent(range.length());
        }
        self.flight = self.pipe();
        self.arm(now, true);
        let pushed = self.push.after(range.start) && self.push.at_most(range.end);
        Transmission {
            range,
            mss,
            resent,
            flags: if pushed || range.end == self.end {
                flag::PSH
            } else {
                0
            },
            ect: false,
        }
    }

    /// Sends a probe requested by a timer.
    fn probe<R: Records>(
        &mut self,
        turn: &Turn<'_, R>,
        probe: Probe,
        mss: u32,
    ) -> Option<Transmission> {
        match probe {
            Probe::Tail => self.tail_probe(turn, mss),
            Probe::Window => self.window_probe(turn, mss),
            Probe::Corked => {
                let length = self.first_unsent(turn.records, mss);
                if length == 0 || (self.board.nxt() + length).after(self.window_end()) {
                    return None;
                }
                self.send(turn.now, length, mss)
            }
        }
    }

    /// Length of the next segment of new data, at most `max` bytes.
    fn first_unsent(&self, records: &impl Records, max: u32) -> u32 {
        records.first(self.board.nxt(), self.unsent().min(max))
    }

    /// RFC 8985 7.3: sends new data if any, else retransmits the last segment in flight. In
    /// recovery, a lost segment goes first. The probe has PSH set: new data may be a single
    /// segment, whose ACK the receiver would otherwise delay.
    fn tail_probe<R: Records>(&mut self, turn: &Turn<'_, R>, mss: u32) -> Option<Transmission> {
        let now = turn.now;
        let nxt = self.board.nxt();
        let new = self.first_unsent(turn.records, mss);
        let lost = self.board.first_lost();
        let mut transmission =
            if new > 0 && lost.is_none() && (nxt + new).at_most(self.window_end()) {
                self.send(now, new, mss)?
            } else {
                let range = match lost {
                    Some(lost) => {
                        let length = turn.records.first(lost.start, lost.length().min(mss));
                        Range {
                            start: lost.start,
                            end: lost.start + length,
                        }
                    }
                    None => {
                        let mut spans = self.board.spans().rev();
                        let mut last = spans.find(|span| span.state.in_flight())?.range;
                        last.start = last.end - last.length().min(mss);
                        last.start = last.end - turn.records.last(last.start, last.length());
                        last
                    }
                };
                if range.end.after(self.end) {
                    return None;
                }
                if self.ca_state == CaState::Recovery {
                    self.note_resent(turn, range, mss);
                }
                self.resend(now, range, mss)
            };
        transmission.flags |= flag::PSH;
        self.tail = Some(TailProbe {
            end: transmission.range.end,
            resent: transmission.resent,
        });
        self.tail_at = Timer::OFF;
        self.rto_at = Timer::at(now + u64::from(self.rtt.rto()));
        Some(transmission)
    }

    /// RFC 9293 3.8.6.1: sends as much as the window allows, at least one byte, to make the peer
    /// report its window.
    fn window_probe<R: Records>(&mut self, turn: &Turn<'_, R>, mss: u32) -> Option<Transmission> {
        let now = turn.now;
        let una = self.board.una();
        let window = self.window.clamp(1, mss);
        let transmission = if self.board.outstanding() > 0 {
            let first = self.board.spans().next()?;
            let end = (una + window).min(first.range.end).min(self.end);
            if !una.before(end) {
                return None;
            }
            let end = una + turn.records.first(una, end - una);
            self.resend(now, Range { start: una, end }, mss)
        } else {
            let length = self.first_unsent(turn.records, window);
            if length == 0 {
                return None;
            }
            // Not ECN-capable (RFC 3168 6.1.6).
            self.send_plain(now, length, mss)?
        };
        self.timed = None;
        self.unanswered.get_or_insert(now);
        if self.window == 0 {
            self.rto_at = Timer::OFF;
            self.tail_at = Timer::OFF;
            self.persist_at = Timer::at(now + u64::from(self.rtt.backed_off(self.probes)));
        }
        Some(transmission)
    }

    /// If nothing is in flight that an ACK could answer, arms the persist timer, to probe the
    /// window or to send corked data.
    fn wait_for_window(&mut self, now: Instant) {
        if self.persist_at.is_on() || self.rto_at.is_on() {
            return;
        }
        let unsent = self.unsent();
        if unsent == 0 && self.board.lost() == 0 {
            return;
        }
        let fits = (self.board.nxt() + unsent.min(self.mss)).at_most(self.window_end());
        self.persist_at = Timer::at(if fits && self.board.lost() == 0 {
            now + CORK_MAX
        } else {
            now + u64::from(self.rtt.backed_off(self.probes))
        });
    }
}
