// SPDX-License-Identifier: GPL-2.0

//! Where received payload lies.

#[path = "support/peer.rs"]
mod peer;
mod support;

use toe_engine::env::Capabilities;
use toe_engine::env::RxOffload;
use toe_engine::tcp::Seq;
use toe_engine::wire::tcp::Repr;

use self::support::Event;
use self::support::Node;
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
