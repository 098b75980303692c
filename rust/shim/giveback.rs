// SPDX-License-Identifier: GPL-2.0

//! Return: a connection goes from the adapter back to Linux.
//!
//! Either side may begin. The end is always the same: what the adapter says of the connection's
//! state is taken over, what it has not sent is unsent again, and the socket is an ordinary one.

use super::{
    connection::{
        Connection,
        Phase,
        Shadow,
        ULP, //
    },
    genl,
    patience::Patience,
    policy,
    reason::Cause,
    receive,
    send, //
};
use crate::{
    abi::{
        completion,
        connection::{
            self as abi,
            flag, //
        },
        submission::{
            Op,
            Return, //
        },
        Layout, //
    },
    offload::SubmitError,
    tcp::sock::{
        Locked,
        Owned,
        ReturnState,
        Tcp, //
    }, //
};
use kernel::time::msecs_to_jiffies;

/// Asks for a connection back, and does not wait. With the socket locked.
pub(super) fn ask(connection: &Connection, shadow: &mut Shadow, cause: Cause) {
    if connection.phase() != Phase::Delegated {
        return;
    }
    connection.set_phase(Phase::Returning);
    shadow.asked = Some(cause);
    submit_return(connection, shadow);
}

/// Submits the `Return`, now or when there is room.
pub(super) fn submit_return(connection: &Connection, shadow: &mut Shadow) {
    let lane = &connection.lane;
    let entry = Return {
        op: Op::Return.raw(),
        device_id: connection.device_id(),
    };
    let result = lane.handle.submit(lane.processor, &[entry.to_bytes()]);
    shadow.owes_return = result == Err(SubmitError::Full);
    if shadow.owes_return {
        send::block(connection, shadow);
    }
}

/// Takes a connection back. When this returns Linux carries it.
pub(super) fn recall(connection: &Connection, sock: &mut Owned<'_>, cause: Cause) {
    if connection.phase() == Phase::Linux {
        return;
    }
    {
        let (shadow, _) = connection.cell.open(sock);
        ask(connection, shadow, cause);
    }
    let mut patience = Patience::new(&connection.lane);
    while !connection
        .given_back
        .wait_for_completion_timeout(msecs_to_jiffies(20))
    {
        // A `Return` that found no room is submitted from here.
        sock.flush_backlog();
        if patience.is_over() {
            connection.lane.handle.fault("a return was not answered");
        }
    }
    sock.flush_backlog();
    if connection.phase() != Phase::Linux {
        lost(connection, sock);
    }
}

/// Linux takes over what the adapter has returned. With the socket locked.
pub(super) fn returned(
    connection: &Connection,
    lock: &mut Locked<'_>,
    header: &completion::Returned,
    state: &abi::Connection,
) {
    let cause = {
        let (shadow, tcp) = connection.cell.open(lock);
        if !receive::is_plausible(shadow, state.snd_una, state.snd_nxt) {
            connection
                .lane
                .handle
                .fault("a connection was returned in an impossible state");
            return lost(connection, lock);
        }
        let totals = receive::Report {
            snd_una: state.snd_una,
            snd_nxt: state.snd_nxt,
            snd_wnd: state.snd_wnd,
            cwnd: state.cwnd,
            ssthresh: state.ssthresh,
            srtt_us: state.srtt_us,
            rttvar_us: state.rttvar_us,
            min_rtt_us: state.min_rtt_us,
            rto_us: state.rto_us,
            retransmits: state.retransmits,
            segs_out: state.segs_out,
            segs_in: state.segs_in,
            // The low half: the increment since the last report is what counts.
            bytes_retransmitted: state.bytes_retransmitted as u32,
            delivered: state.delivered,
        };
        if tcp.is_established() {
            tcp.acked(&totals.progress(shadow));
            tcp.leave_shadow(
                state.snd_nxt,
                &ReturnState {
                    snd_nxt: state.snd_nxt,
                    snd_wl1: state.snd_wl1,
                    max_window: state.max_window,
                    ts_recent: state.ts_recent,
                    has_ts_recent: true,
                    backoff: state.backoff,
                    reordering: state.reordering,
                    data_segs_in: state.data_segs_in,
                    data_segs_out: state.data_segs_out,
                    duplicates: state.duplicates,
                    out_of_order: state.out_of_order,
                    ecn_echo: state.flags & flag::ECN_ECHO != 0,
                },
            );
        }
        Cause::from_reason(header.reason, shadow.asked)
    };
    finish(connection, lock, cause);
}

/// Linux takes over without the adapter, which is gone. All that was submitted counts as sent:
/// what the peer has not received Linux finds out and retransmits. With the socket locked.
pub(super) fn lost(connection: &Connection, lock: &mut Locked<'_>) {
    {
        let (shadow, tcp) = connection.cell.open(lock);
        if tcp.is_established() {
            leave_without_report(shadow, tcp);
        }
    }
    finish(connection, lock, Cause::DeviceLost);
}

fn leave_without_report(shadow: &Shadow, tcp: &Tcp<'_>) {
    let sent = receive::later(shadow.submitted, shadow.last.snd_nxt);
    tcp.leave_shadow(
        sent,
        &ReturnState {
            snd_nxt: sent,
            // Whatever the peer sends next updates the window.
            snd_wl1: tcp.rcv_nxt().wrapping_sub(1),
            ..ReturnState::default()
        },
    );
}

fn finish(connection: &Connection, lock: &mut Locked<'_>, cause: Cause) {
    let lane = &connection.lane;
    {
        let (shadow, _) = connection.cell.open(lock);
        let released = shadow.pieces.release_all();
        lane.handle.release_fragments(lane.processor, released);
    }
    connection.set_phase(Phase::Linux);
    lane.remove(connection);
    lane.stats.returned(cause);
    policy::returned(connection, cause);
    genl::notify_returned(connection, cause);
    ULP.detach(lock);
    lock.resume();
}
