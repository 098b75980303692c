// SPDX-License-Identifier: GPL-2.0

//! Hand-over: a connection goes from Linux to the adapter.
//!
//! The caller owns the socket from the snapshot of its state to the adapter's answer, so nothing
//! changes in between: frames that arrive wait in the backlog. The adapter takes the connection as a
//! whole, or the socket is left as it was.

use super::{
    answer::Answer,
    connection::{
        Connection,
        ULP, //
    },
    frags::Frags,
    notify,
    reason::{
        Cause,
        Refusal, //
    },
    recall,
    registry,
    report::Totals,
    send,
    state::{
        Carried,
        SendState, //
    },
    stats::NO_ADAPTER,
    timeout::{
        AnswerTimeout,
        SILENCE_MS, //
    }, //
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
        State as Snapshot, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// Number of attempts while refusals are transient.
const ATTEMPTS: usize = 4;

/// Hands the connection of `sock` over to the adapter that its route leads through, and counts the
/// outcome. Process context; sleeps.
///
/// # Errors
///
/// The reason. The socket is as it was.
pub(super) fn delegate(sock: &mut Owned<'_>) -> Result<(), Refusal> {
    let adapter = sock
        .with_device(|dev| dev.ifindex())
        .and_then(|ifindex| registry::adapter(sock.namespace(), ifindex))
        .filter(|adapter| adapter.is_offered());
    let Some(adapter) = adapter else {
        NO_ADAPTER.count_handover(Err(Refusal::NoDevice));
        return Err(Refusal::NoDevice);
    };
    let mut attempts = 0;
    loop {
        attempts += 1;
        match attempt(sock, &adapter) {
            Err(refusal) if refusal.is_transient() && attempts < ATTEMPTS => {
                sock.flush_backlog();
                fsleep(Delta::from_millis(1));
            }
            result => {
                registry::count_handover(&adapter, result);
                return result;
            }
        }
    }
}

fn attempt(sock: &mut Owned<'_>, adapter: &Handle) -> Result<(), Refusal> {
    if !adapter.is_running() {
        return Err(Refusal::NoDevice);
    }
    if adapter.is_inspected() {
        return Err(Refusal::Filter);
    }
    sock.flush_backlog();
    let snapshot = sock.snapshot().map_err(Refusal::from_obstacles)?;
    if snapshot.ecn && adapter.features() & feature::ECN == 0 {
        return Err(Refusal::Ecn);
    }
    let width = if snapshot.ipv6 { 16 } else { 4 };
    let received = Headers::of_tcp(
        snapshot.local_mac,
        &snapshot.remote_address[..width],
        &snapshot.local_address[..width],
        snapshot.remote_port,
        snapshot.local_port,
    );
    let processor = adapter.processor_for(&received).ok_or(Refusal::Filter)?;
    let channel = registry::channel(adapter, processor).ok_or(Refusal::NoDevice)?;
    // Before the adapter is asked: nothing after its answer may fail.
    let frags = Frags::new(channel.queue.clone()).map_err(|_| Refusal::NoMemory)?;
    let connection =
        Connection::new(sock, channel.clone(), &snapshot).map_err(|_| Refusal::NoMemory)?;
    let connection = channel.insert(connection)?;

    let result = attach(sock, &connection).and_then(|()| ask(&connection, &snapshot));
    let (mut state, tcp) = connection.state.open(sock);
    let device_id = match result {
        Ok(device_id) => device_id,
        Err(refusal) => {
            state.finish();
            channel.remove(&connection);
            ULP.detach(sock);
            return Err(refusal);
        }
    };
    state.accept(Carried {
        send: SendState {
            device_id,
            submitted: snapshot.snd_una,
            frags,
            last: Totals {
                snd_una: snapshot.snd_una,
                snd_nxt: snapshot.snd_nxt,
                ..Totals::default()
            },
        },
        more: false,
        blocked: false,
        remote_mac: snapshot.remote_mac,
        mss: snapshot.mss,
    });
    tcp.enter_shadow();
    send::submit(&connection, &mut state, tcp);
    notify::delegated(&connection);
    if adapter.is_inspected() {
        // The program was attached after the check above: its check of all connections may have
        // missed this one.
        recall::request(&connection, &mut state, Cause::Filter);
    }
    Ok(())
}

fn attach(sock: &mut Owned<'_>, connection: &Arc<Connection>) -> Result<(), Refusal> {
    ULP.attach(sock, connection.clone()).map_err(|e| match e {
        EEXIST => Refusal::Ulp,
        EOPNOTSUPP => Refusal::Unsupported,
        _ => Refusal::NoMemory,
    })
}

/// Asks the adapter to take a connection and waits for the answer. Returns the adapter's identifier of
/// the connection.
fn ask(connection: &Connection, snapshot: &Snapshot) -> Result<u32, Refusal> {
    let header = Delegate {
        op: Op::Delegate.raw(),
        host_id: connection.host_id(),
    };
    let mut entries = [[0; 64]; DELEGATE_ENTRIES];
    entries[0] = header.to_bytes();
    let bytes = describe(snapshot).to_bytes();
    for (entry, part) in entries[1..].iter_mut().zip(bytes.chunks_exact(64)) {
        entry.copy_from_slice(part);
    }

    let queue = &connection.channel.queue;
    match queue.submit(&entries) {
        Ok(()) => {}
        Err(SubmitError::Full) => return Err(Refusal::Busy),
        Err(SubmitError::Stopped) => return Err(Refusal::NoDevice),
    }
    let mut timeout = AnswerTimeout::new(queue);
    loop {
        match connection.answer.wait(SILENCE_MS) {
            Some(Answer::Accepted { device_id }) => return Ok(device_id),
            Some(Answer::Refused(refusal)) => return Err(refusal),
            Some(Answer::Stopped) => return Err(Refusal::NoDevice),
            None if timeout.is_expired() => {
                // The reset stops the processor, which is an answer.
                queue.adapter().fault("a hand-over was not answered");
            }
            None => {}
        }
    }
}

/// Describes a connection to the adapter.
fn describe(state: &Snapshot) -> abi::Connection {
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
