// SPDX-License-Identifier: GPL-2.0

//! The transmit ring: ordinary frames from the host to the wire.
//!
//! A frame is one or more entries, the last with [`flag::END`]. What is to be done to the frame
//! stands in its first entry. There are no completions: the adapter is done with all entries before
//! the consumer index in the status page.
//!
//! The processor compares the frame with its connection table. A frame of a delegated connection is
//! one that the host's TCP made about a connection that the adapter carries: the adapter takes the
//! right edge of its window into the entry and puts the entry's sequence number (unless the frame
//! is a keepalive probe, below `snd_una`), acknowledgement, window and timestamp into it before it
//! leaves. The host sends such frames through the connection's own processor.

use super::layout::layout;

/// The most entries that one frame may have.
pub const MAX_ENTRIES: usize = 20;

/// Bits of [`Descriptor::flags`]. All but `END` count in a frame's first entry only.
pub mod flag {
    /// Last entry of the frame.
    pub const END: u16 = 1 << 0;
    /// Sum from `csum_start` to the end and store at `csum_start + csum_offset`
    /// (`CHECKSUM_PARTIAL`).
    pub const CSUM: u16 = 1 << 1;
    /// Cut into TCP segments of `gso_size` bytes of payload. Implies `CSUM`.
    pub const TSO: u16 = 1 << 2;
    /// Cut into UDP datagrams of `gso_size` bytes of payload. Implies `CSUM`.
    pub const USO: u16 = 1 << 3;
    /// Insert an 802.1Q tag with `vlan_tci`.
    pub const VLAN: u16 = 1 << 4;
}

layout! {
    /// One entry of the transmit ring: a piece of a frame that is contiguous in memory.
    pub struct Descriptor: 32 {
        /// DMA address.
        0 => address: u64,
        /// Length in bytes, 1 to 65,535.
        8 => length: u32,
        /// [`flag`] bits.
        12 => flags: u16,
        /// Payload bytes of each segment but the last, with `TSO` or `USO`.
        14 => gso_size: u16,
        /// Where the checksummed part starts, from the start of the frame as it stands in memory.
        16 => csum_start: u16,
        /// Where the checksum goes, from `csum_start`.
        18 => csum_offset: u16,
        /// Length of all headers, with `TSO` or `USO`: this many bytes are repeated in every
        /// segment.
        20 => header_length: u16,
        /// 802.1Q tag control information, with `VLAN`.
        22 => vlan_tci: u16,
    }
}
