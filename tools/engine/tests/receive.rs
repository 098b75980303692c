// SPDX-License-Identifier: GPL-2.0

//! Placement of received frames.

#[path = "support/peer.rs"]
mod peer;
mod support;

use toe_abi::admin::storage;
use toe_abi::completion;
use toe_abi::completion::CompletionOp;
use toe_abi::completion::Reason;
use toe_abi::completion::frame_flag;
use toe_abi::rss;
use toe_abi::stats::Counter;
use toe_engine::MAX_FRAME;
use toe_engine::env::Capabilities;
use toe_engine::env::RxOffload;
use toe_engine::processor::Message;
use toe_engine::processor::Next;
use toe_engine::processor::Processor;
use toe_engine::processor::Received;
use toe_engine::tcp::Seq;
use toe_engine::tcp::flag;
use toe_engine::wire::checksum;
use toe_engine::wire::ethernet;
use toe_engine::wire::ipv4;
use toe_engine::wire::packet::Packet;
use toe_engine::wire::tcp;
use toe_engine::wire::tcp::Repr;
use toe_engine::wire::udp;

use self::support::Event;
use self::support::Node;
use self::support::TestEnv;
use self::support::WireFrame;
use self::support::config;
use self::support::vxlan::encapsulated;

#[test]
fn payload_takes_the_pages_of_a_batch_in_their_order() {
    const FRAMES: u32 = 40;
    const LENGTH: usize = 1400;
    const PAGES: u32 = 32;
    let mut node = Node::with_pages(&config(), Capabilities::ALL, PAGES);
    node.driver.repost = false;
    let [mut end, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    end.delegate(&mut node);
    let mut pages = Vec::new();
    for i in 0..FRAMES {
        let repr = Repr {
            window: 1000,
            ..peer.repr(Seq(peer.state.send.snd_nxt) + i * LENGTH as u32)
        };
        let bytes = peer::frame(&peer.state, &repr, &[5; LENGTH]);
        let offload = RxOffload::default();
        node.receive(2, &WireFrame { bytes, offload });
        node.poll(2);
        for event in node.driver.completions(&mut node.env) {
            if let Event::Deliver(deliver, _) = event {
                pages.extend_from_slice(&deliver.pages[..deliver.page_count.into()]);
            }
        }
    }
    pages.dedup();
    assert_eq!(pages.len(), (FRAMES as usize * LENGTH).div_ceil(4096));
    // The driver has posted the pages in descending order.
    let posted: Vec<u32> = (0..PAGES).rev().take(pages.len()).collect();
    assert_eq!(pages, posted);
}

/// A sender takes a segment for lost when only one that it sent later is acknowledged.
#[test]
fn what_precedes_a_segment_out_of_order_is_acknowledged_with_it() {
    const LENGTH: usize = 1000;
    let mut node = Node::new(&config(), Capabilities::ALL);
    let [mut end, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    end.delegate(&mut node);
    node.env.wire.clear();
    let start = Seq(peer.state.send.snd_nxt);
    // Of one batch: each is received before the processor is polled.
    for i in [0, 2] {
        let repr = Repr {
            window: 1000,
            ..peer.repr(start + i * LENGTH as u32)
        };
        let bytes = peer::frame(&peer.state, &repr, &[5; LENGTH]);
        let offload = RxOffload::default();
        node.receive(2, &WireFrame { bytes, offload });
    }
    let answer = node.env.wire.pop_front().unwrap();
    let packet = Packet::parse(&answer.bytes).unwrap();
    let header = packet.tcp(&answer.bytes).unwrap();
    assert_eq!(header.ack(), start + LENGTH as u32);
    // Nothing is acknowledged that the host does not have.
    assert!(matches!(
        node.driver.completions(&mut node.env)[..],
        [Event::Deliver(..)]
    ));
}

/// Both bounds have to be exceeded: of frames and of time.
#[test]
fn a_host_that_stays_out_of_step_gets_the_connection_back() {
    let mut node = Node::new(&config(), Capabilities::ALL);
    let [mut end, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    end.delegate(&mut node);
    // Behind a hole that is not filled.
    let repr = Repr {
        window: 1000,
        ..peer.repr(Seq(peer.state.send.snd_nxt) + 1000)
    };
    let mut frame = WireFrame {
        bytes: peer::frame(&peer.state, &repr, &[5; 100]),
        offload: RxOffload::default(),
    };
    peer::add_unknown_option(&mut frame);
    let returned = |node: &mut Node, now| {
        node.receive(now, &frame);
        node.poll(now);
        let events = node.driver.completions(&mut node.env);
        node.env.wire.clear();
        events.into_iter().find_map(|event| match event {
            Event::Returned(returned, _) => Some(returned.reason),
            _ => None,
        })
    };
    // In one second.
    for i in 0..10_000 {
        assert_eq!(returned(&mut node, 2 + i * 100), None);
    }
    assert_eq!(returned(&mut node, 10_000_000), None);
    let reason = returned(&mut node, 10_100_000);
    assert_eq!(reason, Some(Reason::OutOfStep.raw()));
    assert_eq!(node.counter(Counter::LegacyEntered), 1);
    assert_eq!(node.counter(Counter::LegacyOption), 1);
}

/// A first fragment returns a connection only if it is one of TCP, from the windows.
#[test]
fn fragments_belong_to_the_connection_that_sent_them() {
    const L3: usize = ethernet::HEADER;
    let cases = [
        (tcp::PROTOCOL, 0, 1, 1),
        (tcp::PROTOCOL, 1 << 30, 0, 0),
        (udp::PROTOCOL, 0, 0, 1),
    ];
    for (protocol, ahead, returns, frames) in cases {
        let mut node = Node::new(&config(), Capabilities::ALL);
        let [mut end, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
        end.delegate(&mut node);
        node.driver.completions(&mut node.env);
        let repr = Repr {
            window: 1000,
            ..peer.repr(Seq(peer.state.send.snd_nxt) + ahead)
        };
        let mut bytes = peer::frame(&peer.state, &repr, &[5; 100]);
        bytes[L3 + 9] = protocol;
        // More fragments.
        bytes[L3 + 6..L3 + 8].copy_from_slice(&[0x20, 0]);
        bytes[L3 + ipv4::CHECKSUM..][..2].fill(0);
        let check = !checksum::sum(&bytes[L3..L3 + ipv4::HEADER]);
        bytes[L3 + ipv4::CHECKSUM..][..2].copy_from_slice(&check.to_be_bytes());
        let offload = RxOffload::default();
        node.receive(2, &WireFrame { bytes, offload });
        node.poll(2);
        let events = node.driver.completions(&mut node.env);
        let passed = events
            .iter()
            .filter(|event| matches!(event, Event::Frame(..)));
        assert_eq!(passed.count(), frames, "{protocol} {ahead}");
        assert_eq!(
            node.counter(Counter::Returned),
            returns,
            "{protocol} {ahead}"
        );
    }
}

#[test]
fn what_a_connection_is_given_back_with_is_split_as_well() {
    let mut node = Node::new(&config(), Capabilities::ALL);
    let flags = storage::SPLIT | storage::SPLIT_ALL;
    node.processor.set_storage(flags, 0).unwrap();
    let [mut end, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    end.delegate(&mut node);
    let repr = Repr {
        flags: flag::ACK | flag::FIN,
        window: 1000,
        ..peer.repr(Seq(peer.state.send.snd_nxt))
    };
    let bytes = peer::frame(&peer.state, &repr, &[5; 1000]);
    let offload = RxOffload::default();
    let frame = WireFrame { bytes, offload };
    node.receive(2, &frame);
    node.poll(2);
    let events = node.driver.completions(&mut node.env);
    let legacy = events.iter().find_map(|event| match event {
        Event::Frame(first, bytes) => Some((*first, bytes)),
        _ => None,
    });
    let (first, bytes) = legacy.expect("a frame with the FIN");
    assert_eq!(*bytes, frame.bytes);
    let kept = frame_flag::LEGACY | frame_flag::HEADER_RING;
    assert_eq!(first.flags & kept, frame_flag::LEGACY);
    assert_eq!((first.page_count, first.data_length), (1, 1000));
}

#[test]
fn a_processor_that_does_not_run_passes_on_what_belongs_to_others() {
    let mut env = TestEnv::new(Capabilities::ALL);
    let two = toe_engine::processor::Config {
        processors: 2,
        ..config()
    };
    let mut processor = Processor::new(&two);
    let [_, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    let frame = peer::frame(&peer.state, &peer.repr(Seq(1)), &[5; 100]);
    let offload = RxOffload::default();
    let mut received = |assigned: u8, here: bool, frame: &[u8]| {
        let config = rss::Config {
            key: rss::DEFAULT_KEY,
            table: [assigned; rss::INDIRECTION],
        };
        let fields = rss::Fields::DEFAULT.bits();
        processor.set_rss(0, &config, fields).unwrap();
        if here {
            let message = Message::Frame {
                bytes: frame,
                offload,
            };
            processor.receive_message(1, &mut env, message);
            return Received::Done;
        }
        processor.receive(1, &mut env, frame, &offload)
    };
    assert_eq!(received(1, false, &frame), Received::Elsewhere(1));
    assert_eq!(received(0, false, &frame), Received::Done);
    assert_eq!(received(1, true, &frame), Received::Done);
    let mut for_another = frame.clone();
    for_another[5] ^= 1;
    assert_eq!(received(1, false, &for_another), Received::Done);
}

#[test]
fn a_flow_inside_vxlan_is_its_network_s() {
    const LENGTH: u32 = 1000;
    let mut node = Node::new(&config(), Capabilities::ALL);
    node.poll(1);
    let [_, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    let mut up = Vec::new();
    let mut flows = Vec::new();
    for round in 0..3 {
        for vni in [1, 2] {
            let repr = peer.repr(Seq(1) + round * LENGTH);
            let inner = peer::frame(&peer.state, &repr, &[vni as u8; LENGTH as usize]);
            let bytes = encapsulated(vni, &inner);
            let offload = RxOffload::default();
            let frame = WireFrame { bytes, offload };
            node.receive(1, &frame);
            node.poll(1);
            for event in node.driver.completions(&mut node.env) {
                let Event::Frame(first, bytes) = event else {
                    panic!("not a frame");
                };
                assert_eq!(bytes, frame.bytes);
                let op = match round {
                    0 => CompletionOp::FlowBegins,
                    _ => CompletionOp::Reassembled,
                };
                assert_eq!(first.op, op.raw());
                // Outer and inner headers in cells, payload in the page of the inner flow.
                assert_eq!(
                    usize::from(first.header_length),
                    bytes.len() - LENGTH as usize
                );
                assert_eq!(u32::from(first.data_offset), round * LENGTH);
                flows.push(first.flow);
                up.push(first.pages[0]);
            }
        }
    }
    assert_eq!(up, [up[0], up[1]].repeat(3));
    assert_eq!(flows, [flows[0], flows[1]].repeat(3));
    assert!(up[0] != up[1] && flows[0] != flows[1]);
    // Another protocol on the VXLAN port is uploaded as it is.
    let mut other = encapsulated(1, &[0; 60]);
    other[ethernet::HEADER + ipv4::HEADER + udp::HEADER] = 0;
    let offload = RxOffload::default();
    node.receive(
        1,
        &WireFrame {
            bytes: other,
            offload,
        },
    );
    node.poll(1);
    for event in node.driver.completions(&mut node.env) {
        let Event::Frame(first, _) = event else {
            panic!("not a frame");
        };
        assert_eq!(
            (first.op, first.page_count),
            (CompletionOp::NotTcp.raw(), 0)
        );
        assert!(first.header_page != completion::NO_PAGE);
    }
}

#[test]
fn a_frame_longer_than_any_is_dropped() {
    for length in [MAX_FRAME, MAX_FRAME + 1, MAX_FRAME + 3, 2 * MAX_FRAME] {
        for flags in [flag::ACK, flag::ACK | flag::FIN] {
            for seq in [0, 500] {
                let mut node = Node::new(&config(), Capabilities::ALL);
                let [mut end, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
                end.delegate(&mut node);
                let repr = Repr {
                    flags,
                    window: 1000,
                    ..peer.repr(Seq(peer.state.send.snd_nxt) + seq)
                };
                // Behind the datagram, whose segments are not too long.
                let mut bytes = peer::frame(&peer.state, &repr, &[5; 3000]);
                bytes.resize(length, 0);
                let offload = RxOffload {
                    gso_size: 1000,
                    ..RxOffload::default()
                };
                node.receive(2, &WireFrame { bytes, offload });
                node.poll(2);
                node.processor.stop().unwrap();
                assert_eq!(node.poll(3), Next::Stopped);
                let dropped = u64::from(length > MAX_FRAME);
                assert_eq!(node.counter(Counter::RxMalformed), dropped, "{length}");
            }
        }
    }
}
