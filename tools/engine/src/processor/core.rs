// SPDX-License-Identifier: GPL-2.0

//! State of a processor.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;

use toe_abi::stats::Counter;

use super::Config;
use crate::coalesce::Coalesce;
use crate::counters::Counters;
use crate::dct::Packet;
use crate::dct::Table;
use crate::env::Capabilities;
use crate::env::Frag;
use crate::filter::Filter;
use crate::flow::Flows;
use crate::steering::Steering;
use crate::storage::MAX_FRAME;
use crate::storage::Storage;
use crate::wheel::Wheel;

/// Maximum number of payload fragments of a frame passed to the port.
const MAX_FRAGS: usize = 128;
/// MTU until `SetMtu`.
const DEFAULT_MTU: usize = 1500;

/// Marks in the connection table, one for each queue of a processor that holds slots.
pub(super) mod mark {
    /// In [`Core::touched`](super::Core::touched).
    pub const TOUCHED: u8 = 1 << 0;
    /// In [`Core::ready`](super::Core::ready).
    pub const READY: u8 = 1 << 1;
    /// In [`Core::reports`](super::Core::reports).
    pub const REPORT: u8 = 1 << 2;
    /// In [`Core::returns`](super::Core::returns).
    pub const RETURN: u8 = 1 << 3;
}

/// Buffers that are used within one call.
pub(super) struct Scratch {
    /// A complete frame, copied from host memory or from held chunks.
    pub(super) frame: Box<[u8]>,
    /// A frame that is built from another one.
    pub(super) segment: Box<[u8]>,
    /// Payload fragments of a frame.
    pub(super) frags: Box<[Frag]>,
}

/// State of a processor, except for its rings.
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) capabilities: Capabilities,
    /// Features that the host has accepted.
    pub(super) features: u64,
    pub(super) counters: Counters,
    pub(super) steering: Steering,
    pub(super) filter: Filter,
    pub(super) mtu: usize,
    pub(super) coalesce: Coalesce,
    pub(super) storage: Storage,
    pub(super) flows: Flows,
    pub(super) table: Table,
    pub(super) wheel: Wheel,
    /// Slots of connections that have changed since the last [`Core::settle`].
    pub(super) touched: VecDeque<u32>,
    /// Slots of connections that may have packets to send, in the order of their turns.
    pub(super) ready: VecDeque<u32>,
    /// Slots of connections with progress to report.
    pub(super) reports: VecDeque<u32>,
    /// Slots of connections to return when the completion ring has room.
    pub(super) returns: VecDeque<u32>,
    /// A packet for which the port had no room, and the identifier of its connection.
    pub(super) stalled: Option<(u32, Packet)>,
    /// Frames of the host are sent before packets of connections in the next round.
    pub(super) host_first: bool,
    /// Entries of the transmit ring are skipped up to the end of an overlong frame.
    pub(super) skipping: bool,
    /// Wire frames that the port has taken of the large frame at the head of the transmit ring.
    pub(super) resume: usize,
    pub(super) scratch: Scratch,
    /// Next slot of the pass over all connections, if there is one.
    pub(super) sweep: Option<u32>,
    /// Slot that the search for idle pages visited last.
    pub(super) hand: u32,
    /// Time of the next write of the counters to the status page, in microseconds.
    pub(super) next_status: u64,
    /// Time at which ring entries were last taken or written, in microseconds.
    pub(super) worked_at: u64,
}

impl Core {
    /// The state of a processor that has not been started. Allocates all memory.
    pub(super) fn new(config: &Config) -> Self {
        let connections = config.connections as usize;
        Self {
            config: *config,
            capabilities: Capabilities::default(),
            features: 0,
            counters: Counters::new(),
            steering: Steering::new(config.processors),
            filter: Filter::new(config.mac),
            mtu: DEFAULT_MTU,
            coalesce: Coalesce::default(),
            storage: Storage::new(config.pages),
            flows: Flows::new(config.flows),
            table: Table::new(config.connections, config.fragments, config.hold),
            wheel: Wheel::new(connections),
            touched: VecDeque::with_capacity(connections),
            ready: VecDeque::with_capacity(connections),
            reports: VecDeque::with_capacity(connections),
            returns: VecDeque::with_capacity(connections),
            stalled: None,
            host_first: true,
            skipping: false,
            resume: 0,
            scratch: Scratch {
                frame: vec![0; MAX_FRAME].into_boxed_slice(),
                segment: vec![0; MAX_FRAME].into_boxed_slice(),
                frags: vec![Frag::EMPTY; MAX_FRAGS].into_boxed_slice(),
            },
            sweep: None,
            hand: 0,
            next_status: 0,
            worked_at: 0,
        }
    }

    /// Drops all state that belongs to a set of rings. Settings and counters stay. The time it takes
    /// does not grow with the size of the tables unless there are connections.
    pub(super) fn clear(&mut self, now: u64) {
        self.storage.clear();
        self.flows.clear();
        self.table.clear();
        self.wheel.clear(now);
        for queue in [
            &mut self.touched,
            &mut self.ready,
            &mut self.reports,
            &mut self.returns,
        ] {
            for slot in queue.drain(..) {
                self.table.unmark(slot, u8::MAX);
            }
        }
        self.sweep = None;
        self.stalled = None;
        self.skipping = false;
        self.resume = 0;
        self.coalesce.restart();
        self.next_status = now;
        self.counters.set(Counter::Connections, 0);
    }

    /// Restores the state after a function reset: default settings, counters at 0.
    pub(super) fn defaults(&mut self) {
        self.clear(0);
        self.steering = Steering::new(self.config.processors);
        self.filter = Filter::new(self.config.mac);
        self.mtu = DEFAULT_MTU;
        self.coalesce = Coalesce::default();
        self.storage.defaults();
        self.counters = Counters::new();
    }

    /// Whether the host has accepted `feature`.
    #[inline]
    pub(super) fn accepts(&self, feature: u64) -> bool {
        self.features & feature != 0
    }

    /// Marks the connection in `slot` as changed. The next [`Core::settle`] publishes its payload and
    /// gives it a turn to send.
    #[inline]
    pub(super) fn touch(&mut self, slot: u32) {
        if self.table.mark(slot, mark::TOUCHED) {
            self.touched.push_back(slot);
        }
    }

    /// Gives the connection in `slot` a turn to send.
    #[inline]
    pub(super) fn make_ready(&mut self, slot: u32) {
        if self.table.mark(slot, mark::READY) {
            self.ready.push_back(slot);
        }
    }
}
