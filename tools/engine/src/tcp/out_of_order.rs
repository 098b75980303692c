// SPDX-License-Identifier: GPL-2.0

//! Ranges of payload received out of order.

use super::segment::Range;
use super::segment::SackBlocks;
use super::seq::Seq;

/// Maximum number of ranges per connection. Payload that would need one more is dropped.
const RANGES: usize = 24;

/// Ranges received out of order, most recently changed first, which is the order of a SACK option
/// (RFC 2018 4).
///
/// # Invariants
///
/// No two of `ranges[..len]` overlap or adjoin, and none is empty.
pub struct OutOfOrder {
    len: usize,
    ranges: [Range; RANGES],
}

impl OutOfOrder {
    /// Creates an empty list.
    pub const fn new() -> Self {
        let none = Range {
            start: Seq(0),
            end: Seq(0),
        };
        Self {
            len: 0,
            ranges: [none; RANGES],
        }
    }

    /// Whether there are no ranges.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The ranges, most recently changed first.
    #[inline]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges[..self.len]
    }

    /// First subrange of `range` that is not present yet, if any.
    pub fn first_missing(&self, mut range: Range) -> Option<Range> {
        while let Some(held) = self
            .ranges()
            .iter()
            .find(|held| held.start.at_most(range.start) && held.end.after(range.start))
        {
            range.start = held.end;
            if range.start.at_least(range.end) {
                return None;
            }
        }
        for held in self.ranges() {
            if held.start.after(range.start) {
                range.end = range.end.min(held.start);
            }
        }
        Some(range)
    }

    /// The part of `range` that is present right before or after `missing`, its
    /// [`Self::first_missing`].
    pub fn overlap(&self, range: Range, missing: Range) -> Option<Range> {
        if range.start.before(missing.start) {
            return Some(Range {
                start: range.start,
                end: missing.start,
            });
        }
        let next = self
            .ranges()
            .iter()
            .find(|held| held.start == missing.end)?;
        let overlap = Range {
            start: missing.end,
            end: next.end.min(range.end),
        };
        overlap.start.before(overlap.end).then_some(overlap)
    }

    /// Whether `range`, which is not present even in part, can be inserted.
    pub fn has_room(&self, range: Range) -> bool {
        self.len < RANGES
            || self
                .ranges()
                .iter()
                .any(|held| held.end == range.start || held.start == range.end)
    }

    /// Inserts `range`, merged with its neighbours, as the most recently changed. Has no effect
    /// without room ([`Self::has_room`]).
    pub fn insert(&mut self, range: Range) {
        if !range.start.before(range.end) || !self.has_room(range) {
            return;
        }
        let mut joined = range;
        self.retain(|held| {
            let apart = held.end.before(joined.start) || held.start.after(joined.end);
            if !apart {
                joined.start = joined.start.min(held.start);
                joined.end = joined.end.max(held.end);
            }
            apart
        });
        self.ranges.copy_within(0..self.len, 1);
        self.ranges[0] = joined;
        self.len += 1;
    }

    /// RCV.NXT has advanced to `nxt`: removes ranges below it and returns the end of the contiguous
    /// payload.
    pub fn advance(&mut self, mut nxt: Seq) -> Seq {
        while let Some(held) = self.ranges().iter().find(|held| held.start.at_most(nxt)) {
            nxt = nxt.max(held.end);
            self.retain(|held| held.end.after(nxt));
        }
        nxt
    }

    /// Makes the range that contains `seq` the most recently changed and returns it.
    pub fn touch(&mut self, seq: Seq) -> Option<Range> {
        let index = self
            .ranges()
            .iter()
            .position(|held| held.start.at_most(seq) && held.end.after(seq))?;
        self.ranges[..=index].rotate_right(1);
        Some(self.ranges[0])
    }

    /// SACK blocks to send, at most `max`: `duplicate` first (RFC 2883), then the ranges.
    pub fn blocks(&self, duplicate: Option<Range>, max: usize) -> SackBlocks {
        let mut blocks = SackBlocks::new();
        let all = duplicate.into_iter().chain(self.ranges().iter().copied());
        for block in all.take(max) {
            blocks.push(block);
        }
        blocks
    }

    fn retain(&mut self, mut keep: impl FnMut(Range) -> bool) {
        let mut kept = 0;
        for index in 0..self.len {
            if keep(self.ranges[index]) {
                self.ranges[kept] = self.ranges[index];
                kept += 1;
            }
        }
        self.len = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn rfc2018_4_the_block_that_changed_last_is_first() {
        let mut held = OutOfOrder::new();
        held.insert(Range::of(30, 40));
        held.insert(Range::of(10, 20));
        held.insert(Range::of(50, 60));
        held.insert(Range::of(40, 45));
        assert_eq!(
            held.ranges(),
            [Range::of(30, 45), Range::of(50, 60), Range::of(10, 20)]
        );
        assert_eq!(
            held.blocks(Some(Range::of(1, 2)), 3).as_slice(),
            [Range::of(1, 2), Range::of(30, 45), Range::of(50, 60)]
        );
    }

    #[test]
    fn joining_two_makes_room() {
        let mut held = OutOfOrder::new();
        for i in 0..RANGES as u32 {
            held.insert(Range::of(i * 20, i * 20 + 10));
        }
        assert!(!held.has_room(Range::of(1000, 1001)));
        held.insert(Range::of(1000, 1001));
        assert_eq!(held.ranges().len(), RANGES);
        held.insert(Range::of(10, 20));
        assert_eq!(held.ranges()[0], Range::of(0, 30));
        assert!(held.has_room(Range::of(1000, 1001)));
    }

    proptest! {
        /// Against a set of bytes.
        #[test]
        fn is_a_set_of_bytes(
            base: u32,
            pieces in prop::collection::vec((0..400u32, 1..40u32), 1..60),
        ) {
            let at = |offset: u32| Seq(base) + offset;
            let mut held = OutOfOrder::new();
            let mut bytes = BTreeSet::new();
            for (start, length) in pieces {
                let mut rest = Range { start: at(start), end: at(start + length) };
                while let Some(missing) = held.first_missing(rest) {
                    prop_assert!(rest.contains(missing));
                    let offsets = missing.start - at(0)..missing.end - at(0);
                    prop_assert!(offsets.clone().all(|byte| !bytes.contains(&byte)));
                    if held.has_room(missing) {
                        held.insert(missing);
                        bytes.extend(offsets);
                    }
                    rest.start = missing.end;
                    if !rest.start.before(rest.end) {
                        break;
                    }
                }
                let mut all: Vec<u32> = held
                    .ranges()
                    .iter()
                    .flat_map(|range| range.start - at(0)..range.end - at(0))
                    .collect();
                all.sort_unstable();
                prop_assert!(all.iter().eq(bytes.iter()));
            }
            let nxt = held.advance(at(50)) - at(0);
            let mut expected = 50;
            while bytes.contains(&expected) {
                expected += 1;
            }
            prop_assert_eq!(nxt, expected);
            prop_assert!(held.ranges().iter().all(|range| range.start.after(at(nxt))));
        }
    }
}
