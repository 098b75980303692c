// SPDX-License-Identifier: GPL-2.0

//! Packet scripts: segments of the peer in, segments of the connection out, at exact times.
//! Sequence numbers are offsets from the start of the script.

use alloc::vec::Vec;
use core::cell::Cell;

use toe_abi::connection::ConnectionState;
use toe_abi::connection::SendState;
use toe_abi::connection::flag as state_flag;

use crate::tcp::*;

pub const MSS: u32 = 1000;
/// Initial sequence numbers, near the wrap of the sequence space.
pub const ISS: Seq = Seq(u32::MAX - 3000);
pub const IRS: Seq = Seq(u32::MAX - 5000);
/// Window scale of both sides.
pub const WSCALE: u8 = 4;
pub const WINDOW: u32 = 64_000;
/// Initial timestamps.
pub const TS: u32 = 7_000;
pub const PEER_TS: u32 = 9_000;

/// A connection with nothing in flight: SACK, timestamps, no Nagle, a window of 10 segments, RTT
/// 100 ms.
pub fn state() -> ConnectionState {
    ConnectionState {
        flags: state_flag::TIMESTAMPS
            | state_flag::SACK
            | state_flag::WINDOW_SCALE
            | state_flag::NODELAY,
        snd_wscale: WSCALE,
        rcv_wscale: WSCALE,
        mss: MSS as u16,
        rcv_mss: MSS as u16,
        send: SendState {
            snd_una: ISS.0,
            snd_nxt: ISS.0,
            snd_wnd: WINDOW,
            srtt_us: 100_000,
            rttvar_us: 10_000,
            min_rtt_us: 100_000,
            rto_us: 300_000,
            cwnd: 10,
            ssthresh: u32::MAX,
            ..SendState::default()
        },
        snd_wl1: IRS.0,
        max_window: WINDOW,
        rcv_nxt: IRS.0,
        rcv_edge: (IRS + WINDOW).0,
        tsval: TS,
        ts_tick_us: 1000,
        ts_recent: PEER_TS,
        reordering: 3,
        ..ConnectionState::default()
    }
}

/// A script in progress.
pub struct Script {
    pub tcb: Tcb,
    pub now: u64,
    /// Maximum payload of an outgoing frame.
    pub large: u32,
    /// The peer's acknowledgement, window and transmitted data, as offsets.
    peer_ack: u32,
    peer_window: u32,
    peer_nxt: u32,
    timestamps: bool,
    submitted: u32,
    pub records: RecordEnds,
}

/// Stream offsets at which records end.
#[derive(Default)]
pub struct RecordEnds {
    ends: Vec<u32>,
    /// Number of questions asked.
    pub asked: Cell<u32>,
}

impl Records for RecordEnds {
    fn ends(&self, seq: Seq, length: u32) -> impl Iterator<Item = Seq> {
        self.asked.set(self.asked.get() + 1);
        let ends = self.ends.iter().map(|&end| ISS + end);
        ends.filter(move |end| end.after(seq) && end.before(seq + length))
    }
}

impl Script {
    pub fn new() -> Self {
        Self::with(&state())
    }

    pub fn with(state: &ConnectionState) -> Self {
        let tcb = Tcb::new(state, Seq(state.rcv_nxt), Instant(0)).expect("sound state");
        Self {
            tcb,
            now: 0,
            large: MSS,
            peer_ack: 0,
            peer_window: WINDOW,
            peer_nxt: 0,
            timestamps: state.flags & state_flag::TIMESTAMPS != 0,
            submitted: 0,
            records: RecordEnds::default(),
        }
    }

    pub fn instant(&self) -> Instant {
        Instant(self.now)
    }

    /// Advances to `ms` milliseconds. Timers on the way fire, and nothing may be sent.
    pub fn at(&mut self, ms: u64) -> &mut Self {
        while let Some(deadline) = self.tcb.deadline().filter(|at| at.0 < ms * 1000) {
            self.now = deadline.0;
            self.tcb.on_timer(deadline).expect("no return");
            self.nothing();
        }
        assert!(self.now <= ms * 1000);
        self.now = ms * 1000;
        self
    }

    /// Time of the next timer, except that of the report to the host, which sends nothing.
    pub fn deadline(&self) -> Option<Instant> {
        let Tcb {
            sender, receiver, ..
        } = &self.tcb;
        sender.protocol_timer().min(receiver.timer()).moment()
    }

    /// Fires the next timer, which must be due at `ms` milliseconds.
    pub fn timer(&mut self, ms: u64) -> &mut Self {
        let deadline = self.deadline().expect("a timer");
        assert_eq!(deadline.0 / 1000, ms, "timer at {} us", deadline.0);
        self.now = deadline.0;
        self.tcb.on_timer(deadline).expect("no return");
        self
    }

    pub fn submit(&mut self, length: u32) -> &mut Self {
        self.submit_with(length, true, false)
    }

    pub fn submit_with(&mut self, length: u32, push: bool, more: bool) -> &mut Self {
        let seq = ISS + self.submitted;
        self.tcb.submit(seq, length, push, more).expect("submitted");
        self.submitted += length;
        self
    }

    /// Submits a record.
    pub fn submit_record(&mut self, length: u32) -> &mut Self {
        self.submit(length);
        self.records.ends.push(self.submitted);
        self
    }

    /// A segment of the peer in its current state.
    pub fn segment(&self) -> Segment {
        Segment {
            seq: IRS + self.peer_nxt,
            ack: ISS + self.peer_ack,
            flags: flag::ACK,
            window: (self.peer_window >> WSCALE) as u16,
            timestamps: self.timestamps.then_some(Timestamps {
                value: PEER_TS + (self.now / 1000) as u32,
                echo: TS + (self.now / 1000) as u32,
            }),
            wire_segments: 1,
            ..Segment::default()
        }
    }

    pub fn take(&mut self, segment: &Segment) -> Verdict {
        self.tcb.on_segment(self.instant(), segment)
    }

    /// The peer acknowledges up to `ack`.
    pub fn ack(&mut self, ack: u32) -> &mut Self {
        self.sack(ack, &[])
    }

    /// The peer acknowledges up to `ack` and SACKs `blocks`.
    pub fn sack(&mut self, ack: u32, blocks: &[(u32, u32)]) -> &mut Self {
        self.peer_ack = ack;
        let mut segment = self.segment();
        for &(start, end) in blocks {
            segment.sack.push(Range {
                start: ISS + start,
                end: ISS + end,
            });
        }
        assert_eq!(self.take(&segment), Verdict::Done);
        self
    }

    /// The peer acknowledges up to `ack` and announces `window`.
    pub fn window(&mut self, ack: u32, window: u32) -> &mut Self {
        self.peer_window = window;
        self.ack(ack)
    }

    /// The peer sends `length` bytes at `seq`, which are stored and delivered.
    pub fn data(&mut self, seq: u32, length: u32) -> &mut Self {
        let segment = Segment {
            seq: IRS + seq,
            length,
            ..self.segment()
        };
        match self.take(&segment) {
            Verdict::Deliver(piece) | Verdict::Hold(piece) => {
                let end = self.tcb.accept(self.instant(), &piece);
                self.tcb.delivered(end);
            }
            Verdict::Duplicate => {}
            other => panic!("{other:?}"),
        }
        self.peer_nxt = self.peer_nxt.max(seq + length);
        self
    }

    pub fn poll(&mut self) -> Option<Outgoing> {
        self.tcb
            .poll_transmit(self.instant(), self.large, &self.records)
    }

    /// Expects no segment.
    pub fn nothing(&mut self) -> &mut Self {
        let now = self.now;
        assert_eq!(self.poll(), None, "at {now} us");
        self
    }

    /// Expects exactly these new segments, (first, length) each.
    pub fn sends(&mut self, segments: &[(u32, u32)]) -> &mut Self {
        self.leaves(segments, false).nothing()
    }

    /// Expects exactly these retransmissions.
    pub fn resends(&mut self, segments: &[(u32, u32)]) -> &mut Self {
        self.leaves(segments, true).nothing()
    }

    pub fn leaves(&mut self, segments: &[(u32, u32)], again: bool) -> &mut Self {
        for &(seq, length) in segments {
            let out = self
                .poll()
                .unwrap_or_else(|| panic!("{seq}+{length} is not sent at {} us", self.now));
            assert_eq!(
                (out.seq - ISS, out.length, out.retransmit),
                (seq, length, again),
                "at {} us",
                self.now
            );
        }
        self
    }

    /// Expects exactly one pure ACK of `ack`.
    pub fn acks(&mut self, ack: u32) -> Outgoing {
        let out = self.poll().expect("an acknowledgement");
        assert_eq!((out.length, out.ack - IRS), (0, ack), "at {} us", self.now);
        self.nothing();
        out
    }
}

/// Stream offset after the quick ACKs of a script.
pub const Q: u32 = 16 * MSS;

/// A script whose quick ACKs are over: the peer has sent `Q` bytes.
pub fn settled() -> Script {
    settled_with(&state())
}

/// The same of a connection that begins with `state`.
pub fn settled_with(state: &ConnectionState) -> Script {
    let mut script = Script::with(state);
    script.tcb.set_rcv_edge(IRS + Q + WINDOW);
    for i in 0..16 {
        script.data(i * MSS, MSS);
        script.acks((i + 1) * MSS);
    }
    script
}
