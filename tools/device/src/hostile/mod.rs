// SPDX-License-Identifier: GPL-2.0

//! A hostile adapter: it lies to the guest at random, to test the guest's driver.
//!
//! Everything that goes to the guest passes [`Host`](crate::host::Host): completions, ring indices,
//! counters, received data, interrupts, answers of the admin queue and register values. [`Hostility`]
//! turns some of it into lies, with at most the probability that the user gives. Whenever a processor
//! starts, it chooses which kinds of lies to tell and how often: a driver that finds one lie resets the
//! function, and would never see others that are harder to find.
//!
//! A lie never reaches memory that the guest has not given, or has taken back: [`Given`](given::Given) is
//! what an IOMMU would be. A lie in a completion can make the driver take a page back that the honest
//! part of the adapter believes to have; from then on the adapter does not write to it. It may still
//! read what the driver has taken back.

mod given;
mod kind;
mod liar;
mod processor;
mod spec;

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use toe_abi::admin;
use toe_engine::processor::Rings;

use crate::memory::Fault;
use crate::memory::MemoryMap;

pub use self::spec::HostileSpec;

use self::kind::Kind;
use self::kind::Tally;
use self::liar::Liar;
use self::processor::Processor;

/// Number of former answers of the admin queue that a lie may repeat.
const ANSWERS: usize = 8;

/// The lies of a function. Its threads share it.
pub struct Hostility {
    lies: AtomicBool,
    tally: Tally,
    processors: Box<[Mutex<Processor>]>,
    admin: Mutex<Answers>,
    others: Mutex<Liar>,
}

/// The admin queue's lies.
struct Answers {
    liar: Liar,
    former: Vec<admin::Completion>,
}

/// Locks a mutex. A panic of another thread has left nothing half done that matters to a liar.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hostility {
    /// Creates the hostility of function `function`, which has `processors` processors.
    pub fn new(spec: HostileSpec, function: usize, processors: usize) -> Self {
        let liar = |number: usize| {
            let number = (function * (processors + 2) + number) as u64;
            Liar::new(spec.seed.wrapping_add(number), spec.ppm)
        };
        Self {
            lies: AtomicBool::new(spec.lies),
            tally: Tally::default(),
            processors: (0..processors)
                .map(|number| Mutex::new(Processor::new(liar(number))))
                .collect(),
            admin: Mutex::new(Answers {
                liar: liar(processors),
                former: Vec::with_capacity(ANSWERS),
            }),
            others: Mutex::new(liar(processors + 1)),
        }
    }

    /// Begins or ends lying. Returns whether it lies now.
    pub fn toggle(&self) -> bool {
        !self.lies.fetch_xor(true, Relaxed)
    }

    /// The lies told so far, by their kinds.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Where lies are counted, while there are any.
    fn tally_of_lies(&self) -> Option<&Tally> {
        self.lies.load(Relaxed).then_some(&self.tally)
    }

    /// Processor `number` is about to start on `rings`.
    pub fn start(&self, number: usize, rings: &Rings) {
        lock(&self.processors[number]).start(rings);
    }

    /// Processor `number` has read `bytes` at `address`.
    pub fn note_read(&self, number: usize, address: u64, bytes: &[u8]) {
        lock(&self.processors[number]).note_read(address, bytes);
    }

    /// Writes what processor `number` makes of `bytes` to `address` or elsewhere.
    ///
    /// # Errors
    ///
    /// As [`MemoryMap::write`].
    pub fn write(
        &self,
        memory: &MemoryMap,
        number: usize,
        address: u64,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        lock(&self.processors[number]).write(self.tally_of_lies(), memory, address, bytes)
    }

    /// As [`Self::write`], for a word of the status page that is stored with release semantics.
    ///
    /// # Errors
    ///
    /// As [`MemoryMap::store_release`].
    pub fn store_release(
        &self,
        memory: &MemoryMap,
        number: usize,
        address: u64,
        value: u32,
    ) -> Result<(), Fault> {
        lock(&self.processors[number]).store_release(self.tally_of_lies(), memory, address, value)
    }

    /// The interrupts to raise in place of `vector`, one of `vectors`.
    pub fn interrupts(&self, vector: usize, vectors: usize) -> [Option<usize>; 2] {
        let mut liar = lock(&self.others);
        if !liar.tells(self.tally_of_lies(), Kind::Interrupt) {
            return [Some(vector), None];
        }
        let other = liar.random.below(vectors.max(1) as u64) as usize;
        match liar.random.below(3) {
            0 => [None, None],
            1 => [Some(vector), Some(vector)],
            _ => [Some(other), None],
        }
    }

    /// The admin completion to write in place of `honest`.
    pub fn answer(&self, honest: admin::Completion) -> admin::Completion {
        let mut answers = lock(&self.admin);
        let Answers { liar, former } = &mut *answers;
        let mut answer = honest;
        if liar.tells(self.tally_of_lies(), Kind::Admin) {
            let random = &mut liar.random;
            match random.below(6) {
                // The driver must not take a lie for the answer to a later command: it would believe that
                // a processor has stopped that still writes to memory. Tokens of this tree's driver
                // increase and have the highest bit set.
                0 => answer.token = random.lie(answer.token) & i32::MAX as u32,
                1 => answer.status = random.lie(answer.status.into()) as u16,
                2 => answer.event = random.lie(answer.event.into()) as u16,
                3 => answer.value = random.lie(answer.value),
                4 => answer.phase = random.lie(answer.phase),
                _ => {
                    let before: Vec<_> = former.iter().filter(|f| f.token < honest.token).collect();
                    if let Some(&&former) = random.choose(&before) {
                        let phase = answer.phase;
                        answer = admin::Completion { phase, ..former };
                    }
                }
            }
        }
        if former.len() == ANSWERS {
            former.remove(0);
        }
        former.push(honest);
        answer
    }

    /// Turns the register values in `bytes`, which a client reads, into lies.
    pub fn registers(&self, bytes: &mut [u8]) {
        let mut liar = lock(&self.others);
        if liar.tells(self.tally_of_lies(), Kind::Register) {
            liar.random.lie_in(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
