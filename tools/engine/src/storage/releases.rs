// SPDX-License-Identifier: GPL-2.0

//! Payload pages that go back without data, many to a completion.

use toe_abi::Layout;
use toe_abi::completion::Op;
use toe_abi::completion::PagesReleased;
use toe_abi::completion::RELEASED_PAGES;

use crate::env::Host;
use crate::ring::Completions;
use crate::ring::HostError;

/// Payload pages to be given back at the end of the batch.
///
/// # Invariants
///
/// One completion is reserved while `entry` lists a page, and it lists fewer than
/// [`RELEASED_PAGES`].
pub struct Releases {
    entry: PagesReleased,
}

impl Releases {
    /// None.
    pub fn new() -> Self {
        Self {
            entry: PagesReleased {
                op: Op::PagesReleased.raw(),
                payload: 1,
                ..PagesReleased::default()
            },
        }
    }

    /// Whether a page can be added.
    #[inline]
    pub fn has_room(&self, completions: &Completions) -> bool {
        self.entry.page_count != 0 || completions.room() != 0
    }

    /// Adds page `id`, which has been released in the page array. What was placed in it has been
    /// reported.
    ///
    /// # Errors
    ///
    /// [`HostError`] when memory of the host is gone, or there is no room, which is to be asked before.
    pub fn add<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
        id: u32,
    ) -> Result<(), HostError> {
        let count = usize::from(self.entry.page_count);
        if count == 0 && !completions.reserve(1) {
            return Err(HostError);
        }
        self.entry.pages[count] = id;
        self.entry.page_count += 1;
        if count + 1 == RELEASED_PAGES {
            self.flush(host, completions)?;
        }
        Ok(())
    }

    /// Writes the completion, if there is anything to report.
    ///
    /// # Errors
    ///
    /// [`HostError`] when memory of the host is gone.
    #[inline]
    pub fn flush<H: Host>(
        &mut self,
        host: &mut H,
        completions: &mut Completions,
    ) -> Result<(), HostError> {
        if self.entry.page_count == 0 {
            return Ok(());
        }
        completions.write(host, &self.entry.to_bytes())?;
        *self = Self::new();
        Ok(())
    }
}
