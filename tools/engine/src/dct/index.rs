// SPDX-License-Identifier: GPL-2.0

//! The match part of the connection table: from tuple to connection (R2.1).

use alloc::boxed::Box;
use alloc::vec;

/// "No connection".
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    connection: u32,
}

/// A hash table with open addressing and linear probing.
///
/// Removal moves what follows back, so there are no tombstones and a look-up ends at the first free
/// slot. At most half of the slots are in use.
///
/// # Invariants
///
/// Between the slot that an entry's hash names and the slot where it stands, no slot is free.
pub struct Index {
    slots: Box<[Slot]>,
}

impl Index {
    /// A table for `connections` connections.
    pub fn new(connections: u32) -> Self {
        let free = Slot {
            hash: 0,
            connection: NONE,
        };
        let slots = (2 * connections as usize).next_power_of_two().max(2);
        Self {
            slots: vec![free; slots].into_boxed_slice(),
        }
    }

    /// Forgets every entry.
    pub fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.connection = NONE;
        }
    }

    /// The connection with hash `hash` for which `is_it` holds.
    #[inline]
    pub fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.connection == NONE {
                return None;
            }
            if slot.hash == hash && is_it(slot.connection) {
                return Some(slot.connection);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds an entry. The table must hold fewer than it was made for.
    pub fn insert(&mut self, hash: u32, connection: u32) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at].connection != NONE {
            at = (at + 1) & mask;
        }
        self.slots[at] = Slot { hash, connection };
    }

    /// Removes the entry of `connection`, which was added with `hash`.
    pub fn remove(&mut self, hash: u32, connection: u32) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at].connection != connection {
            if self.slots[at].connection == NONE {
                return;
            }
            at = (at + 1) & mask;
        }
        // Close the gap: an entry may move back into it when the gap is not before its own slot.
        let mut gap = at;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot.connection == NONE {
                break;
            }
            let home = slot.hash as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap].connection = NONE;
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a map, with few hashes so that they collide.
        #[test]
        fn equals_a_map(steps in proptest::collection::vec((0u32..16, 0u32..24), 0..200)) {
            let mut index = Index::new(16);
            let mut map = BTreeMap::new();
            for (connection, hash) in steps {
                match map.remove(&connection) {
                    Some(hash) => index.remove(hash, connection),
                    None => {
                        map.insert(connection, hash);
                        index.insert(hash, connection);
                    }
                }
                for connection in 0..16 {
                    let hash = map.get(&connection).copied();
                    let probe = hash.unwrap_or(connection);
                    let found = index.find(probe, |found| found == connection);
                    prop_assert_eq!(found, hash.map(|_| connection));
                }
            }
        }
    }
}
