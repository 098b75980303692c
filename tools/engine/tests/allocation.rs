// SPDX-License-Identifier: GPL-2.0

//! The data path does not allocate.

#[path = "support/peer.rs"]
mod peer;
mod support;

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell;

use toe_engine::env::Capabilities;

use self::peer::Mode;
use self::support::Node;
use self::support::config;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's obligations are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's obligations are those of the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_data_path_allocates_nothing() {
    let mut nodes = [1u8, 2].map(|n| {
        let mut config = config();
        config.mac[5] = n;
        let mut node = Node::new(&config, Capabilities::ALL);
        node.env.count = || COUNT.get();
        node
    });
    let mut ends = peer::pair(false, false, [vec![7; 400_000], vec![9; 400_000]], 5000);
    let mut allocated = 0;
    let mut now = 1_000_000;
    for round in 0..2000 {
        now += 100;
        for n in 0..2 {
            let frames: Vec<_> = nodes[1 - n].env.wire.drain(..).collect();
            let (node, end) = (&mut nodes[n], &mut ends[n]);
            node.env.allocated.set(0);
            let before = COUNT.get();
            for (i, frame) in frames.iter().enumerate() {
                // Drop some frames to cover recovery and held frames.
                if (round + i) % 17 != 0 {
                    node.receive(now, frame);
                }
            }
            node.poll(now);
            // Subtract the allocations of the test's port, which keeps copies of frames.
            allocated += COUNT.get() - before - node.env.allocated.take();
            match end.mode {
                Mode::Host => {
                    end.place(node);
                    end.hand_over(node);
                }
                _ => end.submit(node, 50_000),
            }
            for event in node.driver.completions(&mut node.env) {
                end.take(node, event);
            }
        }
    }
    assert!(ends[0].incoming == ends[1].outgoing && ends[1].incoming == ends[0].outgoing);
    assert_eq!(allocated, 0);
}
