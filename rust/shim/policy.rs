// SPDX-License-Identifier: GPL-2.0

//! Which connections are delegated without having asked (`net.toe.enable` = 2).
//!
//! Every live connection through the interface sends frames, if only acknowledgements, and the
//! driver asks the shim about each frame's queue: that is where a connection is noticed. It is a
//! candidate once it has carried `net.toe.min_bytes`. A worker owns the socket and hands it over.
//!
//! What was refused, or came back, is left alone for a while, twice as long each time. That is
//! remembered by socket in a small table, in which an entry may be displaced by another socket's:
//! the price is a try too early.

use super::{
    connection::{
        Connection,
        ULP, //
    },
    handover,
    reason::{
        Cause,
        Refusal, //
    }, //
};
use crate::{
    tcp::{
        sock::TcpSock,
        sysctl::{
            self,
            Enable, //
        }, //
    },
    util::{
        global::Global,
        lock::{
            new_bh_spinlock,
            BhSpinLock, //
        },
        time::jiffies_msecs,
        workqueue, //
    }, //
};
use core::ptr;
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        rcu,
        Arc, //
    },
    workqueue::{
        Work,
        WorkItem, //
    }, //
};

/// Sockets that are remembered.
const MEMORY: usize = 4096;
/// Candidates that may wait.
const CANDIDATES: usize = 1024;
/// Milliseconds that a connection is left alone after the first refusal of a passing kind, or
/// return.
const PAUSE: u32 = 50;
/// How often that is doubled at most.
const DOUBLINGS: u32 = 10;
/// Milliseconds after a refusal of a lasting kind.
const LONG_PAUSE: u32 = 5_000;
/// A connection that was delegated so long, in milliseconds, starts afresh.
const GOOD: u32 = 5_000;

/// A remembered socket.
struct Memory {
    socket: Atomic<u64>,
    // When it may be tried again, and how often it was put off.
    until: Atomic<u32>,
    strikes: Atomic<u32>,
}

static MEMORIES: [Memory; MEMORY] = [const {
    Memory {
        socket: Atomic::new(0),
        until: Atomic::new(0),
        strikes: Atomic::new(0),
    }
}; MEMORY];

/// Where `sock` is remembered, and the name by which it is.
fn memory(sock: &TcpSock) -> (&'static Memory, u64) {
    // The memory of a socket that is gone is soon that of another.
    let name = (ptr::from_ref(sock) as u64).rotate_left(32) ^ u64::from(sock.hash());
    let mixed = name.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // CAST: twelve bits.
    (&MEMORIES[(mixed >> 52) as usize % MEMORY], name)
}

/// Leaves `sock` alone for `pause` milliseconds.
fn put_off(sock: &TcpSock, pause: u32, strikes: u32) {
    let (memory, name) = memory(sock);
    memory.socket.store(name, Relaxed);
    memory
        .until
        .store(jiffies_msecs().wrapping_add(pause), Relaxed);
    memory.strikes.store(strikes, Relaxed);
}

fn strikes(sock: &TcpSock) -> u32 {
    let (memory, name) = memory(sock);
    if memory.socket.load(Relaxed) == name {
        memory.strikes.load(Relaxed)
    } else {
        0
    }
}

/// Puts a candidate off because of a refusal.
fn refused(sock: &TcpSock, refusal: Refusal) {
    if refusal.is_transient() {
        let strikes = (strikes(sock) + 1).min(DOUBLINGS);
        put_off(sock, PAUSE << (strikes - 1), strikes);
    } else {
        put_off(sock, LONG_PAUSE, strikes(sock));
    }
}

/// Decides how long a connection that came back is left alone.
pub(super) fn returned(connection: &Connection, cause: Cause) {
    let sock = connection.sock();
    let good = jiffies_msecs().wrapping_sub(connection.since) > GOOD;
    let strikes = if good || !cause.is_involuntary() {
        1
    } else {
        (strikes(sock) + 1).min(DOUBLINGS)
    };
    put_off(sock, PAUSE << (strikes - 1), strikes);
}

/// The candidates and their worker.
#[pin_data]
struct Queue {
    #[pin]
    candidates: BhSpinLock<KVec<ARef<TcpSock>>>,
    #[pin]
    work: Work<Queue>,
}

kernel::impl_has_work! {
    impl HasWork<Self> for Queue { self.work }
}

static QUEUE: Global<Queue> = Global::new();

/// Automatic delegation. Dropping ends it, and waits until the worker is done.
pub(super) struct Worker(());

impl Worker {
    /// Begins it. There is one.
    pub(super) fn new() -> Result<Self> {
        QUEUE.publish(Queue::new()?)?;
        Ok(Self(()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let Some(queue) = QUEUE.retract() else {
            return;
        };
        loop {
            let candidate = queue.candidates.lock().pop();
            if candidate.is_none() {
                break;
            }
        }
        workqueue::flush_work(&queue.work);
    }
}

impl Queue {
    fn new() -> Result<Arc<Self>> {
        let candidates = KVec::with_capacity(CANDIDATES, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                candidates <- new_bh_spinlock!(candidates),
                work <- kernel::new_work!("toe::policy"),
            }),
            GFP_KERNEL,
        )
    }
}

/// Looks at a socket that sends a frame through an adapter. Softirq or process context.
#[inline]
pub(super) fn consider(sock: &TcpSock) {
    if sysctl::Registration::enable(sock) == Enable::Automatic
        && sock.bytes() >= sysctl::Registration::min_bytes(sock)
        && ULP.shadow_of(sock, &rcu::read_lock()).is_none()
    {
        enqueue(sock);
    }
}

fn enqueue(sock: &TcpSock) {
    let (memory, name) = memory(sock);
    if memory.socket.load(Relaxed) == name
        && (jiffies_msecs().wrapping_sub(memory.until.load(Relaxed)) as i32) < 0
    {
        return;
    }
    let (Some(queue), Some(held)) = (QUEUE.get(), sock.try_hold()) else {
        return;
    };
    // Not again before the worker has had its turn.
    put_off(sock, PAUSE, strikes(sock));
    let full = queue.candidates.lock().push_within_capacity(held).err();
    if full.is_none() {
        let _ = workqueue::system_dfl().enqueue(queue);
    }
}

impl WorkItem for Queue {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        loop {
            let Some(candidate) = this.candidates.lock().pop() else {
                return;
            };
            // What is being closed stays Linux's.
            let Some(_file) = candidate.file() else {
                continue;
            };
            let mut sock = candidate.lock();
            // It may have asked by itself meanwhile, or been noticed twice.
            let delegated = ULP.shadow_of(&sock, &rcu::read_lock()).is_some();
            if delegated || sysctl::Registration::enable(&sock) != Enable::Automatic {
                continue;
            }
            if let Err(refusal) = handover::delegate(&mut sock) {
                self::refused(&sock, refusal);
            }
        }
    }
}
