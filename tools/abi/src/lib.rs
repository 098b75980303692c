// SPDX-License-Identifier: GPL-2.0

//! The host/adapter contract for user space: the kernel module's `rust/abi`, compiled from the same
//! files.

#![no_std]

#[path = "../../../rust/abi/mod.rs"]
mod abi;

pub use abi::*;
