// SPDX-License-Identifier: GPL-2.0

//! State of a connection after the hand-over.

#[path = "support/peer.rs"]
mod peer;
mod support;

use toe_engine::env::Capabilities;
use toe_engine::env::RxOffload;
use toe_engine::tcp::Seq;
use toe_engine::wire::packet::Packet;
use toe_engine::wire::tcp::Repr;

use self::peer::End;
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

#[test]
fn a_wider_window_on_its_way_up_counts() {
    assert_eq!(sent_after_hand_over(None), 0);
    assert_eq!(sent_after_hand_over(Some(0)), 0);
    assert_eq!(sent_after_hand_over(Some(100)), 1000);
}
