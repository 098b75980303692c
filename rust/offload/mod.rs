// SPDX-License-Identifier: GPL-2.0

//! The interface between the adapter's driver and the socket shim.
//!
//! The driver and the shim do not name each other. Both name this module only:
//!
//! ```text
//!               shim                                 driver
//!   sockets, policy, netlink            PCI function, rings, net device
//!                 |                                     |
//!                 |  Handle -> Port::submit, map, ...   |
//!                 | ----------------------------------> |   requests to the adapter
//!                 |                                     |
//!                 |  Client::deliver, acked, ...        |
//!                 | <---------------------------------- |   completions, start and stop
//! ```
//!
//! - [`Port`] is implemented by the driver's adapter. The shim holds it as a [`Handle`].
//! - [`Client`] is implemented by the shim. The driver is generic over it.
//! - [`Gate`] is the client's, and part of the adapter.
//! - [`Payload`] and [`SubmitError`] are the values that cross in either direction; all others are
//!   entries of the ABI as they stand in the rings.
//!
//! Only the crate root names both sides: it instantiates the driver with the shim.

mod client;
mod gate;
mod payload;
mod port;

pub use self::{
    client::Client,
    gate::Gate,
    payload::Payload,
    port::{
        Handle,
        Port,
        SubmitError, //
    }, //
};
