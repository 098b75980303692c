// SPDX-License-Identifier: GPL-2.0

//! Hardware GRO: a large frame that is uploaded equals the wire frames that were sent, in the order of
//! each flow, with other traffic in between.

#[path = "support/peer.rs"]
mod peer;
mod support;

use std::collections::VecDeque;

use proptest::prelude::*;

use toe_abi::PAGE_SIZE;
use toe_abi::admin::storage;
use toe_abi::completion;
use toe_abi::completion::CompletionOp;
use toe_abi::completion::frame_flag;
use toe_abi::stats::Counter;
use toe_engine::env::Capabilities;
use toe_engine::env::GsoKind;
use toe_engine::env::Partial;
use toe_engine::env::RxChecksum;
use toe_engine::env::RxOffload;
use toe_engine::gso::Large;
use toe_engine::tcp::Seq;
use toe_engine::wire::ethernet;
use toe_engine::wire::ipv4;
use toe_engine::wire::packet::Class;
use toe_engine::wire::packet::Packet;
use toe_engine::wire::tcp::Repr;
use toe_engine::wire::tcp::flag;

use self::support::Event;
use self::support::Node;
use self::support::Random;
use self::support::WireFrame;
use self::support::config;

/// A received flow.
struct Flow {
    end: peer::End,
    seq: u32,
    id: u16,
    window: u16,
    /// Frames in flight as the host receives them, without their tags.
    sent: VecDeque<Vec<u8>>,
}

impl Flow {
    /// Flow number `n`. Eight consecutive flows cover both IP versions with and without a tag.
    fn new(n: u16) -> Self {
        let [_, mut end] = peer::pair(n & 1 != 0, n & 2 != 0, [Vec::new(), Vec::new()], 1);
        end.state.local_port = 5000 + n;
        end.state.vlan_tci = 100 + n / 8;
        Self {
            end,
            seq: u32::from(n) << 20,
            id: n,
            window: 1000,
            sent: VecDeque::new(),
        }
    }

    fn v6(&self) -> bool {
        self.end.state.flags & toe_abi::connection::flag::IPV6 != 0
    }

    fn tagged(&self) -> bool {
        self.end.state.flags & toe_abi::connection::flag::VLAN != 0
    }

    /// The next frame, with `length` bytes of payload.
    fn frame(&mut self, length: usize, flags: u8, random: &mut Random) -> Vec<u8> {
        let repr = Repr {
            flags: flag::ACK | flags,
            window: self.window,
            ..self.end.repr(Seq(self.seq))
        };
        let mut payload = vec![0; length];
        random.fill(&mut payload);
        self.seq = self.seq.wrapping_add(length as u32);
        let mut frame = peer::frame(&self.end.state, &repr, &payload);
        if !self.v6() {
            let l3 = ethernet::HEADER + if self.tagged() { ethernet::TAG } else { 0 };
            let total = frame.len() - l3;
            ipv4::finish(&mut frame[l3..], total as u16, self.id);
        }
        self.id = self.id.wrapping_add(1);
        let mut seen = frame.clone();
        if self.tagged() {
            seen.drain(12..12 + ethernet::TAG);
        }
        self.sent.push_back(seen);
        frame
    }
}

/// The wire frames that an uploaded frame represents.
fn cut(first: &completion::RxFrame, frame: &[u8]) -> Vec<Vec<u8>> {
    if first.segments == 1 {
        assert_eq!(first.gso_size, 0);
        return vec![frame.to_vec()];
    }
    let packet = Packet::parse(frame).expect("a frame");
    assert_eq!(packet.class, Class::Tcp);
    assert_eq!(packet.end as usize, frame.len());
    let large = Large {
        frame,
        kind: match packet.version {
            4 => GsoKind::Tcp4,
            _ => GsoKind::Tcp6,
        },
        l3: packet.l3.into(),
        l4: packet.l4.into(),
        header: packet.payload.into(),
        size: first.gso_size.into(),
        v6: packet.version == 6,
    };
    assert_eq!(large.count(), usize::from(first.segments));
    let piece = |index| {
        let mut to = vec![0; frame.len()];
        let length = large.emit(index, &mut to);
        to.truncate(length);
        to
    };
    (0..large.count()).map(piece).collect()
}

fn node(flags: u32, small_frame: u16) -> Node {
    let mut node = Node::new(&config(), Capabilities::default());
    node.processor.set_mtu(9000).unwrap();
    node.processor.set_storage(flags, small_frame).unwrap();
    node.poll(0);
    node
}

fn receive(node: &mut Node, frame: Vec<u8>) {
    let offload = RxOffload::default();
    let mut bytes = frame;
    bytes[..6].copy_from_slice(&config().mac);
    node.receive(1, &WireFrame { bytes, offload });
}

/// The uploaded frames, one entry a completion.
fn frames(node: &mut Node) -> Vec<(completion::RxFrame, Vec<u8>)> {
    node.poll(1);
    let events = node.driver.completions(&mut node.env);
    events
        .into_iter()
        .map(|event| match event {
            Event::Frame(first, bytes) => (first, bytes),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Takes uploaded frames and finds them among those that were sent. Returns the number of sent frames
/// that are missing.
fn take(node: &mut Node, flows: &mut [Flow]) -> u64 {
    let mut missing = 0;
    for (first, bytes) in frames(node) {
        let packet = Packet::parse(&bytes).expect("a frame");
        let (port, _) = packet.ports(&bytes).expect("ports");
        let flow = &mut flows[usize::from(port - 5000)];
        let tagged = first.flags & frame_flag::VLAN != 0;
        assert_eq!(tagged, flow.tagged());
        if tagged {
            assert_eq!(first.vlan_tci, flow.end.state.vlan_tci);
        }
        for piece in cut(&first, &bytes) {
            loop {
                let next = flow.sent.pop_front().expect("a frame that was sent");
                if next[6..] == piece[6..] {
                    break;
                }
                missing += 1;
            }
        }
    }
    missing
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_flow_comes_up_as_it_was_sent(
        seed: u64,
        gro: bool,
        split in proptest::bool::weighted(0.9),
        small_frame in 0u16..=1024,
        appetite in 1u32..200,
        flow_count in 1u16..100,
    ) {
        let flags = u32::from(gro) * storage::GRO | u32::from(split) * storage::SPLIT;
        let mut node = node(flags, small_frame);
        node.driver.appetite = appetite;
        let mut random = Random(seed);
        let mut flows: Vec<_> = (0..flow_count).map(Flow::new).collect();
        let (mut at, mut missing) = (0, 0);
        for _ in 0..1500 {
            if random.chance(200_000) {
                at = random.below(flow_count.into()) as usize;
            }
            let flow = &mut flows[at];
            let length = match random.below(10) {
                0 => 0,
                1 => 1 + random.below(4000) as usize,
                _ => 1000,
            };
            let flags = match random.below(20) {
                0 => flag::PSH,
                1 => flag::FIN,
                2 => flag::ECE,
                3 => {
                    flow.window += 1;
                    0
                }
                4 => {
                    flow.seq = flow.seq.wrapping_add(700);
                    0
                }
                5 => {
                    flow.seq = flow.seq.wrapping_sub(700);
                    0
                }
                _ => 0,
            };
            let frame = flow.frame(length, flags, &mut random);
            receive(&mut node, frame);
            if random.chance(30_000) {
                missing += take(&mut node, &mut flows);
            }
            if random.chance(2_000) {
                let small_frame = random.below(1025) as u16;
                let all = random.below(2) as u32 * storage::SPLIT_ALL;
                let flags = storage::SPLIT | storage::GRO | all;
                node.processor.set_storage(flags, small_frame).unwrap();
            }
        }
        for _ in 0..1500 {
            missing += take(&mut node, &mut flows);
        }
        let left: usize = flows.iter().map(|flow| flow.sent.len()).sum();
        let lost = node.counter(Counter::RxNoPage) + node.counter(Counter::RxNoCompletion);
        prop_assert_eq!(missing + left as u64, lost);
    }
}

#[test]
fn consecutive_segments_lie_one_behind_the_other_from_the_start_of_a_page() {
    const LENGTH: usize = 1448;
    let mut node = node(storage::SPLIT | storage::GRO, 256);
    for n in [0, 1] {
        let mut flow = Flow::new(n);
        for round in 0..3 {
            for _ in 0..40 {
                let frame = flow.frame(LENGTH, 0, &mut Random(7));
                receive(&mut node, frame);
            }
            let up = frames(&mut node);
            assert_eq!(up.len(), 1, "round {round}");
            let (first, bytes) = &up[0];
            assert_eq!((first.segments, first.gso_size), (40, LENGTH as u16));
            assert_eq!(first.data_offset, 0);
            assert_eq!(usize::from(first.page_count), completion::FRAME_PAGES);
            assert_eq!(
                first.data_length as usize,
                completion::FRAME_PAGES * PAGE_SIZE
            );
            assert_eq!(bytes.len(), usize::from(first.header_length) + 40 * LENGTH);
        }
    }
}

#[test]
fn a_large_frame_never_passes_what_a_datagram_holds() {
    let mut node = node(storage::SPLIT | storage::GRO, 256);
    for n in [0, 1] {
        let mut flow = Flow::new(n);
        for _ in 0..60 {
            let frame = flow.frame(1448, 0, &mut Random(7));
            receive(&mut node, frame);
        }
        let segments = frames(&mut node)
            .iter()
            .map(|(first, _)| first.segments)
            .collect::<Vec<_>>();
        assert_eq!(segments, [45, 15]);
    }
}

#[test]
fn what_ends_a_large_frame() {
    for (length, flags, expected) in [
        // Same flags as the segment before.
        (1000, 0, vec![3]),
        // A short segment or one with PSH ends a large frame.
        (400, 0, vec![2, 1]),
        (1000, flag::PSH, vec![2, 1]),
        // A longer segment starts the next large frame. A segment without payload and one with special
        // flags are uploaded alone.
        (1200, 0, vec![1, 2]),
        (0, 0, vec![1, 1, 1]),
        (1000, flag::FIN, vec![1, 1, 1]),
        (1000, flag::ECE, vec![1, 1, 1]),
    ] {
        let mut node = node(storage::SPLIT | storage::GRO, 256);
        let mut flow = Flow::new(0);
        for (length, flags) in [(1000, 0), (length, flags), (1000, 0)] {
            let frame = flow.frame(length, flags, &mut Random(7));
            receive(&mut node, frame);
        }
        let segments: Vec<_> = frames(&mut node)
            .iter()
            .map(|(first, _)| first.segments)
            .collect();
        assert_eq!(segments, expected, "{length} bytes, flags {flags:#x}");
    }
}

#[test]
fn a_port_s_large_frame_comes_up_whole_or_as_wire_frames() {
    for gro in [true, false] {
        let flags = if gro { storage::GRO } else { 0 };
        let mut node = node(storage::SPLIT | flags, 256);
        let mut flow = Flow::new(0);
        let mut bytes = flow.frame(5000, flag::PSH, &mut Random(7));
        bytes[..6].copy_from_slice(&config().mac);
        let offload = RxOffload {
            checksum: RxChecksum::Partial(Partial {
                start: 34,
                offset: 16,
            }),
            gso_size: 1000,
        };
        node.receive(1, &WireFrame { bytes, offload });
        assert_eq!(node.counter(Counter::RxFrames), 5);
        let up = frames(&mut node);
        let segments: Vec<_> = up.iter().map(|(first, _)| first.segments).collect();
        assert_eq!(segments, if gro { vec![5] } else { vec![1; 5] });
        for (_, bytes) in up.iter().filter(|_| !gro) {
            let packet = Packet::parse(bytes).unwrap();
            assert_eq!(packet.checksum_ok(bytes), Some(true));
        }
        let payload: Vec<u8> = up
            .iter()
            .flat_map(|(_, bytes)| Packet::parse(bytes).unwrap().payload(bytes).to_vec())
            .collect();
        assert_eq!(payload, flow.sent[0][66..]);
    }
}

#[test]
fn frames_of_both_kinds_use_the_storage_that_their_codes_say() {
    for all in [false, true] {
        let split_all = if all { storage::SPLIT_ALL } else { 0 };
        let mut node = node(storage::SPLIT | storage::GRO | split_all, 256);
        let mut flow = Flow::new(0);
        let random = &mut Random(7);
        let mut arp = vec![0xff; 60];
        arp[12..14].copy_from_slice(&[0x08, 0x06]);
        receive(&mut node, arp);
        // Opcode, payload, flags, gap before it, and pages of payload when it is apart from the
        // headers.
        let steps = [
            (CompletionOp::FlowBegins, 1000, 0, 0, Some(1)),
            (CompletionOp::NoPayload, 0, 0, 0, None),
            (CompletionOp::Reassembled, 1000, 0, 0, Some(1)),
            (CompletionOp::NotReassembled, 1000, 0, 500, all.then_some(1)),
            (CompletionOp::NotReassembled, 5000, 0, 500, all.then_some(2)),
            (CompletionOp::Small, 50, 0, 0, None),
            (CompletionOp::FlowEnds, 1000, flag::FIN, 0, Some(1)),
            (CompletionOp::FlowEnds, 1000, flag::RST, 1, all.then_some(1)),
            (CompletionOp::FlowEnds, 0, flag::FIN, 0, None),
        ];
        for (_, length, flags, gap, _) in steps {
            flow.seq += gap;
            let frame = flow.frame(length, flags, random);
            receive(&mut node, frame);
        }
        let up = frames(&mut node);
        assert_eq!(up[0].0.op, CompletionOp::NotTcp.raw());
        for ((op, length, .., apart), (first, bytes)) in steps.iter().zip(&up[1..]) {
            assert_eq!(first.op, op.raw());
            assert_eq!(bytes.len(), 66 + length);
            let whole = apart.is_none() && *length > 256;
            assert_eq!(first.header_page == completion::NO_PAGE, whole, "{op:?}");
            assert_eq!(first.flags & frame_flag::HEADER_RING != 0, whole, "{op:?}");
            // A page holds two frames of up to half a page each. Larger frames take pages of their own.
            let pages = match apart {
                Some(pages) => *pages,
                None if whole => (bytes.len() + 2).div_ceil(PAGE_SIZE),
                None => 0,
            };
            assert_eq!(usize::from(first.page_count), pages, "{op:?}");
        }
    }
}
