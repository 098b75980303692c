// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions of TCP sockets: their lock, their backlog, the shadow of a delegated connection.

pub mod backlog;
pub mod message;
pub mod shadow;
pub mod sock;
mod state;
pub mod sysctl;
