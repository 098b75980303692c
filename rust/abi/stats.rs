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
}
