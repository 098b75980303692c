// SPDX-License-Identifier: GPL-2.0

//! Payload that the host has submitted: pieces of its memory, by sequence number (R2.1, user
//! buffers of the send side).

use alloc::boxed::Box;
use alloc::vec;

use crate::env::Frag;
use crate::tcp::Seq;

/// "No fragment".
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Default)]
struct Node {
    piece: Frag,
    next: u32,
}

/// Fragments of all connections of a processor.
pub struct Pool {
    nodes: Box<[Node]>,
    free: u32,
    available: usize,
}

impl Pool {
    /// Room for `fragments` fragments.
    pub fn new(fragments: u32) -> Self {
        let mut pool = Self {
            nodes: vec![Node::default(); fragments as usize].into_boxed_slice(),
            free: NONE,
            available: 0,
        };
        pool.clear();
        pool
    }

    /// Takes every fragment back.
    pub fn clear(&mut self) {
        let count = self.nodes.len();
        for (i, node) in self.nodes.iter_mut().enumerate() {
            node.next = if i + 1 < count { i as u32 + 1 } else { NONE };
        }
        self.free = if count == 0 { NONE } else { 0 };
        self.available = count;
    }

    /// Fragments that are free.
    pub fn available(&self) -> usize {
        self.available
    }

    fn take(&mut self, piece: Frag) -> Option<u32> {
        let at = self.free;
        let node = self.nodes.get_mut(at as usize)?;
        self.free = node.next;
        *node = Node { piece, next: NONE };
        self.available -= 1;
        Some(at)
    }

    fn give(&mut self, at: u32) {
        self.nodes[at as usize].next = self.free;
        self.free = at;
        self.available += 1;
    }
}

/// A fragment and the sequence number of its first byte.
#[derive(Clone, Copy)]
struct Cursor {
    node: u32,
    seq: Seq,
}

/// The submitted payload of one connection, in order and without gaps.
///
/// # Invariants
///
/// The list from `head` to `tail` holds the bytes from `head.seq` up to `end`. `last` names a node
/// of the list, or none: it is where the latest read ended, so that reading on costs nothing however
/// long the list is.
pub struct Fragments {
    head: Cursor,
    tail: u32,
    end: Seq,
    last: Cursor,
}

impl Fragments {
    /// Nothing submitted; the first byte will have sequence number `start`.
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
        }
    }

    /// Sequence number of the byte after the last.
    pub fn end(&self) -> Seq {
        self.end
    }

    /// Appends `piece`; false when the pool is exhausted.
    pub fn push(&mut self, pool: &mut Pool, piece: Frag) -> bool {
        let Some(node) = pool.take(piece) else {
            return false;
        };
        if self.head.node == NONE {
            self.head = Cursor {
                node,
                seq: self.end,
            };
        } else {
            pool.nodes[self.tail as usize].next = node;
        }
        self.tail = node;
        self.end = self.end + piece.length;
        true
    }

    /// Frees what lies wholly before `seq`.
    #[inline]
    pub fn acknowledge(&mut self, pool: &mut Pool, seq: Seq) {
        while self.head.node != NONE {
            let Node { piece, next } = pool.nodes[self.head.node as usize];
            let end = self.head.seq + piece.length;
            if end.after(seq) {
                return;
            }
            if self.last.node == self.head.node {
                self.last.node = NONE;
            }
            pool.give(self.head.node);
            self.head = Cursor {
                node: next,
                seq: end,
            };
        }
    }

    /// Frees everything.
    pub fn clear(&mut self, pool: &mut Pool) {
        self.acknowledge(pool, self.end);
    }

    /// Finds where bytes from `seq` on lie, `length` of them or as many as the entries of `to` can
    /// name. Returns the number of entries and of bytes; `None` when not all of the `length` bytes
    /// have been submitted.
    #[inline]
    pub fn gather(
        &mut self,
        pool: &Pool,
        seq: Seq,
        length: u32,
        to: &mut [Frag],
    ) -> Option<(usize, u32)> {
        if seq.before(self.head.seq) || (seq + length).after(self.end) {
            return None;
        }
        let mut at = if self.last.node != NONE && self.last.seq.at_most(seq) {
            self.last
        } else {
            self.head
        };
        let mut seq = seq;
        let mut left = length;
        let mut count = 0;
        while left != 0 && count < to.len() {
            let Node { piece, next } = *pool.nodes.get(at.node as usize)?;
            let skip = seq - at.seq;
            if skip < piece.length {
                let now = left.min(piece.length - skip);
                to[count] = Frag {
                    address: piece.address.wrapping_add(u64::from(skip)),
                    length: now,
                };
                count += 1;
                left -= now;
                seq = seq + now;
                self.last = at;
            }
            at = Cursor {
                node: next,
                seq: at.seq + piece.length,
            };
        }
        Some((count, length - left))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Addresses equal to sequence numbers make every gathered range checkable.
        #[test]
        fn gathers_what_was_pushed(
            start: u32,
            steps in proptest::collection::vec((0u8..3, 1u32..100, 0u32..400, 1u32..300), 0..100),
        ) {
            let mut pool = Pool::new(32);
            let mut list = Fragments::new(Seq(start));
            let mut acknowledged = 0;
            let mut submitted = 0;
            let address = |offset: u32| 1 << 40 | u64::from(offset);
            let mut pieces = [Frag::default(); 4];
            for (what, length, from, count) in steps {
                match what {
                    0 => {
                        let piece = Frag { address: address(submitted), length };
                        if list.push(&mut pool, piece) {
                            submitted += length;
                        }
                    }
                    1 => {
                        acknowledged = submitted.min(acknowledged + from / 2);
                        list.acknowledge(&mut pool, Seq(start) + acknowledged);
                    }
                    _ => {
                        let from = acknowledged + from;
                        let got = list.gather(&pool, Seq(start) + from, count, &mut pieces);
                        let Some((got, bytes)) = got else {
                            prop_assert!(from + count > submitted);
                            continue;
                        };
                        let mut at = from;
                        for piece in &pieces[..got] {
                            prop_assert_eq!(piece.address, address(at));
                            at += piece.length;
                        }
                        prop_assert_eq!(at, from + bytes);
                        prop_assert!(bytes == count || got == pieces.len());
                    }
                }
            }
            list.clear(&mut pool);
            prop_assert_eq!(pool.available(), 32);
            let mut all: Vec<u32> = (0..32).filter_map(|_| pool.take(Frag::default())).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..32).collect::<Vec<u32>>());
        }
    }
}
