// SPDX-License-Identifier: GPL-2.0

//! What options, sysctls and the route say about how a connection sends.

use super::tcp::Tcp;
use crate::{
    abi::{
        connection::{
            flag,
            ConnectionState, //
        },
        submission::{
            DELACK_MAX_US,
            MIN_TIME_US,
            RTO_MAX_US,
            RTO_MIN_US, //
        }, //
    },
    bindings, //
};

/// Parameters of a connection, by the names and with the units of
/// [`Update`](crate::abi::submission::Update).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Bits of [`Self::FLAGS`].
    pub flags: u16,
    /// Largest payload of a segment in bytes.
    pub mss: u16,
    /// IPv6 flow label.
    pub flow_label: u32,
    /// Type of service or traffic class, without the ECN bits.
    pub tos: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// Smallest retransmission timeout.
    pub rto_min_us: u32,
    /// Largest retransmission timeout.
    pub rto_max_us: u32,
    /// Longest delay of an acknowledgement.
    pub delack_max_us: u32,
    /// Time of retransmissions without an answer.
    pub retry_us: u32,
    /// Time without an answer, 0 for no limit.
    pub user_timeout_us: u32,
    /// Largest congestion window in segments, 0 for no limit.
    pub cwnd_limit: u32,
}

impl Parameters {
    /// The bits of [`ConnectionState::flags`] that can change.
    pub const FLAGS: u16 =
        flag::NODELAY | flag::CORK | flag::FRAGMENT | flag::KEEP_CWND | flag::REPORT_SENT;
}

/// What the adapter knows after a hand-over with this state.
impl From<&ConnectionState> for Parameters {
    fn from(state: &ConnectionState) -> Self {
        Self {
            flags: state.flags & Self::FLAGS,
            mss: state.mss,
            flow_label: state.flow_label,
            tos: state.tos,
            ttl: state.ttl,
            rto_min_us: RTO_MIN_US,
            rto_max_us: RTO_MAX_US,
            delack_max_us: DELACK_MAX_US,
            retry_us: 0,
            user_timeout_us: 0,
            cwnd_limit: 0,
        }
    }
}

impl Tcp<'_> {
    /// Chooses another flow label and path, if the socket permits that, when nothing has been acknowledged
    /// for a retransmission timeout. To be called about once a second.
    pub fn rehash(&mut self) {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_rehash(self.as_raw()) }
    }

    /// The parameters, if the route leads through the interface `ifindex`.
    pub fn parameters(&self, ifindex: u32) -> Option<Parameters> {
        if !self.route_valid(ifindex) {
            return None;
        }
        let mut raw = bindings::toe_parameters::default();
        // SAFETY: The socket is locked and has a route.
        unsafe { bindings::tcp_parameters(self.as_raw(), &mut raw) };
        let rto_min_us = raw.rto_min_us.clamp(MIN_TIME_US, RTO_MAX_US);
        let flag = |set: bool, flag: u16| if set { flag } else { 0 };
        Some(Parameters {
            flags: self.nagle() & Parameters::FLAGS
                | flag(raw.fragment, flag::FRAGMENT)
                | flag(raw.keep_cwnd, flag::KEEP_CWND)
                | flag(raw.report_sent, flag::REPORT_SENT),
            // CAST: Limited by the size of a packet.
            mss: self.mss() as u16,
            flow_label: raw.flow_label,
            tos: raw.tos,
            ttl: raw.ttl,
            rto_min_us,
            rto_max_us: raw.rto_max_us.clamp(rto_min_us, RTO_MAX_US),
            delack_max_us: raw.delack_max_us.clamp(MIN_TIME_US, DELACK_MAX_US),
            retry_us: raw.retry_us,
            user_timeout_us: raw.user_timeout_us,
            cwnd_limit: raw.cwnd_limit,
        })
    }
}
