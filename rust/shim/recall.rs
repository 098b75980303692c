// SPDX-License-Identifier: GPL-2.0

//! Return: a connection goes from the adapter back to Linux.
//!
//! Either side may start it. [`request`] asks the adapter and does not wait; [`recall`] waits until
//! Linux carries the connection, as the owner of its socket. [`ask`] and [`wait`] do the same for
//! somebody else. [`complete`] takes over the state that the adapter reports, [`lost`]
//! does without a report. In both cases payload that the adapter has not sent becomes unsent again,
//! and the socket is an ordinary one afterwards.

use super::{
    backoff,
    connection::{
        Connection,
        ULP, //
    },
    mark::Mark,
    notify,
    reason::{
        Cause,
        Why, //
    },
    state::{
        SendSide,
        State,
        StateMut, //
    },
    timeout::AnswerTimeout, //
};
use crate::{
    abi::{
        completion,
        connection::{
            self as abi,
            flag,
            SendState, //
        },
        submission::{
            Return,
            SubmissionOp, //
        }, //
    },
    offload::SubmitError,
    tcp::sock::{
        Lock,
        Locked,
        Owned,
        Tcp, //
    },
    util::time::jiffies_msecs, //
};
use kernel::{
    prelude::*,
    time::msecs_to_jiffies, //
};

/// Interval in milliseconds at which [`recall`] processes the backlog while it waits.
const BACKLOG_INTERVAL_MS: u32 = 20;
/// Longest time that [`settle`] waits, in milliseconds. An adapter that takes longer passes no frames
/// either; its reset may need a lock that the waiting process holds.
const SETTLE_MS: u32 = 1_000;

/// How far the adapter's clock may be ahead of Linux's, in milliseconds: what clocks drift apart in
/// days. The timestamps that a lost adapter has sent are not known.
const CLOCK_MARGIN_MS: u32 = 1_000;

/// Asks the adapter to return a connection, if it carries it. Any context, with the socket locked.
pub(super) fn request(
    connection: &Connection,
    state: &mut StateMut<'_>,
    why: impl Into<Why<Cause>>,
) {
    let Some(carried) = state.carried() else {
        return;
    };
    let unsubmitted = !submit_return(connection, carried.send.device_id);
    if unsubmitted && carried.blocked.is_none() {
        connection.lane.wait(connection);
    }
    let timeout = AnswerTimeout::new(&connection.lane.queue);
    state.start_return(why.into(), unsubmitted, timeout);
}

/// Resets an adapter that does not return the connection. To be called at least once a second, with the
/// socket locked.
pub(super) fn check(connection: &Connection, state: &mut StateMut<'_>) {
    let queue = &connection.lane.queue;
    if let Some(returning) = state.returning() {
        if returning.timeout.is_expired(queue) {
            queue.adapter().fault("return timed out");
        }
    }
}

/// Submits a `Return` that found no room before. Called when there may be room again.
pub(super) fn resume(connection: &Connection, state: &mut StateMut<'_>) {
    let Some(returning) = state.returning() else {
        return;
    };
    if returning.unsubmitted {
        returning.unsubmitted = !submit_return(connection, returning.send.device_id);
        if returning.unsubmitted {
            connection.lane.wait(connection);
        }
    }
}

/// Submits a `Return`. Returns false when there is no room.
///
/// One to a stopped processor counts as submitted: its connections come back through [`lost`].
fn submit_return(connection: &Connection, device_id: u32) -> bool {
    let entry = Return {
        op: SubmissionOp::Return.raw(),
        device_id,
    };
    connection.submit_entry(&entry) != Err(SubmitError::Full)
}

/// Asks the adapter to return a connection and waits until Linux carries it. Process context;
/// sleeps.
pub(super) fn recall(connection: &Connection, sock: &mut Owned<'_>, why: impl Into<Why<Cause>>) {
    {
        let (mut state, _) = connection.state.open(sock);
        if matches!(*state, State::Linux) {
            return;
        }
        request(connection, &mut state, why);
        if let Some(returning) = state.returning() {
            returning.awaited = true;
        }
    }
    let mut timeout = AnswerTimeout::new(&connection.lane.queue);
    while !connection
        .returned
        .wait_for_completion_timeout(msecs_to_jiffies(BACKLOG_INTERVAL_MS))
    {
        // Submits a `Return` that found no room.
        sock.flush_backlog();
        if timeout.is_expired(&connection.lane.queue) {
            connection.lane.adapter().fault("return timed out");
        }
    }
    sock.flush_backlog();
    lost(connection, &mut sock.locked());
}

/// Asks the adapter to return a connection because a user wants it back. Does not wait. If a process
/// owns the socket, it will ask.
pub(super) fn ask(connection: &Connection) {
    connection
        .marks
        .with(connection.sock(), Mark::Return, |lock| {
            let (mut state, _) = connection.state.open(lock);
            request(connection, &mut state, Cause::User);
        });
}

/// Waits after [`ask`] until Linux carries the connection. Process context; sleeps.
///
/// # Errors
///
/// `EBUSY` if a process that owns the socket has not released it at `deadline` ([`jiffies_msecs`]). The
/// connection returns when it does.
pub(super) fn wait(connection: &Connection, deadline: u32) -> Result {
    let interval = msecs_to_jiffies(BACKLOG_INTERVAL_MS);
    let mut timeout = AnswerTimeout::new(&connection.lane.queue);
    while !connection.finished.wait_for_completion_timeout(interval) {
        // Either the adapter has not been asked, or its report is in the backlog.
        if connection.marks.is_any() || connection.returned.is_complete() {
            if (jiffies_msecs().wrapping_sub(deadline) as i32) >= 0 {
                return Err(EBUSY);
            }
        } else if timeout.is_expired(&connection.lane.queue) {
            connection.lane.adapter().fault("return timed out");
        }
    }
    Ok(())
}

/// Waits until Linux carries a connection that the adapter has been asked to return, for at most
/// [`SETTLE_MS`]. Process context; sleeps.
pub(super) fn settle(connection: &Connection, sock: &mut Owned<'_>) {
    for _ in 0..SETTLE_MS / BACKLOG_INTERVAL_MS {
        let returned = connection
            .returned
            .wait_for_completion_timeout(msecs_to_jiffies(BACKLOG_INTERVAL_MS));
        sock.flush_backlog();
        if returned {
            return;
        }
    }
}

/// Takes over the state in which the adapter has returned a connection. With the socket locked.
pub(super) fn complete(
    connection: &Connection,
    lock: &mut Locked<'_>,
    header: &completion::Returned,
    returned: &abi::ConnectionState,
) {
    let why = {
        let (mut state, mut tcp) = connection.state.open(lock);
        let asked = match &*state {
            State::Returning(returning) => Some(returning.why),
            _ => None,
        };
        let Some(send) = state.send() else {
            return;
        };
        if !send.is_plausible(&returned.send) {
            connection
                .lane
                .adapter()
                .fault("invalid state of a returned connection");
            return lost(connection, lock);
        }
        connection.count_sent(send, &returned.send);
        send.report(&mut tcp, &returned.send);
        if tcp.can_send() {
            tcp.leave_shadow(returned);
        }
        Cause::from_reason(header.reason, asked)
    };
    finish(connection, lock, why);
}

/// Takes a connection back without a report, if it is in the table of an adapter that has stopped.
/// With the socket locked.
///
/// All that was submitted counts as sent: Linux retransmits what the peer has not received.
pub(super) fn lost(connection: &Connection, lock: &mut Locked<'_>) {
    {
        let (mut state, mut tcp) = connection.state.open(lock);
        let Some(send) = state.send() else {
            return;
        };
        if tcp.can_send() {
            leave_without_report(send, &mut tcp);
        }
    }
    finish(connection, lock, Cause::DeviceLost.into());
}

/// Takes over the state that follows from the latest report.
fn leave_without_report(send: &SendSide, tcp: &mut Tcp<'_>) {
    let state = abi::ConnectionState {
        send: SendState {
            snd_nxt: send.sent_end(),
            ..send.last
        },
        // The next segment from the peer updates the window.
        snd_wl1: tcp.rcv_nxt().wrapping_sub(1),
        flags: flag::TIMESTAMPS,
        ts_recent: tcp.ts_recent(),
        tsval: tcp.tsval(CLOCK_MARGIN_MS),
        ..abi::ConnectionState::default()
    };
    tcp.leave_shadow(&state);
}

/// Any state to `Linux`. Also updates table, counters and notifications, and resumes Linux's TCP.
fn finish(connection: &Connection, lock: &mut Locked<'_>, why: Why<Cause>) {
    {
        let (mut state, _) = connection.state.open(lock);
        connection.finish(&mut state);
    }
    ULP.detach(lock);
    let lane = &connection.lane;
    lane.remove(connection);
    lane.stats.count_return(why.reason);
    backoff::returned(connection.sock(), connection.since, why.reason);
    notify::returned(connection, why);
    // The adapter returns a connection instead of one retransmission too many. A lost adapter may not
    // have sent what was submitted.
    let due = matches!(why.reason, Cause::Timeout | Cause::DeviceLost);
    lock.tcp().resume(due);
}
