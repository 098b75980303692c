// SPDX-License-Identifier: GPL-2.0

//! Where received frames go.

#[path = "support/peer.rs"]
mod peer;
mod support;

use toe_abi::rss;
use toe_engine::env::Capabilities;
use toe_engine::env::RxOffload;
use toe_engine::processor::Processor;
use toe_engine::processor::Received;
use toe_engine::tcp::Seq;
use toe_engine::wire::tcp::Repr;

use self::support::Event;
use self::support::Node;
use self::support::TestEnv;
use self::support::WireFrame;
use self::support::config;

#[test]
fn payload_takes_the_pages_of_a_batch_in_their_order() {
    const FRAMES: u32 = 40;
    const LENGTH: usize = 1400;
    const PAGES: u32 = 32;
    let mut node = Node::with_pages(&config(), Capabilities::ALL, PAGES);
    node.driver.repost = false;
    let [mut end, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    // An unknown flow is refused once.
    for _ in 0..2 {
        node.driver.completions(&mut node.env);
        end.mode = peer::Mode::Host;
        end.hand_over(&mut node);
        node.poll(1);
    }
    let mut pages = Vec::new();
    for i in 0..FRAMES {
        let repr = Repr {
            window: 1000,
            ..peer.repr(Seq(peer.state.snd_nxt) + i * LENGTH as u32)
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
    // The driver has posted them from the highest down.
    let posted: Vec<u32> = (0..PAGES).rev().take(pages.len()).collect();
    assert_eq!(pages, posted);
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
        let fields = rss::field::DEFAULT;
        processor.set_rss(1, &mut env, &config, fields).unwrap();
        if here {
            processor.receive_here(1, &mut env, frame, &offload);
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
