// SPDX-License-Identifier: GPL-2.0

//! One end of a simulated connection: the adapter's TCP, and the behaviour of host and application.
//! Asserts the properties that every incoming and outgoing segment must have.

use alloc::collections::BTreeMap;

use toe_abi::connection::ConnectionState;
use toe_abi::connection::SendState;
use toe_abi::connection::flag as state_flag;

use super::host::Event;
use super::host::Host;
use super::script;
use crate::random::splitmix64;
use crate::tcp::*;

pub const MSS: u32 = 1448;
pub const WSCALE: u8 = 7;
/// Maximum payload of a GSO frame.
pub const LARGE: u32 = 65_535 / MSS * MSS;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        splitmix64(&mut self.0)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub fn chance(&mut self, ppm: u32) -> bool {
        self.below(1_000_000) < u64::from(ppm)
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

#[derive(Clone, Copy)]
pub struct Packet {
    pub out: Outgoing,
    /// Stream offset of the first byte of payload.
    pub content: u32,
    pub marked: bool,
    /// There is an unknown option.
    pub odd: bool,
}

/// Behaviour of application and host at one end.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    pub total: u32,
    pub send_buffer: u32,
    pub receive_buffer: u32,
    /// Maximum size of a write.
    pub write: u32,
    pub large: u32,
    /// Interval at which the reader takes available payload; 0: immediately.
    pub read_every: u64,
    /// Probability that no page is available.
    pub no_page: u32,
    pub flags: u16,
    pub cwnd: u32,
    pub ssthresh: u32,
    /// Probability, per event, that the connection is returned to the host and handed over again at
    /// once.
    pub hand_over: u32,
    /// Interval at which the end processes all frames that have arrived, in microseconds.
    pub round: u64,
    /// Most frames that are held out of order.
    pub hold: usize,
    /// Most time until the host processes completions, in microseconds.
    pub lag: u64,
    /// Probability that the host's TCP drops a legacy frame.
    pub host_drop: u32,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            total: 0,
            send_buffer: 4 << 20,
            receive_buffer: 4 << 20,
            write: 1 << 20,
            large: MSS,
            read_every: 0,
            no_page: 0,
            flags: state_flag::TIMESTAMPS | state_flag::SACK,
            cwnd: 10,
            ssthresh: u32::MAX,
            hand_over: 0,
            round: 1,
            hold: usize::MAX,
            lag: 0,
            host_drop: 0,
        }
    }
}

pub struct End {
    pub tcb: Tcb,
    pub behaviour: Behaviour,
    pub iss: Seq,
    pub irs: Seq,
    pub submitted: u32,
    pub host: Host,
    /// Stream offset up to which the host's application has read.
    pub read: u32,
    /// Out-of-order payload: offset to length.
    pub held: BTreeMap<u32, u32>,
    pub next_read: u64,
    /// Highest acknowledgement and right edge sent, as stream offsets.
    pub acked: u32,
    pub edge: u32,
    /// Right edge set by the host.
    pub host_edge: u32,
    pub finished: Option<u64>,
    pub timeouts: u32,
    pub recoveries: u32,
}

impl End {
    pub fn new(behaviour: Behaviour, iss: Seq, irs: Seq, peer: &Behaviour) -> Self {
        let state = ConnectionState {
            flags: behaviour.flags | state_flag::WINDOW_SCALE,
            snd_wscale: WSCALE,
            rcv_wscale: WSCALE,
            mss: MSS as u16,
            rcv_mss: MSS as u16,
            send: SendState {
                snd_una: iss.0,
                snd_nxt: iss.0,
                snd_wnd: peer.receive_buffer,
                srtt_us: 0,
                min_rtt_us: u32::MAX,
                cwnd: behaviour.cwnd,
                ssthresh: behaviour.ssthresh,
                ..script::state().send
            },
            snd_wl1: irs.0,
            rcv_nxt: irs.0,
            rcv_edge: (irs + behaviour.receive_buffer).0,
            // Both clocks show the same value at the hand-over.
            ts_recent: script::TS,
            ..script::state()
        };
        Self {
            tcb: Tcb::new(&state, irs, Instant(0)).expect("sound state"),
            behaviour,
            iss,
            irs,
            submitted: 0,
            host: Host::new(),
            read: 0,
            held: BTreeMap::new(),
            next_read: 0,
            acked: 0,
            edge: behaviour.receive_buffer,
            host_edge: behaviour.receive_buffer,
            finished: None,
            timeouts: 0,
            recoveries: 0,
        }
    }

    /// Returns the connection and hands it over again. Payload that the adapter held out of order,
    /// and SACK state of the peer, are lost.
    pub fn hand_over(&mut self, now: u64, random: &mut Random) {
        self.host_turn(now, random);
        let mut state = ConnectionState {
            rcv_mss: MSS as u16,
            rcv_nxt: (self.irs + self.host.received).0,
            ..self.tcb.export(Instant(now))
        };
        state.set(state_flag::OUT_OF_ORDER, self.host.has_hole());
        self.host.in_step = true;
        self.tcb = Tcb::new(&state, Seq(state.rcv_nxt), Instant(now)).expect("sound state");
        self.submitted = self.tcb.snd_una() - self.iss;
        self.held.clear();
    }

    /// The host processes all completions, and the adapter its answers.
    pub fn host_turn(&mut self, now: u64, random: &mut Random) {
        let Behaviour { host_drop, lag, .. } = self.behaviour;
        for answer in self.host.process(self.host_edge, host_drop, random) {
            let answer = Resync {
                rcv_nxt: self.irs + answer.rcv_nxt,
                in_step: answer.in_step,
                round: answer.round,
            };
            if self.tcb.on_resync(Instant(now), &answer) == Answered::OutOfStep {
                self.upload_held(now, lag, random);
            }
        }
    }

    /// Uploads what is held out of order.
    fn upload_held(&mut self, now: u64, lag: u64, random: &mut Random) {
        for (start, length) in core::mem::take(&mut self.held) {
            self.upload(now, start, start + length, lag, random);
        }
    }

    fn upload(&mut self, now: u64, start: u32, end: u32, lag: u64, random: &mut Random) {
        self.host
            .write(now, Event::Legacy { start, end }, lag, random);
        let range = Range {
            start: self.irs + start,
            end: self.irs + end,
        };
        assert!(
            self.tcb.uploaded(Instant(now), range),
            "out of step for long"
        );
    }

    /// Ends a batch: everything is in host memory, and legacy mode ends if possible.
    pub fn settle(&mut self, now: u64, random: &mut Random) {
        self.tcb.delivered(self.tcb.rcv_nxt());
        if let Some(resumed) = self.tcb.resume(0) {
            let event = Event::Resumed {
                at: Seq(resumed.seq) - self.irs,
                round: resumed.round,
            };
            self.host.write(now, event, self.behaviour.lag, random);
        }
    }

    /// The frame in which the host's TCP acknowledges legacy frames.
    pub fn host_ack(&mut self, now: u64) -> (Rewrite, SackBlocks) {
        self.host.acks = false;
        let edge = self.host_edge.max(self.host.received);
        let window = ((edge - self.host.received) >> WSCALE) as u16;
        let frame = HostFrame {
            seq: self.iss + self.submitted,
            length: 0,
            ack: self.irs + self.host.received,
            window,
        };
        let rewrite = self.tcb.on_host_frame(Instant(now), &frame);
        (rewrite, self.host.sack(self.irs))
    }

    pub fn submit(&mut self) {
        let una = self.tcb.snd_una() - self.iss;
        while self.submitted < self.behaviour.total {
            let room = self.behaviour.send_buffer - (self.submitted - una);
            let length = (self.behaviour.total - self.submitted)
                .min(self.behaviour.write)
                .min(room);
            if length == 0 {
                break;
            }
            let seq = self.iss + self.submitted;
            self.tcb
                .submit(seq, length, true, false)
                .expect("in sequence");
            self.submitted += length;
        }
    }

    /// Receives a frame. Returns whether its payload is held behind a hole.
    pub fn receive(&mut self, now: u64, frame: &Packet, random: &mut Random) -> bool {
        let out = &frame.out;
        let segment = Segment {
            seq: out.seq,
            ack: out.ack,
            flags: out.flags,
            window: out.window,
            timestamps: out.timestamps,
            sack: out.sack,
            length: out.length,
            wire_segments: out.wire_segments,
            congestion_experienced: frame.marked,
            unknown_option: frame.odd,
        };
        let una = self.tcb.snd_una();
        let lag = self.behaviour.lag;
        let mut held = false;
        match self.tcb.on_segment(Instant(now), &segment) {
            Verdict::Deliver(piece) => {
                let start = piece.seq - self.irs;
                assert_eq!(frame.content + piece.skip, start, "the right bytes");
                if random.chance(self.behaviour.no_page) {
                    return false;
                }
                let until = self.tcb.accept(Instant(now), &piece) - self.irs;
                let mut end = start + piece.length;
                while let Some((&from, &length)) = self.held.first_key_value() {
                    if from > end {
                        break;
                    }
                    self.held.pop_first();
                    end = end.max(from + length);
                }
                assert_eq!(end, until);
                assert!(end <= self.host_edge);
                self.host
                    .write(now, Event::Deliver { start, end }, lag, random);
                self.tcb.delivered(self.irs + end);
            }
            Verdict::Hold(piece) => {
                let offset = piece.seq - self.irs;
                assert_eq!(frame.content + piece.skip, offset, "the right bytes");
                if random.chance(self.behaviour.no_page) {
                    return false;
                }
                if self.held.len() >= self.behaviour.hold {
                    self.special(now, frame, true, random);
                } else {
                    let before = self.held.range(..=offset).next_back();
                    assert!(before.is_none_or(|(&start, &length)| start + length <= offset));
                    self.held.insert(offset, piece.length);
                    self.tcb.accept(Instant(now), &piece);
                    held = true;
                }
            }
            Verdict::Upload(entering) => self.special(now, frame, entering.is_some(), random),
            Verdict::Return(reason) => panic!("returned: {reason:?} {segment:?}"),
            Verdict::Done | Verdict::Duplicate | Verdict::Drop(_) => {}
        }
        assert!(self.tcb.snd_una().at_least(una));
        assert!(self.tcb.snd_una() - self.iss <= self.submitted);
        held
    }

    /// Uploads a frame that only the host's TCP can process.
    fn special(&mut self, now: u64, frame: &Packet, entering: bool, random: &mut Random) {
        let lag = self.behaviour.lag;
        if entering {
            self.tcb.enter_legacy(Instant(now));
            self.upload_held(now, lag, random);
        }
        if !random.chance(self.behaviour.no_page) {
            let end = frame.content + frame.out.length;
            self.upload(now, frame.content, end, lag, random);
        }
    }

    /// The application reads. The host's TCP moves the window and informs the peer if that is
    /// worthwhile.
    pub fn read(&mut self, now: u64) -> Option<Rewrite> {
        if now < self.next_read {
            return None;
        }
        self.next_read = now + self.behaviour.read_every;
        self.read = self.host.received;
        let edge = self.read + self.behaviour.receive_buffer;
        if edge - self.edge < (2 * MSS).max(self.behaviour.receive_buffer / 4) {
            return None;
        }
        // The edge is limited to what the header of the host's frame can express.
        let window = ((edge - self.host.received) >> WSCALE) as u16;
        self.host_edge = self
            .host_edge
            .max(self.host.received + (u32::from(window) << WSCALE));
        let frame = HostFrame {
            seq: self.iss + self.submitted,
            length: 0,
            ack: self.irs + self.host.received,
            window,
        };
        Some(self.tcb.on_host_frame(Instant(now), &frame))
    }

    /// Checks every outgoing segment: no data is acknowledged before it is delivered, and the right
    /// edge does not move back or exceed the host's.
    pub fn check(&mut self, ack: Seq, window: u16) {
        let ack = ack - self.irs;
        let edge = ack + (u32::from(window) << WSCALE);
        assert!(
            ack <= self.host.end(),
            "acknowledged undelivered data: {ack}, {:?}",
            self.host
        );
        assert!(ack >= self.acked, "acknowledgement goes back");
        assert!(edge <= self.host_edge, "the device moved the edge");
        assert!(edge + (1 << WSCALE) > self.edge, "the window shrank");
        self.acked = ack;
        self.edge = edge.max(self.edge);
    }
}
