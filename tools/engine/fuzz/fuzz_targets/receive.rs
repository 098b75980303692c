// SPDX-License-Identifier: GPL-2.0

//! Hostile received frames: parser, flow database, placement and hardware GRO.
//!
//! The input consists of settings, steering rules, and frames, each preceded by a byte of flags. A
//! frame is raw bytes, or a segment of one of a few flows with some bytes modified. Checksums are
//! corrected, so that the fuzzer need not guess them. No input may cause a panic, a page to be
//! released twice, or completions that name overlapping memory. The driver model checks the last
//! two.

#![no_main]

#[path = "../../tests/support/peer.rs"]
mod peer;
#[path = "../../tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;

use toe_abi::admin::storage;
use toe_abi::rules::Action;
use toe_abi::rules::Pattern;
use toe_abi::rules::Rule;
use toe_engine::env::Capabilities;
use toe_engine::env::Partial;
use toe_engine::env::RxChecksum;
use toe_engine::env::RxOffload;
use toe_engine::tcp::Seq;
use toe_engine::wire::ethernet;
use toe_engine::wire::ethernet::ethertype;
use toe_engine::wire::ipv4;
use toe_engine::wire::tcp;

use self::support::Node;
use self::support::WireFrame;
use self::support::config;
use self::support::vxlan::encapsulated;

/// The frame is a segment with modified bytes.
const SEGMENT: u8 = 1 << 0;
/// The port reports a valid checksum.
const VALID: u8 = 1 << 1;
/// The port delivers the frame as a GSO frame.
const LARGE: u8 = 1 << 2;
/// Do not correct the IPv4 header checksum.
const UNMENDED: u8 = 1 << 3;
/// End of a batch.
const POLL: u8 = 1 << 4;
/// The host consumes completions.
const TAKE: u8 = 1 << 5;
/// Encapsulate the frame in VXLAN.
const ENCAPSULATED: u8 = 1 << 6;
/// The port reports a partial checksum.
const PARTIAL: u8 = 1 << 7;

/// Number of flows: IPv4 and IPv6, with and without a VLAN tag.
const FLOWS: usize = 8;

/// Takes up to `n` bytes from `input`.
fn bytes<'a>(input: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(n.min(input.len()));
    *input = rest;
    taken
}

fn byte(input: &mut &[u8]) -> Option<u8> {
    bytes(input, 1).first().copied()
}

/// Corrects the IPv4 header checksum of `frame`, if any.
fn mend(frame: &mut [u8]) {
    let Ok(header) = ethernet::Header::new(frame) else {
        return;
    };
    let (l3, v4) = (header.length(), header.ethertype() == ethertype::IPV4);
    if let Some(ip) = frame.get_mut(l3..).filter(|_| v4) {
        if ipv4::Header::new(ip, ip.len()).is_ok() {
            let word = |at: usize| u16::from_be_bytes([ip[at], ip[at + 1]]);
            let (total, id) = (word(ipv4::TOTAL_LENGTH), word(ipv4::ID));
            ipv4::finish(ip, total, id);
        }
    }
}

/// Next segment of a flow, as described by `input`.
fn segment(ends: &[peer::End], seqs: &mut [u32; FLOWS], input: &mut &[u8]) -> Option<Vec<u8>> {
    let (which, flags) = (byte(input)?, byte(input)?);
    let (shift, length) = (byte(input)?, byte(input)?);
    let flow = usize::from(which) % FLOWS;
    // Usually the next sequence number, else slightly before or after.
    let seq = seqs[flow].wrapping_add_signed(i32::from(shift as i8).clamp(-16, 16) & !7);
    let payload = vec![which; usize::from(length) * 8];
    seqs[flow] = seq.wrapping_add(payload.len() as u32);
    let repr = tcp::Repr {
        flags: tcp::flag::ACK ^ flags,
        ..ends[flow].repr(Seq(seq))
    };
    let mut frame = peer::frame(&ends[flow].state, &repr, &payload);
    for _ in 0..byte(input)? % 4 {
        let (at, value) = (byte(input)?, byte(input)?);
        if let Some(byte) = frame.get_mut(usize::from(at)) {
            *byte ^= value;
        }
    }
    Some(frame)
}

/// Sets a rule on one header byte, as described by `input`.
fn set_rule(node: &mut Node, location: u16, input: &mut &[u8]) -> Option<()> {
    let (at, value, what) = (byte(input)?, byte(input)?, byte(input)?);
    let mut pattern = Pattern::default();
    let at = usize::from(at) % pattern.mask.len();
    (pattern.value[at], pattern.mask[at]) = (value, 0xff);
    let action = match what & 1 {
        0 => Action::Drop,
        _ => Action::Context(0),
    };
    let rule = Rule::new(location, action, &pattern).tagged(u32::from(what >> 1));
    node.processor.set_rule(rule).ok()
}

fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let mut node = Node::new(&config(), Capabilities::default());
    let Some(settings) = byte(&mut input) else {
        return;
    };
    let more = byte(&mut input).unwrap_or(0);
    let mut flags = u32::from(settings) & (storage::SPLIT | storage::GRO);
    if more & 1 != 0 {
        flags |= storage::SPLIT_ALL;
    }
    let small_frame = u16::from(settings >> 2) * 16;
    let _ = node.processor.set_mtu(9000);
    let _ = node.processor.set_storage(flags, small_frame);
    for location in 0..u16::from(more >> 1 & 3) {
        let _ = set_rule(&mut node, location, &mut input);
    }
    node.poll(0);
    let end = |n: usize| {
        let [_, mut end] = peer::pair(n & 1 != 0, n & 2 != 0, [Vec::new(), Vec::new()], 1);
        end.state.local_port += n as u16;
        end
    };
    let ends: Vec<_> = (0..FLOWS).map(end).collect();
    let mut seqs = [0; FLOWS];
    let mut now = 1;
    while let Some(flags) = byte(&mut input) {
        let frame = match flags & SEGMENT {
            0 => {
                let length = byte(&mut input).map_or(0, usize::from) * 8;
                Some(bytes(&mut input, length).to_vec())
            }
            _ => segment(&ends, &mut seqs, &mut input),
        };
        let Some(mut frame) = frame else {
            break;
        };
        if flags & ENCAPSULATED != 0 {
            frame = encapsulated(0, &frame);
        }
        if let Some(mac) = frame.get_mut(..6) {
            mac.copy_from_slice(&config().mac);
        }
        if flags & UNMENDED == 0 {
            mend(&mut frame);
        }
        let offload = RxOffload {
            checksum: match (flags & PARTIAL, flags & VALID) {
                (0, 0) => RxChecksum::Unknown,
                (0, _) => RxChecksum::Valid,
                _ => RxChecksum::Partial(Partial {
                    start: byte(&mut input).unwrap_or(34).into(),
                    offset: 16,
                }),
            },
            gso_size: if flags & LARGE != 0 { 100 } else { 0 },
        };
        now += 10;
        node.receive(
            now,
            &WireFrame {
                bytes: frame,
                offload,
            },
        );
        if flags & POLL != 0 {
            node.poll(now);
        }
        if flags & TAKE != 0 {
            node.driver.completions(&mut node.env);
        }
    }
    node.poll(now);
    node.driver.completions(&mut node.env);
});
