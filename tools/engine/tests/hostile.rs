// SPDX-License-Identifier: GPL-2.0

//! A hostile host and a hostile wire: the engine does not panic, does not overrun rings, and works
//! after a reset.

mod support;

use proptest::prelude::*;

use toe_abi::Layout;
use toe_abi::ring::ARM;
use toe_abi::ring::RingId;
use toe_abi::stats::Counter;
use toe_abi::submission::Resync;
use toe_abi::submission::SubmissionOp;
use toe_abi::submission::resync_flag;
use toe_engine::env::Capabilities;
use toe_engine::env::Host;
use toe_engine::env::RxChecksum;
use toe_engine::env::RxOffload;
use toe_engine::processor::Next;
use toe_engine::tcp::Seq;
use toe_engine::wire::packet::Packet;

use self::support::Node;
use self::support::Random;
use self::support::WireFrame;
use self::support::config;
use self::support::rings;

/// Fills every ring with random bytes and advances the indices at random.
fn nonsense(node: &mut Node, random: &mut Random, tame_indices: bool) {
    for ring in [
        RingId::Transmit,
        RingId::HeaderPages,
        RingId::PayloadPages,
        RingId::Submission,
    ] {
        let mut bytes = vec![0; 4096];
        random.fill(&mut bytes);
        // Make some entries pass the first checks.
        for entry in bytes.chunks_mut(ring.entry_size()) {
            match ring {
                RingId::Submission => {
                    entry[0] = 1 + random.below(6) as u8;
                    entry[2] = random.below(6) as u8;
                    entry[4..8].copy_from_slice(&(random.below(4) as u32).to_le_bytes());
                }
                RingId::Transmit if random.chance(700_000) => {
                    let address = support::BASE + random.below(1 << 21);
                    entry[..8].copy_from_slice(&address.to_le_bytes());
                    entry[8..12].copy_from_slice(&(random.below(3000) as u32).to_le_bytes());
                }
                _ => {}
            }
        }
        node.env
            .write(rings().addresses[ring as usize], &bytes)
            .unwrap();
        let line = ring.index_offset() / 4;
        let jump = if tame_indices {
            random.below(16) as u32
        } else {
            random.next() as u32
        };
        node.env.doorbell[line] = node.env.doorbell[line].wrapping_add(jump);
    }
    node.env.doorbell[ARM / 4] = random.next() as u32;
    if !tame_indices {
        node.env.doorbell[RingId::Completion.index_offset() / 4] = random.next() as u32;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rings_full_of_nonsense(seed: u64, tame in any::<bool>()) {
        let mut random = Random(seed);
        let capabilities = Capabilities { checksum: seed & 1 == 0, ..Capabilities::default() };
        let mut node = Node::new(&config(), capabilities);
        let mut now = 0;
        for _ in 0..40 {
            nonsense(&mut node, &mut random, tame);
            now += random.below(10_000);
            for _ in 0..8 {
                let mut bytes = vec![0; random.below(3000) as usize];
                random.fill(&mut bytes);
                let frame = WireFrame {
                    bytes,
                    offload: RxOffload {
                        checksum: RxChecksum::Unknown,
                        gso_size: random.below(2000) as u16,
                    },
                };
                node.receive(now, &frame);
            }
            if node.poll(now) == Next::Failed {
                break;
            }
            node.env.wire.clear();
        }
        let _ = node.processor.stop();
        node.poll(now);
        node.processor.reset();
        node.env.doorbell.fill(0);
        prop_assert_eq!(node.processor.start(now, &mut node.env, &rings()), Ok(()));
        let idle = matches!(node.poll(now), Next::Sleep { .. });
        prop_assert!(idle);
    }

    /// A host that acknowledges and confirms what it likes, on a connection that enters legacy mode again
    /// and again: the connection stays, and no acknowledgement on the wire goes back or leaves the
    /// window.
    #[test]
    fn a_connection_with_a_lying_host(
        steps in proptest::collection::vec((0u8..6, any::<u32>()), 1..150),
    ) {
        let mut node = Node::new(&config(), Capabilities::ALL);
        let [mut end, peer] = peer::pair(false, false, [Vec::new(), Vec::new()], 1);
        end.delegate(&mut node);
        let peer::Mode::Delegated(device_id) = end.mode else {
            unreachable!();
        };
        let start = Seq(end.state.rcv_nxt);
        let (mut granted, mut highest, mut next) = (Seq(end.state.rcv_edge), start, start);
        for (now, (step, number)) in (2..).zip(steps) {
            let claim = start + number % 400_000;
            match step {
                0..=2 => {
                    // In order, behind a hole, or a repetition.
                    let back = number % 5000;
                    let seq = [next, next + 1000, Seq(next.0.wrapping_sub(back))];
                    let repr = peer.repr(seq[usize::from(step)]);
                    let bytes = peer::frame(&peer.state, &repr, &[step; 1000]);
                    let offload = RxOffload::default();
                    let mut frame = WireFrame { bytes, offload };
                    if number & 0x700 == 0 {
                        peer::add_unknown_option(&mut frame);
                    }
                    next = next.max(repr.seq + 1000);
                    node.receive(now, &frame);
                }
                3 | 4 => {
                    let answer = Resync {
                        op: SubmissionOp::Resync.raw(),
                        flags: number as u8 & resync_flag::IN_STEP,
                        device_id,
                        rcv_nxt: [claim, next][number as usize >> 8 & 1].0,
                        // Often the latest.
                        round: number >> 16 & 15,
                    };
                    node.driver.submit(&mut node.env, &[answer.to_bytes()]);
                }
                _ => {
                    let mut repr = end.repr(Seq(end.state.send.snd_nxt));
                    (repr.ack, repr.window) = (claim, (number >> 20) as u16);
                    granted = granted.max(claim + (u32::from(repr.window) << 7));
                    let bytes = peer::frame(&end.state, &repr, &[]);
                    node.driver.transmit_bytes(&mut node.env, &bytes, 1);
                }
            }
            let waits = matches!(node.poll(now), Next::Sleep { .. });
            prop_assert!(waits, "there is work for ever");
            node.driver.completions(&mut node.env);
            for frame in node.env.wire.drain(..) {
                let packet = Packet::parse(&frame.bytes).expect("a packet");
                let header = packet.tcp(&frame.bytes).expect("a segment");
                let edge = header.ack() + (u32::from(header.window()) << 7);
                prop_assert!(header.ack().at_least(highest) && header.ack().at_most(granted));
                prop_assert!(edge.at_most(granted));
                highest = header.ack();
            }
        }
        prop_assert_eq!(node.counter(Counter::Returned), 0);
    }

    /// For any frames and any pace of the host: each page is released once, live ranges do not overlap,
    /// and frames are uploaded unchanged. The driver model checks the first two.
    #[test]
    fn frames_come_up_as_they_were(
        seed: u64,
        appetite in 1u32..200,
        split: bool,
        lengths in proptest::collection::vec(60usize..9014, 1..200),
    ) {
        let mut random = Random(seed);
        let mut node = Node::new(&config(), Capabilities::default());
        node.driver.appetite = appetite;
        node.processor.set_mtu(9000).unwrap();
        node.processor.set_storage(u32::from(split), 256).unwrap();
        node.poll(0);
        let [sender, _] = peer::pair(seed & 1 == 0, false, [Vec::new(), Vec::new()], 1);
        let mut sent = std::collections::VecDeque::new();
        let mut seq = random.next() as u32;
        for (i, length) in lengths.iter().enumerate() {
            let mut bytes = vec![0; *length];
            random.fill(&mut bytes);
            bytes[12..14].copy_from_slice(&[0x88, 0xb5]);
            if i % 3 != 0 {
                let repr = toe_engine::wire::tcp::Repr {
                    source: 5,
                    destination: 6,
                    seq: Seq(seq),
                    flags: toe_engine::wire::tcp::flag::ACK,
                    ..Default::default()
                };
                let payload = bytes[..*length - 58.min(*length)].to_vec();
                let payload = &payload[..payload.len().min(8900)];
                bytes = peer::frame(&sender.state, &repr, payload);
                seq = seq.wrapping_add(payload.len() as u32);
            }
            bytes[..6].copy_from_slice(&config().mac);
            let offload = RxOffload::default();
            node.receive(1, &WireFrame { bytes: bytes.clone(), offload });
            sent.push_back(bytes);
            if random.chance(300_000) {
                node.poll(1);
                take(&mut node, &mut sent);
            }
        }
        for _ in 0..1000 {
            node.poll(2);
            take(&mut node, &mut sent);
        }
        let lost = node.counter(Counter::RxNoPage) + node.counter(Counter::RxNoCompletion);
        prop_assert!(lost > 0 || sent.is_empty());
    }
}

/// Compares uploaded frames with those that were sent, in order. Frames in between may have been
/// dropped.
fn take(node: &mut Node, sent: &mut std::collections::VecDeque<Vec<u8>>) {
    for event in node.driver.completions(&mut node.env) {
        let support::Event::Frame(_, bytes) = event else {
            panic!("not a frame");
        };
        loop {
            let next = sent.pop_front().expect("a frame that was sent");
            if next == bytes {
                break;
            }
        }
    }
}

#[path = "support/peer.rs"]
mod peer;
