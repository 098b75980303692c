// SPDX-License-Identifier: GPL-2.0

//! Payload pages returned without data, several per completion.

use toe_abi::Layout;
use toe_abi::completion::CompletionOp;
use toe_abi::completion::PagesReleased;
use toe_abi::completion::RELEASED_PAGES;

use crate::env::Host;
use crate::ring::Completions;
use crate::ring::HostError;

/// Payload pages to return at the end of the batch.
///
/// # Invariants
///
/// While `entry` lists a page, one completion is reserved for it. `entry` lists fewer than
/// [`RELEASED_PAGES`] pages.
pub struct Releases {
    entry: PagesReleased,
}

impl Releases {
    /// Creates an empty list.
    pub fn new() -> Self {
        Self {
            entry: PagesReleased {
                op: CompletionOp::PagesReleased.raw(),
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

    /// Adds page `id`, which is released in the page array and whose data has been reported.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped, or if there is no room, which the caller must
    /// have checked.
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

    /// Writes the completion, if there are pages to return.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped.
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
