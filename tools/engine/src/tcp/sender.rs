// SPDX-License-Identifier: GPL-2.0

//! Sending half: state and configuration. ACK processing is in `ack`, output in `output`, timers in
//! `timer`.

use toe_abi::completion::HandoverStatus;
use toe_abi::completion::Reason;
use toe_abi::connection::ConnectionState;
use toe_abi::connection::MAX_FLIGHT;
use toe_abi::connection::MAX_SND_WINDOW;
use toe_abi::connection::MAX_WSCALE;
use toe_abi::connection::MIN_MSS;
use toe_abi::connection::SendState;
use toe_abi::connection::flag as state_flag;

use super::cubic::Cubic;
use super::prr::Prr;
use super::rack;
use super::rack::Rack;
use super::rtt::Rtt;
use super::scoreboard::Scoreboard;
use super::segment::Events;
use super::seq::Seq;
use super::settings::Patience;
use super::span::GRAIN_MIN;
use super::time::Instant;
use super::time::MILLISECOND;
use super::time::Timer;
use super::undo::Undo;

/// Congestion state (`enum tcp_ca_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaState {
    /// No reduction in progress.
    Open,
    /// Reducing the window because of ECE or a loss repaired by a probe; nothing to retransmit.
    Cwr,
    /// Fast recovery.
    Recovery,
    /// Recovery after an RTO.
    Loss,
}

/// An outstanding tail loss probe (RFC 8985 7).
#[derive(Clone, Copy, Debug)]
pub struct TailProbe {
    /// SND.NXT after the probe (TLP.end_seq).
    pub end: Seq,
    /// The probe was a retransmission.
    pub resent: bool,
}

/// Segment requested by a timer, sent irrespective of the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Tail loss probe.
    Tail,
    /// Window probe: the window is closed, or too small for the next segment.
    Window,
    /// Data delayed too long by `CORK` or `MORE`.
    Corked,
}

/// Most time until the host is told of progress. It is within the resolution of the host's timers.
const REPORT_DELAY: u64 = 4 * MILLISECOND;

/// Counters for the host since the hand-over.
#[derive(Clone, Copy, Debug, Default)]
pub struct SenderCounts {
    /// Data segments sent, retransmissions included.
    pub data_segments: u32,
    /// Retransmitted segments.
    pub retransmits: u32,
    /// Retransmitted bytes.
    pub bytes_retransmitted: u32,
    /// Segments delivered to the peer.
    pub delivered: u32,
    /// Those of them whose acknowledgement echoed a mark.
    pub delivered_ce: u32,
}

/// The sending half of a connection.
pub struct Sender {
    pub(super) board: Scoreboard,
    /// First byte not submitted. Before SND.NXT until the host has submitted again what its own TCP
    /// had in flight.
    pub(super) end: Seq,
    /// End of the payload that may have been sent although it is not on the board: by the host's own
    /// stack during the delegation, or as a probe of a closed window. Never before SND.UNA.
    pub(super) host_sent: Seq,
    /// SND.WND, relative to SND.UNA.
    pub(super) window: u32,
    /// SND.WL1. SND.WL2 is not needed: it is never after SND.UNA, and older ACKs are ignored.
    pub(super) wl1: Seq,
    pub(super) max_window: u32,
    pub(super) wscale: u8,
    pub(super) mss: u32,
    /// End of the latest write by the application.
    pub(super) push: Seq,
    /// End of the latest partial segment.
    pub(super) small: Seq,
    /// The host is about to submit more payload.
    pub(super) more: bool,
    /// End of the payload that neither `cork` nor Nagle's algorithm holds back.
    pub(super) pushed: Seq,
    pub(super) nodelay: bool,
    pub(super) cork: bool,
    /// The congestion window is kept while nothing is sent.
    pub(super) keep_cwnd: bool,
    /// The host wants to know what has been sent.
    pub(super) report_sent: bool,
    /// Limit of the congestion window in segments, 0 for none.
    pub(super) cwnd_limit: u32,
    pub(super) sack: bool,
    pub(super) ecn: bool,
    /// Set CWR in the next new segment (RFC 3168 6.1.2).
    pub(super) cwr: bool,
    /// SND.NXT at the latest reduction of the congestion window, until more is acknowledged: the
    /// peer echoes marks from before until it has seen CWR.
    pub(super) reduced: Option<Seq>,
    /// The congestion window limited the last transmission.
    pub(super) limited: bool,
    /// cwnd left unused because several ACKs were processed before sending; credited to PRR.
    pub(super) cwnd_unused: u32,
    pub(super) ca_state: CaState,
    pub(super) probe: Option<Probe>,
    /// Consecutive timeouts without an answer.
    pub(super) timeouts: u8,
    /// Zero-window probes sent.
    pub(super) probes: u8,
    pub(super) patience: Patience,
    /// Time of the first retransmission of what is not acknowledged, or of the first probe of the closed
    /// window.
    pub(super) unanswered: Option<Instant>,
    /// SND.NXT when the current state was entered; acknowledging it ends the state (`high_seq`).
    pub(super) high: Seq,
    /// Duplicate ACKs. With SACK, segments SACKed above a hole.
    pub(super) duplicates: u32,
    /// Bytes in flight after the latest transmission.
    pub(super) flight: u32,
    pub(super) rtt: Rtt,
    /// End and send time of the segment used for the next RTT sample.
    pub(super) timed: Option<(Seq, Instant)>,
    pub(super) cubic: Cubic,
    pub(super) rack: Rack,
    pub(super) prr: Prr,
    pub(super) undo: Undo,
    pub(super) tail: Option<TailProbe>,
    pub(super) rto_at: Timer,
    pub(super) tail_at: Timer,
    pub(super) reorder_at: Timer,
    pub(super) persist_at: Timer,
    pub(super) last_sent: Instant,
    /// SND.UNA when the host was last told of progress.
    pub(super) reported: Seq,
    /// The acknowledgement number that the host waits for.
    pub(super) awaited: Seq,
    /// When the host is told of the progress since then.
    pub(super) report_at: Timer,
    pub(super) counts: SenderCounts,
    pub(super) events: Events,
}

impl Sender {
    /// See [`Tcb::new`](super::Tcb::new).
    pub fn new(state: &ConnectionState, now: Instant) -> Result<Self, HandoverStatus> {
        let una = Seq(state.send.snd_una);
        let nxt = Seq(state.send.snd_nxt);
        let has = |flag| state.flags & flag != 0;
        let sound = nxt - una <= MAX_FLIGHT
            && state.send.snd_wnd <= MAX_SND_WINDOW
            && state.snd_wscale <= MAX_WSCALE
            && (has(state_flag::WINDOW_SCALE) || state.snd_wscale == 0)
            && (has(state_flag::ECN) || !has(state_flag::CWR))
            && state.send.cwnd > 0;
        if !sound {
            return Err(HandoverStatus::BadState);
        }
        if state.mss < MIN_MSS {
            return Err(HandoverStatus::Unsupported);
        }
        let mss = u32::from(state.mss);
        let ssthresh = match state.send.ssthresh {
            u32::MAX => u32::MAX,
            segments => segments.max(2).saturating_mul(mss),
        };
        let rtt = Rtt::new(
            state.send.srtt_us,
            state.send.rttvar_us,
            state.send.min_rtt_us,
            state.send.rto_us,
        );
        let mut sender = Self {
            board: Scoreboard::new(una, nxt, now),
            end: una,
            host_sent: una,
            window: state.send.snd_wnd,
            wl1: Seq(state.snd_wl1),
            max_window: state.max_window.clamp(state.send.snd_wnd, MAX_SND_WINDOW),
            wscale: state.snd_wscale,
            mss,
            push: una,
            small: una,
            more: false,
            pushed: una,
            nodelay: has(state_flag::NODELAY),
            cork: has(state_flag::CORK),
            keep_cwnd: has(state_flag::KEEP_CWND),
            report_sent: has(state_flag::REPORT_SENT),
            cwnd_limit: 0,
            sack: has(state_flag::SACK),
            ecn: has(state_flag::ECN),
            cwr: has(state_flag::CWR),
            reduced: has(state_flag::CWR).then_some(nxt),
            limited: false,
            cwnd_unused: 0,
            ca_state: CaState::Open,
            probe: None,
            timeouts: u8::try_from(state.backoff).unwrap_or(u8::MAX),
            probes: 0,
            patience: Patience::default(),
            unanswered: None,
            high: una,
            duplicates: 0,
            flight: nxt - una,
            rtt,
            timed: None,
            cubic: Cubic::new(state.send.cwnd.saturating_mul(mss), ssthresh),
            rack: Rack::new(una, state.reordering),
            prr: Prr::default(),
            undo: Undo::none(),
            tail: None,
            rto_at: Timer::OFF,
            tail_at: Timer::OFF,
            reorder_at: Timer::OFF,
            persist_at: Timer::OFF,
            last_sent: now,
            counts: SenderCounts::default(),
            reported: una,
            awaited: una,
            report_at: Timer::OFF,
            events: Events::default(),
        };
        if nxt != una {
            sender.rto_at = Timer::at(now + u64::from(rtt.rto()));
            sender.arm(now, true);
        }
        Ok(sender)
    }

    /// Adds submitted payload: see [`Tcb::submit`](super::Tcb::submit).
    pub fn submit(&mut self, seq: Seq, length: u32, push: bool, more: bool) -> Result<(), Reason> {
        let submitted = self.end - self.board.una().min(self.end);
        if seq != self.end || length == 0 || length > MAX_FLIGHT - submitted {
            return Err(Reason::Submission);
        }
        self.end = seq + length;
        self.more = more;
        if push {
            self.push = self.end;
        }
        Ok(())
    }

    /// Sets the acknowledgement number that the host waits for. The peer may have sent it already.
    pub fn set_awaited(&mut self, seq: Seq) {
        self.awaited = seq;
        if self.has_awaited() {
            self.report();
        }
    }

    /// Whether what the host waits for is acknowledged, and the host has not been told. Nothing is
    /// awaited if `awaited` is not after `reported`.
    fn has_awaited(&self) -> bool {
        (self.awaited - self.reported).wrapping_sub(1) < self.board.una() - self.reported
    }

    /// SND.UNA.
    #[inline]
    pub fn una(&self) -> Seq {
        self.board.una()
    }

    /// SND.NXT.
    #[inline]
    pub fn nxt(&self) -> Seq {
        self.board.nxt()
    }

    /// Highest acknowledgement number the peer may send: SND.NXT, or the end of what the host's own
    /// stack has sent beyond it.
    #[inline]
    pub fn acknowledgeable(&self) -> Seq {
        self.board.nxt().max(self.host_sent.min(self.end))
    }

    /// The host's own stack sends payload up to `end`. Counts only payload that was also submitted
    /// to the adapter.
    pub fn on_host_payload(&mut self, end: Seq) {
        // SND.UNA may be past all that was submitted, by so much that `end` cannot be compared with
        // that alone.
        let una = self.board.una();
        if end - una <= self.end.max(una) - una {
            self.host_sent = self.host_sent.max(end);
        }
    }

    /// Sequence number for a segment without payload: SND.NXT, but not beyond the peer's window,
    /// where a probe may have been sent; the peer would reject the segment. The error from scaling
    /// an open window is tolerated, since the peer knows its window exactly.
    #[inline]
    pub fn acceptable_seq(&self) -> Seq {
        let nxt = self.board.nxt();
        let end = self.window_end().max(self.una());
        let rounded_off = match self.window {
            0 => 0,
            _ => (1 << self.wscale) - 1,
        };
        if nxt.at_most(end + rounded_off) {
            nxt
        } else {
            end
        }
    }

    /// Requests an `Acked` completion.
    pub fn report(&mut self) {
        self.events.acked = true;
        self.reported = self.board.una();
        self.report_at = Timer::OFF;
    }

    /// Requests an `Acked` completion for the progress that an ACK has made. It is delayed until the
    /// host can do something with it: what it waits for, or all payload, is acknowledged.
    pub(super) fn progressed(&mut self, now: Instant) {
        let una = self.board.una();
        if self.has_awaited() || una.max(self.end) == una {
            self.report();
        } else if !self.report_at.is_on() {
            self.report_at.start(now + REPORT_DELAY);
        }
    }

    /// Events since the last call.
    #[inline]
    pub fn take_events(&mut self) -> Events {
        core::mem::take(&mut self.events)
    }

    /// State of the send side. The counters of the whole connection (`segs_out`, `segs_in`) are 0.
    pub fn state(&self) -> SendState {
        SendState {
            snd_una: self.una().0,
            snd_nxt: self.nxt().0,
            snd_wnd: self.window,
            cwnd: self.cwnd_segments(),
            ssthresh: self.ssthresh_segments(),
            srtt_us: self.rtt.srtt(),
            rttvar_us: self.rtt.rttvar(),
            min_rtt_us: self.rtt.min(),
            rto_us: self.rtt.rto(),
            retransmits: self.counts.retransmits,
            bytes_retransmitted: self.counts.bytes_retransmitted,
            delivered: self.counts.delivered,
            ..SendState::default()
        }
    }

    /// Exports the sending half of the state for the host, beyond [`Self::state`].
    pub fn export(&self, now: Instant, state: &mut ConnectionState) {
        for (flag, set) in [
            (state_flag::SACK, self.sack),
            (state_flag::ECN, self.ecn),
            (state_flag::CWR, self.cwr),
            (state_flag::NODELAY, self.nodelay),
            (state_flag::CORK, self.cork),
            (state_flag::KEEP_CWND, self.keep_cwnd),
            (state_flag::REPORT_SENT, self.report_sent),
        ] {
            if set {
                state.flags |= flag;
            }
        }
        state.snd_wscale = self.wscale;
        state.mss = self.mss as u16;
        state.send.cwnd = self.cwnd_for_host();
        state.snd_wl1 = self.wl1.0;
        state.max_window = self.max_window;
        state.reordering = self.rack.reordering();
        state.backoff = u32::from(self.timeouts);
        state.unanswered_us = self.unanswered.map_or(0, |since| {
            u32::try_from(now - since).unwrap_or(u32::MAX).max(1)
        });
        state.data_segs_out = self.counts.data_segments;
        state.delivered_ce = self.counts.delivered_ce;
    }

    /// Bytes submitted and not sent.
    #[inline]
    pub fn unsent(&self) -> u32 {
        if self.end.after(self.board.nxt()) {
            self.end - self.board.nxt()
        } else {
            0
        }
    }

    /// Right edge of the peer's window.
    #[inline]
    pub fn window_end(&self) -> Seq {
        self.board.una() + self.window
    }

    /// Bytes in flight. Without SACK, each duplicate ACK stands for one delivered segment (RFC 5681
    /// 3.2, step 4; RFC 3042).
    #[inline]
    pub fn pipe(&self) -> u32 {
        let pipe = self.board.pipe();
        if self.sack {
            pipe
        } else {
            pipe.saturating_sub(self.duplicates.saturating_mul(self.mss))
        }
    }

    /// Bytes that the congestion window allows to be sent.
    #[inline]
    pub fn room(&self) -> u32 {
        self.cubic.cwnd().saturating_sub(self.pipe())
    }

    /// Grain of the scoreboard's send times: 1/16 to 1/8 of SRTT, a power of two in microseconds.
    #[inline]
    pub fn grain(&self) -> u32 {
        1 << (self.rtt.srtt() / 8).max(GRAIN_MIN).ilog2()
    }

    /// Congestion window in segments, at least 1.
    pub fn cwnd_segments(&self) -> u32 {
        (self.cubic.cwnd() / self.mss).max(1)
    }

    /// Slow start threshold in segments, `u32::MAX` if never set.
    pub fn ssthresh_segments(&self) -> u32 {
        match self.cubic.ssthresh() {
            u32::MAX => u32::MAX,
            bytes => bytes / self.mss,
        }
    }

    /// Congestion window for the host's TCP, in segments. During a reduction, the window at its
    /// end.
    pub fn cwnd_for_host(&self) -> u32 {
        match self.ca_state {
            CaState::Open | CaState::Loss => self.cwnd_segments(),
            CaState::Cwr | CaState::Recovery => self.cwnd_segments().max(self.ssthresh_segments()),
        }
    }

    /// Inputs to RACK.
    pub(super) fn path(&self) -> rack::Path {
        rack::Path {
            min_rtt: self.rtt.min(),
            srtt: self.rtt.srtt(),
            grain: self.grain(),
            suspicious: self.ca_state != CaState::Open || self.duplicates >= rack::DUP_THRESH,
        }
    }

    /// Starts a reduction of the congestion window, which lasts until everything outstanding is
    /// acknowledged.
    pub(super) fn reduce(&mut self, ca_state: CaState) {
        if matches!(self.ca_state, CaState::Open) {
            self.cubic.on_congestion(self.mss);
            self.prr = Prr::new(self.board.outstanding(), self.cwnd_unused);
            self.high = self.board.nxt();
            self.undo.begin(self.board.una());
            self.announce_reduction();
        }
        self.ca_state = ca_state;
        self.tail = None;
        self.tail_at = Timer::OFF;
        self.events.acked = true;
    }

    /// The congestion window was reduced, for whatever reason: tells the peer (RFC 3168 6.1.2).
    pub(super) fn announce_reduction(&mut self) {
        self.cwr = self.ecn;
        self.reduced = Some(self.board.nxt());
    }

    /// The reduction was none.
    pub(super) fn withdraw_reduction(&mut self) {
        self.cwr = false;
        self.reduced = None;
    }

    /// Earliest timer.
    #[inline]
    pub fn timer(&self) -> Timer {
        self.protocol_timer().min(self.report_at)
    }

    /// Earliest timer that may send.
    #[inline]
    pub fn protocol_timer(&self) -> Timer {
        self.rto_at
            .min(self.tail_at)
            .min(self.reorder_at)
            .min(self.persist_at)
            .min(self.give_up_at())
    }
}
