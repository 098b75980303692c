// SPDX-License-Identifier: GPL-2.0

//! The send side as the adapter reports it.

use crate::{
    abi::{
        completion::Acked,
        connection as abi, //
    },
    tcp::sock::Progress, //
};

/// Returns the later of two sequence numbers.
pub(super) fn later(a: u32, b: u32) -> u32 {
    if (b.wrapping_sub(a) as i32) > 0 {
        b
    } else {
        a
    }
}

/// Totals of the latest report. The counters start at the hand-over.
#[derive(Clone, Copy, Default)]
pub(super) struct Totals {
    /// First byte not acknowledged.
    pub(super) snd_una: u32,
    /// First byte not sent.
    pub(super) snd_nxt: u32,
    /// Segments retransmitted.
    pub(super) retransmits: u32,
    /// Segments sent.
    pub(super) segs_out: u32,
    /// Segments received.
    pub(super) segs_in: u32,
    /// Bytes retransmitted, modulo 2^32.
    pub(super) bytes_retransmitted: u32,
    /// Segments known to have reached the peer.
    pub(super) delivered: u32,
}

/// The send side as an `Acked` or a `Returned` describes it. The counters start at the hand-over.
#[derive(Clone, Copy)]
pub(super) struct Report {
    pub(super) snd_una: u32,
    pub(super) snd_nxt: u32,
    pub(super) snd_wnd: u32,
    pub(super) cwnd: u32,
    pub(super) ssthresh: u32,
    pub(super) srtt_us: u32,
    pub(super) rttvar_us: u32,
    pub(super) min_rtt_us: u32,
    pub(super) rto_us: u32,
    pub(super) retransmits: u32,
    pub(super) segs_out: u32,
    pub(super) segs_in: u32,
    pub(super) bytes_retransmitted: u32,
    pub(super) delivered: u32,
}

impl From<&Acked> for Report {
    fn from(acked: &Acked) -> Self {
        Self {
            snd_una: acked.snd_una,
            snd_nxt: acked.snd_nxt,
            snd_wnd: acked.snd_wnd,
            cwnd: acked.cwnd,
            ssthresh: acked.ssthresh,
            srtt_us: acked.srtt_us,
            rttvar_us: acked.rttvar_us,
            min_rtt_us: acked.min_rtt_us,
            rto_us: acked.rto_us,
            retransmits: acked.retransmits,
            segs_out: acked.segs_out,
            segs_in: acked.segs_in,
            bytes_retransmitted: acked.bytes_retransmitted,
            delivered: acked.delivered,
        }
    }
}

impl From<&abi::Connection> for Report {
    fn from(state: &abi::Connection) -> Self {
        Self {
            snd_una: state.snd_una,
            snd_nxt: state.snd_nxt,
            snd_wnd: state.snd_wnd,
            cwnd: state.cwnd,
            ssthresh: state.ssthresh,
            srtt_us: state.srtt_us,
            rttvar_us: state.rttvar_us,
            min_rtt_us: state.min_rtt_us,
            rto_us: state.rto_us,
            retransmits: state.retransmits,
            segs_out: state.segs_out,
            segs_in: state.segs_in,
            // The low half is enough for the increment since the last report.
            bytes_retransmitted: state.bytes_retransmitted as u32,
            delivered: state.delivered,
        }
    }
}

impl Report {
    /// Returns what has changed since `last`, which this report replaces.
    pub(super) fn progress(&self, last: &mut Totals) -> Progress {
        let now = Totals {
            snd_una: self.snd_una,
            snd_nxt: later(last.snd_nxt, self.snd_nxt),
            retransmits: self.retransmits,
            segs_out: self.segs_out,
            segs_in: self.segs_in,
            bytes_retransmitted: self.bytes_retransmitted,
            delivered: self.delivered,
        };
        let last = core::mem::replace(last, now);
        Progress {
            snd_una: self.snd_una,
            snd_nxt: self.snd_nxt,
            snd_wnd: self.snd_wnd,
            cwnd: self.cwnd,
            ssthresh: self.ssthresh,
            srtt_us: self.srtt_us,
            rttvar_us: self.rttvar_us,
            min_rtt_us: self.min_rtt_us,
            rto_us: self.rto_us,
            retransmits: self.retransmits.wrapping_sub(last.retransmits),
            segs_out: self.segs_out.wrapping_sub(last.segs_out),
            segs_in: self.segs_in.wrapping_sub(last.segs_in),
            bytes_retransmitted: self
                .bytes_retransmitted
                .wrapping_sub(last.bytes_retransmitted),
            bytes_sent: now.snd_nxt.wrapping_sub(last.snd_nxt),
            delivered: self.delivered.wrapping_sub(last.delivered),
        }
    }
}
