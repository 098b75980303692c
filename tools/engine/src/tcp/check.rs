// SPDX-License-Identifier: GPL-2.0

//! Checks of received segments: RFC 9293 3.10.7.4, RFC 7323 5.3 and RFC 5961.

use toe_abi::completion::Reason;

use super::Tcb;
use super::segment::Drop;
use super::segment::Range;
use super::segment::Segment;
use super::segment::Special;
use super::segment::Verdict;
use super::segment::flag;
use super::seq::Seq;
use super::time::Instant;

/// Most payload of a segment, in bytes: that of the largest IP datagram.
const MAX_SEGMENT: u32 = 65_535;

impl Tcb {
    /// Checks a segment. Returns the reason for which only the host's TCP can process its payload, if
    /// there is one and the connection is not in legacy mode.
    ///
    /// # Errors
    ///
    /// The verdict if the segment must not be processed.
    pub(super) fn check(
        &mut self,
        now: Instant,
        segment: &Segment,
    ) -> Result<Option<Special>, Verdict> {
        let has = |flag| segment.flags & flag != 0;
        let legacy = self.receiver.is_legacy();
        if segment.signed {
            return Err(Verdict::Drop(Drop::Signed));
        }
        if has(flag::SYN) {
            // RFC 5961 4.2: irrespective of the sequence number. A peer that has restarted answers
            // with a RST.
            self.receiver.challenge(now);
            return Err(Verdict::Drop(Drop::Blind));
        }
        let old = segment
            .timestamps
            .is_some_and(|timestamps| self.receiver.paws_rejects(now, timestamps.value));
        if old && !has(flag::RST) {
            self.receiver.answer(now, segment);
            return Err(Verdict::Drop(Drop::Paws));
        }
        if !has(flag::ACK) && !has(flag::RST) {
            return Err(Verdict::Drop(Drop::NoAck));
        }
        let gap = segment.length > 0 && self.receiver.is_unconfirmed(segment.payload());
        // A FIN needs no window.
        if !gap && !self.receiver.acceptable(segment.seq, segment.length) {
            return Err(self.unacceptable(now, segment));
        }
        if has(flag::RST) {
            if self.receiver.is_reset(segment.seq) {
                return Err(Verdict::Return(Reason::Reset));
            }
            self.receiver.challenge(now);
            return Err(Verdict::Drop(Drop::Blind));
        }
        // RFC 5961 5.2, for both bounds.
        if segment.ack.after(self.sender.acknowledgeable()) {
            self.receiver.challenge(now);
            return Err(Verdict::Drop(Drop::FutureAck));
        }
        if !self.sender.ack_is_new_enough(segment.ack) {
            self.receiver.challenge(now);
            return Err(Verdict::Drop(Drop::OldAck));
        }
        if has(flag::URG) {
            return Err(Verdict::Return(Reason::Urgent));
        }
        if has(flag::FIN) {
            return Err(Verdict::Return(Reason::Fin));
        }
        if segment.ip_options {
            return Err(Verdict::Return(Reason::Option));
        }
        // RFC 7323 3.2: every segment carries timestamps once they are negotiated.
        let bare = self.clock.is_some() && segment.timestamps.is_none();
        // The host's TCP ignores unknown options, and has nothing to receive without payload.
        Ok(if legacy || segment.length == 0 {
            None
        } else if segment.unknown_option || bare {
            Some(Special::Option)
        } else {
            gap.then_some(Special::Gap)
        })
    }

    /// Processes the first fragment of a segment with these sequence and acknowledgement numbers.
    /// Returns whether the peer may have sent it. The connection is returned then: the host's TCP
    /// receives the segment when it is complete.
    pub fn on_fragment(&mut self, now: Instant, numbers: Option<(Seq, Seq)>) -> bool {
        let plausible = numbers.is_some_and(|(seq, ack)| {
            let payload = Range {
                start: seq,
                end: seq + MAX_SEGMENT,
            };
            (self.receiver.acceptable(seq, MAX_SEGMENT) || self.receiver.is_unconfirmed(payload))
                && !ack.after(self.sender.acknowledgeable())
                && self.sender.ack_is_new_enough(ack)
        });
        if !plausible {
            self.receiver.challenge(now);
        }
        plausible
    }

    /// Handles a segment that is not in the window.
    fn unacceptable(&mut self, now: Instant, segment: &Segment) -> Verdict {
        if segment.flags & flag::RST != 0 {
            return Verdict::Drop(Drop::Window);
        }
        // RFC 9293 3.10.7.4: valid ACKs count while the window is closed.
        if self.receiver.is_behind_probe(segment)
            && segment.ack.after(self.sender.una())
            && segment.ack.at_most(self.sender.acknowledgeable())
        {
            self.sender.on_ack(now, segment, self.clock.as_ref());
        }
        let plain = segment.flags & (flag::FIN | flag::URG) == 0 && !segment.ip_options;
        if self.receiver.is_legacy() {
            if plain {
                return Verdict::Upload(None);
            }
            self.receiver.challenge(now);
            return Verdict::Drop(Drop::Window);
        }
        self.receiver.answer(now, segment);
        if segment.length > 0 && segment.payload().end.at_most(self.receiver.nxt()) {
            let wire_segments = u32::from(segment.wire_segments.max(1));
            self.counts.duplicates = self.counts.duplicates.wrapping_add(wire_segments);
            return Verdict::Duplicate;
        }
        if plain && self.receiver.probes_exhausted(segment) {
            return Verdict::Upload(Some(Special::Window));
        }
        Verdict::Drop(Drop::Window)
    }
}
