// SPDX-License-Identifier: GPL-2.0

//! Connections on their way back to the host.

use core::mem;

use toe_abi::Layout;
use toe_abi::completion::NO_PAGE;
use toe_abi::completion::RETURNED_ENTRIES;
use toe_abi::completion::Reason;
use toe_abi::completion::Returned;
use toe_abi::connection::Connection as State;
use toe_abi::ring::COMPLETION_ENTRY;
use toe_abi::stats::Counter;

use super::core::Core;
use super::core::RingSet;
use super::core::mark;
use super::receive::Arrival;
use super::receive::held;
use crate::env::Env;
use crate::ring::HostError;
use crate::storage;
use crate::storage::Stored;
use crate::tcp::Instant;
use crate::tcp::Trimmed;
use crate::tuple::Key;
use crate::tuple::Tuple;

impl Core {
    /// Returns the connection at `place`, with the frame that is the cause, if there is one, behind
    /// it. When the completion ring has no room for that, it is done in a later round; until then
    /// the connection neither sends nor receives.
    pub(super) fn return_connection<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        place: u32,
        reason: Reason,
        cause: Option<&Arrival<'_>>,
    ) -> Result<(), HostError> {
        let Some((connection, _, hold)) = self.table.parts(place) else {
            return Ok(());
        };
        if connection.returning.is_some() {
            return Ok(());
        }
        connection.returning = Some(reason);
        let pages = &mut self.storage.supply.payload;
        connection
            .reassembly
            .flush(env, pages, &mut rings.completions)?;
        if let Some(arrival) = cause {
            let nothing = Trimmed {
                seq: connection.tcb.rcv_nxt(),
                skip: 0,
                length: 0,
            };
            let held = held(arrival, &nothing, false);
            if !connection.held.append(hold, arrival.frame, &held) {
                // As if it had been lost on the way to a host without pages.
                self.counters.count(Counter::RxNoPage);
            }
        }
        if !self.complete_return(now, env, rings, place)? && self.table.mark(place, mark::RETURN) {
            self.returns.push_back(place);
        }
        Ok(())
    }

    /// Completes returns for which there was no room.
    pub(super) fn complete_returns<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
    ) -> Result<(), HostError> {
        while let Some(&place) = self.returns.front() {
            if !self.complete_return(now, env, rings, place)? {
                break;
            }
            self.returns.pop_front();
            self.table.unmark(place, mark::RETURN);
        }
        Ok(())
    }

    /// Returns the connection at `place` if there is room: state first, then what was held. False
    /// when there is none.
    fn complete_return<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        place: u32,
    ) -> Result<bool, HostError> {
        let Some(connection) = self.table.get(place) else {
            return Ok(true);
        };
        let Some(reason) = connection.returning else {
            return Ok(true);
        };
        // Wait for room for everything; but when half of the ring is not enough, the frames that
        // find no room are dropped as any frame would be.
        let frames = connection.held.count();
        let want = RETURNED_ENTRIES as u32 + frames * storage::MAX_ENTRIES;
        let room = rings.completions.room();
        if room < want.min(rings.completions.entries() / 2) {
            return Ok(false);
        }
        if !rings.completions.reserve(RETURNED_ENTRIES as u32) {
            return Ok(false);
        }
        let at = rings.completions.skip(RETURNED_ENTRIES as u32);
        let rcv_nxt = connection.tcb.rcv_nxt();
        connection.tcb.delivered(rcv_nxt);
        let state = connection.export(Instant(now));
        let page = connection
            .reassembly
            .close(&mut self.storage.supply.payload);
        let (key, host_id) = (connection.key, connection.host_id);
        let mut held = mem::replace(&mut connection.held, crate::dct::hold::List::new());

        let mut frame = mem::take(&mut self.scratch.frame);
        self.flows.begin(now, &key, rcv_nxt);
        let mut uploaded = 0;
        while let Some(&first) = held.first(&self.table.hold) {
            let mut length = 0;
            for bytes in self.table.hold.bytes(&first, 0, first.frame_length) {
                frame[length..length + bytes.len()].copy_from_slice(bytes);
                length += bytes.len();
            }
            held.pop(&mut self.table.hold);
            if let Some(arrival) = Arrival::new(&frame[..length], &first.offload) {
                let stored = self.upload_legacy(now, env, rings, &arrival, host_id)?;
                uploaded += u16::from(stored == Stored::Done);
            }
        }
        self.scratch.frame = frame;

        let returned = Returned {
            op: toe_abi::completion::Op::Returned.raw(),
            reason: reason.raw(),
            frames: uploaded,
            host_id,
            page: page.unwrap_or(NO_PAGE),
        };
        rings.completions.fill(env, at, &returned.to_bytes())?;
        let bytes: [u8; State::SIZE] = state.to_bytes();
        for (i, raw) in bytes.chunks_exact(COMPLETION_ENTRY).enumerate() {
            let mut entry = [0; COMPLETION_ENTRY];
            entry.copy_from_slice(raw);
            rings
                .completions
                .fill(env, at.wrapping_add(1 + i as u32), &entry)?;
        }
        self.wheel.cancel(place);
        self.table.remove(place);
        self.counters.count(Counter::Returned);
        self.counters
            .set(Counter::Connections, self.table.len() as u64);
        Ok(true)
    }

    fn upload_legacy<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        arrival: &Arrival<'_>,
        host_id: u32,
    ) -> Result<Stored, HostError> {
        let hash = self.steering.of_packet(&arrival.packet, arrival.frame).hash;
        let tuple = Tuple::of_received(&arrival.packet, arrival.frame);
        let key = tuple.map(|tuple| Key::new(tuple, self.config.seed));
        let legacy = Some(host_id);
        self.upload(now, env, rings, arrival, key.as_ref(), hash, legacy)
    }
}
