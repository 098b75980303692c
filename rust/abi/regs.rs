// SPDX-License-Identifier: GPL-2.0

//! PCI identity, BAR 0 and its registers.
//!
//! BAR 0 is a 64-bit memory BAR of [`BAR_SIZE`] bytes. Registers are 32 bits wide, little-endian
//! and trapped: reading or writing one leaves the guest, so none is touched on a data path but
//! [`KICK`], and that only when the processor says that it sleeps. 64-bit registers are two
//! adjacent 32-bit ones, low half first.

/// PCI vendor ID (Red Hat, formerly Qumranet).
pub const VENDOR_ID: u16 = 0x1af4;
/// PCI device ID, of the range that QEMU's `docs/specs/pci-ids` reserves for experiments.
pub const DEVICE_ID: u16 = 0x10f0;
/// PCI class code: Ethernet controller.
pub const CLASS: u32 = 0x02_0000;

/// Size of BAR 0.
pub const BAR_SIZE: usize = 0x2_0000;
/// Offset of the MSI-X table in BAR 0.
pub const MSIX_TABLE: usize = 0x8000;
/// Offset of the MSI-X pending bit array in BAR 0.
pub const MSIX_PBA: usize = 0x9000;
/// Offset of the doorbell area: one page per processor, mapped into the guest without a trap (see
/// [`super::ring`]).
pub const DOORBELLS: usize = 0x1_0000;

/// MSI-X vector of the admin completion queue; processor `p` uses vector `p + 1` unless its start
/// command says otherwise.
pub const ADMIN_VECTOR: u16 = 0;

/// R: [`MAGIC_VALUE`].
pub const MAGIC: usize = 0x00;
/// "TOE1" in memory order.
pub const MAGIC_VALUE: u32 = 0x3145_4f54;
/// R: [`super::VERSION`] of the adapter.
pub const VERSION: usize = 0x04;
/// R, 64 bits: features that the adapter offers ([`super::feature`]).
pub const FEATURES: usize = 0x08;
/// RW, 64 bits: features that the driver accepts; a bit that was not offered sets
/// [`status::FAILED`].
pub const DRIVER_FEATURES: usize = 0x10;
/// W: [`control`] bits.
pub const CONTROL: usize = 0x18;
/// R: [`status`] bits.
pub const STATUS: usize = 0x1c;
/// R: number of offload processors.
pub const PROCESSORS: usize = 0x20;
/// R: delegated connections that one processor holds at most.
pub const CONNECTIONS: usize = 0x24;
/// R: payload fragments ([`super::submission::Send`]) that one processor holds at most, over all
/// its connections.
pub const FRAGMENTS: usize = 0x28;
/// R: page identifiers of one processor are below this number.
pub const PAGES: usize = 0x2c;
/// R, 64 bits: permanent MAC address, first octet in the lowest byte.
pub const MAC: usize = 0x30;
/// R: largest MTU.
pub const MAX_MTU: usize = 0x38;
/// R: speed of the link in Mbit/s, 0 when it has none of its own.
pub const SPEED: usize = 0x3c;
/// W, 64 bits: DMA address of the admin command ring ([`super::admin`]).
pub const ADMIN_COMMANDS: usize = 0x40;
/// W, 64 bits: DMA address of the admin completion ring.
pub const ADMIN_COMPLETIONS: usize = 0x48;
/// W: log2 of the number of entries of both admin rings, 2 to 10.
pub const ADMIN_LOG2: usize = 0x50;
/// W: admin command ring's producer index. Writing it starts the adapter's work: no separate kick.
pub const ADMIN_PRODUCER: usize = 0x54;
/// W: admin completion ring's consumer index.
pub const ADMIN_CONSUMER: usize = 0x58;
/// W: number of a processor to wake. To be written after a doorbell when [`super::ring::SLEEPING`]
/// is set.
pub const KICK: usize = 0x60;

/// Bits of [`CONTROL`].
pub mod control {
    /// Resets the function as a function-level reset does. The adapter stops every processor,
    /// touches no host memory any more, forgets rings, connections and accepted features, then
    /// clears [`super::status::RESETTING`].
    pub const RESET: u32 = 1 << 0;
    /// Ends negotiation: features and admin rings are fixed, the admin queue runs.
    pub const ENABLE: u32 = 1 << 1;
}

/// Bits of [`STATUS`].
pub mod status {
    /// A reset is under way. Every other register reads as zero.
    pub const RESETTING: u32 = 1 << 0;
    /// The admin queue runs.
    pub const READY: u32 = 1 << 1;
    /// The adapter has found the driver's set-up impossible and does nothing until reset. The admin
    /// ring or the adapter's log says why.
    pub const FAILED: u32 = 1 << 2;
    /// The port has link.
    pub const LINK: u32 = 1 << 3;
}
