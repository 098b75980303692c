// SPDX-License-Identifier: GPL-2.0

//! Tests of the adapter process with hostile vfio-user clients.

mod guest;

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use guest::Device;
use guest::Guest;
use guest::raw;
use guest::raw::Raw;
use guest::raw::command;
use guest::sealed_memory;
use guest::wait;
use guest::works;
use nix::sys::eventfd::EfdFlags;
use nix::sys::eventfd::EventFd;
use nix::sys::memfd;
use nix::sys::memfd::MFdFlags;
use nix::unistd::pipe;
use toe_abi::admin::CommandStatus;
use toe_abi::regs;
use vfio_bindings::bindings::vfio;

#[test]
fn a_malformed_message_ends_only_its_connection() {
    let mut device = Device::cable("malformed");
    let mut neighbour = Guest::connect(&device.socket("b"));
    let text = b"{}\0";
    let version = |size: u32, data: &[u8]| {
        let mut message = raw::header(command::VERSION, 0, size).to_vec();
        message.extend([0, 0, 1, 0]);
        message.extend(data);
        message
    };
    let messages = [
        ("no terminator", version(22, b"{}")),
        ("empty", version(20, b"")),
        ("size below the fixed part", version(16, text)),
        ("size below the header", version(3, text)),
        ("no size", version(0, text)),
        ("largest size", version(u32::MAX, text)),
        ("end within the message", version(4096, text)),
        ("end within the header", version(23, text)[..9].to_vec()),
        ("nothing", Vec::new()),
        ("a reply", raw::header(command::VERSION, 1, 16).to_vec()),
        (
            "an unknown type",
            raw::header(command::VERSION, 7, 16).to_vec(),
        ),
        (
            "before the version",
            raw::header(command::RESET, 0, 16).to_vec(),
        ),
    ];
    for (what, message) in messages {
        let mut stream = UnixStream::connect(device.socket("a")).expect("a connection");
        stream.write_all(&message).expect("sent");
        stream.shutdown(std::net::Shutdown::Write).expect("open");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(device.alive(), "{what}");
        works(&mut neighbour);
        works(&mut Guest::connect(&device.socket("a")));
    }
}

#[test]
fn requests_out_of_range_are_refused() {
    let device = Device::cable("range");
    let mut client = Raw::connect(&device.socket("a"));
    let refused = |client: &mut Raw, what: u16, body: &[u8]| {
        let answer = client.call(what, body, &[]).expect_err("refused");
        assert_ne!(answer, 0);
    };
    let access = |region: u32, offset: u64, count: u32| {
        let mut body = offset.to_le_bytes().to_vec();
        body.extend(region.to_le_bytes());
        body.extend(count.to_le_bytes());
        body
    };
    let bar = regs::BAR_SIZE as u64;
    for (region, offset, count) in [
        (0, 0, u32::MAX),
        (0, bar, 1),
        (0, bar - 4, 8),
        (0, u64::MAX, 4),
        (1, 0, 4),
        (8, 0, 4),
        (9, 0, 4),
        (u32::MAX, 0, 4),
        (vfio::VFIO_PCI_CONFIG_REGION_INDEX, 4094, 4),
    ] {
        refused(&mut client, command::READ, &access(region, offset, count));
        let mut write = access(region, offset, count);
        write.resize(16 + count.min(8) as usize, 0xff);
        refused(&mut client, command::WRITE, &write);
    }
    // Data and count differ.
    refused(&mut client, command::WRITE, &access(0, 0, 4));
    for (what, body) in [
        (0, 0),
        (command::REGION_FDS, 8),
        (command::DMA_READ, 16),
        (command::DMA_WRITE, 16),
        (command::DIRTY_PAGES, 16),
        (99, 4),
        (command::DMA_MAP, 31),
        (command::DMA_MAP, 33),
        (command::DMA_UNMAP, 0),
        (command::INFO, 3),
        (command::REGION_INFO, 16),
        (command::INTERRUPT_INFO, 15),
        (command::SET_INTERRUPTS, 19),
        (command::READ, 15),
        (command::RESET, 1),
    ] {
        refused(&mut client, what, &vec![0; body]);
    }
    let answer = client.call(command::READ, &access(0, 0, 4), &[]);
    assert_eq!(
        answer.expect("the magic")[16..],
        regs::MAGIC_VALUE.to_le_bytes()
    );
    assert!(device.resident() < 256 << 20, "{}", device.resident());
}

#[test]
fn the_memory_of_doorbells_keeps_its_size() {
    let mut device = Device::cable("doorbells");
    let mut guest = Guest::connect(&device.socket("a"));
    works(&mut guest);
    assert_eq!(guest.start(0), CommandStatus::Ok);
    let file = guest.doorbell_file();
    assert!(file.set_len(0).is_err());
    assert!(file.set_len(regs::BAR_SIZE as u64 * 2).is_err());
    works(&mut guest);
    assert!(device.alive());
}

#[test]
fn memory_that_may_shrink_is_refused() {
    let mut device = Device::cable("memory");
    let mut client = Raw::connect(&device.socket("a"));
    let size = 1u64 << 20;
    let map = |address: u64, offset: u64, size: u64| {
        let mut body = vec![32, 0, 0, 0, 3, 0, 0, 0];
        for word in [offset, address, size] {
            body.extend(word.to_le_bytes());
        }
        body
    };
    let memfd = |flags| {
        let file = File::from(memfd::memfd_create("guest", flags).expect("a memfd"));
        file.set_len(size).expect("memory");
        file
    };
    let path = device.socket("file");
    let file = File::create_new(&path).expect("a file");
    file.set_len(size).expect("memory");
    let (reader, writer) = pipe().expect("a pipe");
    for (what, fd) in [
        ("not sealed", memfd(MFdFlags::empty()).into()),
        ("not yet sealed", memfd(MFdFlags::MFD_ALLOW_SEALING).into()),
        ("a file", OwnedFd::from(file)),
        ("a pipe", reader),
        ("a pipe's other end", writer),
        ("zeroes", File::open("/dev/zero").expect("a device").into()),
    ] {
        let answer = client.call(command::DMA_MAP, &map(0, 0, size), &[fd.as_raw_fd()]);
        assert!(answer.is_err(), "{what}");
    }
    let sealed = sealed_memory(size as usize);
    let fd = sealed.as_raw_fd();
    for (what, body) in [
        ("longer than its file", map(0, 0, size + 4096)),
        ("beyond its file", map(0, size, 4096)),
        ("overflowing", map(0, u64::MAX - 4095, 8192)),
        ("not aligned", map(0, 1, 4096)),
        ("empty", map(0, 0, 0)),
        ("beyond the last address", map(u64::MAX, 0, 4096)),
    ] {
        assert!(
            client.call(command::DMA_MAP, &body, &[fd]).is_err(),
            "{what}"
        );
    }
    let two = client.call(command::DMA_MAP, &map(0, 0, 4096), &[fd, fd]);
    assert!(two.is_err(), "two files");
    // As many regions as there may be, and no more.
    let mut regions = 0;
    while client
        .call(command::DMA_MAP, &map(regions << 12, 0, 4096), &[fd])
        .is_ok()
    {
        regions += 1;
        assert!(regions < 4096, "no limit");
    }
    assert!(regions >= 64, "{regions} regions");
    assert!(device.alive());
}

/// Maps a sparse file that is larger than what a function may map.
#[test]
fn a_huge_region_is_refused() {
    let device = Device::cable("huge");
    let mut client = Raw::connect(&device.socket("a"));
    let size = 1u64 << 46;
    let file = sealed_memory(size as usize);
    let mut body = vec![32, 0, 0, 0, 3, 0, 0, 0];
    for word in [0, 0, size] {
        body.extend(word.to_le_bytes());
    }
    let answer = client.call(command::DMA_MAP, &body, &[file.as_raw_fd()]);
    assert!(answer.is_err());
    works(&mut Guest::connect(&device.socket("b")));
}

#[test]
fn an_interrupt_is_an_eventfd_and_blocks_nobody() {
    let device = Device::cable("interrupts");
    let flags = vfio::VFIO_IRQ_SET_DATA_EVENTFD | vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
    let (_reader, writer) = pipe().expect("a pipe");
    let (socket, _other) = UnixStream::pair().expect("sockets");
    let memory = sealed_memory(4096);
    {
        let mut client = Raw::connect(&device.socket("a"));
        let body: Vec<u8> = [20, flags, vfio::VFIO_PCI_MSIX_IRQ_INDEX, 0, 1]
            .iter()
            .flat_map(|word: &u32| word.to_le_bytes())
            .collect();
        for fd in [writer.as_raw_fd(), socket.as_raw_fd(), memory.as_raw_fd()] {
            let answer = client.call(command::SET_INTERRUPTS, &body, &[fd]);
            assert!(answer.is_err());
        }
    }
    let mut neighbour = Guest::connect(&device.socket("b"));
    let mut guest = Guest::connect(&device.socket("a"));
    // Full, and made to block.
    let full = EventFd::from_value_and_flags(0, EfdFlags::empty()).expect("an event descriptor");
    full.write(u64::MAX - 1).expect("room");
    let fds = [full.as_raw_fd(); 2];
    guest
        .client
        .set_irqs(vfio::VFIO_PCI_MSIX_IRQ_INDEX, flags, 0, 2, &fds)
        .expect("an answer");
    for guest in [&mut neighbour, &mut guest] {
        guest.enable();
        assert_eq!(guest.start(0), CommandStatus::Ok);
    }
    let frame = [[0xff; 6], [2, 0, 0, 0, 0, 1], [0x88, 0xb5, 0, 0, 0, 0]].concat();
    for _ in 0..3 {
        guest.arm(0);
        neighbour.transmit(0, &frame);
        wait("the frame", || guest.receive(0).is_some());
    }
    works(&mut neighbour);
}

#[test]
fn a_client_that_does_not_read_is_left() {
    let device = Device::cable("deaf");
    let mut client = Raw::connect(&device.socket("a"));
    client.stream.set_nonblocking(true).expect("a socket");
    let mut body = 0u64.to_le_bytes().to_vec();
    body.extend(0u32.to_le_bytes());
    body.extend((regs::BAR_SIZE as u32).to_le_bytes());
    let mut message = raw::header(command::READ, 0, 32).to_vec();
    message.extend(body);
    while client.stream.write_all(&message).is_ok() {}
    works(&mut Guest::connect(&device.socket("b")));
    // The function is free for another client.
    works(&mut Guest::connect(&device.socket("a")));
}

#[test]
fn a_thousand_connects_a_second_are_survived() {
    let mut device = Device::cable("connects");
    let mut neighbour = Guest::connect(&device.socket("b"));
    let end = Instant::now() + Duration::from_secs(2);
    let mut connects = 0;
    while Instant::now() < end {
        for _ in 0..100 {
            let _ = UnixStream::connect(device.socket("a"));
            connects += 1;
        }
        let start = Instant::now();
        works(&mut neighbour);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    assert!(connects >= 1000, "{connects}");
    works(&mut Guest::connect(&device.socket("a")));
    assert!(device.alive());
    assert!(device.descriptors() < 100, "{}", device.descriptors());
}

/// Nobody reads the log, and a client causes more lines than the pipe holds.
#[test]
fn a_full_log_blocks_nobody() {
    const REQUESTS: u32 = 5000;
    let mut device = Device::with_log("log", Stdio::piped());
    let mut log = device.log();
    let mut neighbour = Guest::connect(&device.socket("b"));
    let mut client = Raw::connect(&device.socket("a"));
    let mut body = vec![32, 0, 0, 0, 3, 0, 0, 0];
    body.resize(32, 0);
    let file = File::open("/dev/zero").expect("a device");
    for _ in 0..REQUESTS {
        let answer = client.call(command::DMA_MAP, &body, &[file.as_raw_fd()]);
        assert!(answer.is_err());
    }
    works(&mut neighbour);
    // The lines that were kept are there, and the process ends in good order.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).map(|_| text)
    });
    std::thread::sleep(Duration::from_millis(1500));
    assert!(
        client
            .call(command::DMA_MAP, &body, &[file.as_raw_fd()])
            .is_err()
    );
    assert!(device.terminate());
    let text = reader.join().expect("no panic").expect("text");
    let lines = text
        .lines()
        .filter(|line| line.contains("cannot map"))
        .count();
    assert!(
        (10..REQUESTS as usize / 2).contains(&lines),
        "{lines} lines"
    );
    assert!(text.contains("were left out") && text.contains("terminated by"));
}
