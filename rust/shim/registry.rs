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
    offload::Handle, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::ordering::Relaxed,
        Arc, //
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

kernel::sync::global_lock! {
    // SAFETY: `init` is called before anything else of the shim.
    unsafe(uninit) static ADAPTERS: Mutex<KVec<Adapter>> = KVec::new();
}

/// What the shim knows of adapters, as a whole. Dropping forgets it.
pub(super) struct Adapters(());

impl Adapters {
    /// To be called once, before anything else here.
    pub(super) fn new() -> Self {
        // SAFETY: Called once, before any use.
        unsafe { ADAPTERS.init() };
        Self(())
    }
}

impl Drop for Adapters {
    fn drop(&mut self) {
        let adapters = core::mem::replace(&mut *ADAPTERS.lock(), KVec::new());
        drop(adapters);
    }
}

/// The lane of a processor that is about to start.
pub(super) fn lane_for_start(handle: &Handle, processor: u8) -> Result<Arc<Lane>> {
    let mut adapters = ADAPTERS.lock();
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
    let mut adapters = ADAPTERS.lock();
    let known = adapters.iter().position(|a| a.handle.is_same(handle));
    let forgotten = known.and_then(|i| adapters.remove(i).ok());
    drop(adapters);
    drop(forgotten);
}

/// The lane of a processor, if it was ever started.
pub(super) fn lane(handle: &Handle, processor: u8) -> Option<Arc<Lane>> {
    ADAPTERS
        .lock()
        .iter()
        .find(|a| a.handle.is_same(handle))?
        .lanes
        .get(usize::from(processor))?
        .clone()
}

/// Counts the outcome of a hand-over.
pub(super) fn count(handle: &Handle, result: Result<(), Refusal>) {
    let adapters = ADAPTERS.lock();
    let stats = adapters
        .iter()
        .find(|a| a.handle.is_same(handle))
        .map_or(&NOWHERE, |a| &*a.stats);
    match result {
        Ok(()) => {
            stats.delegated.fetch_add(1, Relaxed);
        }
        Err(refusal) => stats.refused(refusal),
    }
}

/// The `n`-th lane of all, in the order in which they first started.
pub(super) fn nth_lane(n: usize) -> Option<Arc<Lane>> {
    ADAPTERS
        .lock()
        .iter()
        .flat_map(|a| a.lanes.iter().flatten())
        .nth(n)
        .cloned()
}

/// The adapter whose interface is `ifindex` in `namespace`.
pub(super) fn adapter(namespace: &Namespace, ifindex: u32) -> Option<Handle> {
    ADAPTERS
        .lock()
        .iter()
        .map(|a| &a.handle)
        .find(|handle| handle.ifindex() == ifindex && handle.netdev().is_in(namespace))
        .cloned()
}

/// The `n`-th adapter.
pub(super) fn nth_adapter(n: usize) -> Option<Handle> {
    ADAPTERS.lock().get(n).map(|a| a.handle.clone())
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
