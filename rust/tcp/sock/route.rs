// SPDX-License-Identifier: GPL-2.0

//! The route of a connection.

use super::tcp::Tcp;
use crate::{
    bindings,
    net::netdev::NetDevice, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// A change after which a delegated connection must no longer bypass Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The local address is no longer configured.
    Address,
    /// The route leads through another interface, or there is none.
    Route,
    /// A filter, tap or transform has to see the frames.
    Filter,
    /// The next hop's Ethernet address is no longer known.
    Neighbour,
}

/// The route of a connection.
///
/// # Invariants
///
/// The socket has a route (`__sk_dst_get()`), and is locked for `'t`.
pub(super) struct Route<'t>(&'t Tcp<'t>);

impl Tcp<'_> {
    /// Calls `look` with the interface of the route in use; `None` without a route.
    pub fn with_device<R>(&self, look: impl FnOnce(&NetDevice) -> R) -> Option<R> {
        // SAFETY: The socket is locked.
        let dev = NonNull::new(unsafe { bindings::tcp_device(self.as_raw()) })?;
        // SAFETY: `tcp_device` took a reference, which is held until below.
        let result = look(unsafe { NetDevice::from_raw(dev.as_ptr()) });
        // SAFETY: As above.
        unsafe { bindings::tcp_device_put(dev.as_ptr()) };
        Some(result)
    }

    /// Whether the route leads through the interface `ifindex`. A route that is no longer valid is
    /// looked up again.
    #[inline]
    pub fn route_valid(&self, ifindex: u32) -> bool {
        // SAFETY: The socket is locked. CAST: An interface index is positive.
        unsafe { bindings::tcp_route_valid(self.as_raw(), ifindex as c_int) }
    }

    /// The route, if it leads through the interface `ifindex`.
    pub(super) fn route(&self, ifindex: u32) -> Option<Route<'_>> {
        // INVARIANT: A valid route is in the socket, and stays there while that is locked.
        self.route_valid(ifindex).then_some(Route(self))
    }

    /// The Ethernet address of the next hop of a connection that is delegated through the interface
    /// `ifindex`.
    ///
    /// # Errors
    ///
    /// A change that requires the connection to return to Linux.
    pub fn next_hop(&self, ifindex: u32) -> Result<[u8; 6], Change> {
        // SAFETY: The socket is locked.
        if !unsafe { bindings::tcp_address_is_local(self.as_raw()) } {
            return Err(Change::Address);
        }
        let route = self.route(ifindex).ok_or(Change::Route)?;
        if route.has_xfrm() || route.is_inspected() {
            return Err(Change::Filter);
        }
        route.next_hop().ok_or(Change::Neighbour)
    }
}

impl Route<'_> {
    /// Whether an xfrm transform (IPsec) applies.
    pub(super) fn has_xfrm(&self) -> bool {
        // SAFETY: By the type's invariant.
        unsafe { bindings::tcp_has_xfrm(self.0.as_raw()) }
    }

    /// Whether a tap, XDP, tc, netfilter or a cgroup program has to see the frames.
    pub(super) fn is_inspected(&self) -> bool {
        // SAFETY: By the type's invariant.
        unsafe { bindings::tcp_is_inspected(self.0.as_raw()) }
    }

    /// Whether the interface does RPS.
    pub(super) fn has_rps(&self) -> bool {
        // SAFETY: By the type's invariant.
        unsafe { bindings::tcp_has_rps(self.0.as_raw()) }
    }

    /// The Ethernet address of the next hop, if that is known.
    pub(super) fn next_hop(&self) -> Option<[u8; 6]> {
        let mut mac = [0; 6];
        // SAFETY: By the type's invariant; an address has six bytes.
        unsafe { bindings::tcp_next_hop(self.0.as_raw(), mac.as_mut_ptr()) }.then_some(mac)
    }

    /// The Ethernet address of the interface.
    pub(super) fn local_mac(&self) -> [u8; 6] {
        let mut mac = [0; 6];
        // SAFETY: By the type's invariant; an address has six bytes.
        unsafe { bindings::tcp_local_mac(self.0.as_raw(), mac.as_mut_ptr()) };
        mac
    }

    /// Time to live, or hop limit, of frames that the socket sends.
    pub(super) fn hop_limit(&self) -> u8 {
        // SAFETY: By the type's invariant.
        unsafe { bindings::tcp_hop_limit(self.0.as_raw()) }
    }
}
