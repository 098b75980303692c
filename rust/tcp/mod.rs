// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions of TCP sockets.
//!
//! - [`sock`]: sockets, their lock ([`sock::Locked`]) and operations under it ([`sock::Tcp`]).
//! - [`shadow`]: the upper layer protocol of a socket whose connection an adapter carries.
//! - [`backlog`]: entries in a socket's backlog.
//! - [`message`]: the message of a `sendmsg`.
//! - [`sysctl`]: the sysctls `net.toe.*`.
//! - `state`: the state of a connection as C sees it.
//!
//! The layer depends on `abi`, `util` and `net` only. Operations on TCP's queues are in C
//! (`rust/helpers/tcp_*.c`).

pub mod backlog;
pub mod message;
pub mod shadow;
pub mod sock;
mod state;
pub mod sysctl;
