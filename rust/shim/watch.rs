// SPDX-License-Identifier: GPL-2.0

//! Recalls connections whose surroundings change while the adapter carries them.
//!
//! Linux notices such changes with the next frame that it sends or receives, and it sees no frames of
//! a delegated connection. Therefore a connection is checked with each completion and each `sendmsg`,
//! all are checked whenever a notifier reports a change, and once a second for changes without a
//! notifier (packet filters, taps). A connection that may no longer bypass Linux is recalled. A new
//! hardware address of the next hop or a new MSS is submitted to the adapter. A connection whose socket
//! a process owns is checked by that process.
//!
//! Settings of the socket itself change in calls that lock it ([`released`]). Frames that reach Linux
//! by another interface are noticed as Linux receives them ([`received`]).

use super::{
    connection::Connection,
    kept,
    mark::Mark,
    policy,
    reason::{
        Cause,
        Why, //
    },
    recall,
    registry,
    update, //
};
use crate::{
    net::notifier,
    tcp::{
        shadow::Released,
        sock::Locked,
        sysctl::{
            self,
            Mode, //
        }, //
    },
    util::{
        global::Global,
        workqueue, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            AtomicFlag,
            Full,
            Relaxed, //
        },
        Arc, //
    },
    workqueue::{
        Work,
        WorkItem, //
    }, //
};

/// Interval between two checks without a notification, in milliseconds.
const INTERVAL_MS: u32 = 1_000;

/// The checks. Dropping this ends them, and waits for the one that runs.
pub(super) struct Watch {
    _notifiers: notifier::Registration<Check>,
    _timer: workqueue::Periodic<Check>,
    _published: Published,
}

impl Watch {
    /// Starts the checks. There is one instance.
    pub(super) fn new() -> Result<Self> {
        let check = Arc::pin_init(
            pin_init!(Check {
                work <- kernel::new_work!("toe::watch"),
                ticked: AtomicFlag::new(false),
            }),
            GFP_KERNEL,
        )?;
        CHECK.publish(check.clone())?;
        let published = Published(());
        Ok(Self {
            _timer: workqueue::Periodic::new(check, INTERVAL_MS)?,
            _notifiers: notifier::Registration::new()?,
            _published: published,
        })
    }
}

/// The work item, for the notifiers.
static CHECK: Global<Check> = Global::new();

/// Proof that [`CHECK`] is published.
struct Published(());

impl Drop for Published {
    fn drop(&mut self) {
        if let Some(check) = CHECK.retract() {
            workqueue::flush_work(&check.work);
        }
    }
}

/// Work item that checks every delegated connection.
#[pin_data]
struct Check {
    #[pin]
    work: Work<Check>,
    /// The timer has asked for a check.
    ticked: AtomicFlag,
}

kernel::impl_has_work! {
    impl HasWork<Self> for Check { self.work }
}

/// Schedules a check of every delegated connection. Any context but hard interrupts.
pub(super) fn schedule() {
    if let Some(check) = CHECK.get() {
        // An item that is already queued has not started yet, and will see the change.
        let _ = workqueue::system_dfl().enqueue(check);
    }
}

impl notifier::Notifier for Check {
    fn changed() {
        schedule();
    }
}

impl workqueue::Tick for Check {
    fn tick(&self) {
        self.ticked.store(true, Relaxed);
        schedule();
    }
}

impl WorkItem for Check {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let ticked = this.ticked.xchg(false, Full);
        if ticked {
            policy::open_gates();
            kept::sweep();
        }
        for lane in registry::lanes() {
            for connection in lane.connections() {
                if !connection.is_offloaded() {
                    continue;
                }
                let sock = connection.sock();
                let marked = connection
                    .marks
                    .with(sock, Mark::Check, |lock| catch_up(&connection, lock));
                // The process has owned the socket for an interval.
                if marked && ticked {
                    connection.marks.pin(sock);
                }
            }
        }
    }
}

/// Does what was left to the process that releases the socket of a connection. Softirqs are disabled.
pub(super) fn catch_up(connection: &Connection, lock: &mut Locked<'_>) {
    let found = connection.marks.take();
    if found.has(Mark::Lost) {
        return recall::lost(connection, lock);
    }
    if found.has(Mark::Return) {
        let (mut state, _) = connection.state.open(lock);
        recall::request(connection, &mut state, Cause::User);
    }
    check(connection, lock);
}

fn check(connection: &Connection, lock: &mut Locked<'_>) {
    let is_disabled = sysctl::mode(lock) == Mode::Off;
    let adapter = connection.lane.adapter();
    let (mut state, mut tcp) = connection.state.open(lock);
    recall::check(connection, &mut state);
    let Some(carried) = state.carried() else {
        return;
    };
    tcp.rehash();
    let next_hop = if is_disabled {
        Err(Cause::Sysctl.into())
    } else if adapter.is_inspected() {
        Err(Why::named(Cause::Filter, c"XDP program"))
    } else {
        tcp.next_hop(adapter.ifindex()).map_err(Why::from)
    };
    let (remote_mac, neighbour) = match next_hop {
        Ok(next_hop) => next_hop,
        Err(why) => return recall::request(connection, &mut state, why),
    };
    tcp.use_neighbour(&neighbour);
    connection.hold(neighbour);
    carried.wanted.remote_mac = remote_mac;
    update::refresh(connection, carried, &tcp);
    update::put_right(connection, carried, &mut tcp);
}

/// Recalls the connection if Linux's TCP receives a frame of the peer by an interface other than the
/// adapter's: the adapter sees neither its payload nor its acknowledgement. Returns whether the
/// interface is the adapter's. With the socket locked.
#[cold]
pub(super) fn received(connection: &Connection, lock: &mut Locked<'_>, ifindex: u32) -> bool {
    let is_ours = ifindex == connection.lane.adapter().ifindex();
    if !is_ours {
        let (mut state, _) = connection.state.open(lock);
        recall::request(connection, &mut state, Cause::Interface);
    }
    is_ours
}

/// Recalls the connection if its socket has got a setting that the adapter does not honour. Called when
/// a process releases the socket. Such a setting is in force once the call that set it returns: until
/// then the process waits for the return, once: what it does meanwhile releases the socket again.
pub(super) fn released(connection: &Connection, lock: &mut Locked<'_>) -> Released {
    let (mut state, tcp) = connection.state.open(lock);
    let Err(obstacle) = tcp.settings() else {
        return Released::Settled;
    };
    recall::request(connection, &mut state, obstacle);
    match state.returning() {
        Some(returning) if !returning.awaited => {
            returning.awaited = true;
            Released::Unsettled
        }
        _ => Released::Settled,
    }
}
