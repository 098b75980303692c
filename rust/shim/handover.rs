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
        Origin,
        ULP, //
    },
    kept,
    notify,
    parameters::Parameters,
    quota::Share,
    reason::{
        Cause,
        Refusal,
        Why, //
    },
    recall,
    registry,
    send,
    state::{
        Carried,
        Receive,
        SendSide, //
    },
    stats::NO_ADAPTER,
    timeout::{
        AnswerTimeout,
        SILENCE_MS, //
    },
    update, //
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
            SubmissionOp,
            DELEGATE_ENTRIES, //
        },
        Layout, //
    },
    offload::{
        Handle,
        SubmitError, //
    },
    tcp::{
        shadow,
        sock::{
            trace,
            Detail,
            Lock,
            Owned,
            TcpSock, //
        },
        sysctl::{
            self,
            Mode, //
        }, //
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

/// A process waits for the socket in Linux's `setsockopt`, which it called before the socket had a shadow.
/// The shim would not learn of the option, or be in the way of another ULP.
const OVERTAKEN: Why<Cause> = Why {
    reason: Cause::Sockopt,
    detail: Some(Detail::Name(c"a setsockopt during the hand-over")),
};
/// Number of attempts while refusals are transient.
const ATTEMPTS: usize = 4;

/// Hands a connection over because a user asks for it, unless the policy forbids it, and counts the
/// outcome. Process context; sleeps.
///
/// # Errors
///
/// The reason. The socket is as it was.
pub(super) fn request(sock: &mut Owned<'_>, origin: Origin) -> Result<(), Why<Refusal>> {
    kept::forget(sock);
    if sysctl::mode(sock) == Mode::Off {
        return outcome(sock, None, Err(Refusal::Disabled.into()));
    }
    delegate(sock, origin)
}

/// Hands the connection of `sock` over to the adapter that its route leads through, and counts the
/// outcome. Process context; sleeps.
///
/// # Errors
///
/// The reason. The socket is as it was.
pub(super) fn delegate(sock: &mut Owned<'_>, origin: Origin) -> Result<(), Why<Refusal>> {
    let adapter = sock
        .tcp()
        .with_device(|dev| dev.ifindex())
        .and_then(|ifindex| registry::adapter(sock.namespace(), ifindex))
        .filter(|adapter| adapter.is_offered());
    let Some(adapter) = adapter else {
        return outcome(sock, None, Err(Refusal::NoDevice.into()));
    };
    let mut attempts = 0;
    loop {
        attempts += 1;
        match attempt(sock, &adapter, origin) {
            Err(why) if why.reason.is_transient() && attempts < ATTEMPTS => {
                sock.flush_backlog();
                fsleep(Delta::from_millis(1));
            }
            result => return outcome(sock, Some(&adapter), result),
        }
    }
}

/// Counts and traces the outcome of a hand-over to an adapter, or to none.
fn outcome(
    sock: &TcpSock,
    adapter: Option<&Handle>,
    outcome: Result<(), Why<Refusal>>,
) -> Result<(), Why<Refusal>> {
    let reason = outcome.map_err(|why| {
        trace::refused(sock, why.reason as u32, why.detail);
        why.reason
    });
    match adapter {
        Some(adapter) => registry::count_handover(adapter, reason),
        None => NO_ADAPTER.count_handover(reason),
    }
    outcome
}

fn attempt(sock: &mut Owned<'_>, adapter: &Handle, origin: Origin) -> Result<(), Why<Refusal>> {
    if !adapter.is_running() {
        return Err(Refusal::NoDevice.into());
    }
    if adapter.is_inspected() {
        return Err(Why::named(Refusal::Filter, c"XDP program"));
    }
    sock.flush_backlog();
    let snapshot = sock.tcp().snapshot()?;
    if snapshot.has(flag::ECN) && adapter.features() & feature::ECN == 0 {
        return Err(Refusal::Ecn.into());
    }
    let width = if snapshot.has(flag::IPV6) { 16 } else { 4 };
    let received = Headers::of_tcp(
        snapshot.local_mac,
        &snapshot.remote_address[..width],
        &snapshot.local_address[..width],
        snapshot.remote_port,
        snapshot.local_port,
    );
    let processor = adapter.processor_for(&received).ok_or(Why::named(
        Refusal::Filter,
        c"receive rule of the interface",
    ))?;
    let lane = registry::lane(adapter, processor).ok_or(Refusal::NoDevice)?;
    // Everything is allocated before the adapter is asked: nothing may fail after its answer.
    let share = Share::take(sock)?;
    let connection = Connection::new(sock, lane.clone(), &snapshot, origin, share)
        .map_err(|_| Refusal::NoMemory)?;
    let connection = lane.insert(connection)?;

    let result = attach(sock, &connection).and_then(|()| {
        if origin == Origin::Outside {
            shadow::advance();
        }
        ask(&connection, &snapshot)
    });
    let (mut state, mut tcp) = connection.state.open(sock);
    let device_id = match result {
        Ok(device_id) => device_id,
        Err(refusal) => {
            connection.finish(&mut state);
            ULP.detach(sock);
            lane.remove(&connection);
            return Err(refusal.into());
        }
    };
    state.accept(Carried {
        send: SendSide {
            device_id,
            submitted: snapshot.send.snd_una,
            last: snapshot.send,
        },
        receive: match snapshot.has(flag::OUT_OF_ORDER) {
            true => Receive::Legacy,
            false => Receive::Direct,
        },
        resync: None,
        more: false,
        push: None,
        wanted: Parameters::from(&snapshot),
        told: Parameters::from(&snapshot),
        blocked: None,
    });
    tcp.enter_shadow();
    if let Some(carried) = state.carried() {
        update::refresh(&connection, carried, &tcp);
        update::tell(&connection, carried, &tcp);
    }
    send::submit(&connection, &mut state, &tcp);
    notify::delegated(&connection);
    if adapter.is_inspected() {
        // The program was attached after the check above: its check of all connections may have
        // missed this one.
        let why = Why::named(Cause::Filter, c"XDP program");
        recall::request(&connection, &mut state, why);
    }
    if origin == Origin::Outside && sock.awaits_option() {
        recall::recall(&connection, sock, OVERTAKEN);
    } else {
        ULP.publish(sock);
        connection.settled.complete_all();
    }
    Ok(())
}

fn attach(sock: &mut Owned<'_>, connection: &Arc<Connection>) -> Result<(), Refusal> {
    ULP.attach(sock, connection.clone()).map_err(|e| match e {
        EEXIST => Refusal::Ulp,
        EOPNOTSUPP => Refusal::Unsupported,
        _ => Refusal::NoMemory,
    })?;
    // Checked before, but a `close()` that has begun since may not have found the shadow's operations.
    match sock.tcp().is_open() {
        true => Ok(()),
        false => Err(Refusal::NotEstablished),
    }
}

/// Asks the adapter to take a connection and waits for the answer. Returns the adapter's identifier of
/// the connection.
fn ask(connection: &Connection, snapshot: &abi::ConnectionState) -> Result<u32, Refusal> {
    let header = Delegate {
        op: SubmissionOp::Delegate.raw(),
        host_id: connection.host_id(),
    };
    let mut entries = [[0; 64]; DELEGATE_ENTRIES];
    entries[0] = header.to_bytes();
    let bytes = snapshot.to_bytes();
    for (entry, part) in entries[1..].iter_mut().zip(bytes.chunks_exact(64)) {
        entry.copy_from_slice(part);
    }

    let queue = &connection.lane.queue;
    match connection.submit(&entries) {
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
            None if timeout.is_expired(queue) => {
                // The reset stops the processor, which gives `Answer::Stopped`.
                queue.adapter().fault("hand-over timed out");
            }
            None => {}
        }
    }
}
