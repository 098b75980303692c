// SPDX-License-Identifier: GPL-2.0

//! The contract between host and adapter.
//!
//! This is the one definition of everything that crosses the PCI boundary: registers, rings,
//! descriptors, commands, counters and the hash that spreads connections over the offload
//! processors. The kernel module and the adapter compile the same files; nothing in them depends on
//! either. `Documentation/abi.md` explains how the pieces work together, and a test compares its
//! offset tables with [`Layout::FIELDS`].
//!
//! Three rules hold throughout:
//!
//! - Everything in registers and memory is little-endian. Addresses, ports and MAC addresses inside
//!   a tuple keep the byte order of the wire, because they are compared with headers.
//! - Neither side trusts the other. A descriptor is copied out of shared memory once, then decoded
//!   and checked; a decoder never fails on its input, so a wrong value is found by the check and
//!   not by the decoder.
//! - Memory is named by page identifier, connections by connection identifier. Only submissions
//!   carry DMA addresses.

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
pub mod transmit;

pub use self::layout::{
    Field,
    FieldInfo,
    Layout, //
};

/// Version of this contract: major in the upper half, minor in the lower.
///
/// A driver refuses an adapter of another major version. A minor version only adds.
pub const VERSION: u32 = 1 << 16;

/// The most offload processors that a function can have (bounded by the doorbell area of the BAR).
pub const MAX_PROCESSORS: usize = 16;

/// Size of a host page as this contract uses the word: one storage area.
pub const PAGE_SIZE: usize = 4096;

/// Size of a cell in a hybrid page, in bytes (R1.4).
pub const CELL_SIZE: usize = 256;

/// Bytes left free at the start of a cell, an MTU page or a chain, so that the IP header behind a
/// 14-byte Ethernet header is aligned to 4 bytes.
pub const HEADER_PAD: usize = 2;

/// Default of the small-frame threshold: a frame of at most this many bytes is stored whole in one
/// cell.
///
/// With [`HEADER_PAD`] in front, a frame of [`CELL_SIZE`] bytes needs two adjacent cells; the
/// largest that fits one cell is `CELL_SIZE - HEADER_PAD`.
pub const SMALL_FRAME: u16 = 256;

/// Largest small-frame threshold that `SetStorage` accepts.
pub const MAX_SMALL_FRAME: u16 = 1024;

/// Feature bits, offered in [`regs::FEATURES`] and accepted in [`regs::DRIVER_FEATURES`].
pub mod feature {
    /// The adapter fills in transport checksums of frames it sends.
    pub const TX_CSUM: u64 = 1 << 0;
    /// The adapter cuts TCP over IPv4 segments larger than the MTU.
    pub const TSO4: u64 = 1 << 1;
    /// The adapter cuts TCP over IPv6 segments larger than the MTU.
    pub const TSO6: u64 = 1 << 2;
    /// The adapter cuts UDP payload into datagrams (`UDP_SEGMENT`).
    pub const USO: u64 = 1 << 3;
    /// Completions of received frames carry a checksum verdict.
    pub const RX_CSUM: u64 = 1 << 4;
    /// Completions of received frames carry the Toeplitz hash, and [`super::admin::Opcode::SetRss`]
    /// is understood.
    pub const RSS: u64 = 1 << 5;
    /// 802.1Q tags are inserted on send and stripped on receive.
    pub const VLAN: u64 = 1 << 6;
    /// Several wire frames of one TCP flow may arrive as one (`NETIF_F_GRO_HW`).
    pub const GRO: u64 = 1 << 7;
    /// The adapter carries delegated TCP connections.
    pub const DELEGATION: u64 = 1 << 8;
    /// Delegated connections may use ECN (RFC 3168).
    pub const ECN: u64 = 1 << 9;
    /// The port impairs what crosses it on command: loss, delay, reordering, duplication,
    /// corruption, rate.
    pub const IMPAIR: u64 = 1 << 10;
    /// A storage area can be bound to one connection (R1.8).
    pub const BIND: u64 = 1 << 11;
    /// Received frames can be steered by [`super::rules`], and spread by several hash contexts.
    pub const RULES: u64 = 1 << 12;
}
