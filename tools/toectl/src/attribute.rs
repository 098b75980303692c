// SPDX-License-Identifier: GPL-2.0

//! Netlink attributes of the family, and its messages.

use anyhow::Result;
use anyhow::ensure;
use netlink_packet_core::DecodeError;
use netlink_packet_core::Emitable;
use netlink_packet_core::Nla;
use netlink_packet_core::NlasIterator;
use netlink_packet_core::ParseableParametrized;
use netlink_packet_generic::GenlFamily;
use netlink_packet_generic::GenlHeader;
use std::net::IpAddr;

/// An attribute with its value in wire format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Attribute type without flags.
    pub kind: u16,
    value: Vec<u8>,
}

impl Attribute {
    /// A flag.
    pub fn flag(kind: u16) -> Self {
        Self {
            kind,
            value: Vec::new(),
        }
    }

    /// A `u16` attribute, in host byte order.
    pub fn u16(kind: u16, value: u16) -> Self {
        Self {
            kind,
            value: value.to_ne_bytes().into(),
        }
    }

    /// A `u32` attribute, in host byte order.
    pub fn u32(kind: u16, value: u32) -> Self {
        Self {
            kind,
            value: value.to_ne_bytes().into(),
        }
    }

    /// A `uint` attribute: 4 bytes if the value fits, else 8.
    pub fn uint(kind: u16, value: u64) -> Self {
        let value = match u32::try_from(value) {
            Ok(small) => small.to_ne_bytes().into(),
            Err(_) => value.to_ne_bytes().into(),
        };
        Self { kind, value }
    }

    /// An address attribute, 4 or 16 bytes.
    pub fn address(kind: u16, address: IpAddr) -> Self {
        let value = match address {
            IpAddr::V4(v4) => v4.octets().into(),
            IpAddr::V6(v6) => v6.octets().into(),
        };
        Self { kind, value }
    }

    /// The value as an unsigned integer of any width.
    pub fn as_uint(&self) -> Result<u64> {
        Ok(match self.value[..] {
            [a] => a.into(),
            [a, b] => u16::from_ne_bytes([a, b]).into(),
            [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]).into(),
            [a, b, c, d, e, f, g, h] => u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            _ => anyhow::bail!("attribute {} is not a number", self.kind),
        })
    }

    /// The value as an unsigned integer of at most 32 bits.
    pub fn as_u32(&self) -> Result<u32> {
        Ok(u32::try_from(self.as_uint()?)?)
    }

    /// The value as an IP address.
    pub fn as_address(&self) -> Result<IpAddr> {
        if let Ok(v4) = <[u8; 4]>::try_from(&self.value[..]) {
            return Ok(v4.into());
        }
        let v6 = <[u8; 16]>::try_from(&self.value[..]);
        ensure!(v6.is_ok(), "attribute {} is not an address", self.kind);
        Ok(v6.unwrap_or_default().into())
    }

    /// The value as a string, up to its NUL.
    pub fn as_string(&self) -> String {
        let end = self.value.iter().position(|&byte| byte == 0);
        String::from_utf8_lossy(&self.value[..end.unwrap_or(self.value.len())]).into_owned()
    }

    /// The attributes nested in this one.
    pub fn nested(&self) -> Result<Vec<Self>> {
        Ok(parse(&self.value)?)
    }
}

/// Decodes a sequence of attributes.
pub fn parse(bytes: &[u8]) -> Result<Vec<Attribute>, DecodeError> {
    NlasIterator::new(bytes)
        .map(|nla| {
            let nla = nla?;
            Ok(Attribute {
                kind: nla.kind(),
                value: nla.value().into(),
            })
        })
        .collect()
}

impl Nla for Attribute {
    fn value_len(&self) -> usize {
        self.value.len()
    }

    fn kind(&self) -> u16 {
        self.kind
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.value);
    }
}

/// A message of the family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `TOE_CMD_..`.
    pub command: u8,
    /// Attributes.
    pub attributes: Vec<Attribute>,
}

impl GenlFamily for Message {
    fn family_name() -> &'static str {
        "toe"
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Message {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Message {
    fn parse_with_param(bytes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        Ok(Self {
            command: header.cmd,
            attributes: parse(bytes)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_survive_the_wire() {
        let message = Message {
            command: 3,
            attributes: vec![
                Attribute::flag(1),
                Attribute::u16(2, 0xabcd),
                Attribute::uint(3, 1 << 40),
                Attribute::uint(4, 7),
                Attribute::address(5, "2001:db8::1".parse().unwrap()),
                Attribute::address(6, "192.0.2.1".parse().unwrap()),
            ],
        };
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        let header = GenlHeader { cmd: 3, version: 1 };
        let back = Message::parse_with_param(&bytes, header).unwrap();
        assert_eq!(back, message);
        assert_eq!(back.attributes[1].as_uint().unwrap(), 0xabcd);
        assert_eq!(back.attributes[2].as_uint().unwrap(), 1 << 40);
        assert_eq!(back.attributes[3].as_u32().unwrap(), 7);
        assert_eq!(
            back.attributes[4].as_address().unwrap().to_string(),
            "2001:db8::1"
        );
        assert_eq!(
            back.attributes[5].as_address().unwrap().to_string(),
            "192.0.2.1"
        );
        assert!(back.attributes[1].as_address().is_err());
        assert!(Message::parse_with_param(&bytes[..5], header).is_err());
    }
}
