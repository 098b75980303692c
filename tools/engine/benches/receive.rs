// SPDX-License-Identifier: GPL-2.0

//! Classification and placement of received frames, by size and number of flows, in random order.
//! Measures the engine only: frames are prepared, and the host consumes completions and posts
//! pages, while the clock is stopped.
//!
//! `make bench` runs it and prints a table.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;
use std::time::Instant;

use criterion::BenchmarkId;
use criterion::Criterion;
use criterion::Throughput;
use pcap_file::pcap::PcapReader;

use toe_abi::admin::storage;
use toe_engine::env::Capabilities;
use toe_engine::env::RxChecksum;
use toe_engine::env::RxOffload;
use toe_engine::processor;
use toe_engine::wire::checksum;
use toe_engine::wire::ethernet;
use toe_engine::wire::ipv4;
use toe_engine::wire::packet::Packet;
use toe_engine::wire::tcp;

use self::support::Node;
use self::support::Random;
use self::support::config;

/// Frames per batch.
const BATCH: usize = 64;
/// Offsets in a frame.
const L3: usize = ethernet::HEADER;
const L4: usize = L3 + ipv4::HEADER;

/// Frames captured by tools/bench/frames.sh: segments of Linux's TCP, one of each size.
const FRAMES: &[u8] = include_bytes!("frames.pcap");

/// The captured frame of `size` bytes, addressed to this processor. Its checksum counts as verified
/// by the port.
fn frame(size: usize) -> Vec<u8> {
    let mut capture = PcapReader::new(FRAMES).unwrap();
    while let Some(packet) = capture.next_packet() {
        let mut frame = packet.unwrap().data.into_owned();
        if frame.len() == size {
            frame[..6].copy_from_slice(&config().mac);
            return frame;
        }
    }
    panic!("no frame of {size} bytes was captured");
}

/// Makes `frame` the next segment of `flow`, whose number becomes the source address.
fn address(frame: &mut [u8], flow: u32, seq: u32) {
    let be16 = |frame: &[u8], at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let (source, check) = (L3 + ipv4::SOURCE, L3 + ipv4::CHECKSUM);
    let address = (10 << 24 | flow & 0xff_ffff).to_be_bytes();
    for (at, new) in (source..).step_by(2).zip(address.chunks_exact(2)) {
        let updated = checksum::update(be16(frame, check), be16(frame, at), be16(new, 0));
        frame[at..at + 2].copy_from_slice(new);
        frame[check..check + 2].copy_from_slice(&updated.to_be_bytes());
    }
    frame[L4 + tcp::SEQ..L4 + tcp::SEQ + 4].copy_from_slice(&seq.to_be_bytes());
}

/// A processor and the frames it receives.
struct Bench {
    node: Node,
    frames: Vec<Vec<u8>>,
    /// Next sequence number of each flow.
    flows: Vec<u32>,
    random: Random,
    payload: u32,
}

impl Bench {
    fn new(size: usize, flows: usize) -> Self {
        let config = processor::Config {
            // Twice the number of flows, so that few sets of the database overflow.
            flows: (2 * flows).next_power_of_two() as u32,
            ..config()
        };
        let mut node = Node::new(&config, Capabilities::ALL);
        node.processor.set_mtu(9000).unwrap();
        let frame = frame(size);
        let flags = storage::SPLIT | storage::GRO;
        node.processor
            .set_storage(flags, toe_abi::SMALL_FRAME)
            .unwrap();
        let mut bench = Self {
            node,
            payload: Packet::parse(&frame).unwrap().payload(&frame).len() as u32,
            frames: vec![frame; BATCH],
            flows: vec![0; flows],
            random: Random(1),
        };
        // Make every flow known before the measurement.
        for flow in (0..flows).step_by(BATCH) {
            bench.prepare(|i, _| (flow + i) % flows);
            bench.work();
        }
        bench
    }

    /// Prepares the next batch.
    fn prepare(&mut self, choose: impl Fn(usize, &mut Random) -> usize) {
        for (i, frame) in self.frames.iter_mut().enumerate() {
            let flow = choose(i, &mut self.random);
            address(frame, flow as u32, self.flows[flow]);
            self.flows[flow] = self.flows[flow].wrapping_add(self.payload);
        }
    }

    /// Processes a batch. Returns the time taken.
    fn work(&mut self) -> Duration {
        let offload = RxOffload {
            checksum: RxChecksum::Valid,
            gso_size: 0,
        };
        let (now, env) = (self.node.now + 10, &mut self.node.env);
        let began = Instant::now();
        let frames = self.frames.iter().map(|frame| (frame.as_slice(), offload));
        let elsewhere = |_, _| {};
        self.node
            .processor
            .receive_batch(now, env, frames, elsewhere);
        self.node.poll(now);
        let took = began.elapsed();
        self.node.driver.recycle(&mut self.node.env);
        took
    }
}

fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive");
    group
        .throughput(Throughput::Elements(1))
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);
    for size in [64, 256, 1500, 9000] {
        for flows in [1, 1_000, 100_000, 1_000_000] {
            let mut bench = Bench::new(size, flows);
            group.bench_function(BenchmarkId::new(size.to_string(), flows), |bencher| {
                bencher.iter_custom(|frames| {
                    let mut took = Duration::ZERO;
                    for _ in 0..frames.div_ceil(BATCH as u64) {
                        bench.prepare(|_, random| random.below(flows as u64) as usize);
                        took += bench.work();
                    }
                    took.mul_f64(frames as f64 / (frames.next_multiple_of(BATCH as u64)) as f64)
                });
            });
            let lost = bench.node.counter(toe_abi::stats::Counter::RxNoPage)
                + bench.node.counter(toe_abi::stats::Counter::RxNoCompletion);
            assert_eq!(lost, 0, "a frame was not placed");
        }
    }
    group.finish();
}

fn main() {
    receive(&mut Criterion::default().configure_from_args());
}
