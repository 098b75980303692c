// SPDX-License-Identifier: GPL-2.0

//! Names and indices of the interfaces of the network namespace.

use anyhow::Context;
use anyhow::Result;
use nix::net::if_::if_nameindex;
use nix::net::if_::if_nametoindex;
use std::collections::HashMap;

/// Index of the interface `name`.
pub fn index(name: &str) -> Result<u32> {
    if_nametoindex(name).with_context(|| format!("no interface '{name}' in this network namespace"))
}

/// Interface names by index.
pub struct Interfaces(HashMap<u32, String>);

impl Interfaces {
    /// Queries the kernel.
    pub fn read() -> Result<Self> {
        let names = if_nameindex().context("cannot list interfaces")?;
        Ok(Self(
            names
                .iter()
                .map(|interface| {
                    let name = interface.name().to_string_lossy().into_owned();
                    (interface.index(), name)
                })
                .collect(),
        ))
    }

    /// Name of interface `index`: `-` for 0 (none), `if7` for an interface that no longer exists.
    pub fn name(&self, index: u32) -> String {
        match self.0.get(&index) {
            Some(name) => name.clone(),
            None if index == 0 => "-".into(),
            None => format!("if{index}"),
        }
    }
}
