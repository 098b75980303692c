// SPDX-License-Identifier: GPL-2.0

//! Payload that the host has submitted: a list of fragments, by sequence number.

use alloc::boxed::Box;
use alloc::vec;

use crate::env::Frag;
use crate::tcp::Records;
use crate::tcp::Seq;

/// Null index: no node.
const NONE: u32 = u32::MAX;

/// An element of a list.
#[derive(Clone, Copy)]
struct Node {
    frag: Frag,
    /// The last byte ends a record.
    ends_record: bool,
    next: u32,
}

/// Payload fragments of all connections of a processor.
///
/// # Invariants
///
/// Every node is either in the list that starts at `free`, which has `available` nodes, or in the
/// list of exactly one [`SendBuffer`].
pub struct FragPool {
    nodes: Box<[Node]>,
    free: u32,
    available: usize,
}

impl FragPool {
    /// Creates a pool of `frags` fragments.
    pub fn new(frags: u32) -> Self {
        let node = Node {
            frag: Frag::EMPTY,
            ends_record: false,
            next: NONE,
        };
        let mut pool = Self {
            nodes: vec![node; frags as usize].into_boxed_slice(),
            free: NONE,
            available: 0,
        };
        pool.clear();
        pool
    }

    /// Marks every node free.
    pub fn clear(&mut self) {
        let count = self.nodes.len();
        for (i, node) in self.nodes.iter_mut().enumerate() {
            node.next = if i + 1 < count { i as u32 + 1 } else { NONE };
        }
        self.free = if count == 0 { NONE } else { 0 };
        self.available = count;
    }

    /// Number of free nodes.
    pub fn available(&self) -> usize {
        self.available
    }

    fn take(&mut self, frag: Frag, ends_record: bool) -> Option<u32> {
        let at = self.free;
        let node = self.nodes.get_mut(at as usize)?;
        self.free = node.next;
        *node = Node {
            frag,
            ends_record,
            next: NONE,
        };
        self.available -= 1;
        Some(at)
    }

    fn give(&mut self, at: u32) {
        self.nodes[at as usize].next = self.free;
        self.free = at;
        self.available += 1;
    }
}

/// A node, and the sequence number of the first byte of its fragment.
#[derive(Clone, Copy)]
struct Cursor {
    node: u32,
    seq: Seq,
}

/// The submitted payload of one connection, in order and without gaps.
///
/// # Invariants
///
/// - The list from `head` to `tail` holds the bytes from `head.seq` up to `end`.
/// - `last.node` is a node of the list, or [`NONE`].
/// - `records` is the number of nodes in the list that end a record.
pub struct SendBuffer {
    head: Cursor,
    tail: u32,
    end: Seq,
    /// Where the latest [`SendBuffer::gather`] ended. The next one usually starts there, so it does
    /// not walk the list.
    last: Cursor,
    records: u32,
}

impl SendBuffer {
    /// An empty buffer whose first byte has sequence number `start`.
    pub fn new(start: Seq) -> Self {
        let none = Cursor {
            node: NONE,
            seq: start,
        };
        Self {
            head: none,
            tail: NONE,
            end: start,
            last: none,
            records: 0,
        }
    }

    /// Sequence number after the last byte.
    pub fn end(&self) -> Seq {
        self.end
    }

    /// Appends `frag`, whose last byte may end a record. Returns false when the pool is exhausted.
    pub fn push(&mut self, pool: &mut FragPool, frag: Frag, ends_record: bool) -> bool {
        let Some(node) = pool.take(frag, ends_record) else {
            return false;
        };
        self.records += u32::from(ends_record);
        if self.head.node == NONE {
            self.head = Cursor {
                node,
                seq: self.end,
            };
        } else {
            pool.nodes[self.tail as usize].next = node;
        }
        self.tail = node;
        self.end = self.end + frag.length;
        true
    }

    /// Frees fragments that end at or before `seq`.
    #[inline]
    pub fn acknowledge(&mut self, pool: &mut FragPool, seq: Seq) {
        while self.head.node != NONE {
            let Node {
                frag,
                ends_record,
                next,
            } = pool.nodes[self.head.node as usize];
            let end = self.head.seq + frag.length;
            if end.after(seq) {
                return;
            }
            if self.last.node == self.head.node {
                self.last.node = NONE;
            }
            pool.give(self.head.node);
            self.records -= u32::from(ends_record);
            self.head = Cursor {
                node: next,
                seq: end,
            };
        }
    }

    /// Frees all fragments.
    pub fn clear(&mut self, pool: &mut FragPool) {
        self.acknowledge(pool, self.end);
    }

    /// Fills `to` with fragments that hold the bytes from `seq` on: `length` bytes, or fewer when
    /// `to` is full. Returns the number of fragments and of bytes, `None` unless all of the `length`
    /// bytes are in the buffer.
    #[inline]
    pub fn gather(
        &mut self,
        pool: &FragPool,
        seq: Seq,
        length: u32,
        to: &mut [Frag],
    ) -> Option<(usize, u32)> {
        if seq.before(self.head.seq) || (seq + length).after(self.end) {
            return None;
        }
        let mut at = self.cursor(seq);
        let mut seq = seq;
        let mut left = length;
        let mut count = 0;
        while left != 0 && count < to.len() {
            let Node { frag, next, .. } = *pool.nodes.get(at.node as usize)?;
            let skip = seq - at.seq;
            if skip < frag.length {
                let now = left.min(frag.length - skip);
                to[count] = Frag {
                    source: frag.source.advanced(skip),
                    length: now,
                };
                count += 1;
                left -= now;
                seq = seq + now;
                self.last = at;
            }
            at = Cursor {
                node: next,
                seq: at.seq + frag.length,
            };
        }
        Some((count, length - left))
    }

    /// A node from which a walk reaches the byte at `seq`.
    #[inline]
    fn cursor(&self, seq: Seq) -> Cursor {
        if self.last.node != NONE && self.last.seq.at_most(seq) {
            self.last
        } else {
            self.head
        }
    }
}

/// A send buffer and the memory of its list.
pub struct Submitted<'a> {
    pub buffer: &'a SendBuffer,
    pub pool: &'a FragPool,
}

impl Records for Submitted<'_> {
    #[inline]
    fn ends(&self, seq: Seq, length: u32) -> impl Iterator<Item = Seq> {
        let mut at = match self.buffer.records {
            0 => Cursor { node: NONE, seq },
            _ => self.buffer.cursor(seq),
        };
        core::iter::from_fn(move || {
            loop {
                let node = self.pool.nodes.get(at.node as usize)?;
                let end = at.seq + node.frag.length;
                if end.at_least(seq + length) {
                    return None;
                }
                at = Cursor {
                    node: node.next,
                    seq: end,
                };
                if node.ends_record && end.after(seq) {
                    return Some(end);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::env::Source;

    proptest! {
        /// Every address is derived from its sequence number, so gathered ranges can be checked.
        #[test]
        fn gathers_what_was_pushed(
            start: u32,
            steps in proptest::collection::vec((0u8..3, 1u32..100, 0u32..400, 1u32..300), 0..100),
        ) {
            let mut pool = FragPool::new(32);
            let mut buffer = SendBuffer::new(Seq(start));
            let mut acknowledged = 0;
            let mut submitted = 0;
            let mut ends = Vec::new();
            let address = |offset: u32| 1 << 40 | u64::from(offset);
            let mut frags = [Frag::EMPTY; 4];
            for (step, length, from, count) in steps {
                match step {
                    0 => {
                        let record = count & 1 == 0;
                        if buffer.push(&mut pool, Frag::host(address(submitted), length), record) {
                            submitted += length;
                            ends.extend(record.then_some(submitted));
                        }
                    }
                    1 => {
                        acknowledged = submitted.min(acknowledged + from / 2);
                        buffer.acknowledge(&mut pool, Seq(start) + acknowledged);
                    }
                    _ => {
                        let from = acknowledged + from;
                        let got = buffer.gather(&pool, Seq(start) + from, count, &mut frags);
                        let Some((got, bytes)) = got else {
                            prop_assert!(from + count > submitted);
                            continue;
                        };
                        let mut at = from;
                        for frag in &frags[..got] {
                            prop_assert_eq!(frag.source, Source::Host { address: address(at) });
                            at += frag.length;
                        }
                        prop_assert_eq!(at, from + bytes);
                        prop_assert!(bytes == count || got == frags.len());
                        let records = Submitted { buffer: &buffer, pool: &pool };
                        let within: Vec<u32> = ends
                            .iter()
                            .filter(|&&end| end > from && end < from + count)
                            .map(|end| end - from)
                            .collect();
                        let first = records.first(Seq(start) + from, count);
                        prop_assert_eq!(first, *within.first().unwrap_or(&count));
                        let last = records.last(Seq(start) + from, count);
                        prop_assert_eq!(last, count - within.last().unwrap_or(&0));
                    }
                }
            }
            buffer.clear(&mut pool);
            prop_assert_eq!(pool.available(), 32);
            let mut all: Vec<u32> = (0..32).filter_map(|_| pool.take(Frag::EMPTY, false)).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..32).collect::<Vec<u32>>());
        }
    }
}
