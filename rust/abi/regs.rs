// SPDX-License-Identifier: GPL-2.0

//! PCI identity, BAR 0 and its registers.
//!
//! BAR 0 is a 64-bit memory BAR of [`BAR_SIZE`] bytes. Registers are 32 bits wide and little-endian.
//! Each access traps to the adapter, so the data path writes only [`KICK`], and only when the
//! processor sleeps. A 64-bit register is two adjacent 32-bit registers, low half first.

use super::table::{
    constants,
    flags,
    registers, //
};

constants! {
    /// PCI vendor ID (Red Hat, formerly Qumranet).
    pub const VENDOR_ID: u16 = 0x1af4;
    /// PCI device ID, of the range that QEMU's `docs/specs/pci-ids` reserves for experiments.
    pub const DEVICE_ID: u16 = 0x10f0;
    /// PCI class code: Ethernet controller.
    pub const CLASS: u32 = 0x02_0000;

    /// Size of BAR 0 in bytes.
    pub const BAR_SIZE: usize = 0x2_0000;
    /// Offset of the MSI-X table in BAR 0.
    pub const MSIX_TABLE: usize = 0x8000;
    /// Offset of the MSI-X pending bit array in BAR 0.
    pub const MSIX_PBA: usize = 0x9000;
    /// Offset of the doorbell area in BAR 0: one page per processor ([`super::ring`]). Accesses do not
    /// trap.
    pub const DOORBELLS: usize = 0x1_0000;

    /// MSI-X vector of the admin completion ring.
    pub const ADMIN_VECTOR: u16 = 0;

    /// Value of [`MAGIC`]: the bytes "TOE1" in memory order.
    pub const MAGIC_VALUE: u32 = 0x3145_4f54;

    /// Smallest value of [`ADMIN_LOG2`].
    pub const MIN_ADMIN_LOG2: u32 = 2;
    /// Largest value of [`ADMIN_LOG2`].
    pub const MAX_ADMIN_LOG2: u32 = 10;
}

registers! {
    /// R: [`MAGIC_VALUE`].
    0x00 => MAGIC: u32,
    /// R: [`super::VERSION`] of the adapter.
    0x04 => VERSION: u32,
    /// R: offered features ([`super::feature`]).
    0x08 => FEATURES: u64,
    /// RW: accepted features. A bit that was not offered sets [`status::FAILED`].
    0x10 => DRIVER_FEATURES: u64,
    /// W: [`control`] bits.
    0x18 => CONTROL: u32,
    /// R: [`status`] bits.
    0x1c => STATUS: u32,
    /// R: number of processors, 1 to [`super::MAX_PROCESSORS`].
    0x20 => PROCESSORS: u32,
    /// R: largest number of delegated connections per processor.
    0x24 => CONNECTIONS: u32,
    /// R: largest number of payload fragments ([`Send`](super::submission::Send)) per processor, over
    /// all its connections.
    0x28 => FRAGMENTS: u32,
    /// R: number of page identifiers of each page ring of a processor. Identifiers are below this
    /// value.
    0x2c => PAGES: u32,
    /// R: permanent MAC address, first octet in the lowest byte.
    0x30 => MAC: u64,
    /// R: largest MTU in bytes.
    0x38 => MAX_MTU: u32,
    /// R: link speed in Mbit/s, 0 when the port has no speed. Always 0 with the adapter of this
    /// tree.
    0x3c => SPEED: u32,
    /// W: DMA address of the admin command ring ([`super::admin`]), a multiple of 64.
    0x40 => ADMIN_COMMANDS: u64,
    /// W: DMA address of the admin completion ring, a multiple of 32.
    0x48 => ADMIN_COMPLETIONS: u64,
    /// W: log2 of the number of entries of both admin rings, [`MIN_ADMIN_LOG2`] to
    /// [`MAX_ADMIN_LOG2`].
    0x50 => ADMIN_LOG2: u32,
    /// W: producer index of the admin command ring. The write starts execution.
    0x54 => ADMIN_PRODUCER: u32,
    /// W: consumer index of the admin completion ring.
    0x58 => ADMIN_CONSUMER: u32,
    /// W: number of a processor to wake, after a doorbell write that found
    /// [`SLEEPING`](super::ring::SLEEPING) set.
    0x60 => KICK: u32,
}

flags! {
    /// Bits of [`CONTROL`]. `RESET` takes precedence over `ENABLE`.
    pub mod control: u32 {
        /// Resets the function, as a function-level reset does. The adapter stops every processor,
        /// ends all access to host memory, discards rings, connections, settings and accepted
        /// features, and then clears [`super::status::RESETTING`].
        RESET = 0,
        /// Ends negotiation: features and admin rings are fixed and the admin queue runs. Ignored
        /// when the function is ready or has failed.
        ENABLE = 1,
    }
}

flags! {
    /// Bits of [`STATUS`].
    pub mod status: u32 {
        /// A reset is in progress.
        RESETTING = 0,
        /// The admin queue runs.
        READY = 1,
        /// The driver's configuration is invalid, or an admin ring is inaccessible. The function
        /// ignores everything but a reset. The adapter's log has the reason.
        FAILED = 2,
        /// The port has link.
        LINK = 3,
    }
}
