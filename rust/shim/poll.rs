// SPDX-License-Identifier: GPL-2.0

//! State that only a processor's poll uses.
//!
//! The poll looks a connection up for every completion. It does that in an array of its own, without
//! a lock or a reference count. A connection enters the array with the adapter's answer to the
//! hand-over, found through the table of the [`Lane`], and leaves it with `Returned`.

use super::{
    connection::{
        entry,
        Connection, //
    },
    lane::Lane,
    table, //
};
use crate::{
    abi::{
        completion::{
            deliver_flag,
            Deliver,
            Returned, //
        },
        connection::ConnectionState, //
    },
    offload::Payload,
    tcp::backlog::BacklogEntry, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Number of backlog entries kept for payload that arrives while there is no memory.
const RESERVE: usize = 128;

/// The adapter names a connection that it does not carry.
pub(super) const UNKNOWN: &str = "completion for an unknown connection";

/// State of a running processor's poll.
pub(crate) struct ProcessorPoll {
    pub(super) lane: Arc<Lane>,
    /// By [`table::index`] of the identifier.
    connections: KVVec<Option<Arc<Connection>>>,
    reserve: KVec<BacklogEntry>,
    /// Payload that has not been applied.
    pub(super) aggregate: Option<Aggregate>,
    /// A return whose frames are not complete.
    pub(super) arriving: Option<Arriving>,
}

/// A connection that the adapter has returned. Linux carries it once its TCP has received the frames
/// that the adapter held out of order: it answers all of them by one acknowledgement then.
pub(super) struct Arriving {
    pub(super) connection: Arc<Connection>,
    pub(super) header: Returned,
    pub(super) state: ConnectionState,
    /// Number of frames that have not arrived.
    pub(super) left: u16,
    /// Whether one has arrived since the end of the latest poll.
    pub(super) progress: bool,
}

impl ProcessorPoll {
    /// Creates the state for a processor that is about to start.
    pub(super) fn new(lane: Arc<Lane>) -> Result<Self> {
        let capacity = lane.capacity() as usize;
        let mut connections = KVVec::with_capacity(capacity, GFP_KERNEL)?;
        for _ in 0..capacity {
            connections.push(None, GFP_KERNEL)?;
        }
        let mut this = Self {
            lane,
            connections,
            reserve: KVec::with_capacity(RESERVE, GFP_KERNEL)?,
            aggregate: None,
            arriving: None,
        };
        this.refill();
        Ok(this)
    }

    /// Fills the reserve, as far as there is memory.
    pub(super) fn refill(&mut self) {
        while self.reserve.len() < RESERVE {
            let Ok(entry) = BacklogEntry::new_atomic(entry::PAYLOAD) else {
                return;
            };
            if self.reserve.push_within_capacity(entry).is_err() {
                return;
            }
        }
    }

    /// Returns whether [`Self::payload_entry`] will succeed.
    #[inline]
    pub(super) fn can_deliver(&mut self) -> bool {
        if self.reserve.is_empty() {
            self.refill();
        }
        !self.reserve.is_empty()
    }

    /// Returns a backlog entry for payload: a new one, or one from the reserve when there is no
    /// memory.
    #[inline]
    pub(super) fn payload_entry(&mut self) -> Option<BacklogEntry> {
        BacklogEntry::new_atomic(entry::PAYLOAD)
            .ok()
            .or_else(|| self.reserve.pop())
    }

    /// Returns the connection `host_id` if its hand-over waits for an answer.
    pub(super) fn pending(&self, host_id: u32) -> Option<Arc<Connection>> {
        if self.connections.get(table::index(host_id))?.is_some() {
            return None;
        }
        self.lane.find(host_id)
    }

    /// Enters a connection that the adapter has accepted.
    pub(super) fn enter(&mut self, connection: Arc<Connection>) {
        let i = table::index(connection.host_id());
        if let Some(slot) = self.connections.get_mut(i) {
            *slot = Some(connection);
        }
    }

    /// Returns the connection that a completion names.
    #[inline]
    pub(super) fn get(&self, host_id: u32) -> Option<&Connection> {
        self.connections
            .get(table::index(host_id))?
            .as_deref()
            .filter(|connection| connection.host_id() == host_id)
    }

    /// Removes the connection that a completion names for the last time.
    pub(super) fn take(&mut self, host_id: u32) -> Option<Arc<Connection>> {
        self.get(host_id)?;
        self.connections.get_mut(table::index(host_id))?.take()
    }

    /// Starts a return: `header.held` frames follow. Returns false for an unknown connection.
    pub(super) fn start_return(&mut self, header: Returned, state: ConnectionState) -> bool {
        let slot = self.connections.get(table::index(header.host_id));
        let Some(Some(connection)) = slot else {
            return false;
        };
        if connection.host_id() != header.host_id {
            return false;
        }
        self.arriving = Some(Arriving {
            connection: connection.clone(),
            header,
            state,
            left: header.held,
            progress: true,
        });
        true
    }
}

/// Contiguous payload of one connection, merged from several completions of one poll. The lock of the
/// socket, the wake-up of the reader and the skb are needed once for all of them.
pub(super) struct Aggregate {
    pub(super) host_id: u32,
    seq: u32,
    ts_recent: u32,
    push: bool,
    entry: BacklogEntry,
}

/// The fragments of a `Deliver` are not as long as it claims.
pub(super) struct LengthMismatch;

impl Aggregate {
    /// Creates an aggregate that begins with `deliver`, and is empty.
    pub(super) fn new(deliver: &Deliver, entry: BacklogEntry) -> Self {
        Self {
            host_id: deliver.host_id,
            seq: deliver.seq,
            ts_recent: 0,
            push: false,
            entry,
        }
    }

    /// Returns the number of bytes.
    pub(super) fn len(&self) -> u32 {
        self.entry.skb().len()
    }

    /// Returns whether `deliver` continues the aggregate and its `fragments` fragments fit.
    pub(super) fn is_continued_by(&self, deliver: &Deliver, fragments: usize) -> bool {
        self.host_id == deliver.host_id
            && self.seq.wrapping_add(self.len()) == deliver.seq
            && self.entry.skb().fragment_room() >= fragments
    }

    /// Appends the payload of `deliver`.
    pub(super) fn add(
        &mut self,
        deliver: &Deliver,
        payload: Payload,
    ) -> Result<(), LengthMismatch> {
        let before = self.len();
        for fragment in payload {
            let truesize = fragment.truesize();
            let added = self.entry.add_fragment(fragment, truesize as u32);
            if added.is_err() {
                break;
            }
        }
        if self.len() - before != deliver.data_length || deliver.data_length == 0 {
            return Err(LengthMismatch);
        }
        self.ts_recent = deliver.ts_recent;
        self.push |= deliver.flags & deliver_flag::PUSH != 0;
        Ok(())
    }

    /// Returns the backlog entry, ready for [`Locked::deliver`](crate::tcp::sock::Locked::deliver).
    pub(super) fn into_entry(self) -> BacklogEntry {
        let mut entry = self.entry;
        entry.prepare(self.seq, self.ts_recent, self.push);
        entry
    }
}
