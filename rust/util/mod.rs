// SPDX-License-Identifier: GPL-2.0

//! Abstractions that are not about networking.

pub mod completion;
pub mod counter;
pub mod device;
pub mod global;
pub mod irq;
pub mod lock;
pub mod module;
pub mod pci;
pub mod spsc;
pub mod time;
pub mod workqueue;
