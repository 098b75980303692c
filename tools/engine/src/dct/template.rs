// SPDX-License-Identifier: GPL-2.0

//! Headers of the packets that a TCP connection sends.

use toe_abi::connection;
use toe_abi::connection::ConnectionState;

use super::protocol::Packet;
use crate::env::Gso;
use crate::env::GsoKind;
use crate::env::Offload;
use crate::env::Partial;
use crate::tcp::Outgoing;
use crate::tuple::Tuple;
use crate::wire::checksum;
use crate::wire::ethernet;
use crate::wire::ethernet::ethertype;
use crate::wire::ipv4;
use crate::wire::ipv6;
use crate::wire::tcp;
use crate::wire::tcp::Options;
use crate::wire::tcp::Repr;

/// Longest header: Ethernet with one VLAN tag, IPv6, TCP with options.
pub const MAX_HEADER: usize = ethernet::HEADER + ethernet::TAG + ipv6::HEADER + tcp::MAX_HEADER;
/// Longest header below TCP.
const MAX_LOWER: usize = ethernet::HEADER + ethernet::TAG + ipv6::HEADER;
/// ECT(0) in the ECN field (RFC 3168, 5).
const ECT0: u8 = 0b10;

/// Headers below TCP, which are the same in every packet of a connection but for lengths,
/// checksums, the ECN field and the IPv4 identification.
pub struct Template {
    bytes: [u8; MAX_LOWER],
    /// Offset of the IP header.
    l3: usize,
    /// Offset of the TCP header.
    l4: usize,
    /// IP version.
    version: u8,
    /// Source and destination port.
    ports: (u16, u16),
    /// Checksum of the pseudo-header without the length.
    pseudo: u16,
    /// IPv4 identification of the next packet.
    id: u16,
}

impl Template {
    /// Creates the headers of the connection `tuple` with state `state`.
    pub fn new(state: &ConnectionState, tuple: &Tuple) -> Self {
        let mut bytes = [0; MAX_LOWER];
        bytes[..6].copy_from_slice(&state.remote_mac);
        bytes[6..12].copy_from_slice(&state.local_mac);
        let mut l3 = ethernet::HEADER;
        if state.flags & connection::flag::VLAN != 0 {
            bytes[12..14].copy_from_slice(&ethertype::VLAN.to_be_bytes());
            bytes[14..16].copy_from_slice(&state.vlan_tci.to_be_bytes());
            l3 += ethernet::TAG;
        }
        let (source, destination) = tuple.addresses();
        let v6 = tuple.version == 6;
        let (ethertype, header) = match v6 {
            true => (ethertype::IPV6, ipv6::HEADER),
            false => (ethertype::IPV4, ipv4::HEADER),
        };
        bytes[l3 - 2..l3].copy_from_slice(&ethertype.to_be_bytes());
        let mut template = Self {
            bytes,
            l3,
            l4: l3 + header,
            version: tuple.version,
            ports: (tuple.local_port, tuple.remote_port),
            pseudo: checksum::pseudo_header(source, destination, tcp::PROTOCOL, 0).value(),
            id: 1,
        };
        template.set_ip(state, tuple);
        template
    }

    /// Writes the IP header of the connection `tuple` with state `state`.
    pub fn set_ip(&mut self, state: &ConnectionState, tuple: &Tuple) {
        let (source, destination) = tuple.addresses();
        let tos = state.tos & !3;
        if self.version == 6 {
            ipv6::Repr {
                traffic_class: tos,
                flow_label: state.flow_label,
                protocol: tcp::PROTOCOL,
                hop_limit: state.ttl,
                source: tuple.local,
                destination: tuple.remote,
            }
            .emit(&mut self.bytes[self.l3..]);
        } else {
            let mut v4 = [[0; 4]; 2];
            v4[0].copy_from_slice(source);
            v4[1].copy_from_slice(destination);
            ipv4::Repr {
                dont_fragment: !state.has(connection::flag::FRAGMENT),
                tos,
                ttl: state.ttl,
                protocol: tcp::PROTOCOL,
                source: v4[0],
                destination: v4[1],
            }
            .emit(&mut self.bytes[self.l3..]);
        }
    }

    /// Sets the MAC address of the next hop.
    pub fn set_remote_mac(&mut self, mac: [u8; 6]) {
        self.bytes[..6].copy_from_slice(&mac);
    }

    /// The packet that carries `segment`. Its TCP checksum field holds the sum of the pseudo-header.
    #[inline]
    pub fn packet(&mut self, segment: &Outgoing) -> Packet {
        let mut header = [0; MAX_HEADER];
        let header_length = self.emit(segment, &mut header);
        Packet {
            header,
            header_length,
            seq: segment.seq,
            length: segment.length,
            retransmit: segment.retransmit,
            offload: Offload {
                checksum: Some(self.partial()),
                gso: self.gso(segment, header_length),
            },
        }
    }

    /// Writes the header of `segment` into `to` and returns its length.
    #[inline]
    fn emit(&mut self, segment: &Outgoing, to: &mut [u8; MAX_HEADER]) -> usize {
        to[..self.l4].copy_from_slice(&self.bytes[..self.l4]);
        let repr = Repr {
            source: self.ports.0,
            destination: self.ports.1,
            seq: segment.seq,
            ack: segment.ack,
            flags: segment.flags,
            window: segment.window,
            options: Options {
                timestamps: segment.timestamps,
                sack: segment.sack,
                ..Options::default()
            },
        };
        let header = self.l4 + repr.length();
        repr.emit(&mut to[self.l4..]);
        let length = repr.length() as u32 + segment.length;
        let pseudo = checksum::fold(u64::from(self.pseudo) + u64::from(length));
        let at = self.l4 + tcp::CHECKSUM;
        to[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
        let ip = &mut to[self.l3..self.l4];
        if self.version == 6 {
            if segment.ect {
                ip[1] |= ECT0 << 4;
            }
            ipv6::finish(ip, length as u16);
        } else {
            if segment.ect {
                ip[1] |= ECT0;
            }
            ipv4::finish(ip, length as u16 + ipv4::HEADER as u16, self.id);
            self.id = self.id.wrapping_add(segment.wire_segments);
        }
        header
    }

    /// Largest payload of a segment, given by the length field of the IP header.
    pub fn max_payload(&self) -> u32 {
        let ip = if self.version == 6 { 0 } else { ipv4::HEADER };
        (usize::from(u16::MAX) - ip - tcp::MAX_HEADER) as u32
    }

    /// The checksum that is left to the port.
    fn partial(&self) -> Partial {
        Partial {
            start: self.l4 as u16,
            offset: tcp::CHECKSUM as u16,
        }
    }

    /// Segmentation that is left to the port, when `segment`, with a header of `header` bytes, exceeds
    /// the MSS.
    fn gso(&self, segment: &Outgoing, header: usize) -> Option<Gso> {
        (segment.gso_size != 0).then_some(Gso {
            kind: if self.version == 6 {
                GsoKind::Tcp6
            } else {
                GsoKind::Tcp4
            },
            size: segment.gso_size,
            header_length: header as u16,
            segments: segment.wire_segments,
        })
    }
}
