// SPDX-License-Identifier: GPL-2.0

//! What changes around a connection while the adapter carries it.
//!
//! Linux would notice with the next frame that it sends or receives; of a delegated connection it
//! sees none. So somebody else looks: at every notice of a change, and, for what there is no notice
//! of (packet filters, taps), every second. A connection that can no longer be carried past Linux
//! comes back; when only the next hop's hardware address is another, the adapter is told.

use super::{
    connection::{
        Connection,
        Phase, //
    },
    giveback,
    reason::Cause,
    registry, //
};
use crate::{
    abi::{
        submission::{
            update,
            Op,
            Update, //
        },
        Layout, //
    },
    net::change,
    tcp::{
        sock::Locked,
        sysctl::{
            self,
            Enable, //
        }, //
    },
    util::{
        global::Global,
        workqueue, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    workqueue::{
        Work,
        WorkItem, //
    }, //
};

/// How often to look without having been told to, in milliseconds.
const INTERVAL: u32 = 1_000;

/// The watch. Dropping ends it, and waits until nobody looks any more.
pub(super) struct Watch {
    _notices: change::Registration<Round>,
    _tick: workqueue::Periodic<Round>,
    _round: Published,
}

impl Watch {
    /// Begins it. There is one.
    pub(super) fn new() -> Result<Self> {
        let round = Arc::pin_init(
            pin_init!(Round {
                work <- kernel::new_work!("toe::watch"),
            }),
            GFP_KERNEL,
        )?;
        ROUND.publish(round.clone())?;
        let published = Published(());
        Ok(Self {
            _tick: workqueue::Periodic::new(round, INTERVAL)?,
            _notices: change::Registration::new()?,
            _round: published,
        })
    }
}

/// Where those who are told find the round.
static ROUND: Global<Round> = Global::new();

struct Published(());

impl Drop for Published {
    fn drop(&mut self) {
        if let Some(round) = ROUND.retract() {
            workqueue::flush_work(&round.work);
        }
    }
}

/// A look at every delegated connection.
#[pin_data]
struct Round {
    #[pin]
    work: Work<Round>,
}

kernel::impl_has_work! {
    impl HasWork<Self> for Round { self.work }
}

/// Begins a look at every delegated connection. From any context but hard interrupts.
pub(super) fn look_now() {
    // Queued already: that round has yet to begin, and will see what has changed.
    if let Some(round) = ROUND.get() {
        let _ = workqueue::system_dfl().enqueue(round);
    }
}

impl change::Watcher for Round {
    fn changed() {
        look_now();
    }
}

impl workqueue::Tick for Round {
    fn tick(&self) {
        look_now();
    }
}

impl WorkItem for Round {
    type Pointer = Arc<Self>;

    fn run(_this: Arc<Self>) {
        for lane in registry::lanes() {
            for connection in lane.connections() {
                if connection.phase() == Phase::Delegated {
                    let mut sock = connection.sock().lock();
                    look(&connection, &mut sock);
                }
            }
        }
    }
}

fn look(connection: &Connection, lock: &mut Locked<'_>) {
    if connection.phase() != Phase::Delegated {
        return;
    }
    let switched_off = sysctl::Registration::enable(lock) == Enable::Off;
    let (shadow, tcp) = connection.cell.open(lock);
    let (changes, remote_mac) = tcp.changes(connection.lane.handle.ifindex());
    let cause = match switched_off {
        true => Some(Cause::Sysctl),
        false if connection.lane.handle.is_inspected() => Some(Cause::Filter),
        false => Cause::from_changes(changes),
    };
    if let Some(cause) = cause {
        return giveback::ask(connection, shadow, cause);
    }
    let mut tell = Update {
        op: Op::Update.raw(),
        device_id: connection.device_id(),
        ..Update::default()
    };
    if shadow.remote_mac != remote_mac {
        tell.valid |= update::REMOTE_MAC;
        tell.remote_mac = remote_mac;
    }
    // CAST: 16 bits are what the adapter was told at first, too.
    let mss = tcp.mss() as u16;
    if shadow.mss != mss {
        tell.valid |= update::MSS;
        tell.mss = mss;
    }
    let lane = &connection.lane;
    // What finds no room is told in the next round.
    if tell.valid != 0
        && lane
            .handle
            .submit(lane.processor, &[tell.to_bytes()])
            .is_ok()
    {
        shadow.remote_mac = remote_mac;
        shadow.mss = mss;
    }
}
