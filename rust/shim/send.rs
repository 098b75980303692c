// SPDX-License-Identifier: GPL-2.0

//! The send side of a delegated connection.
//!
//! What the application writes goes into the shadow, that is into Linux's own retransmit queue, and
//! from there the adapter is told where it lies. It stays until the adapter has reported it
//! acknowledged.

use super::{
    connection::{
        Connection,
        Phase,
        Shadow, //
    },
    giveback,
    reason::Cause, //
};
use crate::{
    abi::{
        connection::flag,
        submission::{
            send_flag,
            update,
            Op,
            Send,
            Update,
            SEND_FRAGS, //
        },
        Layout, //
    },
    bindings,
    net::dma::MappedFrag,
    offload::SubmitError,
    tcp::{
        message::Message,
        shadow::{
            is_leaving,
            Sent, //
        },
        sock::{
            Locked,
            Owned,
            Tcp,
            MAX_FRAGMENTS, //
        }, //
    }, //
};
use kernel::prelude::*;

/// Bytes taken from the application at a time: the adapter sends the first while the next are
/// copied. Less than 16 skbs, see [`Owned::send_shadow`].
const CHUNK: usize = 256 * 1024;

/// Entries of one submission.
const BATCH: usize = MAX_FRAGMENTS / SEND_FRAGS;

/// Sends as `tcp_sendmsg` does.
pub(super) fn sendmsg(
    connection: &Connection,
    sock: &mut Owned<'_>,
    message: &mut Message<'_>,
) -> Result<Sent> {
    let flags = message.flags();
    if flags & (bindings::MSG_OOB | bindings::MSG_FASTOPEN) != 0 {
        giveback::recall(connection, sock, Cause::Oob);
    } else if message.has_control() || sock.send_obstacle() {
        giveback::recall(connection, sock, Cause::Sockopt);
    } else {
        let ifindex = connection.lane.handle.ifindex();
        if !sock.route_valid(ifindex) {
            giveback::recall(connection, sock, Cause::of_route(sock, ifindex));
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
        let back = connection.phase() == Phase::Linux;
        if back && sent == 0 {
            return Ok(Sent::NotOurs);
        }
        let result = if back {
            // It came back while we slept: what we have begun we go on with.
            sock.send(message)
        } else {
            let result = sock.send_shadow(message, CHUNK);
            let (shadow, tcp) = connection.cell.open(sock);
            shadow.more = flags & bindings::MSG_MORE != 0 && message.left() == 0;
            submit(connection, shadow, tcp);
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
        // A write that is cut short is the price of a module that goes while it is carried out.
        let wait = timeout != 0 && !(back && is_leaving());
        let error = if error == EAGAIN && wait {
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

/// Tells the adapter of all payload that it has not been told of, as far as there is room.
pub(super) fn submit(connection: &Connection, shadow: &mut Shadow, tcp: &Tcp<'_>) {
    if shadow.blocked || connection.phase() != Phase::Delegated {
        return;
    }
    let lane = &connection.lane;
    let end = tcp.write_seq();
    while shadow.submitted != end {
        let Ok(fragments) = tcp.fragments(shadow.submitted) else {
            return giveback::ask(connection, shadow, Cause::Sockopt);
        };
        let fragments = fragments.as_slice();
        if fragments.is_empty() {
            return;
        }
        // CAST: at most `MAX_FRAGMENTS`.
        let count = fragments.len() as u32;
        if shadow.pieces.reserve(fragments.len()).is_err()
            || !lane.handle.reserve_fragments(lane.processor, count)
        {
            return block(connection, shadow);
        }

        let mut memory: [Option<MappedFrag>; MAX_FRAGMENTS] = [const { None }; MAX_FRAGMENTS];
        let mut entries = [[0; 64]; BATCH];
        let mut seq = shadow.submitted;
        let mut failed = false;
        for ((entry, fragments), memory) in entries
            .iter_mut()
            .zip(fragments.chunks(SEND_FRAGS))
            .zip(memory.chunks_mut(SEND_FRAGS))
        {
            let mut send = Send {
                op: Op::Send.raw(),
                count: fragments.len() as u8,
                device_id: connection.device_id(),
                seq,
                ..Send::default()
            };
            for (i, fragment) in fragments.iter().enumerate() {
                let Ok(mapped) = lane.handle.map(fragment) else {
                    failed = true;
                    break;
                };
                send.lengths[i] = fragment.size();
                send.addresses[i] = mapped.address();
                memory[i] = Some(mapped);
                seq = seq.wrapping_add(fragment.size());
            }
            if seq == end {
                send.flags = if shadow.more {
                    send_flag::MORE
                } else {
                    send_flag::PUSH
                };
            }
            *entry = send.to_bytes();
        }
        if failed {
            lane.handle.release_fragments(lane.processor, count);
            // Of an adapter that has stopped every connection comes back by itself.
            if lane.handle.is_running() {
                giveback::ask(connection, shadow, Cause::Host);
            }
            return;
        }
        let used = fragments.len().div_ceil(SEND_FRAGS);
        let entries = entries.get(..used).unwrap_or(&[]);
        if let Err(error) = lane.handle.submit(lane.processor, entries) {
            lane.handle.release_fragments(lane.processor, count);
            if error == SubmitError::Full {
                block(connection, shadow);
            }
            return;
        }
        let mut end_of_piece = shadow.submitted;
        for (memory, fragment) in memory.iter_mut().zip(fragments) {
            end_of_piece = end_of_piece.wrapping_add(fragment.size());
            if let Some(memory) = memory.take() {
                // There is room: it was reserved.
                let _ = shadow.pieces.add(end_of_piece, memory);
            }
        }
        shadow.submitted = seq;
    }
}

/// Takes in what was written past the shim: a process that was on its way into Linux's own
/// `sendmsg`, or slept in it, when the connection was handed over goes on there.
#[inline]
pub(super) fn gather(connection: &Connection, lock: &mut Locked<'_>) {
    let (shadow, tcp) = connection.cell.open(lock);
    if shadow.submitted == tcp.write_seq() || connection.phase() == Phase::Linux {
        return;
    }
    tcp.entail();
    if tcp.is_urgent() {
        giveback::ask(connection, shadow, Cause::Oob);
    }
    submit(connection, shadow, tcp);
}

/// Goes on when there is room again.
pub(super) fn block(connection: &Connection, shadow: &mut Shadow) {
    if !core::mem::replace(&mut shadow.blocked, true) {
        connection.lane.block(connection);
    }
}

/// There is room again. With the socket locked.
pub(super) fn resume(connection: &Connection, shadow: &mut Shadow, tcp: &Tcp<'_>) {
    shadow.blocked = false;
    if shadow.owes_return {
        giveback::submit_return(connection, shadow);
    }
    submit(connection, shadow, tcp);
}

/// Tells the adapter of `TCP_NODELAY` and `TCP_CORK` as they are now.
pub(super) fn update_nagle(connection: &Connection, sock: &mut Owned<'_>) {
    if connection.phase() != Phase::Delegated {
        return;
    }
    let (nodelay, cork) = sock.nagle();
    let mut flags = 0;
    if nodelay {
        flags |= flag::NODELAY;
    }
    if cork {
        flags |= flag::CORK;
    }
    let update = Update {
        op: Op::Update.raw(),
        valid: update::FLAGS,
        device_id: connection.device_id(),
        flags,
        ..Update::default()
    };
    let lane = &connection.lane;
    if lane.handle.submit(lane.processor, &[update.to_bytes()]) == Err(SubmitError::Full) {
        // It must not be lost, and is not worth a queue.
        giveback::recall(connection, sock, Cause::Sockopt);
    }
}
