// SPDX-License-Identifier: GPL-2.0

//! The protocol that a connection runs.
//!
//! A protocol is added as a variant of [`Protocol`] and its arms in this file. Two steps of the data
//! path differ by protocol in more than a call and match on the variant themselves: received frames
//! (processor/delegated.rs) and frames of the host's own stack (processor/transmit.rs).

use toe_abi::Layout;
use toe_abi::completion::Reason;
use toe_abi::connection::ConnectionState;
use toe_abi::submission::Update;

use super::tcp::Tcp;
use super::template::MAX_HEADER;
use crate::env::Offload;
use crate::ring::Entry;
use crate::tcp::Answered;
use crate::tcp::Events;
use crate::tcp::Instant;
use crate::tcp::Range;
use crate::tcp::Records;
use crate::tcp::Resync;
use crate::tcp::Seq;

/// State of the protocol of one connection. Times are in microseconds.
pub enum Protocol {
    /// The adapter's TCP.
    Tcp(Tcp),
}

impl Protocol {
    /// The next packet to send. With `large`, it may exceed the MTU for the port to cut. It has
    /// payload of one of the `records` only.
    #[inline]
    pub fn next_packet(&mut self, now: u64, large: bool, records: &impl Records) -> Option<Packet> {
        match self {
            Self::Tcp(tcp) => tcp.next_packet(now, large, records),
        }
    }

    /// Reports that all payload received so far is in host memory, with its completions. The
    /// protocol acknowledges no payload before this.
    #[inline]
    pub fn delivered(&mut self) {
        match self {
            Self::Tcp(tcp) => tcp.delivered(),
        }
    }

    /// Whether payload was received that [`Self::delivered`] has not covered.
    #[inline]
    pub fn has_undelivered(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.tcb.has_undelivered(),
        }
    }

    /// First byte of submitted payload that may be sent again.
    #[inline]
    pub fn acknowledged(&self) -> Seq {
        match self {
            Self::Tcp(tcp) => tcp.tcb.snd_una(),
        }
    }

    /// First byte that has not been received in order.
    #[inline]
    pub fn received(&self) -> Seq {
        match self {
            Self::Tcp(tcp) => tcp.tcb.rcv_nxt(),
        }
    }

    /// Latest time for the next call of [`Protocol::on_timer`].
    #[inline]
    pub fn deadline(&self) -> Option<u64> {
        match self {
            Self::Tcp(tcp) => tcp.deadline(),
        }
    }

    /// Handles expired timers.
    ///
    /// # Errors
    ///
    /// The reason to return the connection.
    pub fn on_timer(&mut self, now: u64) -> Result<(), Reason> {
        match self {
            Self::Tcp(tcp) => tcp.on_timer(now),
        }
    }

    /// Events since the last call.
    #[inline]
    pub fn take_events(&mut self) -> Events {
        match self {
            Self::Tcp(tcp) => tcp.tcb.take_events(),
        }
    }

    /// Completion that reports progress to the host, which knows the connection as `host_id`.
    #[inline]
    pub fn progress(&self, host_id: u32) -> Entry {
        match self {
            Self::Tcp(tcp) => tcp.progress(host_id),
        }
    }

    /// Enters legacy mode. The caller uploads the frames that it holds out of order.
    pub fn enter_legacy(&mut self, now: u64) {
        match self {
            Self::Tcp(tcp) => tcp.tcb.enter_legacy(Instant(now)),
        }
    }

    /// A frame with `payload` has been uploaded to the host's stack. Returns false if the connection
    /// should be returned.
    pub fn uploaded(&mut self, now: u64, payload: Range) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.tcb.uploaded(Instant(now), payload),
        }
    }

    /// Takes the host's answer to a resumption.
    pub fn on_resync(&mut self, now: u64, answer: &Resync) -> Answered {
        match self {
            Self::Tcp(tcp) => tcp.tcb.on_resync(Instant(now), answer),
        }
    }

    /// Whether legacy mode can end.
    #[inline]
    pub fn can_resume(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.tcb.can_resume(),
        }
    }

    /// Ends legacy mode if possible. Returns the completion that tells the host, which knows the
    /// connection as `host_id`.
    pub fn resume(&mut self, host_id: u32) -> Option<Entry> {
        match self {
            Self::Tcp(tcp) => tcp.tcb.resume(host_id).map(|resumed| resumed.to_bytes()),
        }
    }

    /// Announces submitted payload up to `end`. `push`: the application's write ends there. `more`:
    /// the host is about to submit more.
    ///
    /// # Errors
    ///
    /// The reason to return the connection.
    #[inline]
    pub fn submit(&mut self, end: Seq, push: bool, more: bool) -> Result<(), Reason> {
        match self {
            Self::Tcp(tcp) => tcp.submit(end, push, more),
        }
    }

    /// Sets the acknowledgement of the peer that the host waits for.
    #[inline]
    pub fn set_awaited(&mut self, seq: Seq) {
        match self {
            Self::Tcp(tcp) => tcp.tcb.set_awaited(seq),
        }
    }

    /// Applies new values from the host, whose MTU is `mtu`.
    ///
    /// # Errors
    ///
    /// `Submission` for a value out of range.
    pub fn update(&mut self, update: &Update, mtu: usize) -> Result<(), Reason> {
        match self {
            Self::Tcp(tcp) => tcp.update(update, mtu),
        }
    }

    /// State for the host that takes the connection back.
    pub fn export(&self, now: u64) -> ConnectionState {
        match self {
            Self::Tcp(tcp) => tcp.export(now),
        }
    }
}

/// A packet that a connection sends: a complete header, and payload that is still in the send
/// buffer.
pub struct Packet {
    pub(super) header: [u8; MAX_HEADER],
    pub(super) header_length: usize,
    /// Sequence number of the first byte of payload.
    pub seq: Seq,
    /// Bytes of payload.
    pub length: u32,
    /// Some of the payload has been sent before.
    pub retransmit: bool,
    /// Work that is left to the port.
    pub offload: Offload,
}

impl Packet {
    /// The header, from the Ethernet header on.
    #[inline]
    pub fn header(&self) -> &[u8] {
        &self.header[..self.header_length]
    }
}
