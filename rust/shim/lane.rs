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

struct Connections {
    /// Whether new connections are accepted.
    open: bool,
    table: Table<Arc<Connection>>,
    /// Connections that wait for room in the submission ring or for fragment credits.
    waiting: Waiting,
}

/// A queue of identifiers. No operation takes longer when it is long, on average.
///
/// An identifier stays in the queue when its connection leaves the table.
///
/// # Invariants
///
/// `first` is the number of entries that have been popped, less than the length unless both are 0.
struct Waiting {
    entries: KVVec<u32>,
    first: usize,
}

impl Waiting {
    /// Creates a queue for at most `capacity` identifiers of connections in the table, none of them
    /// twice.
    fn new(capacity: usize) -> Result<Self> {
        // Half of the entries may be useless before they are sorted out.
        let entries = KVVec::with_capacity(2 * capacity, GFP_KERNEL)?;
        // INVARIANT: Both are 0.
        Ok(Self { entries, first: 0 })
    }

    fn len(&self) -> usize {
        self.entries.len() - self.first
    }

    /// Appends `id`. `is_known` says which identifiers are still in the table.
    fn push(&mut self, id: u32, is_known: impl Fn(u32) -> bool) {
        if self.entries.len() == self.entries.capacity() {
            self.sort_out(is_known);
        }
        // By the promise to `new` there is room.
        let _ = self.entries.push_within_capacity(id);
    }

    fn pop(&mut self) -> Option<u32> {
        let id = *self.entries.get(self.first)?;
        self.first += 1;
        if self.len() == 0 {
            self.entries.clear();
            // INVARIANT: Both are 0.
            self.first = 0;
        }
        Some(id)
    }

    /// Forgets the entries that have been popped, and those of connections that have left the table.
    fn sort_out(&mut self, is_known: impl Fn(u32) -> bool) {
        let (first, mut i) = (self.first, 0);
        self.entries.retain(|&mut id| {
            i += 1;
            i > first && is_known(id)
        });
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
        let mut guard = self.connections.lock();
        let connections: &mut Connections = &mut guard;
        let table = &connections.table;
        connections
            .waiting
            .push(connection.host_id(), |id| table.get(id).is_some());
        self.note_waiting(connections);
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
            match self.next_waiting() {
                Some(connection) if !resume(&connection) => return,
                _ => {}
            }
        }
    }

    /// Takes a connection off the list. `None` if it has left the table.
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

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(toe_shim_lane)]
mod tests {
    use super::*;
    use core::cell::Cell;

    #[test]
    fn waiting_keeps_the_order() -> Result {
        let mut waiting = Waiting::new(2)?;
        for id in 0..100 {
            waiting.push(2 * id, |_| true);
            waiting.push(2 * id + 1, |_| true);
            assert_eq!(waiting.pop(), Some(2 * id));
            assert_eq!(waiting.pop(), Some(2 * id + 1));
        }
        assert_eq!(waiting.pop(), None);
        waiting.push(0, |_| true);
        // Four others that have left the table in between.
        for id in 1..5 {
            waiting.push(id, |id| id == 0);
        }
        waiting.push(5, |id| id == 0);
        let mut left = [0; 8];
        let mut len = 0;
        while let Some(id) = waiting.pop() {
            left[len] = id;
            len += 1;
        }
        assert_eq!((left[0], left[len - 1]), (0, 5));
        Ok(())
    }

    #[test]
    fn waiting_takes_linear_time() -> Result {
        const CAPACITY: u32 = 1000;
        let mut waiting = Waiting::new(CAPACITY as usize)?;
        let looks = Cell::new(0);
        let (mut pushed, mut known) = (0, 0..0);
        for round in 0..20 {
            // All leave the table, and as many come.
            known = round * CAPACITY..(round + 1) * CAPACITY;
            for id in known.clone() {
                waiting.push(id, |id| {
                    looks.set(looks.get() + 1);
                    known.contains(&id)
                });
                pushed += 1;
            }
        }
        assert!(looks.get() <= 2 * pushed);
        let mut found = 0;
        while let Some(id) = waiting.pop() {
            found += u32::from(known.contains(&id));
        }
        assert_eq!(found, CAPACITY);
        Ok(())
    }
}
