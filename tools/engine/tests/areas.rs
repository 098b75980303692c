// SPDX-License-Identifier: GPL-2.0

//! Storage areas of an application: placement of the payload of a delegated connection.

#[path = "support/peer.rs"]
mod peer;
mod support;

use std::collections::VecDeque;

use proptest::prelude::*;

use toe_abi::PAGE_SIZE;
use toe_abi::completion::HandoverStatus;
use toe_abi::completion::Reason;
use toe_abi::completion::deliver_flag;
use toe_abi::feature;
use toe_abi::submission::AREAS;
use toe_abi::submission::Bind;
use toe_engine::env::Capabilities;
use toe_engine::env::Host;
use toe_engine::env::RxOffload;
use toe_engine::processor::Next;
use toe_engine::processor::Rings;
use toe_engine::tcp::Seq;
use toe_engine::wire::tcp::Repr;

use self::support::BASE;
use self::support::Event;
use self::support::FREE;
use self::support::Node;
use self::support::Random;
use self::support::WireFrame;
use self::support::config;
use self::support::rings;

/// Addresses of the page lists and of the pages.
const LISTS: u64 = BASE + FREE + 0x30_0000;
const MEMORY: u64 = BASE + FREE + 0x31_0000;
/// Most pages of an area in this test, and number of areas with distinct pages.
const PAGES: u64 = 8;
const PLACES: u64 = 16;

/// The host's view of an area.
struct Area {
    bind: Bind,
    filled: u32,
}

impl Area {
    /// Area number `number`, with `length` bytes from `offset` in its first page. Its pages are in
    /// reverse order in memory.
    fn new(node: &mut Node, number: u32, device_id: u32, length: u32, offset: u32) -> Self {
        let bind = Self::describe(node, number, device_id, length, offset);
        node.driver.bind(&mut node.env, &bind);
        Self { bind, filled: 0 }
    }

    /// Writes the page list of such an area.
    fn describe(node: &mut Node, number: u32, device_id: u32, length: u32, offset: u32) -> Bind {
        let place = u64::from(number) % PLACES;
        let list = LISTS + place * PAGES * 8;
        for page in 0..PAGES {
            let address = Self::page(number, page);
            node.env
                .write(list + page * 8, &address.to_le_bytes())
                .unwrap();
        }
        Bind {
            device_id,
            area: number,
            length,
            pages: list,
            offset,
            ..Bind::default()
        }
    }

    fn page(number: u32, page: u64) -> u64 {
        let place = u64::from(number) % PLACES;
        MEMORY + (place * PAGES + PAGES - 1 - page) * PAGE_SIZE as u64
    }

    /// `length` bytes of the area from `offset` on.
    fn bytes(&self, node: &Node, offset: u32, length: u32) -> Vec<u8> {
        let at = |i: u32| u64::from(self.bind.offset + i);
        let byte = |i: u32| {
            let page = Self::page(self.bind.area, at(i) / PAGE_SIZE as u64);
            node.env.bytes(page + at(i) % PAGE_SIZE as u64, 1)[0]
        };
        (offset..offset + length).map(byte).collect()
    }
}

/// A delegated connection: its node, its identifier, and its peer.
fn delegated() -> (Node, u32, peer::End) {
    delegated_with(rings())
}

fn delegated_with(rings: Rings) -> (Node, u32, peer::End) {
    let mut node = Node::with_rings(&config(), Capabilities::ALL, &rings);
    let [mut end, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    end.delegate(&mut node);
    let peer::Mode::Delegated(id) = end.mode else {
        panic!("{:?}", end.mode);
    };
    (node, id, peer)
}

fn send(node: &mut Node, peer: &peer::End, seq: u32, payload: &[u8]) {
    let repr = Repr {
        window: 1000,
        ..peer.repr(Seq(seq))
    };
    let bytes = peer::frame(&peer.state, &repr, payload);
    let offload = RxOffload::default();
    node.receive(2, &WireFrame { bytes, offload });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn payload_fills_the_areas_in_their_order_and_goes_on_in_pages(seed: u64) {
        let (mut node, id, peer) = delegated();
        let mut random = Random(seed);
        let mut areas: VecDeque<Area> = VecDeque::new();
        let mut number = 0;
        let (start, mut seq) = (peer.state.send.snd_nxt, peer.state.send.snd_nxt);
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        for _ in 0..150 {
            if areas.len() < AREAS && random.chance(100_000) {
                let length = 1 + random.below(7 * PAGE_SIZE as u64) as u32;
                let offset = random.below(PAGE_SIZE as u64) as u32;
                areas.push_back(Area::new(&mut node, number, id, length, offset));
                number += 1;
                node.poll(2);
            }
            let mut payload = vec![0; 2 + random.below(1400) as usize];
            random.fill(&mut payload);
            // Some pairs of segments are reordered.
            let (first, second) = payload.split_at(payload.len() / 2);
            let mut order = [(seq, first), (seq.wrapping_add(first.len() as u32), second)];
            if random.chance(200_000) {
                order.reverse();
            }
            for (seq, part) in order {
                send(&mut node, &peer, seq, part);
            }
            seq = seq.wrapping_add(payload.len() as u32);
            sent.extend_from_slice(&payload);
            if random.chance(500_000) {
                continue;
            }
            node.poll(2);
            for event in node.driver.completions(&mut node.env) {
                let at = start.wrapping_add(received.len() as u32);
                match event {
                    Event::Placed(placed) => {
                        let area = areas.front_mut().expect("an area that is bound");
                        prop_assert_eq!(placed.area, area.bind.area);
                        prop_assert_eq!((placed.seq, placed.data_offset), (at, area.filled));
                        area.filled += placed.data_length;
                        let (offset, length) = (placed.data_offset, placed.data_length);
                        received.extend(area.bytes(&node, offset, length));
                        let full = placed.flags & deliver_flag::AREA_FULL != 0;
                        prop_assert_eq!(full, area.filled == area.bind.length);
                        if full {
                            areas.pop_front();
                        }
                    }
                    Event::Deliver(deliver, bytes) => {
                        prop_assert_eq!(deliver.seq, at);
                        received.extend(bytes);
                    }
                    Event::Acked(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        node.poll(2);
        prop_assert!(sent.starts_with(&received));
        prop_assert!(received.len() > sent.len() / 2);
    }
}

#[test]
fn an_impossible_area_returns_the_connection() {
    let good = Bind {
        length: 1,
        pages: LISTS,
        ..Bind::default()
    };
    for bad in [
        Bind { length: 0, ..good },
        Bind {
            offset: PAGE_SIZE as u32,
            ..good
        },
        Bind {
            pages: LISTS + 1,
            ..good
        },
        Bind {
            pages: u64::MAX - 7,
            length: 5000,
            ..good
        },
    ] {
        let (mut node, device_id, _) = delegated();
        node.driver.bind(&mut node.env, &Bind { device_id, ..bad });
        node.poll(2);
        let events = node.driver.completions(&mut node.env);
        let reason = events.iter().find_map(|event| match event {
            Event::Returned(returned, _) => Some(returned.reason),
            _ => None,
        });
        assert_eq!(reason, Some(Reason::Submission.raw()), "{bad:?}");
    }
    let (mut node, device_id, _) = delegated();
    for i in 0..=AREAS {
        node.driver.bind(&mut node.env, &Bind { device_id, ..good });
        node.poll(2);
        let events = node.driver.completions(&mut node.env);
        let back = events
            .iter()
            .any(|event| matches!(event, Event::Returned(..)));
        assert_eq!(back, i == AREAS, "area {i}");
    }
}

/// Reason of the return among `events`, and number of frames that follow it.
fn returned(events: &[Event]) -> Option<(u8, usize)> {
    let at = events
        .iter()
        .position(|event| matches!(event, Event::Returned(..)))?;
    let Event::Returned(returned, _) = &events[at] else {
        unreachable!("found as such");
    };
    let frames = events[at..]
        .iter()
        .filter(|event| matches!(event, Event::Frame(..)));
    Some((returned.reason, frames.count()))
}

#[test]
fn a_bad_page_of_an_area_returns_only_its_connection() {
    let nowhere = 1u64 << 50;
    let page = PAGE_SIZE as u64;
    // List and offset of a bad entry in it.
    for (list, bad) in [
        (nowhere, None),
        (LISTS, Some((0, nowhere))),
        (LISTS, Some((1, nowhere))),
        (LISTS, Some((0, MEMORY + 8))),
        (LISTS, Some((1, MEMORY + 1))),
        (LISTS, Some((1, u64::MAX - page + 1))),
    ] {
        for reversed in [false, true] {
            let (mut node, device_id, peer) = delegated();
            let bind = Area::describe(&mut node, 0, device_id, 3 * PAGE_SIZE as u32, 0);
            node.driver.bind(
                &mut node.env,
                &Bind {
                    pages: list,
                    ..bind
                },
            );
            if let Some((entry, address)) = bad {
                let entry = LISTS + 8 * entry;
                node.env.write(entry, &u64::to_le_bytes(address)).unwrap();
            }
            node.poll(2);
            let seq = peer.state.send.snd_nxt;
            let mut parts = [0, 1400, 2800, 4200].map(|at| seq.wrapping_add(at));
            if reversed {
                parts[..4].reverse();
            }
            for part in parts {
                send(&mut node, &peer, part, &[7; 1400]);
            }
            assert_ne!(node.poll(2), Next::Failed, "{list:#x} {bad:x?}");
            let events = node.driver.completions(&mut node.env);
            let (reason, frames) = returned(&events).expect("returned");
            assert_eq!(reason, Reason::Submission.raw());
            // What is not in the area comes in frames.
            let placed: u32 = events
                .iter()
                .map(|event| match event {
                    Event::Placed(placed) => placed.data_length,
                    _ => 0,
                })
                .sum();
            let state = events.iter().find_map(|event| match event {
                Event::Returned(_, state) => Some(state.rcv_nxt),
                _ => None,
            });
            assert_eq!(state, Some(seq.wrapping_add(placed)));
            assert!(
                placed as usize + frames * 1400 >= 4 * 1400,
                "{placed} {frames}"
            );
        }
    }
}

#[test]
fn what_is_not_negotiated_is_refused() {
    let (mut node, device_id, _) = delegated_with(Rings {
        features: feature::DELEGATION | feature::LEGACY,
        ..rings()
    });
    Area::new(&mut node, 0, device_id, PAGE_SIZE as u32, 0);
    node.poll(2);
    let events = node.driver.completions(&mut node.env);
    assert_eq!(returned(&events), Some((Reason::Submission.raw(), 0)));

    let mut node = Node::with_rings(
        &config(),
        Capabilities::ALL,
        &Rings {
            features: 0,
            ..rings()
        },
    );
    let [end, _] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    node.driver.delegate(&mut node.env, 0, &end.state);
    node.poll(2);
    let events = node.driver.completions(&mut node.env);
    let [Event::Delegated(answer)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(answer.status, HandoverStatus::Unsupported.raw());
}
