// SPDX-License-Identifier: GPL-2.0

//! The route of a connection.

use super::{
    obstacle::Detail,
    tcp::Tcp, //
};
use crate::{
    bindings,
    net::{
        neighbour::Neighbour,
        netdev::NetDevice, //
    }, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

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

    /// Lets Linux take notice that the adapter has sent frames to `neighbour`, and whether they arrive.
    /// To be called about once a second.
    pub fn use_neighbour(&self, neighbour: &Neighbour) {
        // SAFETY: The socket is locked, the neighbour valid.
        unsafe { bindings::tcp_use_neighbour(self.as_raw(), neighbour.as_raw()) }
    }

    /// Whether the local address is one of the host.
    pub(super) fn is_address_local(&self) -> bool {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_address_is_local(self.as_raw()) }
    }

    /// The route, if it leads through the interface `ifindex`.
    pub(super) fn route(&self, ifindex: u32) -> Option<Route<'_>> {
        // INVARIANT: A valid route is in the socket, and stays there while that is locked.
        self.route_valid(ifindex).then_some(Route(self))
    }
}

impl Route<'_> {
    /// What observes or steers the frames: a tap, XDP, tc, netfilter, a cgroup program, IPsec, RPS.
    pub(super) fn observer(&self) -> Option<Detail> {
        // SAFETY: By the type's invariant. The helper returns a string literal.
        unsafe { Detail::found(bindings::tcp_observer(self.0.as_raw())) }
    }

    /// Whether the latest frame that Linux received came by the interface of the route.
    pub(super) fn receives_here(&self) -> bool {
        // SAFETY: By the type's invariant.
        unsafe { bindings::tcp_receives_here(self.0.as_raw()) }
    }

    /// The next hop and its Ethernet address, if that is known.
    pub(super) fn next_hop(&self) -> Option<([u8; 6], Neighbour)> {
        // SAFETY: By the type's invariant.
        let neighbour = NonNull::new(unsafe { bindings::tcp_next_hop(self.0.as_raw()) })?;
        // SAFETY: The helper returns a reference.
        let neighbour = unsafe { Neighbour::from_raw(neighbour) };
        Some((neighbour.address()?, neighbour))
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
