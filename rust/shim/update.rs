// SPDX-License-Identifier: GPL-2.0

//! Tells the adapter what has changed of a connection that it carries, beside its payload.
//!
//! A change is made in [`Carried::wanted`]. [`tell`] submits the difference to what the adapter has
//! been told, or lists the connection to do that when there is room. No change is lost, and none is
//! told before the payload that it follows.

use super::{
    connection::Connection,
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
use kernel::sync::atomic::ordering::Relaxed;

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
    match connection.submit_entry(&update) {
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

/// What `MSG_MORE` has held back has to be sent. With the socket locked.
pub(super) fn push(connection: &Connection, sock: &mut Owned<'_>) {
    let (mut state, tcp) = connection.state.open(sock);
    if let Some(carried) = state.carried() {
        push_carried(connection, carried, &tcp);
    }
}

fn push_carried(connection: &Connection, carried: &mut Carried, tcp: &Tcp<'_>) {
    carried.more = false;
    carried.push = Some(tcp.nagle() & flag::PUSH);
    tell(connection, carried, tcp);
}

/// The application has set an option that the adapter heeds. With the socket locked.
pub(super) fn option_changed(connection: &Connection, sock: &mut Owned<'_>) {
    let (mut state, tcp) = connection.state.open(sock);
    if let Some(carried) = state.carried() {
        refresh(connection, carried, &tcp);
        push_carried(connection, carried, &tcp);
    }
}

/// Reads what the socket wants, if the route still leads through the adapter. With the socket locked.
pub(super) fn refresh(connection: &Connection, carried: &mut Carried, tcp: &Tcp<'_>) {
    if let Some(parameters) = tcp.parameters(connection.lane.adapter().ifindex()) {
        carried.wanted.socket = parameters;
    }
}

/// Linux's TCP has begun to deal with losses, and is not to be disturbed now: has [`put_right`] called
/// by the next poll. With the socket locked.
pub(super) fn put_right_later(connection: &Connection, lock: &mut Locked<'_>) {
    let (mut state, _) = connection.state.open(lock);
    if let Some(carried) = state.carried() {
        connection.wait(&mut carried.blocked, Shortage::Credits);
    }
}

/// Linux's TCP may have learned of a smaller path MTU (`tcp_simple_retransmit()`). The adapter is told,
/// and retransmits; in the shadow nothing is lost. With the socket locked.
pub(super) fn put_right(connection: &Connection, carried: &mut Carried, tcp: &mut Tcp<'_>) {
    tcp.stop_timers();
    // CAST: Limited by the size of a packet.
    carried.wanted.socket.mss = tcp.mss() as u16;
    tell(connection, carried, tcp);
}

/// Linux is about to send an acknowledgement. Returns whether it need not: the adapter sends it instead
/// if it announces a window and nothing else, because a frame may be lost on its way to the adapter. For
/// what the adapter held out of order it has sent one already; the return sends another.
pub(super) fn announce(connection: &Connection, lock: &mut Locked<'_>) -> bool {
    if connection.arriving.load(Relaxed) {
        return true;
    }
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
