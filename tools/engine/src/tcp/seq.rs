// SPDX-License-Identifier: GPL-2.0

//! Sequence numbers (RFC 9293 3.4).

use core::ops::Add;
use core::ops::Sub;

/// A sequence number. Comparison is modulo 2^32, for numbers less than 2^31 apart (as `before()` in
/// `include/net/tcp.h`). It is not a total order, so there is no `Ord`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seq(pub u32);

impl Seq {
    /// Whether `self` is before `other`.
    #[inline]
    pub const fn before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// Whether `self` is after `other`.
    #[inline]
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// Whether `self` is before or equal to `other`.
    #[inline]
    pub const fn at_most(self, other: Self) -> bool {
        !other.before(self)
    }

    /// Whether `self` is after or equal to `other`.
    #[inline]
    pub const fn at_least(self, other: Self) -> bool {
        !self.before(other)
    }

    /// The later one.
    #[inline]
    pub const fn max(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    /// The earlier one.
    #[inline]
    pub const fn min(self, other: Self) -> Self {
        if other.before(self) { other } else { self }
    }
}

/// Advances by `length` bytes.
impl Add<u32> for Seq {
    type Output = Self;

    #[inline]
    fn add(self, length: u32) -> Self {
        Self(self.0.wrapping_add(length))
    }
}

/// Goes back by `length` bytes.
impl Sub<u32> for Seq {
    type Output = Self;

    #[inline]
    fn sub(self, length: u32) -> Self {
        Self(self.0.wrapping_sub(length))
    }
}

/// Number of bytes from `start` to `self`, modulo 2^32.
impl Sub for Seq {
    type Output = u32;

    #[inline]
    fn sub(self, start: Self) -> u32 {
        self.0.wrapping_sub(start.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn order_survives_the_wrap(start: u32, length in 1..1u32 << 31) {
            let (a, b) = (Seq(start), Seq(start) + length);
            prop_assert!(length == 1 << 31 || a.before(b));
            prop_assert!(b.after(a) && !b.before(a) && !a.at_least(b) && a.at_most(b));
            prop_assert_eq!((a.max(b), a.min(b)), (b, a));
            prop_assert_eq!((b - a, b - length), (length, a));
        }

        #[test]
        fn equal_is_neither_before_nor_after(start: u32) {
            let a = Seq(start);
            prop_assert!(!a.before(a) && !a.after(a) && a.at_most(a) && a.at_least(a));
        }
    }
}
