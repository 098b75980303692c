// SPDX-License-Identifier: GPL-2.0

//! A poll does a bounded amount of work, whatever the host of the processor does: processors of
//! other hosts run on the same thread.

#[path = "support/peer.rs"]
mod peer;
mod support;

use std::collections::VecDeque;

use toe_abi::completion::HandoverStatus;
use toe_abi::page::PagePost;
use toe_abi::ring::PAGE_ENTRY;
use toe_abi::ring::RingId;
use toe_abi::rss;
use toe_abi::rss::Fields;
use toe_abi::stats::Counter;
use toe_engine::env::Capabilities;
use toe_engine::env::Host;
use toe_engine::processor::Ahead;
use toe_engine::processor::Config;
use toe_engine::processor::Next;

use self::support::BASE;
use self::support::ENTRIES;
use self::support::Event;
use self::support::FREE;
use self::support::Node;
use self::support::config;
use self::support::rings;

/// Budget of a poll.
const BUDGET: usize = 64;
const CONNECTIONS: u32 = 1000;

/// An indirection table with one processor in all entries.
fn only(processor: u8) -> rss::Config {
    rss::Config {
        key: rss::DEFAULT_KEY,
        table: [processor; rss::INDIRECTION],
    }
}

/// A processor with [`CONNECTIONS`] connections, and their identifiers.
fn busy() -> (Node, Vec<u32>) {
    let config = Config {
        processors: 2,
        connections: CONNECTIONS,
        ..config()
    };
    let mut node = Node::new(&config, Capabilities::ALL);
    let fields = Fields::DEFAULT.bits();
    node.processor.set_rss(0, &only(0), fields).unwrap();
    let [end, _] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    let mut ids = Vec::new();
    for number in 0..CONNECTIONS {
        let mut state = end.state;
        state.remote_port = 10_000 + number as u16;
        // The first request for an unknown flow is refused.
        for _ in 0..2 {
            node.driver.delegate(&mut node.env, number, &state);
            node.poll(1);
        }
        for event in node.driver.completions(&mut node.env) {
            match event {
                Event::Delegated(answer) if answer.status == HandoverStatus::Ok.raw() => {
                    ids.push(answer.device_id);
                }
                _ => {}
            }
        }
    }
    assert_eq!(node.counter(Counter::Connections), CONNECTIONS.into());
    (node, ids)
}

/// Polls until nothing is left to do, and asserts that `counter` grows by at most `limit` in each
/// poll and by `total` in all.
fn polls(node: &mut Node, now: u64, counter: Counter, limit: u64, total: u64) {
    let mut sum = 0;
    for _ in 0..1000 {
        let before = node.counter(counter);
        let next = node.poll(now);
        let done = node.counter(counter) - before;
        assert!(done <= limit, "{done} at once");
        sum += done;
        node.env.wire.clear();
        node.driver.completions(&mut node.env);
        if next != Next::Work {
            break;
        }
    }
    assert_eq!(sum, total);
}

#[test]
fn a_stop_returns_connections_a_part_at_a_time() {
    let (mut node, _) = busy();
    node.processor.stop().unwrap();
    polls(
        &mut node,
        2,
        Counter::Returned,
        BUDGET as u64,
        CONNECTIONS.into(),
    );
    assert_eq!(node.counter(Counter::Connections), 0);
    assert!(node.processor.stop().is_err(), "has stopped");
}

#[test]
fn a_change_of_steering_returns_connections_a_part_at_a_time() {
    let (mut node, _) = busy();
    let fields = Fields::DEFAULT.bits();
    node.processor.set_rss(0, &only(1), fields).unwrap();
    assert_eq!(node.counter(Counter::Returned), 0);
    polls(
        &mut node,
        2,
        Counter::Returned,
        BUDGET as u64,
        CONNECTIONS.into(),
    );
}

#[test]
fn returns_that_waited_for_room_are_completed_a_part_at_a_time() {
    let (mut node, ids) = busy();
    // The ring has room for a part of them.
    node.driver.appetite = 0;
    for chunk in ids.chunks(100) {
        for &id in chunk {
            node.driver.ask_back(&mut node.env, id);
        }
        for _ in 0..3 {
            node.poll(2);
        }
    }
    let waiting = u64::from(CONNECTIONS) - node.counter(Counter::Returned);
    assert!(waiting > 5 * BUDGET as u64, "{waiting}");
    node.driver.appetite = u32::MAX;
    node.driver.completions(&mut node.env);
    let mut left = waiting;
    while left != 0 {
        let before = node.counter(Counter::Returned);
        node.poll(2);
        let done = node.counter(Counter::Returned) - before;
        assert!((1..=BUDGET as u64).contains(&done), "{done} at once");
        left -= done;
        node.driver.completions(&mut node.env);
    }
}

#[test]
fn timers_expire_a_part_at_a_time() {
    let (mut node, ids) = busy();
    let [end, _] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    let seq = end.state.send.snd_nxt;
    for &id in &ids {
        node.driver
            .send(&mut node.env, id, seq, BASE + FREE, 100, 100);
        node.poll(2);
        node.env.wire.clear();
    }
    while node.poll(2) == Next::Work {
        node.env.wire.clear();
    }
    // The loss probes, then the timeouts.
    let mut now = 2;
    let mut timeouts = 0;
    while timeouts < u64::from(CONNECTIONS) {
        now += 100_000;
        assert!(now < 60_000_000, "{timeouts} timeouts");
        loop {
            let before = node.counter(Counter::ToeTimeouts);
            let next = node.poll(now);
            let done = node.counter(Counter::ToeTimeouts) - before;
            assert!(done <= BUDGET as u64, "{done} at once");
            timeouts += done;
            node.env.wire.clear();
            node.driver.completions(&mut node.env);
            if next != Next::Work {
                break;
            }
        }
    }
}

#[test]
fn pages_are_taken_a_part_at_a_time() {
    const MOST: u64 = 512;
    let mut node = Node::new(&config(), Capabilities::ALL);
    node.driver.repost = false;
    node.poll(1);
    // The whole ring, again and again, with an identifier that is posted already.
    let ring = RingId::PayloadPages;
    for index in 0..u64::from(ENTRIES) {
        let post = PagePost::new(0, 0x1000).expect("a page");
        let at = rings().addresses[ring as usize] + index * PAGE_ENTRY as u64;
        node.env.write(at, &post.raw().to_le_bytes()).unwrap();
    }
    let line = ring.index_offset() / 4;
    let ahead = Ahead {
        frames: 0,
        bytes: 1 << 30,
    };
    for _ in 0..10 {
        let consumed = node.env.status(ring.index_offset());
        node.env.doorbell[line] = consumed.wrapping_add(ENTRIES);
        let before = node.counter(Counter::PageInvalid);
        node.processor.has_room(&mut node.env, ahead);
        let done = node.counter(Counter::PageInvalid) - before;
        assert!((1..=MOST).contains(&done), "{done} at once");
        node.poll(2);
        let done = node.counter(Counter::PageInvalid) - before;
        assert!(done <= 2 * MOST, "{done} at once");
    }
}

/// A frame of the host that nothing else resembles.
const HOST_FRAME: [u8; 60] = [0x77; 60];

/// Submits `count` requests for a connection that there is not.
fn submit_stale(node: &mut Node, count: u32) {
    for _ in 0..count {
        node.driver.ask_back(&mut node.env, u32::MAX);
    }
}

/// How many frames of the host and others have left since the last call.
fn left(wire: &mut VecDeque<support::WireFrame>) -> [usize; 2] {
    let (host, others): (Vec<_>, Vec<_>) =
        wire.drain(..).partition(|frame| frame.bytes == HOST_FRAME);
    [host.len(), others.len()]
}

#[test]
fn a_host_frame_waits_for_the_submissions_before_it_and_no_others() {
    let mut node = Node::new(&config(), Capabilities::ALL);
    let before = 5 * BUDGET as u64;
    submit_stale(&mut node, 5 * BUDGET as u32);
    node.driver.transmit_bytes(&mut node.env, &HOST_FRAME, 1);
    let mut polls = 0;
    while node.env.wire.is_empty() {
        submit_stale(&mut node, BUDGET as u32);
        assert!(polls < 3 * ENTRIES as usize / BUDGET, "the frame starves");
        assert_eq!(node.poll(1), Next::Work);
        polls += 1;
    }
    assert!(node.counter(Counter::ToeStale) >= before, "in order");

    // The next frame waits for none that were taken meanwhile.
    submit_stale(&mut node, BUDGET as u32);
    node.driver.transmit_bytes(&mut node.env, &HOST_FRAME, 1);
    while node.poll(1) == Next::Work {}
    assert_eq!(left(&mut node.env.wire), [2, 0]);
}

#[test]
fn frames_that_passed_a_blocked_hand_over_leave_once() {
    let (mut node, ids) = busy();
    node.env.wire.clear();
    // The completion ring has no room.
    node.driver.appetite = 0;
    for chunk in ids[..500].chunks(100) {
        for &id in chunk {
            node.driver.ask_back(&mut node.env, id);
        }
        for _ in 0..3 {
            node.poll(2);
        }
    }
    let [end, _] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    node.driver.transmit_bytes(&mut node.env, &HOST_FRAME, 1);
    submit_stale(&mut node, BUDGET as u32);
    node.driver.delegate(&mut node.env, 1, &end.state);
    submit_stale(&mut node, 2 * BUDGET as u32);
    for _ in 0..3 {
        node.poll(2);
    }
    node.driver.transmit_bytes(&mut node.env, &HOST_FRAME, 1);
    node.poll(2);
    assert_eq!(left(&mut node.env.wire), [2, 0]);

    node.driver.appetite = u32::MAX;
    for _ in 0..10 {
        node.driver.completions(&mut node.env);
        submit_stale(&mut node, BUDGET as u32);
        assert_eq!(node.poll(2), Next::Work);
    }
    assert_eq!(left(&mut node.env.wire), [0, 0]);
}

#[test]
fn the_port_has_room_for_connections_and_for_the_host_in_turn() {
    let (mut node, ids) = busy();
    node.env.wire.clear();
    let [end, _] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    let seq = end.state.send.snd_nxt;
    for &id in &ids[..100] {
        node.driver
            .send(&mut node.env, id, seq, BASE + FREE, 100, 100);
        node.driver.transmit_bytes(&mut node.env, &HOST_FRAME, 1);
    }
    let mut sum = [0; 2];
    for _ in 0..100 {
        node.env.room = 1;
        node.poll(2);
        let [host, others] = left(&mut node.env.wire);
        sum[0] += host;
        sum[1] += others;
    }
    assert!(sum.iter().all(|&frames| frames >= 40), "{sum:?}");
}
