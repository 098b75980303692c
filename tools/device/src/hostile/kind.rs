// SPDX-License-Identifier: GPL-2.0

//! Kinds of lies, and their numbers.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// What a lie is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Some fields of a completion.
    Field,
    /// The type of a completion.
    Type,
    /// All of a completion.
    Noise,
    /// A completion is missing: its entry is what the ring's last round left there.
    Missing,
    /// A completion takes the place of the one before, and vice versa.
    Order,
    /// A completion was written before.
    Repeated,
    /// Payload that the connection has not received follows what it has.
    Payload,
    /// A ring index.
    Index,
    /// The sleep word.
    Sleep,
    /// A counter.
    Counter,
    /// Received data.
    Data,
    /// Data of a page that is not yet the guest's again, written before.
    Overwritten,
    /// An interrupt is missing, raised twice, or another one.
    Interrupt,
    /// An answer or event of the admin queue.
    Admin,
    /// A register value.
    Register,
}

impl Kind {
    const NAMES: [(Self, &str); 15] = [
        (Self::Field, "field"),
        (Self::Type, "type"),
        (Self::Noise, "noise"),
        (Self::Missing, "missing"),
        (Self::Order, "order"),
        (Self::Repeated, "repeated"),
        (Self::Payload, "payload"),
        (Self::Index, "index"),
        (Self::Sleep, "sleep"),
        (Self::Counter, "counter"),
        (Self::Data, "data"),
        (Self::Overwritten, "overwritten"),
        (Self::Interrupt, "interrupt"),
        (Self::Admin, "admin"),
        (Self::Register, "register"),
    ];

    /// The kind as a set of one.
    pub(super) fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Numbers of lies by their kinds.
#[derive(Debug, Default)]
pub struct Tally([AtomicU64; Kind::NAMES.len()]);

impl Tally {
    /// Counts a lie.
    pub(super) fn count(&self, kind: Kind) {
        self.0[kind as usize].fetch_add(1, Relaxed);
    }

    /// The number of lies of one kind.
    fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize].load(Relaxed)
    }

    /// The names of the kinds of which there are lies.
    #[cfg(test)]
    pub(super) fn told(&self) -> impl Iterator<Item = &'static str> {
        let told = Kind::NAMES
            .into_iter()
            .filter(|&(kind, _)| self.of(kind) != 0);
        told.map(|(_, name)| name)
    }

    /// The number of all lies.
    pub fn sum(&self) -> u64 {
        self.0.iter().map(|number| number.load(Relaxed)).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lies", self.sum())?;
        for (kind, name) in Kind::NAMES {
            let number = self.of(kind);
            if number != 0 {
                write!(f, " {name}={number}")?;
            }
        }
        Ok(())
    }
}
