// SPDX-License-Identifier: GPL-2.0

//! Registers of a function and its device states.
//!
//! After a reset, the driver negotiates features, programs the admin rings and sets
//! [`control::ENABLE`]. This configuration is fixed until the next reset. A driver that violates
//! the ABI moves the function to the failed state, which only a reset leaves.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use toe_abi::admin;
use toe_abi::regs;
use toe_abi::regs::control;
use toe_abi::regs::status;

/// Constant properties of a function.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Offered features ([`toe_abi::feature`]).
    pub features: u64,
    /// Number of processors.
    pub processors: u32,
    /// Connections per processor.
    pub connections: u32,
    /// Payload fragments per processor.
    pub fragments: u32,
    /// Page identifiers per processor and page ring.
    pub pages: u32,
    /// Permanent MAC address.
    pub mac: [u8; 6],
    /// Maximum MTU in bytes.
    pub max_mtu: u32,
}

/// The status register, which several threads modify.
#[derive(Debug, Default)]
pub struct StatusRegister(AtomicU32);

impl StatusRegister {
    /// The [`status`] bits.
    pub fn bits(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Sets `bits`. Returns whether any of them was clear.
    pub fn set(&self, bits: u32) -> bool {
        self.0.fetch_or(bits, Ordering::AcqRel) & bits != bits
    }

    /// Clears `bits`. Returns whether any of them was set.
    pub fn clear(&self, bits: u32) -> bool {
        self.0.fetch_and(!bits, Ordering::AcqRel) & bits != 0
    }
}

/// Configuration that is fixed when the driver enables the function: admin rings and features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// DMA address of the command ring.
    pub commands: u64,
    /// DMA address of the completion ring.
    pub completions: u64,
    /// log2 of the number of entries of both rings.
    pub log2_entries: u32,
    /// Features accepted by the driver.
    pub features: u64,
}

/// Side effect of a register write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Reset the function.
    Reset,
    /// Start the admin queue.
    Enable(Setup),
    /// The configuration is invalid, for the given reason: the function fails.
    Fail(&'static str),
    /// New producer index of the admin command ring.
    AdminProducer(u32),
    /// New consumer index of the admin completion ring.
    AdminConsumer(u32),
    /// Wake this processor.
    Kick(u32),
}

/// Values written by the driver.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    features: u64,
    commands: u64,
    completions: u64,
    log2_entries: u32,
}

/// The register file.
pub struct Registers {
    identity: Identity,
    written: Written,
}

/// Writes `value` to the half of `target` at register `offset`, where `base` is the offset of the
/// lower half.
fn set_half(target: &mut u64, base: usize, offset: usize, value: u32) {
    let shift = if offset == base { 0 } else { 32 };
    *target = *target & !(u64::from(u32::MAX) << shift) | (u64::from(value) << shift);
}

/// The half of `value` at register `offset`, where `base` is the offset of the lower half.
fn half(value: u64, base: usize, offset: usize) -> u32 {
    (value >> if offset == base { 0 } else { 32 }) as u32
}

impl Registers {
    /// Registers after a reset.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            written: Written::default(),
        }
    }

    /// Clears all values written by the driver.
    pub fn reset(&mut self) {
        self.written = Written::default();
    }

    /// Reads the register at `offset` (4-byte aligned). Unknown registers read as 0.
    pub fn read(&self, offset: usize, status: u32) -> u32 {
        let identity = &self.identity;
        match offset {
            regs::MAGIC => regs::MAGIC_VALUE,
            regs::VERSION => toe_abi::VERSION,
            0x08 | 0x0c => half(identity.features, regs::FEATURES, offset),
            0x10 | 0x14 => half(self.written.features, regs::DRIVER_FEATURES, offset),
            regs::STATUS => status,
            regs::PROCESSORS => identity.processors,
            regs::CONNECTIONS => identity.connections,
            regs::FRAGMENTS => identity.fragments,
            regs::PAGES => identity.pages,
            0x30 | 0x34 => {
                let [a, b, c, d, e, f] = identity.mac;
                half(
                    u64::from_le_bytes([a, b, c, d, e, f, 0, 0]),
                    regs::MAC,
                    offset,
                )
            }
            regs::MAX_MTU => identity.max_mtu,
            _ => 0,
        }
    }

    /// Writes `value` to the register at `offset` (4-byte aligned). Writes to unknown and read-only
    /// registers are ignored.
    pub fn write(&mut self, offset: usize, value: u32, status: u32) -> Effect {
        if offset == regs::CONTROL && value & control::RESET != 0 {
            return Effect::Reset;
        }
        if status & status::FAILED != 0 {
            return Effect::None;
        }
        if status & status::READY != 0 {
            return match offset {
                regs::ADMIN_PRODUCER => Effect::AdminProducer(value),
                regs::ADMIN_CONSUMER => Effect::AdminConsumer(value),
                regs::KICK if value < self.identity.processors => Effect::Kick(value),
                _ => Effect::None,
            };
        }
        let written = &mut self.written;
        match offset {
            0x10 | 0x14 => {
                set_half(&mut written.features, regs::DRIVER_FEATURES, offset, value);
                if written.features & !self.identity.features != 0 {
                    return Effect::Fail("driver accepted a feature that was not offered");
                }
            }
            0x40 | 0x44 => {
                set_half(&mut written.commands, regs::ADMIN_COMMANDS, offset, value);
            }
            0x48 | 0x4c => {
                let base = regs::ADMIN_COMPLETIONS;
                set_half(&mut written.completions, base, offset, value);
            }
            regs::ADMIN_LOG2 => written.log2_entries = value,
            regs::CONTROL if value & control::ENABLE != 0 => return self.enable(),
            _ => {}
        }
        Effect::None
    }

    fn enable(&self) -> Effect {
        let written = &self.written;
        if !(regs::MIN_ADMIN_LOG2..=regs::MAX_ADMIN_LOG2).contains(&written.log2_entries) {
            return Effect::Fail("size of the admin rings out of range");
        }
        if written.commands % admin::COMMAND_SIZE as u64 != 0
            || written.completions % admin::COMPLETION_SIZE as u64 != 0
        {
            return Effect::Fail("admin ring not aligned to its entry size");
        }
        Effect::Enable(Setup {
            commands: written.commands,
            completions: written.completions,
            log2_entries: written.log2_entries,
            features: written.features,
        })
    }
}

const _: () = {
    assert!(regs::FEATURES == 0x08 && regs::DRIVER_FEATURES == 0x10 && regs::MAC == 0x30);
    assert!(regs::ADMIN_COMMANDS == 0x40 && regs::ADMIN_COMPLETIONS == 0x48);
};

#[cfg(test)]
mod tests {
    use super::*;

    fn registers() -> Registers {
        Registers::new(Identity {
            features: 0x1_0000_0003,
            processors: 2,
            connections: 10,
            fragments: 20,
            pages: 30,
            mac: [2, 3, 4, 5, 6, 7],
            max_mtu: 9000,
        })
    }

    #[test]
    fn negotiation_ends_with_the_setup() {
        let mut regs = registers();
        assert_eq!(regs.read(regs::MAC, 0), 0x0504_0302);
        assert_eq!(regs.read(regs::MAC + 4, 0), 0x0706);
        assert_eq!(regs.read(regs::FEATURES + 4, 0), 1);
        for (offset, value) in [
            (regs::DRIVER_FEATURES, 1),
            (regs::DRIVER_FEATURES + 4, 1),
            (regs::ADMIN_COMMANDS, 0x1000),
            (regs::ADMIN_COMMANDS + 4, 2),
            (regs::ADMIN_COMPLETIONS, 0x2000),
            (regs::ADMIN_LOG2, 5),
        ] {
            assert_eq!(regs.write(offset, value, 0), Effect::None);
        }
        assert_eq!(
            regs.write(regs::CONTROL, control::ENABLE, 0),
            Effect::Enable(Setup {
                commands: 0x2_0000_1000,
                completions: 0x2000,
                log2_entries: 5,
                features: 0x1_0000_0001,
            })
        );
    }

    #[test]
    fn an_impossible_setup_fails() {
        let fails = |effect| matches!(effect, Effect::Fail(_));
        let mut regs = registers();
        assert!(fails(regs.write(regs::DRIVER_FEATURES, 4, 0)));
        let mut regs = registers();
        assert!(
            fails(regs.write(regs::CONTROL, control::ENABLE, 0)),
            "no size"
        );
        regs.write(regs::ADMIN_LOG2, 5, 0);
        regs.write(regs::ADMIN_COMMANDS, 0x1001, 0);
        assert!(
            fails(regs.write(regs::CONTROL, control::ENABLE, 0)),
            "not aligned"
        );
        regs.write(regs::ADMIN_LOG2, u32::MAX, 0);
        assert!(fails(regs.write(regs::CONTROL, control::ENABLE, 0)));
    }

    #[test]
    fn a_failed_function_heeds_nothing_but_a_reset() {
        let mut regs = registers();
        let failed = status::FAILED;
        assert_eq!(
            regs.write(regs::ADMIN_PRODUCER, 1, failed | status::READY),
            Effect::None
        );
        assert_eq!(
            regs.write(regs::CONTROL, control::ENABLE, failed),
            Effect::None
        );
        assert_eq!(
            regs.write(regs::CONTROL, control::RESET, failed),
            Effect::Reset
        );
    }

    #[test]
    fn the_setup_is_fixed_once_ready() {
        let mut regs = registers();
        regs.write(regs::ADMIN_LOG2, 5, 0);
        let ready = status::READY;
        regs.write(regs::ADMIN_LOG2, 6, ready);
        assert_eq!(regs.written.log2_entries, 5);
        assert_eq!(
            regs.write(regs::CONTROL, control::ENABLE, ready),
            Effect::None
        );
        assert_eq!(regs.write(regs::KICK, 1, ready), Effect::Kick(1));
        assert_eq!(regs.write(regs::KICK, 2, ready), Effect::None);
        assert_eq!(regs.write(regs::KICK, u32::MAX, ready), Effect::None);
        assert_eq!(
            regs.write(regs::ADMIN_PRODUCER, 7, ready),
            Effect::AdminProducer(7)
        );
    }

    #[test]
    fn status_tells_whether_it_changed() {
        let status = StatusRegister::default();
        assert!(status.set(status::LINK));
        assert!(!status.set(status::LINK));
        assert!(status.clear(status::LINK));
        assert!(!status.clear(status::LINK));
        assert_eq!(status.bits(), 0);
    }
}
