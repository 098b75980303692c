// SPDX-License-Identifier: GPL-2.0

//! Parameters of a connection that can change while the adapter carries it.

use super::seq::later;
use crate::abi::{
    connection::{
        flag,
        ConnectionState, //
    },
    submission::{
        update,
        SubmissionOp,
        Update, //
    }, //
};

/// Parameters of a connection: what the socket wants, or what the adapter has been told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameters {
    /// Values of `TCP_NODELAY` and `TCP_CORK`: [`flag`] bits.
    pub(super) flags: u16,
    /// Largest payload of a segment in bytes.
    pub(super) mss: u16,
    /// Right edge of the receive window.
    pub(super) rcv_edge: u32,
    /// Hardware address of the next hop.
    pub(super) remote_mac: [u8; 6],
}

/// Bits of [`Parameters::flags`].
pub(super) const FLAGS: u16 = flag::NODELAY | flag::CORK;

impl From<&ConnectionState> for Parameters {
    fn from(state: &ConnectionState) -> Self {
        Self {
            flags: state.flags & FLAGS,
            mss: state.mss,
            rcv_edge: state.rcv_edge,
            remote_mac: state.remote_mac,
        }
    }
}

impl Parameters {
    /// Returns the update from these parameters to `wanted`, without a device identifier.
    pub(super) fn update_to(&self, wanted: &Self) -> Update {
        let changed = |bit: u16, is_changed: bool| if is_changed { bit } else { 0 };
        Update {
            op: SubmissionOp::Update.raw(),
            valid: changed(update::FLAGS, self.flags != wanted.flags)
                | changed(update::MSS, self.mss != wanted.mss)
                | changed(update::RCV_EDGE, self.rcv_edge != wanted.rcv_edge)
                | changed(update::REMOTE_MAC, self.remote_mac != wanted.remote_mac),
            flags: wanted.flags,
            mss: wanted.mss,
            rcv_edge: wanted.rcv_edge,
            remote_mac: wanted.remote_mac,
            ..Update::default()
        }
    }

    /// Moves the right edge of the receive window to `edge`, unless it is further already.
    pub(super) fn open_window(&mut self, edge: u32) {
        self.rcv_edge = later(self.rcv_edge, edge);
    }
}
