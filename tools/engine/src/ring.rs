// SPDX-License-Identifier: GPL-2.0

//! Adapter side of the rings: producer indices of the host, and the completion ring.

use toe_abi::PAGE_SIZE;
use toe_abi::ring;
use toe_abi::ring::COMPLETION_ENTRY;
use toe_abi::ring::RingId;

use crate::env::Fault;
use crate::env::Host;

/// The host has violated the ring protocol (an index out of range) or memory it provides is not
/// mapped. The processor stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError;

impl From<Fault> for HostError {
    fn from(_: Fault) -> Self {
        Self
    }
}

/// Memory location of a ring.
#[derive(Clone, Copy, Debug)]
struct Location {
    ring: RingId,
    address: u64,
    entries: u32,
    status: u64,
}

impl Location {
    /// Returns `None` if the ABI does not allow the size or the alignment.
    fn new(ring: RingId, address: u64, log2_entries: u8, status: u64) -> Option<Self> {
        let fits = (ring::MIN_LOG2..=ring::MAX_LOG2).contains(&log2_entries)
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

/// A ring filled by the host.
///
/// # Invariants
///
/// `producer - consumer <= entries`: a producer index is checked before it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Consumer {
    location: Location,
    /// End of the available entries.
    producer: u32,
    consumer: u32,
    /// Consumer index in the status page.
    published: u32,
}

impl Consumer {
    /// Creates a ring with both indices 0. Returns `None` if size or alignment is out of range.
    pub fn new(ring: RingId, address: u64, log2_entries: u8, status: u64) -> Option<Self> {
        Some(Self {
            location: Location::new(ring, address, log2_entries, status)?,
            producer: 0,
            consumer: 0,
            published: 0,
        })
    }

    /// Reads the producer index from the doorbell page. Its entries are not available before
    /// [`Consumer::admit`].
    ///
    /// # Errors
    ///
    /// [`HostError`] if it implies more entries than the ring has.
    #[inline]
    pub fn posted<H: Host>(&self, host: &H) -> Result<u32, HostError> {
        let producer = host.doorbell(self.location.ring.index_offset());
        match producer.wrapping_sub(self.consumer) > self.location.entries {
            true => Err(HostError),
            false => Ok(producer),
        }
    }

    /// Makes the entries before `producer`, a result of [`Consumer::posted`], available, if they are
    /// not yet.
    #[inline]
    pub fn admit(&mut self, producer: u32) {
        if producer.wrapping_sub(self.producer) as i32 > 0 {
            self.producer = producer;
        }
    }

    /// Makes all entries available that the host has posted.
    ///
    /// # Errors
    ///
    /// As [`Consumer::posted`].
    #[inline]
    pub fn refresh<H: Host>(&mut self, host: &H) -> Result<(), HostError> {
        self.admit(self.posted(host)?);
        Ok(())
    }

    /// Number of entries of the ring.
    #[inline]
    pub fn entries(&self) -> u32 {
        self.location.entries
    }

    /// Producer index up to which entries are available.
    #[inline]
    pub fn producer(&self) -> u32 {
        self.producer
    }

    /// Available entries that are not consumed yet.
    #[inline]
    pub fn available(&self) -> u32 {
        self.producer.wrapping_sub(self.consumer)
    }

    /// Copies unconsumed entries, starting `offset` entries after the consumer index, to `to`.
    /// Stops at the end of the ring or of `to`, whose length is a multiple of the entry size.
    /// Returns the number of entries copied.
    ///
    /// # Errors
    ///
    /// [`HostError`] if the ring's memory is not mapped.
    #[inline]
    pub fn read<H: Host>(&self, host: &H, offset: u32, to: &mut [u8]) -> Result<u32, HostError> {
        let size = self.location.ring.entry_size();
        let first = self.consumer.wrapping_add(offset);
        let to_edge = self.location.entries - (first & (self.location.entries - 1));
        let count = (to.len() / size).min(to_edge as usize);
        host.read(self.location.entry(first), &mut to[..count * size])?;
        Ok(count as u32)
    }

    /// Consumes `count` entries, at most [`Consumer::available`].
    #[inline]
    pub fn take(&mut self, count: u32) {
        debug_assert!(count <= self.available());
        self.consumer = self.consumer.wrapping_add(count);
    }

    /// Consumer index.
    #[inline]
    pub fn consumer(&self) -> u32 {
        self.consumer
    }

    /// Writes the consumer index to the status page if it has changed. The host may then reuse the
    /// entries.
    ///
    /// # Errors
    ///
    /// [`HostError`] if the status page is not mapped.
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
/// An entry is written in two steps: it is reserved before the work that it reports begins, and
/// written when the work is done. A report is therefore never lost for lack of room.
///
/// # Invariants
///
/// `producer + reserved - consumer <= entries`.
#[derive(Clone, Copy, Debug)]
pub struct Completions {
    location: Location,
    /// Index after the last entry written, published or not.
    producer: u32,
    published: u32,
    /// Consumer index as last read.
    consumer: u32,
    /// Entries reserved and not yet written.
    reserved: u32,
}

impl Completions {
    /// Creates a ring with both indices 0. Returns `None` if size or alignment is out of range.
    pub fn new(address: u64, log2_entries: u8, status: u64) -> Option<Self> {
        Some(Self {
            location: Location::new(RingId::Completion, address, log2_entries, status)?,
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
    /// [`HostError`] if it is ahead of the published producer index.
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

    /// Reserves `count` entries. Returns `false`, with nothing reserved, if there is no room.
    #[inline]
    #[must_use]
    pub fn reserve(&mut self, count: u32) -> bool {
        let fits = count <= self.room();
        if fits {
            self.reserved += count;
        }
        fits
    }

    /// Writes a reserved entry after the last one.
    ///
    /// # Errors
    ///
    /// [`HostError`] if the ring's memory is not mapped.
    #[inline]
    pub fn write<H: Host>(&mut self, host: &mut H, entry: &Entry) -> Result<(), HostError> {
        let at = self.skip(1);
        self.fill(host, at, entry)
    }

    /// Skips `count` reserved entries, which must be filled in before the next
    /// [`Completions::publish`]. Returns the index of the first.
    #[inline]
    pub fn skip(&mut self, count: u32) -> u32 {
        debug_assert!(count <= self.reserved);
        self.reserved -= count;
        let first = self.producer;
        self.producer = first.wrapping_add(count);
        first
    }

    /// Writes the entry at `index`, skipped before by [`Completions::skip`].
    ///
    /// # Errors
    ///
    /// [`HostError`] if the ring's memory is not mapped.
    #[inline]
    pub fn fill<H: Host>(
        &mut self,
        host: &mut H,
        index: u32,
        entry: &Entry,
    ) -> Result<(), HostError> {
        Ok(host.write(self.location.entry(index), entry)?)
    }

    /// Publishes all entries written so far to the host.
    ///
    /// # Errors
    ///
    /// [`HostError`] if the status page is not mapped.
    #[inline]
    pub fn publish<H: Host>(&mut self, host: &mut H) -> Result<(), HostError> {
        if self.published != self.producer {
            host.store_release(self.location.index(), self.producer)?;
            self.published = self.producer;
        }
        Ok(())
    }

    /// Producer index visible to the host.
    #[inline]
    pub fn published(&self) -> u32 {
        self.published
    }
}
