// SPDX-License-Identifier: GPL-2.0

//! Generic netlink families with commands.
//!
//! [`kernel::net::netlink`] has families, multicast groups and their registration, which this builds
//! on. It has no commands, requests or dumps, and its messages have no nested attributes and reach
//! the initial network namespace only.
//!
//! - `family`: families, their commands and multicast groups.
//! - `request`: requests and dumps, as a command gets them.
//! - `message`: messages under construction.
//!
//! C header: [`include/net/genetlink.h`](srctree/include/net/genetlink.h)

mod family;
mod message;
mod request;

pub use self::{
    family::{
        Command,
        Family,
        Operation,
        Policy, //
    },
    message::GenlMsg,
    request::{
        Attributes,
        Dump,
        Request, //
    }, //
};
