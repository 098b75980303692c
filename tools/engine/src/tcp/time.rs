// SPDX-License-Identifier: GPL-2.0

//! Time, timers and the timestamp clock. Durations are in microseconds.

use core::ops::Add;
use core::ops::Sub;

/// Microseconds per millisecond.
pub const MILLISECOND: u64 = 1_000;
/// Microseconds per second.
pub const SECOND: u64 = 1_000_000;

/// A point in time, in microseconds of the caller's monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

/// Adds a duration in microseconds. Saturates.
impl Add<u64> for Instant {
    type Output = Self;

    #[inline]
    fn add(self, duration: u64) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// Microseconds since `earlier`, 0 if it is in the future.
impl Sub for Instant {
    type Output = u64;

    #[inline]
    fn sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A one-shot timer: off, or its expiry time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer(Instant);

impl Timer {
    /// Not armed. Compares later than any armed timer.
    pub const OFF: Self = Self(Instant(u64::MAX));

    /// Armed for `moment`.
    #[inline]
    pub const fn at(moment: Instant) -> Self {
        Self(moment)
    }

    /// Whether the timer is armed.
    #[inline]
    pub fn is_on(self) -> bool {
        self != Self::OFF
    }

    /// Whether the timer has expired.
    #[inline]
    pub fn is_due(self, now: Instant) -> bool {
        self.is_on() && self.0 <= now
    }

    /// Expiry time, if armed.
    #[inline]
    pub fn moment(self) -> Option<Instant> {
        self.is_on().then_some(self.0)
    }

    /// Arms the timer for `moment` unless it is armed already.
    #[inline]
    pub fn start(&mut self, moment: Instant) {
        if !self.is_on() {
            *self = Self(moment);
        }
    }
}

/// Clock for the timestamps option (RFC 7323 5.4).
#[derive(Clone, Copy, Debug)]
pub struct TimestampClock {
    /// Value at `since`.
    value: u32,
    since: Instant,
    tick_us: u32,
}

impl TimestampClock {
    /// Creates a clock with value `value` at `now` and a tick of `tick_us` microseconds, at least
    /// 1.
    pub fn new(value: u32, tick_us: u32, now: Instant) -> Self {
        Self {
            value,
            since: now,
            tick_us: tick_us.max(1),
        }
    }

    /// Value at `now`.
    #[inline]
    pub fn value(&self, now: Instant) -> u32 {
        let ticks = (now - self.since) / u64::from(self.tick_us);
        self.value.wrapping_add(ticks as u32)
    }

    /// Tick in microseconds.
    pub fn tick_us(&self) -> u32 {
        self.tick_us
    }
}
