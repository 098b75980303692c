// SPDX-License-Identifier: GPL-2.0

//! The adapters that the shim knows.

use super::{
    reason::Refusal,
    table::{
        Lane,
        Stats, //
    }, //
};
use crate::{
    net::namespace::Namespace,
    offload::Handle,
    util::global::Global, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::ordering::Relaxed,
        Arc,
        Mutex, //
    }, //
};

/// Counts what is refused before an adapter was found.
pub(super) static NOWHERE: Stats = Stats::new();

/// An adapter, from the first start of one of its processors on.
struct Adapter {
    handle: Handle,
    stats: Arc<Stats>,
    // By number of the processor.
    lanes: KVec<Option<Arc<Lane>>>,
}

static ADAPTERS: Global<Mutex<KVec<Adapter>>> = Global::new();

/// The registry of adapters, published until this is dropped.
pub(super) struct Adapters(());

impl Adapters {
    /// Publishes an empty registry.
    pub(super) fn new() -> Result<Self> {
        let adapters = kernel::new_mutex!(KVec::new(), "toe::adapters");
        ADAPTERS.publish(Arc::pin_init(adapters, GFP_KERNEL)?)?;
        Ok(Self(()))
    }
}

impl Drop for Adapters {
    fn drop(&mut self) {
        ADAPTERS.retract();
    }
}

/// Runs `f` on the registry; `None` when it is not published.
fn with<R>(f: impl FnOnce(&mut KVec<Adapter>) -> R) -> Option<R> {
    let adapters = ADAPTERS.get()?;
    let mut adapters = adapters.lock();
    Some(f(&mut adapters))
}

/// The lane of a processor that is about to start.
pub(super) fn lane_for_start(handle: &Handle, processor: u8) -> Result<Arc<Lane>> {
    let adapters = ADAPTERS.get().ok_or(ENODEV)?;
    let mut adapters = adapters.lock();
    let known = adapters.iter().position(|a| a.handle.is_same(handle));
    let i = match known {
        Some(i) => i,
        None => {
            let adapter = Adapter {
                handle: handle.clone(),
                stats: Arc::new(Stats::new(), GFP_KERNEL)?,
                lanes: KVec::new(),
            };
            adapters.push(adapter, GFP_KERNEL)?;
            adapters.len() - 1
        }
    };
    let adapter = adapters.get_mut(i).ok_or(EINVAL)?;
    while adapter.lanes.len() <= processor.into() {
        adapter.lanes.push(None, GFP_KERNEL)?;
    }
    let slot = &mut adapter.lanes[usize::from(processor)];
    if slot.is_none() {
        *slot = Some(Lane::new(handle.clone(), processor, adapter.stats.clone())?);
    }
    slot.clone().ok_or(EINVAL)
}

/// Forgets an adapter that is gone. What still has a lane of it in hand keeps that.
pub(super) fn forget(handle: &Handle) {
    // Dropped after the lock.
    let _forgotten = with(|adapters| {
        let known = adapters.iter().position(|a| a.handle.is_same(handle));
        known.and_then(|i| adapters.remove(i).ok())
    });
}

/// The lane of a processor, if it was ever started.
pub(super) fn lane(handle: &Handle, processor: u8) -> Option<Arc<Lane>> {
    with(|adapters| {
        let adapter = adapters.iter().find(|a| a.handle.is_same(handle))?;
        adapter.lanes.get(usize::from(processor))?.clone()
    })?
}

/// Counts the outcome of a hand-over.
pub(super) fn count(handle: &Handle, result: Result<(), Refusal>) {
    let stats = with(|adapters| {
        let adapter = adapters.iter().find(|a| a.handle.is_same(handle))?;
        Some(adapter.stats.clone())
    });
    let stats = stats.flatten();
    let stats = stats.as_deref().unwrap_or(&NOWHERE);
    match result {
        Ok(()) => {
            stats.delegated.fetch_add(1, Relaxed);
        }
        Err(refusal) => stats.refused(refusal),
    }
}

/// The `n`-th lane of all, in the order in which they first started.
pub(super) fn nth_lane(n: usize) -> Option<Arc<Lane>> {
    with(|adapters| {
        let mut lanes = adapters.iter().flat_map(|a| a.lanes.iter().flatten());
        lanes.nth(n).cloned()
    })?
}

/// The adapter whose interface is `ifindex` in `namespace`.
pub(super) fn adapter(namespace: &Namespace, ifindex: u32) -> Option<Handle> {
    with(|adapters| {
        let mut handles = adapters.iter().map(|a| &a.handle);
        let found =
            handles.find(|handle| handle.ifindex() == ifindex && handle.netdev().is_in(namespace));
        found.cloned()
    })?
}

/// The `n`-th adapter.
pub(super) fn nth_adapter(n: usize) -> Option<Handle> {
    with(|adapters| adapters.get(n).map(|a| a.handle.clone()))?
}

/// Every lane, one after the other.
pub(super) fn lanes() -> impl Iterator<Item = Arc<Lane>> {
    let mut n = 0;
    core::iter::from_fn(move || {
        let lane = nth_lane(n)?;
        n += 1;
        Some(lane)
    })
}
