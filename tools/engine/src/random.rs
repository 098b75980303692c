// SPDX-License-Identifier: GPL-2.0

//! Pseudo-random numbers.

/// Returns the next number of the SplitMix64 generator with `state` (Steele, Lea and Flood, OOPSLA
/// 2014).
#[inline]
pub const fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
