// SPDX-License-Identifier: GPL-2.0

//! Frames received out of order, kept in device memory until the gap in front of them is filled.
//!
//! Frames are kept whole, with their headers: when the connection is returned, they are uploaded to
//! the host's TCP.

use alloc::boxed::Box;
use alloc::vec;

use crate::env::RxOffload;
use crate::tcp::Seq;

/// Unit of allocation of device memory. A frame of the Ethernet MTU takes one chunk.
const CHUNK: usize = 2048;
/// Null index: no chunk or frame.
const NONE: u32 = u32::MAX;

/// A held frame.
#[derive(Clone, Copy, Default)]
pub struct HeldFrame {
    /// Sequence number of the first byte of payload to deliver.
    pub seq: Seq,
    /// Bytes of payload to deliver.
    pub length: u32,
    /// Offset of this payload in the frame.
    pub offset: u32,
    /// Length of the frame.
    pub frame_length: u32,
    /// Offload state from the port.
    pub offload: RxOffload,
    /// The peer set PSH.
    pub push: bool,
    chunk: u32,
    next: u32,
}

impl HeldFrame {
    /// A frame with `length` bytes of payload to deliver, at `offset` in the frame and with sequence
    /// number `seq`.
    pub fn new(seq: Seq, length: u32, offset: u32, offload: RxOffload, push: bool) -> Self {
        Self {
            seq,
            length,
            offset,
            offload,
            push,
            ..Self::default()
        }
    }

    /// Sequence number after the last byte to deliver.
    pub fn end(&self) -> Seq {
        self.seq + self.length
    }
}

/// Device memory for the held frames of all connections of a processor.
///
/// # Invariants
///
/// - Every chunk is either in the free list or in the list of exactly one held frame.
/// - Every descriptor is either in the free list or in exactly one [`HeldFrames`].
/// - There are as many descriptors as chunks, and a frame takes at least one chunk. So a descriptor
///   is free whenever a chunk is.
pub struct FramePool {
    memory: Box<[u8]>,
    /// The chunk after each chunk in its list.
    next: Box<[u32]>,
    frames: Box<[HeldFrame]>,
    free_chunk: u32,
    free_frame: u32,
    /// Number of free chunks.
    available: usize,
}

impl FramePool {
    /// Creates device memory of `bytes` bytes.
    pub fn new(bytes: u32) -> Self {
        let chunks = bytes as usize / CHUNK;
        let mut pool = Self {
            memory: vec![0; chunks * CHUNK].into_boxed_slice(),
            next: vec![0; chunks].into_boxed_slice(),
            frames: vec![HeldFrame::default(); chunks].into_boxed_slice(),
            free_chunk: NONE,
            free_frame: NONE,
            available: 0,
        };
        pool.clear();
        pool
    }

    /// Marks all memory free.
    pub fn clear(&mut self) {
        let chunks = self.next.len();
        for i in 0..chunks {
            let next = if i + 1 < chunks { i as u32 + 1 } else { NONE };
            self.next[i] = next;
            self.frames[i].next = next;
        }
        self.free_chunk = if chunks == 0 { NONE } else { 0 };
        self.free_frame = self.free_chunk;
        self.available = chunks;
    }

    /// Copies `frame`, which `held` describes, into free chunks. Returns the number of its descriptor,
    /// `None` when memory is exhausted.
    fn store(&mut self, frame: &[u8], held: &HeldFrame) -> Option<u32> {
        let chunks = frame.len().div_ceil(CHUNK).max(1);
        if chunks > self.available {
            return None;
        }
        let at = self.free_frame;
        let descriptor = self.frames.get_mut(at as usize)?;
        self.free_frame = descriptor.next;
        *descriptor = HeldFrame {
            frame_length: frame.len() as u32,
            chunk: self.free_chunk,
            next: NONE,
            ..*held
        };
        let mut last = NONE;
        let mut rest = frame;
        for _ in 0..chunks {
            last = self.free_chunk;
            let (now, later) = rest.split_at(rest.len().min(CHUNK));
            let start = last as usize * CHUNK;
            self.memory[start..start + now.len()].copy_from_slice(now);
            self.free_chunk = self.next[last as usize];
            rest = later;
        }
        self.next[last as usize] = NONE;
        self.available -= chunks;
        Some(at)
    }

    /// Frees the descriptor `at` and its chunks.
    fn release(&mut self, at: u32) {
        let mut chunk = self.frames[at as usize].chunk;
        while chunk != NONE {
            let next = self.next[chunk as usize];
            self.next[chunk as usize] = self.free_chunk;
            self.free_chunk = chunk;
            self.available += 1;
            chunk = next;
        }
        self.frames[at as usize].next = self.free_frame;
        self.free_frame = at;
    }

    /// Bytes `offset..offset + length` of a held frame, one slice per chunk.
    pub fn bytes(&self, held: &HeldFrame, offset: u32, length: u32) -> impl Iterator<Item = &[u8]> {
        let mut chunk = held.chunk;
        let mut skip = offset as usize;
        let mut left = length as usize;
        core::iter::from_fn(move || {
            while skip >= CHUNK && chunk != NONE {
                chunk = self.next[chunk as usize];
                skip -= CHUNK;
            }
            if left == 0 || chunk == NONE {
                return None;
            }
            let start = chunk as usize * CHUNK + skip;
            let now = left.min(CHUNK - skip);
            skip = CHUNK;
            left -= now;
            Some(&self.memory[start..start + now])
        })
    }
}

/// The held frames of one connection, in order of their sequence numbers.
///
/// # Invariants
///
/// `head` and `tail` are both [`NONE`], or the ends of one list through `next`. The list has `count`
/// frames of `bytes` bytes in all.
pub struct HeldFrames {
    head: u32,
    tail: u32,
    bytes: u32,
    count: u32,
}

impl HeldFrames {
    /// No frames.
    pub const fn new() -> Self {
        Self {
            head: NONE,
            tail: NONE,
            bytes: 0,
            count: 0,
        }
    }

    /// Bytes of all frames.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Number of frames.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Inserts `frame`, which `held` describes, after every frame with a sequence number that is not
    /// later. Returns false when memory is exhausted.
    pub fn insert(&mut self, pool: &mut FramePool, frame: &[u8], held: &HeldFrame) -> bool {
        match pool.frames.get(self.tail as usize) {
            Some(last) if last.seq.after(held.seq) => {}
            // The usual case: the frame is the last one.
            _ => return self.append(pool, frame, held),
        }
        let Some(new) = pool.store(frame, held) else {
            return false;
        };
        let mut previous = NONE;
        let mut at = self.head;
        while at != NONE && pool.frames[at as usize].seq.at_most(held.seq) {
            previous = at;
            at = pool.frames[at as usize].next;
        }
        self.link(pool, previous, at, new);
        true
    }

    /// Appends `frame`, which `held` describes, regardless of its sequence number. Returns false when
    /// memory is exhausted.
    pub fn append(&mut self, pool: &mut FramePool, frame: &[u8], held: &HeldFrame) -> bool {
        let Some(new) = pool.store(frame, held) else {
            return false;
        };
        self.link(pool, self.tail, NONE, new);
        true
    }

    /// Links the frame `new` between `previous` and `next`.
    fn link(&mut self, pool: &mut FramePool, previous: u32, next: u32, new: u32) {
        pool.frames[new as usize].next = next;
        if previous == NONE {
            self.head = new;
        } else {
            pool.frames[previous as usize].next = new;
        }
        if next == NONE {
            self.tail = new;
        }
        self.bytes += pool.frames[new as usize].frame_length;
        self.count += 1;
    }

    /// The first frame.
    pub fn first<'a>(&self, pool: &'a FramePool) -> Option<&'a HeldFrame> {
        pool.frames.get(self.head as usize)
    }

    /// All frames, in order.
    fn iter<'a>(&self, pool: &'a FramePool) -> impl Iterator<Item = &'a HeldFrame> {
        let mut at = self.head;
        core::iter::from_fn(move || {
            let held = pool.frames.get(at as usize)?;
            at = held.next;
            Some(held)
        })
    }

    /// Frees the first frame.
    pub fn pop(&mut self, pool: &mut FramePool) {
        if let Some(held) = pool.frames.get(self.head as usize) {
            let at = self.head;
            self.head = held.next;
            if self.head == NONE {
                self.tail = NONE;
            }
            self.bytes -= held.frame_length;
            self.count -= 1;
            pool.release(at);
        }
    }

    /// Frees all frames.
    pub fn clear(&mut self, pool: &mut FramePool) {
        while self.head != NONE {
            self.pop(pool);
        }
    }

    /// Bytes of contiguous payload from `seq` on.
    pub fn contiguous(&self, pool: &FramePool, seq: Seq) -> u32 {
        let mut end = seq;
        for held in self.iter(pool) {
            if held.seq.after(end) {
                break;
            }
            end = end.max(held.end());
        }
        end - seq
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_come_back_in_order(
            frames in proptest::collection::vec((0u32..1000, 1usize..9000, any::<u8>()), 1..20),
        ) {
            let mut pool = FramePool::new(64 * CHUNK as u32);
            let mut list = HeldFrames::new();
            let mut model: Vec<(u32, usize, u8)> = Vec::new();
            for (seq, length, byte) in frames {
                let held = HeldFrame { seq: Seq(seq), ..HeldFrame::default() };
                if list.insert(&mut pool, &alloc::vec![byte; length], &held) {
                    model.push((seq, length, byte));
                }
            }
            model.sort_by_key(|&(seq, ..)| seq);
            for (seq, length, byte) in model {
                let held = *list.first(&pool).unwrap();
                prop_assert_eq!((held.seq, held.frame_length), (Seq(seq), length as u32));
                let tail = length as u32 / 3;
                let bytes = pool.bytes(&held, tail, length as u32 - tail);
                let bytes: Vec<u8> = bytes.flatten().copied().collect();
                prop_assert_eq!(bytes, alloc::vec![byte; length - tail as usize]);
                list.pop(&mut pool);
            }
            prop_assert_eq!((list.bytes(), list.count(), pool.available), (0, 0, 64));
        }
    }
}
