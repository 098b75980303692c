// SPDX-License-Identifier: GPL-2.0

//! The lies of a processor.

use std::collections::VecDeque;

use toe_abi::Layout;
use toe_abi::completion::CompletionOp;
use toe_abi::completion::Deliver;
use toe_abi::ring::RingId;
use toe_engine::processor::Rings;

use crate::memory::Fault;
use crate::memory::MemoryMap;

use super::given::Entry;
use super::given::Given;
use super::given::Place;
use super::kind::Kind;
use super::kind::Tally;
use super::liar::Liar;

/// Number of completions that a lie may repeat.
const REMEMBERED: usize = 64;
/// Longest run of bytes that a lie overwrites.
const OVERWRITTEN: usize = 64;

/// A processor that lies.
pub(super) struct Processor {
    liar: Liar,
    /// `None` before the first start.
    given: Option<Given>,
    /// The last completions, the latest at the back.
    former: VecDeque<Entry>,
    /// Address of the last completion.
    last: Option<u64>,
}

impl Processor {
    /// Creates a processor that has not started.
    pub(super) fn new(liar: Liar) -> Self {
        Self {
            liar,
            given: None,
            former: VecDeque::with_capacity(REMEMBERED),
            last: None,
        }
    }

    /// The processor is about to start.
    pub(super) fn start(&mut self, rings: &Rings) {
        self.given = Some(Given::new(rings));
        self.former.clear();
        self.last = None;
        self.liar.change();
    }

    /// The processor has read memory.
    pub(super) fn note_read(&mut self, address: u64, bytes: &[u8]) {
        if let Some(given) = &mut self.given {
            given.note_read(address, bytes);
        }
    }

    /// Writes what the processor makes of `bytes`. It lies with a `tally`.
    pub(super) fn write(
        &mut self,
        tally: Option<&Tally>,
        memory: &MemoryMap,
        address: u64,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        let Some(given) = &mut self.given else {
            return Ok(());
        };
        let kind = match given.place(address, bytes.len()) {
            Place::Completions => match Entry::try_from(bytes) {
                Ok(entry) => return self.complete(tally, memory, address, entry),
                Err(_) => return memory.write(address, bytes),
            },
            Place::Status => Kind::Counter,
            Place::Page => Kind::Data,
            Place::Elsewhere => return Ok(()),
        };
        if kind == Kind::Data && self.liar.tells(tally, Kind::Overwritten) {
            overwrite(&mut self.liar, given, memory)?;
        }
        if !self.liar.tells(tally, kind) {
            return memory.write(address, bytes);
        }
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.liar.random.below(4) {
            self.liar.random.lie_in(&mut bytes);
        }
        memory.write(address, &bytes)
    }

    /// Writes what the processor makes of the completion `entry` at `address`.
    fn complete(
        &mut self,
        tally: Option<&Tally>,
        memory: &MemoryMap,
        address: u64,
        entry: Entry,
    ) -> Result<(), Fault> {
        let Some(given) = &mut self.given else {
            return Ok(());
        };
        let (liar, mut lie) = (&mut self.liar, entry);
        if liar.tells(tally, Kind::Missing) {
            memory.read(address, &mut lie)?;
        } else if liar.tells(tally, Kind::Order) {
            if let Some(before) = self.last {
                memory.read(before, &mut lie)?;
                memory.write(before, &entry)?;
                given.note_completion(&entry);
            }
        } else if liar.tells(tally, Kind::Repeated) {
            let which = liar.random.below(self.former.len().max(1) as u64);
            lie = *self.former.get(which as usize).unwrap_or(&entry);
        } else if liar.tells(tally, Kind::Payload) {
            let delivers = |former: &&Entry| former[0] == CompletionOp::Deliver.raw();
            if let Some(former) = self.former.iter().rev().find(delivers) {
                let mut deliver = Deliver::from_bytes(former);
                deliver.seq = deliver.seq.wrapping_add(deliver.data_length);
                deliver.release = 0;
                lie = deliver.to_bytes();
            }
        } else if liar.tells(tally, Kind::Noise) {
            lie.fill_with(|| liar.random.next() as u8);
            lie[0] = operation(liar);
        }
        if liar.tells(tally, Kind::Type) {
            lie[0] = operation(liar);
        }
        if liar.tells(tally, Kind::Field) {
            for _ in 0..=liar.random.below(3) {
                liar.random.lie_in(&mut lie);
            }
        }
        if self.former.len() == REMEMBERED {
            self.former.pop_front();
        }
        self.former.push_back(lie);
        self.last = Some(address);
        given.note_completion(&lie);
        memory.write(address, &lie)
    }

    /// Stores what the processor makes of `value`. It lies with a `tally`.
    pub(super) fn store_release(
        &mut self,
        tally: Option<&Tally>,
        memory: &MemoryMap,
        address: u64,
        value: u32,
    ) -> Result<(), Fault> {
        let Some(given) = &mut self.given else {
            return Ok(());
        };
        let (liar, ring) = (&mut self.liar, given.index(address));
        let kind = match ring {
            Some(_) => Kind::Index,
            None => Kind::Sleep,
        };
        if !liar.tells(tally, kind) {
            return memory.store_release(address, value.to_le());
        }
        let random = &mut liar.random;
        let entries = given.completions();
        let lie = match random.below(6) {
            // Not stored.
            0 => return Ok(()),
            1 => value.wrapping_add(entries),
            2 => value.wrapping_add(random.below(entries.into()) as u32),
            3 => value.wrapping_sub(random.below(entries.into()) as u32),
            _ => random.lie(value),
        };
        if ring == Some(RingId::Completion) && lie.wrapping_sub(value) <= entries {
            // The driver sees what the ring's last round has left.
            for ahead in 0..lie.wrapping_sub(value) {
                let mut entry: Entry = [0; size_of::<Entry>()];
                memory.read(given.completion(value.wrapping_add(ahead)), &mut entry)?;
                given.note_completion(&entry);
            }
        }
        memory.store_release(address, lie.to_le())
    }
}

/// Any type of a completion, or none.
fn operation(liar: &mut Liar) -> u8 {
    match liar.random.below(8) {
        0 => liar.random.next() as u8,
        _ => liar
            .random
            .choose(CompletionOp::ALL)
            .map_or(0, |op| op.raw()),
    }
}

/// Overwrites part of a page.
fn overwrite(liar: &mut Liar, given: &Given, memory: &MemoryMap) -> Result<(), Fault> {
    let Some(page) = given.page(liar.random.next() >> 32) else {
        return Ok(());
    };
    let mut bytes = [0; OVERWRITTEN];
    bytes.fill_with(|| liar.random.next() as u8);
    let at = liar.random.below((toe_abi::PAGE_SIZE - OVERWRITTEN) as u64);
    memory.write(page + at, &bytes)
}
