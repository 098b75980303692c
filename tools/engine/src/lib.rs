// SPDX-License-Identifier: GPL-2.0

//! The adapter's logic: what one offload processor does, without threads, clocks, sockets or files.
//!
//! Time comes in as an argument, host memory and the port as an [`env::Env`]. Memory is allocated
//! when a processor is made and, for rules and hash contexts, when these are set: never for a frame.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod env;
mod gro;
pub mod gso;
pub mod processor;
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

/// Largest MTU of a function.
pub const MAX_MTU: u32 = 9000;
