// SPDX-License-Identifier: GPL-2.0

//! Automatic delegation (`net.toe.enable` = 2).
//!
//! Every active connection sends frames, acknowledgements at least, and the driver reports each frame
//! that it transmits ([`consider`]). A connection becomes a candidate once it has carried
//! `net.toe.min_bytes` bytes and is not in loss recovery. A worker owns the candidate's socket and hands
//! it over. Refused and returned connections are tried again after a delay ([`backoff`]). While a filter or
//! tap has to see the frames of all connections none is tried: the adapter's [`Gate`] is closed.

use super::{
    backoff,
    connection::ULP,
    handover,
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
        lock::{
            new_bh_spinlock,
            BhSpinLock, //
        },
        workqueue, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        rcu,
        Arc, //
    },
    workqueue::{
        Work,
        WorkItem, //
    }, //
};

/// Largest number of candidates that wait.
const MAX_CANDIDATES: usize = 1024;

/// How long the worker waits for a process that owns a candidate, in milliseconds.
const LOCK_TIMEOUT_MS: u32 = 100;

/// The candidates, and the work item that hands them over.
#[pin_data]
struct Candidates {
    #[pin]
    socks: BhSpinLock<KVec<ARef<TcpSock>>>,
    #[pin]
    work: Work<Candidates>,
}

kernel::impl_has_work! {
    impl HasWork<Self> for Candidates { self.work }
}

static CANDIDATES: Global<Candidates> = Global::new();

/// Automatic delegation. Dropping this ends it, and waits for the worker.
pub(super) struct Policy(());

impl Policy {
    /// Starts automatic delegation. There is one instance.
    pub(super) fn new() -> Result<Self> {
        CANDIDATES.publish(Candidates::new()?)?;
        Ok(Self(()))
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        let Some(candidates) = CANDIDATES.retract() else {
            return;
        };
        while let Some(candidate) = candidates.pop() {
            drop(candidate);
        }
        workqueue::flush_work(&candidates.work);
    }
}

impl Candidates {
    fn new() -> Result<Arc<Self>> {
        let socks = KVec::with_capacity(MAX_CANDIDATES, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                socks <- new_bh_spinlock!(socks),
                work <- kernel::new_work!("toe::policy"),
            }),
            GFP_KERNEL,
        )
    }

    /// Takes a candidate out. The lock is not held when this returns.
    fn pop(&self) -> Option<ARef<TcpSock>> {
        self.socks.lock().pop()
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
    let rejected = candidates.socks.lock().push_within_capacity(held).err();
    if rejected.is_none() {
        let _ = workqueue::system_dfl().enqueue(candidates);
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

impl WorkItem for Candidates {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        while let Some(candidate) = this.pop() {
            // A socket that is being closed stays with Linux.
            let Some(_file) = candidate.file() else {
                continue;
            };
            let Some(mut sock) = candidate.lock_timeout(LOCK_TIMEOUT_MS) else {
                backoff::refused(&candidate, Refusal::Busy);
                continue;
            };
            // The application may have requested the hand-over meanwhile.
            let is_delegated = ULP.shadow_of(&sock, &rcu::read_lock()).is_some();
            if is_delegated || sysctl::mode(&sock) != Mode::Automatic {
                continue;
            }
            if let Err(refusal) = handover::delegate(&mut sock) {
                backoff::refused(&sock, refusal);
                if refusal == Refusal::Filter {
                    close_gate(&mut sock);
                }
            }
        }
    }
}
