// SPDX-License-Identifier: GPL-2.0

//! The pages of a page ring, and who has them.

use toe_abi::PAGE_SIZE;
use toe_abi::page::PagePost;
use toe_abi::ring;
use toe_abi::ring::Ring;
use toe_engine::env::Host;

use super::ENTRIES;
use super::PAGES;
use super::TestEnv;
use super::rings;

/// One of the two page rings as the driver sees it.
pub struct Lending {
    ring: Ring,
    pool: u64,
    producer: u32,
    /// Identifiers that the adapter has.
    lent: Vec<bool>,
    /// Bytes of each page that completions have named since it was lent.
    named: Vec<Vec<(u32, u32)>>,
    /// Identifiers to be posted again, in batches.
    idle: Vec<u32>,
}

impl Lending {
    pub fn new(ring: Ring, pool: u64, pages: u32) -> Self {
        Self {
            ring,
            pool,
            producer: 0,
            lent: vec![false; PAGES as usize],
            named: vec![Vec::new(); PAGES as usize],
            idle: (0..pages).collect(),
        }
    }

    pub fn address(&self, id: u32) -> u64 {
        self.pool + u64::from(id) * PAGE_SIZE as u64
    }

    /// Notes that a completion names a range, and checks that no other did.
    pub fn name(&mut self, id: u32, offset: u32, length: u32) -> u64 {
        assert!(self.lent[id as usize], "page {id} is not the adapter's");
        assert!((offset + length) as usize <= PAGE_SIZE);
        let (start, end) = (offset, offset + length);
        for &(from, to) in &self.named[id as usize] {
            assert!(end <= from || to <= start, "ranges of page {id} overlap");
        }
        self.named[id as usize].push((start, end));
        self.address(id) + u64::from(offset)
    }

    pub fn release(&mut self, id: u32) {
        assert!(self.lent[id as usize], "page {id} released twice");
        self.lent[id as usize] = false;
        self.named[id as usize].clear();
        self.idle.push(id);
    }

    pub fn post(&mut self, env: &mut TestEnv) {
        while self.idle.len() >= 8 {
            for _ in 0..8 {
                let id = self.idle.pop().unwrap();
                self.lent[id as usize] = true;
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
        self.lent.iter().filter(|&&lent| lent).count()
    }
}
