// SPDX-License-Identifier: GPL-2.0

//! Receive rules (`ethtool -N`): they drop frames, direct them to a processor, or distribute them by
//! the hash and indirection table of a context. Frames without a matching rule use context 0.
//!
//! Each rule has a location; of several matching rules the one with the lowest location applies. Both
//! sides evaluate rules: the adapter for every received frame, the host to find the processor of a
//! connection.

use super::{
    layout::layout,
    table::{
        constants,
        flags,
        wire_enum, //
    }, //
};

constants! {
    /// Number of rule locations.
    pub const RULES: usize = 256;
    /// Number of bits of a tag.
    pub const TAG_BITS: u32 = 24;
    /// Number of hash contexts, including context 0.
    pub const CONTEXTS: usize = 64;
}

flags! {
    /// Bits of [`Headers::present`].
    pub mod present: u8 {
        /// The frame has an 802.1Q tag.
        TAG = 0,
        /// The frame has TCP or UDP ports. Clear for a fragment other than the first.
        PORTS = 1,
    }
}

layout! {
    /// Header fields that rules match, all in network byte order. A field that the frame does not
    /// have is zero.
    pub struct Headers: 56 {
        /// Destination MAC address.
        0 => destination_mac: [u8; 6],
        /// Source MAC address.
        6 => source_mac: [u8; 6],
        /// EtherType behind all tags.
        12 => ethertype: [u8; 2],
        /// Tag control information of the outermost 802.1Q tag.
        14 => vlan_tci: [u8; 2],
        /// Source IP address, an IPv4 address in the first four bytes.
        16 => source: [u8; 16],
        /// Destination IP address, in the same form.
        32 => destination: [u8; 16],
        /// Source port of TCP or UDP.
        48 => source_port: [u8; 2],
        /// Destination port of TCP or UDP.
        50 => destination_port: [u8; 2],
        /// IP version: 4, 6, or 0 for a frame that is not IP or is malformed.
        52 => version: u8,
        /// Transport protocol number.
        53 => protocol: u8,
        /// Type of service or traffic class.
        54 => tos: u8,
        /// [`present`] bits.
        55 => present: u8,
    }
}

layout! {
    /// Match pattern of a rule, the operand of `SetRule`. A frame matches when its [`Headers`] equal
    /// `value` in all bits that are set in `mask`.
    pub struct Pattern: 112 {
        /// Values, as [`Headers`].
        0 => value: [u8; 56],
        /// Bits that are compared, as [`Headers`].
        56 => mask: [u8; 56],
    }
}

wire_enum! {
    /// What a rule does with matching frames.
    pub enum ActionKind: u16 {
        /// Removes the rule.
        Remove = 0,
        /// Drops the frame.
        Drop = 1,
        /// Directs the frame to processor `target`.
        Processor = 2,
        /// Distributes frames by the hash and indirection table of context `target`.
        Context = 3,
    }
}

/// What a rule does with matching frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Drops the frame.
    Drop,
    /// Directs the frame to this processor.
    Processor(u8),
    /// Distributes frames by the hash and indirection table of this context.
    Context(u8),
}

impl Action {
    /// The action of a [`SetRule`](super::admin::SetRule); `None` for a removal and for a target out
    /// of range.
    pub fn new(kind: ActionKind, target: u32) -> Option<Self> {
        let target = u8::try_from(target).ok()?;
        match kind {
            ActionKind::Remove => None,
            ActionKind::Drop => Some(Self::Drop),
            ActionKind::Processor => Some(Self::Processor(target)),
            ActionKind::Context => {
                (usize::from(target) < CONTEXTS).then_some(Self::Context(target))
            }
        }
    }

    /// Kind and target, as in [`SetRule`](super::admin::SetRule).
    pub fn raw(self) -> (ActionKind, u32) {
        match self {
            Self::Drop => (ActionKind::Drop, 0),
            Self::Processor(target) => (ActionKind::Processor, target.into()),
            Self::Context(target) => (ActionKind::Context, target.into()),
        }
    }
}

/// Length of [`Headers`].
const HEADERS: usize = 56;

/// [`Headers`] as words, for comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Words([u64; HEADERS / 8]);

impl Words {
    /// From the bytes of [`Headers`].
    #[inline]
    pub fn new(bytes: &[u8; HEADERS]) -> Self {
        let mut words = Self::default();
        for (word, bytes) in words.0.iter_mut().zip(bytes.chunks_exact(8)) {
            let mut raw = [0; 8];
            raw.copy_from_slice(bytes);
            *word = u64::from_ne_bytes(raw);
        }
        words
    }

    /// The bits that are set in `mask`.
    #[inline]
    pub fn masked(&self, mask: &Self) -> Self {
        let mut words = *self;
        for (word, mask) in words.0.iter_mut().zip(&mask.0) {
            *word &= mask;
        }
        words
    }
}

/// Fields that differ between frames of one connection, or that are unknown before a frame arrives.
const VARIES: Headers = Headers {
    destination_mac: [0; 6],
    source_mac: [0xff; 6],
    ethertype: [0; 2],
    vlan_tci: [0xff; 2],
    source: [0; 16],
    destination: [0; 16],
    source_port: [0; 2],
    destination_port: [0; 2],
    version: 0,
    protocol: 0,
    tos: 0xff,
    present: 0,
};

/// A rule.
///
/// # Invariants
///
/// All bits of `value` are set in `mask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Location, below [`RULES`].
    pub location: u16,
    /// What to do with matching frames.
    pub action: Action,
    /// Virtual network of the flows of matching frames, 0 for none
    /// ([`SetRule::tag`](super::admin::SetRule::tag)).
    pub tag: u32,
    value: Words,
    mask: Words,
}

impl Rule {
    /// A rule without a tag for frames that match `pattern`.
    pub fn new(location: u16, action: Action, pattern: &Pattern) -> Self {
        let mask = Words::new(&pattern.mask);
        Self {
            location,
            action,
            tag: 0,
            value: Words::new(&pattern.value).masked(&mask),
            mask,
        }
    }

    /// The rule with a tag of [`TAG_BITS`] bits.
    pub fn tagged(self, tag: u32) -> Self {
        Self { tag, ..self }
    }

    /// The bits that are compared.
    #[inline]
    pub fn mask(&self) -> &Words {
        &self.mask
    }

    /// Their values.
    #[inline]
    pub fn value(&self) -> &Words {
        &self.value
    }

    /// Whether a frame with these headers matches.
    #[inline]
    pub fn matches(&self, headers: &Words) -> bool {
        headers.masked(&self.mask) == self.value
    }

    /// The action for the frames that a connection receives, by `rules` in the order of their
    /// locations; `None` when no rule matches. `headers` has the fields that all its frames share.
    ///
    /// The result is `Drop` for a rule with a tag and for a rule that compares fields that differ
    /// between frames of a connection: the adapter cannot carry such a connection.
    pub fn of_connection(rules: &[Self], headers: &Headers) -> Option<Action> {
        let headers = Words::new(&super::Layout::to_bytes(headers));
        let varies = Words::new(&super::Layout::to_bytes(&VARIES));
        rules.iter().find_map(|rule| {
            let partial = rule.mask.masked(&varies) != Words::default();
            let mut common = *rule;
            for (mask, varies) in common.mask.0.iter_mut().zip(&varies.0) {
                *mask &= !varies;
            }
            common.value = common.value.masked(&common.mask);
            let action = match partial || rule.tag != 0 {
                true => Action::Drop,
                false => rule.action,
            };
            common.matches(&headers).then_some(action)
        })
    }
}

impl Headers {
    /// Headers of untagged TCP frames that a host with this MAC address receives. Addresses are 4 or
    /// 16 bytes long.
    pub fn of_tcp(
        mac: [u8; 6],
        source: &[u8],
        destination: &[u8],
        source_port: u16,
        destination_port: u16,
    ) -> Self {
        const TCP: u8 = 6;
        let (version, ethertype) = match source.len() {
            4 => (4, 0x0800_u16),
            _ => (6, 0x86dd),
        };
        let mut headers = Self {
            destination_mac: mac,
            ethertype: ethertype.to_be_bytes(),
            source_port: source_port.to_be_bytes(),
            destination_port: destination_port.to_be_bytes(),
            version,
            protocol: TCP,
            present: present::PORTS,
            ..Self::default()
        };
        headers.set_addresses(source, destination);
        headers
    }

    /// Sets the IP addresses, 4 or 16 bytes each.
    #[inline]
    pub fn set_addresses(&mut self, source: &[u8], destination: &[u8]) {
        for (to, from) in self.source.iter_mut().zip(source) {
            *to = *from;
        }
        for (to, from) in self.destination.iter_mut().zip(destination) {
            *to = *from;
        }
    }
}
