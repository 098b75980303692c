// SPDX-License-Identifier: GPL-2.0

use std::collections::BTreeSet;
use std::fs::File;

use nix::fcntl::F_ADD_SEALS;
use nix::fcntl::SealFlag;
use nix::fcntl::fcntl;
use nix::sys::memfd::MFdFlags;
use nix::sys::memfd::memfd_create;
use toe_abi::Layout;
use toe_abi::completion::CompletionOp;
use toe_abi::completion::PagesReleased;
use toe_abi::page::PagePost;
use toe_abi::ring;
use toe_abi::ring::MIN_LOG2;
use toe_abi::ring::RINGS;
use toe_abi::ring::RingId;

use crate::memory::Region;

use super::*;

const SIZE: u64 = 0x4_0000;
const STATUS: u64 = 0;
const COMPLETIONS: u64 = 0x1_0000;
const HEADERS: u64 = 0x2_0000;
const PAGE: u64 = 0x3_0000;

fn memory() -> MemoryMap {
    let file = File::from(memfd_create("test", MFdFlags::MFD_ALLOW_SEALING).expect("memfd"));
    file.set_len(SIZE).expect("size");
    fcntl(&file, F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).expect("sealed");
    let region = Region::map(0, SIZE, file, 0, true).expect("mapping");
    MemoryMap::EMPTY.with(region).expect("one region")
}

fn rings() -> Rings {
    let mut addresses = [0x1000; RINGS];
    addresses[RingId::Completion as usize] = COMPLETIONS;
    addresses[RingId::HeaderPages as usize] = HEADERS;
    Rings {
        log2_entries: [MIN_LOG2; RINGS],
        addresses,
        status: STATUS,
        features: 0,
    }
}

/// The hostility of a function with one processor, which has started and to which the page `PAGE` was
/// posted.
fn started(spec: &str) -> Hostility {
    let hostility = Hostility::new(spec.parse().expect("a specification"), 0, 1);
    hostility.start(0, &rings());
    post(&hostility);
    hostility
}

fn post(hostility: &Hostility) {
    let post = PagePost::new(3, PAGE).expect("a page").raw();
    hostility.note_read(0, HEADERS + 64, &post.to_le_bytes());
}

/// Completes, stores indices and writes data, and returns what the guest sees of it.
fn conduct(hostility: &Hostility) -> Vec<u8> {
    let memory = memory();
    for number in 0..200u32 {
        // The page may have been taken back.
        post(hostility);
        let at = COMPLETIONS + u64::from(number % 64) * 64;
        let entry = [CompletionOp::Acked.raw(); 64];
        hostility.write(&memory, 0, at, &entry).expect("mapped");
        let index = STATUS + RingId::Completion.index_offset() as u64;
        hostility
            .store_release(&memory, 0, index, number)
            .expect("mapped");
        hostility
            .write(&memory, 0, PAGE + 128, &[7; 200])
            .expect("mapped");
        hostility
            .write(&memory, 0, STATUS + 0x400, &[0; 64])
            .expect("mapped");
    }
    let mut seen = vec![0; SIZE as usize];
    memory.read(0, &mut seen).expect("mapped");
    seen
}

#[test]
fn one_seed_tells_the_same_lies_and_another_tells_others() {
    let honest = conduct(&started("1,0%"));
    let lies = conduct(&started("1,100%"));
    assert_ne!(lies, honest);
    assert_eq!(lies, conduct(&started("1,100%")));
    assert_ne!(lies, conduct(&started("2,100%")));
}

#[test]
fn nothing_but_the_given_memory_changes() {
    for seed in 0..50 {
        let seen = conduct(&started(&format!("{seed},50%")));
        let allowed = |at: u64| {
            at < 0x1000
                || (COMPLETIONS..COMPLETIONS + 0x1000).contains(&at)
                || at / 0x1000 == PAGE / 0x1000
        };
        for (at, &byte) in (0..).zip(&seen) {
            assert!(byte == 0 || allowed(at), "seed {seed}: {at:#x}");
        }
    }
}

#[test]
fn it_is_honest_until_it_is_told_to_lie() {
    let hostility = started("1,100%,off");
    assert_eq!(conduct(&hostility), conduct(&started("1,0%")));
    assert_eq!(hostility.tally().sum(), 0);
    assert!(hostility.toggle());
    conduct(&hostility);
    assert_ne!(hostility.tally().sum(), 0);
    assert!(!hostility.toggle());
}

#[test]
fn a_page_that_a_completion_releases_is_not_written_any_more() {
    let (hostility, memory) = (started("1,0%"), memory());
    let written = |byte| {
        hostility.write(&memory, 0, PAGE, &[byte]).expect("mapped");
        let mut seen = [0];
        memory.read(PAGE, &mut seen).expect("mapped");
        seen[0] == byte
    };
    assert!(written(1));
    let mut released = PagesReleased {
        op: CompletionOp::PagesReleased.raw(),
        page_count: 1,
        ..PagesReleased::default()
    };
    released.pages[0] = 3;
    hostility
        .write(&memory, 0, COMPLETIONS, &released.to_bytes())
        .expect("mapped");
    assert!(!written(2));
    post(&hostility);
    assert!(written(3));
}

#[test]
fn a_page_that_an_index_uncovers_is_not_written_any_more() {
    let memory = memory();
    let mut released = PagesReleased {
        op: CompletionOp::PagesReleased.raw(),
        page_count: 1,
        ..PagesReleased::default()
    };
    released.pages[0] = 3;
    // Left there by the ring's last round.
    let rest = (0..64)
        .flat_map(|_| released.to_bytes())
        .collect::<Vec<_>>();
    memory.write(COMPLETIONS, &rest).expect("mapped");
    let index = STATUS + RingId::Completion.index_offset() as u64;
    let mut uncovered = 0;
    for seed in 0..100 {
        let hostility = started(&format!("{seed},100%"));
        hostility
            .store_release(&memory, 0, index, 1000)
            .expect("mapped");
        let mut stored = [0; 4];
        memory.read(index, &mut stored).expect("mapped");
        let ahead = u32::from_le_bytes(stored).wrapping_sub(1000);
        if (1..=64).contains(&ahead) {
            hostility.toggle();
            hostility
                .write(&memory, 0, PAGE, &[seed as u8 + 1])
                .expect("mapped");
            let mut seen = [0];
            memory.read(PAGE, &mut seen).expect("mapped");
            assert_ne!(seen[0], seed as u8 + 1, "seed {seed}");
            uncovered += 1;
        }
    }
    assert_ne!(uncovered, 0);
}

#[test]
fn no_answer_can_be_taken_for_that_to_a_later_command() {
    let hostility = Hostility::new("1,100%".parse().expect("a specification"), 0, 1);
    for number in 0..10_000 {
        let token = number | 1 << 31;
        let honest = admin::Completion {
            token,
            ..admin::Completion::default()
        };
        let lie = hostility.answer(honest);
        assert!(lie.token <= token, "{lie:?}");
    }
    assert_ne!(hostility.tally().sum(), 0);
}

#[test]
fn all_kinds_of_lies_are_told() {
    let mut told = BTreeSet::new();
    for seed in 0..100 {
        let hostility = started(&format!("{seed},100%"));
        conduct(&hostility);
        hostility.answer(admin::Completion::default());
        hostility.registers(&mut [0; 4]);
        hostility.interrupts(0, 3);
        hostility
            .store_release(&memory(), 0, STATUS + ring::SLEEPING as u64, 1)
            .expect("mapped");
        told.extend(hostility.tally().told());
    }
    assert_eq!(told.len(), 15, "{told:?}");
}
