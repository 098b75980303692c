// SPDX-License-Identifier: GPL-2.0

//! Data path of one offload processor. Contains no threads, clocks, sockets or files.
//!
//! The caller passes in the time; host memory and the port are accessed through an [`env::Env`].
//! Memory is allocated when a processor is created and when rules or RSS contexts are configured,
//! never per frame.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod env;
mod gro;
pub mod gso;
pub mod processor;
pub mod random;
pub mod tcp;
pub mod wire;

mod coalesce;
mod counters;
mod dct;
mod filter;
mod flow;
mod ring;
mod rss;
mod rules;
mod steering;
mod storage;
mod tuple;
mod wheel;

pub use self::storage::MAX_FRAME;

/// Largest MTU of a function, in bytes of Ethernet payload.
pub const MAX_MTU: u32 = 9000;
