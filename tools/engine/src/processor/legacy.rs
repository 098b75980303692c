// SPDX-License-Identifier: GPL-2.0

//! Legacy frames: whole frames of delegated connections for the host's TCP.

use core::mem;

use toe_abi::completion::Reason;
use toe_abi::feature;
use toe_abi::stats::Counter;
use toe_abi::submission::Resync;
use toe_abi::submission::resync_flag;

use super::core::Core;
use super::port_frame::PortFrame;
use super::rings::RingSet;
use crate::dct::HeldFrames;
use crate::env::Env;
use crate::ring::HostError;
use crate::storage::Stored;
use crate::tcp;
use crate::tcp::Answered;
use crate::tcp::Range;
use crate::tcp::Seq;
use crate::tcp::Special;
use crate::tuple::Key;
use crate::tuple::Tuple;

impl Core {
    /// Uploads a frame of the delegated connection in `slot` to the host's TCP. If it is special, the
    /// connection enters legacy mode before.
    #[cold]
    pub(super) fn legacy_frame<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        slot: u32,
        frame: &PortFrame<'_>,
        entering: Option<Special>,
    ) -> Result<(), HostError> {
        if let Some(special) = entering {
            if !self.enter_legacy(now, env, rings, slot)? {
                return self.return_connection(now, env, rings, slot, special.into(), Some(frame));
            }
            self.counters.count(Counter::LegacyEntered);
            self.counters.count(match special {
                Special::Option => Counter::LegacyOption,
                Special::OutOfOrder => Counter::LegacyOutOfOrder,
                Special::Gap => Counter::LegacyGap,
                Special::Window => Counter::LegacyWindow,
            });
        }
        let Some(connection) = self.table.get(slot) else {
            return Ok(());
        };
        let host_id = connection.host_id;
        let stored = self.upload_legacy(now, env, rings, frame, host_id)?;
        let payload = frame.segment().map(|segment| segment.payload());
        if let (Stored::Done, Some(payload)) = (stored, payload) {
            if !self.uploaded(now, slot, payload) {
                self.return_connection(now, env, rings, slot, Reason::OutOfStep, None)?;
            }
        }
        Ok(())
    }

    /// Lets the connection in `slot` enter legacy mode. Returns false if it cannot: the host does not
    /// take legacy frames, or areas of the application are bound, which take payload without gaps.
    fn enter_legacy<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        slot: u32,
    ) -> Result<bool, HostError> {
        let accepted = self.accepts(feature::LEGACY);
        let Some(connection) = self.table.get(slot) else {
            return Ok(false);
        };
        if !accepted || connection.buffers.reassembly.has_areas() {
            return Ok(false);
        }
        connection.starved_since = None;
        connection.protocol.enter_legacy(now);
        self.begin_legacy(now, env, rings, slot)?;
        Ok(true)
    }

    /// Passes everything that the connection in `slot` holds to the host: delivered payload first, then
    /// frames that it holds out of order.
    fn begin_legacy<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        slot: u32,
    ) -> Result<(), HostError> {
        let Some(connection) = self.table.get(slot) else {
            return Ok(());
        };
        let host_id = connection.host_id;
        let pages = &mut self.storage.supply.payload;
        let buffers = &mut connection.buffers;
        buffers
            .reassembly
            .flush(env, pages, &mut rings.completions)?;
        let mut held = mem::replace(&mut buffers.held, HeldFrames::new());
        while let Some((payload, stored)) = self.upload_held(now, env, rings, &mut held, host_id)? {
            if stored == Stored::Done {
                self.uploaded(now, slot, payload);
            }
        }
        Ok(())
    }

    /// Tells the protocol that the host's TCP gets `payload`. Returns false if the connection should be
    /// returned.
    fn uploaded(&mut self, now: u64, slot: u32, payload: Range) -> bool {
        self.counters.count(Counter::LegacyFrames);
        let Some(connection) = self.table.get(slot) else {
            return true;
        };
        connection.protocol.uploaded(now, payload)
    }

    /// Uploads and frees the first of the frames `held` by the connection `host_id`. Returns its payload,
    /// and whether it has been stored. `None` if there is none.
    pub(super) fn upload_held<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        held: &mut HeldFrames,
        host_id: u32,
    ) -> Result<Option<(Range, Stored)>, HostError> {
        let Some(&first) = held.first(self.table.frames()) else {
            return Ok(None);
        };
        let mut bytes = mem::take(&mut self.scratch.frame);
        let mut length = 0;
        for chunk in self.table.frames().bytes(&first, 0, first.frame_length) {
            bytes[length..length + chunk.len()].copy_from_slice(chunk);
            length += chunk.len();
        }
        held.pop(self.table.frames());
        let stored = match PortFrame::new(&bytes[..length], &first.offload) {
            Some(frame) => self.upload_legacy(now, env, rings, &frame, host_id),
            None => Ok(Stored::NoPage),
        };
        self.scratch.frame = bytes;
        let payload = Range {
            start: first.seq,
            end: first.end(),
        };
        Ok(Some((payload, stored?)))
    }

    /// Uploads a frame of the connection `host_id` to the host's TCP.
    fn upload_legacy<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        frame: &PortFrame<'_>,
        host_id: u32,
    ) -> Result<Stored, HostError> {
        let hash = self.steering.of_packet(&frame.packet, frame.bytes).hash;
        let tuple = Tuple::of_received(&frame.packet, frame.bytes);
        let key = tuple.map(|tuple| Key::new(tuple, self.config.seed));
        let legacy = Some(host_id);
        self.upload(now, env, rings, frame, key.as_ref(), hash, legacy)
    }

    /// Takes the host's answer to a resumption of the connection in `slot`.
    pub(super) fn resync<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        slot: u32,
        request: &Resync,
    ) -> Result<(), HostError> {
        let Some(connection) = self.table.get(slot) else {
            return Ok(());
        };
        let answer = tcp::Resync {
            rcv_nxt: Seq(request.rcv_nxt),
            in_step: request.flags & resync_flag::IN_STEP != 0,
            round: request.round,
        };
        let answered = connection.protocol.on_resync(now, &answer);
        let areas = connection.buffers.reassembly.has_areas();
        self.counters
            .add(Counter::LegacyRefused, u64::from(!answer.in_step));
        match answered {
            Answered::InStep(elapsed) => {
                self.counters.count(Counter::LegacyResynced);
                self.counters.add(Counter::LegacyTime, elapsed);
            }
            Answered::Outdated => {}
            // What was placed in an area cannot be placed again.
            Answered::OutOfStep if areas => {
                self.return_connection(now, env, rings, slot, Reason::Gap, None)?;
            }
            Answered::OutOfStep => self.begin_legacy(now, env, rings, slot)?,
        }
        Ok(())
    }
}
