// SPDX-License-Identifier: GPL-2.0

//! Rings, their indices, and who wakes whom.
//!
//! Every processor has five rings in host memory. Each has a power of two of entries and two
//! free-running 32-bit indices; entry `i` stands at `i & (entries - 1)`, and the ring holds
//! `producer - consumer` entries.
//!
//! | ring | entries | producer | producer index in | consumer index in |
//! |---|---|---|---|---|
//! | `Transmit` | [`Descriptor`](super::transmit::Descriptor) | host | doorbell page | status page |
//! | `HeaderPages` | [`PagePost`](super::page::PagePost) | host | doorbell page | status page |
//! | `PayloadPages` | [`PagePost`](super::page::PagePost) | host | doorbell page | status page |
//! | `Submission` | [`submission`](super::submission) | host | doorbell page | status page |
//! | `Completion` | [`completion`](super::completion) | adapter | status page | doorbell page |
//!
//! The **doorbell page** (`DOORBELLS + processor * PAGE_SIZE` in BAR 0) is memory of the adapter
//! that the guest writes without a trap. The **status page** is host memory that the adapter
//! writes, its address is given when the processor is started. The index of
//! ring `r` is at `r * INDEX_STRIDE` in both.
//!
//! One completion ring carries everything that a processor tells the host: frames of ordinary
//! traffic, payload of delegated connections, acknowledgements, hand-over and return. So all of one
//! connection arrives in one order, across hand-over and return as well (invariant 4 of the
//! design).
//!
//! **Waking the adapter.** The host writes the entry, then the index with release semantics, then
//! executes a full barrier and reads [`SLEEPING`] in the status page; only if it is non-zero does
//! it write [`KICK`](super::regs::KICK). The adapter sets `SLEEPING`, executes a full barrier and
//! looks at all indices once more before it really sleeps. As long as `SLEEPING` is zero it looks at
//! them at least every 100 microseconds.
//!
//! **Waking the host.** The host asks for one interrupt by writing an *arm word* to [`ARM`]:
//! `consumer << 1 | 1`, see [`arm_word`]. The adapter raises the processor's vector as soon as its
//! producer index differs from the armed consumer index (and interrupt moderation allows), once per
//! arm word written. After arming the host executes a full barrier and looks at the producer index
//! once more.
//!
//! Frames sent have no completions, so the host asks for them by the transmit ring's consumer index:
//! with a word written to [`ARM_TRANSMIT`], the adapter raises the same vector as soon as that index
//! has reached the word's, see [`transmit_arm_word`]. Each word fires once; writing 0 takes it back.

use super::layout::wire_enum;

wire_enum! {
    /// The rings of a processor; the value is the number of the ring's line.
    pub enum Ring: u8 {
        /// Frames to send.
        Transmit = 0,
        /// Pages for headers, small frames and frames that cannot be re-assembled.
        HeaderPages = 1,
        /// Pages for payload.
        PayloadPages = 2,
        /// Requests that concern delegated connections.
        Submission = 3,
        /// Everything that the processor tells the host.
        Completion = 4,
    }
}

/// Number of rings of a processor.
pub const RINGS: usize = 5;

/// Distance of the indices of two rings in the doorbell page and in the status page, in bytes.
pub const INDEX_STRIDE: usize = 64;

/// Offset of the arm word in the doorbell page (`u32`), written by the host.
pub const ARM: usize = RINGS * INDEX_STRIDE;

/// Offset of the transmit arm word in the doorbell page (`u32`), written by the host.
pub const ARM_TRANSMIT: usize = ARM + 4;

/// Offset in the status page (`u32`): non-zero while the processor sleeps or is about to.
pub const SLEEPING: usize = RINGS * INDEX_STRIDE;

/// Offset in the status page of the processor's counters ([`super::stats`]), `u64` each.
pub const COUNTERS: usize = 0x400;

/// Size of an entry of the transmit ring.
pub const TRANSMIT_ENTRY: usize = 32;
/// Size of an entry of the two page rings.
pub const PAGE_ENTRY: usize = 8;
/// Size of an entry of the submission ring.
pub const SUBMISSION_ENTRY: usize = 64;
/// Size of an entry of the completion ring.
pub const COMPLETION_ENTRY: usize = 64;

/// Smallest and largest log2 of a ring's entries.
pub const LOG2_RANGE: core::ops::RangeInclusive<u8> = 6..=16;

impl Ring {
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

/// The arm word that asks for an interrupt once the completion ring's producer index is not
/// `consumer`.
pub const fn arm_word(consumer: u32) -> u32 {
    (consumer << 1) | 1
}

/// Whether the arm word `word` asks for an interrupt now that the producer index is `producer`.
///
/// The consumer index loses its highest bit in an arm word; no ring is large enough for that to
/// matter.
pub const fn arm_fires(word: u32, producer: u32) -> bool {
    word & 1 == 1 && word >> 1 != producer & 0x7fff_ffff
}

/// The transmit arm word that asks for an interrupt once the transmit ring's consumer index has
/// reached `target`.
pub const fn transmit_arm_word(target: u32) -> u32 {
    (target << 1) | 1
}

/// Whether the transmit arm word `word` asks for an interrupt now that the consumer index is
/// `consumer`.
pub const fn transmit_arm_fires(word: u32, consumer: u32) -> bool {
    // The difference of two indices modulo 2^31; a ring is far smaller than half of that.
    word & 1 == 1 && consumer.wrapping_sub(word >> 1) << 1 >> 31 == 0
}
