// SPDX-License-Identifier: GPL-2.0

//! The receiving half: which payload to take, and when to acknowledge it.

use toe_abi::completion::Status;
use toe_abi::connection::Connection;
use toe_abi::connection::flag as state_flag;

use super::out_of_order::OutOfOrder;
use super::segment::Range;
use super::segment::SackBlocks;
use super::segment::Segment;
use super::segment::Trimmed;
use super::segment::Verdict;
use super::segment::flag;
use super::seq::Seq;
use super::time::Instant;
use super::time::MILLISECOND;
use super::time::SECOND;
use super::time::Timer;

/// Longest delay of an acknowledgement: Linux's `TCP_DELACK_MIN`; RFC 9293, 3.8.6.3 allows 500 ms.
const DELAYED_ACK: u64 = 40 * MILLISECOND;
/// Acknowledgements sent without delay at the start, when the peer may be in slow start.
const QUICK_ACKS: u8 = 16;
/// Shortest distance of two answers to segments that are outside the window and carry nothing:
/// Linux's `tcp_invalid_ratelimit`. Keeps two ends from answering each other for ever.
const ANSWER_INTERVAL: u64 = 500 * MILLISECOND;
/// Probes of a closed window that are answered while the host does not open it.
const PROBES: u8 = 8;
/// How long a timestamp of the peer says something about new ones (RFC 7323, 5.5).
const PAWS_LIFETIME: u64 = 24 * 86_400 * SECOND;
/// Smallest full-sized segment that is believed (RFC 9293, 3.7.1: the default send MSS).
const MIN_FULL: u16 = 536;
/// Largest distance of the window's edge (RFC 7323, 2.3).
const WINDOW_MAX: u32 = 1 << 30;

/// Acknowledgements do not pass `limit` before the host has acknowledged `until`.
#[derive(Clone, Copy, Debug)]
struct AckLimit {
    limit: Seq,
    until: Seq,
}

/// What of the latest segment counts once its payload has been stored.
#[derive(Clone, Copy, Debug, Default)]
struct Arrival {
    push: bool,
    /// Payload bytes of the largest wire frame in it.
    frame: u16,
}

/// What an outgoing segment says about the receiving half.
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
/// - `last_ack <= delivered <= nxt`: nothing is acknowledged that the host does not have (invariant
///   2 of the design).
/// - `edge` moves by [`Receiver::set_edge`] only, and only forward (invariant 3).
/// - `held` is all above `nxt`.
pub struct Receiver {
    /// RCV.NXT: first byte not accepted in order.
    nxt: Seq,
    /// First byte that is not in host memory with its completion.
    delivered: Seq,
    ack_limit: Option<AckLimit>,
    /// Last.ACK.sent.
    last_ack: Seq,
    /// Right edge of the window: first byte that the peer may not send.
    edge: Seq,
    window_scaling: bool,
    wscale: u8,
    sack: bool,
    ecn: bool,
    /// Report congestion until the peer says that it has heard (RFC 3168, 6.1.3).
    ecn_echo: bool,
    /// TS.Recent, with timestamps.
    ts_recent: Option<u32>,
    ts_recent_at: Instant,
    out_of_order: OutOfOrder,
    duplicate: Option<Range>,
    arrival: Arrival,
    /// Largest segment that the peer can send, and the largest that it has sent.
    mss: u16,
    full: u16,
    /// An acknowledgement is due at once; more than one for a peer that counts duplicates.
    due: u8,
    delayed: Timer,
    quick: u8,
    /// Data goes both ways: an acknowledgement will find a segment to travel on.
    interactive: bool,
    last_data: Instant,
    answer_after: Instant,
    /// Segments that came while the window was closed, since the host moved its edge last.
    probes: u8,
}

impl Receiver {
    /// See [`Tcb::new`](super::Tcb::new).
    pub fn new(state: &Connection, uploaded: Seq, now: Instant) -> Result<Self, Status> {
        let nxt = Seq(state.rcv_nxt);
        let edge = Seq(state.rcv_edge);
        let has = |flag| state.flags & flag != 0;
        let sound = edge - nxt <= WINDOW_MAX
            && uploaded - nxt <= WINDOW_MAX
            && state.rcv_wscale <= 14
            && (has(state_flag::WINDOW_SCALE) || state.rcv_wscale == 0)
            && (has(state_flag::ECN) || !has(state_flag::ECN_ECHO));
        if !sound {
            return Err(Status::BadState);
        }
        Ok(Self {
            nxt: uploaded,
            delivered: uploaded,
            ack_limit: (uploaded != nxt).then_some(AckLimit {
                limit: nxt,
                until: uploaded,
            }),
            last_ack: nxt,
            edge,
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

    /// TS.Recent, with timestamps.
    #[inline]
    pub fn ts_recent(&self) -> Option<u32> {
        self.ts_recent
    }

    /// Whether congestion is being reported to the peer.
    #[inline]
    pub fn ecn_echo(&self) -> bool {
        self.ecn_echo
    }

    /// When a delayed acknowledgement is due.
    #[inline]
    pub fn timer(&self) -> Timer {
        self.delayed
    }

    /// RFC 7323, 5.3, R1: whether this timestamp shows the segment to be an old duplicate.
    #[inline]
    pub fn paws_rejects(&self, now: Instant, value: u32) -> bool {
        self.ts_recent.is_some_and(|recent| {
            (value.wrapping_sub(recent) as i32) < 0 && now - self.ts_recent_at < PAWS_LIFETIME
        })
    }

    /// RFC 9293, 3.10.7.4, first: whether any of the segment is in the window.
    ///
    /// The left edge for a segment without payload is the last acknowledgement sent: the peer knows
    /// of no later one. Its right edge belongs to the window, because a peer that has filled it
    /// sends its acknowledgements from there; of a closed window the octet of a probe behind it too.
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

    /// Whether the peer repeats payload that was uploaded before the hand-over and that the host has
    /// not acknowledged since. The host may have dropped it: then only the host can receive it, and
    /// what was delivered behind it here is not acknowledged yet.
    pub fn repeats_unseen(&self, segment: &Segment) -> bool {
        let end = segment.seq + segment.length;
        segment.length > 0
            && self
                .ack_limit
                .as_ref()
                .is_some_and(|unseen| segment.seq.before(unseen.until) && end.after(unseen.limit))
    }

    /// The segment is not acceptable: answers with an acknowledgement, and with a report of the
    /// duplicate (RFC 2883, 4) if it is one.
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

    /// Counts a segment that is not acceptable as a probe, if the window is closed. True when the
    /// host should see it: it may believe to have opened the window, with a frame that was lost on
    /// its way here.
    pub fn probed_in_vain(&mut self) -> bool {
        if !self.edge.after(self.nxt) {
            self.probes = self.probes.saturating_add(1);
        }
        self.probes > PROBES
    }

    /// Answers what the peer cannot have meant, not too often (RFC 5961, 7).
    pub fn challenge(&mut self, now: Instant) {
        if now >= self.answer_after {
            self.answer_after = now + ANSWER_INTERVAL;
            self.ack_now();
        }
    }

    /// An acceptable segment says something about timestamps and congestion.
    #[inline]
    pub fn on_header(&mut self, now: Instant, segment: &Segment) {
        if let (Some(recent), Some(timestamps)) = (&mut self.ts_recent, segment.timestamps) {
            // RFC 7323, 4.3 (2); PAWS has seen that it is not older.
            if segment.seq.at_most(self.last_ack) {
                *recent = timestamps.value;
                self.ts_recent_at = now;
            }
        }
        if self.ecn {
            if segment.flags & flag::CWR != 0 {
                self.ecn_echo = false;
            }
            if segment.congestion_experienced && !self.ecn_echo {
                self.ecn_echo = true;
                self.ack_now();
            }
        }
    }

    /// What to do with the payload of an acceptable segment.
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
            // What is new of it lies behind a closed window.
            self.ack_now();
            return Verdict::Duplicate;
        }
        let piece = |range: Range| Trimmed {
            seq: range.start,
            skip: range.start - segment.seq,
            length: range.length(),
        };
        if range.start == self.nxt {
            return Verdict::Deliver(piece(range));
        }
        let Some(missing) = self.out_of_order.first_missing(range) else {
            self.report_duplicate(range.start, range.end);
            self.out_of_order.touch(range.start);
            self.ack_now();
            return Verdict::Duplicate;
        };
        if self.out_of_order.has_room(missing) {
            Verdict::Hold(piece(missing))
        } else {
            self.ack_now();
            Verdict::NoRoom
        }
    }

    /// Payload is stored: see [`Tcb::accept`](super::Tcb::accept).
    pub fn accept(&mut self, now: Instant, piece: &Trimmed) -> Seq {
        let range = Range {
            start: piece.seq,
            end: piece.seq + piece.length,
        };
        if range.start.after(self.nxt) {
            self.out_of_order.insert(range);
            // RFC 5681, 4.2: a duplicate acknowledgement for each segment out of order. SACK
            // blocks say the same in one.
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

    /// Decides when to acknowledge payload that came in order (RFC 5681, 4.2). `hole`: it fills
    /// some of one.
    fn schedule(&mut self, now: Instant, hole: bool) {
        self.full = self.full.max(self.arrival.frame);
        if self.ack_limit.is_some() {
            // It would repeat what was acknowledged; the host's acknowledgement releases one.
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
            self.delayed.start(now + DELAYED_ACK);
        }
    }

    /// Everything up to `end` is in host memory.
    pub fn set_delivered(&mut self, end: Seq) {
        self.delivered = self.delivered.max(end.min(self.nxt));
    }

    /// The host has acknowledged `ack`.
    pub fn on_host_ack(&mut self, ack: Seq) {
        let Some(AckLimit { limit, until }) = &mut self.ack_limit else {
            return;
        };
        *limit = limit.max(ack.min(*until));
        if *limit == *until {
            self.ack_limit = None;
            if self.nxt.after(self.last_ack) {
                self.ack_now();
            }
        }
    }

    /// The host moves the right edge; one before the current edge or absurdly far is ignored.
    pub fn set_edge(&mut self, edge: Seq) {
        if edge.after(self.edge) && edge - self.nxt <= WINDOW_MAX {
            self.edge = edge;
            self.probes = 0;
        }
    }

    /// The host announces `window` from `ack` on.
    pub fn set_announced(&mut self, ack: Seq, window: u16) {
        self.set_edge(ack + (u32::from(window) << self.wscale));
    }

    /// Whether a pure acknowledgement has to leave now.
    #[inline]
    pub fn ack_due(&self) -> bool {
        self.due > 0
    }

    /// An acknowledgement has to leave now.
    pub fn ack_now(&mut self) {
        self.due = self.due.max(1);
    }

    /// A delayed acknowledgement is due.
    pub fn on_timer(&mut self, now: Instant) {
        if self.delayed.is_due(now) {
            self.delayed = Timer::OFF;
            self.interactive = false;
            self.ack_now();
        }
    }

    /// What would be acknowledged now.
    #[inline]
    fn ack(&self) -> Seq {
        match self.ack_limit {
            Some(AckLimit { limit, .. }) => limit.min(self.delivered),
            None => self.delivered,
        }
    }

    #[inline]
    fn has_blocks(&self) -> bool {
        self.sack && (!self.out_of_order.is_empty() || self.duplicate.is_some())
    }

    /// SACK blocks for the next segment, at most `max` (RFC 2018, 4; RFC 2883).
    pub fn sack_blocks(&self, max: usize) -> SackBlocks {
        if !self.has_blocks() {
            return SackBlocks::new();
        }
        self.out_of_order.blocks(self.duplicate, max)
    }

    /// A segment leaves: what it acknowledges. With `data`, it carries payload too; with `sack`, what
    /// [`Self::sack_blocks`] says.
    pub fn on_transmit(&mut self, now: Instant, data: bool, sack: bool) -> Acknowledgement {
        let ack = self.ack();
        let room = if self.edge.after(ack) {
            self.edge - ack
        } else {
            0
        };
        self.last_ack = ack;
        if sack || !self.has_blocks() {
            self.duplicate = None;
            self.due = self.due.saturating_sub(1);
        }
        self.delayed = Timer::OFF;
        if ack != self.nxt && self.ack_limit.is_none() {
            // Not all of it is in host memory yet.
            self.delayed.start(now + DELAYED_ACK);
        }
        if data && now - self.last_data < DELAYED_ACK {
            self.interactive = true;
        }
        Acknowledgement {
            ack,
            window: u16::try_from(room >> self.wscale).unwrap_or(u16::MAX),
        }
    }

    /// The receiving half of the state for the host.
    pub fn export(&self, state: &mut Connection) {
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

    fn report_duplicate(&mut self, start: Seq, end: Seq) {
        if self.sack {
            self.duplicate = Some(Range { start, end });
        }
    }
}
