// SPDX-License-Identifier: GPL-2.0

//! A connection that the adapter's TCP runs.

use toe_abi::Layout;
use toe_abi::completion::Reason;
use toe_abi::connection;
use toe_abi::connection::ConnectionState;
use toe_abi::submission::Update;
use toe_abi::submission::update;

use super::protocol::Packet;
use super::template::Template;
use crate::ring::Entry;
use crate::tcp::Instant;
use crate::tcp::Records;
use crate::tcp::Seq;
use crate::tcp::Tcb;
use crate::tuple::Tuple;
use crate::wire::ethernet;
use crate::wire::ipv4;
use crate::wire::ipv6;
use crate::wire::tcp;

/// Whether a segment with `mss` bytes of payload of the connection described by `state` fits into
/// `mtu` bytes.
pub fn fits(state: &ConnectionState, mss: u16, mtu: usize) -> bool {
    let has = |flag| state.flags & flag != 0;
    let network = match has(connection::flag::IPV6) {
        true => ipv6::HEADER,
        false => ipv4::HEADER,
    };
    let options = match has(connection::flag::TIMESTAMPS) {
        true => tcp::TIMESTAMPS,
        false => 0,
    };
    network + tcp::HEADER + options + usize::from(mss) <= mtu
}

/// TCP state of one connection.
pub struct Tcp {
    /// The state machine.
    pub tcb: Tcb,
    /// End of the payload that has been announced to `tcb`.
    submitted: Seq,
    template: Template,
    tuple: Tuple,
    /// State at the hand-over. Only the fields that `tcb` does not keep are used: addresses, and
    /// what the connection announced when it was established.
    handed_over: ConnectionState,
}

impl Tcp {
    /// Creates the connection `tuple`. `tcb` was created from `state`, the host's description.
    pub fn new(tuple: &Tuple, state: &ConnectionState, tcb: Tcb) -> Self {
        Self {
            submitted: tcb.snd_una(),
            tcb,
            template: Template::new(state, tuple),
            tuple: *tuple,
            handed_over: *state,
        }
    }

    /// See [`Protocol::next_packet`](super::Protocol::next_packet).
    #[inline]
    pub fn next_packet(&mut self, now: u64, large: bool, records: &impl Records) -> Option<Packet> {
        let limit = if large {
            self.template.max_payload()
        } else {
            1
        };
        let segment = self.tcb.poll_transmit(Instant(now), limit, records)?;
        Some(self.template.packet(&segment))
    }

    /// See [`Protocol::delivered`](super::Protocol::delivered).
    #[inline]
    pub fn delivered(&mut self) {
        let end = self.tcb.rcv_nxt();
        self.tcb.delivered(end);
    }

    /// See [`Protocol::deadline`](super::Protocol::deadline).
    #[inline]
    pub fn deadline(&self) -> Option<u64> {
        self.tcb.deadline().map(|at| at.0)
    }

    /// See [`Protocol::on_timer`](super::Protocol::on_timer).
    pub fn on_timer(&mut self, now: u64) -> Result<(), Reason> {
        self.tcb.on_timer(Instant(now))
    }

    /// See [`Protocol::progress`](super::Protocol::progress).
    #[inline]
    pub fn progress(&self, host_id: u32) -> Entry {
        self.tcb.acked(host_id).to_bytes()
    }

    /// See [`Protocol::submit`](super::Protocol::submit). Payload that was acknowledged between the
    /// host's snapshot of its state and the hand-over is skipped.
    #[inline]
    pub fn submit(&mut self, end: Seq, push: bool, more: bool) -> Result<(), Reason> {
        if end.after(self.submitted) {
            let length = end - self.submitted;
            self.tcb.submit(self.submitted, length, push, more)?;
            self.submitted = end;
        }
        Ok(())
    }

    /// See [`Protocol::update`](super::Protocol::update).
    pub fn update(&mut self, request: &Update, mtu: usize) -> Result<(), Reason> {
        let valid = |bit: u16| request.valid & bit != 0;
        if valid(update::REMOTE_MAC) {
            if ethernet::is_multicast(request.remote_mac) {
                return Err(Reason::Submission);
            }
            self.handed_over.remote_mac = request.remote_mac;
            self.template.set_remote_mac(request.remote_mac);
        }
        if valid(update::MSS) {
            if !fits(&self.handed_over, request.mss, mtu) {
                return Err(Reason::Submission);
            }
            self.tcb.set_mss(request.mss)?;
        }
        if valid(update::FLAGS) {
            self.tcb.set_flags(request.flags);
            let fragment = request.flags & connection::flag::FRAGMENT != 0;
            self.handed_over.set(connection::flag::FRAGMENT, fragment);
        }
        if valid(update::IP) {
            if request.ttl == 0 || request.flow_label >> 20 != 0 {
                return Err(Reason::Submission);
            }
            self.handed_over.tos = request.tos;
            self.handed_over.flow_label = request.flow_label;
            self.handed_over.ttl = request.ttl;
        }
        if valid(update::IP) || valid(update::FLAGS) {
            self.template.set_ip(&self.handed_over, &self.tuple);
        }
        if valid(update::RCV_EDGE) {
            self.tcb.set_rcv_edge(Seq(request.rcv_edge));
        }
        if valid(update::TIMES) {
            let (rto_min, rto_max) = (request.rto_min_us, request.rto_max_us);
            self.tcb
                .set_times(rto_min, rto_max, request.delack_max_us)?;
        }
        if valid(update::PATIENCE) {
            self.tcb
                .set_patience(request.retry_us, request.user_timeout_us);
        }
        if valid(update::CWND_LIMIT) {
            self.tcb.set_cwnd_limit(request.cwnd_limit);
        }
        Ok(())
    }

    /// See [`Protocol::export`](super::Protocol::export).
    pub fn export(&self, now: u64) -> ConnectionState {
        let identity = connection::flag::IPV6 | connection::flag::VLAN;
        let tcp = self.tcb.export(Instant(now));
        let from = &self.handed_over;
        ConnectionState {
            local_address: from.local_address,
            remote_address: from.remote_address,
            local_port: from.local_port,
            remote_port: from.remote_port,
            local_mac: from.local_mac,
            remote_mac: from.remote_mac,
            vlan_tci: from.vlan_tci,
            flow_label: from.flow_label,
            tos: from.tos,
            ttl: from.ttl,
            rcv_mss: from.rcv_mss,
            flags: tcp.flags & !identity | from.flags & identity,
            ..tcp
        }
    }
}
