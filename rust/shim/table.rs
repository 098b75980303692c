// SPDX-License-Identifier: GPL-2.0

//! The connections of each processor, by the identifier that its completions carry.
//!
//! A processor's poll looks a connection up for every completion. It does so in an array of its own
//! ([`Processor`]), without a lock or a reference count. Connections come into that array by way of
//! the [`Lane`], which everyone shares, when the adapter's answer to the hand-over names them.

use super::{
    connection::{
        entry,
        Connection, //
    },
    reason::{
        Cause,
        Refusal, //
    },
    receive::Gathered, //
};
use crate::{
    offload::Handle,
    tcp::backlog::BacklogEntry,
    util::{
        counter::Counter,
        lock::{
            new_bh_spinlock,
            BhSpinLock, //
        }, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    }, //
};

/// Bits of a host identifier that are an index; the others are a generation, so that an adapter
/// that names a connection which is gone is not taken to mean its successor.
const INDEX_BITS: u32 = 20;

/// Backlog entries for payload that are kept for when there is no memory for another.
const RESERVE: usize = 128;

fn index(host_id: u32) -> usize {
    (host_id & ((1 << INDEX_BITS) - 1)) as usize
}

/// What the shim has of one processor of an adapter.
#[pin_data]
pub(super) struct Lane {
    /// The adapter.
    pub(super) handle: Handle,
    /// Number of the processor.
    pub(super) processor: u8,
    /// Counters of the adapter.
    pub(super) stats: Arc<Stats>,
    /// Payload bytes acknowledged. Written by the processor's poll.
    pub(super) sent: Counter,
    /// Payload bytes delivered. Written by the processor's poll.
    pub(super) received: Counter,
    /// Whether some connection has something to submit and had no room.
    pub(super) any_blocked: Atomic<bool>,
    #[pin]
    entries: BhSpinLock<Entries>,
}

struct Entries {
    /// New connections are accepted.
    open: bool,
    connections: KVVec<Option<Arc<Connection>>>,
    generations: KVVec<u16>,
    free: KVVec<u32>,
    /// Connections that have something to submit and had no room.
    blocked: KVVec<u32>,
    count: u32,
}

/// What has become of connections, by reason. For one adapter, or for none.
pub(super) struct Stats {
    /// Hand-overs that succeeded.
    pub(super) delegated: Atomic<u64>,
    refused: [Atomic<u64>; Refusal::ALL.len()],
    returned: [Atomic<u64>; Cause::ALL.len()],
}

impl Stats {
    /// All zero.
    pub(super) const fn new() -> Self {
        Self {
            delegated: Atomic::new(0),
            refused: [const { Atomic::new(0) }; Refusal::ALL.len()],
            returned: [const { Atomic::new(0) }; Cause::ALL.len()],
        }
    }

    /// Counts a refusal.
    pub(super) fn refused(&self, refusal: Refusal) {
        self.refused[refusal.index()].fetch_add(1, Relaxed);
    }

    /// Counts a return.
    pub(super) fn returned(&self, cause: Cause) {
        self.returned[cause.index()].fetch_add(1, Relaxed);
    }

    /// How often each refusal has occurred.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        Refusal::ALL
            .iter()
            .map(|&refusal| (refusal, self.refused[refusal.index()].load(Relaxed)))
    }

    /// How often each cause of a return has occurred.
    pub(super) fn returns(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        Cause::ALL
            .iter()
            .map(|&cause| (cause, self.returned[cause.index()].load(Relaxed)))
    }
}

impl Lane {
    /// For processor `processor` of an adapter. Accepts connections once [`Self::open`] is called.
    pub(super) fn new(handle: Handle, processor: u8, stats: Arc<Stats>) -> Result<Arc<Self>> {
        let room = handle.connection_limit().min(1 << INDEX_BITS);
        let mut entries = Entries {
            open: false,
            connections: KVVec::with_capacity(room as usize, GFP_KERNEL)?,
            generations: KVVec::with_capacity(room as usize, GFP_KERNEL)?,
            free: KVVec::with_capacity(room as usize, GFP_KERNEL)?,
            blocked: KVVec::with_capacity(room as usize, GFP_KERNEL)?,
            count: 0,
        };
        for i in 0..room {
            entries.connections.push(None, GFP_KERNEL)?;
            entries.generations.push(0, GFP_KERNEL)?;
            entries.free.push(room - 1 - i, GFP_KERNEL)?;
        }
        Arc::pin_init(
            pin_init!(Self {
                handle,
                processor,
                stats,
                sent: Counter::new(),
                received: Counter::new(),
                any_blocked: Atomic::new(false),
                entries <- new_bh_spinlock!(entries),
            }),
            GFP_KERNEL,
        )
    }

    /// Begins or ends to accept connections.
    pub(super) fn open(&self, open: bool) {
        self.entries.lock().open = open;
    }

    /// Most connections.
    pub(super) fn capacity(&self) -> u32 {
        self.handle.connection_limit()
    }

    /// Number of connections.
    pub(super) fn count(&self) -> u32 {
        self.entries.lock().count
    }

    /// Gives `connection` an identifier.
    ///
    /// # Errors
    ///
    /// Why it cannot be delegated.
    pub(super) fn insert(&self, connection: &Arc<Connection>) -> Result<(), Refusal> {
        let mut entries = self.entries.lock();
        if !entries.open {
            return Err(Refusal::NoDevice);
        }
        let i = entries.free.pop().ok_or(Refusal::TableFull)?;
        let generation = entries.generations[i as usize];
        connection
            .host_id
            .store(u32::from(generation) << INDEX_BITS | i, Relaxed);
        entries.connections[i as usize] = Some(connection.clone());
        entries.count += 1;
        Ok(())
    }

    /// Takes the identifier of `connection` back. No completion names it any more.
    pub(super) fn remove(&self, connection: &Connection) {
        let host_id = connection.host_id.load(Relaxed);
        let i = index(host_id);
        let mut entries = self.entries.lock();
        let removed = entries.connections[i].take();
        entries.generations[i] = entries.generations[i].wrapping_add(1) & 0xfff;
        // There is room: every index is in the list at most once.
        let _ = entries.free.push_within_capacity(i as u32);
        entries.count -= 1;
        drop(entries);
        drop(removed);
    }

    fn find(&self, host_id: u32) -> Option<Arc<Connection>> {
        self.entries
            .lock()
            .connections
            .get(index(host_id))?
            .as_ref()
            .filter(|connection| connection.host_id.load(Relaxed) == host_id)
            .cloned()
    }

    /// The first connection at index `from` or behind it, and its index.
    pub(super) fn next(&self, from: usize) -> Option<(usize, Arc<Connection>)> {
        let entries = self.entries.lock();
        (from..entries.connections.len()).find_map(|i| {
            entries.connections[i]
                .clone()
                .map(|connection| (i, connection))
        })
    }

    /// Every connection, one after the other; not a moment's picture.
    pub(super) fn connections(&self) -> impl Iterator<Item = Arc<Connection>> + '_ {
        let mut from = 0;
        core::iter::from_fn(move || {
            let (i, connection) = self.next(from)?;
            from = i + 1;
            Some(connection)
        })
    }

    /// Notes that a connection is to go on submitting when there is room.
    pub(super) fn block(&self, connection: &Connection) {
        let host_id = connection.host_id.load(Relaxed);
        let mut entries = self.entries.lock();
        // A connection that stands in the list already is found by its own mark.
        let _ = entries.blocked.push_within_capacity(host_id);
        drop(entries);
        self.any_blocked.store(true, Relaxed);
    }

    /// The connections that are to go on submitting, as of now.
    pub(super) fn unblock(&self) -> impl Iterator<Item = Arc<Connection>> + '_ {
        let mut left = {
            let entries = self.entries.lock();
            self.any_blocked.store(false, Relaxed);
            entries.blocked.len()
        };
        core::iter::from_fn(move || {
            while left > 0 {
                left -= 1;
                let host_id = self.entries.lock().blocked.remove(0).ok()?;
                let connection = self.find(host_id);
                if connection.is_some() {
                    return connection;
                }
            }
            None
        })
    }
}

/// What a running processor's poll has for itself.
pub(crate) struct Processor {
    pub(super) lane: Arc<Lane>,
    slots: KVVec<Option<Arc<Connection>>>,
    reserve: KVec<BacklogEntry>,
    /// Payload that this poll has still to apply.
    pub(super) gathered: Option<Gathered>,
}

impl Processor {
    /// For a processor that is about to start.
    pub(super) fn new(lane: Arc<Lane>) -> Result<Self> {
        let room = lane.capacity().min(1 << INDEX_BITS) as usize;
        let mut slots = KVVec::with_capacity(room, GFP_KERNEL)?;
        for _ in 0..room {
            slots.push(None, GFP_KERNEL)?;
        }
        let mut this = Self {
            lane,
            slots,
            reserve: KVec::with_capacity(RESERVE, GFP_KERNEL)?,
            gathered: None,
        };
        this.refill();
        Ok(this)
    }

    /// Fills the reserve up, as far as there is memory.
    pub(super) fn refill(&mut self) {
        while self.reserve.len() < RESERVE {
            let Ok(entry) = BacklogEntry::new_atomic(entry::DELIVER) else {
                return;
            };
            if self.reserve.push_within_capacity(entry).is_err() {
                return;
            }
        }
    }

    /// Whether there is a backlog entry for payload.
    #[inline]
    pub(super) fn can_deliver(&mut self) -> bool {
        if self.reserve.is_empty() {
            self.refill();
        }
        !self.reserve.is_empty()
    }

    /// A backlog entry for payload: a new one, to spare those in reserve.
    #[inline]
    pub(super) fn entry(&mut self) -> Option<BacklogEntry> {
        BacklogEntry::new_atomic(entry::DELIVER)
            .ok()
            .or_else(|| self.reserve.pop())
    }

    /// The connection that is being handed over as `host_id`.
    pub(super) fn pending(&self, host_id: u32) -> Option<Arc<Connection>> {
        if self.slots.get(index(host_id))?.is_some() {
            return None;
        }
        self.lane.find(host_id)
    }

    /// Lets completions name `connection`.
    pub(super) fn admit(&mut self, connection: Arc<Connection>) {
        let i = index(connection.host_id.load(Relaxed));
        if let Some(slot) = self.slots.get_mut(i) {
            *slot = Some(connection);
        }
    }

    /// The connection that a completion names.
    #[inline]
    pub(super) fn get(&self, host_id: u32) -> Option<&Connection> {
        self.slots
            .get(index(host_id))?
            .as_deref()
            .filter(|connection| connection.host_id.load(Relaxed) == host_id)
    }

    /// The connection that a completion names for the last time.
    pub(super) fn take(&mut self, host_id: u32) -> Option<Arc<Connection>> {
        self.get(host_id)?;
        self.slots[index(host_id)].take()
    }
}
