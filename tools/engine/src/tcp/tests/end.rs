// SPDX-License-Identifier: GPL-2.0

//! One end of a simulated connection: the adapter's TCP, and the behaviour of host and application.
//! Asserts the properties that every incoming and outgoing segment must have.

use alloc::collections::BTreeMap;

use toe_abi::connection::ConnectionState;
use toe_abi::connection::SendState;
use toe_abi::connection::flag as state_flag;

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
    /// Stream offsets: received by the host, and read by its application.
    pub received: u32,
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

    /// Returns the connection and hands it over again. Out-of-order payload and SACK state of the
    /// peer are lost.
    pub fn hand_over(&mut self, now: u64) {
        let state = ConnectionState {
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

    /// The application reads. The host's TCP moves the window and informs the peer if that is
    /// worthwhile.
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
        // The edge is limited to what the header of the host's frame can express.
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

    /// Checks every outgoing segment: no data is acknowledged before it is delivered, and the right
    /// edge does not move back or exceed the host's.
    pub fn check(&mut self, ack: Seq, window: u16) {
        let ack = ack - self.irs;
        let edge = ack + (u32::from(window) << WSCALE);
        assert!(ack <= self.received, "acknowledged undelivered data");
        assert!(ack >= self.acked, "acknowledgement goes back");
        assert!(edge <= self.host_edge, "the device moved the edge");
        assert!(edge + (1 << WSCALE) > self.edge, "the window shrank");
        self.acked = ack;
        self.edge = edge.max(self.edge);
    }
}
