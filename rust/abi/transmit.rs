// SPDX-License-Identifier: GPL-2.0

//! The transmit ring: frames of the host's stack.
//!
//! A frame is one or more descriptors, the last with [`flag::END`]. All other fields but address and
//! length are taken from its first descriptor. There are no transmit completions: the adapter no
//! longer reads the memory of descriptors before the consumer index in the status page.
//!
//! The processor looks up each TCP frame in its connection table. A frame of a delegated connection
//! comes from the host's own TCP (a window update, a keepalive probe). The adapter takes over the
//! right edge of the window that the frame announces, then rewrites acknowledgement, window and
//! timestamps with its own state before transmission. It also rewrites the sequence number unless
//! the frame carries payload, SYN or FIN, or is a keepalive probe (sequence number before
//! `snd_una`). The host sends such frames through the connection's own processor.

use super::{
    layout::layout,
    table::{
        constants,
        flags, //
    }, //
};

constants! {
    /// Largest number of descriptors of a frame.
    pub const MAX_ENTRIES: usize = 20;
}

flags! {
    /// Bits of [`Descriptor::flags`]. All but `END` are valid in the first descriptor of a frame
    /// only.
    pub mod flag: u16 {
        /// Last descriptor of the frame.
        END = 0,
        /// Compute the Internet checksum from `csum_start` to the end of the frame, including the
        /// value in the checksum field, and store it at `csum_start + csum_offset`
        /// (`CHECKSUM_PARTIAL`).
        CSUM = 1,
        /// Segment TCP payload into segments of `gso_size` bytes. Implies `CSUM`.
        TSO = 2,
        /// Cut UDP payload into datagrams of `gso_size` bytes. Implies `CSUM`.
        USO = 3,
        /// Insert an 802.1Q tag with `vlan_tci`.
        VLAN = 4,
    }
}

layout! {
    /// An entry of the transmit ring: a fragment of a frame, contiguous in memory.
    pub struct Descriptor: 32 {
        /// DMA address, of any alignment.
        0 => address: u64,
        /// Length in bytes, 1 to 65,535.
        8 => length: u32,
        /// [`flag`] bits.
        12 => flags: u16,
        /// With `TSO` or `USO`: payload bytes of each segment but the last, at least 1.
        14 => gso_size: u16,
        /// With `CSUM`, `TSO` or `USO`: start of the checksummed part, from the start of the frame in
        /// memory (without the tag that `VLAN` inserts). With `TSO` or `USO` it is the transport
        /// header.
        16 => csum_start: u16,
        /// With `CSUM`, `TSO` or `USO`: offset of the checksum field from `csum_start`.
        18 => csum_offset: u16,
        /// With `TSO` or `USO`: length of all headers in memory, which are repeated in every segment.
        20 => header_length: u16,
        /// With `VLAN`: 802.1Q tag control information.
        22 => vlan_tci: u16,
    }
}
