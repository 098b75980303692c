// SPDX-License-Identifier: GPL-2.0

//! An upper layer protocol (ULP) that keeps a TCP socket as the shadow of a connection that an
//! adapter carries.
//!
//! Data attached to a socket ([`Ulp::attach`]) makes it a shadow, with this ULP as soon as that is
//! published ([`Ulp::publish`]), so that no other takes its place. While it is attached, sending
//! goes to [`Shadow::sendmsg`], and the connection is recalled before an operation that only Linux
//! implements: close, shutdown, disconnect, most socket options. Linux's TCP receives. The data can be
//! detached at any time, after which the socket is an ordinary one.
//!
//! - `call`: calls of the socket layer into the module, and its unloading.
//! - `ulp`: the protocol: attaching and detaching.
//! - `callbacks`: the `struct proto` of a socket with a shadow, and its operations.
//!
//! C headers: [`include/net/tcp.h`](srctree/include/net/tcp.h) (`struct tcp_ulp_ops`),
//! [`include/net/sock.h`](srctree/include/net/sock.h) (`struct proto`)

mod call;
mod callbacks;
mod ulp;

pub use self::{
    call::{
        advance,
        is_leaving, //
    },
    ulp::{
        OptionEffect,
        Recall,
        Registration,
        Released,
        Sent,
        Shadow,
        Ulp, //
    }, //
};
