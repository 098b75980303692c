// SPDX-License-Identifier: GPL-2.0

//! The memory of a connection that the adapter may read.

use crate::net::dma::MappedFrag;
use kernel::prelude::*;

/// Room that a connection starts with, a power of two.
const FIRST: usize = 16;

/// Pieces of payload under way, in order of their sequence numbers.
///
/// Each holds its page and its mapping until the peer has acknowledged it, whatever Linux does with
/// the skb that it came from: the adapter never reads memory that is somebody else's.
///
/// # Invariants
///
/// The number of slots is a power of two. The `count` slots from `head` on, around the end, are `Some`, all others `None`.
pub(super) struct Pieces {
    slots: KVec<Option<Piece>>,
    head: usize,
    count: usize,
}

struct Piece {
    end: u32,
    _memory: MappedFrag,
}

impl Pieces {
    /// None, with room for some.
    pub(super) fn new() -> Result<Self> {
        let mut pieces = Self {
            slots: KVec::new(),
            head: 0,
            count: 0,
        };
        pieces.resize(FIRST, GFP_KERNEL)?;
        Ok(pieces)
    }

    fn resize(&mut self, room: usize, flags: kernel::alloc::Flags) -> Result {
        let mut slots = KVec::with_capacity(room, flags)?;
        for i in 0..room {
            let taken = (i < self.count).then(|| self.slot(i).take()).flatten();
            slots.push_within_capacity(taken).map_err(|_| ENOMEM)?;
        }
        self.slots = slots;
        self.head = 0;
        Ok(())
    }

    fn slot(&mut self, i: usize) -> &mut Option<Piece> {
        let at = (self.head + i) & (self.slots.len() - 1);
        &mut self.slots[at]
    }

    /// Makes sure that `n` more can be added. Allocates only when there are more than ever before.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn reserve(&mut self, n: usize) -> Result {
        if self.count + n > self.slots.len() {
            self.resize(
                (self.count + n).next_power_of_two(),
                GFP_ATOMIC | kernel::alloc::flags::__GFP_NOWARN,
            )?;
        }
        Ok(())
    }

    /// Adds a piece that ends before sequence number `end`.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when no room was reserved.
    pub(super) fn add(&mut self, end: u32, memory: MappedFrag) -> Result {
        if self.count == self.slots.len() {
            return Err(ENOSPC);
        }
        let count = self.count;
        *self.slot(count) = Some(Piece {
            end,
            _memory: memory,
        });
        self.count += 1;
        Ok(())
    }

    /// Lets go of the pieces that end at or before `una`; returns their number.
    pub(super) fn release_to(&mut self, una: u32) -> u32 {
        let mut released = 0;
        while self.count > 0 {
            match self.slot(0) {
                Some(piece) if (una.wrapping_sub(piece.end) as i32) < 0 => break,
                slot => *slot = None,
            }
            self.head = (self.head + 1) & (self.slots.len() - 1);
            self.count -= 1;
            released += 1;
        }
        released
    }

    /// Lets go of all; returns their number.
    pub(super) fn release_all(&mut self) -> u32 {
        let released = self.count as u32;
        for i in 0..self.count {
            *self.slot(i) = None;
        }
        self.count = 0;
        released
    }
}
