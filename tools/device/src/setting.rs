// SPDX-License-Identifier: GPL-2.0

//! Settings that a driver applies to all processors, already validated as far as possible without
//! one.

use std::sync::Arc;

use toe_abi::rss;
use toe_abi::rules::Rule;

use crate::port::impaired::Impairment;

/// A setting of a processor.
#[derive(Clone)]
pub enum Setting {
    /// Hash key and indirection table of an RSS context.
    Rss {
        /// Context number.
        context: u32,
        /// Key and table.
        config: rss::Config,
        /// [`rss::Fields`].
        fields: u32,
    },
    /// Removes an RSS context.
    RemoveContext(u32),
    /// Sets a steering rule.
    Rule(Rule),
    /// Removes the rule at this location.
    RemoveRule(u16),
    /// Receive address filter.
    Filter {
        /// Own address.
        mac: [u8; 6],
        /// [`toe_abi::admin::filter`] bits.
        flags: u32,
        /// Multicast addresses.
        multicast: Arc<[[u8; 6]]>,
    },
    /// MTU in bytes.
    Mtu(u32),
    /// Interrupt coalescing.
    Coalesce {
        /// Maximum delay in microseconds.
        usecs: u32,
        /// Number of completions that ends the delay.
        completions: u32,
    },
    /// Receive storage.
    Storage {
        /// [`toe_abi::admin::storage`] bits.
        flags: u32,
        /// Small-frame threshold in bytes.
        small_frame: u16,
    },
    /// Impairment of the port.
    Impairment(Impairment),
}
