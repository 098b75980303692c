// SPDX-License-Identifier: GPL-2.0

//! Lanes: state of the shim for each processor of an adapter.

use super::{
    connection::Connection,
    reason::Refusal,
    stats::Stats,
    submission::SubmissionQueue,
    table::{
        Table,
        MAX_CAPACITY, //
    }, //
};
use crate::{
    offload::Handle,
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
        Arc,
        UniqueArc, //
    }, //
};

/// One processor of an adapter, with the connections that it carries.
///
/// It exists from the first start of the processor until the interface is unregistered. The part that
/// only the running processor's poll uses is [`ProcessorPoll`](super::poll::ProcessorPoll).
#[pin_data]
pub(super) struct Lane {
    /// The submission queue of the processor.
    pub(super) queue: SubmissionQueue,
    /// Counters of the adapter.
    pub(super) stats: Arc<Stats>,
    /// Payload bytes acknowledged. Several sockets may count at once; an `Acked` counts once per
    /// connection and poll, a `Returned` once per connection.
    pub(super) sent: Atomic<u64>,
    /// Payload bytes delivered. Written by the processor's poll.
    pub(super) received: Counter,
    /// Whether a connection waits for room in the submission ring or for fragment credits.
    any_waiting: Atomic<bool>,
    #[pin]
    connections: BhSpinLock<Connections>,
}

/// # Invariants
///
/// `waiting` holds identifiers of connections in `table` only, none of them twice.
struct Connections {
    /// Whether new connections are accepted.
    open: bool,
    table: Table<Arc<Connection>>,
    /// Connections that wait for room in the submission ring or for fragment credits.
    waiting: Waiting,
}

/// A queue of identifiers that takes no longer to pop when it is long.
///
/// # Invariants
///
/// `first` is the number of entries that have been popped, less than the length unless both are 0.
struct Waiting {
    entries: KVVec<u32>,
    first: usize,
}

impl Waiting {
    fn new(capacity: usize) -> Result<Self> {
        // INVARIANT: Both are 0.
        Ok(Self {
            entries: KVVec::with_capacity(capacity, GFP_KERNEL)?,
            first: 0,
        })
    }

    fn len(&self) -> usize {
        self.entries.len() - self.first
    }

    /// Appends `id`. Does nothing when the queue has its capacity.
    fn push(&mut self, id: u32) {
        if self.entries.len() == self.entries.capacity() {
            self.compact();
        }
        let _ = self.entries.push_within_capacity(id);
    }

    fn pop(&mut self) -> Option<u32> {
        let id = *self.entries.get(self.first)?;
        self.first += 1;
        if self.len() == 0 {
            self.compact();
        }
        Some(id)
    }

    fn remove(&mut self, id: u32) {
        if self.len() > 0 {
            self.compact();
            self.entries.retain(|&mut entry| entry != id);
        }
    }

    /// Forgets the entries that have been popped.
    fn compact(&mut self) {
        let len = self.len();
        self.entries.copy_within(self.first.., 0);
        self.entries.truncate(len);
        // INVARIANT: No popped entry is left.
        self.first = 0;
    }
}

impl Lane {
    /// Creates the lane of `processor`. It accepts connections after [`Self::set_open`].
    pub(super) fn new(adapter: Handle, processor: u8, stats: Arc<Stats>) -> Result<Arc<Self>> {
        let capacity = adapter.connection_limit().min(MAX_CAPACITY);
        let connections = Connections {
            open: false,
            table: Table::new(capacity)?,
            waiting: Waiting::new(capacity as usize)?,
        };
        Arc::pin_init(
            pin_init!(Self {
                queue: SubmissionQueue::new(adapter, processor),
                stats,
                sent: Atomic::new(0),
                received: Counter::new(),
                any_waiting: Atomic::new(false),
                connections <- new_bh_spinlock!(connections),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns the adapter.
    pub(super) fn adapter(&self) -> &Handle {
        self.queue.adapter()
    }

    /// Starts or stops accepting connections.
    pub(super) fn set_open(&self, open: bool) {
        self.connections.lock().open = open;
    }

    /// Returns the largest number of connections.
    pub(super) fn capacity(&self) -> u32 {
        self.adapter().connection_limit().min(MAX_CAPACITY)
    }

    /// Returns the number of connections.
    pub(super) fn count(&self) -> u32 {
        self.connections.lock().table.len()
    }

    /// Inserts a connection and sets its identifier.
    ///
    /// # Errors
    ///
    /// `NoDevice` while the lane accepts no connections, `TableFull`.
    pub(super) fn insert(
        &self,
        mut connection: Pin<UniqueArc<Connection>>,
    ) -> Result<Arc<Connection>, Refusal> {
        let mut connections = self.connections.lock();
        if !connections.open {
            return Err(Refusal::NoDevice);
        }
        connections
            .table
            .insert_with(|host_id| {
                connection.as_mut().set_host_id(host_id);
                connection.into()
            })
            .cloned()
            .ok_or(Refusal::TableFull)
    }

    /// Removes a connection. No later completion names it.
    pub(super) fn remove(&self, connection: &Connection) {
        let mut connections = self.connections.lock();
        let removed = connections.table.remove(connection.host_id());
        connections.waiting.remove(connection.host_id());
        self.note_waiting(&connections);
        drop(connections);
        drop(removed);
    }

    /// Returns the connection `host_id`.
    pub(super) fn find(&self, host_id: u32) -> Option<Arc<Connection>> {
        self.connections.lock().table.get(host_id).cloned()
    }

    /// Returns the first connection at table position `from` or later, and its position.
    pub(super) fn next(&self, from: usize) -> Option<(usize, Arc<Connection>)> {
        let connections = self.connections.lock();
        let (position, connection) = connections.table.next(from)?;
        Some((position, connection.clone()))
    }

    /// Iterates over the connections. The table may change meanwhile: this is no snapshot.
    pub(super) fn connections(&self) -> impl Iterator<Item = Arc<Connection>> + '_ {
        let mut from = 0;
        core::iter::from_fn(move || {
            let (position, connection) = self.next(from)?;
            from = position + 1;
            Some(connection)
        })
    }

    /// Lists `connection`, which is not listed, to be resumed when there is room.
    pub(super) fn wait(&self, connection: &Connection) {
        let mut connections = self.connections.lock();
        // By the type invariants there is room.
        connections.waiting.push(connection.host_id());
        self.note_waiting(&connections);
    }

    /// Returns whether a connection may be listed.
    #[inline]
    pub(super) fn is_any_waiting(&self) -> bool {
        self.any_waiting.load(Relaxed)
    }

    /// Takes the connections off the list and calls `resume` for each, in order, until it returns
    /// false: the submission ring is full. Those that are listed again meanwhile stay listed.
    pub(super) fn resume_waiting(&self, mut resume: impl FnMut(&Connection) -> bool) {
        let mut left = self.connections.lock().waiting.len();
        while left > 0 {
            left -= 1;
            let Some(connection) = self.next_waiting() else {
                return;
            };
            if !resume(&connection) {
                return;
            }
        }
    }

    fn next_waiting(&self) -> Option<Arc<Connection>> {
        let mut connections = self.connections.lock();
        let host_id = connections.waiting.pop();
        self.note_waiting(&connections);
        connections.table.get(host_id?).cloned()
    }

    fn note_waiting(&self, connections: &Connections) {
        self.any_waiting
            .store(connections.waiting.len() > 0, Relaxed);
    }
}
