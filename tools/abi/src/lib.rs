// SPDX-License-Identifier: GPL-2.0

//! Host/adapter ABI for user space, compiled from the files of the kernel module (`rust/abi`).

#![no_std]

#[path = "../../../rust/abi/mod.rs"]
mod abi;

pub use abi::*;
