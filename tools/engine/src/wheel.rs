// SPDX-License-Identifier: GPL-2.0

//! Hierarchical timer wheel over a fixed set of items, with constant-time operations and fixed
//! memory (compare `kernel/time/timer.c`).

use alloc::boxed::Box;
use alloc::vec;

/// log2 of a tick, in microseconds.
const TICK_SHIFT: u32 = 9;
/// log2 of the number of slots of a level.
const LEVEL_SHIFT: u32 = 6;
/// Slots per level, one bit each in a word.
const SLOTS: usize = 1 << LEVEL_SHIFT;
/// Levels. They span 2^(4 * 6) ticks, which is over two hours. A later deadline is queued in the
/// last slot and requeued when that expires.
const LEVELS: usize = 4;
/// Null link: end of a list, or not queued.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Node {
    next: u32,
    previous: u32,
    /// Expiry tick while queued.
    tick: u64,
    /// `level * SLOTS + slot`, or [`NONE`].
    list: u32,
}

/// One timer for each of the items `0..n`.
///
/// A timer never fires early. It fires up to one tick (512 microseconds) late.
///
/// # Invariants
///
/// - An item with `list != NONE` is in exactly that list. Bit `slot` of `occupied[level]` is set if
///   and only if the list is not empty.
/// - Every queued item expires after tick `now`. An item on level `l` expires in less than `64^(l +
///   1)` ticks, that is within one turn of its level.
pub struct Wheel {
    nodes: Box<[Node]>,
    heads: [u32; LEVELS * SLOTS],
    occupied: [u64; LEVELS],
    now: u64,
}

impl Wheel {
    /// Creates a wheel for `items` items, at time 0.
    pub fn new(items: usize) -> Self {
        let node = Node {
            next: NONE,
            previous: NONE,
            tick: 0,
            list: NONE,
        };
        Self {
            nodes: vec![node; items].into_boxed_slice(),
            heads: [NONE; LEVELS * SLOTS],
            occupied: [0; LEVELS],
            now: 0,
        }
    }

    /// Cancels all timers and sets the time to `now`, in microseconds.
    pub fn clear(&mut self, now: u64) {
        if self.occupied != [0; LEVELS] {
            for node in &mut self.nodes {
                node.list = NONE;
            }
            self.heads = [NONE; LEVELS * SLOTS];
            self.occupied = [0; LEVELS];
        }
        self.now = now >> TICK_SHIFT;
    }

    /// Arms the timer of `item` for `deadline`, in microseconds, unless it expires earlier already.
    /// An item whose deadline has moved later is woken at the old deadline and then re-armed by the
    /// caller; this keeps the common case free of list operations.
    #[inline]
    pub fn at_latest(&mut self, item: u32, deadline: u64) {
        let tick = ((deadline + (1 << TICK_SHIFT) - 1) >> TICK_SHIFT).max(self.now + 1);
        let node = &self.nodes[item as usize];
        if node.list != NONE {
            if node.tick <= tick {
                return;
            }
            self.unlink(item);
        }
        self.link(item, tick);
    }

    /// Cancels the timer of `item`.
    pub fn cancel(&mut self, item: u32) {
        if self.nodes[item as usize].list != NONE {
            self.unlink(item);
        }
    }

    fn link(&mut self, item: u32, tick: u64) {
        let ahead = tick - self.now;
        let level = (0..LEVELS)
            .find(|level| ahead >> (LEVEL_SHIFT * (*level as u32 + 1)) == 0)
            .unwrap_or(LEVELS - 1);
        let last = self.now + (1 << (LEVEL_SHIFT * LEVELS as u32)) - 1;
        let tick = tick.min(last);
        let slot = (tick >> (LEVEL_SHIFT * level as u32)) as usize % SLOTS;
        let list = level * SLOTS + slot;
        let head = self.heads[list];
        self.nodes[item as usize] = Node {
            next: head,
            previous: NONE,
            tick,
            list: list as u32,
        };
        if head != NONE {
            self.nodes[head as usize].previous = item;
        }
        self.heads[list] = item;
        self.occupied[level] |= 1 << slot;
    }

    fn unlink(&mut self, item: u32) {
        let Node {
            next,
            previous,
            list,
            ..
        } = self.nodes[item as usize];
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        if previous != NONE {
            self.nodes[previous as usize].next = next;
        } else {
            self.heads[list as usize] = next;
            if next == NONE {
                let (level, slot) = (list as usize / SLOTS, list as usize % SLOTS);
                self.occupied[level] &= !(1 << slot);
            }
        }
        self.nodes[item as usize].list = NONE;
    }

    /// Next tick at which an item expires or a list moves to a lower level.
    fn next_tick(&self) -> Option<u64> {
        (0..LEVELS)
            .filter(|&level| self.occupied[level] != 0)
            .map(|level| {
                let shift = LEVEL_SHIFT * level as u32;
                let turn = self.now >> shift;
                // Distance from the slot after the current one, modulo the wheel size.
                let from = (turn + 1) % SLOTS as u64;
                let ahead = self.occupied[level]
                    .rotate_right(from as u32)
                    .trailing_zeros();
                (turn + 1 + u64::from(ahead)) << shift
            })
            .min()
    }

    /// Time at which [`Wheel::expire`] must be called next, in microseconds.
    #[inline]
    pub fn deadline(&self) -> Option<u64> {
        self.next_tick().map(|tick| tick << TICK_SHIFT)
    }

    /// Removes and returns one item that has expired at `now`, in microseconds.
    #[inline]
    pub fn expire(&mut self, now: u64) -> Option<u32> {
        let now = now >> TICK_SHIFT;
        loop {
            // Expired items are in the current slot of the lowest level.
            let head = self.heads[self.now as usize % SLOTS];
            if head != NONE && self.nodes[head as usize].tick <= self.now {
                self.unlink(head);
                return Some(head);
            }
            match self.next_tick() {
                Some(tick) if tick <= now => self.advance(tick),
                _ => {
                    self.now = self.now.max(now);
                    return None;
                }
            }
        }
    }

    /// Advances to `tick` and moves the lists that start there to lower levels.
    fn advance(&mut self, tick: u64) {
        self.now = tick;
        for level in 1..LEVELS {
            let shift = LEVEL_SHIFT * level as u32;
            if tick & ((1 << shift) - 1) != 0 {
                break;
            }
            let list = level * SLOTS + (tick >> shift) as usize % SLOTS;
            loop {
                let item = self.heads[list];
                if item == NONE {
                    break;
                }
                let due = self.nodes[item as usize].tick;
                self.unlink(item);
                self.link(item, due);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const TICK: u64 = 1 << TICK_SHIFT;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Compared with a simple model: never early, at most a tick late when polled at deadlines.
        #[test]
        fn fires_in_time(
            timers in proptest::collection::vec((0u64..10_000_000_000, 0u64..20_000_000), 1..64),
        ) {
            let mut wheel = Wheel::new(timers.len());
            let mut due: Vec<Option<u64>> = alloc::vec![None; timers.len()];
            let mut order: Vec<(u64, usize)> = timers
                .iter()
                .enumerate()
                .map(|(item, &(_, set_at))| (set_at, item))
                .collect();
            order.sort_unstable();
            let mut now = 0;
            let mut set = order.into_iter().peekable();
            loop {
                let next_set = set.peek().map(|&(at, _)| at);
                let next_fire = wheel.deadline();
                let Some(next) = next_set.into_iter().chain(next_fire).min() else {
                    break;
                };
                now = now.max(next);
                while let Some(item) = wheel.expire(now) {
                    let deadline = due[item as usize].take();
                    prop_assert!(deadline.is_some_and(|at| at <= now && now <= at + 2 * TICK));
                }
                while let Some((_, item)) = set.next_if(|&(at, _)| at <= now) {
                    let deadline = now + timers[item].0 % 8_000_000_000;
                    wheel.at_latest(item as u32, deadline);
                    due[item] = Some(deadline);
                }
            }
            prop_assert!(due.iter().all(Option::is_none));
        }
    }

    #[test]
    fn earlier_wins_and_cancel_ends() {
        let mut wheel = Wheel::new(2);
        wheel.at_latest(0, 1_000_000);
        wheel.at_latest(0, 10_000);
        wheel.at_latest(0, 2_000_000);
        wheel.at_latest(1, 5_000);
        wheel.cancel(1);
        assert_eq!(wheel.expire(9_000), None);
        assert_eq!(wheel.expire(10_000 + TICK), Some(0));
        assert_eq!(wheel.expire(9_000_000_000), None);
        assert_eq!(wheel.deadline(), None);
    }
}
