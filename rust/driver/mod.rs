// SPDX-License-Identifier: GPL-2.0

//! Driver of the adapter: a PCI function with an Ethernet interface.
//!
//! The driver is generic over the client of the adapter's offload processors
//! ([`Client`](crate::offload::Client)).
//!
//! A received payload passes through, in this order:
//!
//! 1. `poll`: the NAPI poll, which reads the completion ring;
//! 2. `rx`: a completion becomes payload of a connection, or part of a frame;
//! 3. `fill_ring`: the fragments of its data, in pages that were posted to the adapter;
//! 4. payload: [`Client::deliver`](crate::offload::Client::deliver);
//!    frames: `xdp` if a program is attached, `rx_skb` and `gro_headers` otherwise.
//!
//! A transmitted frame passes through:
//!
//! 1. `operations`: `ndo_start_xmit`;
//! 2. `tx_ring`: mapping, descriptors, doorbell;
//! 3. `poll` and `tx_clean`: the frame is freed once it is sent.
//!
//! A request of the client passes through `port`, `queue_pair` and `submission_ring`.
//!
//! Below and beside these:
//!
//! - `registers`, `admin_queue`, `function`: the PCI function, its commands and its reset;
//! - `counters`, `limits`, `ring_sizes`, `steering`: state that the files above share;
//! - `adapter`: the function with its queue pairs, settings and interface;
//! - `probe`: binding of a function;
//! - `queue_start`, `lifecycle`, `recovery`: start, stop, reconfiguration, recovery after faults;
//! - `configure`, `steering_control`: commands that apply settings;
//! - `irq`: interrupts;
//! - `ethtool`, `queue_management`: the other operations of the interface.

mod adapter;
mod admin_queue;
mod configure;
mod counters;
mod ethtool;
mod fill_ring;
mod function;
mod gro_headers;
mod irq;
mod lifecycle;
mod limits;
mod operations;
mod poll;
mod port;
mod probe;
mod queue_management;
mod queue_pair;
mod queue_start;
mod recovery;
mod registers;
mod ring_sizes;
mod rx;
mod rx_skb;
mod steering;
mod steering_control;
mod submission_ring;
mod tx_clean;
mod tx_ring;
mod xdp;

pub(crate) use self::probe::Driver;
