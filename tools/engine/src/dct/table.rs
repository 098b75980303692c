// SPDX-License-Identifier: GPL-2.0

//! Storage of delegated connections, found by tuple or by identifier.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Connection;
use super::Pools;
use super::index::Index;
use crate::tuple::Key;

/// The half of a tuple's hash that the index uses. The flow database uses the other half.
#[inline]
fn index_hash(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// An entry of the table. Its index is the slot of the connection.
#[derive(Default)]
struct Entry {
    /// Number of connections that the entry has held before; part of the identifier.
    generation: u32,
    /// The processor's queues that contain this slot. They outlive the connection, so that a slot
    /// is in a queue at most once.
    marks: u8,
    connection: Option<Connection>,
}

/// The delegated connection table.
///
/// # Invariants
///
/// - A slot is either in `free` or holds a connection.
/// - The index contains exactly the slots that hold a connection.
pub struct Table {
    entries: Box<[Entry]>,
    free: Vec<u32>,
    index: Index,
    /// Low bits of an identifier that are the slot. The bits above are the generation.
    slot_bits: u32,
    pools: Pools,
}

impl Table {
    /// Creates a table for `connections` connections, `frags` payload fragments and `hold` bytes of
    /// held frames.
    pub fn new(connections: u32, frags: u32, hold: u32) -> Self {
        let mut entries = Vec::with_capacity(connections as usize);
        entries.resize_with(connections as usize, Entry::default);
        Self {
            entries: entries.into_boxed_slice(),
            free: (0..connections).rev().collect(),
            index: Index::new(connections),
            slot_bits: connections.next_power_of_two().trailing_zeros(),
            pools: Pools::new(frags, hold),
        }
    }

    /// Removes every connection. Marks stay.
    pub fn clear(&mut self) {
        if self.is_empty() {
            return;
        }
        self.free.clear();
        for (slot, entry) in self.entries.iter_mut().enumerate().rev() {
            if entry.connection.take().is_some() {
                entry.generation = entry.generation.wrapping_add(1);
            }
            self.free.push(slot as u32);
        }
        self.index.clear();
        self.pools.clear();
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether there are no connections.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.free.len() == self.entries.len()
    }

    /// Whether every slot is in use.
    pub fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Number of slots.
    pub fn slots(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Slot of the connection with `key`.
    #[inline]
    pub fn find(&self, key: &Key) -> Option<u32> {
        self.index.find(index_hash(key.hash), |slot| {
            let entry = self.entries.get(slot as usize);
            entry
                .and_then(|entry| entry.connection.as_ref())
                .is_some_and(|connection| connection.key.tuple == key.tuple)
        })
    }

    /// Adds a connection. Returns its slot and its identifier for the host, `None` when the table is
    /// full.
    pub fn insert(&mut self, connection: Connection) -> Option<(u32, u32)> {
        let slot = self.free.pop()?;
        self.index.insert(index_hash(connection.key.hash), slot);
        self.entries[slot as usize].connection = Some(connection);
        Some((slot, self.id(slot)?))
    }

    /// Identifier of the connection in `slot`.
    #[inline]
    pub fn id(&self, slot: u32) -> Option<u32> {
        let entry = self.entries.get(slot as usize)?;
        entry.connection.as_ref()?;
        Some(entry.generation.checked_shl(self.slot_bits).unwrap_or(0) | slot)
    }

    /// Removes the connection in `slot` and frees its buffers.
    pub fn remove(&mut self, slot: u32) {
        let entry = &mut self.entries[slot as usize];
        if let Some(mut connection) = entry.connection.take() {
            entry.generation = entry.generation.wrapping_add(1);
            connection.buffers.clear(&mut self.pools);
            self.index.remove(index_hash(connection.key.hash), slot);
            self.free.push(slot);
        }
    }

    /// Slot of the connection with identifier `device_id`.
    #[inline]
    pub fn by_id(&self, device_id: u32) -> Option<u32> {
        let slot = device_id & ((1u64 << self.slot_bits) - 1) as u32;
        (self.id(slot)? == device_id).then_some(slot)
    }

    /// The connection in `slot` with its identifier, unless a return is pending.
    #[inline]
    pub fn active(&mut self, slot: u32) -> Option<(u32, &mut Connection)> {
        let id = self.id(slot)?;
        let connection = self
            .get(slot)
            .filter(|connection| connection.returning.is_none())?;
        Some((id, connection))
    }

    /// The connection in `slot`.
    #[inline]
    pub fn get(&mut self, slot: u32) -> Option<&mut Connection> {
        self.entries.get_mut(slot as usize)?.connection.as_mut()
    }

    /// The connection in `slot`, with the memory of all connections.
    #[inline]
    pub fn parts(&mut self, slot: u32) -> Option<(&mut Connection, &mut Pools)> {
        let connection = self.entries.get_mut(slot as usize)?.connection.as_mut()?;
        Some((connection, &mut self.pools))
    }

    /// [`Self::active`], with the memory of all connections.
    #[inline]
    pub fn active_parts(&mut self, slot: u32) -> Option<(u32, &mut Connection, &mut Pools)> {
        let id = self.id(slot)?;
        let (connection, pools) = self.parts(slot)?;
        if connection.returning.is_some() {
            return None;
        }
        Some((id, connection, pools))
    }

    /// Device memory for held frames.
    pub fn frames(&mut self) -> &mut super::FramePool {
        &mut self.pools.frames
    }

    /// Sets `mark` on `slot`. Returns false when it was set before.
    #[inline]
    pub fn mark(&mut self, slot: u32, mark: u8) -> bool {
        let marks = &mut self.entries[slot as usize].marks;
        let new = *marks & mark == 0;
        *marks |= mark;
        new
    }

    /// Clears `mark` on `slot`.
    #[inline]
    pub fn unmark(&mut self, slot: u32, mark: u8) {
        self.entries[slot as usize].marks &= !mark;
    }
}
