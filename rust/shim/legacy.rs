// SPDX-License-Identifier: GPL-2.0

//! Legacy mode of a connection that the adapter carries.
//!
//! A received frame that only Linux's TCP can process goes to it whole, as do all frames after it,
//! while the adapter keeps doing the send side. The adapter resumes delivery with a `Resumed` at the
//! end of the payload in these frames. Linux may have dropped one of them. So the answer says
//! whether its TCP is in step: the adapter acknowledges nothing after the `Resumed` before that.

use super::{
    connection::{
        entry,
        Connection, //
    },
    poll::{
        ProcessorPoll,
        UNKNOWN, //
    },
    reason::Cause,
    recall,
    state::{
        Carried,
        Receive, //
    },
    submission::Shortage,
    update, //
};
use crate::{
    abi::{
        completion::Resumed,
        submission::{
            resync_flag,
            Resync,
            SubmissionOp, //
        }, //
    },
    net::napi::RxSkBuff,
    offload::SubmitError,
    tcp::{
        backlog::BacklogEntry,
        sock::{
            Lock,
            Locked, //
        }, //
    }, //
};

/// Handles a legacy frame, after the payload before it. One of a connection that was returned is an ordinary frame.
#[cold]
pub(super) fn frame(poll: &mut ProcessorPoll, host_id: u32, skb: RxSkBuff<'_>) {
    let Some(connection) = poll.get(host_id) else {
        return skb.receive();
    };
    // Counted by the interface if it is not a TCP segment any more.
    let Ok(frame) = BacklogEntry::frame(skb, entry::FRAME) else {
        return;
    };
    let mut spin = connection.sock().spin();
    match spin.locked() {
        Some(mut lock) => apply_frame(connection, &mut lock, frame),
        None => spin.add_frame(frame),
    }
}

/// Lets Linux's TCP receive a legacy frame. With the socket locked.
pub(super) fn apply_frame(connection: &Connection, lock: &mut Locked<'_>, frame: BacklogEntry) {
    {
        let (mut state, _) = connection.state.open(lock);
        state.set_receive(Receive::Legacy);
        if state.send().is_none() {
            return;
        }
    }
    lock.receive(frame);
    frame_processed(connection, lock);
}

/// Stops the timers that Linux may have started for a frame that it has received. A FIN, which was in
/// the backlog at the hand-over, returns the connection.
pub(super) fn frame_processed(connection: &Connection, lock: &mut Locked<'_>) {
    if !connection.is_offloaded() {
        return;
    }
    lock.tcp().stop_timers();
    if !lock.is_established() {
        let (mut state, _) = connection.state.open(lock);
        recall::request(connection, &mut state, Cause::Fin);
    }
}

/// Handles a resumption, after the payload before it.
#[cold]
pub(super) fn resumed(poll: &mut ProcessorPoll, resumed: Resumed) {
    // Taken in any case, so that the connection can be borrowed.
    let entry = poll.payload_entry();
    let Some(connection) = poll.get(resumed.host_id) else {
        return poll.lane.adapter().fault(UNKNOWN);
    };
    let mut spin = connection.sock().spin();
    if let Some(mut lock) = spin.locked() {
        return apply_resumed(connection, &mut lock, resumed.seq, resumed.round);
    }
    // The adapter needs only the latest answer. So there are no more resumptions in the backlog than
    // frames and payload, which are bounded.
    if spin.replace_last(entry::RESUMED, resumed.seq, resumed.round) {
        return;
    }
    let Some(mut entry) = entry else {
        return poll
            .lane
            .adapter()
            .fault("no backlog entry for a resumption");
    };
    entry.set_kind(entry::RESUMED);
    entry.set_seq(resumed.seq, resumed.round);
    spin.add_backlog(entry);
}

/// Answers a resumption. With the socket locked.
pub(super) fn apply_resumed(connection: &Connection, lock: &mut Locked<'_>, seq: u32, round: u32) {
    let (mut state, tcp) = connection.state.open(lock);
    let in_step = tcp.is_in_step(seq);
    state.set_receive(match in_step {
        true => Receive::Direct,
        false => Receive::Legacy,
    });
    // A connection that is being returned needs no answer.
    let Some(carried) = state.carried() else {
        return;
    };
    carried.resync = Some(Resync {
        op: SubmissionOp::Resync.raw(),
        flags: match in_step {
            true => resync_flag::IN_STEP,
            false => 0,
        },
        device_id: carried.send.device_id,
        rcv_nxt: tcp.rcv_nxt(),
        round,
    });
    answer(connection, carried);
    // What Linux has announced in frames meanwhile may have been lost.
    carried.wanted.open_window(tcp.rcv_edge());
    update::tell(connection, carried, &tcp);
}

/// Submits the answer to the latest resumption, if there is one. The connection is listed to be
/// resumed if there is no room. With the socket locked.
pub(super) fn answer(connection: &Connection, carried: &mut Carried) {
    let Some(resync) = &carried.resync else {
        return;
    };
    match connection.submit_entry(resync) {
        Err(SubmitError::Full) => connection.wait(&mut carried.blocked, Shortage::Room),
        // The connections of a stopped processor come back by themselves.
        Ok(()) | Err(SubmitError::Stopped) => carried.resync = None,
    }
}
