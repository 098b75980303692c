// SPDX-License-Identifier: GPL-2.0

//! TCP of the adapter: the ESTABLISHED state of a connection as a pure state machine.
//!
//! The caller of a [`Tcb`] passes in received segments, submissions of the host and the time. The
//! result says where payload goes and which segments to send. The module accesses no memory except
//! its own, knows neither rings nor frames, and does not allocate.
//!
//! # Use
//!
//! - **Receive.** [`Tcb::on_segment`] processes everything except the payload and returns a
//!   [`Verdict`]. For `Deliver` and `Hold`, the caller stores the payload and calls
//!   [`Tcb::accept`], which returns the sequence number up to which payload is now contiguous.
//!   After the segment's own payload, the caller delivers what it holds out of order up to that
//!   number. Payload that cannot be stored is not accepted, as if it had been lost in the network.
//!   Once the completions are in host memory, the caller calls [`Tcb::delivered`]. Only then does
//!   the acknowledgement number advance, so nothing is acknowledged that the host does not have.
//!   One call of `delivered` may cover many segments.
//! - **Send.** [`Tcb::submit`] announces payload. After a batch of segments, a submission or a
//!   timer, [`Tcb::poll_transmit`] is called until it returns `None`. What it returns counts as
//!   sent; a frame that the port drops is recovered like any other loss. The caller reads payload
//!   by sequence number and must keep everything from [`Tcb::snd_una`] on.
//! - **Timers.** Every call takes the time. [`Tcb::on_timer`] must be called at [`Tcb::deadline`],
//!   which any call may change. An early call is harmless.
//! - **Reports.** [`Tcb::take_events`] tells whether an `Acked` completion is due; [`Tcb::acked`]
//!   returns its contents.
//! - **Legacy mode.** After a verdict `Upload` the caller passes whole frames to the host's TCP
//!   ([`Tcb::enter_legacy`], [`Tcb::uploaded`]), until [`Tcb::resume`] allows it to deliver payload
//!   again and [`Tcb::on_resync`] confirms it. `receiver/legacy.rs` describes the states.
//! - **Return.** When a call returns a [`Reason`], or the caller has another reason to return the
//!   connection, [`Tcb::export`] returns the state for the host. All accepted payload must have
//!   been delivered by then.
//!
//! # Scope
//!
//! RFC 9293 with RFCs 5681, 5961, 6298, 7323, 2018, 2883, 3042, 3168, 3522, 3708, 6582 (without
//! SACK), 8985 (RACK-TLP), 9438 (CUBIC) and 9937 (PRR). `scoreboard` and `out_of_order` document
//! how much state of a lossy window is kept and what happens beyond.
//!
//! Not implemented: connection establishment and teardown, urgent data, keepalive, path MTU
//! discovery (all handled by the host), AccECN, F-RTO, HyStart, pacing.

mod ack;
mod check;
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
mod settings;
mod span;
mod time;
mod timer;
mod undo;

#[cfg(test)]
mod tests;

use toe_abi::completion::Acked;
use toe_abi::completion::CompletionOp;
use toe_abi::completion::HandoverStatus;
use toe_abi::completion::Reason;
use toe_abi::completion::Resumed;
use toe_abi::connection::ConnectionState;
use toe_abi::connection::MAX_TS_TICK_US;
use toe_abi::connection::SendState;
use toe_abi::connection::flag as state_flag;

pub use self::receiver::Answered;
pub use self::receiver::Delivery;
pub use self::receiver::Resync;
pub use self::segment::Drop;
pub use self::segment::Events;
pub use self::segment::HostFrame;
pub use self::segment::Outgoing;
pub use self::segment::Range;
pub use self::segment::Records;
pub use self::segment::Rewrite;
pub use self::segment::SackBlocks;
pub use self::segment::Segment;
pub use self::segment::Special;
pub use self::segment::Timestamps;
pub use self::segment::Trimmed;
pub use self::segment::Verdict;
pub use self::segment::flag;
pub use self::seq::Seq;
pub use self::time::Instant;

use self::output::Transmission;
use self::output::Turn;
use self::receiver::Receiver;
use self::sender::Sender;
use self::time::TimestampClock;

/// Segment counters since the hand-over.
#[derive(Clone, Copy, Debug, Default)]
struct SegmentCounts {
    segs_in: u32,
    segs_out: u32,
    data_segs_in: u32,
    duplicates: u32,
    out_of_order: u32,
}

/// A connection in ESTABLISHED state.
pub struct Tcb {
    receiver: Receiver,
    sender: Sender,
    /// Clock for our timestamps, if negotiated.
    clock: Option<TimestampClock>,
    /// A keepalive probe of the host's TCP is unanswered.
    keepalive: bool,
    counts: SegmentCounts,
}

/// Upper bound for the memory of a connection.
const _: () = assert!(size_of::<Tcb>() <= 1320);

impl Tcb {
    /// Takes over the connection described by `state`.
    ///
    /// `uploaded` is the end of the contiguous range, starting at `state.rcv_nxt`, that has been
    /// uploaded in ordinary frames (`state.rcv_nxt` if nothing was). If there is such a range, or the
    /// host holds payload out of order, the connection begins in legacy mode.
    ///
    /// Payload between `send.snd_una` and `send.snd_nxt` of `state` is in flight. The host submits it
    /// again from `send.snd_una` on, followed by new payload. Payload not yet submitted is not
    /// requested from the caller.
    ///
    /// # Errors
    ///
    /// `BadState` if the state is inconsistent, `Unsupported` if it uses features that this TCP
    /// lacks. The processor has refused undefined flags.
    pub fn new(
        state: &ConnectionState,
        uploaded: Seq,
        now: Instant,
    ) -> Result<Self, HandoverStatus> {
        let receiver = Receiver::new(state, uploaded, now)?;
        let sender = Sender::new(state, now)?;
        let clock = if state.flags & state_flag::TIMESTAMPS == 0 {
            None
        } else if (1..=MAX_TS_TICK_US).contains(&state.ts_tick_us) {
            Some(TimestampClock::new(state.tsval, state.ts_tick_us, now))
        } else {
            return Err(HandoverStatus::BadState);
        };
        Ok(Self {
            receiver,
            sender,
            clock,
            keepalive: false,
            counts: SegmentCounts::default(),
        })
    }

    /// Processes a received segment except its payload.
    ///
    /// Checks are in the order of RFC 9293 3.10.7.4, with those of RFC 7323 5.3 and RFC 5961 added.
    /// A segment that ends the connection, is urgent or has IP options returns the connection to the
    /// host's TCP. One whose payload only the host's TCP can process is uploaded, as are all in
    /// legacy mode. One that anybody could have sent who knows addresses and ports does neither.
    pub fn on_segment(&mut self, now: Instant, segment: &Segment) -> Verdict {
        let wire_segments = u32::from(segment.wire_segments.max(1));
        self.counts.segs_in = self.counts.segs_in.wrapping_add(wire_segments);
        if segment.length > 0 {
            self.counts.data_segs_in = self.counts.data_segs_in.wrapping_add(wire_segments);
        }
        let special = match self.check(now, segment) {
            Ok(special) => special,
            Err(verdict) => return verdict,
        };
        self.receiver.on_header(now, segment);
        self.sender.on_ack(now, segment, self.clock.as_ref());
        if self.keepalive {
            self.keepalive = false;
            self.sender.report();
        }
        if special.is_some() || self.receiver.is_legacy() {
            return Verdict::Upload(special);
        }
        let verdict = self.receiver.on_payload(segment);
        if verdict == Verdict::Duplicate {
            self.counts.duplicates = self.counts.duplicates.wrapping_add(wire_segments);
        }
        verdict
    }

    /// Enters legacy mode, if the connection is not in it. The caller uploads the frames that it
    /// holds out of order and reports them by [`Tcb::uploaded`].
    pub fn enter_legacy(&mut self, now: Instant) {
        self.receiver.enter_legacy(now);
    }

    /// A frame with the payload `range` has been uploaded to the host's TCP. Returns false if the
    /// connection should be returned: the host has been out of step for too long.
    pub fn uploaded(&mut self, now: Instant, range: Range) -> bool {
        self.receiver.uploaded(now, range)
    }

    /// How received payload reaches the host.
    #[inline]
    pub fn delivery(&self) -> Delivery {
        self.receiver.delivery()
    }

    /// Whether [`Tcb::resume`] is possible.
    #[inline]
    pub fn can_resume(&self) -> bool {
        self.receiver.can_resume()
    }

    /// Ends legacy mode provisionally. Returns the contents of a `Resumed` completion, which the
    /// caller writes before it delivers payload.
    pub fn resume(&mut self, host_id: u32) -> Option<Resumed> {
        let (seq, round) = self.receiver.resume()?;
        Some(Resumed {
            op: CompletionOp::Resumed.raw(),
            host_id,
            seq: seq.0,
            round,
        })
    }

    /// The host answers a `Resumed`. After [`Answered::OutOfStep`], the caller uploads the frames that
    /// it holds out of order, as for [`Tcb::enter_legacy`].
    pub fn on_resync(&mut self, now: Instant, answer: &Resync) -> Answered {
        self.receiver.on_resync(now, answer)
    }

    /// The caller has stored `piece` of the `Deliver` or `Hold` verdict of the latest `on_segment`.
    /// Returns the sequence number up to which payload is now contiguous. A delivered piece
    /// replaces what the caller holds out of order below its end.
    pub fn accept(&mut self, now: Instant, piece: &Trimmed) -> Seq {
        if piece.seq.after(self.receiver.nxt()) {
            self.counts.out_of_order = self.counts.out_of_order.wrapping_add(1);
        }
        self.receiver.accept(now, piece)
    }

    /// Everything before `end` is in host memory and has been reported in completions.
    #[inline]
    pub fn delivered(&mut self, end: Seq) {
        self.receiver.set_delivered(end);
    }

    /// Whether payload was accepted in order that [`Tcb::delivered`] has not covered.
    #[inline]
    pub fn has_undelivered(&self) -> bool {
        self.receiver.has_undelivered()
    }

    /// RCV.NXT: the first byte not accepted in order.
    #[inline]
    pub fn rcv_nxt(&self) -> Seq {
        self.receiver.nxt()
    }

    /// TS.Recent, 0 without timestamps.
    #[inline]
    pub fn ts_recent(&self) -> u32 {
        self.receiver.ts_recent().unwrap_or(0)
    }

    /// The host submits `length` bytes of payload starting at `seq`. `push`: end of a write by the
    /// application. `more`: more payload follows soon ([`toe_abi::submission::send_flag`]).
    ///
    /// # Errors
    ///
    /// `Submission` if `seq` does not follow the previous submission (or is not `snd_una` of the
    /// hand-over for the first), or if more than 2^30 bytes would be outstanding.
    #[inline]
    pub fn submit(&mut self, seq: Seq, length: u32, push: bool, more: bool) -> Result<(), Reason> {
        self.sender.submit(seq, length, push, more)
    }

    /// Sets the acknowledgement number that the host waits for: it is told of it at once, and within
    /// 4 ms of others.
    pub fn set_awaited(&mut self, seq: Seq) {
        self.sender.set_awaited(seq);
    }

    /// Returns the next segment to send, with at most `max_length` bytes of payload. `max_length`
    /// is the port's limit for a large segment, or at most `mss` if the port does not segment. No
    /// segment has payload of two `records`.
    ///
    /// Call this after each `Hold` verdict rather than once per batch: the peer's loss recovery
    /// benefits from every SACK. Call [`Tcb::delivered`] before: the peer takes payload for lost that
    /// precedes the segment and is neither acknowledged nor in a block.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        max_length: u32,
        records: &impl Records,
    ) -> Option<Outgoing> {
        // Options take up to 40 bytes, of which timestamps use 12.
        let blocks = if self.clock.is_some() { 3 } else { 4 };
        let sack = self.receiver.sack_blocks(blocks);
        let turn = Turn {
            now,
            options: u32::from(sack.option_length()),
            max_length,
            clock: self.clock.as_ref(),
            records,
        };
        match self.sender.next(&turn) {
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

    /// SND.UNA: the first byte not acknowledged. Earlier payload is not requested again.
    #[inline]
    pub fn snd_una(&self) -> Seq {
        self.sender.una()
    }

    /// The host's own TCP sends a frame, usually a pure ACK. Records the right edge of its window
    /// and its acknowledgement, and returns the header fields the frame must have when it leaves. A
    /// keepalive probe, which is below SND.UNA, keeps its sequence number, and the peer's answer to
    /// it is reported as an event. Payload in the frame may be acknowledged although this TCP has
    /// not sent it.
    pub fn on_host_frame(&mut self, now: Instant, frame: &HostFrame) -> Rewrite {
        self.receiver.set_announced(frame.ack, frame.window);
        self.receiver.on_host_ack(frame.ack);
        if frame.length > 0 {
            self.sender.on_host_payload(frame.seq + frame.length);
        }
        let probe = frame.seq.before(self.sender.una());
        self.keepalive |= probe;
        self.counts.segs_out = self.counts.segs_out.wrapping_add(1);
        // A SACK option of the host's frame stays as it is, and none is added.
        let acknowledgement = self.receiver.on_transmit(now, false, false);
        Rewrite {
            seq: if probe {
                frame.seq
            } else {
                self.sender.acceptable_seq()
            },
            ack: acknowledgement.ack,
            window: acknowledgement.window,
            ece: self.receiver.negotiated_ecn_echo(),
            timestamps: self.timestamps(now),
        }
    }

    /// Time by which [`Tcb::on_timer`] must be called.
    #[inline]
    pub fn deadline(&self) -> Option<Instant> {
        self.sender.timer().min(self.receiver.timer()).moment()
    }

    /// Handles timers due at `now`. [`Tcb::poll_transmit`] then returns the segments to send.
    ///
    /// # Errors
    ///
    /// `Timeout` if the peer has not answered for too long.
    pub fn on_timer(&mut self, now: Instant) -> Result<(), Reason> {
        self.receiver.on_timer(now);
        self.sender.on_timer(now)
    }

    /// Events since the last call.
    #[inline]
    pub fn take_events(&mut self) -> Events {
        self.sender.take_events()
    }

    /// Contents of an `Acked` completion.
    pub fn acked(&self, host_id: u32) -> Acked {
        Acked {
            op: CompletionOp::Acked.raw(),
            host_id,
            send: self.send_state(),
        }
    }

    /// The state of the send side, as [`Acked`] and [`ConnectionState`] both carry it.
    fn send_state(&self) -> SendState {
        SendState {
            segs_out: self.counts.segs_out,
            segs_in: self.counts.segs_in,
            ..self.sender.state()
        }
    }

    /// State for the host. The identity of the connection (addresses, ports, MAC addresses, VLAN,
    /// flow label, TOS, TTL, flags `IPV6` and `VLAN`) and the peer's announced `rcv_mss` are zero;
    /// the caller sets them.
    pub fn export(&self, now: Instant) -> ConnectionState {
        let mut state = ConnectionState {
            tsval: self.clock.map_or(0, |clock| clock.value(now)),
            ts_tick_us: self.clock.map_or(0, |clock| clock.tick_us()),
            send: self.send_state(),
            data_segs_in: self.counts.data_segs_in,
            duplicates: self.counts.duplicates,
            out_of_order: self.counts.out_of_order,
            ..ConnectionState::default()
        };
        if self.clock.is_some() {
            state.flags |= state_flag::TIMESTAMPS;
        }
        self.receiver.export(&mut state);
        self.sender.export(now, &mut state);
        state
    }
}
