// SPDX-License-Identifier: GPL-2.0

//! Network impairment of wire frames: loss, duplication, reordering, corruption, delay, jitter and
//! a rate limit (compare `net/sched/sch_netem.c`).
//!
//! A [`Line`] is one direction of a port, as used by one processor. Jitter does not change the
//! order of frames; only frames selected for reordering are overtaken.

mod line;
mod profile;
mod random;

pub use self::line::DEPTH;
pub use self::line::Line;
pub use self::line::Tally;
pub use self::line::WireClock;
pub use self::profile::Profile;
pub use self::random::Random;
