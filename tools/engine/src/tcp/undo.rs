// SPDX-License-Identifier: GPL-2.0

//! Finding that a reduction of the window was for nothing: what was sent again had arrived, late, in
//! the first place. Timestamps tell (Eifel, RFC 3522), and so do duplicates that the peer reports
//! (RFC 3708).

use super::segment::Range;
use super::seq::Seq;

/// What was sent again since the window was reduced last.
#[derive(Clone, Copy, Debug)]
pub struct Undo {
    /// From the first byte of it to the last; empty when nothing was.
    again: Range,
    /// Segments of it whose duplicate the peer has not reported.
    missing: u32,
    /// Timestamp of the first.
    timestamp: Option<u32>,
    /// The reduction can still be undone.
    open: bool,
}

impl Undo {
    /// Nothing was sent again.
    pub fn none() -> Self {
        let at = Seq(0);
        Self {
            again: Range { start: at, end: at },
            missing: 0,
            timestamp: None,
            open: false,
        }
    }

    /// A reduction begins that may turn out to be for nothing. What was sent again before, and is
    /// not acknowledged up to `una`, counts still: its answer will come in this reduction, and is
    /// old compared with whatever is sent again from now on.
    pub fn begin(&mut self, una: Seq) {
        if !self.again.end.after(una) {
            *self = Self::none();
        }
        self.open = true;
    }

    /// The reduction stays, whatever is heard of it.
    pub fn close(&mut self) {
        self.open = false;
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.again.start == self.again.end
    }

    /// `range`, of `segments` segments, is sent again, with `timestamp` in it.
    pub fn on_resend(&mut self, range: Range, segments: u32, timestamp: Option<u32>) {
        self.again = if self.is_empty() {
            range
        } else {
            Range {
                start: self.again.start.min(range.start),
                end: self.again.end.max(range.end),
            }
        };
        self.missing = self.missing.saturating_add(segments);
        self.timestamp = self.timestamp.or(timestamp);
    }

    /// The peer has reported `duplicate`. Returns whether that is because of what was sent again: a
    /// network that doubles frames makes duplicates too.
    pub fn on_duplicate(&mut self, duplicate: Range, mss: u32) -> bool {
        if self.is_empty() || !self.again.contains(duplicate) {
            return false;
        }
        let segments = duplicate.length().div_ceil(mss);
        self.missing = self.missing.saturating_sub(segments);
        true
    }

    /// Whether `echo`, the timestamp echoed with an advance of SND.UNA, is older than all that was
    /// sent again: the advance answers what was sent first.
    #[inline]
    pub fn shown_by_time(&self, echo: u32) -> bool {
        let before = |first| (echo.wrapping_sub(first) as i32) < 0;
        self.open && self.timestamp.is_some_and(before)
    }

    /// Whether all that was sent again has been reported as received twice.
    #[inline]
    pub fn shown_by_duplicates(&self) -> bool {
        self.open && !self.is_empty() && self.missing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3708_all_duplicates_reported() {
        let mut undo = Undo::none();
        undo.begin(Seq(0));
        assert!(!undo.shown_by_duplicates());
        undo.on_resend(Range::of(1000, 2000), 1, None);
        undo.on_resend(Range::of(5000, 7000), 2, None);
        // The network's own duplicates say nothing.
        assert!(!undo.on_duplicate(Range::of(7000, 8000), 1000));
        assert!(undo.on_duplicate(Range::of(1000, 2000), 1000));
        assert!(!undo.shown_by_duplicates());
        assert!(undo.on_duplicate(Range::of(5000, 7000), 1000));
        assert!(undo.shown_by_duplicates());
        undo.close();
        assert!(!undo.shown_by_duplicates());
    }

    #[test]
    fn rfc3522_the_echo_is_older_than_the_first_retransmission() {
        let mut undo = Undo::none();
        undo.begin(Seq(0));
        assert!(!undo.shown_by_time(0));
        undo.on_resend(Range::of(0, 10), 1, Some(5));
        undo.on_resend(Range::of(20, 30), 1, Some(9));
        assert!(undo.shown_by_time(4) && undo.shown_by_time(u32::MAX));
        assert!(!undo.shown_by_time(5));
    }

    #[test]
    fn an_earlier_retransmission_is_answered_first() {
        let mut undo = Undo::none();
        undo.begin(Seq(0));
        undo.on_resend(Range::of(0, 10), 1, Some(5));
        undo.begin(Seq(5));
        undo.on_resend(Range::of(20, 30), 1, Some(9));
        assert!(!undo.shown_by_time(5));
        undo.begin(Seq(30));
        undo.on_resend(Range::of(40, 50), 1, Some(12));
        assert!(undo.shown_by_time(9));
    }
}
