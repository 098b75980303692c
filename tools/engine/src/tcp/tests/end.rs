// SPDX-License-Identifier: GPL-2.0

//! One end of a simulated connection: the adapter's TCP, host and application.
//! Asserts the properties that every incoming and outgoing segment must have.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use toe_abi::connection::ConnectionState;
use toe_abi::connection::SendState;
use toe_abi::connection::flag as state_flag;

use super::behaviour::Behaviour;
use super::host::Event;
use super::host::Host;
use super::host::Ring;
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
    /// There are no timestamps.
    pub bare: bool,
}

/// The time from an entry into legacy mode until delivery is direct again.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Why it was entered; `None` at the hand-over.
    pub cause: Option<Special>,
    /// When, and how long it took.
    pub at: u64,
    pub took: u64,
    /// Number of legacy frames.
    pub frames: u32,
}

pub struct End {
    pub tcb: Tcb,
    pub behaviour: Behaviour,
    pub iss: Seq,
    pub irs: Seq,
    /// End of the payload that this hand-over's adapter may send, and that any may have sent.
    pub submitted: u32,
    pub offered: u32,
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
    /// The present entry into legacy mode, and all that are over.
    pub entry: Option<Entry>,
    pub entries: Vec<Entry>,
    /// Number of returns out of direct and provisional delivery and legacy mode.
    pub returns: [u32; 3],
    /// Number of hand-overs with a hole, and with payload that the host has not processed.
    pub handed_over: [u32; 2],
    /// Number of frames with unconfirmed payload that was sent again.
    pub repeated: u32,
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
            offered: 0,
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
            entry: None,
            entries: Vec::new(),
            returns: [0; 3],
            handed_over: [0; 2],
            repeated: 0,
        }
    }

    /// Returns the connection and hands it over again. What the adapter held out of order is uploaded;
    /// SACK state of the peer is lost. `between` arrives before the hand-over: it is uploaded, and the
    /// host has not processed it at the hand-over.
    pub fn hand_over(&mut self, now: u64, between: Option<&Packet>, random: &mut Random) {
        let exported = self.tcb.export(Instant(now));
        let delivery = self.tcb.delivery();
        let Behaviour { host_drop, lag, .. } = self.behaviour;
        for (start, length) in core::mem::take(&mut self.held) {
            let end = start + length;
            self.host
                .write(now, Event::Legacy { start, end }, lag, random);
        }
        // The answers are for a connection that is not the adapter's any more.
        self.host.process(self.host_edge, host_drop, random);
        self.host.answers = Ring::default();
        let received = self.host.received;
        assert!(self.acked <= received, "acknowledged what the host lacks");
        let direct = delivery == Delivery::Direct;
        // The host may have payload of a window probe beyond what it announced to the adapter.
        assert!(!direct || (self.irs + received).at_least(Seq(exported.rcv_nxt)));
        self.returns[match delivery {
            Delivery::Direct => 0,
            Delivery::Provisional { .. } => 1,
            Delivery::Legacy { .. } => 2,
        }] += 1;

        let mut state = ConnectionState {
            rcv_mss: MSS as u16,
            rcv_nxt: (self.irs + received).0,
            rcv_edge: (self.irs + self.host_edge.max(received)).0,
            ..exported
        };
        let mut uploaded = received;
        let mut hole = self.host.has_hole();
        if let Some(frame) = between {
            let (start, end) = (frame.content, frame.content.wrapping_add(frame.out.length));
            self.host
                .write(now, Event::Legacy { start, end }, lag, random);
            if start < end && end > received {
                hole |= start > received;
                uploaded = if start > received { received } else { end };
            }
        }
        state.set(state_flag::OUT_OF_ORDER, hole);
        self.handed_over[0] += u32::from(hole);
        self.handed_over[1] += u32::from(uploaded != received);
        self.host.in_step = true;
        self.tcb = Tcb::new(&state, self.irs + uploaded, Instant(now)).expect("sound state");
        self.submitted = self.tcb.snd_una() - self.iss;
        self.entry = None;
        if self.tcb.delivery() != Delivery::Direct {
            self.enter(now, None);
        }
    }

    /// The host processes all completions.
    pub fn host_turn(&mut self, now: u64, random: &mut Random) {
        let Behaviour {
            host_drop, answer, ..
        } = self.behaviour;
        let edge = self.host_edge;
        for reply in self.host.process(edge, host_drop, random) {
            let at = now + random.below(answer + 1);
            self.host.answers.write(at, reply);
        }
        if core::mem::take(&mut self.host.acks) {
            self.write_frame(now, random);
        }
    }

    /// The host's TCP sends a frame with its acknowledgement and window.
    fn write_frame(&mut self, now: u64, random: &mut Random) {
        let at = now + random.below(self.behaviour.answer + 1);
        if random.chance(self.behaviour.lose_host_frame) {
            return;
        }
        let received = self.host.received;
        let frame = HostFrame {
            seq: self.iss + self.offered,
            length: 0,
            ack: self.irs + received,
            window: (self.host_edge.saturating_sub(received) >> WSCALE) as u16,
        };
        let sack = self.host.sack(self.irs);
        self.host.frames.write(at, (frame, sack));
    }

    /// The adapter reads answers and frames of the host. Returns the next frame as it leaves.
    pub fn read_host(&mut self, now: u64, random: &mut Random) -> Option<(Rewrite, SackBlocks)> {
        while let Some(answer) = self.host.answers.read(now) {
            let answer = Resync {
                rcv_nxt: self.irs + answer.rcv_nxt,
                in_step: answer.in_step,
                round: answer.round,
            };
            if self.tcb.on_resync(Instant(now), &answer) == Answered::OutOfStep {
                self.upload_held(now, self.behaviour.lag, random);
            }
            self.tcb.receiver.assert_invariants();
            if self.tcb.delivery() == Delivery::Direct {
                let over = self.entry.take().map(|entry| Entry {
                    took: now - entry.at,
                    ..entry
                });
                self.entries.extend(over);
            }
        }
        let (frame, sack) = self.host.frames.read(now)?;
        let rewrite = self.tcb.on_host_frame(Instant(now), &frame);
        self.tcb.receiver.assert_invariants();
        match rewrite.ack == frame.ack {
            true => Some((rewrite, sack)),
            false => Some((rewrite, SackBlocks::new())),
        }
    }

    fn enter(&mut self, at: u64, cause: Option<Special>) {
        self.entry = Some(Entry {
            cause,
            at,
            took: 0,
            frames: 0,
        });
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
        if let Some(entry) = &mut self.entry {
            entry.frames += 1;
        }
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

    pub fn submit(&mut self) {
        let una = self.tcb.snd_una() - self.iss;
        while self.submitted < self.behaviour.total {
            // The peer may have acknowledged what the last hand-over's adapter has sent.
            let room = self.behaviour.send_buffer - self.submitted.saturating_sub(una);
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
            self.offered = self.offered.max(self.submitted);
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
            timestamps: out.timestamps.filter(|_| !frame.bare),
            sack: out.sack,
            length: out.length,
            wire_segments: out.wire_segments,
            congestion_experienced: frame.marked,
            unknown_option: frame.odd,
            ip_options: false,
            signed: false,
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
                    self.special(now, frame, Some(Special::OutOfOrder), random);
                } else {
                    let before = self.held.range(..=offset).next_back();
                    assert!(before.is_none_or(|(&start, &length)| start + length <= offset));
                    self.held.insert(offset, piece.length);
                    self.tcb.accept(Instant(now), &piece);
                    held = true;
                }
            }
            Verdict::Upload(entering) => self.special(now, frame, entering, random),
            Verdict::Return(reason) => panic!("returned: {reason:?} {segment:?}"),
            Verdict::Done | Verdict::Duplicate | Verdict::Drop(_) => {}
        }
        assert!(self.tcb.snd_una().at_least(una));
        assert!(self.tcb.snd_una() - self.iss <= self.offered);
        self.tcb.receiver.assert_invariants();
        held
    }

    /// Uploads a frame that only the host's TCP can process.
    fn special(
        &mut self,
        now: u64,
        frame: &Packet,
        entering: Option<Special>,
        random: &mut Random,
    ) {
        let lag = self.behaviour.lag;
        self.repeated += u32::from(entering == Some(Special::Gap));
        if entering.is_some() {
            if self.entry.is_none() {
                self.enter(now, entering);
            }
            self.tcb.enter_legacy(Instant(now));
            self.upload_held(now, lag, random);
        }
        if !random.chance(self.behaviour.no_page) {
            let end = frame.content.wrapping_add(frame.out.length);
            self.upload(now, frame.content, end, lag, random);
        }
    }

    /// The application reads. The host's TCP moves the window and informs the peer if that is
    /// worthwhile.
    pub fn read(&mut self, now: u64, random: &mut Random) {
        if now < self.next_read {
            return;
        }
        self.next_read = now + self.behaviour.read_every;
        self.read = self.host.received;
        let buffer = self.behaviour.receive_buffer;
        // What the header of the host's frame can express.
        let edge = self.read + (buffer >> WSCALE << WSCALE);
        let worthwhile = (2 * MSS).max(buffer / 4).min(buffer / 2);
        if edge >= self.host_edge + worthwhile {
            self.host_edge = edge;
            self.write_frame(now, random);
        }
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
