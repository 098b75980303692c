// SPDX-License-Identifier: GPL-2.0

//! Tells the adapter what has changed of a connection that it carries, beside its payload.
//!
//! A change is made in [`Carried::wanted`]. [`tell`] submits the difference to what the adapter has
//! been told, or lists the connection to do that when there is room. No change is lost, and none is
//! told before the payload that it follows.

use super::{
    connection::Connection,
    parameters::FLAGS,
    state::{
        Carried,
        Receive, //
    },
    submission::Shortage, //
};
use crate::{
    abi::{
        connection::flag,
        submission::update, //
    },
    offload::SubmitError,
    tcp::sock::{
        Locked,
        Owned,
        Tcp, //
    }, //
};

/// Submits what the adapter has not been told yet. With the socket locked.
pub(super) fn tell(connection: &Connection, carried: &mut Carried, tcp: &Tcp<'_>) {
    let push = match carried.push {
        Some(push) if carried.send.submitted == tcp.write_seq() => Some(push),
        _ => None,
    };
    if carried.told == carried.wanted && push.is_none() {
        return;
    }
    let mut update = carried.told.update_to(&carried.wanted);
    update.device_id = carried.send.device_id;
    if let Some(push) = push {
        update.valid |= update::FLAGS;
        update.flags |= push;
    }
    match connection.lane.queue.submit_entry(&update) {
        Err(SubmitError::Full) => connection.wait(&mut carried.blocked, Shortage::Room),
        // The connections of a stopped processor come back by themselves.
        Ok(()) | Err(SubmitError::Stopped) => {
            carried.told = carried.wanted;
            if push.is_some() {
                carried.push = None;
            }
        }
    }
}

/// The values of `TCP_NODELAY` and `TCP_CORK` may have changed, or what `MSG_MORE` has held back has to
/// be sent.
pub(super) fn push(connection: &Connection, sock: &mut Owned<'_>) {
    let (mut state, tcp) = connection.state.open(sock);
    if let Some(carried) = state.carried() {
        let flags = tcp.nagle();
        carried.more = false;
        carried.wanted.flags = flags & FLAGS;
        carried.push = Some(flags & flag::PUSH);
        tell(connection, carried, &tcp);
    }
}

/// Linux is about to send an acknowledgement. Returns whether the adapter sends it instead: it does if
/// the acknowledgement announces a window and nothing else, because a frame may be lost on its way to
/// the adapter.
pub(super) fn announce(connection: &Connection, lock: &mut Locked<'_>) -> bool {
    let (mut state, tcp) = connection.state.open(lock);
    let Some(carried) = state.carried() else {
        return false;
    };
    let before = carried.wanted.rcv_edge;
    carried.wanted.open_window(tcp.rcv_edge());
    if carried.receive == Receive::Legacy || carried.wanted.rcv_edge == before {
        return false;
    }
    tell(connection, carried, &tcp);
    true
}
