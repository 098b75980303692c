// SPDX-License-Identifier: GPL-2.0

//! Hand-over of connections from the host.

use toe_abi::Layout;
use toe_abi::completion::CompletionOp;
use toe_abi::completion::Delegated;
use toe_abi::completion::HandoverStatus;
use toe_abi::connection::ConnectionState;
use toe_abi::connection::flag;
use toe_abi::feature;
use toe_abi::stats::Counter;
use toe_abi::submission::Delegate;

use super::core::Core;
use super::rings::RingSet;
use crate::dct;
use crate::dct::Connection;
use crate::dct::Protocol;
use crate::dct::Tcp;
use crate::env::Env;
use crate::flow::UploadedAck;
use crate::ring::HostError;
use crate::tcp::Delivery;
use crate::tcp::Instant;
use crate::tcp::Seq;
use crate::tcp::Tcb;
use crate::tuple::Key;
use crate::tuple::Tuple;
use crate::wire::ethernet;

impl Core {
    /// Takes a connection over and answers the request. The caller has reserved a completion.
    pub(super) fn delegate<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        request: &Delegate,
        state: &ConnectionState,
        stopping: bool,
    ) -> Result<(), HostError> {
        let mut answer = Delegated {
            op: CompletionOp::Delegated.raw(),
            status: HandoverStatus::Ok.raw(),
            host_id: request.host_id,
            device_id: 0,
            rcv_nxt: 0,
        };
        match self.take_over(now, request.host_id, state, stopping) {
            Ok((slot, device_id, rcv_nxt)) => {
                answer.device_id = device_id;
                answer.rcv_nxt = rcv_nxt.0;
                self.counters.count(Counter::Delegated);
                self.counters
                    .set(Counter::Connections, self.table.len() as u64);
                self.touch(slot);
            }
            Err(status) => {
                answer.status = status.raw();
                self.counters.count(Counter::Refused);
            }
        }
        rings.completions.write(env, &answer.to_bytes())
    }

    /// Takes a connection over. Returns its slot, its identifier, and the end of the contiguous payload
    /// that the host has or will get in frames that were uploaded before.
    ///
    /// # Errors
    ///
    /// The status for the host. No state has changed.
    fn take_over(
        &mut self,
        now: u64,
        host_id: u32,
        state: &ConnectionState,
        stopping: bool,
    ) -> Result<(u32, u32, Seq), HandoverStatus> {
        if state.flags & !flag::ALL != 0 || !self.accepts(feature::DELEGATION) {
            return Err(HandoverStatus::Unsupported);
        }
        let valid = state.local_port != 0
            && state.remote_port != 0
            && state.ttl != 0
            && state.flow_label >> 20 == 0
            && !ethernet::is_multicast(state.local_mac)
            && !ethernet::is_multicast(state.remote_mac);
        if !valid {
            return Err(HandoverStatus::BadState);
        }
        if !dct::fits(state, state.mss, self.mtu) {
            return Err(HandoverStatus::Unsupported);
        }
        let key = Key::new(Tuple::of_state(state), self.config.seed);
        if self.table.find(&key).is_some() {
            return Err(HandoverStatus::Exists);
        }
        let processor = self.steering.of_tuple(&key.tuple, self.filter.mac());
        if processor != Some(self.config.index) {
            return Err(HandoverStatus::WrongProcessor);
        }
        if self.table.is_full() || stopping {
            return Err(HandoverStatus::TableFull);
        }
        let uploaded = self
            .flows
            .uploaded(now, &key, Seq(state.rcv_nxt))
            .ok_or(HandoverStatus::Busy)?;
        let mut current = match &uploaded.ack {
            Some(ack) => with_ack(state, ack)?,
            None => *state,
        };
        if uploaded.hole {
            current.set(flag::OUT_OF_ORDER, true);
        }
        let tcb = Tcb::new(&current, uploaded.end, Instant(now))?;
        let begins_in_legacy_mode = tcb.delivery() != Delivery::Direct;
        if begins_in_legacy_mode && !self.accepts(feature::LEGACY) {
            // The host has to catch up first.
            return Err(HandoverStatus::Busy);
        }
        let protocol = Protocol::Tcp(Tcp::new(&key.tuple, state, tcb));
        let connection = Connection::new(key, host_id, Seq(state.send.snd_una), protocol);
        let (slot, device_id) = self
            .table
            .insert(connection)
            .ok_or(HandoverStatus::TableFull)?;
        self.counters
            .add(Counter::LegacyEntered, u64::from(begins_in_legacy_mode));
        Ok((slot, device_id, uploaded.end))
    }
}

/// `state` after `ack`, an acknowledgement that was uploaded and that the host may not have processed
/// yet. It must not be lost: the peer may not repeat the acknowledgement or the wider window.
fn with_ack(state: &ConnectionState, ack: &UploadedAck) -> Result<ConnectionState, HandoverStatus> {
    let (una, nxt) = (Seq(state.send.snd_una), Seq(state.send.snd_nxt));
    let wl1 = Seq(state.snd_wl1);
    let window = u32::from(ack.window)
        .checked_shl(u32::from(state.snd_wscale))
        .ok_or(HandoverStatus::BadState)?;
    let updates_window =
        ack.ack == una && (ack.seq.after(wl1) || ack.seq == wl1 && window > state.send.snd_wnd);
    let mut state = *state;
    if ack.ack.after(una) && ack.ack.at_most(nxt) || updates_window {
        state.send.snd_una = ack.ack.0;
        state.snd_wl1 = ack.seq.0;
        state.send.snd_wnd = window;
        state.max_window = state.max_window.max(window);
    }
    Ok(state)
}
