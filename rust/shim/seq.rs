// SPDX-License-Identifier: GPL-2.0

//! Sequence numbers.

/// Returns the later of two sequence numbers.
pub(super) fn later(a: u32, b: u32) -> u32 {
    if (b.wrapping_sub(a) as i32) > 0 {
        b
    } else {
        a
    }
}
