// SPDX-License-Identifier: GPL-2.0

//! What the host asks about delegated connections.

use toe_abi::Layout;
use toe_abi::completion::Delegated;
use toe_abi::completion::Op as Completion;
use toe_abi::completion::Reason;
use toe_abi::completion::Status;
use toe_abi::connection;
use toe_abi::connection::Connection as State;
use toe_abi::ring::SUBMISSION_ENTRY;
use toe_abi::stats::Counter;
use toe_abi::submission::Bind;
use toe_abi::submission::DELEGATE_ENTRIES;
use toe_abi::submission::Delegate;
use toe_abi::submission::Op;
use toe_abi::submission::Return;
use toe_abi::submission::SEND_FRAGS;
use toe_abi::submission::Send;
use toe_abi::submission::Update;
use toe_abi::submission::send_flag;
use toe_abi::submission::update;

use super::core::Core;
use super::core::RingSet;
use crate::dct::Connection;
use crate::env::Env;
use crate::env::Frag;
use crate::ring::HostError;
use crate::storage::Area;
use crate::tcp::Instant;
use crate::tcp::Seq;
use crate::tcp::Tcb;
use crate::tuple::Key;
use crate::tuple::Tuple;
use crate::wire::ethernet;

/// All bits that [`connection::flag`] has.
const KNOWN_FLAGS: u16 = connection::flag::IPV6
    | connection::flag::TIMESTAMPS
    | connection::flag::SACK
    | connection::flag::WINDOW_SCALE
    | connection::flag::ECN
    | connection::flag::VLAN
    | connection::flag::NODELAY
    | connection::flag::CORK
    | connection::flag::ECN_ECHO;

impl Core {
    /// Carries out submissions, `budget` at most. True when one waits for room in the completion
    /// ring.
    ///
    /// # Errors
    ///
    /// [`HostError`] for an entry that is no submission: the ring cannot be followed any further.
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
            match Op::from_raw(entry[0]).ok_or(HostError)? {
                Op::Delegate => {
                    if rings.submission.available() < DELEGATE_ENTRIES as u32 {
                        return Err(HostError);
                    }
                    if !rings.completions.reserve(1) {
                        return Ok(true);
                    }
                    let mut bytes = [0; State::SIZE];
                    let mut at = 0;
                    while at < bytes.len() {
                        let offset = 1 + (at / SUBMISSION_ENTRY) as u32;
                        let read = rings.submission.read(env, offset, &mut bytes[at..])?;
                        at += read as usize * SUBMISSION_ENTRY;
                    }
                    let request = Delegate::from_bytes(&entry);
                    let state = State::from_bytes(&bytes);
                    self.delegate(now, env, rings, &request, &state, stopping)?;
                    taken = DELEGATE_ENTRIES as u32;
                }
                Op::Send => {
                    let send = Send::from_bytes(&entry);
                    if let Some(place) = self.active(send.device_id) {
                        if self.submit(place, &send).is_none() {
                            let reason = Reason::Submission;
                            self.return_connection(now, env, rings, place, reason, None)?;
                        } else {
                            self.touch(place);
                        }
                    }
                }
                Op::Return => {
                    let request = Return::from_bytes(&entry);
                    if let Some(place) = self.active(request.device_id) {
                        let reason = Reason::Host;
                        self.return_connection(now, env, rings, place, reason, None)?;
                    }
                }
                Op::Bind => {
                    let request = Bind::from_bytes(&entry);
                    if let Some(place) = self.active(request.device_id) {
                        if self.bind(place, &request).is_none() {
                            let reason = Reason::Submission;
                            self.return_connection(now, env, rings, place, reason, None)?;
                        }
                    }
                }
                Op::Update => {
                    let request = Update::from_bytes(&entry);
                    if let Some(place) = self.active(request.device_id) {
                        if self.update(place, &request).is_none() {
                            let reason = Reason::Submission;
                            self.return_connection(now, env, rings, place, reason, None)?;
                        } else {
                            self.touch(place);
                        }
                    }
                }
            }
            rings.submission.take(taken);
        }
        Ok(false)
    }

    /// The place of the connection that `device_id` names; counted when it is back already.
    fn active(&mut self, device_id: u32) -> Option<u32> {
        let place = self.table.by_id(device_id);
        let active = place.filter(|&place| {
            self.table
                .get(place)
                .is_some_and(|connection| connection.returning.is_none())
        });
        if active.is_none() {
            self.counters.count(Counter::ToeStale);
        }
        active
    }

    /// Answers a hand-over; the completion is reserved.
    fn delegate<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        request: &Delegate,
        state: &State,
        stopping: bool,
    ) -> Result<(), HostError> {
        let mut answer = Delegated {
            op: Completion::Delegated.raw(),
            status: Status::Ok.raw(),
            host_id: request.host_id,
            device_id: 0,
            rcv_nxt: 0,
        };
        match self.take_over(now, request.host_id, state, stopping) {
            Ok((place, device_id, rcv_nxt)) => {
                answer.device_id = device_id;
                answer.rcv_nxt = rcv_nxt.0;
                self.counters.count(Counter::Delegated);
                self.counters
                    .set(Counter::Connections, self.table.len() as u64);
                self.touch(place);
            }
            Err(status) => {
                answer.status = status.raw();
                self.counters.count(Counter::Refused);
            }
        }
        rings.completions.write(env, &answer.to_bytes())
    }

    /// Takes a connection over as a whole, or leaves no trace of it. Returns its place, its
    /// identifier and where delivery begins.
    fn take_over(
        &mut self,
        now: u64,
        host_id: u32,
        state: &State,
        stopping: bool,
    ) -> Result<(u32, u32, Seq), Status> {
        if state.flags & !KNOWN_FLAGS != 0 {
            return Err(Status::Unsupported);
        }
        let identity_fits = state.local_port != 0
            && state.remote_port != 0
            && state.ttl != 0
            && state.flow_label >> 20 == 0
            && !ethernet::is_multicast(state.local_mac)
            && !ethernet::is_multicast(state.remote_mac);
        if !identity_fits {
            return Err(Status::BadState);
        }
        let key = Key::new(Tuple::of_state(state), self.config.seed);
        if self.table.find(&key).is_some() {
            return Err(Status::Exists);
        }
        let processor = self.steering.of_tuple(&key.tuple, self.filter.mac());
        if processor != Some(self.config.index) {
            return Err(Status::WrongProcessor);
        }
        if self.table.is_full() || stopping {
            return Err(Status::TableFull);
        }
        let uploaded = self
            .flows
            .uploaded(now, &key, Seq(state.rcv_nxt))
            .ok_or(Status::Busy)?;
        // An acknowledgement or a wider window that is on its way up must not be lost: the peer may
        // not repeat it.
        let mut current = *state;
        if let Some(ack) = uploaded.ack {
            let (una, nxt, wl1) = (
                Seq(state.send.snd_una),
                Seq(state.send.snd_nxt),
                Seq(state.snd_wl1),
            );
            let window = u32::from(ack.window)
                .checked_shl(u32::from(state.snd_wscale))
                .ok_or(Status::BadState)?;
            let updates_window = ack.ack == una
                && (ack.seq.after(wl1) || ack.seq == wl1 && window > state.send.snd_wnd);
            if ack.ack.after(una) && ack.ack.at_most(nxt) || updates_window {
                current.send.snd_una = ack.ack.0;
                current.snd_wl1 = ack.seq.0;
                current.send.snd_wnd = window;
                current.max_window = current.max_window.max(window);
            }
        }
        let tcb = Tcb::new(&current, uploaded.end, Instant(now))?;
        let connection = Connection::new(key, host_id, state, tcb);
        let (place, device_id) = self.table.insert(connection).ok_or(Status::TableFull)?;
        Ok((place, device_id, uploaded.end))
    }

    /// Takes payload to send. `None` when the submission contradicts the connection's state.
    fn submit(&mut self, place: u32, send: &Send) -> Option<()> {
        let (connection, fragments, _) = self.table.parts(place)?;
        let count = usize::from(send.count);
        let contradicts = count == 0
            || count > SEND_FRAGS
            || Seq(send.seq) != connection.fragments.end()
            || fragments.available() < count;
        if contradicts {
            return None;
        }
        let mut total: u32 = 0;
        let pieces = send.addresses.iter().zip(&send.lengths).take(count);
        for (&address, &length) in pieces.clone() {
            address.checked_add(u64::from(length))?;
            total = total
                .checked_add(length)
                .filter(|&total| length != 0 && total < 1 << 30)?;
        }
        for (&address, &length) in pieces {
            if !connection
                .fragments
                .push(fragments, Frag { address, length })
            {
                return None;
            }
        }
        // What was acknowledged between the host's look at its state and the hand-over is skipped.
        let end = Seq(send.seq) + total;
        if end.after(connection.submitted) {
            let from = connection.submitted;
            let push = send.flags & send_flag::PUSH != 0;
            let more = send.flags & send_flag::MORE != 0;
            connection.tcb.submit(from, end - from, push, more).ok()?;
            connection.submitted = end;
        }
        Some(())
    }

    /// Binds an area of the application. `None` when it is none, or one too many.
    fn bind(&mut self, place: u32, request: &Bind) -> Option<()> {
        let area = Area::new(request)?;
        let connection = self.table.get(place)?;
        connection.reassembly.bind(area).then_some(())
    }

    /// Takes new values. `None` when one is impossible.
    fn update(&mut self, place: u32, request: &Update) -> Option<()> {
        let connection = self.table.get(place)?;
        let valid = |bit: u16| request.valid & bit != 0;
        if valid(update::REMOTE_MAC) {
            if ethernet::is_multicast(request.remote_mac) {
                return None;
            }
            connection.set_remote_mac(request.remote_mac);
        }
        if valid(update::MSS) {
            connection.tcb.set_mss(request.mss).ok()?;
        }
        if valid(update::FLAGS) {
            connection.tcb.set_flags(request.flags);
        }
        if valid(update::RCV_EDGE) {
            connection.tcb.set_rcv_edge(Seq(request.rcv_edge));
        }
        Some(())
    }
}
