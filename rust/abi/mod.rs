// SPDX-License-Identifier: GPL-2.0

//! The contract between host and adapter.
//!
//! This is the only definition of what crosses the PCI boundary: registers, rings, descriptors,
//! commands, counters, receive rules and the receive hash. The kernel module and the adapter compile
//! the same files, which depend on neither. `Documentation/abi.md` describes how the parts work
//! together; a test of `tools/abi` keeps its tables equal to these files.
//!
//! Rules that hold throughout:
//!
//! - Registers and memory are little-endian. IP and MAC addresses are in network byte order; DMA
//!   addresses and ports are integers, except ports in [`rules::Headers`].
//! - Neither side trusts the other. A descriptor is copied out of shared memory once, decoded and
//!   checked. Decoding accepts every input; the check finds invalid values.
//! - Pages and connections are named by identifiers. DMA addresses occur only in registers, admin
//!   commands, page posts, transmit descriptors and submissions.

pub mod admin;
pub mod completion;
pub mod connection;
mod layout;
pub mod page;
pub mod regs;
pub mod ring;
pub mod rss;
pub mod rules;
pub mod stats;
pub mod submission;
mod table;
pub mod transmit;

pub use self::{
    layout::{
        Field,
        Layout, //
    },
    table::{
        Doc,
        Kind,
        Row,
        Table, //
    }, //
};

use self::table::{
    constants,
    flags, //
};

constants! {
    /// Version of this contract: major in the upper 16 bits, minor in the lower. A driver refuses an
    /// adapter with another major version. A minor version only adds.
    pub const VERSION: u32 = 2 << 16 | 2;

    /// Largest number of processors of a function. The doorbell area of the BAR bounds it.
    pub const MAX_PROCESSORS: usize = 16;

    /// Size of a page in bytes. Pages of this contract have this size whatever the page size of the
    /// host is.
    pub const PAGE_SIZE: usize = 4096;

    /// Size of a cell in a hybrid page, in bytes.
    pub const CELL_SIZE: usize = 256;

    /// Bytes left free at the start of a cell, an MTU page or a chain of pages. They align the IP
    /// header behind a 14-byte Ethernet header to 4 bytes.
    pub const HEADER_PAD: usize = 2;

    /// Default of the small-frame threshold, in bytes. The largest frame that fits into one cell has
    /// `CELL_SIZE - HEADER_PAD` bytes; a larger one takes adjacent cells.
    pub const SMALL_FRAME: u16 = 256;

    /// Largest small-frame threshold that `SetStorage` accepts, in bytes.
    pub const MAX_SMALL_FRAME: u16 = 1024;
}

flags! {
    /// Features, offered in [`FEATURES`](regs::FEATURES) and accepted in
    /// [`DRIVER_FEATURES`](regs::DRIVER_FEATURES).
    pub mod feature: u64 {
        /// The adapter completes transport checksums of transmitted frames
        /// ([`CSUM`](super::transmit::flag::CSUM)).
        TX_CSUM = 0,
        /// The adapter segments TCP over IPv4 ([`TSO`](super::transmit::flag::TSO)).
        TSO4 = 1,
        /// The adapter segments TCP over IPv6 ([`TSO`](super::transmit::flag::TSO)).
        TSO6 = 2,
        /// The adapter cuts UDP payload into datagrams ([`USO`](super::transmit::flag::USO)).
        USO = 3,
        /// Completions of received frames carry the result of checksum verification.
        RX_CSUM = 4,
        /// Completions of received frames carry the Toeplitz hash, and
        /// [`SetRss`](super::admin::SetRss) is supported.
        RSS = 5,
        /// 802.1Q tags are inserted on transmission and stripped on reception.
        VLAN = 6,
        /// The adapter may coalesce TCP segments of one flow into one received frame
        /// (`NETIF_F_GRO_HW`).
        GRO = 7,
        /// The adapter carries delegated TCP connections.
        DELEGATION = 8,
        /// Delegated connections may use ECN (RFC 3168).
        ECN = 9,
        /// The port impairs frames on command: loss, duplication, reordering, corruption, delay and
        /// rate ([`SetImpairment`](super::admin::SetImpairment)).
        IMPAIR = 10,
        /// Memory areas can be bound to a connection ([`Bind`](super::submission::Bind)).
        BIND = 11,
        /// Receive [`rules`](super::rules) and additional hash contexts are supported.
        RULES = 12,
        /// Frames of delegated connections that only the host's TCP can process become legacy frames
        /// ([`Resumed`](super::completion::Resumed)). Without it they return the connection.
        LEGACY = 13,
    }
}
