// SPDX-License-Identifier: GPL-2.0

//! Counters of a processor, kept in the status page at [`COUNTERS`](super::ring::COUNTERS) as
//! `u64`s that only grow, from zero when the processor is started.
//!
//! The adapter brings them up to date before it sleeps and at least every millisecond while it
//! works.

/// Declares the counters: a variant, its name for `ethtool -S` and its meaning.
macro_rules! counters {
    ($($(#[$meta:meta])* $variant:ident = $name:literal,)*) => {
        /// A counter; its value is its place in the array.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter {
            $($(#[$meta])* $variant,)*
        }

        impl Counter {
            /// Every counter, in the order of the array.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name, as `ethtool -S` shows it behind the processor's.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

counters! {
    /// Frames received from the wire, delegated traffic included (wire frames: a large segment
    /// counts as what it stands for).
    RxFrames = "rx_frames",
    /// Bytes of those frames, with Ethernet header.
    RxBytes = "rx_bytes",
    /// Multicast frames among them.
    RxMulticast = "rx_multicast",
    /// Frames sent to the wire, delegated traffic included.
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
    /// Frames of the host dropped because their entries contradict themselves.
    TxInvalid = "tx_invalid",
    /// Frames of the host dropped because their memory could not be read.
    TxFault = "tx_fault",
    /// Frames that the port could not take.
    TxDropped = "tx_dropped",
    /// Page posts that named an identifier out of range or in use.
    PageInvalid = "page_invalid",
    /// Interrupts raised.
    Interrupts = "interrupts",
    /// Times the processor slept.
    Sleeps = "sleeps",
    /// Connections taken over.
    Delegated = "toe_delegated",
    /// Hand-overs refused.
    Refused = "toe_refused",
    /// Connections given back.
    Returned = "toe_returned",
    /// Connections in the table now.
    Connections = "toe_connections",
    /// Segments of delegated connections received.
    ToeRxSegments = "toe_rx_segments",
    /// Payload bytes delivered to the host without headers.
    ToeRxBytes = "toe_rx_bytes",
    /// Segments of delegated connections sent.
    ToeTxSegments = "toe_tx_segments",
    /// Payload bytes sent for the first time.
    ToeTxBytes = "toe_tx_bytes",
    /// Segments retransmitted.
    ToeRetransmits = "toe_retransmits",
    /// Retransmission timeouts.
    ToeTimeouts = "toe_timeouts",
    /// Fast recoveries entered.
    ToeRecoveries = "toe_recoveries",
    /// Segments held out of order.
    ToeOutOfOrder = "toe_out_of_order",
    /// Segments with nothing new.
    ToeDuplicates = "toe_duplicates",
    /// Segments dropped by PAWS or outside the window and answered with an acknowledgement.
    ToeUnacceptable = "toe_unacceptable",
    /// Segments dropped because no payload page was posted.
    ToeNoPage = "toe_no_page",
    /// Segments out of order that the adapter had no room to remember: dropped, and sent again.
    ToeNoRoom = "toe_no_room",
    /// Frames of the host's own TCP that were brought up to date.
    ToeHostFrames = "toe_host_frames",
    /// Submissions for a connection that was already back.
    ToeStale = "toe_stale",
    /// Frames from the wire that were passed to another processor.
    Forwarded = "forwarded",
    /// Broadcast frames received; they count as multicast frames, too.
    RxBroadcast = "rx_broadcast",
    /// Multicast frames sent.
    TxMulticast = "tx_multicast",
    /// Broadcast frames sent; they count as multicast frames, too.
    TxBroadcast = "tx_broadcast",
    /// Frames received of up to 64 bytes. All sizes are those on a wire, with padding and FCS.
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
    /// Larger frames received.
    RxJumbo = "rx_1519_9026",
    /// Frames sent of up to 64 bytes.
    Tx64 = "tx_64",
    /// Frames sent of 65 to 127 bytes.
    Tx127 = "tx_65_127",
    /// Frames sent of 128 to 255 bytes.
    Tx255 = "tx_128_255",
    /// Frames sent of 256 to 511 bytes.
    Tx511 = "tx_256_511",
    /// Frames sent of 512 to 1023 bytes.
    Tx1023 = "tx_512_1023",
    /// Frames sent of 1024 to 1518 bytes.
    Tx1518 = "tx_1024_1518",
    /// Larger frames sent.
    TxJumbo = "tx_1519_9026",
    /// Received frames that a rule drops.
    RxRuleDrops = "rx_rule_drops",
    /// Frames sent that stood for several on the wire, delegated traffic included.
    TxGsoFrames = "tx_gso_frames",
    /// Bytes of those frames, the headers of each once.
    TxGsoBytes = "tx_gso_bytes",
    /// Frames on the wire that they stood for.
    TxGsoWireFrames = "tx_gso_wire_frames",
    /// Bytes of those.
    TxGsoWireBytes = "tx_gso_wire_bytes",
}

/// Length of the frame check sequence, which is part of a frame on a wire but not of its bytes in any
/// counter.
pub const FCS: usize = 4;

/// Largest size of each group of sizes that frames are counted by, in bytes with FCS; the last holds
/// whatever is larger, too.
pub const SIZES: [u16; 7] = [64, 127, 255, 511, 1023, 1518, 9026];

/// The counters of what passes the wire in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Direction {
    /// Frames.
    pub frames: Counter,
    /// Their bytes.
    pub bytes: Counter,
    /// Multicast frames, broadcasts included.
    pub multicast: Counter,
    /// Broadcasts.
    pub broadcast: Counter,
    /// Frames by [`SIZES`].
    pub sizes: [Counter; SIZES.len()],
}

/// What is received.
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

/// What is sent.
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
