// SPDX-License-Identifier: GPL-2.0

//! What a driver sets on processors, checked as far as one processor cannot.

use std::sync::Arc;

use toe_abi::rss;
use toe_abi::rules::Rule;

use crate::port::impaired::Impairment;

/// A setting of a processor.
#[derive(Clone)]
pub enum Setting {
    /// Hash and indirection table of a context.
    Rss {
        /// The context.
        context: u32,
        /// Key and table.
        config: rss::Config,
        /// [`rss::Fields`].
        fields: u32,
    },
    /// There is no such context any more.
    RemoveContext(u32),
    /// A rule.
    Rule(Rule),
    /// There is no rule at this location any more.
    RemoveRule(u16),
    /// Frames received.
    Filter {
        /// Own address.
        mac: [u8; 6],
        /// [`toe_abi::admin::filter`] bits.
        flags: u32,
        /// Multicast addresses.
        multicast: Arc<[[u8; 6]]>,
    },
    /// Largest payload of a frame.
    Mtu(u32),
    /// Interrupt moderation.
    Coalesce {
        /// Longest wait in microseconds.
        usecs: u32,
        /// Completions that end it.
        completions: u32,
    },
    /// How frames are stored.
    Storage {
        /// [`toe_abi::admin::storage`] bits.
        flags: u32,
        /// Small-frame threshold.
        small_frame: u16,
    },
    /// What befalls frames in the port.
    Impairment(Impairment),
}
