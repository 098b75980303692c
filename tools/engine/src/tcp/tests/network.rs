// SPDX-License-Identifier: GPL-2.0

//! A simulated network: two ends and a path that drops, delays, reorders and duplicates frames,
//! with a virtual clock. The same seed gives the same run.
//!
//! Payload is not stored: the byte at a stream offset is taken to be the offset itself, so the
//! payload of a frame is determined by the offset of its first byte.

use alloc::collections::BTreeMap;
use alloc::collections::BinaryHeap;
use alloc::format;
use core::cmp::Reverse;

use super::behaviour::Behaviour;
use super::end::End;
use super::end::MSS;
use super::end::Packet;
use super::end::Random;
use crate::tcp::*;

/// Timer resolution of the adapter, in microseconds.
const TICK: u64 = 512;

/// One direction of a path. Probabilities in parts per million.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    pub delay: u64,
    /// Rate in bytes per second, 0 for no limit.
    pub rate: u64,
    /// Queue limit, in microseconds of waiting time.
    pub queue: u64,
    pub loss: u32,
    /// Drop exactly this data frame, counted from 1.
    pub lose_frame: u32,
    pub duplicate: u32,
    pub reorder: u32,
    pub reorder_by: u64,
    /// Mark frames CE if the queue is more than half full.
    pub marks: bool,
    /// Deliver GSO frames whole, as over a TAP interface.
    pub whole: bool,
    /// Give frames an unknown option.
    pub odd: u32,
    /// Give exactly this data frame an unknown option, counted from 1.
    pub odd_frame: u32,
    /// Take the timestamps out of frames.
    pub bare: u32,
}

pub struct Network {
    pub now: u64,
    pub ends: [End; 2],
    /// The path that each end sends to.
    pub paths: [Path; 2],
    pub busy_until: [u64; 2],
    pub data_frames: [u32; 2],
    pub random: Random,
    /// Frames have arrived in this round.
    pub serving: [bool; 2],
    pub order: u64,
    pub flying: BinaryHeap<Reverse<(u64, u64)>>,
    pub frames: BTreeMap<u64, (usize, Packet)>,
}

impl Network {
    pub fn new(seed: u64, behaviours: [Behaviour; 2], paths: [Path; 2]) -> Self {
        let mut random = Random(seed);
        let numbers = [0; 2].map(|_| {
            let number = random.next();
            // Half of them wrap within the stream.
            let near = (number >> 32 & 1) as u32;
            Seq((number as u32 % [u32::MAX, 60_000][near as usize]).wrapping_neg())
        });
        let [a, b] = behaviours;
        Self {
            now: 0,
            ends: [
                End::new(a, numbers[0], numbers[1], &b),
                End::new(b, numbers[1], numbers[0], &a),
            ],
            paths,
            busy_until: [0; 2],
            data_frames: [0; 2],
            random,
            serving: [false; 2],
            order: 0,
            flying: BinaryHeap::new(),
            frames: BTreeMap::new(),
        }
    }

    fn fly(&mut self, from: usize, at: u64, frame: Packet) {
        let round = self.ends[1 - from].behaviour.round;
        let at = at.div_ceil(round) * round;
        self.order += 1;
        self.flying.push(Reverse((at, self.order)));
        self.frames.insert(self.order, (1 - from, frame));
    }

    /// Sends one wire frame, or a GSO frame that stays whole.
    fn put_on_wire(&mut self, from: usize, mut frame: Packet) {
        let path = self.paths[from];
        let start = self.busy_until[from].max(self.now);
        let bytes = u64::from(frame.out.length) + 66 * u64::from(frame.out.wire_segments);
        if let Some(takes) = (bytes * 1_000_000).checked_div(path.rate) {
            if start - self.now > path.queue {
                return;
            }
            frame.marked |= path.marks && frame.out.ect && (start - self.now) * 2 > path.queue;
            self.busy_until[from] = start + takes;
        }
        if frame.out.length > 0 {
            self.data_frames[from] += 1;
            frame.odd |= self.data_frames[from] == path.odd_frame;
            if self.data_frames[from] == path.lose_frame {
                return;
            }
        }
        if self.random.chance(path.loss) {
            return;
        }
        let mut at = self.busy_until[from].max(self.now) + path.delay;
        if self.random.chance(path.reorder) {
            at += self.random.below(path.reorder_by);
        }
        if self.random.chance(path.duplicate) {
            self.fly(from, at + self.random.0 % 100, frame);
        }
        self.fly(from, at, frame);
    }

    fn transmit(&mut self, from: usize, out: Outgoing) {
        let end = &mut self.ends[from];
        end.check(out.ack, out.window);
        let content = out.seq - end.iss;
        assert!(out.length <= end.behaviour.large.max(MSS));
        if out.length > 0 {
            assert!(
                content + out.length <= end.submitted,
                "nobody submitted that"
            );
            assert!(out.seq.at_least(end.tcb.snd_una()));
        }
        let frame = Packet {
            out,
            content,
            marked: false,
            odd: self.random.chance(self.paths[from].odd),
            bare: self.random.chance(self.paths[from].bare),
        };
        if out.gso_size == 0 || self.paths[from].whole {
            self.put_on_wire(from, frame);
            return;
        }
        // Segment as a port would.
        let size = u32::from(out.gso_size);
        assert_eq!(u32::from(out.wire_segments), out.length.div_ceil(size));
        for offset in (0..out.length).step_by(size as usize) {
            let length = size.min(out.length - offset);
            let mut piece = frame;
            piece.content += offset;
            piece.out.seq = out.seq + offset;
            piece.out.length = length;
            piece.out.wire_segments = 1;
            piece.out.gso_size = 0;
            if offset > 0 {
                piece.out.flags &= !flag::CWR;
            }
            if offset + length < out.length {
                piece.out.flags &= !flag::PSH;
            }
            self.put_on_wire(from, piece);
        }
    }

    /// Sends a frame of the host's TCP without payload.
    fn put_host_frame(&mut self, index: usize, rewrite: Rewrite, sack: SackBlocks) {
        self.ends[index].check(rewrite.ack, rewrite.window);
        let frame = Packet {
            out: Outgoing {
                seq: rewrite.seq,
                length: 0,
                gso_size: 0,
                wire_segments: 1,
                retransmit: false,
                flags: flag::ACK,
                ack: rewrite.ack,
                window: rewrite.window,
                timestamps: rewrite.timestamps,
                sack,
                ect: false,
            },
            content: rewrite.seq - self.ends[index].iss,
            marked: false,
            odd: false,
            bare: false,
        };
        self.put_on_wire(index, frame);
    }

    fn serve(&mut self, index: usize) {
        let now = self.now;
        let end = &mut self.ends[index];
        end.settle(now, &mut self.random);
        if now >= end.host.turn {
            end.host_turn(now, &mut self.random);
        }
        self.ends[index].read(now, &mut self.random);
        while let Some((rewrite, sack)) = self.ends[index].read_host(now, &mut self.random) {
            self.put_host_frame(index, rewrite, sack);
        }
        if self.random.chance(self.ends[index].behaviour.hand_over) {
            self.ends[index].hand_over(now, None, &mut self.random);
        }
        self.ends[index].settle(now, &mut self.random);
        self.ends[index].submit();
        let large = self.ends[index].behaviour.large;
        while let Some(out) = self.ends[index].tcb.poll_transmit(Instant(now), large, &()) {
            self.transmit(index, out);
        }
        let end = &mut self.ends[index];
        let events = end.tcb.take_events();
        end.timeouts += u32::from(events.timeouts);
        end.recoveries += u32::from(events.recoveries);
        let all = end.tcb.snd_una() - end.iss == end.behaviour.total;
        if all && end.finished.is_none() {
            end.finished = Some(now);
        }
    }

    fn finished(&self) -> bool {
        let [a, b] = &self.ends;
        a.finished.is_some()
            && b.finished.is_some()
            && a.host.received == b.behaviour.total
            && b.host.received == a.behaviour.total
    }

    /// Runs until both streams are complete, for at most `limit` microseconds.
    pub fn run(&mut self, limit: u64) {
        self.serve(0);
        self.serve(1);
        while !self.finished() {
            let arrival = self.flying.peek().map(|Reverse((at, _))| *at);
            let mut next = arrival;
            for end in &self.ends {
                let reading = (end.host.received > end.read).then_some(end.next_read);
                let host = (!end.host.ring.is_empty()).then_some(end.host.turn);
                // Round up to the adapter's timer tick.
                let timer = end.tcb.deadline().map(|at| at.0.div_ceil(TICK) * TICK);
                let (answers, frames) = (end.host.answers.next(), end.host.frames.next());
                for at in [reading, timer, host, answers, frames]
                    .into_iter()
                    .flatten()
                {
                    next = Some(next.map_or(at, |next: u64| next.min(at)));
                }
            }
            let Some(next) = next else {
                panic!("stuck at {} us", self.now);
            };
            self.now = self.now.max(next);
            assert!(
                self.now < limit,
                "not through in {limit} us: {}",
                self.summary()
            );
            if arrival == Some(next) {
                let Some(Reverse((_, order))) = self.flying.pop() else {
                    continue;
                };
                if let Some((to, frame)) = self.frames.remove(&order) {
                    let held = if self.random.chance(self.ends[to].behaviour.hand_over) {
                        self.ends[to].hand_over(self.now, Some(&frame), &mut self.random);
                        false
                    } else {
                        self.ends[to].receive(self.now, &frame, &mut self.random)
                    };
                    let large = self.ends[to].behaviour.large;
                    if held {
                        if let Some(out) =
                            self.ends[to]
                                .tcb
                                .poll_transmit(Instant(self.now), large, &())
                        {
                            self.transmit(to, out);
                        }
                    }
                    self.serving[to] = true;
                }
                let more = self
                    .flying
                    .peek()
                    .is_some_and(|Reverse((at, _))| *at == next);
                if !more {
                    for index in 0..2 {
                        if core::mem::take(&mut self.serving[index]) {
                            self.serve(index);
                        }
                    }
                }
                continue;
            }
            for index in 0..2 {
                if let Err(reason) = self.ends[index].tcb.on_timer(Instant(self.now)) {
                    panic!("end {index}: {reason:?} at {next}: {}", self.summary());
                }
                self.serve(index);
            }
        }
    }

    pub fn summary(&self) -> alloc::string::String {
        let mut all = alloc::string::String::new();
        for end in &self.ends {
            let acked = end.tcb.acked(0);
            all += &format!(
                "[sent {}/{} una {} got {} nxt {} {:?} rto {} rec {} resent {} cwnd {} wnd {} srtt {}] ",
                Seq(acked.send.snd_nxt) - end.iss,
                end.behaviour.total,
                end.tcb.snd_una() - end.iss,
                end.host.received,
                end.tcb.rcv_nxt() - end.irs,
                end.tcb.delivery(),
                end.timeouts,
                end.recoveries,
                acked.send.retransmits,
                acked.send.cwnd,
                acked.send.snd_wnd,
                acked.send.srtt_us,
            );
        }
        all
    }
}

/// One end sends, the other only acknowledges, until the stream is complete; at most `limit`
/// microseconds.
pub fn bulk(seed: u64, sender: Behaviour, path: Path, limit: u64) -> Network {
    let receiver = Behaviour { total: 0, ..sender };
    let back = Path {
        lose_frame: 0,
        odd_frame: 0,
        ..path
    };
    let mut network = Network::new(seed, [sender, receiver], [path, back]);
    network.run(limit);
    network
}
