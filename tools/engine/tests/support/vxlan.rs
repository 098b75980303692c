// SPDX-License-Identifier: GPL-2.0

//! VXLAN encapsulation.

use toe_engine::wire::ethernet;
use toe_engine::wire::ethernet::ethertype;
use toe_engine::wire::ipv4;
use toe_engine::wire::udp;
use toe_engine::wire::vxlan;

use super::config;

/// `inner` in a VXLAN datagram of network `vni`.
pub fn encapsulated(vni: u32, inner: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER + ipv4::HEADER + udp::HEADER + vxlan::HEADER];
    frame[..6].copy_from_slice(&config().mac);
    frame[ethernet::TYPE..ethernet::HEADER].copy_from_slice(&ethertype::IPV4.to_be_bytes());
    let (l4, length) = (
        ethernet::HEADER + ipv4::HEADER,
        udp::HEADER + vxlan::HEADER + inner.len(),
    );
    let ip = &mut frame[ethernet::HEADER..];
    ipv4::Repr {
        dont_fragment: true,
        tos: 0,
        ttl: 64,
        protocol: udp::PROTOCOL,
        source: [198, 51, 100, 2],
        destination: [198, 51, 100, 1],
    }
    .emit(ip);
    ipv4::finish(ip, (ipv4::HEADER + length) as u16, 0);
    frame[l4 + 2..l4 + 4].copy_from_slice(&vxlan::PORT.to_be_bytes());
    frame[l4 + 4..l4 + 6].copy_from_slice(&(length as u16).to_be_bytes());
    frame[l4 + 8] = 8;
    frame[l4 + 12..l4 + 16].copy_from_slice(&(vni << 8).to_be_bytes());
    frame.extend_from_slice(inner);
    frame
}
