// SPDX-License-Identifier: GPL-2.0

//! What the host sets while the connection lasts: see [`toe_abi::submission::Update`].

use toe_abi::completion::Reason;
use toe_abi::connection::MIN_MSS;
use toe_abi::connection::flag as state_flag;

use super::Tcb;
use super::sender::CaState;
use super::sender::Sender;
use super::seq::Seq;
use super::time::Timer;

/// How long to wait for an answer before the host decides what to do, in microseconds since the first
/// retransmission or probe. 0: without limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// Checked at each retransmission timeout (`tcp_retries2`).
    pub retry: u32,
    /// Ends then (`TCP_USER_TIMEOUT`).
    pub user_timeout: u32,
}

impl Tcb {
    /// The host moves the right edge of the receive window, and the peer is told at once. An edge
    /// before the current one is ignored.
    #[inline]
    pub fn set_rcv_edge(&mut self, edge: Seq) {
        self.receiver.open_window(edge);
    }

    /// The host changes `NODELAY`, `CORK`, `KEEP_CWND` and `REPORT_SENT`, or pushes
    /// ([`toe_abi::connection::flag`]).
    #[inline]
    pub fn set_flags(&mut self, flags: u16) {
        self.sender.set_flags(flags);
    }

    /// The host changes the maximum payload of a transmitted segment, in bytes. What is in flight in
    /// larger segments counts as lost.
    ///
    /// # Errors
    ///
    /// `Submission` if `mss` is below the minimum.
    #[inline]
    pub fn set_mss(&mut self, mss: u16) -> Result<(), Reason> {
        self.sender.set_mss(mss)
    }

    /// The host sets the limits of the retransmission timeout and of the delay of an acknowledgement,
    /// in microseconds.
    ///
    /// # Errors
    ///
    /// `Submission` if one is out of range.
    pub fn set_times(&mut self, rto_min: u32, rto_max: u32, delack_max: u32) -> Result<(), Reason> {
        self.receiver.set_delack_max(delack_max)?;
        self.sender.set_rto_limits(rto_min, rto_max)
    }

    /// The host sets how long it waits for an answer to retransmissions and probes, in microseconds:
    /// see [`toe_abi::submission::Update`].
    pub fn set_patience(&mut self, retry: u32, user_timeout: u32) {
        self.sender.set_patience(retry, user_timeout);
    }

    /// The host limits the congestion window to `segments`, unless that is 0.
    pub fn set_cwnd_limit(&mut self, segments: u32) {
        self.sender.set_cwnd_limit(segments);
    }
}

impl Sender {
    /// Changes `NODELAY`, `CORK`, `KEEP_CWND` and `REPORT_SENT`. Nothing is held back any more that was
    /// for `MORE`; with `PUSH`, nothing that was submitted.
    pub fn set_flags(&mut self, flags: u16) {
        self.nodelay = flags & state_flag::NODELAY != 0;
        self.cork = flags & state_flag::CORK != 0;
        self.keep_cwnd = flags & state_flag::KEEP_CWND != 0;
        self.report_sent = flags & state_flag::REPORT_SENT != 0;
        // The first report is about what was sent before.
        self.events.acked |= self.report_sent;
        self.more = false;
        if flags & state_flag::PUSH != 0 {
            self.pushed = self.end;
        }
    }

    /// Changes the maximum payload of a segment. Windows keep their size in bytes. What is in flight in
    /// larger segments is lost, and not by congestion (RFC 1191 6.5; `tcp_simple_retransmit()`).
    pub fn set_mss(&mut self, mss: u16) -> Result<(), Reason> {
        if mss < MIN_MSS {
            return Err(Reason::Submission);
        }
        let smaller = u32::from(mss) < self.mss;
        self.mss = u32::from(mss);
        self.set_cwnd_limit(self.cwnd_limit);
        // Segments sent at the same time share a span.
        if smaller && self.board.lose(|span| span.range.length() > mss.into()) > 0 {
            self.ca_state = CaState::Loss;
            self.high = self.board.nxt();
            self.undo.close();
            self.timed = None;
            self.tail = None;
            self.tail_at = Timer::OFF;
            self.reorder_at = Timer::OFF;
        }
        Ok(())
    }

    /// Sets the limits of the RTO.
    pub fn set_rto_limits(&mut self, min: u32, max: u32) -> Result<(), Reason> {
        self.rtt.set_limits(min, max, self.timeouts > 0)
    }

    /// Sets how long to wait for an answer.
    pub fn set_patience(&mut self, retry: u32, user_timeout: u32) {
        self.patience = Patience {
            retry,
            user_timeout,
        };
    }

    /// Limits the congestion window to `segments`, unless that is 0.
    pub fn set_cwnd_limit(&mut self, segments: u32) {
        self.cwnd_limit = segments;
        let limit = match segments {
            0 => u32::MAX,
            _ => segments.saturating_mul(self.mss),
        };
        self.cubic.set_limit(limit, self.mss);
    }
}
