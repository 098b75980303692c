// SPDX-License-Identifier: GPL-2.0

//! Automatic delegation (`net.toe.enable` = 2).
//!
//! Every active connection sends frames, acknowledgements at least, and the driver reports each frame
//! that it transmits ([`consider`]). A connection becomes a candidate once it has carried
//! `net.toe.min_bytes` bytes and is not in loss recovery. A work item owns the candidate's socket and
//! hands it over. Refused and returned connections are tried again after a delay ([`backoff`]), but not
//! those that a user took back ([`kept`]).

use super::{
    backoff,
    connection::ULP,
    handover,
    kept, //
};
use crate::{
    tcp::{
        sock::{
            Lock,
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
pub(super) fn consider(sock: &WeakSock) {
    if sysctl::mode(sock) == Mode::Automatic
        && sock.bytes() >= sysctl::min_bytes(sock)
        && ULP.shadow_of(sock, &rcu::read_lock()).is_none()
        && !sock.is_in_recovery()
        && !backoff::is_delayed(sock)
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
    let mut sock = candidate.lock();
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
    if let Err(why) = handover::delegate(&mut sock) {
        backoff::refused(&sock, why.reason);
    }
}
