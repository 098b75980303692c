// SPDX-License-Identifier: GPL-2.0

//! Hash index of the connection table.

use alloc::boxed::Box;
use alloc::vec;

/// Null index: no connection.
const NONE: u32 = u32::MAX;

/// A place for one entry.
#[derive(Clone, Copy)]
struct Bucket {
    hash: u32,
    /// Slot of the connection in the table, or [`NONE`] when the bucket is free.
    connection: u32,
}

/// A hash table with open addressing and linear probing.
///
/// Removal moves later entries back, so there are no tombstones and a look-up ends at the first free
/// bucket. At most half of the buckets are in use.
///
/// # Invariants
///
/// The buckets from the one that an entry's hash selects up to the one that holds the entry are all
/// in use.
pub struct Index {
    buckets: Box<[Bucket]>,
}

impl Index {
    /// An empty index for at most `connections` connections.
    pub fn new(connections: u32) -> Self {
        let free = Bucket {
            hash: 0,
            connection: NONE,
        };
        let buckets = (2 * connections as usize).next_power_of_two().max(2);
        Self {
            buckets: vec![free; buckets].into_boxed_slice(),
        }
    }

    /// Removes every entry.
    pub fn clear(&mut self) {
        for bucket in &mut self.buckets {
            bucket.connection = NONE;
        }
    }

    /// The connection with hash `hash` for which `matches` returns true.
    #[inline]
    pub fn find(&self, hash: u32, matches: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let bucket = self.buckets[at];
            if bucket.connection == NONE {
                return None;
            }
            if bucket.hash == hash && matches(bucket.connection) {
                return Some(bucket.connection);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds an entry. The index must hold fewer entries than it was made for.
    pub fn insert(&mut self, hash: u32, connection: u32) {
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        while self.buckets[at].connection != NONE {
            at = (at + 1) & mask;
        }
        self.buckets[at] = Bucket { hash, connection };
    }

    /// Removes the entry of `connection`, which was added with hash `hash`.
    pub fn remove(&mut self, hash: u32, connection: u32) {
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        while self.buckets[at].connection != connection {
            if self.buckets[at].connection == NONE {
                return;
            }
            at = (at + 1) & mask;
        }
        // Close the gap. An entry moves into it unless the gap is before the bucket that the entry's
        // hash selects.
        let mut gap = at;
        loop {
            at = (at + 1) & mask;
            let bucket = self.buckets[at];
            if bucket.connection == NONE {
                break;
            }
            let home = bucket.hash as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                self.buckets[gap] = bucket;
                gap = at;
            }
        }
        self.buckets[gap].connection = NONE;
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Compares with a map, using few hashes so that they collide.
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
