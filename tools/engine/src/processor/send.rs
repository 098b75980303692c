// SPDX-License-Identifier: GPL-2.0

//! Packets that delegated connections send.

use toe_abi::completion::Reason;
use toe_abi::stats::Counter;

use super::core::Core;
use super::core::mark;
use super::rings::RingSet;
use crate::counters::WireFrames;
use crate::dct::Packet;
use crate::dct::Submitted;
use crate::env::Env;
use crate::env::Fault;
use crate::env::Offload;
use crate::env::OutFrame;
use crate::env::Partial;
use crate::env::SendError;
use crate::gso;
use crate::ring::HostError;
use crate::wire::ethernet;

/// Maximum number of payload bytes that a connection sends in one turn.
const TURN: u32 = 65_536;

impl Core {
    /// Lets connections send in turn, at most `budget` packets. Returns true when the port has no
    /// room.
    pub(super) fn send<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        budget: usize,
    ) -> Result<bool, HostError> {
        if let Some((id, packet)) = self.stalled.take() {
            if let Some(slot) = self.table.by_id(id) {
                self.send_packet(now, env, rings, slot, id, packet)?;
                if self.stalled.is_some() {
                    return Ok(true);
                }
                self.make_ready(slot);
            }
        }
        let mut budget = budget;
        while budget != 0 {
            let Some(slot) = self.ready.pop_front() else {
                break;
            };
            self.table.unmark(slot, mark::READY);
            budget -= self.send_turn(now, env, rings, slot, budget)?;
            if self.stalled.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets the connection in `slot` send at most `budget` packets and [`TURN`] bytes. Returns the
    /// number of packets. A packet for which the port has no room stays in [`Core::stalled`], and no
    /// connection sends before it has been sent.
    pub(super) fn send_turn<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        slot: u32,
        budget: usize,
    ) -> Result<usize, HostError> {
        let mut turn = TURN;
        let mut sent = 0;
        loop {
            let Some((id, connection, pools)) = self.table.active_parts(slot) else {
                return Ok(sent);
            };
            if turn == 0 || sent == budget || self.stalled.is_some() {
                self.make_ready(slot);
                return Ok(sent);
            }
            let records = Submitted {
                buffer: &connection.buffers.send,
                pool: &pools.frags,
            };
            let tso = self.capabilities.tso;
            let Some(packet) = connection.protocol.next_packet(now, tso, &records) else {
                self.take_events(slot);
                self.set_timer(slot);
                return Ok(sent);
            };
            turn = turn.saturating_sub(packet.length.max(1));
            sent += 1;
            self.send_packet(now, env, rings, slot, id, packet)?;
        }
    }

    /// Sends a packet, or keeps it for the next round when the port has no room.
    #[inline]
    fn send_packet<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        slot: u32,
        id: u32,
        packet: Packet,
    ) -> Result<(), HostError> {
        match self.put_packet(env, slot, &packet) {
            Ok(()) => {}
            Err(SendError::Full) => self.stalled = Some((id, packet)),
            Err(SendError::Fault) => {
                self.counters.count(Counter::TxFault);
                let reason = Reason::Submission;
                self.return_connection(now, env, rings, slot, reason, None)?;
            }
            Err(SendError::Rejected) => self.counters.count(Counter::TxDropped),
        }
        Ok(())
    }

    /// Passes a packet to the port.
    #[inline]
    fn put_packet<E: Env>(
        &mut self,
        env: &mut E,
        slot: u32,
        packet: &Packet,
    ) -> Result<(), SendError> {
        let Some((connection, pools)) = self.table.parts(slot) else {
            return Ok(());
        };
        let buffer = &mut connection.buffers.send;
        let frags = &mut self.scratch.frags;
        // The protocol sends only payload that was submitted, so the range is in the buffer.
        let (count, bytes) = buffer
            .gather(&pools.frags, packet.seq, packet.length, frags)
            .ok_or(SendError::Rejected)?;
        if self.capabilities.checksum && bytes == packet.length {
            env.send(&OutFrame {
                header: packet.header(),
                payload: &frags[..count],
                offload: packet.offload,
            })?;
        } else {
            self.put_copy(env, slot, packet)?;
        }
        let header = packet.header();
        let size = packet.offload.gso.map_or(0, |gso| gso.size.into());
        let frames = WireFrames::new(header.len(), packet.length as usize, size);
        self.counters.sent(ethernet::destination(header), frames);
        let frames = frames.count;
        self.counters.add(Counter::ToeTxSegments, frames);
        if packet.retransmit {
            self.counters.add(Counter::ToeRetransmits, frames);
        } else {
            self.counters
                .add(Counter::ToeTxBytes, u64::from(packet.length));
        }
        Ok(())
    }

    /// Passes a copy of a packet to the port, for a port without checksum offload or a payload of too
    /// many fragments.
    fn put_copy<E: Env>(
        &mut self,
        env: &mut E,
        slot: u32,
        packet: &Packet,
    ) -> Result<(), SendError> {
        let Some((connection, pools)) = self.table.parts(slot) else {
            return Ok(());
        };
        let buffer = &mut connection.buffers.send;
        let (frame, frags) = (&mut self.scratch.frame, &mut self.scratch.frags);
        let header = packet.header();
        frame[..header.len()].copy_from_slice(header);
        let mut at = header.len();
        let mut seq = packet.seq;
        let end = packet.seq + packet.length;
        while seq != end {
            let (count, bytes) = buffer
                .gather(&pools.frags, seq, end - seq, frags)
                .ok_or(SendError::Rejected)?;
            for frag in &frags[..count] {
                let to = frame.get_mut(at..at + frag.length as usize);
                let read = to.ok_or(Fault).and_then(|to| frag.read(env, to));
                read.map_err(|Fault| SendError::Fault)?;
                at += frag.length as usize;
            }
            seq = seq + bytes;
        }
        let mut offload = packet.offload;
        if !self.capabilities.checksum {
            if let Some(Partial { start, offset }) = offload.checksum {
                gso::complete_checksum(&mut frame[..at], start.into(), offset.into());
            }
            offload = Offload::default();
        }
        env.send(&OutFrame {
            header: &frame[..at],
            payload: &[],
            offload,
        })
    }
}
