// SPDX-License-Identifier: GPL-2.0

//! A TCG plugin of QEMU: counts the instructions that the guest executes, and the bytes that its
//! kernel copies by string instructions, each of which counts as one instruction whatever its
//! length.
//!
//! The unit is the translated block, by its address; the guest's symbols make a profile of it. All
//! of user space is one block. A unix socket, the argument `socket=PATH`, answers two requests, a
//! line each:
//!
//! - `sums`: a line `KERNEL USER COPIED`: instructions of the kernel and of user space, and bytes;
//! - `blocks`: a line `ADDRESS INSTRUCTIONS COPIED` for each block of the kernel that has been
//!   executed, ADDRESS in hexadecimal, and an empty line.

// Tests run without QEMU, which has the functions that the plugin calls.
#[cfg(not(test))]
mod plugin;
#[cfg(not(test))]
mod qemu;

mod blocks;
mod movs;
