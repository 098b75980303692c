// SPDX-License-Identifier: GPL-2.0

//! The scoreboard (RFC 6675): state of each byte between SND.UNA and SND.NXT.
//!
//! The sequence space is divided into *spans*: adjacent bytes in the same state that were sent at
//! (nearly) the same time. A loss-free connection has at most sixteen spans, one for each grain of
//! time in a round trip. Every hole reported by SACK adds two.

use super::segment::Range;
use super::seq::Seq;
use super::span::Span;
use super::span::SpanStart;
use super::span::Stamp;
use super::span::State;
use super::time::Instant;

/// Maximum number of spans. SACK blocks that need more are ignored; their bytes may then be
/// retransmitted needlessly.
const SPANS: usize = 64;

/// Number of spans that SACK blocks must leave free, so that transmissions can be recorded.
const RESERVE: usize = 4;

/// The scoreboard.
///
/// # Invariants
///
/// - `starts[..len]` are in ascending order, the first is at `una`, the last span ends at `nxt`,
///   and no span is empty. `len == 0` if and only if `una == nxt`.
/// - `sacked` and `lost` are the number of bytes in spans of these states.
pub struct Scoreboard {
    una: Seq,
    nxt: Seq,
    sacked: u32,
    lost: u32,
    len: usize,
    starts: [SpanStart; SPANS],
}

impl Scoreboard {
    /// Creates a scoreboard on which everything from `una` to `nxt` was sent at `now`.
    pub fn new(una: Seq, nxt: Seq, now: Instant) -> Self {
        let mut board = Self {
            una,
            nxt: una,
            sacked: 0,
            lost: 0,
            len: 0,
            starts: [SpanStart::default(); SPANS],
        };
        board.send(nxt - una, now, 0);
        board
    }

    /// SND.UNA: first byte not acknowledged.
    #[inline]
    pub fn una(&self) -> Seq {
        self.una
    }

    /// SND.NXT: first byte not sent.
    #[inline]
    pub fn nxt(&self) -> Seq {
        self.nxt
    }

    /// Bytes sent and not acknowledged, in any state.
    #[inline]
    pub fn outstanding(&self) -> u32 {
        self.nxt - self.una
    }

    /// SACKed bytes.
    #[inline]
    pub fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Bytes to be retransmitted.
    #[inline]
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// Bytes in flight ("pipe" in RFC 6675).
    #[inline]
    pub fn pipe(&self) -> u32 {
        self.outstanding() - self.sacked - self.lost
    }

    #[inline]
    fn end(&self, index: usize) -> Seq {
        if index + 1 < self.len {
            self.starts[index + 1].start
        } else {
            self.nxt
        }
    }

    #[inline]
    fn span(&self, index: usize) -> Span {
        let start = self.starts[index];
        Span {
            range: Range {
                start: start.start,
                end: self.end(index),
            },
            state: start.state(),
            stamp: start.stamp(),
        }
    }

    /// The spans in order.
    pub fn spans(&self) -> impl DoubleEndedIterator<Item = Span> + '_ {
        (0..self.len).map(|index| self.span(index))
    }

    #[inline]
    fn count(&mut self, state: State, length: u32) {
        match state {
            State::Sacked => self.sacked += length,
            State::Lost | State::LostAgain => self.lost += length,
            State::Sent | State::Resent => {}
        }
    }

    #[inline]
    fn uncount(&mut self, state: State, length: u32) {
        match state {
            State::Sacked => self.sacked -= length,
            State::Lost | State::LostAgain => self.lost -= length,
            State::Sent | State::Resent => {}
        }
    }

    /// Records the transmission of `length` new bytes. Bytes sent in the same `grain` of time share
    /// a span. Returns `false`, without effect, if there is no room.
    pub fn send(&mut self, length: u32, now: Instant, grain: u32) -> bool {
        if length == 0 {
            return true;
        }
        let start = SpanStart::new(self.nxt, Stamp::new(now, grain), State::Sent);
        let full = self.len == SPANS;
        match self.starts[..self.len].last_mut() {
            Some(last) if last.joins(start) => {}
            Some(last) if full && last.state() == State::Sent => {
                *last = SpanStart::new(last.start, start.stamp(), State::Sent);
            }
            _ if full => return false,
            _ => {
                self.starts[self.len] = start;
                self.len += 1;
            }
        }
        self.nxt = self.nxt + length;
        true
    }

    /// Takes back all transmissions: nothing is outstanding.
    pub fn unsend(&mut self) {
        self.nxt = self.una;
        self.len = 0;
        self.sacked = 0;
        self.lost = 0;
    }

    /// Removes everything before `ack`, which is in `una..=nxt`. Calls `each` for each span
    /// removed.
    pub fn acknowledge(&mut self, ack: Seq, mut each: impl FnMut(Span)) {
        let mut gone = 0;
        while gone < self.len && self.starts[gone].start.before(ack) {
            let mut span = self.span(gone);
            let end = span.range.end;
            span.range.end = end.min(ack);
            self.uncount(span.state, span.range.length());
            each(span);
            if end.after(ack) {
                self.starts[gone].start = ack;
                break;
            }
            gone += 1;
        }
        if gone > 0 {
            self.starts.copy_within(gone..self.len, 0);
            self.len -= gone;
        }
        self.una = ack;
    }

    /// Marks `block` as SACKed. Calls `each` for each span newly SACKed, with its previous state.
    pub fn sack(&mut self, block: Range, mut each: impl FnMut(Span)) {
        let mut block = Range {
            start: block.start.max(self.una),
            end: block.end.min(self.nxt),
        };
        if !block.start.before(block.end) {
            return;
        }
        // Most blocks contain nothing new, or only little at one end.
        let first = self.span(self.find(block.start));
        if first.state == State::Sacked {
            block.start = first.range.end;
        }
        let last = self.span(self.find(block.end - 1));
        if last.state == State::Sacked {
            block.end = last.range.start;
        }
        if !block.start.before(block.end) || self.len + 2 > SPANS - RESERVE {
            return;
        }
        self.change(block, |span| {
            (span.state != State::Sacked).then(|| {
                each(span);
                (State::Sacked, span.stamp)
            })
        });
    }

    /// First range to retransmit.
    pub fn first_lost(&self) -> Option<Range> {
        if self.lost == 0 {
            return None;
        }
        self.spans()
            .find(|span| span.state.is_lost())
            .map(|span| span.range)
    }

    /// Records the retransmission of `range`, which is within one span. `grain` is as in
    /// [`Self::send`].
    ///
    /// If there is no room for a boundary at the end of `range`, the whole span counts as
    /// retransmitted, and the loss of its remainder is detected late.
    pub fn resend(&mut self, range: Range, now: Instant, grain: u32) {
        let stamp = Stamp::new(now, grain);
        self.change(range, |_| Some((State::Resent, stamp)));
    }

    /// Marks the spans in flight that `judge` selects as lost. Returns the number of bytes.
    pub fn lose(&mut self, mut judge: impl FnMut(Span) -> bool) -> u32 {
        let before = self.lost;
        let all = Range {
            start: self.una,
            end: self.nxt,
        };
        self.change(all, |span| {
            (span.state.in_flight() && judge(span)).then_some((span.state.lost(), span.stamp))
        });
        self.lost - before
    }

    /// Marks the first `length` bytes as lost if in flight. Returns the number of bytes.
    pub fn lose_head(&mut self, length: u32) -> u32 {
        let before = self.lost;
        let head = Range {
            start: self.una,
            end: (self.una + length).min(self.nxt),
        };
        self.change(head, |span| Some((span.state.lost(), span.stamp)));
        self.lost - before
    }

    /// Removes all loss marks: the bytes count as in flight since they were sent.
    pub fn restore_lost(&mut self) {
        let all = Range {
            start: self.una,
            end: self.nxt,
        };
        self.change(all, |span| Some((span.state.restored(), span.stamp)));
    }

    /// Removes all SACK marks, because the peer has reneged (RFC 2018 8).
    pub fn forget_sacked(&mut self) {
        let all = Range {
            start: self.una,
            end: self.nxt,
        };
        self.change(all, |span| {
            (span.state == State::Sacked).then_some((State::Sent, span.stamp))
        });
    }

    /// Index of the span that contains `seq`, `len` if none does.
    fn find(&self, seq: Seq) -> usize {
        if seq.at_least(self.nxt) {
            return self.len;
        }
        self.starts[..self.len]
            .partition_point(|start| start.start.at_most(seq))
            .saturating_sub(1)
    }

    /// Splits the span that contains `seq` there, if there is room.
    fn split(&mut self, seq: Seq) {
        let index = self.find(seq);
        if index == self.len || self.starts[index].start == seq || self.len == SPANS {
            return;
        }
        self.starts.copy_within(index..self.len, index + 1);
        self.starts[index + 1].start = seq;
        self.len += 1;
    }

    /// Sets state and stamp of each span in `range`, which is within `una..=nxt`, to the result of
    /// `to`.
    fn change(&mut self, range: Range, mut to: impl FnMut(Span) -> Option<(State, Stamp)>) {
        let first = self.find(range.start);
        if first == self.len || !range.start.before(range.end) {
            return;
        }
        self.split(range.start);
        self.split(range.end);
        for index in self.find(range.start)..self.len {
            let span = self.span(index);
            if span.range.start.at_least(range.end) {
                break;
            }
            if let Some((state, stamp)) = to(span) {
                self.uncount(span.state, span.range.length());
                self.count(state, span.range.length());
                self.starts[index] = SpanStart::new(span.range.start, stamp, state);
            }
        }
        self.join();
    }

    /// Merges adjacent spans where possible.
    fn join(&mut self) {
        let mut kept = 0;
        for index in 1..self.len {
            if self.starts[index].joins(self.starts[kept]) {
                continue;
            }
            kept += 1;
            self.starts[kept] = self.starts[index];
        }
        self.len = self.len.min(kept + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const BASE: Seq = Seq(u32::MAX - 500);

    fn range(start: u32, end: u32) -> Range {
        Range {
            start: BASE + start,
            end: BASE + end,
        }
    }

    fn states(board: &Scoreboard) -> Vec<(u32, u32, State)> {
        board
            .spans()
            .map(|span| (span.range.start - BASE, span.range.end - BASE, span.state))
            .collect()
    }

    #[test]
    fn what_is_sent_together_is_one_run() {
        let mut board = Scoreboard::new(BASE, BASE, Instant(0));
        for time in [32, 40, 47, 48, 52] {
            assert!(board.send(10, Instant(time), 16));
        }
        assert_eq!(
            states(&board),
            [(0, 30, State::Sent), (30, 50, State::Sent)]
        );
        assert_eq!(board.pipe(), 50);
    }

    /// However closely one follows the other.
    #[test]
    fn a_run_does_not_grow_beyond_its_grain() {
        let mut board = Scoreboard::new(BASE, BASE, Instant(0));
        for time in 0..100 {
            assert!(board.send(1, Instant(time), 16));
        }
        let mut stamps = Vec::new();
        board.sack(range(40, 41), |span| stamps.push(span.stamp));
        assert_eq!(stamps, [Stamp::new(Instant(32), 4)]);
    }

    #[test]
    fn a_hole_is_lost_and_sent_again() {
        let mut board = Scoreboard::new(BASE, BASE + 100, Instant(0));
        board.sack(range(20, 50), |span| assert_eq!(span.range, range(20, 50)));
        board.sack(range(20, 60), |span| assert_eq!(span.range, range(50, 60)));
        board.sack(range(30, 40), |_| panic!("nothing new"));
        assert_eq!((board.sacked(), board.pipe()), (40, 60));
        assert_eq!(board.lose(|span| span.range.end.at_most(BASE + 20)), 20);
        assert_eq!(board.first_lost(), Some(range(0, 20)));
        board.resend(range(0, 15), Instant(50), 0);
        assert_eq!(
            states(&board),
            [
                (0, 15, State::Resent),
                (15, 20, State::Lost),
                (20, 60, State::Sacked),
                (60, 100, State::Sent),
            ]
        );
        let mut seen = Vec::new();
        board.acknowledge(BASE + 30, |span| {
            seen.push((span.range.start - BASE, span.state))
        });
        assert_eq!(
            seen,
            [(0, State::Resent), (15, State::Lost), (20, State::Sacked)]
        );
        assert_eq!((board.sacked(), board.lost(), board.pipe()), (30, 0, 40));
    }

    #[test]
    fn a_full_scoreboard_ignores_reports_and_goes_on() {
        let mut board = Scoreboard::new(BASE, BASE + 1000, Instant(0));
        for hole in 0..100 {
            board.sack(range(hole * 10 + 5, hole * 10 + 10), |_| {});
        }
        assert!(board.len <= SPANS - RESERVE);
        assert!(board.sacked() > 100);
        board.lose(|_| true);
        while let Some(lost) = board.first_lost() {
            let first = Range {
                start: lost.start,
                end: (lost.start + 3).min(lost.end),
            };
            board.resend(first, Instant(10), 0);
        }
        for time in 0..100 {
            board.send(7, Instant(1000 + 100 * time), 0);
        }
        board.acknowledge(board.nxt(), |_| {});
        assert_eq!((board.len, board.pipe(), board.outstanding()), (0, 0, 0));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Send(u32),
        Acknowledge(u32),
        Sack(u32, u32),
        LoseHead(u32),
        LoseBefore(u32),
        Resend(u32),
        Restore,
        Forget,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..60u32).prop_map(Step::Send),
            (0..80u32).prop_map(Step::Acknowledge),
            (0..300u32, 1..60u32).prop_map(|(start, length)| Step::Sack(start, length)),
            (0..300u32, 1..60u32).prop_map(|(start, length)| Step::Sack(start, length)),
            (1..40u32).prop_map(Step::LoseHead),
            (0..300u32).prop_map(Step::LoseBefore),
            (1..60u32).prop_map(Step::Resend),
            Just(Step::Restore),
            Just(Step::Forget),
        ]
    }

    proptest! {
        /// Against a list with the state of each byte, while there is room for everything.
        #[test]
        fn knows_the_state_of_each_byte(steps in prop::collection::vec(step(), 1..60)) {
            let mut board = Scoreboard::new(BASE, BASE, Instant(0));
            let mut model: Vec<State> = Vec::new();
            for (time, step) in steps.into_iter().enumerate() {
                let now = Instant(time as u64 * 1000);
                let una = board.una();
                let len = model.len() as u32;
                if board.len + 4 > SPANS - RESERVE {
                    break;
                }
                match step {
                    Step::Send(length) => {
                        prop_assert!(board.send(length, now, 0));
                        model.extend((0..length).map(|_| State::Sent));
                    }
                    Step::Acknowledge(length) => {
                        let length = length.min(len);
                        let mut seen = Vec::new();
                        board.acknowledge(una + length, |span| {
                            seen.extend((0..span.range.length()).map(|_| span.state));
                        });
                        let expected: Vec<State> = model.drain(..length as usize).collect();
                        prop_assert_eq!(seen, expected);
                    }
                    Step::Sack(start, length) => {
                        let mut new = 0;
                        let block = Range { start: una + start, end: una + start + length };
                        board.sack(block, |span| new += span.range.length());
                        for byte in start..start + length {
                            if let Some(state) = model.get_mut(byte as usize) {
                                new -= u32::from(*state != State::Sacked);
                                *state = State::Sacked;
                            }
                        }
                        prop_assert_eq!(new, 0);
                    }
                    Step::LoseHead(length) => {
                        let lost = board.lose_head(length);
                        let mut expected = 0;
                        for state in model.iter_mut().take(length as usize) {
                            if state.in_flight() {
                                *state = state.lost();
                                expected += 1;
                            }
                        }
                        prop_assert_eq!(lost, expected);
                    }
                    Step::LoseBefore(end) => {
                        let end = una + end;
                        board.lose(|span| span.range.end.at_most(end));
                        let spans: Vec<Span> = board.spans().collect();
                        for span in spans {
                            if span.state.is_lost() {
                                let start = (span.range.start - una) as usize;
                                for state in &mut model[start..start + span.range.length() as usize]
                                {
                                    *state = state.lost();
                                    prop_assert_eq!(*state, span.state);
                                }
                            }
                        }
                    }
                    Step::Resend(length) => {
                        let first = model.iter().position(|&state| state.is_lost());
                        prop_assert_eq!(board.first_lost().map(|range| (range.start - una) as usize), first);
                        if let Some(lost) = board.first_lost() {
                            let end = (lost.start + length).min(lost.end);
                            board.resend(Range { start: lost.start, end }, now, 0);
                            let start = (lost.start - una) as usize;
                            for state in &mut model[start..(end - una) as usize] {
                                prop_assert!(state.is_lost());
                                *state = State::Resent;
                            }
                        }
                    }
                    Step::Restore => {
                        board.restore_lost();
                        for state in &mut model {
                            *state = state.restored();
                        }
                    }
                    Step::Forget => {
                        board.forget_sacked();
                        for state in model.iter_mut().filter(|state| **state == State::Sacked) {
                            *state = State::Sent;
                        }
                    }
                }
                let actual: Vec<State> = board
                    .spans()
                    .flat_map(|span| (0..span.range.length()).map(move |_| span.state))
                    .collect();
                prop_assert_eq!(&actual, &model);
                let of = |state| model.iter().filter(|&&other| other == state).count() as u32;
                prop_assert_eq!(board.sacked(), of(State::Sacked));
                prop_assert_eq!(board.lost(), of(State::Lost) + of(State::LostAgain));
                prop_assert_eq!(board.pipe(), of(State::Sent) + of(State::Resent));
            }
        }
    }
}
