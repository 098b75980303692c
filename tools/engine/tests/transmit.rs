// SPDX-License-Identifier: GPL-2.0

//! Frames of the host's own stack: the engine does the offloads that the port lacks, and counts
//! invalid frames.

#[path = "support/peer.rs"]
mod peer;
mod support;

use toe_abi::ring;
use toe_abi::ring::RingId;
use toe_abi::stats::Counter;
use toe_abi::transmit::Descriptor;
use toe_abi::transmit::flag;
use toe_engine::env::Capabilities;
use toe_engine::env::Host;
use toe_engine::tcp::Seq;
use toe_engine::wire::checksum;
use toe_engine::wire::packet::Class;
use toe_engine::wire::packet::Packet;
use toe_engine::wire::tcp;
use toe_engine::wire::tcp::Repr;
use toe_engine::wire::udp;

use self::support::BASE;
use self::support::FREE;
use self::support::Node;
use self::support::config;

/// A TCP frame as Linux passes it for segmentation: the checksum field holds the sum of the
/// pseudo-header.
fn large(v6: bool, payload: &[u8]) -> Vec<u8> {
    let [end, _] = peer::pair(v6, false, [Vec::new(), Vec::new()], 1);
    let repr = Repr {
        source: 1,
        destination: 2,
        seq: Seq(0xffff_ff00),
        flags: tcp::flag::ACK | tcp::flag::PSH | tcp::flag::CWR,
        window: 7,
        ..Repr::default()
    };
    let mut frame = peer::frame(&end.state, &repr, payload);
    let packet = Packet::parse(&frame).unwrap();
    let (source, destination) = packet.addresses(&frame);
    let length = (frame.len() - usize::from(packet.l4)) as u32;
    let sum = checksum::pseudo_header(source, destination, tcp::PROTOCOL, length).value();
    let at = usize::from(packet.l4) + tcp::CHECKSUM;
    frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// Sends `bytes` in entries that end at `cuts`, with `first` in the first entry.
fn transmit(node: &mut Node, bytes: &[u8], cuts: &[usize], first: Descriptor) {
    node.env.write(BASE + FREE, bytes).unwrap();
    let mut from = 0;
    let mut entries = Vec::new();
    for &to in cuts.iter().chain([&bytes.len()]) {
        entries.push(Descriptor {
            address: BASE + FREE + from as u64,
            length: (to - from) as u32,
            ..Descriptor::default()
        });
        from = to;
    }
    let (address, length) = (entries[0].address, entries[0].length);
    entries[0] = Descriptor {
        address,
        length,
        ..first
    };
    entries.last_mut().unwrap().flags |= flag::END;
    node.driver.transmit(&mut node.env, &entries);
}

fn tso(bytes: &[u8], size: u16) -> Descriptor {
    let packet = Packet::parse(bytes).unwrap();
    Descriptor {
        flags: flag::TSO,
        gso_size: size,
        csum_start: packet.l4,
        csum_offset: tcp::CHECKSUM as u16,
        header_length: packet.payload,
        ..Descriptor::default()
    }
}

#[test]
fn large_segments_are_cut_for_a_plain_port() {
    let payload: Vec<u8> = (0..20_001u32).map(|i| (i * 7) as u8).collect();
    for (v6, tag) in [
        (false, None),
        (true, None),
        (false, Some(55)),
        (true, Some(55)),
    ] {
        let mut node = Node::new(&config(), Capabilities::NONE);
        let bytes = large(v6, &payload);
        let mut first = tso(&bytes, 1400);
        if let Some(tci) = tag {
            first.flags |= flag::VLAN;
            first.vlan_tci = tci;
        }
        // When the port fills up in between, it gets the rest later, and nothing twice.
        node.env.room = 6;
        transmit(&mut node, &bytes, &[100, 101, 5000], first);
        node.poll(1);
        assert_eq!(node.env.wire.len(), 6);
        node.env.room = usize::MAX;
        node.poll(2);
        assert_eq!(node.env.wire.len(), 15);
        let mut together = Vec::new();
        for (i, frame) in node.env.wire.iter().enumerate() {
            let packet = Packet::parse(&frame.bytes).unwrap();
            assert_eq!((packet.class, packet.vlan), (Class::Tcp, tag));
            assert_eq!(packet.checksum_ok(&frame.bytes), Some(true));
            assert_eq!(packet.end as usize, frame.bytes.len());
            let header = packet.tcp(&frame.bytes).unwrap();
            assert_eq!(header.seq(), Seq(0xffff_ff00) + together.len() as u32);
            assert_eq!(header.flags() & tcp::flag::PSH != 0, i == 14);
            assert_eq!(header.flags() & tcp::flag::CWR != 0, i == 0);
            together.extend_from_slice(packet.payload(&frame.bytes));
        }
        assert!(together == payload);
        assert_eq!(node.counter(Counter::TxFrames), 15);
        let bytes: usize = node.env.wire.iter().map(|frame| frame.bytes.len()).sum();
        assert_eq!(node.counter(Counter::TxBytes), bytes as u64);
        assert_eq!(node.env.status(RingId::Transmit.index_offset()), 4);
    }
}

#[test]
fn datagrams_are_cut_for_a_plain_port() {
    let mut node = Node::new(&config(), Capabilities::NONE);
    let mut bytes = large(false, &[3; 3000]);
    // The TCP header of 20 bytes becomes a UDP header and 12 bytes of payload.
    let packet = Packet::parse(&bytes).unwrap();
    let (l3, l4) = (usize::from(packet.l3), usize::from(packet.l4));
    let length = (bytes.len() - l4) as u16;
    bytes[l3 + 9] = udp::PROTOCOL;
    bytes[l4 + 4..l4 + 6].copy_from_slice(&length.to_be_bytes());
    let total = (bytes.len() - l3) as u16;
    toe_engine::wire::ipv4::finish(&mut bytes[l3..], total, 1);
    let first = Descriptor {
        flags: flag::USO,
        gso_size: 1000,
        csum_start: l4 as u16,
        csum_offset: udp::CHECKSUM as u16,
        header_length: (l4 + udp::HEADER) as u16,
        ..Descriptor::default()
    };
    transmit(&mut node, &bytes, &[60], first);
    node.poll(1);
    assert_eq!(node.env.wire.len(), 4);
    for frame in &node.env.wire {
        let packet = Packet::parse(&frame.bytes).unwrap();
        assert_eq!(packet.class, Class::Udp);
        assert_eq!(packet.checksum_ok(&frame.bytes), Some(true));
    }
}

#[test]
fn a_checksum_is_completed_for_a_plain_port() {
    for v6 in [false, true] {
        let mut node = Node::new(&config(), Capabilities::NONE);
        let bytes = large(v6, &[9; 777]);
        let mut first = tso(&bytes, 0);
        first.flags = flag::CSUM;
        transmit(&mut node, &bytes, &[300], first);
        node.poll(1);
        let frame = &node.env.wire[0].bytes;
        assert_eq!(Packet::parse(frame).unwrap().checksum_ok(frame), Some(true));
    }
}

#[test]
fn what_makes_no_sense_is_counted_and_the_ring_goes_on() {
    let mut node = Node::new(&config(), Capabilities::NONE);
    let bytes = large(false, &[1; 5000]);
    let good = tso(&bytes, 1000);
    let wrong = [
        Descriptor {
            gso_size: 0,
            ..good
        },
        Descriptor {
            gso_size: 1461,
            ..good
        },
        Descriptor {
            header_length: 60,
            ..good
        },
        Descriptor {
            csum_start: 20,
            ..good
        },
        Descriptor {
            csum_offset: 6,
            ..good
        },
        Descriptor {
            flags: flag::USO,
            ..good
        },
        Descriptor {
            flags: flag::TSO | flag::USO,
            ..good
        },
        // Without segmentation, the frame exceeds the MTU.
        Descriptor { flags: 0, ..good },
    ];
    for first in wrong {
        transmit(&mut node, &bytes, &[100], first);
        node.poll(1);
    }
    // Too many entries, then a length of zero.
    let entry = Descriptor {
        address: BASE + FREE,
        length: 10,
        ..Descriptor::default()
    };
    let mut entries = [entry; 30];
    entries[29].flags = flag::END;
    node.driver.transmit(&mut node.env, &entries);
    node.poll(1);
    let empty = Descriptor {
        length: 0,
        flags: flag::END,
        ..entry
    };
    node.driver.transmit(&mut node.env, &[empty]);
    node.poll(1);
    let invalid = wrong.len() as u64 + 2;
    assert_eq!(node.counter(Counter::TxInvalid), invalid);
    let unmapped = Descriptor {
        address: 1,
        length: 100,
        flags: flag::END,
        ..entry
    };
    node.driver.transmit(&mut node.env, &[unmapped]);
    node.poll(1);
    assert_eq!(node.counter(Counter::TxFault), 1);
    assert!(node.env.wire.is_empty());
    transmit(&mut node, &bytes, &[100], good);
    node.poll(1);
    assert_eq!(node.env.wire.len(), 5);
}

#[test]
fn the_host_is_interrupted_once_for_each_arm_word() {
    let mut node = Node::new(&config(), Capabilities::NONE);
    let bytes = large(false, &[1; 5000]);
    node.env.doorbell[ring::ARM_TRANSMIT / 4] = ring::transmit_arm_word(2);
    node.poll(1);
    assert_eq!(node.env.interrupts, 0);
    transmit(&mut node, &bytes, &[100], tso(&bytes, 1000));
    node.poll(1);
    node.poll(2);
    assert_eq!(node.env.interrupts, 1);
    // The interrupt is delayed after a completion.
    node.processor.set_coalesce(50, 0).unwrap();
    node.env.doorbell[ring::ARM / 4] = ring::arm_word(0);
    let mut frame = bytes.clone();
    frame[..6].copy_from_slice(&[0xff; 6]);
    frame.truncate(60);
    node.receive(
        10,
        &support::WireFrame {
            bytes: frame,
            offload: Default::default(),
        },
    );
    node.poll(10);
    node.poll(59);
    assert_eq!(node.env.interrupts, 1);
    node.poll(60);
    node.poll(61);
    assert_eq!(node.env.interrupts, 2);
}
