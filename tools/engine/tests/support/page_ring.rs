// SPDX-License-Identifier: GPL-2.0

//! A page ring of the driver model: which pages are posted and which ranges completions have named.

use toe_abi::PAGE_SIZE;
use toe_abi::page::PagePost;
use toe_abi::ring;
use toe_abi::ring::RingId;
use toe_engine::env::Host;

use super::ENTRIES;
use super::PAGES;
use super::TestEnv;
use super::rings;

/// The driver's side of a page ring.
pub struct PageRing {
    ring: RingId,
    pool: u64,
    producer: u32,
    /// Identifiers that are posted to the adapter.
    posted: Vec<bool>,
    /// Ranges of each page that completions have named since it was posted.
    named: Vec<Vec<(u32, u32)>>,
    /// Identifiers to post in the next batch.
    idle: Vec<u32>,
}

impl PageRing {
    pub fn new(ring: RingId, pool: u64, pages: u32) -> Self {
        Self {
            ring,
            pool,
            producer: 0,
            posted: vec![false; PAGES as usize],
            named: vec![Vec::new(); PAGES as usize],
            idle: (0..pages).collect(),
        }
    }

    pub fn address(&self, id: u32) -> u64 {
        self.pool + u64::from(id) * PAGE_SIZE as u64
    }

    /// Records that a completion names a range. Checks that the range does not overlap others.
    pub fn name(&mut self, id: u32, offset: u32, length: u32) -> u64 {
        assert!(self.posted[id as usize], "page {id} is not the adapter's");
        assert!((offset + length) as usize <= PAGE_SIZE);
        let (start, end) = (offset, offset + length);
        for &(from, to) in &self.named[id as usize] {
            assert!(end <= from || to <= start, "ranges of page {id} overlap");
        }
        self.named[id as usize].push((start, end));
        self.address(id) + u64::from(offset)
    }

    pub fn release(&mut self, id: u32) {
        assert!(self.posted[id as usize], "page {id} released twice");
        self.posted[id as usize] = false;
        self.named[id as usize].clear();
        self.idle.push(id);
    }

    pub fn post(&mut self, env: &mut TestEnv) {
        while self.idle.len() >= 8 {
            for _ in 0..8 {
                let id = self.idle.pop().unwrap();
                self.posted[id as usize] = true;
                let post = PagePost::new(id, self.address(id)).unwrap();
                let at = u64::from(self.producer & (ENTRIES - 1)) * ring::PAGE_ENTRY as u64;
                let base = rings().addresses[self.ring as usize];
                env.write(base + at, &post.raw().to_le_bytes()).unwrap();
                self.producer += 1;
            }
        }
        env.doorbell[self.ring.index_offset() / 4] = self.producer;
    }

    pub fn outstanding(&self) -> usize {
        self.posted.iter().filter(|&&posted| posted).count()
    }
}
