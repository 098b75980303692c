// SPDX-License-Identifier: GPL-2.0

//! Selects the processor of a received frame: by a steering rule, else by the RSS hash.

use alloc::boxed::Box;
use alloc::vec::Vec;

use toe_abi::Layout;
use toe_abi::admin::CommandStatus;
use toe_abi::completion::HashType;
use toe_abi::rss::Fields;
use toe_abi::rss::Indirection;
use toe_abi::rss::KEY_SIZE;
use toe_abi::rules::Action;
use toe_abi::rules::CONTEXTS;
use toe_abi::rules::Headers;
use toe_abi::rules::RULES;
use toe_abi::rules::Rule;
use toe_abi::rules::TAG_BITS;
use toe_abi::rules::Words;
use toe_abi::rules::present;

use crate::rss::Dispatch;
use crate::rules::Rules;
use crate::tuple::Network;
use crate::tuple::Tuple;
use crate::wire::ethernet;
use crate::wire::packet::Class;
use crate::wire::packet::Packet;

/// Steering decision for a frame.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Processor of the frame, also if it is dropped.
    pub processor: u8,
    /// RSS hash and the type of its input.
    pub hash: (u32, HashType),
    /// A rule drops the frame.
    pub dropped: bool,
    /// Network assigned to the flow by a rule.
    pub network: Option<Network>,
}

/// Steering rules and RSS contexts of a function.
///
/// # Invariants
///
/// Rules name only existing processors and contexts.
pub struct Steering {
    processors: u8,
    /// Context 0.
    ordinary: Dispatch,
    /// Contexts 1 and up.
    contexts: Vec<Option<Box<Dispatch>>>,
    rules: Rules,
}

impl Steering {
    /// No rules; the hash spreads evenly over `processors`.
    pub fn new(processors: u8) -> Self {
        let mut contexts = Vec::new();
        contexts.resize_with(CONTEXTS - 1, || None);
        Self {
            processors,
            ordinary: Dispatch::new(processors),
            contexts,
            rules: Rules::default(),
        }
    }

    /// Configures RSS context `context`, creating it if needed.
    ///
    /// # Errors
    ///
    /// `Invalid` if the context or a processor is out of range.
    pub fn set_context(
        &mut self,
        context: u32,
        key: [u8; KEY_SIZE],
        indirection: Indirection,
        fields: Fields,
    ) -> Result<(), CommandStatus> {
        let there = |&processor: &u8| processor < self.processors;
        if !indirection.0.iter().all(there) {
            return Err(CommandStatus::Invalid);
        }
        let dispatch = match context {
            0 => &mut self.ordinary,
            _ => {
                let slot = self.slot(context).ok_or(CommandStatus::Invalid)?;
                slot.get_or_insert_with(|| Box::new(Dispatch::new(1)))
            }
        };
        dispatch.set(key, indirection, fields);
        Ok(())
    }

    /// Removes `context`.
    ///
    /// # Errors
    ///
    /// `Invalid` if it does not exist or is context 0, `State` if a rule refers to it.
    pub fn remove_context(&mut self, context: u32) -> Result<(), CommandStatus> {
        let named =
            |rule: &Rule| matches!(rule.action, Action::Context(c) if u32::from(c) == context);
        if self.rules.all().iter().any(named) {
            return Err(CommandStatus::State);
        }
        let slot = self.slot(context).ok_or(CommandStatus::Invalid)?;
        slot.take().map(drop).ok_or(CommandStatus::Invalid)
    }

    fn slot(&mut self, context: u32) -> Option<&mut Option<Box<Dispatch>>> {
        let index = (context as usize).checked_sub(1)?;
        self.contexts.get_mut(index)
    }

    /// Looks up context `context`.
    fn context(&self, context: u8) -> Option<&Dispatch> {
        match usize::from(context).checked_sub(1) {
            None => Some(&self.ordinary),
            Some(index) => self.contexts.get(index)?.as_deref(),
        }
    }

    /// Inserts a rule. Replaces the rule at the same location, if any.
    ///
    /// # Errors
    ///
    /// `Invalid` if location, processor or context does not exist, or the tag exceeds `TAG_BITS`.
    pub fn set_rule(&mut self, rule: Rule) -> Result<(), CommandStatus> {
        let there = match rule.action {
            Action::Drop => true,
            Action::Processor(processor) => processor < self.processors,
            Action::Context(context) => self.context(context).is_some(),
        };
        if !there || usize::from(rule.location) >= RULES || rule.tag >> TAG_BITS != 0 {
            return Err(CommandStatus::Invalid);
        }
        self.rules.set(rule);
        Ok(())
    }

    /// Removes the rule at `location`, if any.
    pub fn remove_rule(&mut self, location: u16) {
        self.rules.remove(location);
    }

    /// Steers a received frame.
    #[inline]
    pub fn of_packet(&self, packet: &Packet, frame: &[u8]) -> Target {
        if !self.rules.is_empty() {
            if let Some(rule) = self.rules.find(&headers(packet, frame)) {
                return self.ruled(rule, packet, frame);
            }
        }
        let hash = self.ordinary.of_packet(packet, frame);
        Target {
            processor: self.ordinary.processor(hash.0),
            hash,
            dropped: false,
            network: None,
        }
    }

    /// Steers a frame that matches `rule`.
    fn ruled(&self, rule: &Rule, packet: &Packet, frame: &[u8]) -> Target {
        let dispatch = match rule.action {
            Action::Context(context) => self.context(context).unwrap_or(&self.ordinary),
            Action::Drop | Action::Processor(_) => &self.ordinary,
        };
        let hash = dispatch.of_packet(packet, frame);
        Target {
            processor: match rule.action {
                Action::Processor(processor) => processor,
                Action::Drop | Action::Context(_) => dispatch.processor(hash.0),
            },
            hash,
            dropped: rule.action == Action::Drop,
            network: (rule.tag != 0).then_some(Network::tag(rule.tag)),
        }
    }

    /// Processor for all frames that a connection receives, with `mac` as the host's address.
    /// `None` if a rule drops them, or matches only some of them.
    pub fn of_tuple(&self, tuple: &Tuple, mac: [u8; 6]) -> Option<u8> {
        let (local, remote) = tuple.addresses();
        let headers = Headers::of_tcp(mac, remote, local, tuple.remote_port, tuple.local_port);
        match Rule::of_connection(self.rules.all(), &headers) {
            None => Some(self.ordinary.of_tuple(tuple)),
            Some(Action::Drop) => None,
            Some(Action::Processor(processor)) => Some(processor),
            Some(Action::Context(context)) => {
                let dispatch = self.context(context)?;
                Some(dispatch.of_tuple(tuple))
            }
        }
    }
}

/// Header fields of a frame that rules match on.
fn headers(packet: &Packet, frame: &[u8]) -> Words {
    let ethernet = &frame[..ethernet::HEADER.min(frame.len())];
    let mut headers = Headers::default();
    if let Some((destination, rest)) = ethernet.split_first_chunk() {
        headers.destination_mac = *destination;
        headers.source_mac = rest.first_chunk().copied().unwrap_or_default();
    }
    let type_at = usize::from(packet.l3).saturating_sub(2);
    headers.ethertype = match frame.get(type_at..) {
        Some(bytes) => bytes.first_chunk().copied().unwrap_or_default(),
        None => [0; 2],
    };
    if let Some(tci) = packet.vlan {
        headers.vlan_tci = tci.to_be_bytes();
        headers.present |= present::TAG;
    }
    if packet.version != 0 && !matches!(packet.class, Class::Malformed(_)) {
        let (source, destination) = packet.addresses(frame);
        headers.set_addresses(source, destination);
        headers.version = packet.version;
        headers.protocol = packet.protocol;
        headers.tos = packet.tos;
        if let Some((source, destination)) = packet.ports(frame) {
            headers.source_port = source.to_be_bytes();
            headers.destination_port = destination.to_be_bytes();
            headers.present |= present::PORTS;
        }
    }
    Words::new(&headers.to_bytes())
}
