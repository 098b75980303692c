// SPDX-License-Identifier: GPL-2.0

//! Segments of delegated connections on their way to the port, and reports of their progress.

use toe_abi::Layout;
use toe_abi::completion::Reason;
use toe_abi::stats::Counter;

use super::core::Core;
use super::core::RingSet;
use super::core::mark;
use crate::counters::WireFrames;
use crate::dct::MAX_HEADER;
use crate::env::Env;
use crate::env::Fault;
use crate::env::Offload;
use crate::env::OutFrame;
use crate::env::SendError;
use crate::gso;
use crate::ring::HostError;
use crate::tcp::Instant;
use crate::tcp::Outgoing;
use crate::wire::ethernet;

/// Payload that a connection sends in one turn, in bytes.
const TURN: u32 = 65_536;

impl Core {
    /// Lets connections send in turn, `budget` segments at most. True when the port has no room.
    pub(super) fn send<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        budget: usize,
    ) -> Result<bool, HostError> {
        if let Some((id, segment)) = self.stalled.take() {
            if let Some(place) = self.table.by_id(id) {
                self.send_segment(now, env, rings, place, id, &segment)?;
                if self.stalled.is_some() {
                    return Ok(true);
                }
                self.make_ready(place);
            }
        }
        let mut budget = budget;
        while budget != 0 {
            let Some(place) = self.ready.pop_front() else {
                break;
            };
            self.table.unmark(place, mark::READY);
            budget -= self.send_turn(now, env, rings, place, budget)?;
            if self.stalled.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets the connection at `place` send `budget` segments at most, or [`TURN`] bytes. Returns how
    /// many it has sent. When the port has no room, the segment it did not take is in `stalled`, and
    /// nobody sends before it.
    pub(super) fn send_turn<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        place: u32,
        budget: usize,
    ) -> Result<usize, HostError> {
        let mut turn = TURN;
        let mut sent = 0;
        loop {
            let Some((id, connection)) = self.table.active(place) else {
                return Ok(sent);
            };
            if turn == 0 || sent == budget || self.stalled.is_some() {
                self.make_ready(place);
                return Ok(sent);
            }
            let limit = if self.capabilities.tso {
                connection.template.max_payload()
            } else {
                1
            };
            let Some(segment) = connection.tcb.poll_transmit(Instant(now), limit) else {
                self.take_news(place);
                self.set_timer(place);
                return Ok(sent);
            };
            turn = turn.saturating_sub(segment.length.max(1));
            sent += 1;
            self.send_segment(now, env, rings, place, id, &segment)?;
        }
    }

    /// Sends one segment; when the port has no room it is kept for the next round.
    #[inline]
    fn send_segment<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        place: u32,
        id: u32,
        segment: &Outgoing,
    ) -> Result<(), HostError> {
        match self.put_segment(env, place, segment) {
            Ok(()) => {}
            Err(SendError::Full) => self.stalled = Some((id, *segment)),
            Err(SendError::Fault) => {
                self.counters.count(Counter::TxFault);
                let reason = Reason::Submission;
                self.return_connection(now, env, rings, place, reason, None)?;
            }
            Err(SendError::Rejected) => self.counters.count(Counter::TxDropped),
        }
        Ok(())
    }

    /// Gives one segment to the port.
    #[inline]
    fn put_segment<E: Env>(
        &mut self,
        env: &mut E,
        place: u32,
        segment: &Outgoing,
    ) -> Result<(), SendError> {
        let Some((connection, fragments, _)) = self.table.parts(place) else {
            return Ok(());
        };
        let mut head = [0; MAX_HEADER];
        let header = connection.template.emit(segment, &mut head);
        let head = &head[..header];
        let partial = connection.template.partial();
        let gso = connection.template.gso(segment, header);
        let offload = Offload {
            checksum: Some(partial),
            gso,
        };
        let frags = &mut self.scratch.frags;
        let gathered = connection
            .fragments
            .gather(fragments, segment.seq, segment.length, frags);
        // TCP asks only for what was submitted.
        let (count, bytes) = gathered.ok_or(SendError::Rejected)?;
        if self.capabilities.checksum && bytes == segment.length {
            env.send(&OutFrame {
                header: head,
                payload: &frags[..count],
                offload,
            })?;
        } else {
            let frame = &mut self.scratch.frame;
            frame[..head.len()].copy_from_slice(head);
            let mut at = head.len();
            let mut seq = segment.seq;
            let end = segment.seq + segment.length;
            while seq != end {
                let (count, bytes) = connection
                    .fragments
                    .gather(fragments, seq, end - seq, frags)
                    .ok_or(SendError::Rejected)?;
                for frag in &frags[..count] {
                    let to = frame.get_mut(at..at + frag.length as usize);
                    let read = to.ok_or(Fault).and_then(|to| env.read(frag.address, to));
                    read.map_err(|Fault| SendError::Fault)?;
                    at += frag.length as usize;
                }
                seq = seq + bytes;
            }
            let offload = if self.capabilities.checksum {
                offload
            } else {
                let (start, offset) = (partial.start, partial.offset);
                gso::complete_checksum(&mut frame[..at], start.into(), offset.into());
                Offload::default()
            };
            env.send(&OutFrame {
                header: &frame[..at],
                payload: &[],
                offload,
            })?;
        }
        let size = gso.map_or(0, |gso| gso.size.into());
        let frames = WireFrames::new(header, segment.length as usize, size);
        self.counters.sent(ethernet::destination(head), frames);
        let frames = frames.count;
        self.counters.add(Counter::ToeTxSegments, frames);
        if segment.retransmit {
            self.counters.add(Counter::ToeRetransmits, frames);
        } else {
            self.counters
                .add(Counter::ToeTxBytes, u64::from(segment.length));
        }
        Ok(())
    }

    /// Writes an `Acked` for every connection that has progress to report and finds room.
    pub(super) fn report<E: Env>(
        &mut self,
        env: &mut E,
        rings: &mut RingSet,
    ) -> Result<(), HostError> {
        while let Some(&place) = self.reports.front() {
            if let Some(connection) = self.table.get(place) {
                if !rings.completions.reserve(1) {
                    break;
                }
                let acked = connection.tcb.acked(connection.host_id);
                rings.completions.write(env, &acked.to_bytes())?;
            }
            self.reports.pop_front();
            self.table.unmark(place, mark::REPORT);
        }
        Ok(())
    }
}
