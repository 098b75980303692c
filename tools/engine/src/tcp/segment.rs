// SPDX-License-Identifier: GPL-2.0

//! What crosses the border of the protocol machine: segments in, segments out, verdicts.

use toe_abi::completion::Reason;

use super::seq::Seq;

/// Bits of the flags byte of a TCP header (RFC 9293, 3.1).
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 1 << 0;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 1 << 1;
    /// Reset the connection.
    pub const RST: u8 = 1 << 2;
    /// Push.
    pub const PSH: u8 = 1 << 3;
    /// The acknowledgement field counts.
    pub const ACK: u8 = 1 << 4;
    /// The urgent pointer counts.
    pub const URG: u8 = 1 << 5;
    /// A congestion-experienced mark was seen (RFC 3168).
    pub const ECE: u8 = 1 << 6;
    /// The sender has reduced its congestion window (RFC 3168).
    pub const CWR: u8 = 1 << 7;
}

/// The timestamps option (RFC 7323), as the numbers on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the echo of the other side's clock.
    pub echo: u32,
}

/// A range of sequence numbers, `start` in it and `end` not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: Seq,
    /// Byte after the last.
    pub end: Seq,
}

impl Range {
    /// From `start` to `end`, in numbers that a test can write down.
    #[cfg(test)]
    pub fn of(start: u32, end: u32) -> Self {
        Self {
            start: Seq(start),
            end: Seq(end),
        }
    }

    /// Number of bytes.
    #[inline]
    pub fn length(self) -> u32 {
        self.end - self.start
    }

    /// Whether all of `other` is in this range.
    #[inline]
    pub fn contains(self, other: Self) -> bool {
        self.start.at_most(other.start) && other.end.at_most(self.end)
    }
}

/// Blocks of a SACK option (RFC 2018), at most [`SackBlocks::MAX`], in the order of the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    blocks: [Range; Self::MAX],
    count: u8,
}

impl SackBlocks {
    /// Blocks that fit into an option.
    pub const MAX: usize = 4;

    /// No block.
    pub const fn new() -> Self {
        let none = Range {
            start: Seq(0),
            end: Seq(0),
        };
        Self {
            blocks: [none; Self::MAX],
            count: 0,
        }
    }

    /// Appends a block; one beyond the fourth is ignored.
    #[inline]
    pub fn push(&mut self, block: Range) {
        if let Some(place) = self.blocks.get_mut(usize::from(self.count)) {
            *place = block;
            self.count += 1;
        }
    }

    /// The blocks.
    #[inline]
    pub fn as_slice(&self) -> &[Range] {
        self.blocks
            .get(..usize::from(self.count))
            .unwrap_or_default()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the option takes in a header, two no-operations in front for alignment included;
    /// 0 without blocks.
    #[inline]
    pub fn option_length(&self) -> u16 {
        if self.count == 0 {
            0
        } else {
            4 + 8 * u16::from(self.count)
        }
    }
}

/// A received segment: what the parser found in a frame of the connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK, with [`flag::ACK`].
    pub ack: Seq,
    /// [`flag`] bits.
    pub flags: u8,
    /// SEG.WND as it stands in the header.
    pub window: u16,
    /// The timestamps option.
    pub timestamps: Option<Timestamps>,
    /// The SACK option.
    pub sack: SackBlocks,
    /// Bytes of payload.
    pub length: u32,
    /// Wire frames that this segment stands for, at least 1.
    pub wire_segments: u16,
    /// The IP header carries the congestion-experienced mark.
    pub congestion_experienced: bool,
    /// There is a TCP option that the parser does not know, or one that has no place in an
    /// established connection.
    pub unknown_option: bool,
}

/// A piece of a segment's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// Sequence number of the piece's first byte.
    pub seq: Seq,
    /// Bytes of the segment's payload in front of the piece that are to be left out.
    pub skip: u32,
    /// Bytes of the piece, at least 1. What follows in the segment's payload is left out.
    pub length: u32,
}

/// Why nothing of a segment was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Outside the receive window, or the sender's answer to one of ours that was (RFC 9293,
    /// 3.10.7.4).
    Window,
    /// An old timestamp (RFC 7323, 5).
    Paws,
    /// An acknowledgement older than any window the peer has announced (RFC 5961, 5).
    OldAck,
    /// An acknowledgement of what nobody can have sent (RFC 9293, 3.10.7.4; RFC 5961, 5).
    FutureAck,
    /// No ACK bit.
    NoAck,
}

/// What the caller is to do with a received segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No payload; all that the segment said has been taken in.
    Done,
    /// The payload is all old. Its acknowledgement has been used if it could be.
    Duplicate,
    /// Place this piece behind what was delivered last, then call
    /// [`Tcb::accept`](super::Tcb::accept).
    Deliver(Trimmed),
    /// Hold this piece until what is missing in front of it has come, then call
    /// [`Tcb::accept`](super::Tcb::accept).
    Hold(Trimmed),
    /// Out of order, and there is no room to remember it: dropped, the peer will send it again.
    NoRoom,
    /// Dropped. An answer is sent where the protocol wants one.
    Drop(Drop),
    /// The host's TCP has to deal with this frame: return the connection, with the frame behind it.
    /// Nothing of the segment has been taken in.
    Return(Reason),
}

/// A segment to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// SEG.SEQ.
    pub seq: Seq,
    /// Bytes of payload from `seq` on, to be read from the host's memory; 0 for a pure
    /// acknowledgement.
    pub length: u32,
    /// Payload bytes of each wire frame but the last, when there is more than one; else 0.
    pub gso_size: u16,
    /// Number of wire frames.
    pub wire_segments: u16,
    /// Some of the payload has been sent before.
    pub retransmit: bool,
    /// [`flag`] bits. With `gso_size`: `PSH` belongs to the last wire frame only, `CWR` to the first
    /// only.
    pub flags: u8,
    /// SEG.ACK.
    pub ack: Seq,
    /// SEG.WND as it goes into the header.
    pub window: u16,
    /// The timestamps option.
    pub timestamps: Option<Timestamps>,
    /// The SACK option.
    pub sack: SackBlocks,
    /// Set ECT(0) in the IP header (RFC 3168).
    pub ect: bool,
}

/// A frame that the host's own TCP has made: a pure acknowledgement; or payload, which was on its way
/// to the device when the connection was handed over, or which a timer has sent again.
#[derive(Clone, Copy, Debug)]
pub struct HostFrame {
    /// SEG.SEQ.
    pub seq: Seq,
    /// Bytes of payload.
    pub length: u32,
    /// SEG.ACK.
    pub ack: Seq,
    /// SEG.WND as it stands in the header.
    pub window: u16,
}

/// What has to stand in a host's frame when it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK.
    pub ack: Seq,
    /// SEG.WND as it goes into the header.
    pub window: u16,
    /// The timestamps option; the host's frame has one exactly when this is `Some`.
    pub timestamps: Option<Timestamps>,
}

/// What has happened since the caller asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Something that an `Acked` completion reports has changed, or the peer answered a keepalive
    /// probe.
    pub acked: bool,
    /// Retransmission timeouts.
    pub timeouts: u8,
    /// Fast recoveries entered.
    pub recoveries: u8,
}
