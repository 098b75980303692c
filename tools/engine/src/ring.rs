// SPDX-License-Identifier: GPL-2.0

//! The adapter's end of the rings that the host fills, and of the completion ring.

use toe_abi::PAGE_SIZE;
use toe_abi::ring;
use toe_abi::ring::COMPLETION_ENTRY;
use toe_abi::ring::Ring;

use crate::env::Fault;
use crate::env::Host;

/// A ring makes no sense: an index beyond what it can hold, or memory that is gone. The processor
/// cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError;

impl From<Fault> for HostError {
    fn from(_: Fault) -> Self {
        Self
    }
}

/// Where a ring lies.
#[derive(Clone, Copy, Debug)]
struct Location {
    ring: Ring,
    address: u64,
    entries: u32,
    status: u64,
}

impl Location {
    /// `None` for a size or an alignment that the contract does not allow.
    fn new(ring: Ring, address: u64, log2_entries: u8, status: u64) -> Option<Self> {
        let fits = ring::LOG2_RANGE.contains(&log2_entries)
            && address % PAGE_SIZE as u64 == 0
            && address
                .checked_add((ring.entry_size() << log2_entries) as u64)
                .is_some();
        fits.then(|| Self {
            ring,
            address,
            entries: 1 << log2_entries,
            status,
        })
    }

    fn entry(&self, index: u32) -> u64 {
        let at = (index & (self.entries - 1)) as usize * self.ring.entry_size();
        self.address + at as u64
    }

    fn index(&self) -> u64 {
        self.status + self.ring.index_offset() as u64
    }
}

/// A ring that the host fills.
///
/// # Invariants
///
/// `producer - consumer <= entries`: the producer index is taken over only after that check.
#[derive(Clone, Copy, Debug)]
pub struct Consumer {
    location: Location,
    /// As last read.
    producer: u32,
    consumer: u32,
    /// What stands in the status page.
    published: u32,
}

impl Consumer {
    /// A ring with both indices at 0. `None` for a size or an alignment out of range.
    pub fn new(ring: Ring, address: u64, log2_entries: u8, status: u64) -> Option<Self> {
        Some(Self {
            location: Location::new(ring, address, log2_entries, status)?,
            producer: 0,
            consumer: 0,
            published: 0,
        })
    }

    /// Reads the producer index from the doorbell page.
    ///
    /// # Errors
    ///
    /// [`HostError`] when it claims more entries than there are.
    #[inline]
    pub fn refresh<H: Host>(&mut self, host: &H) -> Result<(), HostError> {
        let producer = host.doorbell(self.location.ring.index_offset());
        if producer.wrapping_sub(self.consumer) > self.location.entries {
            return Err(HostError);
        }
        self.producer = producer;
        Ok(())
    }

    /// Size of the ring.
    #[inline]
    pub fn entries(&self) -> u32 {
        self.location.entries
    }

    /// Entries not taken yet, as of the last [`Consumer::refresh`].
    #[inline]
    pub fn available(&self) -> u32 {
        self.producer.wrapping_sub(self.consumer)
    }

    /// Copies the entries from the `offset`-th not taken on into `to`, a multiple of the entry size,
    /// up to the end of the ring or of `to`; returns how many.
    ///
    /// # Errors
    ///
    /// [`HostError`] when the ring's memory is gone.
    #[inline]
    pub fn read<H: Host>(&self, host: &H, offset: u32, to: &mut [u8]) -> Result<u32, HostError> {
        let size = self.location.ring.entry_size();
        let first = self.consumer.wrapping_add(offset);
        let to_edge = self.location.entries - (first & (self.location.entries - 1));
        let count = (to.len() / size).min(to_edge as usize);
        host.read(self.location.entry(first), &mut to[..count * size])?;
        Ok(count as u32)
    }

    /// Takes `count` entries, at most [`Consumer::available`].
    #[inline]
    pub fn take(&mut self, count: u32) {
        debug_assert!(count <= self.available());
        self.consumer = self.consumer.wrapping_add(count);
    }

    /// The consumer index.
    #[inline]
    pub fn consumer(&self) -> u32 {
        self.consumer
    }

    /// Writes the consumer index to the status page when it has moved: the host may use the entries
    /// again.
    ///
    /// # Errors
    ///
    /// [`HostError`] when the status page is gone.
    #[inline]
    pub fn publish<H: Host>(&mut self, host: &mut H) -> Result<(), HostError> {
        if self.published != self.consumer {
            host.store_release(self.location.index(), self.consumer)?;
            self.published = self.consumer;
        }
        Ok(())
    }
}

/// An entry of the completion ring.
pub type Entry = [u8; COMPLETION_ENTRY];

/// The completion ring.
///
/// An entry is written in two steps: room for it is reserved before anything that it will report is
/// done, and it is written when that is done. So a report can never be lost for want of room.
///
/// # Invariants
///
/// `producer + reserved - consumer <= entries`.
#[derive(Clone, Copy, Debug)]
pub struct Completions {
    location: Location,
    /// Entries written, published or not.
    producer: u32,
    published: u32,
    /// As last read.
    consumer: u32,
    /// Entries promised to someone and not yet written.
    reserved: u32,
}

impl Completions {
    /// A ring with both indices at 0. `None` for a size or an alignment out of range.
    pub fn new(address: u64, log2_entries: u8, status: u64) -> Option<Self> {
        Some(Self {
            location: Location::new(Ring::Completion, address, log2_entries, status)?,
            producer: 0,
            published: 0,
            consumer: 0,
            reserved: 0,
        })
    }

    /// Number of entries of the ring.
    pub fn entries(&self) -> u32 {
        self.location.entries
    }

    /// Reads the consumer index from the doorbell page.
    ///
    /// # Errors
    ///
    /// [`HostError`] when it is ahead of what was published.
    #[inline]
    pub fn refresh<H: Host>(&mut self, host: &H) -> Result<(), HostError> {
        let consumer = host.doorbell(self.location.ring.index_offset());
        if self.published.wrapping_sub(consumer) > self.published.wrapping_sub(self.consumer) {
            return Err(HostError);
        }
        self.consumer = consumer;
        Ok(())
    }

    /// Entries that can be reserved, as of the last [`Completions::refresh`].
    #[inline]
    pub fn room(&self) -> u32 {
        self.location.entries - self.producer.wrapping_sub(self.consumer) - self.reserved
    }

    /// Reserves `count` entries; false, and nothing reserved, when there is no room for them.
    #[inline]
    #[must_use]
    pub fn reserve(&mut self, count: u32) -> bool {
        let fits = count <= self.room();
        if fits {
            self.reserved += count;
        }
        fits
    }

    /// Writes a reserved entry behind the last one.
    ///
    /// # Errors
    ///
    /// [`HostError`] when the ring's memory is gone.
    #[inline]
    pub fn write<H: Host>(&mut self, host: &mut H, entry: &Entry) -> Result<(), HostError> {
        let at = self.skip(1);
        self.fill(host, at, entry)
    }

    /// Leaves `count` reserved entries out, to be filled before the next [`Completions::publish`];
    /// returns the index of the first.
    #[inline]
    pub fn skip(&mut self, count: u32) -> u32 {
        debug_assert!(count <= self.reserved);
        self.reserved -= count;
        let first = self.producer;
        self.producer = first.wrapping_add(count);
        first
    }

    /// Writes the entry with index `index`, left out by [`Completions::skip`].
    ///
    /// # Errors
    ///
    /// [`HostError`] when the ring's memory is gone.
    #[inline]
    pub fn fill<H: Host>(
        &mut self,
        host: &mut H,
        index: u32,
        entry: &Entry,
    ) -> Result<(), HostError> {
        Ok(host.write(self.location.entry(index), entry)?)
    }

    /// Shows everything that was written to the host.
    ///
    /// # Errors
    ///
    /// [`HostError`] when the status page is gone.
    #[inline]
    pub fn publish<H: Host>(&mut self, host: &mut H) -> Result<(), HostError> {
        if self.published != self.producer {
            host.store_release(self.location.index(), self.producer)?;
            self.published = self.producer;
        }
        Ok(())
    }

    /// The producer index that the host sees.
    #[inline]
    pub fn published(&self) -> u32 {
        self.published
    }
}
