// SPDX-License-Identifier: GPL-2.0

//! State of a connection after the hand-over.

#[path = "support/peer.rs"]
mod peer;
mod support;

use toe_abi::Layout;
use toe_abi::completion::HandoverStatus;
use toe_abi::completion::Reason;
use toe_abi::connection;
use toe_abi::connection::ConnectionState;
use toe_abi::submission::SubmissionOp;
use toe_abi::submission::Update;
use toe_abi::submission::update;
use toe_engine::env::Capabilities;
use toe_engine::env::RxOffload;
use toe_engine::tcp::Seq;
use toe_engine::wire::packet::Packet;
use toe_engine::wire::tcp::Repr;

use self::peer::End;
use self::peer::Mode;
use self::support::Event;
use self::support::Node;
use self::support::WireFrame;
use self::support::config;

fn hand_over(node: &mut Node, end: &mut End) {
    node.driver.completions(&mut node.env);
    end.hand_over(node);
    node.poll(2);
    for event in node.driver.completions(&mut node.env) {
        end.take(node, event);
    }
}

/// Payload that is sent after a hand-over with a closed window. The peer has `announced` a window, or
/// nothing, that the host's TCP has not processed yet.
fn sent_after_hand_over(announced: Option<u16>) -> usize {
    let [mut near, far] = peer::pair(false, false, [vec![7; 1000], Vec::new()], 1000);
    near.state.send.snd_wnd = 0;
    let mut node = Node::new(&config(), Capabilities::NONE);
    near.place(&mut node);
    // The first request makes the device track the unknown flow.
    hand_over(&mut node, &mut near);
    assert_eq!(near.busy, 1);
    if let Some(window) = announced {
        let update = Repr {
            window,
            ..far.repr(Seq(far.state.send.snd_nxt))
        };
        let bytes = peer::frame(&far.state, &update, &[]);
        node.receive(
            1,
            &WireFrame {
                bytes,
                offload: RxOffload::default(),
            },
        );
    }
    // The host's TCP has not processed this segment yet.
    hand_over(&mut node, &mut near);
    near.submit(&mut node, usize::MAX);
    node.poll(3);
    let frames = node.env.wire.iter();
    frames
        .map(|frame| {
            Packet::parse(&frame.bytes)
                .unwrap()
                .payload(&frame.bytes)
                .len()
        })
        .sum()
}

/// The IP header of a packet that is sent after `update`.
fn ip_header(v6: bool, update: Update) -> Vec<u8> {
    let [mut near, _] = peer::pair(v6, false, [vec![7; 100], Vec::new()], 1000);
    let mut node = Node::new(&config(), Capabilities::NONE);
    near.place(&mut node);
    hand_over(&mut node, &mut near);
    hand_over(&mut node, &mut near);
    let Mode::Delegated(device_id) = near.mode else {
        panic!("{:?}", near.mode);
    };
    let update = Update {
        op: SubmissionOp::Update.raw(),
        device_id,
        ..update
    };
    node.driver.submit(&mut node.env, &[update.to_bytes()]);
    near.submit(&mut node, usize::MAX);
    node.poll(3);
    let frame = node.env.wire.iter().next().expect("a frame");
    let packet = Packet::parse(&frame.bytes).expect("a packet");
    frame.bytes[packet.l3.into()..packet.l4.into()].to_vec()
}

#[test]
fn an_update_changes_the_ip_header() {
    let ip = Update {
        valid: update::IP,
        tos: 0x2b,
        ttl: 9,
        flow_label: 0x6_789a,
        ..Update::default()
    };
    let fragment = Update {
        valid: update::FLAGS,
        flags: connection::flag::FRAGMENT,
        ..Update::default()
    };
    let before = ip_header(false, Update::default());
    assert_eq!(before[6..8], [0x40, 0]);
    let after = ip_header(false, ip);
    // Without the ECN bits.
    assert_eq!(
        (after[1], after[8], &after[6..8]),
        (0x28, 9, &[0x40, 0][..])
    );
    assert_eq!(after[12..], before[12..]);
    let after = ip_header(false, fragment);
    assert_eq!(
        (after[1], after[8], &after[6..8]),
        (before[1], before[8], &[0, 0][..])
    );
    let before = ip_header(true, fragment);
    let after = ip_header(true, ip);
    assert_ne!(before[1..4], after[1..4]);
    assert_eq!(after[..4], [0x62, 0x86, 0x78, 0x9a]);
    assert_eq!((after[7], &after[8..]), (9, &before[8..]));
}

#[test]
fn a_wider_window_on_its_way_up_counts() {
    assert_eq!(sent_after_hand_over(None), 0);
    assert_eq!(sent_after_hand_over(Some(0)), 0);
    assert_eq!(sent_after_hand_over(Some(100)), 1000);
}

/// Segments that do not fit into the MTU are sent neither by a connection that is handed over, nor
/// after an update.
#[test]
fn the_mtu_limits_the_segments() {
    for v6 in [false, true] {
        let room = 1500 - 20 - 12 - if v6 { 40 } else { 20 };
        for (mss, fits) in [(room, true), (room + 1, false), (u16::MAX, false)] {
            let mut node = Node::new(&config(), Capabilities::ALL);
            let [mut end, _] = peer::pair(v6, false, [Vec::new(), Vec::new()], 1);
            let state = ConnectionState { mss, ..end.state };
            let mut status = None;
            for _ in 0..2 {
                node.driver.delegate(&mut node.env, 7, &state);
                node.poll(1);
                for event in node.driver.completions(&mut node.env) {
                    if let Event::Delegated(answer) = event {
                        status = HandoverStatus::from_raw(answer.status);
                    }
                }
            }
            let expected = match fits {
                true => HandoverStatus::Ok,
                false => HandoverStatus::Unsupported,
            };
            assert_eq!(status, Some(expected), "{mss}");

            let mut node = Node::new(&config(), Capabilities::ALL);
            end.delegate(&mut node);
            let peer::Mode::Delegated(device_id) = end.mode else {
                panic!("{:?}", end.mode);
            };
            let update = Update {
                op: SubmissionOp::Update.raw(),
                device_id,
                valid: update::MSS,
                mss,
                ..Update::default()
            };
            node.driver.submit(&mut node.env, &[update.to_bytes()]);
            node.poll(2);
            let events = node.driver.completions(&mut node.env);
            let back = events.iter().find_map(|event| match event {
                Event::Returned(returned, _) => Some(returned.reason),
                _ => None,
            });
            let expected = (!fits).then_some(Reason::Submission.raw());
            assert_eq!(back, expected, "{mss}");
        }
    }
}
