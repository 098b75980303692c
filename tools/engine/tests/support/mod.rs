// SPDX-License-Identifier: GPL-2.0

//! A model of the host: memory, doorbells, and a driver that posts pages and reads completions.
#![allow(dead_code, reason = "no test uses all of it")]

mod env;
mod page_ring;
pub mod vxlan;

use toe_abi::CELL_SIZE;
use toe_abi::Layout;
use toe_abi::PAGE_SIZE;
use toe_abi::completion;
use toe_abi::completion::CompletionOp;
use toe_abi::completion::Deliver;
use toe_abi::completion::PagesReleased;
use toe_abi::completion::Returned;
use toe_abi::completion::frame_flag;
use toe_abi::connection::ConnectionState;
use toe_abi::feature;
use toe_abi::ring::RingId;
use toe_abi::stats::Counter;
use toe_abi::submission;
use toe_abi::submission::SubmissionOp;
use toe_abi::transmit;
use toe_engine::env::Capabilities;
use toe_engine::env::Host;
use toe_engine::processor::Config;
use toe_engine::processor::Processor;
use toe_engine::processor::Rings;
use toe_engine::processor::Seed;
use toe_engine::random::splitmix64;

pub use self::env::TestEnv;
pub use self::env::WireFrame;

use self::page_ring::PageRing;

/// DMA address of the first byte of memory.
pub const BASE: u64 = 0x4000_0000;
/// log2 of the entries of every ring.
pub const LOG2: u8 = 10;
pub const ENTRIES: u32 = 1 << LOG2;
/// Distance between two rings in memory.
const RING_STRIDE: u64 = 0x1_0000;
/// Pages of each page ring.
pub const PAGES: u32 = 512;
/// Offsets of header pages and payload pages from [`BASE`].
const HEADER_POOL: u64 = 0x8_0000;
const PAYLOAD_POOL: u64 = HEADER_POOL + PAGES as u64 * PAGE_SIZE as u64;
/// Offset of memory for frames and streams from [`BASE`].
pub const FREE: u64 = PAYLOAD_POOL + PAGES as u64 * PAGE_SIZE as u64;
/// Size of all memory.
const MEMORY: usize = FREE as usize + 0x40_0000;

/// A processor's configuration for tests.
pub fn config() -> Config {
    Config {
        index: 0,
        processors: 1,
        connections: 64,
        fragments: 4096,
        pages: PAGES,
        flows: 256,
        hold: 1 << 20,
        hold_connection: 1 << 19,
        mac: [2, 0, 0, 0, 0, 1],
        seed: Seed::new(1),
    }
}

/// Rings as [`Driver`] lays them out.
pub fn rings() -> Rings {
    let address = |i: u64| BASE + (i + 1) * RING_STRIDE;
    Rings {
        log2_entries: [LOG2; 5],
        addresses: [address(0), address(1), address(2), address(3), address(4)],
        status: BASE,
        features: feature::ALL,
    }
}

/// A completion, with the data that it names.
#[derive(Clone, Debug)]
pub enum Event {
    /// The first completion of a received frame, and the frame.
    Frame(completion::RxFrame, Vec<u8>),
    /// The answer to a hand-over.
    Delegated(completion::Delegated),
    /// Received payload.
    Deliver(Deliver, Vec<u8>),
    /// Received payload in an area of the application.
    Placed(completion::Placed),
    /// Progress.
    Acked(completion::Acked),
    /// The end of legacy mode.
    Resumed(completion::Resumed),
    /// A returned connection.
    Returned(Returned, ConnectionState),
}

/// The driver of one processor.
pub struct Driver {
    headers: PageRing,
    payload: PageRing,
    transmit: u32,
    submission: u32,
    completion: u32,
    /// Most completions that the host reads at a time.
    pub appetite: u32,
    /// Whether released pages are posted again.
    pub repost: bool,
}

impl Driver {
    /// Posts `pages` pages to each page ring.
    pub fn new(env: &mut TestEnv, pages: u32) -> Self {
        let mut driver = Self {
            headers: PageRing::new(RingId::HeaderPages, BASE + HEADER_POOL, pages),
            payload: PageRing::new(RingId::PayloadPages, BASE + PAYLOAD_POOL, pages),
            transmit: 0,
            submission: 0,
            completion: 0,
            appetite: u32::MAX,
            repost: true,
        };
        driver.post(env);
        driver
    }

    pub fn post(&mut self, env: &mut TestEnv) {
        self.headers.post(env);
        self.payload.post(env);
    }

    /// Numbers of posted pages: header ring, payload ring.
    pub fn outstanding(&self) -> (usize, usize) {
        (self.headers.outstanding(), self.payload.outstanding())
    }

    /// Writes entries to the submission ring and publishes them.
    pub fn submit(&mut self, env: &mut TestEnv, entries: &[[u8; 64]]) {
        for entry in entries {
            let at = u64::from(self.submission & (ENTRIES - 1)) * 64;
            env.write(rings().addresses[RingId::Submission as usize] + at, entry)
                .unwrap();
            self.submission = self.submission.wrapping_add(1);
        }
        env.doorbell[RingId::Submission.index_offset() / 4] = self.submission;
    }

    /// Requests the hand-over of a connection.
    pub fn delegate(&mut self, env: &mut TestEnv, host_id: u32, state: &ConnectionState) {
        let header = submission::Delegate {
            op: SubmissionOp::Delegate.raw(),
            host_id,
        };
        let bytes: [u8; 192] = state.to_bytes();
        let mut entries = vec![header.to_bytes()];
        entries.extend(
            bytes
                .chunks_exact(64)
                .map(|raw| <[u8; 64]>::try_from(raw).unwrap()),
        );
        self.submit(env, &entries);
    }

    /// Requests the return of a connection.
    pub fn ask_back(&mut self, env: &mut TestEnv, device_id: u32) {
        let entry = submission::Return {
            op: SubmissionOp::Return.raw(),
            device_id,
        };
        self.submit(env, &[entry.to_bytes()]);
    }

    /// Binds an area.
    pub fn bind(&mut self, env: &mut TestEnv, bind: &submission::Bind) {
        let entry = submission::Bind {
            op: SubmissionOp::Bind.raw(),
            ..*bind
        };
        self.submit(env, &[entry.to_bytes()]);
    }

    /// Submits payload in memory at `address`, in fragments of at most `frag` bytes.
    pub fn send(
        &mut self,
        env: &mut TestEnv,
        device_id: u32,
        seq: u32,
        address: u64,
        length: u32,
        frag: u32,
    ) {
        let mut done = 0;
        while done < length {
            let mut entry = submission::Send {
                op: SubmissionOp::Send.raw(),
                device_id,
                seq: seq.wrapping_add(done),
                ..submission::Send::default()
            };
            while usize::from(entry.count) < submission::SEND_FRAGS && done < length {
                let now = frag.min(length - done);
                entry.addresses[usize::from(entry.count)] = address + u64::from(done);
                entry.lengths[usize::from(entry.count)] = now;
                entry.count += 1;
                done += now;
            }
            if done == length {
                entry.flags = submission::send_flag::PUSH;
            }
            self.submit(env, &[entry.to_bytes()]);
        }
    }

    /// Writes entries to the transmit ring and publishes them.
    pub fn transmit(&mut self, env: &mut TestEnv, entries: &[transmit::Descriptor]) {
        for entry in entries {
            let at = u64::from(self.transmit & (ENTRIES - 1)) * 32;
            let base = rings().addresses[RingId::Transmit as usize];
            env.write(base + at, &entry.to_bytes()).unwrap();
            self.transmit = self.transmit.wrapping_add(1);
        }
        env.doorbell[RingId::Transmit.index_offset() / 4] = self.transmit;
    }

    /// Sends `frame` unchanged, from memory at [`FREE`] and in `count` entries.
    pub fn transmit_bytes(&mut self, env: &mut TestEnv, frame: &[u8], count: usize) {
        env.write(BASE + FREE, frame).unwrap();
        let size = frame.len().div_ceil(count);
        let mut entries: Vec<transmit::Descriptor> = frame
            .chunks(size)
            .enumerate()
            .map(|(i, chunk)| transmit::Descriptor {
                address: BASE + FREE + (i * size) as u64,
                length: chunk.len() as u32,
                ..transmit::Descriptor::default()
            })
            .collect();
        entries.last_mut().unwrap().flags = transmit::flag::END;
        self.transmit(env, &entries);
    }

    /// Reads pending completions, checks them, and posts released pages again.
    pub fn completions(&mut self, env: &mut TestEnv) -> Vec<Event> {
        let producer = env.status(RingId::Completion.index_offset());
        let mut events = Vec::new();
        let ready = producer.wrapping_sub(self.completion);
        assert!(ready <= ENTRIES, "the ring was overrun");
        let mut left = ready.min(self.appetite);
        while left != 0 {
            let entry = self.take(env);
            left -= 1;
            match CompletionOp::from_raw(entry[0]).expect("a known completion") {
                CompletionOp::PagesReleased => {
                    let pages = PagesReleased::from_bytes(&entry);
                    let from = if pages.payload == 0 {
                        &mut self.headers
                    } else {
                        &mut self.payload
                    };
                    for &id in &pages.pages[..usize::from(pages.page_count)] {
                        from.release(id);
                    }
                }
                CompletionOp::Delegated => {
                    events.push(Event::Delegated(completion::Delegated::from_bytes(&entry)));
                }
                CompletionOp::Deliver => {
                    let deliver = Deliver::from_bytes(&entry);
                    let bytes = self.payload(env, &deliver);
                    events.push(Event::Deliver(deliver, bytes));
                }
                CompletionOp::Placed => {
                    events.push(Event::Placed(completion::Placed::from_bytes(&entry)));
                }
                CompletionOp::Acked => {
                    events.push(Event::Acked(completion::Acked::from_bytes(&entry)))
                }
                CompletionOp::Resumed => {
                    events.push(Event::Resumed(completion::Resumed::from_bytes(&entry)));
                }
                CompletionOp::Returned => {
                    let returned = Returned::from_bytes(&entry);
                    let mut state = [0; 192];
                    for part in state.chunks_exact_mut(64) {
                        part.copy_from_slice(&self.take(env));
                    }
                    left = left.saturating_sub(3);
                    if returned.page != completion::NO_PAGE {
                        self.payload.release(returned.page);
                    }
                    events.push(Event::Returned(
                        returned,
                        ConnectionState::from_bytes(&state),
                    ));
                }
                _ => {
                    let first = completion::RxFrame::from_bytes(&entry);
                    let mut bytes = Vec::new();
                    let mut part = first;
                    self.frame(env, &part, &mut bytes);
                    while part.flags & frame_flag::MORE != 0 {
                        part = completion::RxFrame::from_bytes(&self.take(env));
                        left = left.saturating_sub(1);
                        assert_eq!((part.op, part.header_page), (first.op, completion::NO_PAGE));
                        self.frame(env, &part, &mut bytes);
                    }
                    events.push(Event::Frame(first, bytes));
                }
            }
        }
        env.doorbell[RingId::Completion.index_offset() / 4] = self.completion;
        if self.repost {
            self.post(env);
        }
        events
    }

    /// Consumes all completions without reading the data, and posts released pages again. Fast, for
    /// benchmarks.
    pub fn recycle(&mut self, env: &mut TestEnv) {
        let producer = env.status(RingId::Completion.index_offset());
        while self.completion != producer {
            let entry = self.take(env);
            if entry[0] == CompletionOp::PagesReleased.raw() {
                let pages = PagesReleased::from_bytes(&entry);
                let from = match pages.payload {
                    0 => &mut self.headers,
                    _ => &mut self.payload,
                };
                for &id in &pages.pages[..usize::from(pages.page_count)] {
                    from.release(id);
                }
                continue;
            }
            let frame = completion::RxFrame::from_bytes(&entry);
            let from = match frame.flags & frame_flag::HEADER_RING {
                0 => &mut self.payload,
                _ => &mut self.headers,
            };
            for (i, &id) in frame.pages.iter().enumerate() {
                if frame.release >> (i + 1) & 1 != 0 {
                    from.release(id);
                }
            }
            if frame.release & 1 != 0 {
                self.headers.release(frame.header_page);
            }
        }
        env.doorbell[RingId::Completion.index_offset() / 4] = self.completion;
        self.post(env);
    }

    fn take(&mut self, env: &TestEnv) -> [u8; 64] {
        let at = u64::from(self.completion & (ENTRIES - 1)) * 64;
        let base = rings().addresses[RingId::Completion as usize];
        self.completion = self.completion.wrapping_add(1);
        env.bytes(base + at, 64).try_into().unwrap()
    }

    fn frame(&mut self, env: &TestEnv, frame: &completion::RxFrame, bytes: &mut Vec<u8>) {
        if frame.header_page != completion::NO_PAGE {
            let (offset, length) = (frame.header_offset, frame.header_length);
            assert_eq!(usize::from(offset) % CELL_SIZE, 2);
            let at = self
                .headers
                .name(frame.header_page, offset.into(), length.into());
            bytes.extend_from_slice(env.bytes(at, length.into()));
        }
        let chain = frame.flags & frame_flag::HEADER_RING != 0;
        let from = if chain {
            &mut self.headers
        } else {
            &mut self.payload
        };
        let pages = &frame.pages[..usize::from(frame.page_count)];
        gather(
            env,
            from,
            pages,
            frame.data_offset,
            frame.data_length,
            bytes,
        );
        for (i, &id) in pages.iter().enumerate() {
            if frame.release >> (i + 1) & 1 != 0 {
                from.release(id);
            }
        }
        if frame.release & 1 != 0 {
            self.headers.release(frame.header_page);
        }
    }

    fn payload(&mut self, env: &TestEnv, deliver: &Deliver) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pages = &deliver.pages[..usize::from(deliver.page_count)];
        assert!(deliver.data_length > 0);
        let length = deliver.data_length;
        gather(
            env,
            &mut self.payload,
            pages,
            deliver.data_offset,
            length,
            &mut bytes,
        );
        for (i, &id) in pages.iter().enumerate() {
            if deliver.release >> i & 1 != 0 {
                self.payload.release(id);
            }
        }
        bytes
    }
}

fn gather(
    env: &TestEnv,
    from: &mut PageRing,
    pages: &[u32],
    offset: u16,
    length: u32,
    bytes: &mut Vec<u8>,
) {
    let mut offset = u32::from(offset);
    let mut left = length;
    for &id in pages {
        let now = left.min(PAGE_SIZE as u32 - offset);
        let at = from.name(id, offset, now);
        bytes.extend_from_slice(env.bytes(at, now as usize));
        left -= now;
        offset = 0;
    }
    assert_eq!(left, 0, "more data than pages");
}

/// A processor with its environment and its driver.
pub struct Node {
    pub env: TestEnv,
    pub processor: Processor,
    pub driver: Driver,
    /// Time of the latest poll.
    pub now: u64,
}

impl Node {
    pub fn new(config: &Config, capabilities: Capabilities) -> Self {
        Self::with_pages(config, capabilities, PAGES)
    }

    pub fn with_pages(config: &Config, capabilities: Capabilities, pages: u32) -> Self {
        Self::with(config, capabilities, &rings(), pages)
    }

    pub fn with_rings(config: &Config, capabilities: Capabilities, rings: &Rings) -> Self {
        Self::with(config, capabilities, rings, PAGES)
    }

    fn with(config: &Config, capabilities: Capabilities, rings: &Rings, pages: u32) -> Self {
        let mut env = TestEnv::new(capabilities);
        let mut processor = Processor::new(config);
        processor.start(0, &mut env, rings).unwrap();
        let driver = Driver::new(&mut env, pages);
        Self {
            env,
            processor,
            driver,
            now: 0,
        }
    }

    pub fn poll(&mut self, now: u64) -> toe_engine::processor::Next {
        self.now = now;
        self.processor.poll(now, &mut self.env, 64)
    }

    pub fn receive(&mut self, now: u64, frame: &WireFrame) {
        self.processor
            .receive(now, &mut self.env, &frame.bytes, &frame.offload);
    }

    pub fn counter(&self, counter: Counter) -> u64 {
        self.processor.counters()[counter as usize]
    }
}

/// A small deterministic random generator (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        splitmix64(&mut self.0)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True with a probability of `ppm` in a million.
    pub fn chance(&mut self, ppm: u64) -> bool {
        self.below(1_000_000) < ppm
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let raw = self.next().to_le_bytes();
            chunk.copy_from_slice(&raw[..chunk.len()]);
        }
    }
}
