// SPDX-License-Identifier: GPL-2.0

//! toe: a TCP offload engine.
//!
//! The module consists of the adapter's driver and of the socket shim, which decides which connections
//! the adapter carries. This file joins them: it is the only one that names both.

use self::{
    driver::Driver,
    shim::Shim,
    util::pci::DmaAdapter, //
};
use kernel::{
    pci,
    prelude::*,
    InPlaceModule,
    ModuleMetadata, //
};

pub mod abi;
mod bindings;
mod driver;
pub mod net;
pub mod offload;
mod shim;
pub mod tcp;
pub mod util;

/// The module.
///
/// The driver is dropped first. It returns all connections to Linux, which needs the shim.
#[pin_data]
struct Toe {
    #[pin]
    _driver: kernel::driver::Registration<pci::Adapter<DmaAdapter<Driver<Shim>>>>,
    _shim: Shim,
}

impl InPlaceModule for Toe {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _shim: Shim::new()?,
            _driver <- kernel::driver::Registration::new(<Self as ModuleMetadata>::NAME, module),
        })
    }
}

module! {
    type: Toe,
    name: "toe",
    authors: ["The toe authors"],
    description: "TCP offload engine",
    license: "GPL",
    // Loaded for setsockopt(TCP_ULP), and for a request to the generic netlink family.
    alias: ["tcp-ulp-toe", "net-pf-16-proto-16-family-toe"],
}
