// SPDX-License-Identifier: GPL-2.0

//! Receiving half: accepts payload and decides when to acknowledge it.

use toe_abi::completion::HandoverStatus;
use toe_abi::completion::Reason;
use toe_abi::connection::ConnectionState;
use toe_abi::connection::MAX_RCV_WINDOW;
use toe_abi::connection::MAX_WSCALE;
use toe_abi::connection::flag as state_flag;
use toe_abi::submission::DELACK_MAX_US;
use toe_abi::submission::MIN_TIME_US;

mod legacy;

pub use self::legacy::Answered;
pub use self::legacy::Delivery;
pub use self::legacy::Resync;

use self::legacy::Counts;
use crate::tcp::out_of_order::OutOfOrder;
use crate::tcp::segment::Range;
use crate::tcp::segment::SackBlocks;
use crate::tcp::segment::Segment;
use crate::tcp::segment::Special;
use crate::tcp::segment::Trimmed;
use crate::tcp::segment::Verdict;
use crate::tcp::segment::flag;
use crate::tcp::seq::Seq;
use crate::tcp::time::Instant;
use crate::tcp::time::MILLISECOND;
use crate::tcp::time::SECOND;
use crate::tcp::time::Timer;

/// Delayed-ACK timeout (`TCP_DELACK_MIN`; RFC 9293 3.8.6.3 allows 500 ms).
const DELAYED_ACK: u64 = DELACK_MAX_US as u64;
/// ACKs sent without delay at the start, when the peer may be in slow start (quickack mode).
const QUICK_ACKS: u8 = 16;
/// Minimum interval between ACKs in reply to out-of-window segments without payload
/// (`tcp_invalid_ratelimit`). Prevents ACK loops.
const ANSWER_INTERVAL: u64 = 500 * MILLISECOND;
/// Number of zero-window probes answered while the host does not open the window.
const PROBES: u8 = 8;
/// Lifetime of TS.Recent (RFC 7323 5.5).
const PAWS_LIFETIME: u64 = 24 * 86_400 * SECOND;
/// Minimum estimate of a full-sized segment (RFC 9293 3.7.1: default send MSS).
const MIN_FULL: u16 = 536;

/// Properties of the latest segment that are used once its payload is accepted.
#[derive(Clone, Copy, Debug, Default)]
struct Arrival {
    push: bool,
    /// Payload bytes of its largest wire frame.
    frame: u16,
}

/// Acknowledgement fields of an outgoing segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// SEG.ACK.
    pub ack: Seq,
    /// SEG.WND.
    pub window: u16,
}

/// The receiving half of a connection.
///
/// # Invariants
///
/// - `last_ack <= delivered <= nxt`: nothing is acknowledged that the host does not have.
/// - `edge` is changed by [`Receiver::set_edge`] only and never moves back: the window that the
///   host granted is not exceeded, nor withdrawn.
/// - All ranges in `out_of_order` are above `nxt`. In legacy mode they have been uploaded, otherwise the
///   caller holds them.
/// - Unless delivery is direct, the host's TCP has everything before the `limit` of `delivery`, and
///   nothing after it is acknowledged.
pub struct Receiver {
    /// RCV.NXT: first byte not accepted in order.
    nxt: Seq,
    /// End of the payload that is in host memory and reported in completions. In legacy mode: that
    /// has been uploaded.
    delivered: Seq,
    delivery: Delivery,
    counts: Counts,
    /// Last.ACK.sent.
    last_ack: Seq,
    /// Right edge of the window: first byte the peer may not send.
    edge: Seq,
    /// The same as the peer knows it from the latest segment.
    announced: Seq,
    window_scaling: bool,
    wscale: u8,
    sack: bool,
    ecn: bool,
    /// Set ECE until the peer answers with CWR (RFC 3168 6.1.3).
    ecn_echo: bool,
    /// TS.Recent, if timestamps are negotiated.
    ts_recent: Option<u32>,
    ts_recent_at: Instant,
    out_of_order: OutOfOrder,
    duplicate: Option<Range>,
    arrival: Arrival,
    /// MSS of the peer, and the largest segment it has sent.
    mss: u16,
    full: u16,
    /// Number of ACKs to send at once. More than one if the peer counts duplicate ACKs.
    due: u8,
    delayed: Timer,
    /// Delay of an acknowledgement, in microseconds.
    delay: u32,
    quick: u8,
    /// Data flows both ways, so an ACK can be piggybacked (pingpong mode).
    interactive: bool,
    last_data: Instant,
    answer_after: Instant,
    /// Probes received since the window was announced closed.
    probes: u8,
}

impl Receiver {
    /// See [`Tcb::new`](super::Tcb::new).
    pub fn new(
        state: &ConnectionState,
        uploaded: Seq,
        now: Instant,
    ) -> Result<Self, HandoverStatus> {
        let nxt = Seq(state.rcv_nxt);
        let edge = Seq(state.rcv_edge);
        let has = |flag| state.flags & flag != 0;
        let sound = edge - nxt <= MAX_RCV_WINDOW
            && uploaded - nxt <= MAX_RCV_WINDOW
            && state.rcv_wscale <= MAX_WSCALE
            && (has(state_flag::WINDOW_SCALE) || state.rcv_wscale == 0)
            && (has(state_flag::ECN) || !has(state_flag::ECN_ECHO));
        if !sound {
            return Err(HandoverStatus::BadState);
        }
        Ok(Self {
            nxt: uploaded,
            delivered: uploaded,
            delivery: if uploaded != nxt || has(state_flag::OUT_OF_ORDER) {
                Delivery::Legacy {
                    limit: nxt,
                    changed: true,
                }
            } else {
                Delivery::Direct
            },
            counts: Counts::new(now),
            last_ack: nxt,
            edge,
            announced: nxt + ((edge - nxt) >> state.rcv_wscale << state.rcv_wscale),
            window_scaling: has(state_flag::WINDOW_SCALE),
            wscale: state.rcv_wscale,
            sack: has(state_flag::SACK),
            ecn: has(state_flag::ECN),
            ecn_echo: has(state_flag::ECN_ECHO),
            ts_recent: has(state_flag::TIMESTAMPS).then_some(state.ts_recent),
            ts_recent_at: now,
            out_of_order: OutOfOrder::new(),
            duplicate: None,
            arrival: Arrival::default(),
            mss: state.rcv_mss.max(MIN_FULL),
            full: MIN_FULL,
            due: 0,
            delayed: Timer::OFF,
            delay: DELACK_MAX_US,
            quick: QUICK_ACKS,
            interactive: false,
            last_data: Instant::default(),
            answer_after: now,
            probes: 0,
        })
    }

    /// RCV.NXT.
    #[inline]
    pub fn nxt(&self) -> Seq {
        self.nxt
    }

    /// TS.Recent, if timestamps are negotiated.
    #[inline]
    pub fn ts_recent(&self) -> Option<u32> {
        self.ts_recent
    }

    /// Whether ECE is being sent.
    #[inline]
    pub fn ecn_echo(&self) -> bool {
        self.ecn_echo
    }

    /// Whether ECE is being sent, `None` if ECN is not negotiated.
    pub fn negotiated_ecn_echo(&self) -> Option<bool> {
        self.ecn.then_some(self.ecn_echo)
    }

    /// Delayed-ACK timer.
    #[inline]
    pub fn timer(&self) -> Timer {
        self.delayed
    }

    /// PAWS (RFC 7323 5.3, R1): whether this timestamp identifies an old duplicate.
    #[inline]
    pub fn paws_rejects(&self, now: Instant, value: u32) -> bool {
        self.ts_recent.is_some_and(|recent| {
            (value.wrapping_sub(recent) as i32) < 0 && now - self.ts_recent_at < PAWS_LIFETIME
        })
    }

    /// Acceptability test of RFC 9293 3.10.7.4: whether part of the segment is in the window.
    ///
    /// For a segment without payload, the left edge is the last acknowledgement number sent, since
    /// the peer knows of no later one. The right edge is included, because a peer that has filled
    /// the window sends its ACKs from there. If the window is closed, the byte of a probe after it
    /// is included too.
    pub fn acceptable(&self, seq: Seq, length: u32) -> bool {
        let end = seq + length;
        let edge = self.edge.max(self.nxt);
        if length == 0 {
            let probe = u32::from(edge == self.nxt);
            seq.at_least(self.last_ack) && seq.at_most(edge + probe)
        } else {
            end.after(self.nxt) && seq.before(edge)
        }
    }

    /// Whether a RST with this sequence number is the peer's (RFC 5961 3.2). It is not in the window
    /// by chance if the peer has sent up to there, or takes the last ACK or a SACK block for the state
    /// of this TCP.
    pub fn is_reset(&self, seq: Seq) -> bool {
        let last = self.out_of_order.ranges().iter().map(|range| range.end);
        seq == self.nxt
            || seq == self.last_ack
            || last.max_by_key(|&end| end - self.nxt) == Some(seq)
    }

    /// Whether the segment is a pure ACK of a peer that probes a window which it takes for closed, and
    /// does not know yet that the byte of its probe was accepted. If each end is such a peer, neither
    /// would take the other's ACKs.
    pub fn is_behind_probe(&self, segment: &Segment) -> bool {
        let control = flag::ACK | flag::SYN | flag::FIN | flag::URG;
        segment.length == 0
            && segment.flags & control == flag::ACK
            && segment.seq + 1 == self.last_ack
    }

    /// Answers an unacceptable segment with an ACK, and with a D-SACK (RFC 2883 4) if it is a
    /// duplicate.
    pub fn answer(&mut self, now: Instant, segment: &Segment) {
        if segment.length > 0 {
            let end = segment.seq + segment.length;
            if end.at_most(self.nxt) {
                self.report_duplicate(segment.seq, end);
            }
            self.ack_now();
        } else {
            self.challenge(now);
        }
    }

    /// Counts a segment if it is a probe of the closed window, which begins at the window or one
    /// byte before it. Returns `true` if the host must handle the probe: the host may have opened the
    /// window in a frame that was lost on its way to the adapter.
    pub fn probes_exhausted(&mut self, segment: &Segment) -> bool {
        let closed = !self.announced.after(self.nxt);
        let probe = segment.seq == self.nxt || segment.seq + 1 == self.nxt;
        if closed && probe {
            self.probes = self.probes.saturating_add(1);
        }
        closed && probe && self.probes > PROBES
    }

    /// Sends a rate-limited challenge ACK (RFC 5961 7).
    pub fn challenge(&mut self, now: Instant) {
        if now >= self.answer_after {
            self.answer_after = now + ANSWER_INTERVAL;
            self.ack_now();
        }
    }

    /// Processes timestamp and ECN bits of an acceptable segment.
    #[inline]
    pub fn on_header(&mut self, now: Instant, segment: &Segment) {
        if let (Some(recent), Some(timestamps)) = (&mut self.ts_recent, segment.timestamps) {
            // RFC 7323 4.3 (2). PAWS has excluded older timestamps.
            if segment.seq.at_most(self.last_ack) {
                *recent = timestamps.value;
                self.ts_recent_at = now;
            }
        }
        // RFC 3168 6.1.3. A mark on a segment without payload is invalid (6.1.4).
        if self.ecn && segment.length > 0 {
            if segment.flags & flag::CWR != 0 {
                self.ecn_echo = false;
                // The peer's window may be a single segment (`tcp_ecn_accept_cwr()`).
                self.ack_now();
            }
            if segment.congestion_experienced && !self.ecn_echo {
                self.ecn_echo = true;
                self.ack_now();
            }
        }
    }

    /// Decides about the payload of an acceptable segment.
    pub fn on_payload(&mut self, segment: &Segment) -> Verdict {
        if segment.length == 0 {
            return Verdict::Done;
        }
        let range = Range {
            start: segment.seq.max(self.nxt),
            end: (segment.seq + segment.length).min(self.edge),
        };
        self.arrival = Arrival {
            push: segment.flags & flag::PSH != 0,
            frame: segment
                .length
                .div_ceil(u32::from(segment.wire_segments.max(1)))
                .min(u32::from(self.mss)) as u16,
        };
        if segment.seq.before(self.nxt) {
            self.report_duplicate(segment.seq, self.nxt);
        }
        if !range.start.before(range.end) {
            // The new part is beyond the closed window.
            self.ack_now();
            return Verdict::Duplicate;
        }
        let piece = |range: Range| Trimmed {
            seq: range.start,
            skip: range.start - segment.seq,
            length: range.length(),
        };
        if range.start == self.nxt {
            if self.probes_exhausted(segment) {
                return Verdict::Upload(Some(Special::Window));
            }
            return Verdict::Deliver(piece(range));
        }
        let Some(missing) = self.out_of_order.first_missing(range) else {
            self.report_duplicate(range.start, range.end);
            self.out_of_order.touch(range.start);
            self.ack_now();
            return Verdict::Duplicate;
        };
        if let Some(Range { start, end }) = self.out_of_order.overlap(range, missing) {
            self.report_duplicate(start, end);
        }
        if self.out_of_order.has_room(missing) {
            Verdict::Hold(piece(missing))
        } else {
            Verdict::Upload(Some(Special::OutOfOrder))
        }
    }

    /// Payload has been stored: see [`Tcb::accept`](super::Tcb::accept).
    pub fn accept(&mut self, now: Instant, piece: &Trimmed) -> Seq {
        let range = Range {
            start: piece.seq,
            end: piece.seq + piece.length,
        };
        if range.start.after(self.nxt) {
            self.out_of_order.insert(range);
            // RFC 5681 4.2: a duplicate ACK for each out-of-order segment. With SACK, one ACK
            // carries the same information.
            self.due = if self.sack {
                1
            } else {
                self.due.saturating_add(1)
            };
        } else if range.end.after(self.nxt) {
            let hole = !self.out_of_order.is_empty();
            self.nxt = self.out_of_order.advance(range.end);
            self.schedule(now, hole);
        }
        self.last_data = now;
        self.nxt
    }

    /// Decides when to acknowledge in-order payload (RFC 5681 4.2). `hole`: the payload fills all
    /// or part of a hole.
    fn schedule(&mut self, now: Instant, hole: bool) {
        self.full = self.full.max(self.arrival.frame);
        if self.delivery != Delivery::Direct {
            // It would repeat the last ACK. The host's confirmation triggers the next one.
            return;
        }
        let second_full = self.nxt - self.last_ack > u32::from(self.full);
        let pushed = self.arrival.push && !self.interactive;
        if self.quick > 0 {
            self.quick -= 1;
            self.ack_now();
        } else if hole || second_full || pushed {
            self.ack_now();
        } else {
            self.delayed.start(now + u64::from(self.delay));
        }
    }

    /// Limits the delay of an acknowledgement, in microseconds.
    ///
    /// # Errors
    ///
    /// `Submission` if it is below a millisecond.
    pub fn set_delack_max(&mut self, delay: u32) -> Result<(), Reason> {
        if delay < MIN_TIME_US {
            return Err(Reason::Submission);
        }
        self.delay = delay.min(DELACK_MAX_US);
        Ok(())
    }

    /// Whether payload was accepted in order that is not in host memory yet.
    #[inline]
    pub fn has_undelivered(&self) -> bool {
        self.delivered != self.nxt
    }

    /// Everything before `end` is in host memory.
    pub fn set_delivered(&mut self, end: Seq) {
        self.delivered = self.delivered.max(end.min(self.nxt));
    }

    /// Moves the right edge of the window. An edge before the current one or too far ahead is
    /// ignored.
    pub fn set_edge(&mut self, edge: Seq) {
        if edge.after(self.edge) && edge - self.nxt <= MAX_RCV_WINDOW {
            self.edge = edge;
        }
    }

    /// Moves the right edge of the window and announces it. The host avoids silly windows (RFC 9293
    /// 3.8.6.2.2).
    pub fn open_window(&mut self, edge: Seq) {
        let before = self.edge;
        self.set_edge(edge);
        if self.edge != before {
            self.ack_now();
        }
    }

    /// The host announces `window` (not scaled) with acknowledgement number `ack`.
    pub fn set_announced(&mut self, ack: Seq, window: u16) {
        self.set_edge(ack + (u32::from(window) << self.wscale));
    }

    /// Whether a pure ACK must be sent now.
    #[inline]
    pub fn ack_due(&self) -> bool {
        self.due > 0 && !self.has_unconfirmed()
    }

    /// Requests an immediate ACK.
    pub fn ack_now(&mut self) {
        self.due = self.due.max(1);
    }

    /// Handles the delayed-ACK timer.
    pub fn on_timer(&mut self, now: Instant) {
        if self.delayed.is_due(now) {
            self.delayed = Timer::OFF;
            self.interactive = false;
            self.ack_now();
        }
    }

    /// Acknowledgement number to send.
    #[inline]
    fn ack(&self) -> Seq {
        match self.delivery {
            Delivery::Direct => self.delivered,
            Delivery::Provisional { limit, .. } | Delivery::Legacy { limit, .. } => {
                limit.min(self.delivered)
            }
        }
    }

    #[inline]
    fn has_blocks(&self) -> bool {
        // Payload that was uploaded is the host's to report.
        self.sack
            && !self.is_legacy()
            && !self.has_unconfirmed()
            && (!self.out_of_order.is_empty() || self.duplicate.is_some())
    }

    /// SACK blocks for the next segment, at most `max` (RFC 2018 4, RFC 2883).
    pub fn sack_blocks(&self, max: usize) -> SackBlocks {
        if !self.has_blocks() {
            return SackBlocks::new();
        }
        self.out_of_order.blocks(self.duplicate, max)
    }

    /// A segment is sent: returns its acknowledgement fields. `data`: it carries payload. `sack`:
    /// it carries [`Self::sack_blocks`].
    pub fn on_transmit(&mut self, now: Instant, data: bool, sack: bool) -> Acknowledgement {
        let ack = self.ack();
        let room = if self.edge.after(ack) {
            self.edge - ack
        } else {
            0
        };
        let window = u16::try_from(room >> self.wscale).unwrap_or(u16::MAX);
        self.last_ack = ack;
        self.announced = ack + (u32::from(window) << self.wscale);
        if self.announced.after(self.nxt) {
            self.probes = 0;
        }
        if (sack || !self.has_blocks()) && !self.has_unconfirmed() {
            self.duplicate = None;
            self.due = self.due.saturating_sub(1);
        }
        self.delayed = Timer::OFF;
        if ack != self.nxt && self.delivery == Delivery::Direct {
            // Part of the payload is not in host memory yet.
            self.delayed.start(now + u64::from(self.delay));
        }
        if data && now - self.last_data < DELAYED_ACK {
            self.interactive = true;
        }
        Acknowledgement { ack, window }
    }

    /// Exports the receiving half of the state for the host.
    pub fn export(&self, state: &mut ConnectionState) {
        if self.ecn_echo {
            state.flags |= state_flag::ECN_ECHO;
        }
        if self.window_scaling {
            state.flags |= state_flag::WINDOW_SCALE;
        }
        state.rcv_wscale = self.wscale;
        state.rcv_nxt = self.delivered.0;
        state.rcv_edge = self.edge.0;
        state.ts_recent = self.ts_recent.unwrap_or(0);
    }

    /// Asserts the invariants.
    #[cfg(test)]
    pub fn assert_invariants(&self) {
        assert!(self.last_ack.at_most(self.ack()), "acknowledged too much");
        assert!(self.ack().at_most(self.delivered));
        assert!(self.delivered.at_most(self.nxt));
        for range in self.out_of_order.ranges() {
            assert!(range.start.after(self.nxt), "a range is not out of order");
        }
        match self.delivery {
            Delivery::Direct => {}
            Delivery::Provisional { limit, until } => {
                assert!(limit.at_most(until) && until.at_most(self.nxt));
            }
            Delivery::Legacy { limit, .. } => assert!(limit.at_most(self.nxt)),
        }
    }

    fn report_duplicate(&mut self, start: Seq, end: Seq) {
        if self.sack {
            self.duplicate = Some(Range { start, end });
        }
    }
}
