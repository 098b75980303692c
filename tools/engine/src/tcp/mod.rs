// SPDX-License-Identifier: GPL-2.0

//! The device's TCP: the established phase of a connection as a pure protocol machine.
//!
//! A [`Tcb`] is told what arrives, what the host submits and what time it is; it answers with what
//! to do with payload and what to send. It touches no memory but its own, knows neither rings nor
//! frames, and allocates nothing.
//!
//! # How it is driven
//!
//! - **Receive.** [`Tcb::on_segment`] takes in everything but the payload and returns a [`Verdict`].
//!   For `Deliver` and `Hold` the caller stores the piece and then says so with [`Tcb::accept`],
//!   which answers with the sequence number up to which payload is now contiguous: after the piece
//!   itself, the caller delivers what it holds up to there. A piece that cannot be stored is simply
//!   not accepted: as if it had been lost on the way. When the completions are in host memory, the
//!   caller says so with [`Tcb::delivered`], and only that lets the acknowledgement number move
//!   (invariant 2 of the design). One `delivered` may cover many segments.
//! - **Send.** [`Tcb::submit`] announces payload. [`Tcb::poll_transmit`] is called until it returns
//!   `None`: after a batch of segments, a submission, a timer. What it returns counts as sent; a
//!   frame that the port loses is recovered like any other. The caller reads payload by sequence
//!   number, and must keep everything from [`Tcb::snd_una`] on.
//! - **Time.** Every call takes the time. [`Tcb::deadline`] is the one moment to wait for, at which
//!   [`Tcb::on_timer`] is to be called; it moves with every call. Calling early does no harm.
//! - **Report.** [`Tcb::take_news`] says whether an `Acked` completion is due, [`Tcb::acked`] is its
//!   content.
//! - **Return.** When a call answers with a [`Reason`], or the caller has one of its own, the state
//!   for the host is [`Tcb::export`]. Everything accepted must have been delivered by then.
//!
//! # What it is
//!
//! RFC 9293 with 5681, 5961, 6298, 7323, 2018, 2883, 3042, 3168, 3522, 3708, 6582 (without SACK),
//! 6937, 8985 (RACK and tail loss probes) and 9438 (CUBIC). Bounds: `scoreboard` and `held` say how
//! much of a lossy window is remembered, and what happens beyond.
//!
//! What it is not: connection establishment and teardown, urgent data, keepalive, path MTU
//! discovery, accurate ECN, F-RTO, HyStart, pacing. The first four are the host's.

mod ack;
mod cubic;
mod out_of_order;
mod output;
mod prr;
mod rack;
mod receiver;
mod rtt;
mod scoreboard;
mod segment;
mod sender;
mod seq;
mod span;
mod time;
mod timer;
mod undo;

#[cfg(test)]
mod tests;

use toe_abi::completion::Acked;
use toe_abi::completion::Op;
use toe_abi::completion::Reason;
use toe_abi::completion::Status;
use toe_abi::connection::Connection;
use toe_abi::connection::flag as state_flag;

pub use self::segment::Drop;
pub use self::segment::HostFrame;
pub use self::segment::News;
pub use self::segment::Outgoing;
pub use self::segment::Range;
pub use self::segment::Rewrite;
pub use self::segment::SackBlocks;
pub use self::segment::Segment;
pub use self::segment::Timestamps;
pub use self::segment::Trimmed;
pub use self::segment::Verdict;
pub use self::segment::flag;
pub use self::seq::Seq;
pub use self::time::Instant;

use self::output::Transmission;
use self::receiver::Receiver;
use self::sender::Sender;
use self::time::TimestampClock;

/// Flags of a connection that this TCP understands.
const KNOWN_FLAGS: u16 = state_flag::IPV6
    | state_flag::TIMESTAMPS
    | state_flag::SACK
    | state_flag::WINDOW_SCALE
    | state_flag::ECN
    | state_flag::VLAN
    | state_flag::NODELAY
    | state_flag::CORK
    | state_flag::ECN_ECHO;

/// Longest tick of a timestamp clock, microseconds (RFC 7323, 5.4: at least one tick a second).
const TICK_MAX: u32 = 1_000_000;

/// Counts of segments, since the hand-over.
#[derive(Clone, Copy, Debug, Default)]
struct SegmentCounts {
    segs_in: u32,
    segs_out: u32,
    data_segs_in: u32,
    duplicates: u32,
    out_of_order: u32,
}

/// A connection in the established phase.
pub struct Tcb {
    receiver: Receiver,
    sender: Sender,
    /// The clock behind our timestamps, when they were agreed.
    clock: Option<TimestampClock>,
    /// The host's TCP has sent a keepalive probe that is not answered yet.
    keepalive: bool,
    counts: SegmentCounts,
}

/// R8.2: what a connection costs, whatever is added to it.
const _: () = assert!(size_of::<Tcb>() <= 1280);

impl Tcb {
    /// Takes over the connection that `state` describes.
    ///
    /// `uploaded` is the end of the contiguous run, from `state.rcv_nxt` on, that the host has been
    /// given in ordinary frames already (`state.rcv_nxt` when there is none): delivery begins there.
    /// Until [`Tcb::on_host_frame`] has seen the host acknowledge that end, acknowledgements do not
    /// pass what the host has acknowledged.
    ///
    /// Payload between `state.snd_una` and `state.snd_nxt` is in flight. The host submits it again,
    /// from `state.snd_una` on, and with it whatever follows; what it has not submitted yet is not
    /// asked for.
    ///
    /// # Errors
    ///
    /// `BadState` when the state contradicts itself, `Unsupported` for what this TCP does not do.
    pub fn new(state: &Connection, uploaded: Seq, now: Instant) -> Result<Self, Status> {
        if state.flags & !KNOWN_FLAGS != 0 {
            return Err(Status::Unsupported);
        }
        let receiver = Receiver::new(state, uploaded, now)?;
        let sender = Sender::new(state, now)?;
        let clock = if state.flags & state_flag::TIMESTAMPS == 0 {
            None
        } else if (1..=TICK_MAX).contains(&state.ts_tick_us) {
            Some(TimestampClock::new(state.tsval, state.ts_tick_us, now))
        } else {
            return Err(Status::BadState);
        };
        Ok(Self {
            receiver,
            sender,
            clock,
            keepalive: false,
            counts: SegmentCounts::default(),
        })
    }

    /// Takes in a received segment, all but its payload.
    ///
    /// The order of checks is that of RFC 9293, 3.10.7.4, with RFC 7323 (5.3) and RFC 5961 worked
    /// in. Whatever is not plain data or acknowledgement goes back to the host's TCP, which sends
    /// the challenge acknowledgements (RFC 5961) too.
    pub fn on_segment(&mut self, now: Instant, segment: &Segment) -> Verdict {
        let wire_segments = u32::from(segment.wire_segments.max(1));
        self.counts.segs_in = self.counts.segs_in.wrapping_add(wire_segments);
        if segment.length > 0 {
            self.counts.data_segs_in = self.counts.data_segs_in.wrapping_add(wire_segments);
        }
        if let Some(verdict) = self.refuse(now, segment) {
            return verdict;
        }
        self.receiver.on_header(now, segment);
        self.sender.on_ack(now, segment, self.clock.as_ref());
        if self.keepalive {
            self.keepalive = false;
            self.sender.report();
        }
        let verdict = self.receiver.on_payload(segment);
        if verdict == Verdict::Duplicate {
            self.counts.duplicates = self.counts.duplicates.wrapping_add(wire_segments);
        }
        verdict
    }

    /// Why the segment is none for this TCP, if so.
    fn refuse(&mut self, now: Instant, segment: &Segment) -> Option<Verdict> {
        let has = |flag| segment.flags & flag != 0;
        if has(flag::SYN) {
            // RFC 5961, 4.2: whatever its sequence number.
            return Some(Verdict::Return(Reason::Syn));
        }
        let old = segment
            .timestamps
            .is_some_and(|timestamps| self.receiver.paws_rejects(now, timestamps.value));
        if old && !has(flag::RST) {
            self.receiver.answer(now, segment);
            return Some(Verdict::Drop(Drop::Paws));
        }
        if self.receiver.repeats_unseen(segment) {
            return Some(Verdict::Return(Reason::Gap));
        }
        let length = segment.length + u32::from(has(flag::FIN));
        if !self.receiver.acceptable(segment.seq, length) {
            if has(flag::RST) {
                return Some(Verdict::Drop(Drop::Window));
            }
            self.receiver.answer(now, segment);
            let end = segment.seq + segment.length;
            if segment.length > 0 && end.at_most(self.receiver.nxt()) {
                let wire_segments = u32::from(segment.wire_segments.max(1));
                self.counts.duplicates = self.counts.duplicates.wrapping_add(wire_segments);
                return Some(Verdict::Duplicate);
            }
            if self.receiver.probed_in_vain() {
                return Some(Verdict::Return(Reason::Window));
            }
            return Some(Verdict::Drop(Drop::Window));
        }
        if has(flag::RST) {
            return Some(Verdict::Return(Reason::Reset));
        }
        if !has(flag::ACK) {
            return Some(Verdict::Drop(Drop::NoAck));
        }
        if has(flag::URG) {
            return Some(Verdict::Return(Reason::Urgent));
        }
        // RFC 7323, 3.2 has every segment carry timestamps once they are agreed.
        if segment.unknown_option || (self.clock.is_some() && segment.timestamps.is_none()) {
            return Some(Verdict::Return(Reason::Option));
        }
        // RFC 5961, 5.2, of both.
        if segment.ack.after(self.sender.acknowledgeable()) {
            self.receiver.challenge(now);
            return Some(Verdict::Drop(Drop::FutureAck));
        }
        if !self.sender.ack_is_new_enough(segment.ack) {
            self.receiver.challenge(now);
            return Some(Verdict::Drop(Drop::OldAck));
        }
        if has(flag::FIN) {
            return Some(Verdict::Return(Reason::Fin));
        }
        None
    }

    /// The caller has stored `piece` of a `Deliver` or `Hold` verdict of the latest `on_segment`.
    /// Returns the sequence number up to which payload is contiguous now. What the caller holds
    /// below the end of a delivered piece is superseded by it.
    pub fn accept(&mut self, now: Instant, piece: &Trimmed) -> Seq {
        if piece.seq.after(self.receiver.nxt()) {
            self.counts.out_of_order = self.counts.out_of_order.wrapping_add(1);
        }
        self.receiver.accept(now, piece)
    }

    /// Everything up to `end` is in host memory, with its completions.
    #[inline]
    pub fn delivered(&mut self, end: Seq) {
        self.receiver.set_delivered(end);
    }

    /// First byte not yet accepted in order.
    #[inline]
    pub fn rcv_nxt(&self) -> Seq {
        self.receiver.nxt()
    }

    /// Latest timestamp of the peer, 0 without timestamps.
    #[inline]
    pub fn ts_recent(&self) -> u32 {
        self.receiver.ts_recent().unwrap_or(0)
    }

    /// The host submits `length` bytes from `seq` on. `push`: the application's write ends here;
    /// `more`: more is about to come ([`toe_abi::submission::send_flag`]).
    ///
    /// # Errors
    ///
    /// `Submission` when `seq` does not follow what was submitted before (the first time: is not
    /// the `snd_una` of the hand-over), or when more than 2^30 bytes would be outstanding.
    #[inline]
    pub fn submit(&mut self, seq: Seq, length: u32, push: bool, more: bool) -> Result<(), Reason> {
        self.sender.submit(seq, length, push, more)
    }

    /// The next segment to send, with at most `max_length` bytes of payload: the port's limit for a
    /// large segment, or anything not above `mss` when it takes none.
    ///
    /// Where the peer's TCP recovers from loss, it does so the better the more it is told: call this
    /// after every segment with a `Hold` verdict rather than once for many.
    pub fn poll_transmit(&mut self, now: Instant, max_length: u32) -> Option<Outgoing> {
        // Header space for options is 40 bytes, of which timestamps take 12.
        let blocks = if self.clock.is_some() { 3 } else { 4 };
        let sack = self.receiver.sack_blocks(blocks);
        let options = u32::from(sack.option_length());
        match self
            .sender
            .next(now, max_length, options, self.clock.as_ref())
        {
            Some(transmission) => Some(self.data_segment(now, &transmission, sack)),
            None if self.receiver.ack_due() => Some(self.pure_ack(now, sack)),
            None => None,
        }
    }

    fn data_segment(
        &mut self,
        now: Instant,
        transmission: &Transmission,
        sack: SackBlocks,
    ) -> Outgoing {
        let range = transmission.range;
        let length = range.length();
        let large = length > transmission.mss;
        let segments = length.div_ceil(transmission.mss);
        self.counts.segs_out = self.counts.segs_out.wrapping_add(segments);
        let acknowledgement = self.receiver.on_transmit(now, true, true);
        Outgoing {
            seq: range.start,
            length,
            gso_size: if large { transmission.mss as u16 } else { 0 },
            wire_segments: segments as u16,
            retransmit: transmission.resent,
            flags: flag::ACK | transmission.flags | self.echo_flag(),
            ack: acknowledgement.ack,
            window: acknowledgement.window,
            timestamps: self.timestamps(now),
            sack,
            ect: transmission.ect,
        }
    }

    fn pure_ack(&mut self, now: Instant, sack: SackBlocks) -> Outgoing {
        self.counts.segs_out = self.counts.segs_out.wrapping_add(1);
        let acknowledgement = self.receiver.on_transmit(now, false, true);
        Outgoing {
            seq: self.sender.acceptable_seq(),
            length: 0,
            gso_size: 0,
            wire_segments: 1,
            retransmit: false,
            flags: flag::ACK | self.echo_flag(),
            ack: acknowledgement.ack,
            window: acknowledgement.window,
            timestamps: self.timestamps(now),
            sack,
            ect: false,
        }
    }

    fn echo_flag(&self) -> u8 {
        if self.receiver.ecn_echo() {
            flag::ECE
        } else {
            0
        }
    }

    fn timestamps(&self, now: Instant) -> Option<Timestamps> {
        let clock = self.clock.as_ref()?;
        Some(Timestamps {
            value: clock.value(now),
            echo: self.ts_recent(),
        })
    }

    /// First byte not acknowledged: what is before it is never asked for again.
    #[inline]
    pub fn snd_una(&self) -> Seq {
        self.sender.una()
    }

    /// The host's own TCP sends a pure acknowledgement: takes the right edge of its window and its
    /// acknowledgement in, and returns what has to stand in it (invariant 3 of the design). A
    /// keepalive probe, below SND.UNA, keeps its sequence number, and the peer's answer to it is
    /// reported as news. Payload that it sends may be acknowledged, though this TCP has not sent it.
    pub fn on_host_frame(&mut self, now: Instant, frame: &HostFrame) -> Rewrite {
        self.receiver.set_announced(frame.ack, frame.window);
        self.receiver.on_host_ack(frame.ack);
        if frame.length > 0 {
            self.sender.on_host_payload(frame.seq + frame.length);
        }
        let probe = frame.seq.before(self.sender.una());
        self.keepalive |= probe;
        self.counts.segs_out = self.counts.segs_out.wrapping_add(1);
        // The host's frame has no SACK option, and no room for one.
        let acknowledgement = self.receiver.on_transmit(now, false, false);
        Rewrite {
            seq: if probe {
                frame.seq
            } else {
                self.sender.acceptable_seq()
            },
            ack: acknowledgement.ack,
            window: acknowledgement.window,
            timestamps: self.timestamps(now),
        }
    }

    /// The host moves the right edge of the receive window; one before the current edge is ignored.
    #[inline]
    pub fn set_rcv_edge(&mut self, edge: Seq) {
        self.receiver.set_edge(edge);
    }

    /// The host changes `NODELAY` or `CORK` ([`toe_abi::connection::flag`]).
    #[inline]
    pub fn set_flags(&mut self, flags: u16) {
        self.sender.set_flags(flags);
    }

    /// The host changes the largest payload of a segment sent.
    ///
    /// # Errors
    ///
    /// `Submission` when it is below what a connection can have.
    #[inline]
    pub fn set_mss(&mut self, mss: u16) -> Result<(), Reason> {
        self.sender.set_mss(mss)
    }

    /// When to call [`Tcb::on_timer`] at the latest.
    #[inline]
    pub fn deadline(&self) -> Option<Instant> {
        self.sender.timer().min(self.receiver.timer()).moment()
    }

    /// Does what is due at `now`; what that makes ready to send, [`Tcb::poll_transmit`] returns.
    ///
    /// # Errors
    ///
    /// `Timeout` when the peer has not answered for too long.
    pub fn on_timer(&mut self, now: Instant) -> Result<(), Reason> {
        self.receiver.on_timer(now);
        self.sender.on_timer(now)
    }

    /// What has happened since the last call.
    #[inline]
    pub fn take_news(&mut self) -> News {
        self.sender.take_news()
    }

    /// Content of an `Acked` completion.
    pub fn acked(&self, host_id: u32) -> Acked {
        Acked {
            op: Op::Acked.raw(),
            host_id,
            segs_out: self.counts.segs_out,
            segs_in: self.counts.segs_in,
            ..self.sender.acked()
        }
    }

    /// The state for the host. Fields that say who the connection is (addresses, ports, MAC
    /// addresses, VLAN, flow label, TOS, TTL, the flags `IPV6` and `VLAN`) and what it announced
    /// when it began (`rcv_mss`) are zero: the caller fills them in.
    pub fn export(&self, now: Instant) -> Connection {
        let mut state = Connection {
            tsval: self.clock.map_or(0, |clock| clock.value(now)),
            ts_tick_us: self.clock.map_or(0, |clock| clock.tick_us()),
            segs_in: self.counts.segs_in,
            segs_out: self.counts.segs_out,
            data_segs_in: self.counts.data_segs_in,
            duplicates: self.counts.duplicates,
            out_of_order: self.counts.out_of_order,
            ..Connection::default()
        };
        if self.clock.is_some() {
            state.flags |= state_flag::TIMESTAMPS;
        }
        self.receiver.export(&mut state);
        self.sender.export(&mut state);
        state
    }
}
