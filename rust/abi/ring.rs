// SPDX-License-Identifier: GPL-2.0

//! Rings, their indices, sleep and interrupts.
//!
//! A processor has five rings in host memory. Each has a power of two of entries and two free-running
//! 32-bit indices. Entry `i` is at `i & (entries - 1)`; the ring holds `producer - consumer` entries
//! (modulo 2^32).
//!
//! | ring | entry | producer | producer index in | consumer index in |
//! |---|---|---|---|---|
//! | `Transmit` | [`Descriptor`](super::transmit::Descriptor) | host | doorbell page | status page |
//! | `HeaderPages` | [`PagePost`](super::page::PagePost) | host | doorbell page | status page |
//! | `PayloadPages` | [`PagePost`](super::page::PagePost) | host | doorbell page | status page |
//! | `Submission` | [`submission`](super::submission) | host | doorbell page | status page |
//! | `Completion` | [`completion`](super::completion) | adapter | status page | doorbell page |
//!
//! The **doorbell page** (`DOORBELLS + processor * PAGE_SIZE` in BAR 0) is memory of the adapter. The
//! guest accesses it without a trap. The **status page** is host memory that the adapter writes; the
//! start command has its address. The index of ring `r` is at `r * INDEX_STRIDE` in both.
//!
//! One completion ring carries everything that a processor reports: frames of ordinary traffic,
//! payload and acknowledgements of delegated connections, hand-over and return. The completions of
//! one connection therefore arrive in order, across hand-over and return.
//!
//! **Waking the adapter.** The host writes the entry, writes the index with release semantics,
//! executes a full barrier and reads [`SLEEPING`] in the status page. Only if it is non-zero does the
//! host write [`KICK`](super::regs::KICK). The adapter sets `SLEEPING`, executes a full barrier and
//! reads all indices again before it sleeps. While `SLEEPING` is zero the adapter reads the indices
//! at least every 100 microseconds.
//!
//! **Interrupts.** The host requests one interrupt by writing an *arm word* to [`ARM`], see
//! [`arm_word`]. The adapter raises the processor's vector as soon as its producer index differs from
//! the armed consumer index and interrupt coalescing permits it, once per arm word. After arming, the
//! host executes a full barrier and reads the producer index again.
//!
//! Transmitted frames have no completions. A word in [`ARM_TRANSMIT`] requests an interrupt, by the
//! same vector, for the time when the consumer index of the transmit ring has reached a target, see
//! [`transmit_arm_word`]. Each word fires once; the value 0 cancels the request.

use super::table::{
    constants,
    wire_enum, //
};

wire_enum! {
    /// The rings of a processor. The value determines the offset of the ring's index.
    pub enum RingId: u8 {
        /// Frames to transmit.
        Transmit = 0,
        /// Pages for headers, small frames and frames that are not split.
        HeaderPages = 1,
        /// Pages for payload.
        PayloadPages = 2,
        /// Requests concerning delegated connections.
        Submission = 3,
        /// Everything that the processor reports.
        Completion = 4,
    }
}

constants! {
    /// Number of rings of a processor.
    pub const RINGS: usize = 5;

    /// Distance of the indices of two rings in the doorbell page and in the status page, in bytes.
    pub const INDEX_STRIDE: usize = 64;

    /// Offset of the arm word in the doorbell page (`u32`), written by the host.
    pub const ARM: usize = RINGS * INDEX_STRIDE;

    /// Offset of the transmit arm word in the doorbell page (`u32`), written by the host.
    pub const ARM_TRANSMIT: usize = ARM + 4;

    /// Offset of the sleep word in the status page (`u32`), written by the adapter: non-zero while the
    /// processor sleeps or is about to.
    pub const SLEEPING: usize = RINGS * INDEX_STRIDE;

    /// Offset of the processor's counters in the status page ([`super::stats`]), `u64` each.
    pub const COUNTERS: usize = 0x400;

    /// Size of an entry of the transmit ring in bytes.
    pub const TRANSMIT_ENTRY: usize = 32;
    /// Size of an entry of the two page rings in bytes.
    pub const PAGE_ENTRY: usize = 8;
    /// Size of an entry of the submission ring in bytes.
    pub const SUBMISSION_ENTRY: usize = 64;
    /// Size of an entry of the completion ring in bytes.
    pub const COMPLETION_ENTRY: usize = 64;

    /// Smallest log2 of the number of entries of a ring.
    pub const MIN_LOG2: u8 = 6;
    /// Largest log2 of the number of entries of a ring.
    pub const MAX_LOG2: u8 = 16;
}

impl RingId {
    /// Size of one entry in bytes.
    pub const fn entry_size(self) -> usize {
        match self {
            Self::Transmit => TRANSMIT_ENTRY,
            Self::HeaderPages | Self::PayloadPages => PAGE_ENTRY,
            Self::Submission => SUBMISSION_ENTRY,
            Self::Completion => COMPLETION_ENTRY,
        }
    }

    /// Offset of the ring's index (`u32`) in the doorbell page and in the status page.
    pub const fn index_offset(self) -> usize {
        self as usize * INDEX_STRIDE
    }
}

/// The arm word that requests an interrupt once the producer index of the completion ring is not
/// `consumer`.
pub const fn arm_word(consumer: u32) -> u32 {
    (consumer << 1) | 1
}

/// Whether the arm word `word` requests an interrupt when the producer index is `producer`.
///
/// The arm word lacks the highest bit of the consumer index. A ring has far fewer than 2^31 entries,
/// so the comparison is exact.
pub const fn arm_fires(word: u32, producer: u32) -> bool {
    word & 1 == 1 && word >> 1 != producer & 0x7fff_ffff
}

/// The transmit arm word that requests an interrupt once the consumer index of the transmit ring has
/// reached `target`.
pub const fn transmit_arm_word(target: u32) -> u32 {
    (target << 1) | 1
}

/// Whether the transmit arm word `word` requests an interrupt when the consumer index is `consumer`.
pub const fn transmit_arm_fires(word: u32, consumer: u32) -> bool {
    // The difference of two indices modulo 2^31; a ring has far fewer than 2^30 entries.
    word & 1 == 1 && consumer.wrapping_sub(word >> 1) << 1 >> 31 == 0
}
