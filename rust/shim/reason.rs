// SPDX-License-Identifier: GPL-2.0

//! Reasons of refused hand-overs and of returns.
//!
//! The values are those of the netlink family (`Documentation/netlink/specs/toe.yaml`), which include
//! the adapter's own.

use crate::{
    abi::completion::{
        HandoverStatus,
        Reason, //
    },
    bindings,
    tcp::{
        shadow::Recall,
        sock::{
            Detail,
            Obstacle, //
        }, //
    }, //
};
use kernel::prelude::*;

/// Declares an enumeration and the list of its values.
macro_rules! reasons {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $value:expr,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub(crate) enum $name {
            $($(#[$variant_meta])* $variant = $value,)*
        }

        impl $name {
            /// All values.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the index in [`Self::ALL`].
            pub(crate) fn index(self) -> usize {
                Self::ALL.iter().position(|&r| r == self).unwrap_or(0)
            }
        }
    };
}

/// A reason, and what exactly it was where the reason leaves that open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Why<R> {
    /// The reason, which counters and programs distinguish.
    pub(super) reason: R,
    /// What exactly it was.
    pub(super) detail: Option<Detail>,
}

impl<R> From<R> for Why<R> {
    fn from(reason: R) -> Self {
        Self {
            reason,
            detail: None,
        }
    }
}

impl<R> Why<R> {
    /// A reason that is `name`.
    pub(super) fn named(reason: R, name: &'static CStr) -> Self {
        Self {
            reason,
            detail: Some(Detail::Name(name)),
        }
    }
}

reasons! {
    /// Reason for which a connection was not handed over.
    pub enum Refusal {
        /// The adapter does not know yet what the host has received.
        Busy = bindings::toe_refuse_reason_TOE_REFUSE_REASON_BUSY,
        /// The connection table is full.
        TableFull = bindings::toe_refuse_reason_TOE_REFUSE_REASON_TABLE_FULL,
        /// The adapter has the connection already.
        Exists = bindings::toe_refuse_reason_TOE_REFUSE_REASON_EXISTS,
        /// The receive hash steers the connection to another processor.
        WrongProcessor = bindings::toe_refuse_reason_TOE_REFUSE_REASON_WRONG_PROCESSOR,
        /// The connection's state is inconsistent.
        BadState = bindings::toe_refuse_reason_TOE_REFUSE_REASON_BAD_STATE,
        /// The connection needs a feature that the adapter does not have.
        Unsupported = bindings::toe_refuse_reason_TOE_REFUSE_REASON_UNSUPPORTED,
        /// `net.toe.enable` is 0.
        Disabled = bindings::toe_refuse_reason_TOE_REFUSE_REASON_DISABLED,
        /// The connection is not in state ESTABLISHED.
        NotEstablished = bindings::toe_refuse_reason_TOE_REFUSE_REASON_NOT_ESTABLISHED,
        /// The route does not lead through an adapter that accepts connections.
        NoDevice = bindings::toe_refuse_reason_TOE_REFUSE_REASON_NO_DEVICE,
        /// The next hop's hardware address is not known.
        NoNeighbour = bindings::toe_refuse_reason_TOE_REFUSE_REASON_NO_NEIGHBOUR,
        /// The adapter does not implement the congestion control algorithm.
        CongestionControl = bindings::toe_refuse_reason_TOE_REFUSE_REASON_CONGESTION_CONTROL,
        /// The connection uses TCP-AO or TCP-MD5.
        Authentication = bindings::toe_refuse_reason_TOE_REFUSE_REASON_AUTHENTICATION,
        /// Urgent data is pending.
        Urgent = bindings::toe_refuse_reason_TOE_REFUSE_REASON_URGENT,
        /// The adapter does not support the ECN mode.
        Ecn = bindings::toe_refuse_reason_TOE_REFUSE_REASON_ECN,
        /// Data is being retransmitted, or is in the out-of-order queue.
        Recovery = bindings::toe_refuse_reason_TOE_REFUSE_REASON_RECOVERY,
        /// The adapter does not support a socket option that is set.
        Sockopt = bindings::toe_refuse_reason_TOE_REFUSE_REASON_SOCKOPT,
        /// The socket has another upper layer protocol, or uses MPTCP.
        Ulp = bindings::toe_refuse_reason_TOE_REFUSE_REASON_ULP,
        /// A packet filter, a tap or an xfrm policy needs the frames.
        Filter = bindings::toe_refuse_reason_TOE_REFUSE_REASON_FILTER,
        /// The host has no memory.
        NoMemory = bindings::toe_refuse_reason_TOE_REFUSE_REASON_NO_MEMORY,
        /// The local address is not one of the host.
        Address = bindings::toe_refuse_reason_TOE_REFUSE_REASON_ADDRESS,
        /// Frames are received through another interface.
        Interface = bindings::toe_refuse_reason_TOE_REFUSE_REASON_INTERFACE,
        /// The user has `net.toe.max_user_connections` connections already.
        UserLimit = bindings::toe_refuse_reason_TOE_REFUSE_REASON_USER_LIMIT,
    }
}

impl Refusal {
    /// Returns the reason for a [`HandoverStatus`] of the adapter, or `None` for `Ok`.
    pub(crate) fn from_status(status: u8) -> Option<Self> {
        match HandoverStatus::from_raw(status) {
            Some(HandoverStatus::Ok) => None,
            Some(HandoverStatus::Busy) => Some(Self::Busy),
            Some(HandoverStatus::TableFull) => Some(Self::TableFull),
            Some(HandoverStatus::Exists) => Some(Self::Exists),
            Some(HandoverStatus::WrongProcessor) => Some(Self::WrongProcessor),
            Some(HandoverStatus::BadState) => Some(Self::BadState),
            Some(HandoverStatus::Unsupported) | None => Some(Self::Unsupported),
        }
    }

    /// Returns whether another attempt may succeed soon.
    pub(crate) fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Recovery
                | Self::WrongProcessor
                | Self::NoNeighbour
                | Self::NoMemory
                // The interface may have been registered anew since the latest frame.
                | Self::Interface
        )
    }

    /// Returns the error of `setsockopt(TCP_ULP)`.
    pub(crate) fn error(self) -> Error {
        match self {
            Self::Busy | Self::Recovery | Self::WrongProcessor | Self::Urgent => EAGAIN,
            Self::TableFull => ENOSPC,
            Self::UserLimit => EDQUOT,
            Self::Exists | Self::Ulp => EEXIST,
            Self::BadState => EPROTO,
            Self::Disabled => EPERM,
            Self::NotEstablished => ENOTCONN,
            Self::NoDevice => ENODEV,
            Self::NoNeighbour => EHOSTUNREACH,
            Self::NoMemory => ENOMEM,
            Self::Unsupported
            | Self::CongestionControl
            | Self::Authentication
            | Self::Ecn
            | Self::Sockopt
            | Self::Filter
            | Self::Address
            | Self::Interface => EOPNOTSUPP,
        }
    }

    /// Returns the text for the extended acknowledgement of netlink.
    pub(crate) fn text(self) -> &'static CStr {
        match self {
            Self::Busy => c"the adapter does not know yet what the host has received",
            Self::TableFull => c"the adapter's connection table is full",
            Self::Exists => c"the adapter has the connection already",
            Self::WrongProcessor => c"the receive hash has just changed",
            Self::BadState => c"the adapter considers the connection's state inconsistent",
            Self::Unsupported => c"the adapter does not support a feature of the connection",
            Self::Disabled => c"net.toe.enable is 0",
            Self::NotEstablished => c"the connection is not established",
            Self::NoDevice => c"the route does not lead through an adapter",
            Self::NoNeighbour => c"the next hop's hardware address is not known",
            Self::CongestionControl => c"the congestion control is not cubic",
            Self::Authentication => c"the connection uses TCP-AO or TCP-MD5",
            Self::Urgent => c"urgent data is pending",
            Self::Ecn => c"the adapter does not support the ECN mode",
            Self::Recovery => c"data is being retransmitted",
            Self::Sockopt => c"the adapter does not support",
            Self::Ulp => c"the socket has another upper layer protocol",
            Self::Filter => c"the frames must be seen by",
            Self::NoMemory => c"no memory",
            Self::Address => c"the local address is not one of the host",
            Self::Interface => c"frames are received through another interface",
            Self::UserLimit => c"the user has net.toe.max_user_connections connections already",
        }
    }
}

impl From<Obstacle> for Why<Refusal> {
    fn from(obstacle: Obstacle) -> Self {
        let (reason, detail) = match obstacle {
            Obstacle::NotEstablished => (Refusal::NotEstablished, None),
            Obstacle::Protocol => (Refusal::Ulp, None),
            Obstacle::NoRoute => (Refusal::NoDevice, None),
            Obstacle::Address => (Refusal::Address, None),
            Obstacle::Interface => (Refusal::Interface, None),
            Obstacle::NoNeighbour => (Refusal::NoNeighbour, None),
            Obstacle::Signed => (Refusal::Authentication, None),
            Obstacle::CongestionControl => (Refusal::CongestionControl, None),
            Obstacle::AccurateEcn => (Refusal::Ecn, None),
            Obstacle::Filter(detail) => (Refusal::Filter, Some(detail)),
            Obstacle::Urgent => (Refusal::Urgent, None),
            Obstacle::Option(detail) => (Refusal::Sockopt, Some(detail)),
            Obstacle::Recovery => (Refusal::Recovery, None),
        };
        Self { reason, detail }
    }
}

reasons! {
    /// Cause of a return.
    pub enum Cause {
        /// Requested by the host, for a cause that is none of those below.
        Host = bindings::toe_return_reason_TOE_RETURN_REASON_HOST,
        /// The peer sent FIN.
        Fin = bindings::toe_return_reason_TOE_RETURN_REASON_FIN,
        /// The peer sent RST.
        Reset = bindings::toe_return_reason_TOE_RETURN_REASON_RESET,
        /// The peer sent SYN.
        Syn = bindings::toe_return_reason_TOE_RETURN_REASON_SYN,
        /// The peer sent urgent data.
        Urgent = bindings::toe_return_reason_TOE_RETURN_REASON_URGENT,
        /// More out-of-order data than the adapter can hold.
        OutOfOrder = bindings::toe_return_reason_TOE_RETURN_REASON_OUT_OF_ORDER,
        /// An IP or TCP option that the adapter does not know.
        Option = bindings::toe_return_reason_TOE_RETURN_REASON_OPTION,
        /// The peer sent an IP fragment.
        Fragment = bindings::toe_return_reason_TOE_RETURN_REASON_FRAGMENT,
        /// The peer keeps probing a window that the host does not open.
        Window = bindings::toe_return_reason_TOE_RETURN_REASON_WINDOW,
        /// Too many retransmission timeouts in a row.
        Timeout = bindings::toe_return_reason_TOE_RETURN_REASON_TIMEOUT,
        /// The host posted no pages for too long.
        NoPages = bindings::toe_return_reason_TOE_RETURN_REASON_NO_PAGES,
        /// A submission contradicts the connection's state.
        Submission = bindings::toe_return_reason_TOE_RETURN_REASON_SUBMISSION,
        /// The processor stops.
        Stop = bindings::toe_return_reason_TOE_RETURN_REASON_STOP,
        /// The receive hash steers the connection to another processor.
        Moved = bindings::toe_return_reason_TOE_RETURN_REASON_MOVED,
        /// The adapter needs room in its connection table.
        Pressure = bindings::toe_return_reason_TOE_RETURN_REASON_PRESSURE,
        /// An ECN mark on a connection without ECN.
        Ecn = bindings::toe_return_reason_TOE_RETURN_REASON_ECN,
        /// The peer repeats data that was passed to Linux before the hand-over and that Linux has not
        /// acknowledged.
        Gap = bindings::toe_return_reason_TOE_RETURN_REASON_GAP,
        /// Too many legacy frames for too long without a confirmation of Linux.
        OutOfStep = bindings::toe_return_reason_TOE_RETURN_REASON_OUT_OF_STEP,
        /// A `conn-return` request.
        User = bindings::toe_return_reason_TOE_RETURN_REASON_USER,
        /// `net.toe.enable` was set to 0.
        Sysctl = bindings::toe_return_reason_TOE_RETURN_REASON_SYSCTL,
        /// `shutdown()`.
        Shutdown = bindings::toe_return_reason_TOE_RETURN_REASON_SHUTDOWN,
        /// The socket was closed or disconnected.
        Close = bindings::toe_return_reason_TOE_RETURN_REASON_CLOSE,
        /// The adapter does not support a socket option.
        Sockopt = bindings::toe_return_reason_TOE_RETURN_REASON_SOCKOPT,
        /// The application sends urgent data.
        Oob = bindings::toe_return_reason_TOE_RETURN_REASON_OOB,
        /// The interface goes down.
        LinkDown = bindings::toe_return_reason_TOE_RETURN_REASON_LINK_DOWN,
        /// The local address was removed.
        Address = bindings::toe_return_reason_TOE_RETURN_REASON_ADDRESS,
        /// The route leads through another interface.
        Route = bindings::toe_return_reason_TOE_RETURN_REASON_ROUTE,
        /// The next hop's hardware address is no longer known.
        Neighbour = bindings::toe_return_reason_TOE_RETURN_REASON_NEIGHBOUR,
        /// A packet filter, a tap or an XDP program needs the frames.
        Filter = bindings::toe_return_reason_TOE_RETURN_REASON_FILTER,
        /// The adapter failed.
        DeviceLost = bindings::toe_return_reason_TOE_RETURN_REASON_DEVICE_LOST,
        /// Linux received frames of the peer through another interface.
        Interface = bindings::toe_return_reason_TOE_RETURN_REASON_INTERFACE,
    }
}

impl Cause {
    /// Returns the cause of value `raw`.
    const fn from_raw(raw: u32) -> Option<Self> {
        let mut i = 0;
        while i < Self::ALL.len() {
            if Self::ALL[i] as u32 == raw {
                return Some(Self::ALL[i]);
            }
            i += 1;
        }
        None
    }

    /// Returns the cause for a [`Reason`] of the adapter. `asked` is the cause of the host's request, if
    /// there was one.
    pub(super) fn from_reason(reason: u8, asked: Option<Why<Self>>) -> Why<Self> {
        match Reason::from_raw(reason) {
            Some(Reason::Host) | None => asked.unwrap_or(Self::Host.into()),
            // A processor that works is stopped only when the interface goes down.
            Some(Reason::Stop) => asked.unwrap_or(Self::LinkDown.into()),
            Some(reason) => Self::from_raw(reason.raw().into())
                .unwrap_or(Self::Host)
                .into(),
        }
    }

    /// Returns whether automatic delegation backs off after this cause.
    pub(crate) fn is_involuntary(self) -> bool {
        !matches!(
            self,
            Self::Host | Self::User | Self::Moved | Self::LinkDown | Self::Stop
        )
    }
}

// Each reason of the adapter is a cause of the same value.
const _: () = {
    let mut i = 0;
    while i < Reason::ALL.len() {
        assert!(Cause::from_raw(Reason::ALL[i].raw() as u32).is_some());
        i += 1;
    }
};

impl From<Obstacle> for Why<Cause> {
    fn from(obstacle: Obstacle) -> Self {
        let (reason, detail) = match obstacle {
            Obstacle::Address => (Cause::Address, None),
            Obstacle::NoRoute => (Cause::Route, None),
            Obstacle::Interface => (Cause::Interface, None),
            Obstacle::NoNeighbour => (Cause::Neighbour, None),
            Obstacle::Filter(detail) => (Cause::Filter, Some(detail)),
            Obstacle::Option(detail) => (Cause::Sockopt, Some(detail)),
            Obstacle::Signed => return Self::named(Cause::Sockopt, c"TCP_MD5SIG or TCP_AO"),
            Obstacle::CongestionControl => return Self::named(Cause::Sockopt, c"TCP_CONGESTION"),
            Obstacle::NotEstablished
            | Obstacle::Protocol
            | Obstacle::AccurateEcn
            | Obstacle::Urgent
            | Obstacle::Recovery => (Cause::Host, None),
        };
        Self { reason, detail }
    }
}

impl From<Recall> for Why<Cause> {
    fn from(recall: Recall) -> Self {
        match recall {
            Recall::Close | Recall::Disconnect | Recall::Abort => Cause::Close.into(),
            Recall::Shutdown => Cause::Shutdown.into(),
            Recall::Option(level, name) => Self {
                reason: Cause::Sockopt,
                detail: Some(Detail::Setsockopt(level, name)),
            },
        }
    }
}
