// SPDX-License-Identifier: GPL-2.0

//! toe: a TCP offload engine. The adapter's driver, and the socket shim that decides which
//! connections the adapter carries.

use self::{
    driver::Driver,
    shim::Shim, //
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

/// The module. The driver goes first: its adapters give all connections back before the shim does.
#[pin_data]
struct Toe {
    #[pin]
    _driver: kernel::driver::Registration<pci::Adapter<Driver<'static, Shim>>>,
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
}
