// SPDX-License-Identifier: GPL-2.0

//! Sample frames for tests.

use alloc::vec;
use alloc::vec::Vec;

use super::checksum;
use super::ethernet;
use super::ethernet::ethertype;
use super::ipv4;
use super::ipv6;
use super::put16;
use super::tcp;
use super::tcp::Repr;

/// A TCP frame over IPv4 or IPv6 with a valid checksum.
pub fn frame(v6: bool, tcp: &Repr, payload: &[u8]) -> Vec<u8> {
    let ip = if v6 { ipv6::HEADER } else { ipv4::HEADER };
    let mut frame = vec![0; ethernet::HEADER + ip + tcp.length()];
    let length = tcp.length() + payload.len();
    let (head, segment) = frame.split_at_mut(ethernet::HEADER + ip);
    tcp.emit(segment);
    let ethertype = if v6 { ethertype::IPV6 } else { ethertype::IPV4 };
    put16(head, ethernet::TYPE, ethertype);
    let ip = &mut head[ethernet::HEADER..];
    let mut sum = if v6 {
        ipv6::Repr {
            traffic_class: 0,
            flow_label: 5,
            protocol: tcp::PROTOCOL,
            hop_limit: 64,
            source: [1; 16],
            destination: [2; 16],
        }
        .emit(ip);
        ipv6::finish(ip, length as u16);
        checksum::pseudo_header(&[1; 16], &[2; 16], tcp::PROTOCOL, length as u32)
    } else {
        ipv4::Repr {
            dont_fragment: true,
            tos: 0,
            ttl: 64,
            protocol: tcp::PROTOCOL,
            source: [1; 4],
            destination: [2; 4],
        }
        .emit(ip);
        ipv4::finish(ip, (length + ipv4::HEADER) as u16, 9);
        checksum::pseudo_header(&[1; 4], &[2; 4], tcp::PROTOCOL, length as u32)
    };
    sum.add(segment);
    sum.add(payload);
    put16(segment, tcp::CHECKSUM, sum.finish());
    frame.extend_from_slice(payload);
    frame
}
