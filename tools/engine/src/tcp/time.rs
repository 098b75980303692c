// SPDX-License-Identifier: GPL-2.0

//! Time as the protocol machine sees it. Durations are plain numbers of microseconds.

use core::ops::Add;
use core::ops::Sub;

/// Microseconds of a millisecond.
pub const MILLISECOND: u64 = 1_000;
/// Microseconds of a second.
pub const SECOND: u64 = 1_000_000;

/// A moment: microseconds on the caller's clock, which never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

/// The moment so many microseconds later.
impl Add<u64> for Instant {
    type Output = Self;

    #[inline]
    fn add(self, duration: u64) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// Microseconds since `earlier`, 0 when it is in the future.
impl Sub for Instant {
    type Output = u64;

    #[inline]
    fn sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A timer: off, or the moment at which it fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer(Instant);

impl Timer {
    /// Not running; later than any moment.
    pub const OFF: Self = Self(Instant(u64::MAX));

    /// Fires at `moment`.
    #[inline]
    pub const fn at(moment: Instant) -> Self {
        Self(moment)
    }

    /// Whether it runs.
    #[inline]
    pub fn is_on(self) -> bool {
        self != Self::OFF
    }

    /// Whether it runs and has come to its moment.
    #[inline]
    pub fn is_due(self, now: Instant) -> bool {
        self.is_on() && self.0 <= now
    }

    /// When it fires.
    #[inline]
    pub fn moment(self) -> Option<Instant> {
        self.is_on().then_some(self.0)
    }

    /// Starts it for `moment` unless it runs already.
    #[inline]
    pub fn start(&mut self, moment: Instant) {
        if !self.is_on() {
            *self = Self(moment);
        }
    }
}

/// The clock behind the timestamps that we send (RFC 7323, 5.4).
#[derive(Clone, Copy, Debug)]
pub struct TimestampClock {
    /// Value of the clock at `since`.
    value: u32,
    since: Instant,
    tick_us: u32,
}

impl TimestampClock {
    /// A clock that shows `value` at `now` and ticks every `tick_us` microseconds (at least 1).
    pub fn new(value: u32, tick_us: u32, now: Instant) -> Self {
        Self {
            value,
            since: now,
            tick_us: tick_us.max(1),
        }
    }

    /// What the clock shows at `now`.
    #[inline]
    pub fn value(&self, now: Instant) -> u32 {
        let ticks = (now - self.since) / u64::from(self.tick_us);
        self.value.wrapping_add(ticks as u32)
    }

    /// Microseconds of one tick.
    pub fn tick_us(&self) -> u32 {
        self.tick_us
    }
}
