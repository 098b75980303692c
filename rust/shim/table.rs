// SPDX-License-Identifier: GPL-2.0

//! A table of objects by identifier.

use kernel::prelude::*;

/// Bits of an identifier that are the index of an entry. The bits above them are the entry's
/// generation, so that an identifier does not name a later object in the same entry.
const INDEX_BITS: u32 = 20;

/// The largest capacity of a table.
pub(super) const MAX_CAPACITY: u32 = 1 << INDEX_BITS;

const GENERATION_MASK: u32 = (1 << (32 - INDEX_BITS)) - 1;

/// Returns the index of an identifier's entry.
#[inline]
pub(super) fn index(id: u32) -> usize {
    (id & (MAX_CAPACITY - 1)) as usize
}

/// Objects by identifier, at most a fixed number of them.
///
/// # Invariants
///
/// The index of an entry is in `free` exactly if the entry is empty. `free` has room for all indices.
pub(super) struct Table<T> {
    entries: KVVec<Entry<T>>,
    free: KVVec<u32>,
}

struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Table<T> {
    /// Creates an empty table for `capacity` objects, at most [`MAX_CAPACITY`].
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `EINVAL` for a capacity that is too large.
    pub(super) fn new(capacity: u32) -> Result<Self> {
        if capacity > MAX_CAPACITY {
            return Err(EINVAL);
        }
        let mut entries = KVVec::with_capacity(capacity as usize, GFP_KERNEL)?;
        let mut free = KVVec::with_capacity(capacity as usize, GFP_KERNEL)?;
        for i in (0..capacity).rev() {
            let entry = Entry {
                generation: 0,
                value: None,
            };
            entries.push(entry, GFP_KERNEL)?;
            free.push(i, GFP_KERNEL)?;
        }
        // INVARIANT: All entries are empty, and all indices are in `free`.
        Ok(Self { entries, free })
    }

    /// Returns the number of objects.
    pub(super) fn len(&self) -> u32 {
        // CAST: at most `MAX_CAPACITY`.
        (self.entries.len() - self.free.len()) as u32
    }

    /// Inserts what `make` returns for the identifier that it is given, and returns a reference to
    /// it. Returns `None`, without a call of `make`, when the table is full.
    pub(super) fn insert_with(&mut self, make: impl FnOnce(u32) -> T) -> Option<&T> {
        let i = self.free.pop()?;
        let entry = self.entries.get_mut(i as usize)?;
        Some(entry.value.insert(make(entry.generation << INDEX_BITS | i)))
    }

    /// Removes the object `id`.
    pub(super) fn remove(&mut self, id: u32) -> Option<T> {
        let entry = self
            .entries
            .get_mut(index(id))
            .filter(|entry| entry.generation == id >> INDEX_BITS)?;
        let value = entry.value.take()?;
        entry.generation = (entry.generation + 1) & GENERATION_MASK;
        // By the type invariants there is room. CAST: an index.
        let _ = self.free.push_within_capacity(index(id) as u32);
        Some(value)
    }

    /// Returns the object `id`.
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        self.entries
            .get(index(id))
            .filter(|entry| entry.generation == id >> INDEX_BITS)?
            .value
            .as_ref()
    }

    /// Returns the first object at index `from` or a later one, and its index.
    pub(super) fn next(&self, from: usize) -> Option<(usize, &T)> {
        self.entries
            .iter()
            .enumerate()
            .skip(from)
            .find_map(|(i, entry)| Some((i, entry.value.as_ref()?)))
    }
}

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(toe_shim_table)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_does_not_name_a_later_object() -> Result {
        let mut table = Table::new(1)?;
        let first = *table.insert_with(|id| id).ok_or(EINVAL)?;
        assert_eq!(table.remove(first), Some(first));
        let second = *table.insert_with(|id| id).ok_or(EINVAL)?;
        assert_eq!(index(first), index(second));
        assert_eq!(table.get(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(second), Some(&second));
        Ok(())
    }

    #[test]
    fn a_full_table_takes_no_more() -> Result {
        let mut table = Table::new(2)?;
        let first = *table.insert_with(|id| id).ok_or(EINVAL)?;
        assert!(table.insert_with(|id| id).is_some());
        assert!(table.insert_with(|id| id).is_none());
        assert_eq!(table.len(), 2);
        assert!(table.remove(first).is_some());
        assert_eq!(table.len(), 1);
        assert!(table.insert_with(|id| id).is_some());
        assert!(Table::<u32>::new(MAX_CAPACITY + 1).is_err());
        Ok(())
    }

    #[test]
    fn generations_wrap() -> Result {
        let mut table = Table::new(1)?;
        for _ in 0..=GENERATION_MASK {
            let id = *table.insert_with(|id| id).ok_or(EINVAL)?;
            assert!(table.remove(id).is_some());
        }
        assert_eq!(table.insert_with(|id| id), Some(&0));
        Ok(())
    }

    #[test]
    fn next_visits_every_object() -> Result {
        let mut table = Table::new(4)?;
        let mut ids = [0; 3];
        for id in &mut ids {
            *id = *table.insert_with(|id| id).ok_or(EINVAL)?;
        }
        table.remove(ids[1]);
        let (first, _) = table.next(0).ok_or(EINVAL)?;
        let (second, _) = table.next(first + 1).ok_or(EINVAL)?;
        assert_eq!((first, second), (index(ids[0]), index(ids[2])));
        assert!(table.next(second + 1).is_none());
        Ok(())
    }
}
