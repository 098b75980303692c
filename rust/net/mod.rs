// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions of the networking subsystem.
//!
//! Four kinds of driver state are told apart by what serialises access to them, and each callback
//! is given exactly what it may touch:
//!
//! | state | type | exclusive under |
//! |---|---|---|
//! | shared | [`device::Operations`] itself | nothing: `&self` everywhere |
//! | control | [`device::Operations::Control`] | the device's instance lock |
//! | transmit queue | [`device::Operations::TxQueue`] | the queue's transmit lock |
//! | poll | [`napi::Poll`] | NAPI's own scheduling |

pub mod change;
pub mod device;
pub mod dma;
pub mod ethtool;
pub mod extack;
pub mod genetlink;
pub mod irq;
pub mod namespace;
pub mod napi;
pub mod page_pool;
pub mod queue;
pub mod skb;
pub mod stats;
pub mod xdp;
