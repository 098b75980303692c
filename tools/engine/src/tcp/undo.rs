// SPDX-License-Identifier: GPL-2.0

//! Detection of spurious reductions: the original transmission of what was retransmitted had been
//! delivered, but late. Shown by timestamps (Eifel, RFC 3522) or D-SACK (RFC 3708).

use super::segment::Range;
use super::seq::Seq;

/// Retransmissions since the last reduction.
#[derive(Clone, Copy, Debug)]
pub struct Undo {
    /// Range from the first to the last retransmitted byte; empty if none.
    again: Range,
    /// Retransmitted segments not yet reported by D-SACK.
    missing: u32,
    /// Timestamp of the first retransmission.
    timestamp: Option<u32>,
    /// The reduction can still be undone.
    open: bool,
}

impl Undo {
    /// No retransmissions.
    pub fn none() -> Self {
        let at = Seq(0);
        Self {
            again: Range { start: at, end: at },
            missing: 0,
            timestamp: None,
            open: false,
        }
    }

    /// A reduction begins. Earlier retransmissions that are not acknowledged up to `una` are kept:
    /// their ACKs arrive in this reduction and are older than any retransmission from now on.
    pub fn begin(&mut self, una: Seq) {
        if !self.again.end.after(una) {
            *self = Self::none();
        }
        self.open = true;
    }

    /// Makes the current reduction final.
    pub fn close(&mut self) {
        self.open = false;
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.again.start == self.again.end
    }

    /// Records the retransmission of `range`, in `segments` segments, with `timestamp`.
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

    /// Processes a D-SACK for `duplicate`. Returns whether it reports a retransmission; a network
    /// that duplicates frames causes D-SACKs too.
    pub fn on_duplicate(&mut self, duplicate: Range, mss: u32) -> bool {
        if self.is_empty() || !self.again.contains(duplicate) {
            return false;
        }
        let segments = duplicate.length().div_ceil(mss);
        self.missing = self.missing.saturating_sub(segments);
        true
    }

    /// Whether `echo`, the timestamp echo of an ACK that advances SND.UNA, is older than all
    /// retransmissions, so that the ACK answers the original transmission.
    #[inline]
    pub fn shown_by_time(&self, echo: u32) -> bool {
        let before = |first| (echo.wrapping_sub(first) as i32) < 0;
        self.open && self.timestamp.is_some_and(before)
    }

    /// Whether D-SACKs have reported all retransmissions.
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
        // Duplicates made by the network are ignored.
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
