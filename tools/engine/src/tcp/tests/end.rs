// SPDX-License-Identifier: GPL-2.0

//! One end of a simulated connection: the device's TCP, and what the host and its application do
//! with it. Asserts what must hold of everything that comes in or goes out.

use alloc::collections::BTreeMap;

use toe_abi::connection::Connection;
use toe_abi::connection::flag as state_flag;

use super::script;
use crate::tcp::*;

pub const MSS: u32 = 1448;
pub const WSCALE: u8 = 7;
/// The largest segment that a port may be given.
pub const LARGE: u32 = 65_535 / MSS * MSS;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
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
}

/// What the application and the host at one end do.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    pub total: u32,
    pub send_buffer: u32,
    pub receive_buffer: u32,
    /// Largest write.
    pub write: u32,
    pub large: u32,
    /// The reader takes what is there only so often; 0: at once.
    pub read_every: u64,
    /// Pages are missing with this probability.
    pub no_page: u32,
    pub flags: u16,
    pub cwnd: u32,
    pub ssthresh: u32,
    /// The connection goes back to the host and is handed over again, at once, with this probability
    /// whenever something happens.
    pub hand_over: u32,
    /// The end looks at what has arrived so often, microseconds, at all of it at once.
    pub round: u64,
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
        }
    }
}

pub struct End {
    pub tcb: Tcb,
    pub behaviour: Behaviour,
    pub iss: Seq,
    pub irs: Seq,
    pub submitted: u32,
    /// Offsets: what the host has, what its application has read.
    pub received: u32,
    pub read: u32,
    /// Out-of-order pieces: offset to length.
    pub held: BTreeMap<u32, u32>,
    pub next_read: u64,
    /// Highest acknowledgement and right edge that the end has put on the wire, offsets.
    pub acked: u32,
    pub edge: u32,
    /// The host's edge as the device was told.
    pub host_edge: u32,
    pub finished: Option<u64>,
    pub timeouts: u32,
    pub recoveries: u32,
}

impl End {
    pub fn new(behaviour: Behaviour, iss: Seq, irs: Seq, peer: &Behaviour) -> Self {
        let state = Connection {
            flags: behaviour.flags | state_flag::WINDOW_SCALE,
            snd_wscale: WSCALE,
            rcv_wscale: WSCALE,
            mss: MSS as u16,
            rcv_mss: MSS as u16,
            snd_una: iss.0,
            snd_nxt: iss.0,
            snd_wnd: peer.receive_buffer,
            snd_wl1: irs.0,
            rcv_nxt: irs.0,
            rcv_edge: (irs + behaviour.receive_buffer).0,
            srtt_us: 0,
            min_rtt_us: u32::MAX,
            // The two clocks show the same at the hand-over.
            ts_recent: script::TS,
            cwnd: behaviour.cwnd,
            ssthresh: behaviour.ssthresh,
            ..script::state()
        };
        Self {
            tcb: Tcb::new(&state, irs, Instant(0)).expect("sound state"),
            behaviour,
            iss,
            irs,
            submitted: 0,
            received: 0,
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

    /// A return and a hand-over in one. What was held out of order, and what the peer had reported,
    /// is forgotten.
    pub fn hand_over(&mut self, now: u64) {
        let state = Connection {
            rcv_mss: MSS as u16,
            ..self.tcb.export(Instant(now))
        };
        self.tcb = Tcb::new(&state, Seq(state.rcv_nxt), Instant(now)).expect("sound state");
        self.submitted = self.tcb.snd_una() - self.iss;
        self.held.clear();
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

    /// Takes a frame; returns whether its payload is held behind a hole.
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
            unknown_option: false,
        };
        let una = self.tcb.snd_una();
        let mut held = false;
        match self.tcb.on_segment(Instant(now), &segment) {
            Verdict::Deliver(piece) => {
                assert_eq!(piece.seq - self.irs, self.received);
                assert_eq!(frame.content + piece.skip, self.received, "the right bytes");
                if random.chance(self.behaviour.no_page) {
                    return false;
                }
                let end = self.tcb.accept(Instant(now), &piece) - self.irs;
                self.received += piece.length;
                while let Some((&start, &length)) = self.held.first_key_value() {
                    if start > self.received {
                        break;
                    }
                    self.held.pop_first();
                    self.received = self.received.max(start + length);
                }
                assert_eq!(end, self.received);
                assert!(self.received <= self.host_edge);
                self.tcb.delivered(self.irs + self.received);
            }
            Verdict::Hold(piece) => {
                let offset = piece.seq - self.irs;
                assert_eq!(frame.content + piece.skip, offset, "the right bytes");
                if random.chance(self.behaviour.no_page) {
                    return false;
                }
                let before = self.held.range(..=offset).next_back();
                assert!(before.is_none_or(|(&start, &length)| start + length <= offset));
                self.held.insert(offset, piece.length);
                self.tcb.accept(Instant(now), &piece);
                held = true;
            }
            Verdict::Return(reason) => panic!("returned: {reason:?} {segment:?}"),
            Verdict::Done | Verdict::Duplicate | Verdict::NoRoom | Verdict::Drop(_) => {}
        }
        assert!(self.tcb.snd_una().at_least(una));
        assert!(self.tcb.snd_una() - self.iss <= self.submitted);
        held
    }

    /// The application reads; the host's TCP moves the window, and tells the peer when that is
    /// worth it.
    pub fn read(&mut self, now: u64) -> Option<Rewrite> {
        if now < self.next_read {
            return None;
        }
        self.next_read = now + self.behaviour.read_every;
        self.read = self.received;
        let edge = self.read + self.behaviour.receive_buffer;
        if edge - self.edge < (2 * MSS).max(self.behaviour.receive_buffer / 4) {
            return None;
        }
        // The edge is what the header of the host's frame can say.
        let window = ((edge - self.received) >> WSCALE) as u16;
        self.host_edge = self
            .host_edge
            .max(self.received + (u32::from(window) << WSCALE));
        let frame = HostFrame {
            seq: self.iss + self.submitted,
            length: 0,
            ack: self.irs + self.received,
            window,
        };
        Some(self.tcb.on_host_frame(Instant(now), &frame))
    }

    /// Invariants 2 and 3 of the design, on everything that leaves.
    pub fn check(&mut self, ack: Seq, window: u16) {
        let ack = ack - self.irs;
        let edge = ack + (u32::from(window) << WSCALE);
        assert!(ack <= self.received, "acknowledged what is not delivered");
        assert!(ack >= self.acked, "acknowledgement goes back");
        assert!(edge <= self.host_edge, "the device moved the edge");
        assert!(edge + (1 << WSCALE) > self.edge, "the window shrank");
        self.acked = ack;
        self.edge = edge.max(self.edge);
    }
}
