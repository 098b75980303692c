// SPDX-License-Identifier: GPL-2.0

//! Interface types of the TCP state machine: segments in and out, and verdicts.

use toe_abi::completion::Reason;

use super::seq::Seq;

/// Flags of the TCP header (RFC 9293 3.1).
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 1 << 0;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 1 << 1;
    /// Reset the connection.
    pub const RST: u8 = 1 << 2;
    /// Push.
    pub const PSH: u8 = 1 << 3;
    /// The acknowledgement field is significant.
    pub const ACK: u8 = 1 << 4;
    /// The urgent pointer is significant.
    pub const URG: u8 = 1 << 5;
    /// ECN echo (RFC 3168).
    pub const ECE: u8 = 1 << 6;
    /// Congestion window reduced (RFC 3168).
    pub const CWR: u8 = 1 << 7;
}

/// Where records of the application end (`MSG_EOR`): no segment has payload of two.
pub trait Records {
    /// Where records end between two of the `length` bytes from `seq` on, in order.
    fn ends(&self, seq: Seq, length: u32) -> impl Iterator<Item = Seq>;

    /// How many of the `length` bytes from `seq` on belong to the first record among them.
    #[inline]
    fn first(&self, seq: Seq, length: u32) -> u32 {
        self.ends(seq, length)
            .next()
            .map_or(length, |end| end - seq)
    }

    /// How many of the `length` bytes from `seq` on belong to the last record among them.
    fn last(&self, seq: Seq, length: u32) -> u32 {
        let begin = self.ends(seq, length).last().unwrap_or(seq);
        seq + length - begin
    }
}

/// A stream of one record.
impl Records for () {
    #[inline]
    fn ends(&self, _: Seq, _: u32) -> impl Iterator<Item = Seq> {
        core::iter::empty()
    }
}

/// Timestamps option (RFC 7323), in host byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: clock of the sender.
    pub value: u32,
    /// TSecr: echo of the peer's clock.
    pub echo: u32,
}

/// A half-open range of sequence numbers, `[start, end)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: Seq,
    /// Byte after the last.
    pub end: Seq,
}

impl Range {
    /// Shorthand for tests.
    #[cfg(test)]
    pub fn of(start: u32, end: u32) -> Self {
        Self {
            start: Seq(start),
            end: Seq(end),
        }
    }

    /// Length in bytes.
    #[inline]
    pub fn length(self) -> u32 {
        self.end - self.start
    }

    /// Whether `other` is within this range.
    #[inline]
    pub fn contains(self, other: Self) -> bool {
        self.start.at_most(other.start) && other.end.at_most(self.end)
    }
}

/// Blocks of a SACK option (RFC 2018) in wire order, at most [`SackBlocks::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    blocks: [Range; Self::MAX],
    count: u8,
}

impl SackBlocks {
    /// Maximum number of blocks in an option.
    pub const MAX: usize = 4;

    /// No blocks.
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

    /// Appends a block. A fifth block is ignored.
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

    /// Whether there are no blocks.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Length of the option in bytes, including two NOPs for alignment; 0 without blocks.
    #[inline]
    pub fn option_length(&self) -> u16 {
        if self.count == 0 {
            0
        } else {
            4 + 8 * u16::from(self.count)
        }
    }
}

/// A received segment of a connection, as parsed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK, valid with [`flag::ACK`].
    pub ack: Seq,
    /// [`flag`] bits.
    pub flags: u8,
    /// SEG.WND, not scaled.
    pub window: u16,
    /// The timestamps option.
    pub timestamps: Option<Timestamps>,
    /// The SACK option.
    pub sack: SackBlocks,
    /// Payload bytes.
    pub length: u32,
    /// Number of wire frames the segment stands for, at least 1.
    pub wire_segments: u16,
    /// The IP header is marked CE (RFC 3168).
    pub congestion_experienced: bool,
    /// There is an option that is unknown or invalid in ESTABLISHED state.
    pub unknown_option: bool,
    /// The IP header has options or extension headers.
    pub ip_options: bool,
    /// There is an MD5 signature or an authentication option (RFC 2385, RFC 5925).
    pub signed: bool,
}

impl Segment {
    /// Sequence numbers of the payload.
    #[inline]
    pub fn payload(&self) -> Range {
        Range {
            start: self.seq,
            end: self.seq + self.length,
        }
    }
}

/// Payload of a segment, trimmed to what is new and within the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// Sequence number of the first byte.
    pub seq: Seq,
    /// Payload bytes of the segment to skip in front.
    pub skip: u32,
    /// Length in bytes, at least 1. Payload of the segment beyond that is dropped.
    pub length: u32,
}

/// Reasons for dropping a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Signed, although the connection has no key (`tcp_inbound_hash()`).
    Signed,
    /// A SYN, or a RST that is in the window but not at RCV.NXT (RFC 5961 3.2, 4.2).
    Blind,
    /// Outside the receive window, or a reply to an out-of-window segment of ours (RFC 9293
    /// 3.10.7.4).
    Window,
    /// Old timestamp (RFC 7323 5).
    Paws,
    /// ACK older than any window the peer has announced (RFC 5961 5).
    OldAck,
    /// ACK of data that was not sent (RFC 9293 3.10.7.4, RFC 5961 5).
    FutureAck,
    /// ACK flag missing.
    NoAck,
}

/// What the caller must do with a received segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the segment has no payload and has been processed.
    Done,
    /// Nothing: the payload is a duplicate. The ACK has been processed where possible.
    Duplicate,
    /// Place this payload after what was delivered last, then call
    /// [`Tcb::accept`](super::Tcb::accept).
    Deliver(Trimmed),
    /// Hold this payload until the hole before it is filled, then call
    /// [`Tcb::accept`](super::Tcb::accept).
    Hold(Trimmed),
    /// Drop. An ACK is sent where the protocol requires one.
    Drop(Drop),
    /// Upload the whole frame to the host's TCP, then call [`Tcb::uploaded`](super::Tcb::uploaded).
    /// If it is special, the connection has to enter legacy mode before
    /// ([`Tcb::enter_legacy`](super::Tcb::enter_legacy)). The acknowledgement has been processed where
    /// possible.
    Upload(Option<Special>),
    /// Return the connection to the host's TCP, followed by this frame. The segment has not been
    /// processed.
    Return(Reason),
}

/// Why only the host's TCP can process the payload of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// An unknown TCP option, or no timestamp although timestamps are in use.
    Option,
    /// Payload out of order that cannot be held.
    OutOfOrder,
    /// Payload that the host has not confirmed after a resumption.
    Gap,
    /// A repeated probe of a window that stays closed.
    Window,
}

impl From<Special> for Reason {
    /// The reason of the return if the connection cannot enter legacy mode.
    fn from(special: Special) -> Self {
        match special {
            Special::Option => Self::Option,
            Special::OutOfOrder => Self::OutOfOrder,
            Special::Gap => Self::Gap,
            Special::Window => Self::Window,
        }
    }
}

/// A segment to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// SEG.SEQ.
    pub seq: Seq,
    /// Payload bytes from `seq` on, to be read from host memory; 0 for a pure ACK.
    pub length: u32,
    /// Payload bytes of each wire frame except the last if there are several, else 0.
    pub gso_size: u16,
    /// Number of wire frames.
    pub wire_segments: u16,
    /// Part of the payload is a retransmission.
    pub retransmit: bool,
    /// [`flag`] bits. With `gso_size`, `PSH` applies to the last wire frame only and `CWR` to the
    /// first only.
    pub flags: u8,
    /// SEG.ACK.
    pub ack: Seq,
    /// SEG.WND, not scaled.
    pub window: u16,
    /// The timestamps option.
    pub timestamps: Option<Timestamps>,
    /// The SACK option.
    pub sack: SackBlocks,
    /// Set ECT(0) in the IP header (RFC 3168).
    pub ect: bool,
}

/// A frame made by the host's own TCP: a pure ACK; or payload that was queued when the connection
/// was handed over, or retransmitted by a timer.
#[derive(Clone, Copy, Debug)]
pub struct HostFrame {
    /// SEG.SEQ.
    pub seq: Seq,
    /// Payload bytes.
    pub length: u32,
    /// SEG.ACK.
    pub ack: Seq,
    /// SEG.WND, not scaled.
    pub window: u16,
}

/// Header fields of a host's frame when it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK.
    pub ack: Seq,
    /// SEG.WND, not scaled.
    pub window: u16,
    /// ECE, if ECN is negotiated: the host's TCP does not see every mark.
    pub ece: Option<bool>,
    /// Timestamps option. `Some` if and only if the host's frame has one.
    pub timestamps: Option<Timestamps>,
}

/// Events since the last query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// An `Acked` completion is due: its contents have changed, or the peer has answered a
    /// keepalive probe.
    pub acked: bool,
    /// Number of RTOs.
    pub timeouts: u8,
    /// Number of fast recoveries entered.
    pub recoveries: u8,
}
