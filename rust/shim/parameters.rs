// SPDX-License-Identifier: GPL-2.0

//! Parameters of a connection that can change while the adapter carries it.

use super::seq::later;
use crate::{
    abi::{
        connection::ConnectionState,
        submission::{
            update,
            SubmissionOp,
            Update, //
        }, //
    },
    tcp::sock, //
};

/// Parameters of a connection: what the socket wants, or what the adapter has been told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameters {
    /// What options, sysctls and the route say.
    pub(super) socket: sock::Parameters,
    /// Right edge of the receive window.
    pub(super) rcv_edge: u32,
    /// Hardware address of the next hop.
    pub(super) remote_mac: [u8; 6],
}

/// What the adapter knows after a hand-over with this state.
impl From<&ConnectionState> for Parameters {
    fn from(state: &ConnectionState) -> Self {
        Self {
            socket: state.into(),
            rcv_edge: state.rcv_edge,
            remote_mac: state.remote_mac,
        }
    }
}

impl Parameters {
    /// Returns the update from these parameters to `wanted`, without a device identifier.
    pub(super) fn update_to(&self, wanted: &Self) -> Update {
        let (old, new) = (&self.socket, &wanted.socket);
        let ip = |p: &sock::Parameters| (p.tos, p.ttl, p.flow_label);
        let times = |p: &sock::Parameters| (p.rto_min_us, p.rto_max_us, p.delack_max_us);
        let patience = |p: &sock::Parameters| (p.retry_us, p.user_timeout_us);
        let changed = [
            (update::FLAGS, old.flags != new.flags),
            (update::RCV_EDGE, self.rcv_edge != wanted.rcv_edge),
            (update::REMOTE_MAC, self.remote_mac != wanted.remote_mac),
            (update::MSS, old.mss != new.mss),
            (update::IP, ip(old) != ip(new)),
            (update::TIMES, times(old) != times(new)),
            (update::PATIENCE, patience(old) != patience(new)),
            (update::CWND_LIMIT, old.cwnd_limit != new.cwnd_limit),
        ];
        let bit = |&(bit, is_changed): &(u16, bool)| if is_changed { bit } else { 0 };
        Update {
            op: SubmissionOp::Update.raw(),
            valid: changed.iter().map(bit).fold(0, |all, bit| all | bit),
            flags: new.flags,
            mss: new.mss,
            rcv_edge: wanted.rcv_edge,
            remote_mac: wanted.remote_mac,
            tos: new.tos,
            ttl: new.ttl,
            rto_min_us: new.rto_min_us,
            rto_max_us: new.rto_max_us,
            delack_max_us: new.delack_max_us,
            retry_us: new.retry_us,
            user_timeout_us: new.user_timeout_us,
            cwnd_limit: new.cwnd_limit,
            flow_label: new.flow_label,
            ..Update::default()
        }
    }

    /// Moves the right edge of the receive window to `edge`, unless it is further already.
    pub(super) fn open_window(&mut self, edge: u32) {
        self.rcv_edge = later(self.rcv_edge, edge);
    }
}
