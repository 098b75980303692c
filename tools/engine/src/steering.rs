// SPDX-License-Identifier: GPL-2.0

//! Which processor a frame goes to (R4.2): by a rule, else by the hash.

use alloc::boxed::Box;
use alloc::vec::Vec;

use toe_abi::Layout;
use toe_abi::admin::Status;
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

/// Where a frame goes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its processor, dropped or not.
    pub processor: u8,
    /// Its hash, and what that was computed over.
    pub hash: (u32, HashType),
    /// A rule drops it.
    pub dropped: bool,
    /// A rule says that its flow is of this network.
    pub network: Option<Network>,
}

/// Rules and hash contexts of a function.
///
/// # Invariants
///
/// Rules name processors that the function has, and contexts that there are.
pub struct Steering {
    processors: u8,
    /// Context 0.
    ordinary: Dispatch,
    /// The others, from context 1 on.
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

    /// Sets the hash of `context`, which is created when there is none.
    ///
    /// # Errors
    ///
    /// `Invalid` for a context or a processor that is out of range.
    pub fn set_context(
        &mut self,
        context: u32,
        key: [u8; KEY_SIZE],
        indirection: Indirection,
        fields: Fields,
    ) -> Result<(), Status> {
        let there = |&processor: &u8| processor < self.processors;
        if !indirection.0.iter().all(there) {
            return Err(Status::Invalid);
        }
        let dispatch = match context {
            0 => &mut self.ordinary,
            _ => {
                let slot = self.slot(context).ok_or(Status::Invalid)?;
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
    /// `Invalid` when there is none, or it is context 0; `State` when a rule names it.
    pub fn remove_context(&mut self, context: u32) -> Result<(), Status> {
        let named =
            |rule: &Rule| matches!(rule.action, Action::Context(c) if u32::from(c) == context);
        if self.rules.all().iter().any(named) {
            return Err(Status::State);
        }
        let slot = self.slot(context).ok_or(Status::Invalid)?;
        slot.take().map(drop).ok_or(Status::Invalid)
    }

    fn slot(&mut self, context: u32) -> Option<&mut Option<Box<Dispatch>>> {
        let index = (context as usize).checked_sub(1)?;
        self.contexts.get_mut(index)
    }

    /// Context `context`.
    fn context(&self, context: u8) -> Option<&Dispatch> {
        match usize::from(context).checked_sub(1) {
            None => Some(&self.ordinary),
            Some(index) => self.contexts.get(index)?.as_deref(),
        }
    }

    /// Sets a rule in place of the one at its location, if there is one.
    ///
    /// # Errors
    ///
    /// `Invalid` for a location, a processor or a context that is not there, or a tag of too many bits.
    pub fn set_rule(&mut self, rule: Rule) -> Result<(), Status> {
        let there = match rule.action {
            Action::Drop => true,
            Action::Processor(processor) => processor < self.processors,
            Action::Context(context) => self.context(context).is_some(),
        };
        if !there || usize::from(rule.location) >= RULES || rule.tag >> TAG_BITS != 0 {
            return Err(Status::Invalid);
        }
        self.rules.set(rule);
        Ok(())
    }

    /// Removes the rule at `location`, if there is one.
    pub fn remove_rule(&mut self, location: u16) {
        self.rules.remove(location);
    }

    /// Where a received frame goes.
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

    /// Where a frame goes that a rule is for.
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

    /// The processor for all frames that a connection of the host with address `mac` receives; `None`
    /// when a rule drops them, or is for some of them only.
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

/// What of a frame rules are about.
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
