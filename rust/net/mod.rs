// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions of the networking subsystem.
//!
//! Modules depend on each other in the order of the table in `tools/vm/layers`.
//!
//! A driver has state of four kinds, which differ in what serialises access. Each callback is given
//! only the state that it may access:
//!
//! | state | type | exclusive under |
//! |---|---|---|
//! | shared | [`device::Operations`] itself | nothing: `&self` everywhere |
//! | control | [`device::Operations::Control`] | the device's instance lock |
//! | transmit queue | [`device::Operations::TxQueue`] | the queue's transmit lock |
//! | poll | [`napi::Poll`] | NAPI's own scheduling |

pub mod device;
pub mod dma;
pub mod ethtool;
pub mod extack;
pub mod genetlink;
pub mod irq;
pub mod namespace;
pub mod napi;
pub mod neighbour;
pub mod netdev;
pub mod netmem;
pub mod notifier;
pub mod page_pool;
pub mod queue;
pub mod skb;
pub mod stats;
pub mod xdp;

/// Whether the network subsystem may log another message.
pub fn ratelimit() -> bool {
    // SAFETY: No preconditions.
    unsafe { crate::bindings::net_ratelimit() != 0 }
}
