// SPDX-License-Identifier: GPL-2.0

//! Messages between workers.
//!
//! Each ordered pair of workers has a link: a bounded ring of messages in one direction, and a ring of
//! empty frame buffers in the other. Frames are not copied and no thread waits for another.

use std::mem;
use std::sync::Arc;

use rtrb::Consumer;
use rtrb::Producer;
use rtrb::RingBuffer;
use toe_engine::processor;

use crate::frame::Frame;
use crate::waker::Waker;

/// Messages that a link holds.
const DEPTH: usize = 256;

/// A message to a function's processor on another worker.
pub enum Message {
    /// A received frame that is assigned to that processor.
    Frame(Frame),
}

impl Message {
    /// The message as the engine takes it.
    pub fn borrow(&self) -> processor::Message<'_> {
        match self {
            Self::Frame(frame) => processor::Message::Frame {
                bytes: frame.bytes(),
                offload: frame.received(),
            },
        }
    }
}

/// A message in a link.
struct Envelope {
    /// The function that the message is for.
    function: usize,
    message: Message,
}

/// The sending end of a link.
pub struct Outbox {
    messages: Producer<Envelope>,
    buffers: Consumer<Frame>,
    waker: Arc<Waker>,
    unannounced: bool,
}

/// The receiving end of a link.
pub struct Inbox {
    messages: Consumer<Envelope>,
    buffers: Producer<Frame>,
}

/// Makes a link to the worker that `waker` wakes.
pub fn link(waker: Arc<Waker>) -> (Outbox, Inbox) {
    let (messages_in, messages_out) = RingBuffer::new(DEPTH);
    let (mut buffers_in, buffers_out) = RingBuffer::new(DEPTH);
    while !buffers_in.is_full() {
        // Not full: the push succeeds.
        let _ = buffers_in.push(Frame::new());
    }
    let outbox = Outbox {
        messages: messages_in,
        buffers: buffers_out,
        waker,
        unannounced: false,
    };
    let inbox = Inbox {
        messages: messages_out,
        buffers: buffers_in,
    };
    (outbox, inbox)
}

impl Outbox {
    /// Sends `frame` to `function` and replaces it by an empty buffer. Returns false, without any
    /// change, when the link is full.
    #[must_use]
    pub fn send_frame(&mut self, function: usize, frame: &mut Frame) -> bool {
        if self.messages.is_full() {
            return false;
        }
        let Ok(empty) = self.buffers.pop() else {
            return false;
        };
        let message = Message::Frame(mem::replace(frame, empty));
        self.send(Envelope { function, message })
    }

    /// Sends `envelope`. Returns false when the link is full.
    fn send(&mut self, envelope: Envelope) -> bool {
        let sent = self.messages.push(envelope).is_ok();
        self.unannounced |= sent;
        sent
    }

    /// Wakes the receiver when something was sent since the last call.
    pub fn announce(&mut self) {
        if mem::take(&mut self.unannounced) {
            self.waker.notify();
        }
    }
}

impl Inbox {
    /// Takes the next message and the function that it is for. The message goes to
    /// [`Inbox::recycle`] afterwards.
    pub fn receive(&mut self) -> Option<(usize, Message)> {
        let Envelope { function, message } = self.messages.pop().ok()?;
        Some((function, message))
    }

    /// Returns the buffers of a message to the sender.
    pub fn recycle(&mut self, message: Message) {
        match message {
            Message::Frame(frame) => {
                // Each ring has room for all buffers of the link.
                let pushed = self.buffers.push(frame);
                debug_assert!(pushed.is_ok());
            }
        }
    }

    /// Whether no message is waiting.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
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
                assert!(outbox.send_frame(i, &mut frame));
            }
            frame.clear();
            assert!(frame.append(&[99]));
            assert!(!outbox.send_frame(0, &mut frame), "full");
            assert_eq!(frame.bytes(), [99], "kept");
            for i in 0..DEPTH {
                let (function, message) = inbox.receive().expect("a message");
                assert_eq!(function, i);
                let Message::Frame(received) = &message;
                assert_eq!(received.bytes(), [round, i as u8]);
                inbox.recycle(message);
            }
            assert!(inbox.is_empty());
        }
    }
}
