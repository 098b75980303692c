// SPDX-License-Identifier: GPL-2.0

//! Rules and hash contexts: assignment of frames and connections to processors.

#[path = "support/peer.rs"]
mod peer;
mod support;

use toe_abi::Layout;
use toe_abi::admin::CommandStatus;
use toe_abi::completion;
use toe_abi::completion::CompletionOp;
use toe_abi::completion::Reason;
use toe_abi::rss;
use toe_abi::rules::Action;
use toe_abi::rules::CONTEXTS;
use toe_abi::rules::Headers;
use toe_abi::rules::Pattern;
use toe_abi::rules::RULES;
use toe_abi::rules::Rule;
use toe_abi::rules::present;
use toe_abi::stats::Counter;
use toe_engine::env::Capabilities;
use toe_engine::env::RxOffload;
use toe_engine::processor::Config;
use toe_engine::processor::Processor;
use toe_engine::processor::Received;
use toe_engine::tcp::Seq;
use toe_engine::wire::ethernet;
use toe_engine::wire::ipv4;
use toe_engine::wire::udp;

use self::peer::End;
use self::support::Event;
use self::support::Node;
use self::support::TestEnv;
use self::support::config;

/// Matches frames for a port of the host, TCP or UDP.
fn to_port(port: u16) -> Pattern {
    let headers = |port: [u8; 2], present| Headers {
        destination_port: port,
        present,
        ..Headers::default()
    };
    Pattern {
        value: headers(port.to_be_bytes(), present::PORTS).to_bytes(),
        mask: headers([0xff; 2], present::PORTS).to_bytes(),
    }
}

/// Matches all TCP and UDP frames with a type of service.
fn with_tos(tos: u8) -> Pattern {
    let headers = |tos| Headers {
        tos,
        ..Headers::default()
    };
    Pattern {
        value: headers(tos).to_bytes(),
        mask: headers(0xff).to_bytes(),
    }
}

fn four() -> Config {
    Config {
        processors: 4,
        ..config()
    }
}

/// An indirection table with one processor in all entries.
fn only(processor: u8) -> rss::Config {
    rss::Config {
        key: rss::DEFAULT_KEY,
        table: [processor; rss::INDIRECTION],
    }
}

fn segment(peer: &End) -> Vec<u8> {
    peer::frame(&peer.state, &peer.repr(Seq(1)), &[5; 100])
}

#[test]
fn a_frame_goes_where_the_first_rule_says() {
    let mut env = TestEnv::new(Capabilities::ALL);
    let mut processor = Processor::new(&four());
    let [end, peer] = peer::pair(true, false, [Vec::new(), Vec::new()], 1);
    let frame = segment(&peer);
    let fields = rss::Fields::DEFAULT.bits();
    let mut goes = |processor: &mut Processor| {
        let offload = RxOffload::default();
        processor.receive(1, &mut env, &frame, &offload)
    };
    processor.set_rss(0, &only(1), fields).unwrap();
    assert_eq!(goes(&mut processor), Received::Elsewhere(1));
    let port = to_port(end.state.local_port);
    let by_port = Rule::new(9, Action::Processor(3), &port);
    processor.set_rule(by_port).unwrap();
    assert_eq!(goes(&mut processor), Received::Elsewhere(3));
    processor.set_rss(5, &only(2), fields).unwrap();
    let earlier = Rule::new(8, Action::Context(5), &with_tos(0));
    processor.set_rule(earlier).unwrap();
    assert_eq!(goes(&mut processor), Received::Elsewhere(2));
    assert_eq!(processor.remove_context(5), Err(CommandStatus::State));
    let other = Rule::new(8, Action::Context(5), &with_tos(4));
    processor.set_rule(other).unwrap();
    assert_eq!(goes(&mut processor), Received::Elsewhere(3));
    processor.remove_rule(9);
    assert_eq!(goes(&mut processor), Received::Elsewhere(1));
    processor.remove_rule(8);
    processor.remove_context(5).unwrap();
    assert_eq!(processor.remove_context(5), Err(CommandStatus::Invalid));
}

#[test]
fn what_is_not_there_is_refused() {
    let mut processor = Processor::new(&four());
    let fields = rss::Fields::DEFAULT.bits();
    let pattern = to_port(80);
    let beyond = CONTEXTS as u32;
    for (context, config) in [(beyond, only(0)), (1, only(4))] {
        let result = processor.set_rss(context, &config, fields);
        assert_eq!(result, Err(CommandStatus::Invalid), "{context}");
    }
    assert_eq!(processor.remove_context(0), Err(CommandStatus::Invalid));
    assert_eq!(
        processor.remove_context(beyond),
        Err(CommandStatus::Invalid)
    );
    for (location, action) in [
        (RULES as u16, Action::Drop),
        (0, Action::Processor(4)),
        (0, Action::Context(1)),
    ] {
        let rule = Rule::new(location, action, &pattern);
        let result = processor.set_rule(rule);
        assert_eq!(result, Err(CommandStatus::Invalid), "{location} {action:?}");
    }
    processor.reset();
}

#[test]
fn a_dropped_frame_is_counted() {
    let mut node = Node::new(&config(), Capabilities::ALL);
    let [end, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    let rule = Rule::new(0, Action::Drop, &to_port(end.state.local_port));
    node.processor.set_rule(rule).unwrap();
    let bytes = segment(&peer);
    let offload = RxOffload::default();
    let wire = support::WireFrame { bytes, offload };
    node.receive(1, &wire);
    node.poll(1);
    assert!(node.driver.completions(&mut node.env).is_empty());
    assert_eq!(node.counter(Counter::RxRuleDrops), 1);
    assert_eq!(node.counter(Counter::RxFrames), 1);
    node.processor.remove_rule(0);
    node.receive(2, &wire);
    node.poll(2);
    let events = node.driver.completions(&mut node.env);
    assert!(matches!(events[..], [Event::Frame(..)]), "{events:?}");
}

/// A delegated connection on the first processor of a function with four processors.
fn delegated(v6: bool) -> (Node, End) {
    let mut node = Node::new(&four(), Capabilities::ALL);
    let fields = rss::Fields::DEFAULT.bits();
    node.processor.set_rss(0, &only(0), fields).unwrap();
    let [mut end, _] = peer::pair(v6, false, [Vec::new(), Vec::new()], 1);
    end.delegate(&mut node);
    (node, end)
}

#[test]
fn connections_follow_their_frames() {
    let fields = rss::Fields::DEFAULT.bits();
    // A setting, and whether the connection stays.
    for (stays, action, tos, tag) in [
        (true, Action::Processor(0), None, 0),
        (true, Action::Context(2), None, 0),
        (false, Action::Processor(1), None, 0),
        (false, Action::Context(1), None, 0),
        (false, Action::Drop, None, 0),
        // The rule matches some frames of the connection.
        (false, Action::Processor(0), Some(0), 0),
        (false, Action::Processor(0), None, 1),
    ] {
        for v6 in [false, true] {
            let (mut node, end) = delegated(v6);
            node.processor.set_rss(1, &only(1), fields).unwrap();
            node.processor.set_rss(2, &only(0), fields).unwrap();
            let pattern = match tos {
                Some(tos) => with_tos(tos),
                None => to_port(end.state.local_port),
            };
            let elsewhere = Rule::new(3, Action::Drop, &to_port(end.state.local_port + 1));
            node.processor.set_rule(elsewhere).unwrap();
            let rule = Rule::new(4, action, &pattern).tagged(tag);
            node.processor.set_rule(rule).unwrap();
            node.poll(2);
            let events = node.driver.completions(&mut node.env);
            let returned = events.iter().find_map(|event| match event {
                Event::Returned(returned, _) => Some(returned.reason),
                _ => None,
            });
            let expected = (!stays).then_some(Reason::Moved.raw());
            assert_eq!(returned, expected, "{action:?}");
            // A new hand-over is refused.
            if !stays {
                node.driver.delegate(&mut node.env, 7, &end.state);
                node.poll(3);
                let events = node.driver.completions(&mut node.env);
                let status = completion::HandoverStatus::WrongProcessor.raw();
                assert!(
                    matches!(&events[..], [Event::Delegated(answer)] if answer.status == status),
                    "{events:?}"
                );
            }
        }
    }
}

/// Frames between the same addresses and ports belong to one flow for each tag, and one without.
#[test]
fn a_tag_names_a_flow() {
    const LENGTH: u32 = 1000;
    let mut node = Node::new(&config(), Capabilities::ALL);
    let [_, mut peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    for tag in [1, 2] {
        let rule = Rule::new(tag as u16, Action::Context(0), &with_tos(tag << 2));
        let rule = rule.tagged(tag.into());
        node.processor.set_rule(rule).unwrap();
    }
    let too_long = Rule::new(3, Action::Context(0), &with_tos(0)).tagged(1 << 24);
    let result = node.processor.set_rule(too_long);
    assert_eq!(result, Err(CommandStatus::Invalid));
    let mut flows = Vec::new();
    for round in 0..3 {
        for tag in [0, 1, 2] {
            peer.state.tos = tag << 2;
            let repr = peer.repr(Seq(1) + round * LENGTH);
            let bytes = peer::frame(&peer.state, &repr, &[tag; LENGTH as usize]);
            let offload = RxOffload::default();
            node.receive(1, &support::WireFrame { bytes, offload });
            node.poll(1);
            for event in node.driver.completions(&mut node.env) {
                let Event::Frame(first, _) = event else {
                    panic!("not a frame");
                };
                let op = match round {
                    0 => CompletionOp::FlowBegins,
                    _ => CompletionOp::Reassembled,
                };
                assert_eq!(first.op, op.raw(), "{tag} {round}");
                flows.push(first.flow);
            }
        }
    }
    let [a, b, c, ..] = flows[..] else {
        panic!("too few frames")
    };
    assert_eq!(flows, [a, b, c].repeat(3));
    assert!(a != b && b != c && a != c);
}

/// UDP ports are hashed like TCP ports.
#[test]
fn a_datagram_has_ports() {
    let mut env = TestEnv::new(Capabilities::ALL);
    let mut processor = Processor::new(&four());
    let [end, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    let mut frame = segment(&peer);
    // Turn the frame into UDP without a checksum.
    const L4: usize = ethernet::HEADER + ipv4::HEADER;
    let total = (frame.len() - ethernet::HEADER) as u16;
    let length = total - ipv4::HEADER as u16;
    frame[ethernet::HEADER + 9] = udp::PROTOCOL;
    ipv4::finish(&mut frame[ethernet::HEADER..], total, 0);
    frame[L4 + 4..L4 + 6].copy_from_slice(&length.to_be_bytes());
    frame[L4 + udp::CHECKSUM..L4 + udp::HEADER].fill(0);
    let rule = Rule::new(0, Action::Processor(2), &to_port(end.state.local_port));
    processor.set_rule(rule).unwrap();
    let offload = RxOffload::default();
    let received = processor.receive(1, &mut env, &frame, &offload);
    assert_eq!(received, Received::Elsewhere(2));
}
