// SPDX-License-Identifier: GPL-2.0

//! A model of the host's TCP as the receiver of completions: payload, legacy frames and resumptions.

use alloc::collections::BTreeMap;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

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

/// A ring from the host to the adapter. What is written is read in order, some time later.
#[derive(Debug)]
pub struct Ring<T> {
    entries: VecDeque<(u64, T)>,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
        }
    }
}

impl<T> Ring<T> {
    /// Writes an entry that is read at `at`, but not before those that were written before.
    pub fn write(&mut self, at: u64, entry: T) {
        let last = self.entries.back().map_or(0, |(at, _)| *at);
        self.entries.push_back((at.max(last), entry));
    }

    /// Reads an entry.
    pub fn read(&mut self, now: u64) -> Option<T> {
        self.next().filter(|at| *at <= now)?;
        self.entries.pop_front().map(|(_, entry)| entry)
    }

    /// When the next entry is read.
    pub fn next(&self) -> Option<u64> {
        self.entries.front().map(|(at, _)| *at)
    }
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
    /// Answers on their way to the adapter.
    pub answers: Ring<Answer>,
    /// Frames of the host's TCP on their way to the adapter.
    pub frames: Ring<(HostFrame, SackBlocks)>,
    pub legacy_frames: u32,
    pub legacy_bytes: u32,
    pub refused: u32,
}

impl Host {
    pub fn new() -> Self {
        Self {
            in_step: true,
            ..Self::default()
        }
    }

    /// Writes a completion at `now`, which is processed at most `lag` microseconds later. A resumption
    /// right behind another one may replace it.
    pub fn write(&mut self, now: u64, event: Event, lag: u64, random: &mut Random) {
        if self.ring.is_empty() {
            self.turn = now + random.below(lag + 1);
        }
        let resumption = |event: &Event| matches!(event, Event::Resumed { .. });
        if resumption(&event) && self.ring.back().is_some_and(resumption) && random.chance(500_000)
        {
            self.ring.pop_back();
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
    /// `edge`. Returns the answers.
    pub fn process(&mut self, edge: u32, drop: u32, random: &mut Random) -> Vec<Answer> {
        let mut answers = Vec::new();
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
                    self.legacy_bytes += end.wrapping_sub(start);
                    if random.chance(drop) {
                        continue;
                    }
                    let outside = end > edge || start == end && start != self.received;
                    self.acks |= outside || start != end;
                    if !outside {
                        self.take(start, end);
                    }
                }
                Event::Resumed { at, round } => answers.push(self.answer(at, round)),
            }
        }
        answers
    }

    fn answer(&mut self, at: u32, round: u32) -> Answer {
        self.in_step = self.received >= at && !self.has_hole();
        self.refused += u32::from(!self.in_step);
        Answer {
            rcv_nxt: self.received,
            in_step: self.in_step,
            round,
        }
    }

    /// Takes payload.
    pub fn take(&mut self, start: u32, end: u32) {
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
