// SPDX-License-Identifier: GPL-2.0

//! Locks, deferred work, counters and queues: what is not about networking.

pub mod counter;
pub mod event;
pub mod global;
pub mod lock;
pub mod spsc;
pub mod work;
