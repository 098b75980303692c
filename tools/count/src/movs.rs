// SPDX-License-Identifier: GPL-2.0

//! The x86 instructions that copy strings.

/// Number of bytes that one step of the instruction copies, if it is MOVS with a repeat prefix.
pub fn step(instruction: &[u8]) -> Option<u64> {
    let (mut repeats, mut short, mut wide) = (false, false, false);
    for &byte in instruction {
        match byte {
            0xf2 | 0xf3 => repeats = true,
            0x66 => short = true,
            // Segment and address size.
            0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x67 => (),
            // REX, the last prefix of all.
            0x40..=0x4f => wide = byte & 8 != 0,
            0xa4 if repeats => return Some(1),
            0xa5 if repeats => {
                return Some(if wide {
                    8
                } else if short {
                    2
                } else {
                    4
                });
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn only_repeated_movs_copies() {
        assert_eq!(step(&[0xf3, 0xa4]), Some(1));
        assert_eq!(step(&[0xf3, 0x66, 0xa5]), Some(2));
        assert_eq!(step(&[0xf3, 0xa5]), Some(4));
        assert_eq!(step(&[0xf3, 0x48, 0xa5]), Some(8));
        assert_eq!(step(&[0x48, 0xa5]), None); // movsq
        assert_eq!(step(&[0xf3, 0x48, 0xab]), None); // rep stosq
        assert_eq!(step(&[0xf3, 0x0f, 0x1e, 0xfa]), None); // endbr64
        assert_eq!(step(&[0x48, 0x89, 0xa5]), None);
    }
}
