// SPDX-License-Identifier: GPL-2.0

//! The server's side of vfio-user (QEMU's `docs/interop/vfio-user.rst`), version 0.
//!
//! A client is not trusted. [`connection`] takes whole messages of bounded size from its socket,
//! [`request`] makes requests of them, and whatever is no request ends at most the connection.

pub mod connection;
pub mod request;
