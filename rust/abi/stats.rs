// SPDX-License-Identifier: GPL-2.0

//! Counters of a processor, in the status page at [`COUNTERS`](super::ring::COUNTERS): an array of
//! `u64`. They are zero when the processor starts and never decrease, except `toe_connections`.
//!
//! The adapter updates them before it sleeps and at least every millisecond while it works.

use super::table::constants;

/// Declares the counters: variant, name for `ethtool -S`, meaning.
macro_rules! counters {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// A counter; its value is its index in the array.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Counter {
            /// Every counter, in the order of the array.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The counters for the document.
            pub const TABLE: super::Table = super::Table {
                name: "Counter",
                doc: &[
                    " Counters of a processor, by their index in the array. `ethtool -S` shows them as",
                    " `p<processor>_<name>`.",
                ],
                kind: super::Kind::Counters,
                rows: &[$(super::Row {
                    name: $name,
                    doc: &[$($doc),*],
                    number: Self::$variant as u64,
                    size: 0,
                },)*],
            };

            /// Name, as in `ethtool -S` without the processor.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

counters! {
    /// Frames received from the wire, including delegated traffic. A large segment counts as the wire
    /// frames that it represents.
    RxFrames = "rx_frames",
    /// Bytes of those frames, including the Ethernet header, without FCS.
    RxBytes = "rx_bytes",
    /// Multicast frames among them.
    RxMulticast = "rx_multicast",
    /// Frames transmitted to the wire, including delegated traffic. A large segment counts as the wire
    /// frames that it represents.
    TxFrames = "tx_frames",
    /// Bytes of those frames.
    TxBytes = "tx_bytes",
    /// Received frames dropped because no page was posted.
    RxNoPage = "rx_no_page",
    /// Received frames dropped because the completion ring was full.
    RxNoCompletion = "rx_no_completion",
    /// Received frames longer than the MTU allows.
    RxTooLong = "rx_too_long",
    /// Received frames with a wrong checksum.
    RxCsumError = "rx_csum_error",
    /// Received frames with a malformed header.
    RxMalformed = "rx_malformed",
    /// Frames of the host dropped because of invalid descriptors.
    TxInvalid = "tx_invalid",
    /// Frames of the host dropped because their memory was inaccessible.
    TxFault = "tx_fault",
    /// Frames that the port rejected.
    TxDropped = "tx_dropped",
    /// Page posts ignored because their identifier was out of range or in use.
    PageInvalid = "page_invalid",
    /// Interrupts raised.
    Interrupts = "interrupts",
    /// Number of times the processor slept.
    Sleeps = "sleeps",
    /// Hand-overs accepted.
    Delegated = "toe_delegated",
    /// Hand-overs refused.
    Refused = "toe_refused",
    /// Connections returned.
    Returned = "toe_returned",
    /// Connections in the table at present.
    Connections = "toe_connections",
    /// Segments of delegated connections received.
    ToeRxSegments = "toe_rx_segments",
    /// Payload bytes of delegated connections delivered to the host.
    ToeRxBytes = "toe_rx_bytes",
    /// Segments of delegated connections transmitted.
    ToeTxSegments = "toe_tx_segments",
    /// Payload bytes of delegated connections, without retransmissions.
    ToeTxBytes = "toe_tx_bytes",
    /// Segments of delegated connections retransmitted.
    ToeRetransmits = "toe_retransmits",
    /// Retransmission timeouts.
    ToeTimeouts = "toe_timeouts",
    /// Fast recoveries entered.
    ToeRecoveries = "toe_recoveries",
    /// Out-of-order segments held.
    ToeOutOfOrder = "toe_out_of_order",
    /// Segments without new payload.
    ToeDuplicates = "toe_duplicates",
    /// Segments dropped by PAWS or the window check and answered with an acknowledgement.
    ToeUnacceptable = "toe_unacceptable",
    /// Segments dropped because no payload page was posted.
    ToeNoPage = "toe_no_page",
    /// Frames of the host's own TCP that were rewritten with the state of a delegated connection.
    ToeHostFrames = "toe_host_frames",
    /// Submissions ignored because the connection had been returned.
    ToeStale = "toe_stale",
    /// Frames from the wire forwarded to another processor.
    Forwarded = "forwarded",
    /// Broadcast frames received. They also count as multicast frames.
    RxBroadcast = "rx_broadcast",
    /// Multicast frames transmitted.
    TxMulticast = "tx_multicast",
    /// Broadcast frames transmitted. They also count as multicast frames.
    TxBroadcast = "tx_broadcast",
    /// Frames received of up to 64 bytes. Sizes include padding and FCS.
    Rx64 = "rx_64",
    /// Frames received of 65 to 127 bytes.
    Rx127 = "rx_65_127",
    /// Frames received of 128 to 255 bytes.
    Rx255 = "rx_128_255",
    /// Frames received of 256 to 511 bytes.
    Rx511 = "rx_256_511",
    /// Frames received of 512 to 1023 bytes.
    Rx1023 = "rx_512_1023",
    /// Frames received of 1024 to 1518 bytes.
    Rx1518 = "rx_1024_1518",
    /// Frames received of more than 1518 bytes.
    RxJumbo = "rx_1519_9026",
    /// Frames transmitted of up to 64 bytes. Sizes include padding and FCS.
    Tx64 = "tx_64",
    /// Frames transmitted of 65 to 127 bytes.
    Tx127 = "tx_65_127",
    /// Frames transmitted of 128 to 255 bytes.
    Tx255 = "tx_128_255",
    /// Frames transmitted of 256 to 511 bytes.
    Tx511 = "tx_256_511",
    /// Frames transmitted of 512 to 1023 bytes.
    Tx1023 = "tx_512_1023",
    /// Frames transmitted of 1024 to 1518 bytes.
    Tx1518 = "tx_1024_1518",
    /// Frames transmitted of more than 1518 bytes.
    TxJumbo = "tx_1519_9026",
    /// Received frames dropped by a rule.
    RxRuleDrops = "rx_rule_drops",
    /// Large segments transmitted, each of several wire frames, including delegated traffic.
    TxGsoFrames = "tx_gso_frames",
    /// Bytes of those segments, with one set of headers each.
    TxGsoBytes = "tx_gso_bytes",
    /// Wire frames of those segments.
    TxGsoWireFrames = "tx_gso_wire_frames",
    /// Bytes of those wire frames.
    TxGsoWireBytes = "tx_gso_wire_bytes",
    /// Entries of connections into legacy mode, hand-overs that begin in it included.
    LegacyEntered = "toe_legacy_entered",
    /// Legacy frames of delegated connections.
    LegacyFrames = "toe_legacy_frames",
    /// Answers by which the host confirmed that it is in step.
    LegacyResynced = "toe_legacy_resynced",
    /// Answers by which the host denied it.
    LegacyRefused = "toe_legacy_refused",
    /// Time from entry into legacy mode, or the confirmation before, to each confirmation of the host, in
    /// microseconds.
    LegacyTime = "toe_legacy_us",
    /// Entries into legacy mode by an unknown TCP option or a missing timestamp.
    LegacyOption = "toe_legacy_option",
    /// Entries into legacy mode by payload out of order that the adapter could not hold.
    LegacyOutOfOrder = "toe_legacy_out_of_order",
    /// Entries into legacy mode by payload that the host had not confirmed after a `Resumed`.
    LegacyGap = "toe_legacy_gap",
    /// Entries into legacy mode by probes of a window that stayed closed.
    LegacyWindow = "toe_legacy_window",
}

constants! {
    /// Length of the frame check sequence in bytes. Size counters include it, byte counters do not.
    pub const FCS: usize = 4;
}

/// Upper bound of each frame size counter, in bytes including FCS. The last counter includes all larger
/// frames.
pub const SIZES: [u16; 7] = [64, 127, 255, 511, 1023, 1518, 9026];

/// Counters of frames on the wire in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Direction {
    /// Frames.
    pub frames: Counter,
    /// Bytes.
    pub bytes: Counter,
    /// Multicast frames, including broadcasts.
    pub multicast: Counter,
    /// Broadcast frames.
    pub broadcast: Counter,
    /// Frames by [`SIZES`].
    pub sizes: [Counter; SIZES.len()],
}

/// Counters of received frames.
pub const RECEIVED: Direction = Direction {
    frames: Counter::RxFrames,
    bytes: Counter::RxBytes,
    multicast: Counter::RxMulticast,
    broadcast: Counter::RxBroadcast,
    sizes: [
        Counter::Rx64,
        Counter::Rx127,
        Counter::Rx255,
        Counter::Rx511,
        Counter::Rx1023,
        Counter::Rx1518,
        Counter::RxJumbo,
    ],
};

/// Counters of transmitted frames.
pub const SENT: Direction = Direction {
    frames: Counter::TxFrames,
    bytes: Counter::TxBytes,
    multicast: Counter::TxMulticast,
    broadcast: Counter::TxBroadcast,
    sizes: [
        Counter::Tx64,
        Counter::Tx127,
        Counter::Tx255,
        Counter::Tx511,
        Counter::Tx1023,
        Counter::Tx1518,
        Counter::TxJumbo,
    ],
};
