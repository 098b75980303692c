// SPDX-License-Identifier: GPL-2.0

//! The data of one completion.

use crate::{
    abi::completion::DELIVER_PAGES,
    net::netmem::PoolFrag, //
};

/// Fragments of pool pages that hold consecutive data, in order.
///
/// Each fragment holds a reference to its page. The reference moves into an skb with
/// [`UniqueSkBuff::add_fragment`](crate::net::skb::UniqueSkBuff::add_fragment); the page returns to its pool when
/// the skb is freed. Fragments that are not taken out release their pages when this is dropped.
#[derive(Default)]
pub struct Payload {
    fragments: [Option<PoolFrag>; DELIVER_PAGES],
    next: usize,
    end: usize,
}

impl Payload {
    /// Returns the last fragment.
    #[inline]
    pub fn last_mut(&mut self) -> Option<&mut PoolFrag> {
        self.fragments[self.next..self.end].last_mut()?.as_mut()
    }

    /// Appends a fragment.
    ///
    /// # Errors
    ///
    /// Returns the fragment when there is no room.
    #[inline]
    pub fn push(&mut self, fragment: PoolFrag) -> Result<(), PoolFrag> {
        match self.fragments.get_mut(self.end) {
            Some(slot) => {
                *slot = Some(fragment);
                self.end += 1;
                Ok(())
            }
            None => Err(fragment),
        }
    }
}

impl Iterator for Payload {
    type Item = PoolFrag;

    #[inline]
    fn next(&mut self) -> Option<PoolFrag> {
        let fragment = self.fragments.get_mut(self.next)?.take();
        if fragment.is_some() {
            self.next += 1;
        }
        fragment
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Payload {}
