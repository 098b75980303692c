// SPDX-License-Identifier: GPL-2.0

//! The send side of a connection that the adapter carries.
//!
//! `sendmsg` puts payload into Linux's retransmit queue, as `tcp_sendmsg` does when it sends.
//! [`submit`] then tells the adapter where it is in memory. It stays in the queue until the adapter
//! reports it acknowledged.

use super::{
    connection::Connection,
    legacy,
    reason::{
        Cause,
        Why, //
    },
    recall,
    state::{
        Carried,
        Kind,
        StateMut, //
    },
    submission::Shortage,
    update, //
};
use crate::{
    abi::{
        submission::{
            send_flag,
            Send,
            SubmissionOp,
            SEND_FRAGS, //
        },
        Layout, //
    },
    bindings,
    offload::SubmitError,
    tcp::{
        message::Message,
        shadow::{
            is_leaving,
            Sent, //
        },
        sock::{
            Lock,
            Locked,
            Owned,
            Tcp,
            MAX_FRAGMENTS, //
        }, //
    }, //
};
use kernel::prelude::*;

/// Bytes copied from the application before they are submitted: the adapter sends them while the next
/// are copied.
const CHUNK: usize = 256 * 1024;

/// Largest number of entries in one submission.
const MAX_ENTRIES: usize = MAX_FRAGMENTS / SEND_FRAGS;

/// Sends a message, as `tcp_sendmsg` does.
pub(super) fn sendmsg(
    connection: &Connection,
    sock: &mut Owned<'_>,
    message: &mut Message<'_>,
) -> Result<Sent> {
    let flags = message.flags();
    if flags & (bindings::MSG_OOB | bindings::MSG_FASTOPEN) != 0 {
        recall::recall(connection, sock, Cause::Oob);
    } else if message.has_control() {
        let why = Why::named(Cause::Sockopt, c"control message of sendmsg");
        recall::recall(connection, sock, why);
    } else {
        let ifindex = connection.lane.adapter().ifindex();
        let result = sock.tcp().may_bypass(ifindex);
        if let Err(obstacle) = result {
            recall::recall(connection, sock, obstacle);
        }
    }
    let result = sock
        .zerocopy_start(message)
        .and_then(|()| transfer(connection, sock, message));
    message.zerocopy_end(matches!(result, Ok(Sent::Bytes(1..))));
    result
}

fn transfer(
    connection: &Connection,
    sock: &mut Owned<'_>,
    message: &mut Message<'_>,
) -> Result<Sent> {
    let flags = message.flags();
    let mut timeout = sock.send_timeout(flags & bindings::MSG_DONTWAIT != 0);
    let mut sent = 0;
    loop {
        let is_linux = connection.kind() == Kind::Linux;
        if is_linux && sent == 0 {
            return Ok(Sent::NotOurs);
        }
        let result = if is_linux {
            // The connection came back while this task slept. The rest of the message goes through
            // Linux.
            sock.send(message)
        } else {
            let result = sock.send_shadow(message, CHUNK);
            let (mut state, tcp) = connection.state.open(sock);
            if let Some(carried) = state.carried() {
                carried.more = flags & bindings::MSG_MORE != 0 && message.left() == 0;
            }
            submit(connection, &mut state, &tcp);
            result
        };
        if let Ok(bytes) = result {
            sent += bytes;
        }
        if message.left() == 0 && result.is_ok() {
            return Ok(Sent::Bytes(sent));
        }
        let error = match result {
            Ok(CHUNK) => continue,
            // No room for the rest.
            Ok(_) => EAGAIN,
            Err(error) => error,
        };
        // The module cannot be unloaded while this task waits in it: the write is cut short.
        let may_wait = timeout != 0 && !(is_linux && is_leaving());
        let error = if error == EAGAIN && may_wait {
            match sock.wait_memory(&mut timeout) {
                Ok(()) => continue,
                Err(error) => sock.send_error(message, error),
            }
        } else {
            error
        };
        return match sent {
            0 => Err(error),
            _ => Ok(Sent::Bytes(sent)),
        };
    }
}

/// Submits all payload that has not been submitted and then all changes, as far as there is room, if
/// the adapter carries the connection. Any context, with the socket locked.
pub(super) fn submit(connection: &Connection, state: &mut StateMut<'_>, tcp: &Tcp<'_>) {
    let Some(carried) = state.carried() else {
        return;
    };
    match submit_payload(connection, carried, tcp) {
        Ok(()) => update::tell(connection, carried, tcp),
        Err(why) => recall::request(connection, state, why),
    }
}

/// # Errors
///
/// The cause for which the connection has to return.
fn submit_payload(
    connection: &Connection,
    carried: &mut Carried,
    tcp: &Tcp<'_>,
) -> Result<(), Why<Cause>> {
    let queue = &connection.lane.queue;
    let end = tcp.write_seq();
    let mut frags = connection.frags.lock();
    let Some(frags) = &mut *frags else {
        return Ok(());
    };
    while carried.send.submitted != end && carried.blocked.is_none() {
        let Ok(listed) = tcp.fragments(carried.send.submitted) else {
            let name = c"payload outside of pages";
            return Err(Why::named(Cause::Sockopt, name));
        };
        let fragments = listed.as_slice();
        if fragments.is_empty() {
            return Ok(());
        }
        let mut batch = match frags.batch(fragments.len()) {
            Ok(batch) => batch,
            Err(shortage) => {
                connection.wait(&mut carried.blocked, shortage);
                return Ok(());
            }
        };
        let ends_record = listed.ends_record() && batch.capacity() >= fragments.len();
        let fragments = fragments.get(..batch.capacity()).unwrap_or(fragments);
        let used = fragments.len().div_ceil(SEND_FRAGS);
        let mut entries = [[0; 64]; MAX_ENTRIES];
        let mut seq = carried.send.submitted;
        let parts = entries.iter_mut().zip(fragments.chunks(SEND_FRAGS));
        for (n, (entry, fragments)) in parts.enumerate() {
            let mut send = Send {
                op: SubmissionOp::Send.raw(),
                count: fragments.len() as u8,
                device_id: carried.send.device_id,
                seq,
                ..Send::default()
            };
            for (i, fragment) in fragments.iter().enumerate() {
                seq = seq.wrapping_add(fragment.size());
                let Ok(address) = batch.map(fragment, seq) else {
                    // The connections of a stopped adapter come back by themselves.
                    return match queue.adapter().is_running() {
                        true => Err(Cause::Host.into()),
                        false => Ok(()),
                    };
                };
                send.lengths[i] = fragment.size();
                send.addresses[i] = address;
            }
            send.awaited = seq;
            if seq == end {
                send.awaited = tcp.room_seq();
                send.flags = match carried.more {
                    true => send_flag::MORE,
                    false => send_flag::PUSH,
                };
            }
            if ends_record && n + 1 == used {
                send.flags |= send_flag::EOR;
            }
            *entry = send.to_bytes();
        }
        match queue.submit(entries.get(..used).unwrap_or(&[])) {
            Ok(()) => {}
            Err(SubmitError::Full) => {
                drop(batch);
                connection.wait(&mut carried.blocked, Shortage::Room);
                return Ok(());
            }
            Err(SubmitError::Stopped) => return Ok(()),
        }
        batch.commit();
        carried.send.submitted = seq;
    }
    Ok(())
}

/// Submits what waits for room. Called when there may be room again, with the socket locked. The
/// connection is listed again if there is not. Returns false if the submission ring is full.
pub(super) fn resume(connection: &Connection, state: &mut StateMut<'_>, tcp: &mut Tcp<'_>) -> bool {
    if let Some(carried) = state.carried() {
        carried.blocked = None;
        legacy::answer(connection, carried);
        update::put_right(connection, carried, tcp);
    }
    recall::resume(connection, state);
    submit(connection, state, tcp);
    state.shortage() != Some(Shortage::Room)
}

/// Submits payload queued by Linux's own `sendmsg`: a task that entered it before the hand-over
/// continues there, even if it slept. Called when the task releases the socket.
#[inline]
pub(super) fn submit_foreign(connection: &Connection, lock: &mut Locked<'_>) {
    let (mut state, mut tcp) = connection.state.open(lock);
    let Some(send) = state.send() else {
        return;
    };
    if send.submitted == tcp.write_seq() {
        return;
    }
    tcp.entail();
    if tcp.is_urgent() {
        recall::request(connection, &mut state, Cause::Oob);
    }
    submit(connection, &mut state, &tcp);
}
