// SPDX-License-Identifier: GPL-2.0

//! A model of the host's TCP as the receiver of completions: payload, legacy frames and resumptions.

use alloc::collections::BTreeMap;
use alloc::collections::VecDeque;

use super::end::Random;
use crate::tcp::*;

/// A completion. Ranges are stream offsets.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// Payload.
    Deliver { start: u32, end: u32 },
    /// A legacy frame with this payload.
    Legacy { start: u32, end: u32 },
    /// The adapter delivers from `at` on.
    Resumed { at: u32, round: u32 },
}

/// An answer to a resumption.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub rcv_nxt: u32,
    pub in_step: bool,
    pub round: u32,
}

/// The receiving half of the host's TCP.
#[derive(Debug, Default)]
pub struct Host {
    /// Completions that have not been processed.
    pub ring: VecDeque<Event>,
    /// When they are.
    pub turn: u64,
    /// Stream offset up to which payload has been received in order.
    pub received: u32,
    /// Payload received out of order: offset to end.
    held: BTreeMap<u32, u32>,
    /// No resumption has been denied since.
    pub in_step: bool,
    /// Legacy frames that were processed and want an acknowledgement.
    pub acks: bool,
    pub legacy_frames: u32,
    pub refused: u32,
}

impl Host {
    pub fn new() -> Self {
        Self {
            in_step: true,
            ..Self::default()
        }
    }

    /// Writes a completion at `now`, which is processed at most `lag` microseconds later.
    pub fn write(&mut self, now: u64, event: Event, lag: u64, random: &mut Random) {
        if self.ring.is_empty() {
            self.turn = now + random.below(lag + 1);
        }
        self.ring.push_back(event);
    }

    /// Payload is held out of order.
    pub fn has_hole(&self) -> bool {
        !self.held.is_empty()
    }

    /// The end of the payload that the host has received in order, or certainly will.
    pub fn end(&self) -> u32 {
        let mut end = self.received;
        for event in &self.ring {
            match event {
                Event::Deliver { end: until, .. } if self.in_step => end = end.max(*until),
                Event::Resumed { .. } => break,
                _ => {}
            }
        }
        end
    }

    /// SACK blocks.
    pub fn sack(&self, irs: Seq) -> SackBlocks {
        let mut blocks = SackBlocks::new();
        for (&start, &end) in self.held.iter().take(3) {
            blocks.push(Range {
                start: irs + start,
                end: irs + end,
            });
        }
        blocks
    }

    /// Processes all completions. Drops legacy frames with probability `drop`, and those beyond
    /// `edge`. Returns the answers for the adapter.
    pub fn process(&mut self, edge: u32, drop: u32, random: &mut Random) -> VecDeque<Answer> {
        let mut answers = VecDeque::new();
        while let Some(event) = self.ring.pop_front() {
            match event {
                Event::Deliver { start, end } => {
                    let takes = start <= self.received && !self.has_hole();
                    assert!(takes || !self.in_step, "{event:?} at {}", self.received);
                    if takes {
                        self.received = self.received.max(end);
                    }
                }
                Event::Legacy { start, end } => {
                    self.legacy_frames += 1;
                    if random.chance(drop) || end > edge {
                        continue;
                    }
                    self.acks = true;
                    self.take(start, end);
                }
                Event::Resumed { at, round } => {
                    self.in_step = self.received >= at && !self.has_hole();
                    self.refused += u32::from(!self.in_step);
                    answers.push_back(Answer {
                        rcv_nxt: self.received,
                        in_step: self.in_step,
                        round,
                    });
                }
            }
        }
        answers
    }

    fn take(&mut self, start: u32, end: u32) {
        if end <= self.received {
            return;
        }
        let (mut start, mut end) = (start, end);
        self.held.retain(|&from, &mut to| {
            let apart = to < start || from > end;
            if !apart {
                start = start.min(from);
                end = end.max(to);
            }
            apart
        });
        self.held.insert(start, end);
        while let Some((&from, &to)) = self.held.first_key_value() {
            if from > self.received {
                break;
            }
            self.held.pop_first();
            self.received = self.received.max(to);
        }
    }
}
