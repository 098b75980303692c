// SPDX-License-Identifier: GPL-2.0

//! Two processors carry connections between two hosts over a lossy wire, in virtual time.

#[path = "support/peer.rs"]
mod peer;
mod support;

use std::collections::BTreeMap;

use toe_abi::completion::HandoverStatus;
use toe_abi::stats::Counter;
use toe_engine::env::Capabilities;
use toe_engine::env::RxOffload;
use toe_engine::processor::Next;
use toe_engine::processor::Seed;
use toe_engine::tcp::Seq;
use toe_engine::wire::tcp::Repr;

use self::peer::End;
use self::peer::Mode;
use self::support::Event;
use self::support::Node;
use self::support::Random;
use self::support::WireFrame;
use self::support::config;

/// Both directions of a wire.
struct Wire {
    random: Random,
    /// Frames in flight: (time of arrival, number) to (destination, frame).
    frames: BTreeMap<(u64, u64), (usize, WireFrame)>,
    count: u64,
    loss_ppm: u64,
    reorder_ppm: u64,
    duplicate_ppm: u64,
    odd_ppm: u64,
}

impl Wire {
    const DELAY: u64 = 500;

    fn carry(&mut self, now: u64, to: usize, mut frame: WireFrame) {
        if self.random.chance(self.loss_ppm) {
            return;
        }
        if self.random.chance(self.odd_ppm) {
            peer::add_unknown_option(&mut frame);
        }
        let copies = 1 + usize::from(self.random.chance(self.duplicate_ppm));
        for _ in 0..copies {
            let mut at = now + Self::DELAY;
            if self.random.chance(self.reorder_ppm) {
                at += self.random.below(3000);
            }
            self.count += 1;
            self.frames.insert((at, self.count), (to, frame.clone()));
        }
    }
}

/// Whether the host's TCP drops the legacy frame of this number.
type Drops = fn(u64) -> bool;

struct Scenario {
    v6: bool,
    vlan: bool,
    capabilities: Capabilities,
    bytes: [usize; 2],
    loss_ppm: u64,
    reorder_ppm: u64,
    duplicate_ppm: u64,
    /// Probability that a frame has an unknown TCP option, in parts per million.
    odd_ppm: u64,
    /// Bytes of frames that a connection may hold out of order.
    hold: u32,
    /// Legacy frames that the host's TCP drops.
    drops: Drops,
    /// Time until the host answers a resumption, in microseconds.
    late: u64,
    /// Probability of a return request per round, in parts per million.
    return_ppm: u64,
    piece: u32,
    seed: u64,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            v6: false,
            vlan: false,
            capabilities: Capabilities::ALL,
            bytes: [1_000_000, 1_000_000],
            loss_ppm: 0,
            reorder_ppm: 0,
            duplicate_ppm: 0,
            odd_ppm: 0,
            hold: config().hold_connection,
            drops: |_| false,
            late: 0,
            return_ppm: 0,
            piece: 10_000,
            seed: 1,
        }
    }
}

/// Ports with and without offloads, by turns.
fn capabilities(seed: u64) -> Capabilities {
    if seed % 3 == 0 {
        Capabilities::NONE
    } else {
        Capabilities::ALL
    }
}

/// Runs until both streams have been received and acknowledged. Returns nodes, ends and the time.
fn run(scenario: &Scenario) -> ([Node; 2], [End; 2], u64) {
    let mut random = Random(scenario.seed);
    let mut nodes = [0u8, 1].map(|n| {
        let mut config = config();
        config.mac[5] = 1 + n;
        config.seed = Seed::new(random.next());
        config.hold_connection = scenario.hold;
        Node::new(&config, scenario.capabilities)
    });
    let streams = scenario.bytes.map(|length| {
        let mut bytes = vec![0; length];
        random.fill(&mut bytes);
        bytes
    });
    let mut ends = peer::pair(scenario.v6, scenario.vlan, streams, scenario.piece);
    for (node, end) in nodes.iter_mut().zip(&mut ends) {
        end.place(node);
        end.drops = scenario.drops;
        end.late = scenario.late;
    }
    let mut wire = Wire {
        random: Random(scenario.seed ^ 0xabcd),
        frames: BTreeMap::new(),
        count: 0,
        loss_ppm: scenario.loss_ppm,
        reorder_ppm: scenario.reorder_ppm,
        duplicate_ppm: scenario.duplicate_ppm,
        odd_ppm: scenario.odd_ppm,
    };
    let mut now: u64 = 1_000_000;
    let limit = now + 600_000_000;
    loop {
        let mut next = now + 10_000;
        while let Some(entry) = wire.frames.first_entry() {
            if entry.key().0 > now {
                next = next.min(entry.key().0);
                break;
            }
            let (to, frame) = entry.remove();
            nodes[to].receive(now, &frame);
        }
        for n in 0..2 {
            let (node, end) = (&mut nodes[n], &mut ends[n]);
            match end.mode {
                Mode::Host => {
                    end.retransmit(node, now);
                    end.hand_over(node);
                }
                Mode::Delegated(_) => {
                    if random.chance(scenario.return_ppm) {
                        end.ask_back(node);
                    } else {
                        end.submit(node, 1 + random.below(200_000) as usize);
                    }
                }
                _ => {}
            }
            match node.poll(now) {
                Next::Work => next = now,
                Next::Sleep { deadline } => {
                    assert!(deadline.is_none_or(|at| at > now || next == now));
                    next = next.min(deadline.unwrap_or(u64::MAX));
                }
                other => panic!("{other:?}"),
            }
            for event in node.driver.completions(&mut node.env) {
                end.take(node, event);
            }
            next = next.min(end.answer(node, now).unwrap_or(u64::MAX));
            for frame in node.env.wire.drain(..) {
                wire.carry(now, 1 - n, frame);
            }
        }
        if (0..2).all(|n| {
            ends[n].all_acknowledged() && ends[n].incoming.len() == ends[1 - n].outgoing.len()
        }) {
            break;
        }
        if let Some(entry) = wire.frames.first_key_value() {
            next = next.min(entry.0.0);
        }
        now = next.max(now + 10);
        assert!(now < limit, "stuck: {:?} {:?}", ends[0].mode, ends[1].mode);
    }
    for n in 0..2 {
        assert!(
            ends[n].incoming == ends[1 - n].outgoing,
            "end {n} received something else"
        );
        for counter in [Counter::PageInvalid, Counter::TxInvalid, Counter::TxFault] {
            assert_eq!(nodes[n].counter(counter), 0);
        }
    }
    (nodes, ends, now - 1_000_000)
}

#[test]
fn streams_cross_a_perfect_wire() {
    for v6 in [false, true] {
        for capabilities in [Capabilities::ALL, Capabilities::NONE] {
            let scenario = Scenario {
                v6,
                vlan: v6,
                capabilities,
                ..Scenario::default()
            };
            let (nodes, ends, time) = run(&scenario);
            assert_eq!(nodes[0].counter(Counter::ToeRetransmits), 0);
            assert_eq!(ends[0].returns + ends[1].returns, 0);
            assert!(time < 2_000_000, "{time}");
        }
    }
}

#[test]
fn streams_cross_a_bad_wire() {
    let mut retransmits = 0;
    for seed in 0..6 {
        let scenario = Scenario {
            v6: seed % 2 == 0,
            capabilities: capabilities(seed),
            loss_ppm: 20_000,
            reorder_ppm: 20_000,
            duplicate_ppm: 10_000,
            seed,
            ..Scenario::default()
        };
        let (nodes, _, _) = run(&scenario);
        retransmits += nodes[0].counter(Counter::ToeRetransmits);
    }
    assert!(retransmits > 0);
}

#[test]
fn returns_and_hand_overs_lose_nothing() {
    let mut returns = 0;
    for seed in 0..8 {
        let scenario = Scenario {
            v6: seed % 2 == 0,
            vlan: seed % 4 == 1,
            capabilities: capabilities(seed),
            loss_ppm: 10_000,
            reorder_ppm: 10_000,
            duplicate_ppm: 10_000,
            return_ppm: 60_000,
            seed,
            ..Scenario::default()
        };
        let (_, ends, _) = run(&scenario);
        returns += ends[0].returns + ends[1].returns;
    }
    assert!(returns > 50, "{returns}");
}

/// Frames that only the host's TCP can process, holes that the adapter cannot hold, and a host that
/// drops some of what is uploaded: no connection returns, and direct delivery goes on.
#[test]
fn special_frames_stay_delegated() {
    let cases: [(u64, u32, Drops); 4] = [
        (40_000, 1 << 19, |_| false),
        (0, 4096, |_| false),
        (40_000, 4096, |_| false),
        (40_000, 4096, |frame| frame % 7 == 0),
    ];
    let (mut bytes, mut resynced, mut refused) = (0, 0, 0);
    for (seed, (odd_ppm, hold, drops)) in (0..).zip(cases.into_iter().cycle().take(12)) {
        let scenario = Scenario {
            v6: seed % 2 == 0,
            vlan: seed % 3 == 0,
            capabilities: capabilities(seed),
            loss_ppm: 10_000,
            reorder_ppm: 10_000,
            duplicate_ppm: 1_000,
            odd_ppm,
            hold,
            drops,
            late: [0, 300, 3_000][seed as usize % 3],
            seed,
            ..Scenario::default()
        };
        let (nodes, ends, _) = run(&scenario);
        for (node, end) in nodes.iter().zip(&ends) {
            assert_eq!(end.returns, 0, "{:?}", end.reasons);
            assert_eq!(node.counter(Counter::LegacyFrames), end.legacy_frames);
            assert_eq!(node.counter(Counter::LegacyRefused), end.refused);
            refused += end.refused;
            bytes += node.counter(Counter::ToeRxBytes);
            resynced += node.counter(Counter::LegacyResynced);
        }
    }
    assert!(resynced > 100, "{resynced}");
    assert!(refused > 0);
    assert!(bytes > 12_000_000, "{bytes} of 24000000 delivered directly");
}

/// Returns in the midst of legacy mode.
#[test]
fn returns_out_of_legacy_mode_lose_nothing() {
    let mut returns = 0;
    for seed in 0..12 {
        let scenario = Scenario {
            v6: seed % 2 == 0,
            loss_ppm: 10_000,
            reorder_ppm: 10_000,
            odd_ppm: 50_000,
            hold: 4096,
            drops: |frame| frame % 11 == 0,
            late: [0, 300, 3_000][seed as usize % 3],
            return_ppm: 60_000,
            seed,
            ..Scenario::default()
        };
        let (_, ends, _) = run(&scenario);
        returns += ends[0].returns + ends[1].returns;
    }
    assert!(returns > 50, "{returns}");
}

#[test]
fn tiny_pieces_are_put_together() {
    let scenario = Scenario {
        bytes: [30_000, 30_000],
        piece: 11,
        ..Scenario::default()
    };
    run(&scenario);
}

#[test]
fn more_connections_than_pages() {
    let mut node = Node::with_pages(&config(), Capabilities::ALL, 40);
    let connections = 60;
    let [mut end, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    let arrive = |node: &mut Node, port: u16, seq: u32| {
        let repr = Repr {
            destination: port,
            window: 1000,
            ..peer.repr(Seq(peer.state.send.snd_nxt) + seq)
        };
        let bytes = peer::frame(&peer.state, &repr, &[5; 100]);
        let offload = RxOffload::default();
        node.receive(1, &WireFrame { bytes, offload });
    };
    for port in 0..connections {
        end.state.local_port = 2000 + port;
        // The first request for an unknown flow is refused with status Busy.
        for _ in 0..2 {
            node.driver
                .delegate(&mut node.env, u32::from(port), &end.state);
            node.poll(1);
            node.driver.completions(&mut node.env);
        }
    }
    for round in 0..5 {
        for port in 0..connections {
            arrive(&mut node, 2000 + port, 100 * round);
            node.poll(1);
            node.driver.completions(&mut node.env);
        }
    }
    assert_eq!(node.counter(Counter::Connections), u64::from(connections));
    assert_eq!(
        node.counter(Counter::ToeRxBytes),
        500 * u64::from(connections)
    );
    assert_eq!(node.counter(Counter::ToeNoPage), 0);
}

#[test]
fn a_stop_returns_every_connection() {
    let scenario = Scenario {
        bytes: [100_000, 100_000],
        ..Scenario::default()
    };
    let (mut nodes, mut ends, _) = run(&scenario);
    let (node, end) = (&mut nodes[0], &mut ends[0]);
    assert!(matches!(end.mode, Mode::Delegated(_)));
    node.processor.stop().unwrap();
    assert_eq!(node.poll(node.now), Next::Stopped);
    for event in node.driver.completions(&mut node.env) {
        end.take(node, event);
    }
    assert_eq!(end.mode, Mode::Host);
    assert_eq!(end.reasons, [toe_abi::completion::Reason::Stop.raw()]);
    assert_eq!(node.poll(node.now), Next::Sleep { deadline: None });
    assert!(node.processor.stop().is_err());
    let rings = support::rings();
    node.env.doorbell.fill(0);
    assert_eq!(node.processor.start(0, &mut node.env, &rings), Ok(()));
}

#[test]
fn a_state_with_undefined_flags_is_refused() {
    let mut node = Node::new(&config(), Capabilities::ALL);
    let [end, _] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
    let mut state = end.state;
    state.flags |= 1 << 15;
    node.driver.delegate(&mut node.env, 7, &state);
    node.poll(1);
    let events = node.driver.completions(&mut node.env);
    let status = HandoverStatus::Unsupported.raw();
    assert!(
        matches!(&events[..], [Event::Delegated(answer)] if answer.status == status),
        "{events:?}"
    );
}
