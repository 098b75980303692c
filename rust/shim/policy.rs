// SPDX-License-Identifier: GPL-2.0

//! Automatic delegation (`net.toe.enable` = 2).
//!
//! Every active connection sends frames, acknowledgements at least, and the driver reports each frame
//! that it transmits ([`consider`]). A connection becomes a candidate once it has carried
//! `net.toe.min_bytes` bytes and is not in loss recovery. A work item owns the candidate's socket and
//! hands it over. Refused and returned connections are tried again after a delay ([`backoff`]), but not
//! those that a user took back ([`kept`]). While a filter or tap has to see the frames of all connections
//! none is tried: the adapter's [`Gate`] is closed.

use super::{
    backoff,
    connection::{
        Origin,
        ULP, //
    },
    handover,
    kept,
    reason::Refusal,
    registry, //
};
use crate::{
    offload::Gate,
    tcp::{
        sock::{
            Lock,
            Owned,
            TcpSock,
            WeakSock, //
        },
        sysctl::{
            self,
            Mode, //
        }, //
    },
    util::{
        global::Global,
        workqueue::OwnedQueue, //
    }, //
};
use kernel::{
    alloc::flags::__GFP_NOWARN,
    prelude::*,
    sync::{
        rcu,
        Arc, //
    }, //
};

/// Largest number of hand-overs at a time: each waits for the adapter's answer.
const MAX_ACTIVE: c_int = 16;

/// How long a hand-over waits for a process that owns the candidate, in milliseconds.
const LOCK_TIMEOUT_MS: u32 = 100;

/// The queue of candidates.
static CANDIDATES: Global<OwnedQueue> = Global::new();

/// Automatic delegation. Dropping this ends it, and waits for hand-overs that have begun.
pub(super) struct Policy(());

impl Policy {
    /// Starts automatic delegation. There is one instance.
    pub(super) fn new() -> Result<Self> {
        let queue = OwnedQueue::new(c"toe_policy", MAX_ACTIVE)?;
        CANDIDATES.publish(Arc::new(queue, GFP_KERNEL)?)?;
        Ok(Self(()))
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        // No adapter is left whose frames name candidates: this is the last reference.
        drop(CANDIDATES.retract());
    }
}

/// Considers a socket that sends a frame through an adapter. Softirq or process context.
#[inline]
pub(super) fn consider(gate: &Gate, sock: &WeakSock) {
    if sysctl::mode(sock) == Mode::Automatic
        && sock.bytes() >= sysctl::min_bytes(sock)
        && ULP.shadow_of(sock, &rcu::read_lock()).is_none()
        && !sock.is_in_recovery()
        && !backoff::is_delayed(sock)
        && !gate.is_closed(sock.is_ipv6())
    {
        enqueue(sock);
    }
}

fn enqueue(sock: &WeakSock) {
    let (Some(candidates), Some(held)) = (CANDIDATES.get(), sock.try_hold()) else {
        return;
    };
    backoff::queued(sock);
    // Without memory the socket is a candidate again after the delay.
    let _ = candidates.try_spawn(GFP_ATOMIC | __GFP_NOWARN, move || hand_over(&held));
}

/// Hands over a candidate.
fn hand_over(candidate: &TcpSock) {
    let Some(mut sock) = candidate.lock_timeout(LOCK_TIMEOUT_MS) else {
        return backoff::refused(candidate, Refusal::Busy);
    };
    // The application may have requested the hand-over meanwhile.
    let is_delegated = ULP.shadow_of(&sock, &rcu::read_lock()).is_some();
    // A socket that is being closed stays with Linux.
    if is_delegated || !sock.tcp().is_open() || sysctl::mode(&sock) != Mode::Automatic {
        return;
    }
    // A sockops program may put the socket into a sockmap, which takes none that has a ULP.
    if kept::contains(&sock) || sock.tcp().is_in_sockops_cgroup() {
        return backoff::lasting(&sock);
    }
    if let Err(why) = handover::delegate(&mut sock, Origin::Outside) {
        backoff::refused(&sock, why.reason);
        if why.reason == Refusal::Filter {
            close_gate(&mut sock);
        }
    }
}

/// Closes the gate of the adapter if the filter that prevented the hand-over of `sock` sees the frames
/// of all connections.
fn close_gate(sock: &mut Owned<'_>) {
    let ipv6 = sock.is_ipv6();
    let inspected = sock
        .tcp()
        .with_device(|dev| dev.is_inspected(ipv6).then(|| dev.ifindex()))
        .flatten();
    if let Some(adapter) = inspected.and_then(|index| registry::adapter(sock.namespace(), index)) {
        adapter.gate().set_closed(ipv6, true);
    }
}

/// Opens the gates whose filter has gone. Called once a second.
pub(super) fn open_gates() {
    for adapter in registry::adapters() {
        for ipv6 in [false, true] {
            if adapter.gate().is_closed(ipv6) && !adapter.netdev().is_inspected(ipv6) {
                adapter.gate().set_closed(ipv6, false);
            }
        }
    }
}
