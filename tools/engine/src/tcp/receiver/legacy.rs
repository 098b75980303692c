// SPDX-License-Identifier: GPL-2.0

//! Legacy mode: frames that only the host's TCP can process, and the way back to direct delivery.
//!
//! ```text
//!             enter_legacy: a special frame                resume: the uploaded payload is contiguous
//!   +--------+ ----------------------------> +--------+ ----------------------------> +-------------+
//!   | Direct |                               | Legacy |                               | Provisional |
//!   +--------+                               +--------+ <---------------------------- +-------------+
//!        ^                                              enter_legacy, or on_resync:         |
//!        |                                              the host is out of step             |
//!        +----------------------------------------------------------------------------------+
//!                             on_resync: the host is in step
//! ```
//!
//! A connection also begins in legacy mode if the host has not processed everything that was uploaded
//! before the hand-over.
//!
//! In legacy mode every frame goes to the host's TCP, which acknowledges it in frames of its own.
//! The adapter copies their acknowledgement numbers. While payload arrives, they are always behind
//! it. So the adapter does not wait for the last one: it delivers payload again from the end of
//! what it has uploaded, provisionally, and acknowledges none of that until the host confirms that
//! its TCP has accepted all that was uploaded. The host's TCP may have dropped a frame; then the
//! host denies it, and the peer sends the payload again, which was not acknowledged.

use super::Receiver;
use crate::tcp::out_of_order::OutOfOrder;
use crate::tcp::segment::Range;
use crate::tcp::seq::Seq;
use crate::tcp::time::Instant;
use crate::tcp::time::SECOND;

/// Legacy frames and time without a confirmation of the host, after which the connection is better
/// returned. Both bounds have to be exceeded: an idle connection has all the time.
const MAX_FRAMES: u32 = 10_000;
const MAX_TIME: u64 = 10 * SECOND;

/// How received payload reaches the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The adapter delivers it.
    Direct,
    /// The adapter delivers it from `until` on, and the host has not confirmed yet that its TCP has
    /// all payload before `until`. The acknowledgement number does not exceed `limit`.
    Provisional {
        /// The host's TCP has all payload before this.
        limit: Seq,
        /// End of the uploaded payload.
        until: Seq,
    },
    /// The host's TCP receives whole frames. The acknowledgement number does not exceed `limit`.
    Legacy {
        /// The host's TCP has all payload before this.
        limit: Seq,
        /// Since the host denied that it is in step, new payload was uploaded, or the host has
        /// acknowledged more.
        changed: bool,
    },
}

/// The host's answer to a resumption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resync {
    /// First byte that the host's TCP has not received in order.
    pub rcv_nxt: Seq,
    /// The host's TCP has all uploaded payload, and no payload out of order.
    pub in_step: bool,
    /// The resumption that it answers.
    pub round: u32,
}

/// Counts of a connection that is not in direct delivery.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Legacy frames since the host was last in step.
    frames: u32,
    /// When legacy mode began, or the host was last in step.
    since: Instant,
    /// Number of the latest resumption.
    round: u32,
}

impl Counts {
    /// The counts of a connection that is handed over at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            ..Self::default()
        }
    }
}

/// What an answer of the host has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The host was in step, for the first time after this many microseconds.
    InStep(u64),
    /// The host was out of step when it processed an earlier resumption.
    Outdated,
    /// The host is out of step: legacy mode begins again. Payload that the caller holds out of order
    /// must be uploaded.
    OutOfStep,
}

impl Receiver {
    /// How received payload reaches the host.
    #[inline]
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// Whether received frames go to the host's TCP.
    #[inline]
    pub fn is_legacy(&self) -> bool {
        matches!(self.delivery, Delivery::Legacy { .. })
    }

    /// Whether the host has been passed some of `payload` and has not confirmed it. The host may have
    /// dropped it, so only the host can receive it again.
    pub fn is_unconfirmed(&self, payload: Range) -> bool {
        let (limit, end) = match self.delivery {
            Delivery::Direct => return false,
            Delivery::Provisional { limit, until } => (limit, until),
            Delivery::Legacy { limit, .. } => (limit, self.nxt),
        };
        payload.start.before(end) && payload.end.after(limit)
    }

    /// Whether payload is delivered provisionally that must not be acknowledged. An ACK would repeat
    /// the last one, SACK blocks behind that payload would say that it is lost, and the peer would
    /// take a block of a duplicate in it for a SACK. All wait for the host's answer.
    #[inline]
    pub(super) fn has_unconfirmed(&self) -> bool {
        match self.delivery {
            Delivery::Provisional { limit, .. } => limit != self.nxt,
            Delivery::Direct | Delivery::Legacy { .. } => false,
        }
    }

    /// Begins legacy mode. The caller uploads the frames that it holds out of order, and reports
    /// them by [`Self::uploaded`].
    pub fn enter_legacy(&mut self, now: Instant) {
        let limit = match self.delivery {
            Delivery::Direct => {
                self.counts.frames = 0;
                self.counts.since = now;
                self.nxt
            }
            Delivery::Provisional { limit, .. } | Delivery::Legacy { limit, .. } => limit,
        };
        self.begin_legacy(limit, true);
    }

    fn begin_legacy(&mut self, limit: Seq, changed: bool) {
        self.delivery = Delivery::Legacy { limit, changed };
        self.out_of_order = OutOfOrder::new();
        self.duplicate = None;
    }

    /// A legacy frame with the payload `range` has been stored in host memory. Returns false if the
    /// connection should be returned, because host and adapter have been out of step for too long.
    pub fn uploaded(&mut self, now: Instant, range: Range) -> bool {
        let Delivery::Legacy { changed, .. } = &mut self.delivery else {
            return true;
        };
        let range = Range {
            start: range.start.max(self.nxt),
            end: range.end.min(self.edge),
        };
        if range.start.before(range.end) {
            *changed = true;
            if range.start == self.nxt {
                self.nxt = self.out_of_order.advance(range.end);
            } else {
                // Without room the range is unknown. The host knows better when it is asked.
                self.out_of_order.insert(range);
            }
        }
        let Counts { frames, since, .. } = &mut self.counts;
        *frames = frames.saturating_add(1);
        *frames <= MAX_FRAMES || now - *since <= MAX_TIME
    }

    /// The host's TCP has received everything before `ack`.
    pub fn on_host_ack(&mut self, ack: Seq) {
        match &mut self.delivery {
            Delivery::Direct => {}
            Delivery::Provisional { limit, until } => *limit = limit.max(ack.min(*until)),
            Delivery::Legacy { limit, changed } => {
                // The host's TCP receives nothing beyond the window.
                if !ack.after(*limit) || ack.after(self.edge) {
                    return;
                }
                *limit = ack;
                *changed = true;
                if ack.after(self.nxt) {
                    self.nxt = self.out_of_order.advance(ack);
                }
                self.delivered = self.delivered.max(ack);
            }
        }
    }

    /// Whether [`Self::resume`] is possible.
    #[inline]
    pub fn can_resume(&self) -> bool {
        matches!(self.delivery, Delivery::Legacy { changed: true, .. })
            && self.out_of_order.is_empty()
    }

    /// Begins to deliver payload again, provisionally. Returns the first byte that is delivered and
    /// the number of the resumption.
    pub fn resume(&mut self) -> Option<(Seq, u32)> {
        let Delivery::Legacy { limit, .. } = self.delivery else {
            return None;
        };
        if !self.can_resume() {
            return None;
        }
        self.delivery = Delivery::Provisional {
            limit,
            until: self.nxt,
        };
        self.counts.round = self.counts.round.wrapping_add(1);
        Some((self.nxt, self.counts.round))
    }

    /// The host answers a resumption.
    pub fn on_resync(&mut self, now: Instant, answer: &Resync) -> Answered {
        self.on_host_ack(answer.rcv_nxt);
        let latest = answer.round == self.counts.round;
        let result = match self.delivery {
            Delivery::Provisional { until, limit } if latest => {
                let confirmed = answer.in_step && limit == until;
                // The host may have payload that it received before the hand-over.
                let ahead = answer.rcv_nxt.after(self.nxt) && answer.rcv_nxt.at_most(self.edge);
                if !confirmed || ahead {
                    // The host drops what was delivered after `until` and is not confirmed.
                    let limit = if ahead { answer.rcv_nxt } else { limit };
                    self.nxt = limit;
                    self.delivered = limit;
                    self.begin_legacy(limit, confirmed);
                    return Answered::OutOfStep;
                }
                self.delivery = Delivery::Direct;
                self.in_step(now)
            }
            Delivery::Provisional { .. } | Delivery::Legacy { .. } if answer.in_step => {
                self.in_step(now)
            }
            _ => Answered::Outdated,
        };
        if self.ack().after(self.last_ack) {
            self.ack_now();
        }
        result
    }

    fn in_step(&mut self, now: Instant) -> Answered {
        let elapsed = now - self.counts.since;
        self.counts.frames = 0;
        self.counts.since = now;
        Answered::InStep(elapsed)
    }
}
