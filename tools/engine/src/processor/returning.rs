// SPDX-License-Identifier: GPL-2.0

//! Return of connections to the host.

use core::mem;

use toe_abi::Layout;
use toe_abi::completion::CompletionOp;
use toe_abi::completion::NO_PAGE;
use toe_abi::completion::RETURNED_ENTRIES;
use toe_abi::completion::Reason;
use toe_abi::completion::Returned;
use toe_abi::connection::ConnectionState;
use toe_abi::ring::COMPLETION_ENTRY;
use toe_abi::stats::Counter;

use super::core::Core;
use super::core::mark;
use super::port_frame::PortFrame;
use super::rings::RingSet;
use crate::dct::HeldFrames;
use crate::env::Env;
use crate::ring::HostError;
use crate::storage;
use crate::storage::Stored;
use crate::tcp::Trimmed;

/// A pass over all connections skips this many free slots for the cost of a connection.
const SWEEP_COST: usize = 16;

impl Core {
    /// Returns the connection in `slot`, followed by `cause`, the frame that is the reason for it, if
    /// there is one. When the completion ring has no room, the return is completed in a later round;
    /// until then the connection neither sends nor receives.
    pub(super) fn return_connection<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        slot: u32,
        reason: Reason,
        cause: Option<&PortFrame<'_>>,
    ) -> Result<(), HostError> {
        let Some((connection, pools)) = self.table.parts(slot) else {
            return Ok(());
        };
        if connection.returning.is_some() {
            return Ok(());
        }
        connection.returning = Some(reason);
        let pages = &mut self.storage.supply.payload;
        let buffers = &mut connection.buffers;
        buffers
            .reassembly
            .flush(env, pages, &mut rings.completions)?;
        if let Some(frame) = cause {
            let nothing = Trimmed {
                seq: connection.protocol.received(),
                skip: 0,
                length: 0,
            };
            let held = frame.held(&nothing, false);
            if !buffers.held.append(&mut pools.frames, frame.bytes, &held) {
                // Same as a frame for which the host has no page.
                self.counters.count(Counter::RxNoPage);
            }
        }
        if !self.complete_return(now, env, rings, slot)? && self.table.mark(slot, mark::RETURN) {
            self.returns.push_back(slot);
        }
        Ok(())
    }

    /// Starts a pass over all connections ([`Core::sweep`]).
    pub(super) fn start_sweep(&mut self) {
        self.sweep = Some(0);
    }

    /// Continues the pass over all connections: returns those that are assigned to another
    /// processor, or all of them when `stopping`. Looks at about `budget` connections. Returns whether
    /// there are more.
    pub(super) fn sweep<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        budget: usize,
        stopping: bool,
    ) -> Result<bool, HostError> {
        let Some(start) = self.sweep.take() else {
            return Ok(false);
        };
        let mut budget = budget * SWEEP_COST;
        for slot in start..self.table.slots() {
            if budget == 0 {
                self.sweep = Some(slot);
                return Ok(true);
            }
            budget -= 1;
            let Some(connection) = self.table.get(slot) else {
                continue;
            };
            budget = budget.saturating_sub(SWEEP_COST - 1);
            let tuple = &connection.key.tuple;
            let mac = self.filter.mac();
            let reason = if stopping {
                Reason::Stop
            } else if self.steering.of_tuple(tuple, mac) != Some(self.config.index) {
                Reason::Moved
            } else {
                continue;
            };
            self.return_connection(now, env, rings, slot, reason, None)?;
        }
        Ok(false)
    }

    /// Completes at most `budget` returns for which there was no room before. Returns whether there
    /// may be room for more.
    pub(super) fn complete_returns<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        budget: usize,
    ) -> Result<bool, HostError> {
        for _ in 0..budget {
            let Some(&slot) = self.returns.front() else {
                return Ok(false);
            };
            if !self.complete_return(now, env, rings, slot)? {
                return Ok(false);
            }
            self.returns.pop_front();
            self.table.unmark(slot, mark::RETURN);
        }
        Ok(!self.returns.is_empty())
    }

    /// Writes the completions of the return of the connection in `slot`: its state, then the frames
    /// that it held. Returns false when the completion ring has no room.
    fn complete_return<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        slot: u32,
    ) -> Result<bool, HostError> {
        let Some(connection) = self.table.get(slot) else {
            return Ok(true);
        };
        let Some(reason) = connection.returning else {
            return Ok(true);
        };
        // Wait for room for all frames, but for no more than half of the ring. Further frames are
        // dropped, like any frame without room.
        let frames = connection.buffers.held.count();
        let want = RETURNED_ENTRIES as u32 + frames * storage::MAX_ENTRIES;
        let room = rings.completions.room();
        if room < want.min(rings.completions.entries() / 2) {
            return Ok(false);
        }
        if !rings.completions.reserve(RETURNED_ENTRIES as u32) {
            return Ok(false);
        }
        let at = rings.completions.skip(RETURNED_ENTRIES as u32);
        connection.protocol.delivered();
        let received = connection.protocol.received();
        let state = connection.protocol.export(now);
        let page = connection
            .buffers
            .reassembly
            .close(&mut self.storage.supply.payload);
        let (key, host_id) = (connection.key, connection.host_id);
        let mut held = mem::replace(&mut connection.buffers.held, HeldFrames::new());

        self.flows.begin(now, &key, received);
        let (mut uploaded, mut answered) = (0, 0);
        while let Some((payload, stored)) = self.upload_held(now, env, rings, &mut held, host_id)? {
            if stored == Stored::Done {
                uploaded += 1;
                // The frame that caused the return is held without payload.
                answered += u16::from(payload.start != payload.end);
            }
        }

        let returned = Returned {
            op: CompletionOp::Returned.raw(),
            reason: reason.raw(),
            frames: uploaded,
            host_id,
            page: page.unwrap_or(NO_PAGE),
            held: answered,
        };
        rings.completions.fill(env, at, &returned.to_bytes())?;
        let bytes: [u8; ConnectionState::SIZE] = state.to_bytes();
        for (i, raw) in bytes.chunks_exact(COMPLETION_ENTRY).enumerate() {
            let mut entry = [0; COMPLETION_ENTRY];
            entry.copy_from_slice(raw);
            rings
                .completions
                .fill(env, at.wrapping_add(1 + i as u32), &entry)?;
        }
        self.wheel.cancel(slot);
        self.table.remove(slot);
        self.counters.count(Counter::Returned);
        self.counters
            .set(Counter::Connections, self.table.len() as u64);
        Ok(true)
    }
}
