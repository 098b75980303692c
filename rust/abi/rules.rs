// SPDX-License-Identifier: GPL-2.0

//! Receive rules (`ethtool -N`): which frames are dropped, or go to a certain processor, or are spread
//! by a hash and table of their own, before the ordinary hash spreads the others.
//!
//! A rule has a location, and of those that a frame matches the one with the lowest counts. It is part
//! of the contract, like the hash, because both sides apply it: the adapter to every frame, the host to
//! find the processor that a connection belongs to.

use super::layout::{
    layout,
    wire_enum, //
};

/// Locations of rules.
pub const RULES: usize = 256;
/// Bits of a tag.
pub const TAG_BITS: u32 = 24;
/// Hash contexts, the ordinary one, which is number 0, among them.
pub const CONTEXTS: usize = 64;

/// Bits of [`Headers::present`].
pub mod present {
    /// An 802.1Q tag.
    pub const TAG: u8 = 1 << 0;
    /// Ports: not in a fragment that does not begin its datagram.
    pub const PORTS: u8 = 1 << 1;
}

layout! {
    /// What of a frame rules are about, all in wire order; what the frame does not have is zero.
    pub struct Headers: 56 {
        /// Destination MAC address.
        0 => destination_mac: [u8; 6],
        /// Source MAC address.
        6 => source_mac: [u8; 6],
        /// EtherType behind the tags.
        12 => ethertype: [u8; 2],
        /// Tag control information of the outermost 802.1Q tag.
        14 => vlan_tci: [u8; 2],
        /// Source IP address, an IPv4 address in the first four bytes.
        16 => source: [u8; 16],
        /// Destination IP address, likewise.
        32 => destination: [u8; 16],
        /// Source port, of TCP and UDP.
        48 => source_port: [u8; 2],
        /// Destination port, likewise.
        50 => destination_port: [u8; 2],
        /// IP version: 4, 6, or 0 for what is not IP or malformed.
        52 => version: u8,
        /// Transport protocol.
        53 => protocol: u8,
        /// Type of service or traffic class.
        54 => tos: u8,
        /// [`present`] bits.
        55 => present: u8,
    }
}

layout! {
    /// The frames that a rule is for, the operand of `SetRule`: those whose [`Headers`] are `value` in
    /// all the bits that `mask` has.
    pub struct Pattern: 112 {
        /// [`Headers`].
        0 => value: [u8; 56],
        /// [`Headers`], of bits that count.
        56 => mask: [u8; 56],
    }
}

wire_enum! {
    /// What becomes of a frame that a rule is for, see [`Action`].
    pub enum ActionKind: u16 {
        /// There is no such rule any more.
        Remove = 0,
        /// It is dropped.
        Drop = 1,
        /// It goes to a processor: `target`.
        Processor = 2,
        /// It is spread by the hash and table of a context: `target`.
        Context = 3,
    }
}

/// What becomes of a frame that a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is dropped.
    Drop,
    /// It goes to this processor.
    Processor(u8),
    /// It is spread by the hash and table of this context.
    Context(u8),
}

impl Action {
    /// As in [`SetRule`](super::admin::SetRule); `None` for a removal, and for values that are out of
    /// range.
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

    /// As in [`SetRule`](super::admin::SetRule).
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

/// [`Headers`] as they are compared.
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

    /// The bits that `mask` has.
    #[inline]
    pub fn masked(&self, mask: &Self) -> Self {
        let mut words = *self;
        for (word, mask) in words.0.iter_mut().zip(&mask.0) {
            *word &= mask;
        }
        words
    }
}

/// What differs between frames of one connection, or is not known before they come.
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
/// `value` has no bit that `mask` does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its location, less than [`RULES`].
    pub location: u16,
    /// What becomes of frames that it is for.
    pub action: Action,
    /// The virtual network that their flows are of, 0 for none: see
    /// [`SetRule::tag`](super::admin::SetRule::tag).
    pub tag: u32,
    value: Words,
    mask: Words,
}

impl Rule {
    /// A rule for the frames of `pattern`.
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

    /// The same with a tag, of [`TAG_BITS`].
    pub fn tagged(self, tag: u32) -> Self {
        Self { tag, ..self }
    }

    /// The bits that count.
    #[inline]
    pub fn mask(&self) -> &Words {
        &self.mask
    }

    /// What they are.
    #[inline]
    pub fn value(&self) -> &Words {
        &self.value
    }

    /// Whether it is for a frame with these headers.
    #[inline]
    pub fn matches(&self, headers: &Words) -> bool {
        headers.masked(&self.mask) == self.value
    }

    /// What becomes of all frames that a connection receives, by `rules` in the order of their
    /// locations; `None` when none is for them. `headers` are theirs, as far as they do not vary.
    ///
    /// A rule that may be for some of the frames only, or sets a tag, is taken as one that drops them:
    /// such a connection is none that an adapter can carry.
    pub fn of_connection(rules: &[Self], headers: &Headers) -> Option<Action> {
        let headers = Words::new(&super::Layout::to_bytes(headers));
        let varies = Words::new(&super::Layout::to_bytes(&VARIES));
        rules.iter().find_map(|rule| {
            let some_only = rule.mask.masked(&varies) != Words::default();
            let mut steady = *rule;
            for (mask, varies) in steady.mask.0.iter_mut().zip(&varies.0) {
                *mask &= !varies;
            }
            steady.value = steady.value.masked(&steady.mask);
            let action = match some_only || rule.tag != 0 {
                true => Action::Drop,
                false => rule.action,
            };
            steady.matches(&headers).then_some(action)
        })
    }
}

impl Headers {
    /// Those of untagged TCP frames that a host with this MAC address receives; addresses are 4 or 16
    /// bytes long.
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
