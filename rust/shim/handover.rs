// SPDX-License-Identifier: GPL-2.0

//! Hand-over: a connection goes from Linux to the adapter.
//!
//! The socket is owned from the description of its state to the adapter's answer, so that nothing
//! changes in between: frames that arrive wait in the backlog. The adapter takes the connection as
//! a whole, or the socket is as it was.

use super::{
    connection::{
        Connection,
        Phase,
        STOPPED,
        ULP, //
    },
    genl,
    giveback,
    patience::{
        Patience,
        SILENCE, //
    },
    reason::{
        Cause,
        Refusal, //
    },
    registry,
    send, //
};
use crate::{
    abi::{
        connection::{
            self as abi,
            flag, //
        },
        feature,
        rules::Headers,
        submission::{
            Delegate,
            Op,
            DELEGATE_ENTRIES, //
        },
        Layout, //
    },
    offload::{
        Handle,
        SubmitError, //
    },
    tcp::sock::{
        Owned,
        State, //
    }, //
};
use kernel::{
    prelude::*,
    sync::atomic::ordering::{
        Acquire,
        Relaxed, //
    },
    time::{
        delay::fsleep,
        msecs_to_jiffies,
        Delta, //
    }, //
};

/// How often a hand-over is tried that may succeed in a moment.
const TRIES: usize = 4;

/// Hands the connection of `sock` to the adapter that its route leads through. Sleeps.
///
/// # Errors
///
/// Why not; the refusal has been counted, and the socket is as it was.
pub(super) fn delegate(sock: &mut Owned<'_>) -> Result<(), Refusal> {
    let ifindex = sock.with_device(|dev| dev.ifindex());
    let handle = ifindex.and_then(|ifindex| registry::adapter(sock.namespace(), ifindex));
    let Some(handle) = handle.filter(|handle| handle.is_offered()) else {
        registry::NOWHERE.refused(Refusal::NoDevice);
        return Err(Refusal::NoDevice);
    };
    let mut tries = 0;
    loop {
        tries += 1;
        match attempt(sock, &handle) {
            Err(refusal) if refusal.is_transient() && tries < TRIES => {
                sock.flush_backlog();
                fsleep(Delta::from_millis(1));
            }
            result => {
                registry::count(&handle, result);
                return result;
            }
        }
    }
}

fn attempt(sock: &mut Owned<'_>, handle: &Handle) -> Result<(), Refusal> {
    if !handle.is_running() {
        return Err(Refusal::NoDevice);
    }
    if handle.is_inspected() {
        return Err(Refusal::Filter);
    }
    sock.flush_backlog();
    let state = sock.snapshot().map_err(Refusal::from_obstacles)?;
    if state.ecn && handle.features() & feature::ECN == 0 {
        return Err(Refusal::Ecn);
    }
    let width = if state.ipv6 { 16 } else { 4 };
    let received = Headers::of_tcp(
        state.local_mac,
        &state.remote_address[..width],
        &state.local_address[..width],
        state.remote_port,
        state.local_port,
    );
    let processor = handle.processor_for(&received).ok_or(Refusal::Filter)?;
    let lane = registry::lane(handle, processor).ok_or(Refusal::NoDevice)?;
    let connection = Connection::new(sock, lane.clone(), &state).map_err(|_| Refusal::NoMemory)?;
    // First, because it is what may fail for lack of memory.
    ULP.attach(sock, connection.clone()).map_err(|e| match e {
        EEXIST => Refusal::Ulp,
        EOPNOTSUPP => Refusal::Unsupported,
        _ => Refusal::NoMemory,
    })?;

    let result = lane.insert(&connection).and_then(|()| {
        let result = ask(&connection, &state);
        if result.is_err() {
            lane.remove(&connection);
        }
        result
    });
    if let Err(refusal) = result {
        connection.set_phase(Phase::Linux);
        ULP.detach(sock);
        return Err(refusal);
    }

    connection.set_phase(Phase::Delegated);
    let (shadow, tcp) = connection.cell.open(sock);
    tcp.enter_shadow();
    send::submit(&connection, shadow, tcp);
    genl::notify_delegated(&connection);
    if handle.is_inspected() {
        // Since it was looked at: who was told then may not have seen this connection.
        giveback::ask(&connection, shadow, Cause::Filter);
    }
    Ok(())
}

/// Asks the adapter and waits for its answer.
fn ask(connection: &Connection, state: &State) -> Result<(), Refusal> {
    let header = Delegate {
        op: Op::Delegate.raw(),
        host_id: connection.host_id.load(Relaxed),
    };
    let mut entries = [[0; 64]; DELEGATE_ENTRIES];
    entries[0] = header.to_bytes();
    let bytes = describe(state).to_bytes();
    for (entry, part) in entries[1..].iter_mut().zip(bytes.chunks_exact(64)) {
        entry.copy_from_slice(part);
    }

    let lane = &connection.lane;
    match lane.handle.submit(lane.processor, &entries) {
        Ok(()) => {}
        Err(SubmitError::Full) => return Err(Refusal::Busy),
        Err(SubmitError::Stopped) => return Err(Refusal::NoDevice),
    }
    // An adapter that does not answer is reset; the answer is then that it has stopped.
    let mut patience = Patience::new(lane);
    while !connection
        .answered
        .wait_for_completion_timeout(msecs_to_jiffies(SILENCE))
    {
        if patience.is_over() {
            lane.handle.fault("a hand-over was not answered");
        }
    }
    match connection.answer.load(Acquire) {
        STOPPED => Err(Refusal::NoDevice),
        // CAST: stored from a byte.
        status => Refusal::from_status(status as u8).map_or(Ok(()), Err),
    }
}

/// What the adapter is told.
fn describe(state: &State) -> abi::Connection {
    let mut flags = 0;
    for (set, bit) in [
        (state.ipv6, flag::IPV6),
        (state.timestamps, flag::TIMESTAMPS),
        (state.sack, flag::SACK),
        (state.window_scale, flag::WINDOW_SCALE),
        (state.ecn, flag::ECN),
        (state.ecn_echo, flag::ECN_ECHO),
        (state.nodelay, flag::NODELAY),
        (state.cork, flag::CORK),
    ] {
        if set {
            flags |= bit;
        }
    }
    abi::Connection {
        local_address: state.local_address,
        remote_address: state.remote_address,
        local_port: state.local_port,
        remote_port: state.remote_port,
        flags,
        local_mac: state.local_mac,
        remote_mac: state.remote_mac,
        flow_label: state.flow_label,
        tos: state.tos,
        ttl: state.ttl,
        snd_wscale: state.snd_wscale,
        rcv_wscale: state.rcv_wscale,
        mss: state.mss,
        rcv_mss: state.rcv_mss,
        snd_una: state.snd_una,
        snd_nxt: state.snd_nxt,
        snd_wnd: state.snd_wnd,
        snd_wl1: state.snd_wl1,
        max_window: state.max_window,
        rcv_nxt: state.rcv_nxt,
        rcv_edge: state.rcv_edge,
        tsval: state.tsval,
        ts_tick_us: state.ts_tick_us,
        ts_recent: state.ts_recent,
        srtt_us: state.srtt_us,
        rttvar_us: state.rttvar_us,
        min_rtt_us: state.min_rtt_us,
        rto_us: state.rto_us,
        cwnd: state.cwnd,
        ssthresh: state.ssthresh,
        reordering: state.reordering,
        backoff: state.backoff,
        ..abi::Connection::default()
    }
}
