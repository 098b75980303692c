// SPDX-License-Identifier: GPL-2.0

//! The memory that a guest has given to a processor, as the guest sees it.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::ops::Range;

use toe_abi::Layout;
use toe_abi::PAGE_SIZE;
use toe_abi::completion::CompletionOp;
use toe_abi::completion::Deliver;
use toe_abi::completion::NO_PAGE;
use toe_abi::completion::PagesReleased;
use toe_abi::completion::Returned;
use toe_abi::completion::RxFrame;
use toe_abi::completion::frame_flag;
use toe_abi::page::PagePost;
use toe_abi::ring::COMPLETION_ENTRY;
use toe_abi::ring::PAGE_ENTRY;
use toe_abi::ring::RingId;
use toe_engine::processor::Rings;

/// An entry of the completion ring.
pub(super) type Entry = [u8; COMPLETION_ENTRY];

const PAGE: u64 = PAGE_SIZE as u64;
const PAGE_RINGS: [RingId; 2] = [RingId::HeaderPages, RingId::PayloadPages];

/// What an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The completion ring.
    Completions,
    /// The status page.
    Status,
    /// A page that the guest has posted and not taken back.
    Page,
    /// Anything else.
    Elsewhere,
}

/// The memory that a guest has given to a processor.
pub(super) struct Given {
    rings: Rings,
    /// Addresses of the pages last posted in each of [`PAGE_RINGS`], by identifier.
    posted: [HashMap<u32, u64>; 2],
    /// Addresses of the pages that the guest has not taken back.
    pages: BTreeSet<u64>,
}

impl Given {
    /// The memory of a processor that starts on `rings`.
    pub(super) fn new(rings: &Rings) -> Self {
        Self {
            rings: *rings,
            posted: [HashMap::new(), HashMap::new()],
            pages: BTreeSet::new(),
        }
    }

    fn ring(&self, ring: RingId) -> Range<u64> {
        let start = self.rings.addresses[ring as usize];
        let size = (ring.entry_size() as u64) << self.rings.log2_entries[ring as usize];
        start..start.saturating_add(size)
    }

    /// The number of entries of the completion ring.
    pub(super) fn completions(&self) -> u32 {
        1 << self.rings.log2_entries[RingId::Completion as usize]
    }

    /// The address of entry `index` of the completion ring.
    pub(super) fn completion(&self, index: u32) -> u64 {
        let place = index & (self.completions() - 1);
        let at = place as usize * RingId::Completion.entry_size();
        self.rings.addresses[RingId::Completion as usize] + at as u64
    }

    /// What the `length` bytes at `address` belong to.
    pub(super) fn place(&self, address: u64, length: usize) -> Place {
        let end = address.saturating_add(length.max(1) as u64) - 1;
        let page = |address: u64| address / PAGE * PAGE;
        if self.ring(RingId::Completion).contains(&address) {
            Place::Completions
        } else if page(address) == self.rings.status {
            Place::Status
        } else if (page(address)..=end)
            .step_by(PAGE_SIZE)
            .all(|page| self.pages.contains(&page))
        {
            Place::Page
        } else {
            Place::Elsewhere
        }
    }

    /// The ring whose index is at `address`.
    pub(super) fn index(&self, address: u64) -> Option<RingId> {
        let offset = address.wrapping_sub(self.rings.status);
        let at = |ring: &RingId| ring.index_offset() as u64 == offset;
        RingId::ALL.iter().copied().find(at)
    }

    /// The first page at or after `address` that the guest has not taken back, otherwise the first of
    /// all.
    pub(super) fn page(&self, address: u64) -> Option<u64> {
        let first = self.pages.range(address..).next();
        first.or_else(|| self.pages.first()).copied()
    }

    /// The processor has read `bytes` at `address`. They may be entries of a page ring.
    pub(super) fn note_read(&mut self, address: u64, bytes: &[u8]) {
        let ring = PAGE_RINGS.map(|ring| self.ring(ring).contains(&address));
        let Some(ring) = ring.iter().position(|&is_here| is_here) else {
            return;
        };
        for entry in bytes.chunks_exact(PAGE_ENTRY) {
            let mut raw = [0; PAGE_ENTRY];
            raw.copy_from_slice(entry);
            let post = PagePost::from_raw(u64::from_le_bytes(raw));
            self.posted[ring].insert(post.id(), post.address());
            self.pages.insert(post.address());
        }
    }

    /// The driver will see the completion `entry`, and take the pages back that it releases.
    pub(super) fn note_completion(&mut self, entry: &Entry) {
        let Some(op) = CompletionOp::from_raw(entry[0]) else {
            return;
        };
        match op {
            CompletionOp::PagesReleased => {
                let released = PagesReleased::from_bytes(entry);
                let ring = usize::from(released.payload != 0);
                for id in listed(&released.pages, released.page_count, u32::MAX) {
                    self.take(ring, id);
                }
            }
            CompletionOp::Deliver => {
                let deliver = Deliver::from_bytes(entry);
                for id in listed(&deliver.pages, deliver.page_count, deliver.release.into()) {
                    self.take(1, id);
                }
            }
            CompletionOp::Returned => {
                let page = Returned::from_bytes(entry).page;
                if page != NO_PAGE {
                    self.take(1, page);
                }
            }
            CompletionOp::Delegated
            | CompletionOp::Acked
            | CompletionOp::Placed
            | CompletionOp::Resumed => {}
            _ => {
                let frame = RxFrame::from_bytes(entry);
                if frame.release & 1 != 0 {
                    self.take(0, frame.header_page);
                }
                let ring = usize::from(frame.flags & frame_flag::HEADER_RING == 0);
                for id in listed(&frame.pages, frame.page_count, (frame.release >> 1).into()) {
                    self.take(ring, id);
                }
            }
        }
    }

    fn take(&mut self, ring: usize, id: u32) {
        if let Some(address) = self.posted[ring].remove(&id) {
            self.pages.remove(&address);
        }
    }
}

/// The identifiers among the first `count` of `pages` whose bit of `mask` is set.
fn listed(pages: &[u32], count: u8, mask: u32) -> impl Iterator<Item = u32> {
    let is_set = move |&(i, _): &(usize, &u32)| mask >> i & 1 != 0;
    let listed = pages.iter().take(count.into()).enumerate();
    listed.filter(is_set).map(|(_, &id)| id)
}
