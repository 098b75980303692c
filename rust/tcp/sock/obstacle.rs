// SPDX-License-Identifier: GPL-2.0

//! What prevents delegation.

use super::{
    route::Route,
    tcp::Tcp, //
};
use crate::{
    bindings,
    net::neighbour::Neighbour, //
};
use kernel::{
    fmt,
    prelude::*, //
};

/// A property of a connection that prevents delegation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The connection is not in state ESTABLISHED, is shut down, has an error, or no process has it
    /// open.
    NotEstablished,
    /// Another protocol owns the socket: a ULP, sockmap, SMC, MPTCP.
    Protocol,
    /// There is no route, or it leads through another interface.
    NoRoute,
    /// The local address is not one of the host.
    Address,
    /// Frames are received through another interface.
    Interface,
    /// The next hop's Ethernet address is not known.
    NoNeighbour,
    /// Segments are signed: TCP-MD5, TCP-AO.
    Signed,
    /// The congestion control is not cubic.
    CongestionControl,
    /// Accurate ECN was agreed.
    AccurateEcn,
    /// Something inspects or steers the frames.
    Filter(Detail),
    /// Urgent data is pending.
    Urgent,
    /// An option that the adapter does not implement, or payload that is not in pages.
    Option(Detail),
    /// Data is being retransmitted. Transient.
    Recovery,
}

/// What exactly an obstacle is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A name.
    Name(&'static CStr),
    /// A `setsockopt` with this level and name.
    Setsockopt(c_int, c_int),
}

impl Detail {
    /// Returns the name that a helper has found, if any.
    ///
    /// # Safety
    ///
    /// `name` must be null or a string literal.
    pub(super) unsafe fn found(name: *const c_char) -> Option<Self> {
        // SAFETY: The caller promises it.
        (!name.is_null()).then(|| Self::Name(unsafe { CStr::from_char_ptr(name) }))
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name.to_str().unwrap_or("?")),
            Self::Setsockopt(level, name) => write!(f, "setsockopt level {level} option {name}"),
        }
    }
}

/// The congestion control that the adapter implements, as `tcp_congestion_ops` names it.
const CONGESTION_CONTROL: &[u8] = b"cubic\0";

impl Tcp<'_> {
    /// Returns the next hop of a connection that may be delegated through the interface `ifindex`, and
    /// its Ethernet address.
    ///
    /// # Errors
    ///
    /// The first obstacle of those that prevent a hand-over and end a delegation alike.
    pub fn next_hop(&self, ifindex: u32) -> Result<([u8; 6], Neighbour), Obstacle> {
        let route = self.passable(ifindex)?;
        if !self.is_address_local() {
            return Err(Obstacle::Address);
        }
        route.next_hop().ok_or(Obstacle::NoNeighbour)
    }

    /// Returns whether the connection may bypass Linux at this moment, as far as can be told at little
    /// cost.
    ///
    /// # Errors
    ///
    /// The first obstacle.
    #[inline]
    pub fn may_bypass(&self, ifindex: u32) -> Result<(), Obstacle> {
        self.passable(ifindex).map(|_| ())
    }

    fn passable(&self, ifindex: u32) -> Result<Route<'_>, Obstacle> {
        // Linux removes the routes of an address with it.
        let Some(route) = self.route(ifindex) else {
            return Err(match self.is_address_local() {
                true => Obstacle::NoRoute,
                false => Obstacle::Address,
            });
        };
        self.settings()?;
        if let Some(observer) = route.observer() {
            return Err(Obstacle::Filter(observer));
        }
        if !route.receives_here() {
            return Err(Obstacle::Interface);
        }
        Ok(route)
    }

    /// Returns whether the socket's settings permit delegation. They change without notice: options of
    /// `SOL_SOCKET` and those that BPF programs set do not pass through the protocol's `setsockopt`.
    ///
    /// # Errors
    ///
    /// The first obstacle.
    #[inline]
    pub fn settings(&self) -> Result<(), Obstacle> {
        let sk = self.as_raw();
        // SAFETY: The socket is locked. The helpers return string literals.
        let (signed, observer, option) = unsafe {
            (
                bindings::tcp_is_signed(sk),
                Detail::found(bindings::tcp_socket_observer(sk)),
                Detail::found(bindings::tcp_option(sk)),
            )
        };
        if signed {
            return Err(Obstacle::Signed);
        }
        if !self.has_known_congestion_control() {
            return Err(Obstacle::CongestionControl);
        }
        if let Some(observer) = observer {
            return Err(Obstacle::Filter(observer));
        }
        option.map_or(Ok(()), |option| Err(Obstacle::Option(option)))
    }

    /// Whether the congestion control is the one that the adapter implements.
    fn has_known_congestion_control(&self) -> bool {
        // SAFETY: The socket is locked; TCP always has a congestion control.
        let name = unsafe { (*(*self.as_tcp()).inet_conn.icsk_ca_ops).name };
        name.starts_with(CONGESTION_CONTROL)
    }

    /// Returns whether nothing is in the way of a hand-over that cannot appear while the connection is
    /// delegated.
    ///
    /// # Errors
    ///
    /// The first obstacle.
    pub(super) fn may_be_handed_over(&self) -> Result<(), Obstacle> {
        if !self.is_usable() {
            return Err(Obstacle::NotEstablished);
        }
        if self.has_other_protocol() {
            return Err(Obstacle::Protocol);
        }
        // SAFETY: The socket is locked.
        if unsafe { bindings::tcp_ecn_mode_accecn(self.as_raw()) } {
            return Err(Obstacle::AccurateEcn);
        }
        // SAFETY: The socket is locked.
        if self.is_urgent() || unsafe { (*self.as_tcp()).urg_data } != 0 {
            return Err(Obstacle::Urgent);
        }
        if let Some(name) = self.unfinished() {
            return Err(Obstacle::Option(Detail::Name(name)));
        }
        Ok(())
    }

    fn is_usable(&self) -> bool {
        let sk = self.as_raw();
        // SAFETY: The socket is locked.
        let closed = unsafe { (*sk).sk_shutdown != 0 || (*sk).sk_err != 0 };
        self.is_established() && self.is_open() && !closed
    }

    /// Whether a sockops program runs for the socket.
    pub fn is_in_sockops_cgroup(&self) -> bool {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_in_sockops_cgroup(self.as_raw()) }
    }

    fn has_other_protocol(&self) -> bool {
        let sk = self.as_raw();
        // SAFETY: The socket is locked.
        unsafe {
            !(*self.as_tcp()).inet_conn.icsk_ulp_ops.is_null()
                || (*sk).__sk_common.skc_prot != (*sk).sk_prot_creator
                || bindings::sk_is_mptcp(sk)
        }
    }

    /// Returns what is under way that the adapter cannot continue.
    fn unfinished(&self) -> Option<&'static CStr> {
        let tp = self.as_tcp();
        // SAFETY: The socket is locked.
        unsafe {
            if !(*tp).fastopen_req.is_null() || !(*tp).fastopen_rsk.is_null() {
                return Some(c"TCP Fast Open");
            }
            bindings::tcp_has_linear_data(self.as_raw()).then_some(c"payload outside of pages")
        }
    }
}
