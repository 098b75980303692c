// SPDX-License-Identifier: GPL-2.0

//! A minimal guest: memory, a vfio-user client in place of QEMU, and the driver side of the ABI.

#![allow(dead_code, reason = "each test program uses a part")]

mod process;
pub mod raw;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use nix::fcntl::F_ADD_SEALS;
use nix::fcntl::SealFlag;
use nix::fcntl::fcntl;
use nix::sys::eventfd::EfdFlags;
use nix::sys::eventfd::EventFd;
use nix::sys::memfd;
use nix::sys::memfd::MFdFlags;
use toe_abi::Layout;
use toe_abi::PAGE_SIZE;
use toe_abi::admin;
use toe_abi::completion;
use toe_abi::page::PagePost;
use toe_abi::regs;
use toe_abi::ring;
use toe_abi::ring::RingId;
use toe_abi::stats::Counter;
use toe_abi::transmit;
use vfio_bindings::bindings::vfio;
use vfio_user::Client;
use vm_memory::Bytes;
use vm_memory::FileOffset;
use vm_memory::VolatileMemory;
use vm_memory::VolatileSlice;
use vm_memory::mmap::MmapRegion;

pub use self::process::Device;

/// Timeout of every wait.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Size of a guest's memory.
const MEMORY: usize = 16 << 20;
/// log2 of the entries of all rings.
pub const LOG2: u8 = 7;
/// Entries of all rings.
const ENTRIES: u32 = 1 << LOG2;

/// Waits until `done`.
pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !done() {
        assert!(Instant::now() < end, "{what} takes too long");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Memory as QEMU makes it for a guest: a file that cannot change its size.
pub fn sealed_memory(size: usize) -> File {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file = File::from(memfd::memfd_create("guest", flags).expect("a memfd"));
    file.set_len(size as u64).expect("memory");
    let seals = SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(&file, F_ADD_SEALS(seals)).expect("sealed");
    file
}

/// Asserts that a guest's function works: registers, admin queue and interrupts.
pub fn works(guest: &mut Guest) {
    guest.enable();
    let command = admin::SetMtu {
        opcode: admin::Opcode::SetMtu.raw(),
        token: 0,
        mtu: 1500,
    };
    assert_eq!(guest.command(&command.to_bytes()), admin::CommandStatus::Ok);
    assert!(guest.vectors[0].read().expect("raised") >= 1);
}

/// A guest with one function.
///
/// Memory layout: admin rings at 0, then a block for each processor.
pub struct Guest {
    pub client: Client,
    file: File,
    memory: MmapRegion,
    doorbells: MmapRegion,
    pub vectors: Vec<EventFd>,
    admin_commands: u32,
    admin_completions: u32,
    processors: [Processor; 2],
}

/// The driver's side of a processor.
#[derive(Clone, Copy, Default)]
struct Processor {
    transmitted: u32,
    completed: u32,
}

const ADMIN_LOG2: u8 = 4;
const ADMIN_COMMANDS: u64 = 0x1000;
const ADMIN_COMPLETIONS: u64 = 0x2000;
/// Operands of commands.
pub const OPERAND: u64 = 0x3000;
const BLOCK: u64 = 0x40_0000;
/// Offsets in a processor's block.
const STATUS: u64 = 0x1000;
const RINGS: u64 = 0x1_0000;
const RING_STEP: u64 = 0x1_0000;
const TRANSMIT_BUFFERS: u64 = 0x10_0000;
const HEADER_PAGES: u64 = 0x20_0000;
const PAYLOAD_PAGES: u64 = 0x30_0000;

fn block(processor: usize) -> u64 {
    BLOCK * (1 + processor as u64)
}

impl Guest {
    /// Connects to a function, maps memory and sets interrupts up, as QEMU does.
    pub fn connect(socket: &Path) -> Self {
        let mut client = Client::new(socket).expect("a function");
        let file = sealed_memory(MEMORY);
        let map = |file: &File, offset, size| {
            let file = file.try_clone().expect("a descriptor");
            MmapRegion::from_file(FileOffset::new(file, offset), size).expect("a mapping")
        };
        let memory = map(&file, 0, MEMORY);
        client
            .dma_map(0, 0, MEMORY as u64, file.as_raw_fd())
            .expect("mapped");
        let bar = client
            .region(vfio::VFIO_PCI_BAR0_REGION_INDEX)
            .expect("BAR 0");
        assert_eq!(bar.size, regs::BAR_SIZE as u64);
        let area = bar.sparse_areas[0];
        let bar_file = bar.file_offset.as_ref().expect("a file to map").file();
        let doorbells = map(bar_file, area.offset, area.size as usize);
        let vectors: Vec<_> = (0..3)
            .map(|_| EventFd::from_flags(EfdFlags::EFD_NONBLOCK).expect("an event descriptor"))
            .collect();
        let fds: Vec<RawFd> = vectors.iter().map(|fd| fd.as_raw_fd()).collect();
        let flags = vfio::VFIO_IRQ_SET_DATA_EVENTFD | vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
        client
            .set_irqs(vfio::VFIO_PCI_MSIX_IRQ_INDEX, flags, 0, 3, &fds)
            .expect("interrupts");
        Self {
            client,
            file,
            memory,
            doorbells,
            vectors,
            admin_commands: 0,
            admin_completions: 0,
            processors: Default::default(),
        }
    }

    /// The memory of the doorbells as the function has handed it out.
    pub fn doorbell_file(&self) -> &File {
        let bar = self.client.region(vfio::VFIO_PCI_BAR0_REGION_INDEX);
        let file = bar.and_then(|bar| bar.file_offset.as_ref());
        file.expect("a file to map").file()
    }

    /// The guest's memory as a file.
    pub fn file(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    pub fn read_register(&mut self, offset: usize) -> u32 {
        let mut data = [0; 4];
        self.client
            .region_read(vfio::VFIO_PCI_BAR0_REGION_INDEX, offset as u64, &mut data)
            .expect("a register");
        u32::from_le_bytes(data)
    }

    pub fn write_register(&mut self, offset: usize, value: u32) {
        self.client
            .region_write(
                vfio::VFIO_PCI_BAR0_REGION_INDEX,
                offset as u64,
                &value.to_le_bytes(),
            )
            .expect("a register");
    }

    pub fn status(&mut self) -> u32 {
        self.read_register(regs::STATUS)
    }

    fn slice(&self, address: u64, length: usize) -> VolatileSlice<'_> {
        self.memory
            .get_slice(address as usize, length)
            .expect("memory of the guest")
    }

    pub fn read(&self, address: u64, length: usize) -> Vec<u8> {
        let mut data = vec![0; length];
        self.slice(address, length).copy_to(&mut data);
        data
    }

    pub fn write(&self, address: u64, data: &[u8]) {
        self.slice(address, data.len()).copy_from(data);
    }

    fn load(&self, address: u64) -> u32 {
        self.slice(address, 4)
            .load(0, Ordering::Acquire)
            .expect("aligned")
    }

    fn doorbell(&self, processor: usize, offset: usize, value: u32) {
        self.doorbells
            .as_volatile_slice()
            .store(value, processor * PAGE_SIZE + offset, Ordering::SeqCst)
            .expect("a doorbell");
    }

    /// Resets the function and negotiates: the admin queue runs afterwards.
    pub fn enable(&mut self) {
        self.write_register(regs::CONTROL, regs::control::RESET);
        self.enable_without_reset();
    }

    /// Negotiates.
    pub fn enable_without_reset(&mut self) {
        self.write(0, &vec![0; MEMORY]);
        self.admin_commands = 0;
        self.admin_completions = 0;
        for half in [0, 4] {
            let features = self.read_register(regs::FEATURES + half);
            self.write_register(regs::DRIVER_FEATURES + half, features);
        }
        self.write_register(regs::ADMIN_COMMANDS, ADMIN_COMMANDS as u32);
        self.write_register(regs::ADMIN_COMPLETIONS, ADMIN_COMPLETIONS as u32);
        self.write_register(regs::ADMIN_LOG2, ADMIN_LOG2.into());
        self.write_register(regs::CONTROL, regs::control::ENABLE);
    }

    /// Takes the next admin completion.
    pub fn completion(&mut self) -> admin::Completion {
        let entries = 1 << ADMIN_LOG2;
        let place = u64::from(self.admin_completions % entries);
        let address = ADMIN_COMPLETIONS + place * admin::COMPLETION_SIZE as u64;
        let phase = u32::from(self.admin_completions / entries % 2 == 0);
        wait("an admin completion", || self.load(address + 28) == phase);
        self.admin_completions += 1;
        self.write_register(regs::ADMIN_CONSUMER, self.admin_completions);
        let mut bytes = [0; admin::COMPLETION_SIZE];
        bytes.copy_from_slice(&self.read(address, admin::COMPLETION_SIZE));
        admin::Completion::from_bytes(&bytes)
    }

    /// Submits a command and waits for its completion. Skips asynchronous events.
    pub fn command(&mut self, bytes: &[u8; admin::COMMAND_SIZE]) -> admin::CommandStatus {
        let place = u64::from(self.admin_commands % (1 << ADMIN_LOG2));
        self.admin_commands += 1;
        let token = self.admin_commands;
        let mut bytes = *bytes;
        bytes[4..8].copy_from_slice(&token.to_le_bytes());
        self.write(ADMIN_COMMANDS + place * admin::COMMAND_SIZE as u64, &bytes);
        self.write_register(regs::ADMIN_PRODUCER, token);
        loop {
            let completion = self.completion();
            if completion.event == 0 {
                assert_eq!(completion.token, token);
                return admin::CommandStatus::from_raw(completion.status).expect("a known status");
            }
        }
    }

    /// The command that starts a processor.
    pub fn start_command(processor: usize) -> admin::StartProcessor {
        let block = block(processor);
        admin::StartProcessor {
            opcode: admin::Opcode::StartProcessor.raw(),
            token: 0,
            processor: processor as u8,
            vector: processor as u8 + 1,
            log2_entries: [LOG2; 5],
            status: block + STATUS,
            rings: std::array::from_fn(|ring| block + RINGS + ring as u64 * RING_STEP),
        }
    }

    /// Starts a processor and posts pages.
    pub fn start(&mut self, processor: usize) -> admin::CommandStatus {
        let base = block(processor);
        for line in 0..PAGE_SIZE / 4 {
            self.doorbell(processor, 4 * line, 0);
        }
        self.write(base + STATUS, &[0; PAGE_SIZE]);
        self.processors[processor] = Processor::default();
        let status = self.command(&Self::start_command(processor).to_bytes());
        if status == admin::CommandStatus::Ok {
            let rings = [
                (RingId::HeaderPages, HEADER_PAGES),
                (RingId::PayloadPages, PAYLOAD_PAGES),
            ];
            for (ring, pages) in rings {
                for id in 0..ENTRIES {
                    let address = base + pages + u64::from(id) * PAGE_SIZE as u64;
                    let post = PagePost::new(id, address).expect("a page");
                    let place = u64::from(id) * ring::PAGE_ENTRY as u64;
                    self.write(
                        self.ring(processor, ring) + place,
                        &post.raw().to_le_bytes(),
                    );
                }
                self.doorbell(processor, ring.index_offset(), ENTRIES);
            }
            self.kick(processor);
        }
        status
    }

    fn ring(&self, processor: usize, ring: RingId) -> u64 {
        block(processor) + RINGS + ring as u64 * RING_STEP
    }

    /// Wakes a processor if it has announced sleep.
    pub fn kick(&mut self, processor: usize) {
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.load(block(processor) + STATUS + ring::SLEEPING as u64) != 0 {
            self.write_register(regs::KICK, processor as u32);
        }
    }

    /// Writes `entry` to the transmit ring at its producer index.
    pub fn post(&mut self, processor: usize, entry: &transmit::Descriptor) {
        let index = self.processors[processor].transmitted;
        let place = u64::from(index % ENTRIES) * ring::TRANSMIT_ENTRY as u64;
        self.write(
            self.ring(processor, RingId::Transmit) + place,
            &entry.to_bytes(),
        );
        self.processors[processor].transmitted = index.wrapping_add(1);
        self.doorbell(
            processor,
            RingId::Transmit.index_offset(),
            index.wrapping_add(1),
        );
        self.kick(processor);
    }

    /// Sets the transmit ring's producer index to any value.
    pub fn forge_producer(&mut self, processor: usize, index: u32) {
        self.doorbell(processor, RingId::Transmit.index_offset(), index);
        self.kick(processor);
    }

    /// Sends a frame.
    pub fn transmit(&mut self, processor: usize, frame: &[u8]) {
        let index = self.processors[processor].transmitted;
        wait("room in the transmit ring", || {
            index.wrapping_sub(self.transmit_consumer(processor)) < ENTRIES
        });
        let buffer = u64::from(index % ENTRIES) * 0x1000;
        let address = block(processor) + TRANSMIT_BUFFERS + buffer;
        self.write(address, frame);
        let entry = transmit::Descriptor {
            address,
            length: frame.len() as u32,
            flags: transmit::flag::END,
            ..Default::default()
        };
        self.post(processor, &entry);
    }

    /// The transmit ring's consumer index.
    pub fn transmit_consumer(&self, processor: usize) -> u32 {
        self.load(block(processor) + STATUS + RingId::Transmit.index_offset() as u64)
    }

    /// Consumes the next received frame, if any.
    pub fn receive(&mut self, processor: usize) -> Option<(completion::RxFrame, Vec<u8>)> {
        let base = block(processor);
        let line = RingId::Completion.index_offset();
        let index = self.processors[processor].completed;
        if self.load(base + STATUS + line as u64) == index {
            return None;
        }
        let place = u64::from(index % ENTRIES) * ring::COMPLETION_ENTRY as u64;
        let mut bytes = [0; ring::COMPLETION_ENTRY];
        let address = self.ring(processor, RingId::Completion) + place;
        bytes.copy_from_slice(&self.read(address, ring::COMPLETION_ENTRY));
        self.processors[processor].completed = index.wrapping_add(1);
        self.doorbell(processor, line, index.wrapping_add(1));
        assert!(bytes[0] < 16, "operation {} is no frame", bytes[0]);
        let frame = completion::RxFrame::from_bytes(&bytes);
        let mut data = Vec::new();
        if frame.header_page != completion::NO_PAGE {
            let page = base + HEADER_PAGES + u64::from(frame.header_page) * PAGE_SIZE as u64;
            let at = page + u64::from(frame.header_offset);
            data.extend(self.read(at, frame.header_length.into()));
        }
        let ring = if frame.flags & completion::frame_flag::HEADER_RING != 0 {
            HEADER_PAGES
        } else {
            PAYLOAD_PAGES
        };
        let mut offset = usize::from(frame.data_offset);
        let mut left = frame.data_length as usize;
        for &page in &frame.pages[..frame.page_count.into()] {
            let length = left.min(PAGE_SIZE - offset);
            let page = base + ring + u64::from(page) * PAGE_SIZE as u64;
            data.extend(self.read(page + offset as u64, length));
            left -= length;
            offset = 0;
        }
        Some((frame, data))
    }

    /// Arms one interrupt for the next completion.
    pub fn arm(&mut self, processor: usize) {
        let word = ring::arm_word(self.processors[processor].completed);
        self.doorbell(processor, ring::ARM, word);
        self.kick(processor);
    }

    /// A counter of a processor.
    pub fn counter(&self, processor: usize, counter: Counter) -> u64 {
        let at = block(processor) + STATUS + ring::COUNTERS as u64 + 8 * counter as u64;
        u64::from_le_bytes(self.read(at, 8).try_into().expect("8 bytes"))
    }
}
