// SPDX-License-Identifier: GPL-2.0

//! The adapters and their lanes.

use super::{
    lane::Lane,
    reason::Refusal,
    stats::{
        Stats,
        NO_ADAPTER, //
    }, //
};
use crate::{
    net::namespace::Namespace,
    offload::Handle,
    util::global::Global, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::ordering::Relaxed,
        Arc,
        Mutex, //
    }, //
};

/// An adapter, from the first start of one of its processors until its interface is unregistered.
struct AdapterEntry {
    handle: Handle,
    stats: Arc<Stats>,
    /// By number of the processor.
    lanes: KVec<Option<Arc<Lane>>>,
}

impl AdapterEntry {
    fn new(handle: &Handle) -> Result<Self> {
        Ok(Self {
            handle: handle.clone(),
            stats: Arc::new(Stats::new(), GFP_KERNEL)?,
            lanes: KVec::new(),
        })
    }

    /// Returns the lane of `processor`, which is created if it does not exist.
    fn lane(&mut self, processor: u8) -> Result<Arc<Lane>> {
        while self.lanes.len() <= processor.into() {
            self.lanes.push(None, GFP_KERNEL)?;
        }
        let slot = &mut self.lanes[usize::from(processor)];
        if let Some(lane) = slot {
            return Ok(lane.clone());
        }
        let lane = Lane::new(self.handle.clone(), processor, self.stats.clone())?;
        Ok(slot.insert(lane).clone())
    }
}

static ADAPTERS: Global<Mutex<KVec<AdapterEntry>>> = Global::new();

/// The registry. Dropping it forgets all adapters.
pub(super) struct Registry(());

impl Registry {
    /// Creates the registry. There is one.
    pub(super) fn new() -> Result<Self> {
        let adapters = new_mutex!(KVec::new(), "toe::adapters");
        ADAPTERS.publish(Arc::pin_init(adapters, GFP_KERNEL)?)?;
        Ok(Self(()))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(ADAPTERS.retract());
    }
}

/// Calls `f` with the list of adapters locked. Process context; sleeps. Returns `None` when there is
/// no registry.
fn with<R>(f: impl FnOnce(&mut KVec<AdapterEntry>) -> R) -> Option<R> {
    let adapters = ADAPTERS.get()?;
    let mut adapters = adapters.lock();
    Some(f(&mut adapters))
}

/// Returns the lane of a processor that is about to start.
pub(super) fn start(handle: &Handle, processor: u8) -> Result<Arc<Lane>> {
    with(|adapters| {
        let known = adapters.iter().position(|a| a.handle.is_same(handle));
        let i = match known {
            Some(i) => i,
            None => {
                adapters.push(AdapterEntry::new(handle)?, GFP_KERNEL)?;
                adapters.len() - 1
            }
        };
        adapters.get_mut(i).ok_or(EINVAL)?.lane(processor)
    })
    .ok_or(ENODEV)?
}

/// Forgets an adapter. Lanes that are in use stay valid.
pub(super) fn forget(handle: &Handle) {
    let forgotten = with(|adapters| {
        let i = adapters.iter().position(|a| a.handle.is_same(handle))?;
        adapters.remove(i).ok()
    });
    drop(forgotten);
}

/// Returns the lane of a processor, if that was ever started.
pub(super) fn lane(handle: &Handle, processor: u8) -> Option<Arc<Lane>> {
    with(|adapters| {
        adapters
            .iter()
            .find(|a| a.handle.is_same(handle))?
            .lanes
            .get(usize::from(processor))?
            .clone()
    })?
}

/// Counts the outcome of a hand-over to an adapter.
pub(super) fn count_handover(handle: &Handle, result: Result<(), Refusal>) {
    with(|adapters| {
        adapters
            .iter()
            .find(|a| a.handle.is_same(handle))
            .map_or(&NO_ADAPTER, |a| &*a.stats)
            .count_handover(result)
    });
}

/// Returns the adapter whose interface is `ifindex` in `namespace`.
pub(super) fn adapter(namespace: &Namespace, ifindex: u32) -> Option<Handle> {
    with(|adapters| {
        adapters
            .iter()
            .map(|a| &a.handle)
            .find(|handle| handle.ifindex() == ifindex && handle.netdev().is_in(namespace))
            .cloned()
    })?
}

/// Sums over the processors of an adapter.
pub(super) struct Totals {
    /// Index of the interface.
    pub(super) ifindex: u32,
    /// Number of connections.
    pub(super) connections: u32,
    /// Largest number of connections.
    pub(super) capacity: u32,
    /// Payload bytes acknowledged.
    pub(super) sent: u64,
    /// Payload bytes delivered.
    pub(super) received: u64,
    /// Counters of the adapter.
    pub(super) stats: Arc<Stats>,
}

/// Returns the sums of an adapter, unless it has been forgotten.
pub(super) fn totals(handle: &Handle) -> Option<Totals> {
    with(|adapters| {
        let adapter = adapters.iter().find(|a| a.handle.is_same(handle))?;
        let mut totals = Totals {
            ifindex: handle.ifindex(),
            connections: 0,
            capacity: 0,
            sent: 0,
            received: 0,
            stats: adapter.stats.clone(),
        };
        for lane in adapter.lanes.iter().flatten() {
            totals.connections += lane.count();
            totals.capacity += lane.capacity();
            totals.sent += lane.sent.load(Relaxed);
            totals.received += lane.received.get();
        }
        Some(totals)
    })?
}

/// Returns the `n`-th adapter.
pub(super) fn nth_adapter(n: usize) -> Option<Handle> {
    with(|adapters| Some(adapters.get(n)?.handle.clone()))?
}

/// Iterates over the adapters. They may change meanwhile: this is no snapshot.
pub(super) fn adapters() -> impl Iterator<Item = Handle> {
    (0..).map_while(nth_adapter)
}

/// Returns the `n`-th of all lanes, in the order of their first start.
pub(super) fn nth_lane(n: usize) -> Option<Arc<Lane>> {
    with(|adapters| {
        adapters
            .iter()
            .flat_map(|a| a.lanes.iter().flatten())
            .nth(n)
            .cloned()
    })?
}

/// Iterates over the lanes of an adapter.
pub(super) fn lanes_of(handle: &Handle) -> impl Iterator<Item = Arc<Lane>> + '_ {
    (0..=u8::MAX).filter_map(move |processor| lane(handle, processor))
}

/// Iterates over all lanes. They may change meanwhile: this is no snapshot.
pub(super) fn lanes() -> impl Iterator<Item = Arc<Lane>> {
    (0..).map_while(nth_lane)
}
