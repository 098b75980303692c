// SPDX-License-Identifier: GPL-2.0

//! The host's copy of receive steering: RSS contexts and rules.

use crate::{
    abi::{
        rss::{
            self,
            Toeplitz,
            Traffic, //
        },
        rules::{
            present,
            Action,
            Headers,
            Pattern,
            Rule,
            CONTEXTS,
            RULES, //
        },
        Layout, //
    },
    net::ethtool::{
        FlowAction,
        FlowFields,
        FlowRule, //
    }, //
};
use kernel::prelude::*;

/// An RSS context: hash key, indirection table and hashed fields.
#[derive(Clone, Copy)]
pub(super) struct Rss {
    pub(super) key: [u8; rss::KEY_SIZE],
    pub(super) table: rss::Indirection,
    pub(super) fields: rss::Fields,
}

/// The contexts and rules in force.
///
/// # Invariants
///
/// `contexts` has [`CONTEXTS`] elements, and the first is `Some`. `rules` is ordered by location.
pub(super) struct Steering {
    contexts: KVec<Option<Rss>>,
    pub(super) rules: KVec<Rule>,
}

impl Steering {
    /// Returns the steering of a function that was reset: context 0 spreads over all processors.
    pub(super) fn new(processors: u8) -> Result<Self> {
        let mut contexts = KVec::with_capacity(CONTEXTS, GFP_KERNEL)?;
        let default = Rss {
            key: rss::DEFAULT_KEY,
            table: rss::Indirection::even(processors),
            fields: rss::Fields::DEFAULT,
        };
        contexts.push(Some(default), GFP_KERNEL)?;
        while contexts.len() < CONTEXTS {
            contexts.push(None, GFP_KERNEL)?;
        }
        // INVARIANT: As just filled.
        Ok(Self {
            contexts,
            rules: KVec::new(),
        })
    }

    /// Returns the place of a context.
    pub(super) fn context_mut(&mut self, context: u32) -> Result<&mut Option<Rss>> {
        self.contexts.get_mut(context as usize).ok_or(EINVAL)
    }

    /// Returns a context.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a number out of range, `ENOENT` when there is no such context.
    pub(super) fn context(&self, context: u32) -> Result<Rss> {
        let context = self.contexts.get(context as usize).ok_or(EINVAL)?;
        context.ok_or(ENOENT)
    }

    /// Spreads context 0 evenly over `queues`.
    pub(super) fn spread(&mut self, queues: u8) {
        if let Some(Some(default)) = self.contexts.first_mut() {
            default.table = rss::Indirection::even(queues);
        }
    }

    /// Returns the processor that receives a connection's frames with these headers. `None` when a
    /// rule drops them, or may match only some of them.
    pub(super) fn processor_for(&self, headers: &Headers) -> Option<u8> {
        let context = match Rule::of_connection(&self.rules, headers) {
            None => 0,
            Some(Action::Context(context)) => context,
            Some(Action::Processor(processor)) => return Some(processor),
            Some(Action::Drop) => return None,
        };
        let rss = self.context(context.into()).ok()?;
        let (traffic, length) = match headers.version {
            4 => (Traffic::Tcp4, 4),
            _ => (Traffic::Tcp6, 16),
        };
        let hash = Toeplitz::new(rss.key).tuple(
            &headers.source[..length],
            &headers.destination[..length],
            (
                u16::from_be_bytes(headers.source_port),
                u16::from_be_bytes(headers.destination_port),
            ),
            rss.fields.of(traffic),
            rss.fields.is_symmetric(),
        );
        Some(rss.table.processor(hash))
    }
}

/// Returns `fields` in the ABI's form. `mask` says which of them are present.
fn headers(fields: &FlowFields, mask: &FlowFields) -> [u8; Headers::SIZE] {
    let mut present = 0;
    if mask.vlan_tci != [0; 2] {
        present |= present::TAG;
    }
    if (mask.source_port, mask.destination_port) != ([0; 2], [0; 2]) {
        present |= present::PORTS;
    }
    let headers = Headers {
        destination_mac: fields.destination_mac,
        source_mac: fields.source_mac,
        ethertype: fields.ethertype,
        vlan_tci: fields.vlan_tci,
        source: fields.source,
        destination: fields.destination,
        source_port: fields.source_port,
        destination_port: fields.destination_port,
        version: fields.version,
        protocol: fields.protocol,
        tos: fields.tos,
        present,
    };
    headers.to_bytes()
}

/// Returns a rule in the ABI's form.
pub(super) fn compile(rule: &FlowRule) -> Result<(Rule, Pattern)> {
    let frames = rule.frames()?;
    let pattern = Pattern {
        value: headers(&frames.value, &frames.mask),
        mask: headers(&frames.mask, &frames.mask),
    };
    let action = match rule.action()? {
        FlowAction::Drop => Action::Drop,
        FlowAction::Queue(queue) => Action::Processor(queue.try_into()?),
        FlowAction::Context(context) => Action::Context(context.try_into()?),
    };
    let location = rule.location().try_into()?;
    Ok((Rule::new(location, action, &pattern), pattern))
}

const _: () = assert!(RULES <= u16::MAX as usize);
