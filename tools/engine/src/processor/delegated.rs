// SPDX-License-Identifier: GPL-2.0

//! Received frames of delegated connections.

use toe_abi::completion::Reason;
use toe_abi::stats::Counter;

use super::core::Core;
use super::port_frame::PortFrame;
use super::rings::RingSet;
use crate::counters::Counters;
use crate::dct::Buffers;
use crate::dct::Connection;
use crate::dct::FramePool;
use crate::dct::Protocol;
use crate::dct::Tcp;
use crate::env::Env;
use crate::ring::Completions;
use crate::ring::HostError;
use crate::storage::Pages;
use crate::tcp::Instant;
use crate::tcp::Seq;
use crate::tcp::Special;
use crate::tcp::Trimmed;
use crate::tcp::Verdict;
use crate::tcp::flag;

/// What to do with a connection after a frame.
enum Outcome {
    /// Nothing: the frame was dropped.
    Dropped,
    /// Settle it at the end of the batch.
    Changed,
    /// Settle it, and send an acknowledgement at once.
    Answer,
    /// Upload the frame. If it is special, the connection enters legacy mode.
    Upload(Option<Special>),
    /// Return it, followed by the frame.
    Return(Reason),
}

/// Arguments for receiving a frame, borrowed from the processor and the connection.
struct Receive<'a, E> {
    now: u64,
    env: &'a mut E,
    completions: &'a mut Completions,
    pages: &'a mut Pages,
    held_frames: &'a mut FramePool,
    /// Maximum number of bytes of frames that the connection may hold.
    hold_limit: usize,
    counters: &'a mut Counters,
    buffers: &'a mut Buffers,
    starved_since: &'a mut Option<u64>,
}

impl Core {
    /// Takes a frame of the delegated connection in `slot`.
    #[inline]
    pub(super) fn delegated<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        slot: u32,
        frame: &PortFrame<'_>,
    ) -> Result<(), HostError> {
        let Some((connection, pools)) = self.table.parts(slot) else {
            return Ok(());
        };
        if connection.returning.is_some() {
            self.counters.count(Counter::RxNoCompletion);
            return Ok(());
        }
        self.counters
            .add(Counter::ToeRxSegments, u64::from(frame.segments));
        let Connection {
            protocol,
            buffers,
            starved_since,
            ..
        } = connection;
        let receive = Receive {
            now,
            env,
            completions: &mut rings.completions,
            pages: &mut self.storage.supply.payload,
            held_frames: &mut pools.frames,
            hold_limit: self.config.hold_connection as usize,
            counters: &mut self.counters,
            buffers,
            starved_since,
        };
        let outcome = match protocol {
            Protocol::Tcp(tcp) => receive.tcp(tcp, frame)?,
        };
        match outcome {
            Outcome::Dropped => {}
            Outcome::Changed => self.touch(slot),
            Outcome::Answer => {
                // With what precedes the segment: the peer would take that for lost.
                if protocol.has_undelivered() {
                    self.touch(slot);
                    self.settle(env, rings)?;
                }
                self.send_turn(now, env, rings, slot, 1)?;
                self.touch(slot);
            }
            Outcome::Upload(entering) => {
                self.legacy_frame(now, env, rings, slot, frame, entering)?;
                self.touch(slot);
            }
            Outcome::Return(reason) => {
                self.return_connection(now, env, rings, slot, reason, Some(frame))?;
            }
        }
        Ok(())
    }
}

impl<E: Env> Receive<'_, E> {
    /// Takes a frame of a TCP connection.
    #[inline]
    fn tcp(mut self, tcp: &mut Tcp, frame: &PortFrame<'_>) -> Result<Outcome, HostError> {
        let now = Instant(self.now);
        let Some(segment) = frame.segment() else {
            // The checksum of a fragment cannot be verified.
            return Ok(match tcp.tcb.on_fragment(now, frame.fragment()) {
                true => Outcome::Return(Reason::Fragment),
                false => {
                    self.counters.count(Counter::ToeUnacceptable);
                    Outcome::Changed
                }
            });
        };
        if frame.checksum_ok() == Some(false) {
            self.counters.count(Counter::RxCsumError);
            return Ok(Outcome::Dropped);
        }
        let push = segment.flags & flag::PSH != 0;
        match tcp.tcb.on_segment(now, &segment) {
            Verdict::Done => {}
            Verdict::Duplicate => self.counters.count(Counter::ToeDuplicates),
            Verdict::Drop(_) => self.counters.count(Counter::ToeUnacceptable),
            Verdict::Upload(entering) => return Ok(Outcome::Upload(entering)),
            Verdict::Return(reason) => return Ok(Outcome::Return(reason)),
            Verdict::Deliver(trimmed) => return self.deliver(tcp, frame, &trimmed, push),
            Verdict::Hold(trimmed) => {
                let held = frame.held(&trimmed, push);
                let bytes = self.buffers.held.bytes() as usize + frame.bytes.len();
                if bytes > self.hold_limit
                    || !self
                        .buffers
                        .held
                        .insert(self.held_frames, frame.bytes, &held)
                {
                    return Ok(Outcome::Upload(Some(Special::OutOfOrder)));
                }
                tcp.tcb.accept(now, &trimmed);
                self.counters.count(Counter::ToeOutOfOrder);
                // The peer's loss recovery needs an acknowledgement for each segment out of order.
                return Ok(Outcome::Answer);
            }
        }
        Ok(Outcome::Changed)
    }

    /// Places the payload `trimmed` of `frame`, which is in order, and held payload that it makes
    /// contiguous. Drops it when there are not enough pages. Returns the connection when an area
    /// cannot take its part.
    #[inline]
    fn deliver(
        &mut self,
        tcp: &mut Tcp,
        frame: &PortFrame<'_>,
        trimmed: &Trimmed,
        push: bool,
    ) -> Result<Outcome, HostError> {
        let end = trimmed.seq + trimmed.length;
        let more = self.buffers.held.contiguous(self.held_frames, end);
        let length = (trimmed.length + more) as usize;
        let reassembly = &mut self.buffers.reassembly;
        if !reassembly.fits(self.pages, self.completions, length) {
            self.starved_since.get_or_insert(self.now);
            self.counters.count(Counter::ToeNoPage);
            return Ok(Outcome::Changed);
        }
        if !reassembly.accessible(self.env, length) {
            return Ok(Outcome::Return(Reason::Submission));
        }
        *self.starved_since = None;
        let skip = trimmed.skip as usize;
        let payload = frame.packet.payload(frame.bytes);
        let payload = &payload[skip..skip + trimmed.length as usize];
        reassembly.note_timestamp(tcp.tcb.ts_recent());
        reassembly.place(self.env, self.pages, self.completions, trimmed.seq, payload)?;
        reassembly.note_push(push);
        let contiguous = tcp.tcb.accept(Instant(self.now), trimmed);
        self.drain(end, contiguous)?;
        self.counters
            .add(Counter::ToeRxBytes, u64::from(contiguous - trimmed.seq));
        Ok(Outcome::Changed)
    }

    /// Places held payload from `from` up to `end`, which is contiguous.
    fn drain(&mut self, from: Seq, end: Seq) -> Result<(), HostError> {
        let Buffers {
            reassembly, held, ..
        } = &mut *self.buffers;
        let mut at = from;
        while let Some(first) = held.first(self.held_frames).copied() {
            if first.seq.at_least(end) {
                break;
            }
            let stop = first.end().min(end);
            if stop.after(at) {
                let offset = first.offset + (at - first.seq);
                for bytes in self.held_frames.bytes(&first, offset, stop - at) {
                    reassembly.place(self.env, self.pages, self.completions, at, bytes)?;
                    at = at + bytes.len() as u32;
                }
                reassembly.note_push(first.push);
            }
            held.pop(self.held_frames);
        }
        Ok(())
    }
}
