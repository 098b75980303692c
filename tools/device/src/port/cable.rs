// SPDX-License-Identifier: GPL-2.0

//! A cable: connects two functions of the adapter in memory.
//!
//! Processor `i` of both functions runs on the same thread, so each pair of processors has a cable
//! of its own and nothing is shared between threads. GSO frames and partial checksums are passed on
//! unchanged. A full cable makes the sender wait for the next turn of its own thread.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use toe_engine::env::Capabilities;
use toe_engine::env::OutFrame;
use toe_engine::env::SendError;

use super::PortQueue;
use crate::frame::Frame;
use crate::memory::MemoryMap;

/// Capacity of one direction, in frames.
const DEPTH: usize = 64;

/// One direction of a cable.
///
/// # Invariants
///
/// `frames` and `empty` together hold [`DEPTH`] buffers.
struct Direction {
    frames: VecDeque<Frame>,
    empty: Vec<Frame>,
    /// The receiving function is enabled.
    open: bool,
}

impl Direction {
    fn new() -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            frames: VecDeque::with_capacity(DEPTH),
            empty: (0..DEPTH).map(|_| Frame::new()).collect(),
            open: false,
        }))
    }
}

/// One end of a cable.
pub struct Cable {
    out: Rc<RefCell<Direction>>,
    input: Rc<RefCell<Direction>>,
    blocked: bool,
    dropped: u64,
}

impl Cable {
    /// Creates a cable and returns both ends.
    pub fn pair() -> (Self, Self) {
        let (there, back) = (Direction::new(), Direction::new());
        let end = |out: &Rc<_>, input: &Rc<_>| Self {
            out: Rc::clone(out),
            input: Rc::clone(input),
            blocked: false,
            dropped: 0,
        };
        (end(&there, &back), end(&back, &there))
    }
}

impl PortQueue for Cable {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn send(&mut self, frame: &OutFrame<'_>, memory: &MemoryMap) -> Result<(), SendError> {
        let mut out = self.out.borrow_mut();
        self.blocked = false;
        if !out.open {
            self.dropped += 1;
            return Ok(());
        }
        let Some(mut buffer) = out.empty.pop() else {
            self.blocked = true;
            return Err(SendError::Full);
        };
        match buffer.gather(frame, memory) {
            Ok(()) => {
                out.frames.push_back(buffer);
                Ok(())
            }
            Err(error) => {
                out.empty.push(buffer);
                Err(error.into())
            }
        }
    }

    fn receive(&mut self, frame: &mut Frame) -> bool {
        let mut input = self.input.borrow_mut();
        let Some(mut received) = input.frames.pop_front() else {
            return false;
        };
        std::mem::swap(frame, &mut received);
        input.empty.push(received);
        true
    }

    fn pending(&self) -> bool {
        !self.input.borrow().frames.is_empty()
    }

    fn blocked(&self) -> bool {
        self.blocked
    }

    fn unblock(&mut self) {
        self.blocked = false;
    }

    fn set_open(&mut self, open: bool) {
        self.input.borrow_mut().open = open;
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::super::out;
    use super::*;

    #[test]
    fn frames_arrive_in_order_and_a_full_cable_holds_the_sender_back() {
        let memory = MemoryMap::default();
        let (mut a, mut b) = Cable::pair();
        b.set_open(true);
        for i in 0..DEPTH {
            assert_eq!(a.send(&out(&[i as u8; 60]), &memory), Ok(()));
        }
        assert_eq!(a.send(&out(&[99; 60]), &memory), Err(SendError::Full));
        assert!(a.blocked());
        let mut frame = Frame::new();
        assert!(b.receive(&mut frame));
        assert_eq!(frame.bytes(), [0; 60]);
        assert_eq!(a.send(&out(&[99; 60]), &memory), Ok(()));
        assert!(!a.blocked());
        for i in 1..DEPTH {
            assert!(b.receive(&mut frame));
            assert_eq!(frame.bytes(), [i as u8; 60]);
        }
        assert!(b.receive(&mut frame) && !b.receive(&mut frame));
        assert_eq!(frame.bytes(), [99; 60]);
    }

    #[test]
    fn frames_to_a_function_that_is_not_in_use_are_counted() {
        let (mut a, mut b) = Cable::pair();
        assert_eq!(a.send(&out(&[1; 60]), &MemoryMap::default()), Ok(()));
        assert_eq!(a.dropped(), 1);
        assert!(!b.receive(&mut Frame::new()));
    }
}
