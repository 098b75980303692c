// SPDX-License-Identifier: GPL-2.0

//! Statistics.

use crate::bindings;
use core::{
    marker::PhantomData,
    mem, //
};
use kernel::fmt;

/// Length of a name, including the terminating zero.
const NAME: usize = bindings::ETH_GSTRING_LEN as usize;

/// A string set to be filled: the names of statistics or private flags.
///
/// # Invariants
///
/// `next` to `end` is writable memory for a whole number of names.
pub struct Names<'a> {
    next: *mut u8,
    end: *mut u8,
    _buffer: PhantomData<&'a mut [u8]>,
}

impl Names<'_> {
    /// # Safety
    ///
    /// `data` must be writable memory for `count` names for the lifetime of the result.
    pub(super) unsafe fn new(data: *mut u8, count: usize) -> Self {
        // INVARIANT: The caller promises it.
        Self {
            next: data,
            // SAFETY: The end of the memory.
            end: unsafe { data.add(count * NAME) },
            _buffer: PhantomData,
        }
    }

    /// Appends a name, truncated to 31 bytes. Names beyond the size of the set are ignored.
    pub fn push(&mut self, name: fmt::Arguments<'_>) {
        if self.next == self.end {
            return;
        }
        // SAFETY: By the type invariant there is room for a whole name.
        let slot = unsafe { core::slice::from_raw_parts_mut(self.next, NAME) };
        slot.fill(0);
        // Room for the terminating zero. `Truncate` does not fail.
        let _ = fmt::Write::write_fmt(&mut Truncate(&mut slot[..NAME - 1]), name);
        // SAFETY: Still within, or at the end of, the memory.
        self.next = unsafe { self.next.add(NAME) };
    }
}

/// Writes as much as fits.
struct Truncate<'a>(&'a mut [u8]);

impl fmt::Write for Truncate<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let n = s.len().min(self.0.len());
        let (head, tail) = mem::take(&mut self.0).split_at_mut(n);
        head.copy_from_slice(&s.as_bytes()[..n]);
        self.0 = tail;
        Ok(())
    }
}

/// Statistics of an IEEE 802.3 MAC (`struct ethtool_eth_mac_stats`). Fields that are not set are not
/// reported.
pub type MacStatistics = bindings::ethtool_eth_mac_stats__bindgen_ty_1__bindgen_ty_1;

/// A range of frame sizes (`struct ethtool_rmon_hist_range`).
#[repr(transparent)]
pub struct SizeRange(bindings::ethtool_rmon_hist_range);

impl SizeRange {
    /// Terminates a list of ranges.
    pub const END: Self = Self::new(0, 0);

    /// From `low` to `high` bytes, both inclusive.
    pub const fn new(low: u16, high: u16) -> Self {
        Self(bindings::ethtool_rmon_hist_range { low, high })
    }
}
