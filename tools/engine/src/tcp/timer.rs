// SPDX-License-Identifier: GPL-2.0

//! Timers of the sending half: RTO, tail loss probe, RACK reordering, persist.

use toe_abi::completion::Reason;

use super::sender::CaState;
use super::sender::Probe;
use super::sender::Sender;
use super::span::State;
use super::time::Instant;
use super::time::Timer;

/// Number of consecutive timeouts after which the connection is returned to the host's TCP, which
/// decides when to give up (`tcp_retries2`).
const TIMEOUTS_MAX: u8 = 6;

impl Sender {
    /// Handles the timers that are due.
    pub fn on_timer(&mut self, now: Instant) -> Result<(), Reason> {
        if self.report_at.is_due(now) {
            self.report();
        }
        if self.reorder_at.is_due(now) {
            self.reorder_at = Timer::OFF;
            if self.detect(now) > 0 && matches!(self.ca_state, CaState::Open | CaState::Cwr) {
                self.enter_recovery();
                self.cubic
                    .set_cwnd(self.pipe().saturating_add(self.mss), self.mss);
            }
            self.arm(now, true);
        }
        if self.tail_at.is_due(now) {
            self.tail_at = Timer::OFF;
            self.probe = Some(Probe::Tail);
            // The probe rearms the RTO. If no probe can be sent, the RTO must still be armed.
            self.rto_at.start(now + u64::from(self.rtt.rto()));
            return Ok(());
        }
        if self.give_up_at().is_due(now) {
            return Err(Reason::Timeout);
        }
        if self.rto_at.is_due(now) {
            return self.on_retransmission_timeout(now);
        }
        if self.persist_at.is_due(now) {
            return self.on_persist_timeout(now);
        }
        Ok(())
    }

    /// When the host decides what to do about a peer that does not answer (`TCP_USER_TIMEOUT`).
    pub(super) fn give_up_at(&self) -> Timer {
        match (self.unanswered, self.patience.user_timeout) {
            (Some(since), patience @ 1..) => Timer::at(since + u64::from(patience)),
            _ => Timer::OFF,
        }
    }

    /// RFC 6298 5.4 to 5.6, RFC 5681 3.1, RFC 8985 6.3.
    fn on_retransmission_timeout(&mut self, now: Instant) -> Result<(), Reason> {
        self.rto_at = Timer::OFF;
        if self.board.outstanding() == 0 {
            return Ok(());
        }
        if self.window == 0 {
            return self.on_persist_timeout(now);
        }
        self.count_timeout(now)?;
        self.events.timeouts = self.events.timeouts.saturating_add(1);
        if self.ca_state == CaState::Loss && self.timeouts == 1 {
            // There was progress since the last RTO, so this is a new loss.
            self.ca_state = CaState::Open;
        }
        self.reduce(CaState::Loss);
        self.announce_reduction();
        self.high = self.board.nxt();
        let first = self.board.spans().next();
        if first.is_some_and(|span| span.state == State::Sacked) {
            self.board.forget_sacked();
        }
        if self.sack {
            let path = self.path();
            self.rack.expire(&mut self.board, now, &path);
        } else {
            self.board.lose(|_| true);
        }
        self.board.lose_head(self.mss);
        self.duplicates = 0;
        self.timed = None;
        self.reorder_at = Timer::OFF;
        // Loss window (RFC 5681): one segment in addition to what still counts as in flight.
        self.cubic
            .set_cwnd(self.pipe().saturating_add(self.mss), self.mss);
        self.rtt.back_off();
        self.rto_at = Timer::at(now + u64::from(self.rtt.rto()));
        Ok(())
    }

    /// Persist timer (RFC 9293 3.8.6.1): probes the window, or sends corked data.
    fn on_persist_timeout(&mut self, now: Instant) -> Result<(), Reason> {
        self.persist_at = Timer::OFF;
        let unsent = self.unsent();
        let fits = (self.board.nxt() + unsent.min(self.mss)).at_most(self.window_end());
        if fits && self.board.outstanding() == 0 {
            self.probe = Some(Probe::Corked);
            return Ok(());
        }
        self.count_timeout(now)?;
        self.probes = self.probes.saturating_add(1);
        self.probe = Some(Probe::Window);
        Ok(())
    }

    fn count_timeout(&mut self, now: Instant) -> Result<(), Reason> {
        self.timeouts = self.timeouts.saturating_add(1);
        let expired = match (self.unanswered, self.patience.retry) {
            (Some(since), patience @ 1..) => self.window > 0 && now - since >= u64::from(patience),
            _ => false,
        };
        if expired || self.timeouts >= TIMEOUTS_MAX {
            return Err(Reason::Timeout);
        }
        Ok(())
    }
}
