// SPDX-License-Identifier: GPL-2.0

//! Sessions of a vfio-user client whose requests are changed at random.

mod guest;

use std::io::Read;
use std::os::fd::AsRawFd;

use guest::Device;
use guest::Guest;
use guest::raw;
use guest::raw::Raw;
use guest::raw::command;
use guest::sealed_memory;
use guest::works;
use nix::sys::eventfd::EfdFlags;
use nix::sys::eventfd::EventFd;
use nix::sys::memfd;
use nix::sys::memfd::MFdFlags;
use nix::unistd::pipe;
use toe_abi::regs;
use vfio_bindings::bindings::vfio;

/// A sequence of numbers without a pattern (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// Commands and bodies of QEMU's requests, from its connection to a running driver.
fn session() -> Vec<(u16, Vec<u8>)> {
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
    let access = |region: u32, offset: usize, count: usize| {
        let mut body = (offset as u64).to_le_bytes().to_vec();
        body.extend(words(&[region, count as u32]));
        body
    };
    let mut session = vec![
        (command::INFO, words(&[16, 0, 0, 0])),
        (command::DMA_MAP, words(&[32, 3, 0, 0, 0, 0, 0x10_0000, 0])),
        (
            command::DMA_MAP,
            words(&[32, 1, 0, 0, 0x20_0000, 0, 0x1000, 0]),
        ),
        (command::DMA_UNMAP, words(&[24, 0, 0x20_0000, 0, 0x1000, 0])),
        (command::DMA_UNMAP, words(&[24, 4, 0, 0, 0, 0])),
        (command::RESET, Vec::new()),
    ];
    for index in 0..9 {
        session.push((command::REGION_INFO, words(&[32, 0, index, 0, 0, 0, 0, 0])));
        session.push((command::REGION_INFO, words(&[64, 0, index, 0, 0, 0, 0, 0])));
    }
    for index in 0..5 {
        session.push((command::INTERRUPT_INFO, words(&[16, 0, index, 0])));
    }
    let trigger = vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
    for (flags, index, start, count) in [
        (vfio::VFIO_IRQ_SET_DATA_EVENTFD | trigger, 2, 0, 1),
        (vfio::VFIO_IRQ_SET_DATA_EVENTFD | trigger, 2, 1, 2),
        (vfio::VFIO_IRQ_SET_DATA_NONE | trigger, 2, 0, 3),
        (vfio::VFIO_IRQ_SET_DATA_NONE | trigger, 2, 0, 0),
        (vfio::VFIO_IRQ_SET_DATA_NONE | trigger, 0, 0, 0),
    ] {
        session.push((
            command::SET_INTERRUPTS,
            words(&[20, flags, index, start, count]),
        ));
    }
    let config = vfio::VFIO_PCI_CONFIG_REGION_INDEX;
    for (region, offset, count) in [
        (config, 0, 4),
        (config, 0x34, 1),
        (config, 0, 256),
        (0, 0, 4),
        (0, regs::STATUS, 4),
        (0, regs::DOORBELLS, 4096),
    ] {
        session.push((command::READ, access(region, offset, count)));
    }
    for (region, offset, value) in [
        (config, 4, 0x406),
        (config, 0x42, 0x8000),
        (config, 0x68, 0x8000),
        (0, regs::CONTROL, regs::control::RESET),
        (0, regs::DRIVER_FEATURES, 0x35ff),
        (0, regs::ADMIN_COMMANDS, 0x1000),
        (0, regs::ADMIN_COMPLETIONS, 0x2000),
        (0, regs::ADMIN_LOG2, 4),
        (0, regs::CONTROL, regs::control::ENABLE),
        (0, regs::ADMIN_PRODUCER, 1),
        (0, regs::ADMIN_CONSUMER, 1),
        (0, regs::KICK, 1),
    ] {
        let mut body = access(region, offset, 4);
        body.extend(value.to_le_bytes());
        session.push((command::WRITE, body));
    }
    session
}

/// Sends requests of a session in any order, many of them changed, with files of all kinds, over
/// connections that end at any point, for as long as the neighbour's function works.
#[test]
fn requests_of_all_kinds_are_survived() {
    const ROUNDS: u64 = 300;
    let seed = std::env::var("TOE_SEED").map_or(0, |seed| seed.parse().expect("a number"));
    let mut device = Device::cable("requests");
    let mut neighbour = Guest::connect(&device.socket("b"));
    let session = session();
    let memory = sealed_memory(1 << 20);
    let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK).expect("an event descriptor");
    let (reader, writer) = pipe().expect("a pipe");
    let unsealed = memfd::memfd_create("guest", MFdFlags::MFD_ALLOW_SEALING).expect("a memfd");
    let files = [
        memory.as_raw_fd(),
        event.as_raw_fd(),
        reader.as_raw_fd(),
        writer.as_raw_fd(),
        unsealed.as_raw_fd(),
    ];
    for round in 0..ROUNDS {
        let mut random = Random(seed * ROUNDS + round);
        let client = Raw::connect(&device.socket("a"));
        client.stream.set_nonblocking(true).expect("a socket");
        for _ in 0..random.below(64) {
            let (mut what, mut body) = session[random.below(session.len())].clone();
            let mut flags = 0;
            let mut fds = match what {
                command::DMA_MAP => vec![memory.as_raw_fd()],
                command::SET_INTERRUPTS => vec![event.as_raw_fd(); random.below(4)],
                _ => Vec::new(),
            };
            let mut size = (raw::HEADER + body.len()) as u32;
            let any = random.next();
            match random.below(12) {
                0 => what = random.one(&[0, 1, 6, 11, 12, 14, any as u16]),
                1 => flags = 1 << random.below(32),
                2 => size = random.one(&[0, 15, 16, size - 1, size + 1, any as u32]),
                3 => body.truncate(random.below(body.len() + 1)),
                4 => fds = (0..random.below(20)).map(|_| random.one(&files)).collect(),
                5 | 6 if !body.is_empty() => {
                    let at = random.below(body.len());
                    body[at] = random.one(&[0, 1, 0x7f, 0x80, 0xff, any as u8]);
                }
                7 if body.len() >= 4 => {
                    let at = random.below(body.len() / 4) * 4;
                    let word = random.one(&[0, 1, 1 << 31, u32::MAX, any as u32]);
                    body[at..at + 4].copy_from_slice(&word.to_le_bytes());
                }
                8 => {
                    body.extend((0..random.below(200)).map(|_| random.next() as u8));
                    size = (raw::HEADER + body.len()) as u32;
                }
                _ => {}
            }
            let mut message = raw::header(what, flags, size).to_vec();
            message.extend(body);
            if client.send(&message, &fds).is_err() {
                break;
            }
            let _ = (&client.stream).read(&mut [0; 4096]);
        }
        drop(client);
        if round % 16 == 0 {
            works(&mut neighbour);
            assert!(device.alive(), "round {round}");
        }
    }
    works(&mut neighbour);
    works(&mut Guest::connect(&device.socket("a")));
    assert!(device.alive());
    assert!(device.descriptors() < 100, "{}", device.descriptors());
    assert!(device.resident() < 256 << 20, "{}", device.resident());
}
