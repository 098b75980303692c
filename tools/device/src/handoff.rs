// SPDX-License-Identifier: GPL-2.0

//! Frames on their way from one worker to another.
//!
//! Each ordered pair of workers has a link: a bounded ring of frames there, a ring of empty buffers
//! back. Buffers change hands, frames are not copied, and no thread waits for another.

use std::sync::Arc;

use rtrb::Consumer;
use rtrb::Producer;
use rtrb::PushError;
use rtrb::RingBuffer;

use crate::frame::Frame;
use crate::waker::Waker;

/// Frames that a link holds.
const DEPTH: usize = 256;

/// A frame and the function that it is for.
struct Message {
    function: usize,
    frame: Frame,
}

/// The sending end of a link.
pub struct Outbox {
    frames: Producer<Message>,
    empty: Consumer<Frame>,
    waker: Arc<Waker>,
    unannounced: bool,
}

/// The receiving end of a link.
pub struct Inbox {
    frames: Consumer<Message>,
    empty: Producer<Frame>,
}

/// A link to the worker that `waker` wakes.
pub fn link(waker: Arc<Waker>) -> (Outbox, Inbox) {
    let (frames_in, frames_out) = RingBuffer::new(DEPTH);
    let (mut empty_in, empty_out) = RingBuffer::new(DEPTH);
    while !empty_in.is_full() {
        // Not full: the push succeeds.
        let _ = empty_in.push(Frame::new());
    }
    let outbox = Outbox {
        frames: frames_in,
        empty: empty_out,
        waker,
        unannounced: false,
    };
    let inbox = Inbox {
        frames: frames_out,
        empty: empty_in,
    };
    (outbox, inbox)
}

impl Outbox {
    /// Sends `frame`, for which an empty buffer is left; `false` and no change when the link is
    /// full.
    #[must_use]
    pub fn send(&mut self, function: usize, frame: &mut Frame) -> bool {
        let Ok(empty) = self.empty.pop() else {
            return false;
        };
        let frame = std::mem::replace(frame, empty);
        // There are as many buffers as places in either ring, so there is room.
        let pushed = self.frames.push(Message { function, frame });
        debug_assert!(!matches!(pushed, Err(PushError::Full(_))));
        self.unannounced = true;
        true
    }

    /// Wakes the receiver when something was sent since the last call.
    pub fn announce(&mut self) {
        if std::mem::take(&mut self.unannounced) {
            self.waker.notify();
        }
    }
}

impl Inbox {
    /// Takes the next frame into `frame`, exchanging buffers; says which function it is for.
    pub fn receive(&mut self, frame: &mut Frame) -> Option<usize> {
        let mut message = self.frames.pop().ok()?;
        std::mem::swap(frame, &mut message.frame);
        // There are as many buffers as places in either ring, so there is room.
        let pushed = self.empty.push(message.frame);
        debug_assert!(pushed.is_ok());
        Some(message.function)
    }

    /// Whether no frame waits.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_keep_their_order_and_buffers_are_conserved() {
        let waker = Arc::new(Waker::new().expect("an event descriptor"));
        let (mut outbox, mut inbox) = link(waker);
        let mut frame = Frame::new();
        for round in 0..3u8 {
            for i in 0..DEPTH {
                frame.clear();
                assert!(frame.append(&[round, i as u8]));
                assert!(outbox.send(i, &mut frame));
            }
            frame.clear();
            assert!(frame.append(&[99]));
            assert!(!outbox.send(0, &mut frame), "full");
            assert_eq!(frame.bytes(), [99], "kept");
            let mut received = Frame::new();
            for i in 0..DEPTH {
                assert_eq!(inbox.receive(&mut received), Some(i));
                assert_eq!(received.bytes(), [round, i as u8]);
            }
            assert!(inbox.is_empty());
        }
    }
}
