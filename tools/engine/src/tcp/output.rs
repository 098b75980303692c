// SPDX-License-Identifier: GPL-2.0

//! What the sending half sends next.

use super::segment::Range;
use super::segment::flag;
use super::sender::CaState;
use super::sender::Probe;
use super::sender::Sender;
use super::sender::TailProbe;
use super::time::Instant;
use super::time::MILLISECOND;
use super::time::Timer;
use super::time::TimestampClock;

/// Longest that `CORK` and `MORE` hold data back when nothing is in flight, as tcp(7) promises.
const HELD_MAX: u64 = 200 * MILLISECOND;

/// Payload to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Transmission {
    /// Which bytes.
    pub range: Range,
    /// Largest payload of a wire frame.
    pub mss: u32,
    /// Some of it has been sent before.
    pub resent: bool,
    /// [`flag`] bits beside `ACK`.
    pub flags: u8,
    /// It is new data, which may carry the ECN-capable mark (RFC 3168, 6.1.5).
    pub ect: bool,
}

impl Sender {
    /// The next payload to send, at most `max_length` bytes, with `options` bytes of each wire frame
    /// taken by options that `mss` does not count.
    pub fn next(
        &mut self,
        now: Instant,
        max_length: u32,
        options: u32,
        clock: Option<&TimestampClock>,
    ) -> Option<Transmission> {
        let mss = self.mss - options;
        let max = (max_length / mss).max(1) * mss;
        if let Some(probe) = self.probe.take() {
            if let Some(transmission) = self.probe(now, probe, mss, clock) {
                return Some(transmission);
            }
        }
        if self.board.lost() > 0 {
            let transmission = self.retransmission(now, mss, max, clock);
            if transmission.is_none() {
                self.wait_for_window(now);
            }
            return transmission;
        }
        let transmission = self.new_data(now, mss, max);
        if transmission.is_none() {
            self.wait_for_window(now);
        }
        transmission
    }

    /// How much of `want` bytes the congestion window allows: all, or whole segments of it. With
    /// nothing on its way, one segment always.
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

    /// What was lost first, as far as the windows allow. RFC 9293, 3.8.6 (SHLD-17): a window that
    /// has shrunk holds for retransmissions too.
    fn retransmission(
        &mut self,
        now: Instant,
        mss: u32,
        max: u32,
        clock: Option<&TimestampClock>,
    ) -> Option<Transmission> {
        let lost = self.board.first_lost()?;
        let end = lost.end.min(self.window_end()).min(self.end);
        if !lost.start.before(end) {
            return None;
        }
        let length = self.allowed((end - lost.start).min(max), mss);
        if length == 0 {
            self.limited = true;
            return None;
        }
        let range = Range {
            start: lost.start,
            end: lost.start + length,
        };
        self.note_resent(now, range, mss, clock);
        Some(self.resend(now, range, mss))
    }

    /// Notes that the reduction in force is to blame for sending `range` again.
    fn note_resent(
        &mut self,
        now: Instant,
        range: Range,
        mss: u32,
        clock: Option<&TimestampClock>,
    ) {
        let timestamp = clock.map(|clock| clock.value(now));
        let segments = range.length().div_ceil(mss);
        self.undo.on_resend(range, segments, timestamp);
    }

    /// Notes that `range`, within one run of the scoreboard, is sent again.
    fn resend(&mut self, now: Instant, range: Range, mss: u32) -> Transmission {
        let segments = range.length().div_ceil(mss);
        self.board.resend(range, now, self.grain());
        self.counts.retransmits = self.counts.retransmits.wrapping_add(segments);
        self.counts.bytes_retransmitted += u64::from(range.length());
        // Karn's algorithm.
        self.timed = None;
        if range.start == self.board.una() && self.window > 0 {
            self.rto_at = Timer::at(now + u64::from(self.rtt.rto()));
        }
        self.sent(now, range, segments, mss, true)
    }

    /// New data, as far as the windows and Nagle's algorithm allow.
    fn new_data(&mut self, now: Instant, mss: u32, max: u32) -> Option<Transmission> {
        let unsent = self.unsent();
        if unsent == 0 {
            self.limited = false;
            return None;
        }
        let idle = now - self.last_sent;
        if self.board.outstanding() == 0 && idle > u64::from(self.rtt.rto()) {
            self.cubic.on_idle(idle, self.rtt.rto(), self.mss);
            // What follows is noted as sent now, and the silence is over.
            self.last_sent = now;
        }
        let nxt = self.board.nxt();
        let window_end = self.window_end();
        let window = if window_end.after(nxt) {
            window_end - nxt
        } else {
            0
        };
        let want = unsent.min(window).min(max);
        let mut length = self.allowed(want, mss);
        self.limited = length < want;
        let rest = length % mss;
        if rest > 0 && !self.may_send_partial(length, unsent) {
            length -= rest;
        }
        if length == 0 {
            return None;
        }
        self.send(now, length, mss)
    }

    /// Whether the segment at the end of the next `length` bytes, which is not full, may be sent
    /// (RFC 9293, 3.8.6.2.1).
    fn may_send_partial(&self, length: u32, unsent: u32) -> bool {
        if length == unsent {
            // Nagle's algorithm, in Minshall's form: only a segment that was not full either holds
            // this one back.
            let held = self.small.after(self.board.una()) && self.small.at_most(self.board.nxt());
            !self.more && !self.cork && (self.nodelay || !held)
        } else {
            // Cut by the peer's window: not for a window much smaller than it can be.
            length >= self.max_window / 2
        }
    }

    /// Notes that the next `length` bytes are sent.
    fn send(&mut self, now: Instant, length: u32, mss: u32) -> Option<Transmission> {
        let range = Range {
            start: self.board.nxt(),
            end: self.board.nxt() + length,
        };
        if !self.board.send(length, now, self.grain()) {
            // No room on the scoreboard: waits for an acknowledgement like for a window.
            return None;
        }
        if length % mss != 0 {
            self.small = range.end;
        }
        if self.timed.is_none() && self.ca_state == CaState::Open {
            self.timed = Some((range.end, now));
        }
        let segments = length.div_ceil(mss);
        let mut transmission = self.sent(now, range, segments, mss, false);
        transmission.ect = self.ecn;
        if self.cwr {
            self.cwr = false;
            transmission.flags |= flag::CWR;
        }
        Some(transmission)
    }

    /// What all transmissions have in common.
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
        if matches!(self.ca_state, CaState::Recovery | CaState::Reducing) {
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

    /// What a timer wants to be sent.
    fn probe(
        &mut self,
        now: Instant,
        probe: Probe,
        mss: u32,
        clock: Option<&TimestampClock>,
    ) -> Option<Transmission> {
        match probe {
            Probe::Tail => self.tail_probe(now, mss, clock),
            Probe::Window => self.window_probe(now, mss),
            Probe::Corked => {
                let window_end = self.window_end();
                let nxt = self.board.nxt();
                let length = self.unsent().min(mss);
                if length == 0 || (nxt + length).after(window_end) {
                    return None;
                }
                self.send(now, length, mss)
            }
        }
    }

    /// RFC 8985, 7.3: new data if there is some, else the last segment again that may not have
    /// arrived. In recovery, what is lost goes first. It is pushed: new data may be one segment all
    /// by itself, and a receiver that waits for a second would wait long.
    fn tail_probe(
        &mut self,
        now: Instant,
        mss: u32,
        clock: Option<&TimestampClock>,
    ) -> Option<Transmission> {
        let nxt = self.board.nxt();
        let new = self.unsent().min(mss);
        let lost = self.board.first_lost();
        let mut transmission =
            if new > 0 && lost.is_none() && (nxt + new).at_most(self.window_end()) {
                self.send(now, new, mss)?
            } else {
                let range = match lost {
                    Some(lost) => Range {
                        start: lost.start,
                        end: lost.end.min(lost.start + mss),
                    },
                    None => {
                        let mut spans = self.board.spans().rev();
                        let last = spans.find(|span| span.state.in_flight())?.range;
                        Range {
                            start: last.end - last.length().min(mss),
                            end: last.end,
                        }
                    }
                };
                if range.end.after(self.end) {
                    return None;
                }
                if self.ca_state == CaState::Recovery {
                    self.note_resent(now, range, mss, clock);
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

    /// RFC 9293, 3.8.6.1: as much as the window takes, at least an octet, so that the peer tells its
    /// window.
    fn window_probe(&mut self, now: Instant, mss: u32) -> Option<Transmission> {
        let una = self.board.una();
        let window = self.window.clamp(1, mss);
        let transmission = if self.board.outstanding() > 0 {
            let first = self.board.spans().next()?;
            let end = (una + window).min(first.range.end).min(self.end);
            if !una.before(end) {
                return None;
            }
            self.resend(now, Range { start: una, end }, mss)
        } else {
            let length = self.unsent().min(window);
            if length == 0 {
                return None;
            }
            self.send(now, length, mss)?
        };
        self.timed = None;
        if self.window == 0 {
            self.rto_at = Timer::OFF;
            self.tail_at = Timer::OFF;
            self.persist_at = Timer::at(now + u64::from(self.rtt.backed_off(self.probes)));
        }
        Some(transmission)
    }

    /// With nothing on its way that an acknowledgement could answer, a timer has to go on: to probe
    /// the window, or to let go of what is held back.
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
            now + HELD_MAX
        } else {
            now + u64::from(self.rtt.backed_off(self.probes))
        });
    }
}
