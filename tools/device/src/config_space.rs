// SPDX-License-Identifier: GPL-2.0

//! PCI configuration space of a function (PCI Express Base Specification 5.0, chapter 7).

use toe_abi::regs;

/// Size of the configuration space in bytes.
pub const SIZE: usize = 4096;

const VENDOR_ID: usize = 0x00;
const DEVICE_ID: usize = 0x02;
const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const CLASS: usize = 0x08;
const CACHE_LINE_SIZE: usize = 0x0c;
const BAR0: usize = 0x10;
const SUBSYSTEM_VENDOR_ID: usize = 0x2c;
const SUBSYSTEM_ID: usize = 0x2e;
const CAPABILITIES: usize = 0x34;
const INTERRUPT_LINE: usize = 0x3c;

/// Writable command bits: memory and bus master enable, SERR#, parity error response, INTx disable.
const COMMAND_WRITABLE: u16 = 0x0546;
const STATUS_CAPABILITIES: u16 = 1 << 4;
/// Memory BAR, 64-bit, not prefetchable.
const BAR_64: u32 = 0x4;

const MSIX: usize = 0x40;
const MSIX_ID: u8 = 0x11;
/// Writable message control bits: function mask and enable.
const MSIX_CONTROL_WRITABLE: u16 = 0xc000;

const POWER: usize = 0x50;
const POWER_ID: u8 = 0x01;
/// Version 3, no PME.
const POWER_CAPABILITIES: u16 = 0x0003;
/// No_Soft_Reset set: no reset on the transition from D3hot to D0. The state is writable.
const POWER_NO_SOFT_RESET: u16 = 1 << 3;
const POWER_STATE: u16 = 0x0003;

const EXPRESS: usize = 0x60;
const EXPRESS_ID: u8 = 0x10;
/// Capability version 2, endpoint.
const EXPRESS_FLAGS: u16 = 0x0002;
/// Role-based error reporting; function-level reset; payload up to 256 bytes.
const DEVICE_CAPABILITIES: u32 = (1 << 28) | (1 << 15) | 1;
const DEVICE_CONTROL: usize = EXPRESS + 0x08;
const DEVICE_CONTROL_WRITABLE: u16 = 0x7fff;
const DEVICE_CONTROL_FLR: u16 = 1 << 15;
/// Reset value: relaxed ordering and no-snoop enabled.
const DEVICE_CONTROL_DEFAULT: u16 = 0x2810;
/// x16 at 16 GT/s.
const LINK: u32 = 0x104;

/// Side effect of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// A function-level reset.
    Reset,
}

/// Configuration space with write masks.
pub struct ConfigSpace {
    bytes: Vec<u8>,
    writable: Vec<u8>,
    vectors: u16,
}

impl ConfigSpace {
    /// Creates the configuration space of a function with `vectors` MSI-X vectors.
    pub fn new(vectors: u16) -> Self {
        let mut space = Self {
            bytes: Vec::new(),
            writable: Vec::new(),
            vectors,
        };
        space.reset();
        space
    }

    /// Restores all registers to their reset values.
    pub fn reset(&mut self) {
        self.bytes = vec![0; SIZE];
        self.writable = vec![0; SIZE];
        self.set16(VENDOR_ID, regs::VENDOR_ID);
        self.set16(DEVICE_ID, regs::DEVICE_ID);
        self.set16(SUBSYSTEM_VENDOR_ID, regs::VENDOR_ID);
        self.set16(SUBSYSTEM_ID, regs::DEVICE_ID);
        self.set32(CLASS, (regs::CLASS << 8) | 0x01);
        self.set16(STATUS, STATUS_CAPABILITIES);
        self.allow16(COMMAND, COMMAND_WRITABLE);
        self.allow16(CACHE_LINE_SIZE, 0x00ff);
        self.allow16(INTERRUPT_LINE, 0x00ff);
        self.set32(BAR0, BAR_64);
        self.allow32(BAR0, !(regs::BAR_SIZE as u32 - 1));
        self.allow32(BAR0 + 4, u32::MAX);
        self.bytes[CAPABILITIES] = MSIX as u8;

        self.capability(MSIX, MSIX_ID, POWER);
        self.set16(MSIX + 2, self.vectors - 1);
        self.allow16(MSIX + 2, MSIX_CONTROL_WRITABLE);
        self.set32(MSIX + 4, regs::MSIX_TABLE as u32);
        self.set32(MSIX + 8, regs::MSIX_PBA as u32);

        self.capability(POWER, POWER_ID, EXPRESS);
        self.set16(POWER + 2, POWER_CAPABILITIES);
        self.set16(POWER + 4, POWER_NO_SOFT_RESET);
        self.allow16(POWER + 4, POWER_STATE);

        self.capability(EXPRESS, EXPRESS_ID, 0);
        self.set16(EXPRESS + 2, EXPRESS_FLAGS);
        self.set32(EXPRESS + 4, DEVICE_CAPABILITIES);
        self.set16(DEVICE_CONTROL, DEVICE_CONTROL_DEFAULT);
        self.allow16(DEVICE_CONTROL, DEVICE_CONTROL_WRITABLE);
        self.set32(EXPRESS + 0x0c, LINK);
        self.set16(EXPRESS + 0x12, LINK as u16);
        self.set32(EXPRESS + 0x2c, 0x1e);
    }

    /// Reads `data.len()` bytes at `offset`. Bytes beyond the end read as 0.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        for (i, byte) in data.iter_mut().enumerate() {
            *byte = usize::try_from(offset)
                .ok()
                .and_then(|offset| self.bytes.get(offset.checked_add(i)?))
                .copied()
                .unwrap_or(0);
        }
    }

    /// Writes `data` at `offset`. Bits that are not writable are ignored.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        let mut effect = Effect::None;
        for (i, &value) in data.iter().enumerate() {
            let Some(at) = usize::try_from(offset)
                .ok()
                .and_then(|offset| offset.checked_add(i))
                .filter(|&at| at < SIZE)
            else {
                break;
            };
            let mask = self.writable[at];
            self.bytes[at] = self.bytes[at] & !mask | value & mask;
            if at == DEVICE_CONTROL + 1 && value & (DEVICE_CONTROL_FLR >> 8) as u8 != 0 {
                effect = Effect::Reset;
            }
        }
        effect
    }

    fn capability(&mut self, at: usize, id: u8, next: usize) {
        self.bytes[at] = id;
        self.bytes[at + 1] = next as u8;
    }

    fn set16(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn set32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn allow16(&mut self, at: usize, mask: u16) {
        self.writable[at..at + 2].copy_from_slice(&mask.to_le_bytes());
    }

    fn allow32(&mut self, at: usize, mask: u32) {
        self.writable[at..at + 4].copy_from_slice(&mask.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read32(space: &ConfigSpace, at: usize) -> u32 {
        let mut bytes = [0; 4];
        space.read(at as u64, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn bars_are_sized_by_writing_ones() {
        let mut space = ConfigSpace::new(3);
        space.write(BAR0 as u64, &[0xff; 8]);
        assert_eq!(
            read32(&space, BAR0),
            !(regs::BAR_SIZE as u32 - 1) | BAR_64,
            "size and type"
        );
        assert_eq!(read32(&space, BAR0 + 4), u32::MAX);
    }

    #[test]
    fn the_capability_list_ends_and_names_msix() {
        let space = ConfigSpace::new(3);
        let mut at = space.bytes[CAPABILITIES] as usize;
        let mut ids = Vec::new();
        while at != 0 {
            ids.push(space.bytes[at]);
            at = space.bytes[at + 1] as usize;
        }
        assert_eq!(ids, [MSIX_ID, POWER_ID, EXPRESS_ID]);
        assert_eq!(read32(&space, MSIX) >> 16, 2, "table size minus one");
    }

    #[test]
    fn identity_is_not_writable_and_accesses_beyond_the_end_are_harmless() {
        let mut space = ConfigSpace::new(3);
        space.write(0, &[0; 4]);
        assert_eq!(
            read32(&space, 0),
            ((regs::DEVICE_ID as u32) << 16) | regs::VENDOR_ID as u32
        );
        space.write(SIZE as u64 - 2, &[0xff; 8]);
        space.write(u64::MAX, &[0xff; 8]);
        let mut bytes = [1; 8];
        space.read(u64::MAX - 3, &mut bytes);
        assert_eq!(bytes, [0; 8]);
    }

    #[test]
    fn a_function_level_reset_is_noticed_and_reads_as_zero() {
        let mut space = ConfigSpace::new(3);
        let control = DEVICE_CONTROL_FLR | 0x10;
        let effect = space.write(DEVICE_CONTROL as u64, &control.to_le_bytes());
        assert_eq!(effect, Effect::Reset);
        assert_eq!(read32(&space, DEVICE_CONTROL) & 0xffff, 0x10);
    }
}
