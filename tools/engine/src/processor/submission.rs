// SPDX-License-Identifier: GPL-2.0

//! Submissions: the host's requests about delegated connections.

use toe_abi::Layout;
use toe_abi::completion::Reason;
use toe_abi::connection::ConnectionState;
use toe_abi::feature;
use toe_abi::ring::SUBMISSION_ENTRY;
use toe_abi::stats::Counter;
use toe_abi::submission::Bind;
use toe_abi::submission::DELEGATE_ENTRIES;
use toe_abi::submission::Delegate;
use toe_abi::submission::MAX_SEND;
use toe_abi::submission::Resync;
use toe_abi::submission::Return;
use toe_abi::submission::SEND_FRAGS;
use toe_abi::submission::Send;
use toe_abi::submission::SubmissionOp;
use toe_abi::submission::Update;
use toe_abi::submission::send_flag;

use super::core::Core;
use super::rings::RingSet;
use crate::env::Env;
use crate::env::Frag;
use crate::ring::HostError;
use crate::storage::Area;
use crate::tcp::Seq;

impl Core {
    /// Carries out at most `budget` submissions. Returns true when one waits for room in the
    /// completion ring.
    ///
    /// # Errors
    ///
    /// [`HostError`] for an unknown or truncated submission: the position of the next one is unknown.
    pub(super) fn submissions<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        budget: usize,
        stopping: bool,
    ) -> Result<bool, HostError> {
        let mut budget = budget;
        while budget != 0 && rings.submission.available() != 0 {
            budget -= 1;
            let mut entry = [0; SUBMISSION_ENTRY];
            rings.submission.read(env, 0, &mut entry)?;
            let mut taken = 1;
            match SubmissionOp::from_raw(entry[0]).ok_or(HostError)? {
                SubmissionOp::Delegate => {
                    if rings.submission.available() < DELEGATE_ENTRIES as u32 {
                        return Err(HostError);
                    }
                    if !rings.completions.reserve(1) {
                        return Ok(true);
                    }
                    let mut bytes = [0; ConnectionState::SIZE];
                    let mut at = 0;
                    while at < bytes.len() {
                        let offset = 1 + (at / SUBMISSION_ENTRY) as u32;
                        let read = rings.submission.read(env, offset, &mut bytes[at..])?;
                        at += read as usize * SUBMISSION_ENTRY;
                    }
                    let request = Delegate::from_bytes(&entry);
                    let state = ConnectionState::from_bytes(&bytes);
                    self.delegate(now, env, rings, &request, &state, stopping)?;
                    taken = DELEGATE_ENTRIES as u32;
                }
                SubmissionOp::Send => {
                    let request = Send::from_bytes(&entry);
                    if let Some(slot) = self.active(request.device_id) {
                        match self.submit(slot, &request) {
                            Ok(()) => self.touch(slot),
                            Err(reason) => {
                                self.return_connection(now, env, rings, slot, reason, None)?;
                            }
                        }
                    }
                }
                SubmissionOp::Return => {
                    let request = Return::from_bytes(&entry);
                    if let Some(slot) = self.active(request.device_id) {
                        self.return_connection(now, env, rings, slot, Reason::Host, None)?;
                    }
                }
                SubmissionOp::Resync => {
                    let request = Resync::from_bytes(&entry);
                    if let Some(slot) = self.active(request.device_id) {
                        self.resync(now, env, rings, slot, &request)?;
                        self.touch(slot);
                    }
                }
                SubmissionOp::Bind => {
                    let request = Bind::from_bytes(&entry);
                    if let Some(slot) = self.active(request.device_id) {
                        if let Err(reason) = self.bind(slot, &request) {
                            self.return_connection(now, env, rings, slot, reason, None)?;
                        }
                    }
                }
                SubmissionOp::Update => {
                    let request = Update::from_bytes(&entry);
                    if let Some(slot) = self.active(request.device_id) {
                        match self.update(slot, &request) {
                            Ok(()) => self.touch(slot),
                            Err(reason) => {
                                self.return_connection(now, env, rings, slot, reason, None)?;
                            }
                        }
                    }
                }
            }
            rings.submission.take(taken);
        }
        Ok(false)
    }

    /// Slot of the connection with identifier `device_id`. Counts a request for a connection that
    /// has been returned or whose return is pending.
    fn active(&mut self, device_id: u32) -> Option<u32> {
        let slot = self.table.by_id(device_id);
        let active = slot.filter(|&slot| self.table.active(slot).is_some());
        if active.is_none() {
            self.counters.count(Counter::ToeStale);
        }
        active
    }

    /// Takes payload to send.
    ///
    /// # Errors
    ///
    /// The reason to return the connection: the request contradicts its state, or fragments have run
    /// out.
    fn submit(&mut self, slot: u32, request: &Send) -> Result<(), Reason> {
        let (connection, pools) = self.table.parts(slot).ok_or(Reason::Submission)?;
        let buffer = &mut connection.buffers.send;
        let count = usize::from(request.count);
        let possible = (1..=SEND_FRAGS).contains(&count)
            && Seq(request.seq) == buffer.end()
            && count <= pools.frags.available();
        if !possible {
            return Err(Reason::Submission);
        }
        let frags = request.addresses.iter().zip(&request.lengths).take(count);
        let mut total: u32 = 0;
        for (&address, &length) in frags.clone() {
            let end = address.checked_add(u64::from(length));
            total = total
                .checked_add(length)
                .filter(|&total| end.is_some() && length != 0 && total < MAX_SEND)
                .ok_or(Reason::Submission)?;
        }
        let eor = request.flags & send_flag::EOR != 0;
        for (i, (&address, &length)) in frags.enumerate() {
            let ends_record = eor && i + 1 == count;
            if !buffer.push(&mut pools.frags, Frag::host(address, length), ends_record) {
                return Err(Reason::Submission);
            }
        }
        let push = request.flags & send_flag::PUSH != 0;
        let more = request.flags & send_flag::MORE != 0;
        let end = buffer.end();
        connection.protocol.submit(end, push, more)?;
        connection.protocol.set_awaited(Seq(request.awaited));
        Ok(())
    }

    /// Binds an area of the application.
    ///
    /// # Errors
    ///
    /// `Submission` when the area is invalid, there are too many, or the host has not accepted the
    /// feature.
    fn bind(&mut self, slot: u32, request: &Bind) -> Result<(), Reason> {
        if !self.accepts(feature::BIND) {
            return Err(Reason::Submission);
        }
        let area = Area::new(request).ok_or(Reason::Submission)?;
        let connection = self.table.get(slot).ok_or(Reason::Submission)?;
        let bound = connection.buffers.reassembly.bind(area);
        bound.then_some(()).ok_or(Reason::Submission)
    }

    /// Applies new values from the host.
    ///
    /// # Errors
    ///
    /// `Submission` for a value out of range.
    fn update(&mut self, slot: u32, request: &Update) -> Result<(), Reason> {
        let connection = self.table.get(slot).ok_or(Reason::Submission)?;
        connection.protocol.update(request, self.mtu)
    }
}
