// SPDX-License-Identifier: GPL-2.0

//! Completions about connections.
//!
//! A completion is applied to the socket at once if no process owns it. Otherwise it goes into the
//! socket's backlog, in one order with frames, and is applied by [`backlog`].

use super::{
    answer::Answer,
    connection::{
        entry,
        Connection,
        Deferral,
        Progress, //
    },
    legacy,
    poll::{
        Aggregate,
        ProcessorPoll,
        UNKNOWN, //
    },
    reason::Cause,
    recall,
    send,
    seq::later,
    state::Kind,
    update, //
};
use crate::{
    abi::{
        completion::{
            Acked,
            Delegated,
            Deliver,
            Returned, //
        },
        connection as abi, //
    },
    offload::Payload,
    tcp::{
        backlog::BacklogEntry,
        sock::Locked, //
    }, //
};
use core::mem;
use kernel::sync::atomic::ordering::Relaxed;

/// Handles the answer to a hand-over.
pub(super) fn delegated(poll: &mut ProcessorPoll, delegated: Delegated) {
    let Some(connection) = poll.pending(delegated.host_id) else {
        return poll.lane.adapter().fault(UNKNOWN);
    };
    let answer = Answer::from(&delegated);
    if !connection.answer.give(answer) {
        return poll.lane.adapter().fault(UNKNOWN);
    }
    // No completion for this connection is processed before this function returns.
    if matches!(answer, Answer::Accepted { .. }) {
        poll.enter(connection);
    }
}

/// Handles in-order payload.
pub(super) fn deliver(poll: &mut ProcessorPoll, deliver: Deliver, payload: Payload) {
    let is_continued = |a: &Aggregate| a.is_continued_by(&deliver, payload.len());
    let mut aggregate = match poll.aggregate.take() {
        Some(aggregate) if is_continued(&aggregate) => aggregate,
        other => {
            apply_aggregate(poll, other);
            let Some(entry) = poll.payload_entry() else {
                return poll.lane.adapter().fault("no backlog entry for payload");
            };
            Aggregate::new(&deliver, entry)
        }
    };
    if aggregate.add(&deliver, payload).is_err() {
        return poll
            .lane
            .adapter()
            .fault("payload length does not match its pages");
    }
    poll.aggregate = Some(aggregate);
}

/// Applies the aggregate.
pub(super) fn flush(poll: &mut ProcessorPoll) {
    let aggregate = poll.aggregate.take();
    apply_aggregate(poll, aggregate);
}

fn apply_aggregate(poll: &mut ProcessorPoll, aggregate: Option<Aggregate>) {
    let Some(aggregate) = aggregate else {
        return;
    };
    let Some(connection) = poll.get(aggregate.host_id) else {
        return poll.lane.adapter().fault(UNKNOWN);
    };
    let length = aggregate.len().into();
    connection.received.add(length);
    connection.lane.received.add(length);

    let entry = aggregate.into_entry();
    let mut spin = connection.sock().spin();
    match spin.locked() {
        Some(mut lock) => apply_payload(connection, &mut lock, entry),
        None => spin.add_payload(entry),
    }
}

/// Handles progress of the send side.
pub(super) fn acked(poll: &mut ProcessorPoll, acked: Acked) {
    let Some(connection) = poll.get(acked.host_id) else {
        return poll.lane.adapter().fault(UNKNOWN);
    };
    let mut spin = connection.sock().spin();
    match spin.locked() {
        Some(mut lock) => apply_acked(connection, &mut lock, &acked),
        None => {
            let mut deferred = connection.deferred.lock();
            let progress = Progress {
                acked: Some(acked),
                resume: deferred.progress.get().is_some_and(|p| p.resume),
            };
            if let Some(entry) = deferred.progress.queue(progress) {
                spin.add_backlog(entry);
            }
        }
    }
}

/// Handles the return of a connection. Frames that the adapter held out of order follow.
pub(super) fn returned(poll: &mut ProcessorPoll, header: Returned, state: abi::ConnectionState) {
    flush(poll);
    finish_return(poll);
    if !poll.start_return(header, state) {
        return poll.lane.adapter().fault(UNKNOWN);
    }
    match &poll.arriving {
        Some(arriving) if arriving.left > 0 => arriving.connection.arriving.store(true, Relaxed),
        _ => finish_return(poll),
    }
}

/// A frame of the connection `host_id` has been handled, which may be one that the adapter held.
#[cold]
pub(super) fn frame_arrived(poll: &mut ProcessorPoll, host_id: u32) {
    let Some(arriving) = &mut poll.arriving else {
        return;
    };
    if arriving.header.host_id != host_id {
        return;
    }
    arriving.progress = true;
    arriving.left -= 1;
    if arriving.left == 0 {
        finish_return(poll);
    }
}

/// Completes a return whose frames do not arrive: they were lost for lack of memory. Called at the end
/// of a poll.
pub(super) fn check_return(poll: &mut ProcessorPoll) {
    if let Some(arriving) = &mut poll.arriving {
        if !mem::take(&mut arriving.progress) {
            finish_return(poll);
        }
    }
}

/// Completes the return whose frames are arriving, if there is one.
pub(super) fn finish_return(poll: &mut ProcessorPoll) {
    let Some(arriving) = poll.arriving.take() else {
        return;
    };
    drop(poll.take(arriving.header.host_id));
    let (connection, header, state) = (&*arriving.connection, arriving.header, arriving.state);
    {
        let mut spin = connection.sock().spin();
        match spin.locked() {
            Some(mut lock) => recall::complete(connection, &mut lock, &header, &state),
            None => {
                let mut deferred = connection.deferred.lock();
                if let Some(entry) = deferred.returned.queue((header, state)) {
                    spin.add_backlog(entry);
                }
            }
        }
    }
    connection.returned.complete_all();
}

/// Resumes the connections that wait for room in the submission ring or for fragment credits.
pub(super) fn resume_waiting(poll: &mut ProcessorPoll) {
    if !poll.lane.is_any_waiting() {
        return;
    }
    poll.lane.resume_waiting(|connection| {
        let mut spin = connection.sock().spin();
        match spin.locked() {
            Some(mut lock) => {
                let (mut state, mut tcp) = connection.state.open(&mut lock);
                send::resume(connection, &mut state, &mut tcp)
            }
            None => {
                let mut deferred = connection.deferred.lock();
                // After `Returned` the socket is an ordinary one, which takes no entries.
                if matches!(deferred.returned, Deferral::Queued(_)) {
                    return true;
                }
                let progress = Progress {
                    acked: deferred.progress.get().and_then(|p| p.acked),
                    resume: true,
                };
                if let Some(entry) = deferred.progress.queue(progress) {
                    spin.add_backlog(entry);
                }
                true
            }
        }
    });
}

/// Applies an entry of the backlog.
pub(super) fn backlog(connection: &Connection, lock: &mut Locked<'_>, entry: BacklogEntry) {
    match entry.kind() {
        entry::PROGRESS => {
            let progress = connection.deferred.lock().progress.take(entry);
            let Some(Progress { acked, resume }) = progress else {
                return;
            };
            if let Some(acked) = acked {
                apply_acked(connection, lock, &acked);
            }
            if resume {
                let (mut state, mut tcp) = connection.state.open(lock);
                send::resume(connection, &mut state, &mut tcp);
            }
        }
        entry::RETURNED => {
            // The entry for progress came before this one.
            let returned = connection.deferred.lock().returned.get();
            if let Some((header, state)) = returned {
                recall::complete(connection, lock, &header, &state);
            }
        }
        entry::FRAME => legacy::apply_frame(connection, lock, entry),
        entry::RESUMED => {
            let (seq, round) = entry.seq();
            legacy::apply_resumed(connection, lock, seq, round);
        }
        _ => apply_payload(connection, lock, entry),
    }
}

fn apply_payload(connection: &Connection, lock: &mut Locked<'_>, entry: BacklogEntry) {
    {
        let (mut state, tcp) = connection.state.open(lock);
        if let Err(obstacle) = tcp.may_bypass(connection.lane.adapter().ifindex()) {
            recall::request(connection, &mut state, obstacle);
        }
    }
    let legacy = connection.kind() == Kind::Legacy;
    if lock.deliver(entry, !legacy).is_ok() || !lock.is_established() {
        return;
    }
    // In legacy mode, Linux may have dropped a frame before this payload. The adapter has not
    // acknowledged the payload, so it is dropped too. Otherwise this is an error.
    if !legacy {
        let (mut state, _) = connection.state.open(lock);
        recall::request(connection, &mut state, Cause::Gap);
    }
}

fn apply_acked(connection: &Connection, lock: &mut Locked<'_>, acked: &Acked) {
    let (mut state, mut tcp) = connection.state.open(lock);
    let Some(send) = state.send() else {
        return;
    };
    let lane = &connection.lane;
    if !send.is_plausible(&acked.send) {
        return lane
            .adapter()
            .fault("acknowledgement beyond submitted payload");
    }
    let snd_una = acked.send.snd_una;
    connection.count_sent(send, &acked.send);
    send.report(&mut tcp, &acked.send);
    if let Some(frags) = &mut *connection.frags.lock() {
        frags.release_to(snd_una);
    }
    send.submitted = later(send.submitted, snd_una);
    if let Err(obstacle) = tcp.may_bypass(lane.adapter().ifindex()) {
        recall::request(connection, &mut state, obstacle);
    }
    if let Some(carried) = state.carried().filter(|_| tcp.is_in_recovery()) {
        update::put_right(connection, carried, &mut tcp);
    }
    send::submit(connection, &mut state, &tcp);
}
