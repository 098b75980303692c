// SPDX-License-Identifier: GPL-2.0

//! Receive rules (`ethtool -N`).
//!
//! C header: [`include/uapi/linux/ethtool.h`](srctree/include/uapi/linux/ethtool.h)

use crate::bindings;
use kernel::prelude::*;

/// Header fields of a frame in network byte order: values, or masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowFields {
    /// Destination MAC address.
    pub destination_mac: [u8; 6],
    /// Source MAC address.
    pub source_mac: [u8; 6],
    /// EtherType after the tag, if any.
    pub ethertype: [u8; 2],
    /// 802.1Q tag control information. The mask 0xffff matches tagged frames only.
    pub vlan_tci: [u8; 2],
    /// IP version.
    pub version: u8,
    /// Source IP address; an IPv4 address is in the first four bytes.
    pub source: [u8; 16],
    /// Destination IP address, likewise.
    pub destination: [u8; 16],
    /// Transport protocol.
    pub protocol: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Source port.
    pub source_port: [u8; 2],
    /// Destination port.
    pub destination_port: [u8; 2],
}

/// The frames that a rule matches: those that equal `value` in the bits of `mask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowMatch {
    /// Values of the fields.
    pub value: FlowFields,
    /// Bits that are compared.
    pub mask: FlowFields,
}

/// What happens to a frame that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowAction {
    /// Dropped.
    Drop,
    /// Received on this queue, which exists.
    Queue(u32),
    /// Distributed by this RSS context, which exists.
    Context(u32),
}

/// A receive rule as the user specified it.
#[derive(Clone, Copy)]
pub struct FlowRule {
    pub(super) spec: bindings::ethtool_rx_flow_spec,
    pub(super) context: u32,
}

/// Offsets of the fields in the specification of a flow type.
struct Offsets {
    /// Length of an address.
    address: usize,
    /// Source port, followed by the destination port.
    ports: usize,
    tos: usize,
    /// Transport protocol, unless the flow type implies it.
    protocol: Option<usize>,
}

impl Offsets {
    // struct ethtool_tcpip4_spec, which UDP uses, too.
    const TCP4: Self = Self {
        address: 4,
        ports: 8,
        tos: 12,
        protocol: None,
    };
    // struct ethtool_tcpip6_spec, likewise.
    const TCP6: Self = Self {
        address: 16,
        ports: 32,
        tos: 36,
        protocol: None,
    };
    // struct ethtool_usrip4_spec: the ports are the first bytes of the transport header.
    const IP4: Self = Self {
        protocol: Some(14),
        ..Self::TCP4
    };
    // struct ethtool_usrip6_spec.
    const IP6: Self = Self {
        protocol: Some(37),
        ..Self::TCP6
    };
}

impl FlowRule {
    const TCP: u8 = 6;
    const UDP: u8 = 17;

    /// Location of the rule. Of several rules that match a frame, the one with the lowest applies.
    pub fn location(&self) -> u32 {
        self.spec.location
    }

    /// The same rule at `location`.
    pub(super) fn at(mut self, location: u32) -> Self {
        self.spec.location = location;
        self
    }

    /// The action. The core has checked that the RSS context exists.
    ///
    /// # Errors
    ///
    /// [`EOPNOTSUPP`] for any that is not a [`FlowAction`].
    pub fn action(&self) -> Result<FlowAction> {
        let cookie = self.spec.ring_cookie;
        if cookie == bindings::RX_CLS_FLOW_DISC as u64 {
            return Ok(FlowAction::Drop);
        }
        if self.spec.flow_type & bindings::FLOW_RSS != 0 && self.context != 0 {
            // The core refuses a queue that is relative to the context's.
            return Ok(FlowAction::Context(self.context));
        }
        match u32::try_from(cookie) {
            Ok(queue) => Ok(FlowAction::Queue(queue)),
            // A virtual function, or Wake-on-LAN.
            Err(_) => Err(EOPNOTSUPP),
        }
    }

    /// The frames that the rule matches.
    ///
    /// # Errors
    ///
    /// [`EOPNOTSUPP`] when the rule compares something that is not in [`FlowFields`].
    pub fn frames(&self) -> Result<FlowMatch> {
        // SAFETY: All variants of the unions are plain bytes, and this variant covers all of them.
        let (value, mask) = unsafe { (&self.spec.h_u.hdata, &self.spec.m_u.hdata) };
        let mut frames = FlowMatch {
            value: FlowFields::default(),
            mask: FlowFields::default(),
        };
        let flags = bindings::FLOW_EXT | bindings::FLOW_MAC_EXT | bindings::FLOW_RSS;
        match self.spec.flow_type & !flags {
            bindings::TCP_V4_FLOW => frames.ip(value, mask, &Offsets::TCP4, Some(Self::TCP)),
            bindings::UDP_V4_FLOW => frames.ip(value, mask, &Offsets::TCP4, Some(Self::UDP)),
            bindings::TCP_V6_FLOW => frames.ip(value, mask, &Offsets::TCP6, Some(Self::TCP)),
            bindings::UDP_V6_FLOW => frames.ip(value, mask, &Offsets::TCP6, Some(Self::UDP)),
            bindings::IPV4_USER_FLOW => frames.ip(value, mask, &Offsets::IP4, None),
            bindings::IPV6_USER_FLOW => frames.ip(value, mask, &Offsets::IP6, None),
            bindings::ETHER_FLOW => {
                // struct ethhdr.
                for (fields, bytes) in [(&mut frames.value, value), (&mut frames.mask, mask)] {
                    fields.destination_mac.copy_from_slice(&bytes[..6]);
                    fields.source_mac.copy_from_slice(&bytes[6..12]);
                    fields.ethertype.copy_from_slice(&bytes[12..14]);
                }
            }
            _ => return Err(EOPNOTSUPP),
        }
        let (value, mask) = (&self.spec.h_ext, &self.spec.m_ext);
        if self.spec.flow_type & bindings::FLOW_EXT != 0 {
            // Only 802.1Q tags, and no user-defined data.
            let vlan = mask.vlan_etype == 0 || value.vlan_etype == 0x8100_u16.to_be();
            if !vlan || mask.data != [0; 2] {
                return Err(EOPNOTSUPP);
            }
            frames.value.vlan_tci = value.vlan_tci.to_ne_bytes();
            frames.mask.vlan_tci = mask.vlan_tci.to_ne_bytes();
        }
        if self.spec.flow_type & bindings::FLOW_MAC_EXT != 0 {
            frames.value.destination_mac = value.h_dest;
            frames.mask.destination_mac = mask.h_dest;
        }
        Ok(frames)
    }
}

impl FlowMatch {
    /// Sets the fields of IP and transport headers. `protocol` is the one that the flow type implies.
    fn ip(&mut self, value: &[u8; 52], mask: &[u8; 52], offsets: &Offsets, protocol: Option<u8>) {
        let length = offsets.address;
        for (fields, bytes) in [(&mut self.value, value), (&mut self.mask, mask)] {
            fields.source[..length].copy_from_slice(&bytes[..length]);
            fields.destination[..length].copy_from_slice(&bytes[length..2 * length]);
            let ports = &bytes[offsets.ports..offsets.ports + 4];
            fields.source_port.copy_from_slice(&ports[..2]);
            fields.destination_port.copy_from_slice(&ports[2..]);
            fields.tos = bytes[offsets.tos];
            if let Some(at) = offsets.protocol {
                fields.protocol = bytes[at];
            }
        }
        self.value.version = if length == 4 { 4 } else { 6 };
        self.mask.version = 0xff;
        if let Some(protocol) = protocol {
            self.value.protocol = protocol;
            self.mask.protocol = 0xff;
        }
    }
}

#[kernel::macros::kunit_tests(toe_net_flow)]
mod tests {
    use super::*;

    /// A rule with `value` and `mask` at these offsets of its specification.
    fn rule(flow_type: u32, parts: &[(usize, &[u8], &[u8])]) -> FlowRule {
        let mut spec = bindings::ethtool_rx_flow_spec {
            flow_type,
            ..Default::default()
        };
        for (at, value, mask) in parts {
            // SAFETY: All variants of the unions are plain bytes.
            let (values, masks) = unsafe { (&mut spec.h_u.hdata, &mut spec.m_u.hdata) };
            values[*at..at + value.len()].copy_from_slice(value);
            masks[*at..at + mask.len()].copy_from_slice(mask);
        }
        FlowRule { spec, context: 0 }
    }

    #[test]
    fn fields_are_at_the_offsets_of_their_flow_type() -> Result {
        const ALL: &[u8] = &[0xff; 16];
        let tcp4 = rule(
            bindings::TCP_V4_FLOW,
            &[(4, &[192, 0, 2, 1], &ALL[..4]), (10, &[0, 80], &ALL[..2])],
        );
        let frames = tcp4.frames()?;
        assert_eq!(frames.value.destination[..5], [192, 0, 2, 1, 0]);
        assert_eq!(frames.mask.destination[..5], [255, 255, 255, 255, 0]);
        assert_eq!(frames.value.destination_port, [0, 80]);
        assert_eq!((frames.value.protocol, frames.value.version), (6, 4));
        assert_eq!(frames.mask.source, [0; 16]);

        let udp6 = rule(
            bindings::UDP_V6_FLOW,
            &[
                (0, &[0x20; 16], ALL),
                (32, &[0, 53], &ALL[..2]),
                (36, &[8], &[0xfc]),
            ],
        );
        let frames = udp6.frames()?;
        assert_eq!(
            (frames.value.source, frames.mask.source),
            ([0x20; 16], [0xff; 16])
        );
        assert_eq!(frames.value.source_port, [0, 53]);
        assert_eq!((frames.value.tos, frames.mask.tos), (8, 0xfc));
        assert_eq!((frames.value.protocol, frames.value.version), (17, 6));

        let ip4 = rule(bindings::IPV4_USER_FLOW, &[(14, &[1], &[0xff])]);
        let frames = ip4.frames()?;
        assert_eq!((frames.value.protocol, frames.mask.protocol), (1, 0xff));
        let ether = rule(bindings::ETHER_FLOW, &[(12, &[0x88, 0xb5], &ALL[..2])]);
        assert_eq!(ether.frames()?.value.ethertype, [0x88, 0xb5]);
        Ok(())
    }

    #[test]
    fn unsupported_matches_are_refused() {
        let refused = |rule: FlowRule| assert_eq!(rule.frames(), Err(EOPNOTSUPP));
        refused(rule(bindings::SCTP_V4_FLOW, &[]));
        let mut data = rule(bindings::TCP_V4_FLOW | bindings::FLOW_EXT, &[]);
        data.spec.m_ext.data[1] = 1;
        refused(data);
        let mut provider = rule(bindings::TCP_V4_FLOW | bindings::FLOW_EXT, &[]);
        provider.spec.h_ext.vlan_etype = 0x88a8_u16.to_be();
        provider.spec.m_ext.vlan_etype = 0xffff;
        refused(provider);
    }

    #[test]
    fn an_action_is_one_of_three() {
        let mut rule = rule(bindings::TCP_V4_FLOW, &[]);
        rule.spec.ring_cookie = 3;
        assert_eq!(rule.action(), Ok(FlowAction::Queue(3)));
        rule.spec.ring_cookie = u64::MAX;
        assert_eq!(rule.action(), Ok(FlowAction::Drop));
        // A virtual function.
        rule.spec.ring_cookie = 1 << 32 | 3;
        assert_eq!(rule.action(), Err(EOPNOTSUPP));
        rule.spec.flow_type |= bindings::FLOW_RSS;
        rule.spec.ring_cookie = 0;
        rule.context = 5;
        assert_eq!(rule.action(), Ok(FlowAction::Context(5)));
    }
}
