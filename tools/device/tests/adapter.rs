// SPDX-License-Identifier: GPL-2.0

//! Tests of the adapter process with a vfio-user client in place of QEMU.

mod guest;

use std::time::Duration;
use std::time::Instant;

use guest::Device;
use guest::Guest;
use guest::OPERAND;
use guest::wait;
use toe_abi::Layout;
use toe_abi::admin;
use toe_abi::admin::CommandStatus;
use toe_abi::admin::Opcode;
use toe_abi::regs;
use toe_abi::regs::status;
use toe_abi::rules::ActionKind;
use toe_abi::stats::Counter;
use toe_abi::transmit;
use vfio_bindings::bindings::vfio;

/// A broadcast non-IP frame that contains `number` and `length`.
fn frame(number: u32, length: usize) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    frame.extend(number.to_le_bytes());
    frame.resize(length, number as u8);
    frame
}

/// Enables both functions and starts all processors.
fn pair(device: &Device) -> (Guest, Guest) {
    let mut a = Guest::connect(&device.socket("a"));
    let mut b = Guest::connect(&device.socket("b"));
    for guest in [&mut a, &mut b] {
        guest.enable();
        assert_eq!(guest.status() & !status::LINK, status::READY);
        for processor in 0..2 {
            assert_eq!(guest.start(processor), CommandStatus::Ok);
        }
    }
    (a, b)
}

/// Receives `count` frames in order on processor 0.
fn expect_frames(guest: &mut Guest, first: u32, count: u32, length: usize) {
    for number in first..first + count {
        let mut received = None;
        wait("a frame", || {
            received = guest.receive(0);
            received.is_some()
        });
        let (_, data) = received.expect("just received");
        assert_eq!(data, frame(number, length), "frame {number}");
    }
}

#[test]
fn a_function_is_identified_and_negotiated() {
    let device = Device::cable("identity");
    let mut guest = Guest::connect(&device.socket("a"));
    let mut id = [0; 4];
    guest
        .client
        .region_read(vfio::VFIO_PCI_CONFIG_REGION_INDEX, 0, &mut id)
        .expect("configuration space");
    assert_eq!(id, [0xf4, 0x1a, 0xf0, 0x10]);
    assert_eq!(guest.read_register(regs::MAGIC), regs::MAGIC_VALUE);
    assert_eq!(guest.read_register(regs::VERSION), toe_abi::VERSION);
    assert_eq!(guest.read_register(regs::PROCESSORS), 2);
    assert_eq!(guest.status() & status::READY, 0);
    guest.enable();
    assert_eq!(guest.status() & !status::LINK, status::READY);
}

#[test]
fn the_link_follows_the_other_end() {
    let device = Device::cable("link");
    let mut a = Guest::connect(&device.socket("a"));
    a.enable();
    assert_eq!(a.status(), status::READY);
    {
        let mut b = Guest::connect(&device.socket("b"));
        b.enable();
        wait("the link", || b.status() & status::LINK != 0);
        let up = a.completion();
        assert_eq!(
            (up.event, up.status, up.value),
            (1, admin::Event::Link.raw(), 1)
        );
    }
    let down = a.completion();
    assert_eq!(
        (down.event, down.value),
        (1, 0),
        "the other end disconnected"
    );
    assert!(a.vectors[0].read().expect("raised") >= 2);
}

#[test]
fn frames_cross_the_cable_in_order() {
    let device = Device::cable("frames");
    let (mut a, mut b) = pair(&device);
    a.transmit(0, &frame(0, 60));
    expect_frames(&mut b, 0, 1, 60);
    for (round, length) in [60, 256, 1514].into_iter().enumerate() {
        let first = 1 + round as u32 * 40;
        for number in first..first + 40 {
            a.transmit(0, &frame(number, length));
        }
        expect_frames(&mut b, first, 40, length);
    }
    b.arm(0);
    let _ = b.vectors[1].read();
    a.transmit(0, &frame(999, 60));
    wait("an interrupt", || b.vectors[1].read().is_ok());
    wait("the counter", || b.counter(0, Counter::RxFrames) == 122);
}

#[test]
fn a_function_can_be_reset_while_busy_and_used_again() {
    let mut device = Device::cable("reset");
    let (mut a, mut b) = pair(&device);
    for round in 0..5 {
        for number in 0..50 {
            a.transmit(0, &frame(number, 1514));
        }
        match round % 3 {
            0 => a.write_register(regs::CONTROL, regs::control::RESET),
            1 => a.client.reset().expect("a reset"),
            _ => {
                let control = (0x8000u16).to_le_bytes();
                a.client
                    .region_write(vfio::VFIO_PCI_CONFIG_REGION_INDEX, 0x68, &control)
                    .expect("a function-level reset");
            }
        }
        assert_eq!(a.status() & (status::READY | status::FAILED), 0);
        b.enable();
        for guest in [&mut a, &mut b] {
            guest.enable();
            assert_eq!(guest.start(0), CommandStatus::Ok);
            assert_eq!(guest.start(1), CommandStatus::Ok);
        }
        a.transmit(0, &frame(7, 100));
        expect_frames(&mut b, 7, 1, 100);
    }
    assert!(device.alive());
}

#[test]
fn a_client_may_go_and_another_come() {
    let mut device = Device::cable("clients");
    for _ in 0..3 {
        let (mut a, mut b) = pair(&device);
        a.transmit(0, &frame(1, 1000));
        expect_frames(&mut b, 1, 1, 1000);
        for number in 0..50 {
            a.transmit(0, &frame(number, 1514));
        }
    }
    assert!(device.alive());
}

#[test]
fn commands_are_checked() {
    let device = Device::cable("commands");
    let mut guest = Guest::connect(&device.socket("a"));
    guest.enable();
    let header = |opcode: u16| admin::Header { opcode, token: 0 }.to_bytes();
    assert_eq!(guest.command(&header(0)), CommandStatus::Unknown);
    assert_eq!(guest.command(&header(0xffff)), CommandStatus::Unknown);

    let start = Guest::start_command(0);
    for wrong in [
        admin::StartProcessor {
            processor: 2,
            ..start
        },
        admin::StartProcessor {
            processor: 255,
            ..start
        },
        admin::StartProcessor { vector: 3, ..start },
        admin::StartProcessor {
            log2_entries: [0; 5],
            ..start
        },
        admin::StartProcessor {
            log2_entries: [200; 5],
            ..start
        },
        admin::StartProcessor {
            rings: [1; 5],
            ..start
        },
    ] {
        assert_eq!(
            guest.command(&wrong.to_bytes()),
            CommandStatus::Invalid,
            "{wrong:?}"
        );
    }
    let nowhere = admin::StartProcessor {
        status: 1 << 50,
        ..start
    };
    assert_eq!(guest.command(&nowhere.to_bytes()), CommandStatus::Fault);
    assert_eq!(guest.start(0), CommandStatus::Ok);
    assert_eq!(
        guest.command(&start.to_bytes()),
        CommandStatus::State,
        "started twice"
    );

    let stop = admin::StopProcessor {
        opcode: Opcode::StopProcessor.raw(),
        token: 0,
        processor: 0,
    };
    assert_eq!(guest.command(&stop.to_bytes()), CommandStatus::Ok);
    assert_eq!(
        guest.command(&stop.to_bytes()),
        CommandStatus::State,
        "stopped twice"
    );
    assert_eq!(guest.start(0), CommandStatus::Ok);

    let rss = admin::SetRss {
        opcode: Opcode::SetRss.raw(),
        token: 0,
        fields: 3,
        context: 0,
        config: OPERAND,
    };
    assert_eq!(guest.command(&rss.to_bytes()), CommandStatus::Ok);
    guest.write(OPERAND + 40, &[2]);
    assert_eq!(
        guest.command(&rss.to_bytes()),
        CommandStatus::Invalid,
        "no processor 2"
    );
    let nowhere = admin::SetRss {
        config: u64::MAX - 8,
        ..rss
    };
    assert_eq!(guest.command(&nowhere.to_bytes()), CommandStatus::Fault);

    let rule = admin::SetRule {
        opcode: Opcode::SetRule.raw(),
        location: 7,
        action: ActionKind::Context.raw(),
        target: 3,
        pattern: OPERAND,
        ..Default::default()
    };
    assert_eq!(
        guest.command(&rule.to_bytes()),
        CommandStatus::Invalid,
        "no context 3"
    );
    guest.write(OPERAND + 40, &[0]);
    let context = admin::SetRss { context: 3, ..rss };
    assert_eq!(guest.command(&context.to_bytes()), CommandStatus::Ok);
    assert_eq!(guest.command(&rule.to_bytes()), CommandStatus::Ok);
    let context = admin::RemoveContext {
        opcode: Opcode::RemoveContext.raw(),
        context: 3,
        ..Default::default()
    };
    assert_eq!(
        guest.command(&context.to_bytes()),
        CommandStatus::State,
        "a rule names it"
    );
    let none = admin::SetRule {
        action: ActionKind::Remove.raw(),
        ..rule
    };
    assert_eq!(guest.command(&none.to_bytes()), CommandStatus::Ok);
    assert_eq!(guest.command(&context.to_bytes()), CommandStatus::Ok);
    let unknown = admin::SetRule { action: 9, ..rule };
    assert_eq!(guest.command(&unknown.to_bytes()), CommandStatus::Invalid);

    let filter = admin::SetFilter {
        opcode: Opcode::SetFilter.raw(),
        count: 3,
        addresses: OPERAND,
        mac: [2, 0, 0, 0, 0, 9],
        ..Default::default()
    };
    assert_eq!(guest.command(&filter.to_bytes()), CommandStatus::Ok);
    let many = admin::SetFilter {
        count: u32::MAX,
        ..filter
    };
    assert_eq!(guest.command(&many.to_bytes()), CommandStatus::Invalid);

    for (mtu, expected) in [
        (1500, CommandStatus::Ok),
        (9000, CommandStatus::Ok),
        (67, CommandStatus::Invalid),
        (9001, CommandStatus::Invalid),
    ] {
        let command = admin::SetMtu {
            opcode: Opcode::SetMtu.raw(),
            token: 0,
            mtu,
        };
        assert_eq!(guest.command(&command.to_bytes()), expected, "MTU {mtu}");
    }

    let impairment = admin::SetImpairment {
        opcode: Opcode::SetImpairment.raw(),
        directions: 3,
        loss_ppm: 1_000_001,
        ..Default::default()
    };
    assert_eq!(
        guest.command(&impairment.to_bytes()),
        CommandStatus::Invalid
    );
}

#[test]
fn impairment_loses_what_it_is_told_to() {
    let device = Device::cable("impairment");
    let (mut a, mut b) = pair(&device);
    let set = |guest: &mut Guest, loss_ppm| {
        let command = admin::SetImpairment {
            opcode: Opcode::SetImpairment.raw(),
            directions: admin::direction::EGRESS,
            loss_ppm,
            ..Default::default()
        };
        assert_eq!(guest.command(&command.to_bytes()), CommandStatus::Ok);
    };
    set(&mut a, 1_000_000);
    for number in 0..20 {
        a.transmit(0, &frame(number, 100));
    }
    wait("the frames", || a.transmit_consumer(0) == 20);
    set(&mut a, 0);
    a.transmit(0, &frame(20, 100));
    expect_frames(&mut b, 20, 1, 100);
}

#[test]
fn delayed_frames_leave_when_nothing_else_happens() {
    let device = Device::cable("delay");
    let (mut a, mut b) = pair(&device);
    let command = admin::SetImpairment {
        opcode: Opcode::SetImpairment.raw(),
        directions: admin::direction::EGRESS | admin::direction::INGRESS,
        delay_us: 5_000,
        ..Default::default()
    };
    for guest in [&mut a, &mut b] {
        assert_eq!(guest.command(&command.to_bytes()), CommandStatus::Ok);
    }
    for number in 0..5 {
        let start = Instant::now();
        a.transmit(0, &frame(number, 100));
        expect_frames(&mut b, number, 1, 100);
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(10), "{took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

#[test]
fn hostile_values_fail_the_function_but_not_the_process() {
    let mut device = Device::cable("hostile");
    let mut guest = Guest::connect(&device.socket("a"));

    guest.write_register(regs::ADMIN_LOG2, 99);
    guest.write_register(regs::CONTROL, regs::control::ENABLE);
    assert_ne!(guest.status() & status::FAILED, 0, "no such ring");
    guest.enable();
    guest.write_register(regs::ADMIN_PRODUCER, 1000);
    wait("the failure", || guest.status() & status::FAILED != 0);
    guest.enable();
    guest.write_register(regs::ADMIN_CONSUMER, 1000);
    wait("the failure", || guest.status() & status::FAILED != 0);
    guest.enable();
    guest.write_register(regs::DRIVER_FEATURES, u32::MAX);
    assert_eq!(
        guest.status() & status::READY,
        status::READY,
        "fixed by now"
    );

    // Entries that name unmapped memory, are inconsistent, or never end.
    assert_eq!(guest.start(0), CommandStatus::Ok);
    let frame = transmit::Descriptor {
        address: 1 << 60,
        length: 100,
        flags: transmit::flag::END,
        ..Default::default()
    };
    for hostile in [
        frame,
        transmit::Descriptor {
            address: u64::MAX,
            length: u32::MAX,
            ..frame
        },
        transmit::Descriptor { length: 0, ..frame },
        transmit::Descriptor {
            flags: u16::MAX,
            gso_size: 0,
            ..frame
        },
        transmit::Descriptor {
            flags: u16::MAX,
            csum_start: u16::MAX,
            csum_offset: u16::MAX,
            ..frame
        },
    ] {
        guest.post(0, &hostile);
    }
    for _ in 0..40 {
        guest.post(0, &transmit::Descriptor { flags: 0, ..frame });
    }
    guest.post(0, &frame);
    wait("the entries", || guest.transmit_consumer(0) == 46);
    guest.forge_producer(0, u32::MAX / 2);
    let failed = guest.completion();
    assert_eq!(
        (failed.event, failed.status),
        (1, admin::Event::ProcessorFailed.raw())
    );

    // Unmap memory under running rings.
    guest.enable();
    assert_eq!(guest.start(0), CommandStatus::Ok);
    guest.client.dma_unmap(0, 16 << 20).expect("unmapped");
    guest.post(0, &frame);
    guest.write_register(regs::KICK, 0);
    guest.write_register(regs::ADMIN_PRODUCER, 2);
    wait("the failure", || guest.status() & status::FAILED != 0);
    let file = guest.file();
    guest.client.dma_map(0, 0, 16 << 20, file).expect("mapped");
    guest.enable();
    assert_eq!(guest.start(0), CommandStatus::Ok);

    // Accesses of odd sizes and offsets.
    let bar = vfio::VFIO_PCI_BAR0_REGION_INDEX;
    let config = vfio::VFIO_PCI_CONFIG_REGION_INDEX;
    for (region, offset) in [
        (bar, 0),
        (bar, 1),
        (bar, 0xfff),
        (bar, 0x7fff),
        (bar, 0xffff),
        (bar, 0x1_0000),
        (config, 0),
        (config, 1),
        (config, 0xff0),
    ] {
        for length in [1, 2, 3, 8, 16] {
            let mut data = vec![0; length];
            guest
                .client
                .region_read(region, offset, &mut data)
                .expect("an answer");
        }
    }
    for offset in [1, 2, 0x7ffe, 0x1_1fff, 0x1_fff0] {
        guest
            .client
            .region_write(bar, offset, &[0xff; 16])
            .expect("an answer");
    }
    assert!(device.alive());
}

#[test]
fn an_idle_device_sleeps() {
    let device = Device::cable("idle");
    let (mut a, mut b) = pair(&device);
    a.transmit(0, &frame(1, 100));
    expect_frames(&mut b, 1, 1, 100);
    let (start, before) = (Instant::now(), device.cpu());
    std::thread::sleep(Duration::from_secs(2));
    let used = device.cpu() - before;
    assert!(
        used * 100 <= start.elapsed(),
        "{used:?} in {:?}",
        start.elapsed()
    );
}

#[test]
fn it_ends_on_a_signal_and_removes_its_sockets() {
    let mut device = Device::cable("signal");
    let (mut a, _b) = pair(&device);
    a.transmit(0, &frame(1, 100));
    assert!(device.terminate());
    assert!(!device.socket("a").exists() && !device.socket("b").exists());
}
