// SPDX-License-Identifier: GPL-2.0

//! Frame parser: classifies a frame and locates its headers.

use super::Malformed;
use super::be16;
use super::checksum;
use super::ethernet;
use super::ethernet::ethertype;
use super::ipv4;
use super::ipv6;
use super::tcp;
use super::udp;

/// Content of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Not IP.
    Other,
    /// A header is malformed.
    Malformed(Malformed),
    /// IP with a transport other than TCP or UDP.
    Ip,
    /// First fragment of a TCP or UDP datagram, ports included.
    FirstFragment,
    /// A fragment without ports.
    Fragment,
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

/// Location of the headers of a frame. Offsets count from the start of the frame.
///
/// # Invariants
///
/// `l3 <= l4 <= payload <= end`, and `end` is within the frame. The headers between these offsets
/// are complete for the classes `Ip`, `FirstFragment`, `Fragment`, `Udp` and `Tcp`. Methods must be
/// passed the frame that the packet was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Content.
    pub class: Class,
    /// IP version, 0 if not IP.
    pub version: u8,
    /// Protocol number of the transport (IANA).
    pub protocol: u8,
    /// Type of service or traffic class, ECN bits included.
    pub tos: u8,
    /// IP options or extension headers are present.
    pub ip_options: bool,
    /// Tag control information of the outermost tag if that is an 802.1Q tag.
    pub vlan: Option<u16>,
    /// Offset of the IP header.
    pub l3: u16,
    /// Offset of the transport header, or of the IP payload.
    pub l4: u16,
    /// Offset of the transport payload, or of the IP payload.
    pub payload: u16,
    /// End of the datagram. Padding follows.
    pub end: u32,
}

impl Packet {
    /// Parses `frame`.
    ///
    /// # Errors
    ///
    /// If the Ethernet header is truncated. All other defects are reported as a [`Class`].
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<Self, Malformed> {
        Self::parse_head(frame, frame.len())
    }

    /// Parses a frame of `length` bytes from its first bytes, which must contain all headers.
    /// Methods that read payload must not be used on the result.
    ///
    /// # Errors
    ///
    /// If the Ethernet header is truncated. All other defects are reported as a [`Class`].
    #[inline]
    pub fn parse_head(frame: &[u8], length: usize) -> Result<Self, Malformed> {
        let ethernet = ethernet::Header::new(frame)?;
        let l3 = ethernet.length();
        let mut packet = Self {
            class: Class::Other,
            version: 0,
            protocol: 0,
            tos: 0,
            ip_options: false,
            vlan: ethernet.vlan(),
            l3: l3 as u16,
            l4: l3 as u16,
            payload: l3 as u16,
            end: length as u32,
        };
        let result = match ethernet.ethertype() {
            ethertype::IPV4 => packet.ipv4(frame, l3, length - l3),
            ethertype::IPV6 => packet.ipv6(frame, l3, length - l3),
            _ => return Ok(packet),
        };
        if let Err(malformed) = result {
            packet.class = Class::Malformed(malformed);
            packet.end = length as u32;
        }
        Ok(packet)
    }

    #[inline]
    fn ipv4(&mut self, frame: &[u8], l3: usize, present: usize) -> Result<(), Malformed> {
        let header = ipv4::Header::new(&frame[l3..], present)?;
        if !header.checksum_ok() {
            return Err(Malformed::Checksum);
        }
        self.version = 4;
        self.protocol = header.protocol();
        self.tos = header.tos();
        self.ip_options = header.length() != ipv4::HEADER;
        let fragment = match header.fragment() {
            (false, 0) => None,
            fragment => Some(fragment),
        };
        self.transport(
            frame,
            l3 + header.length(),
            l3 + header.total_length(),
            fragment,
        )
    }

    #[inline]
    fn ipv6(&mut self, frame: &[u8], l3: usize, present: usize) -> Result<(), Malformed> {
        let header = ipv6::Header::new(&frame[l3..], present)?;
        self.version = 6;
        self.protocol = header.protocol();
        self.tos = header.traffic_class();
        self.ip_options = header.length() != ipv6::HEADER;
        // An atomic fragment (RFC 6946) is a complete datagram.
        let fragment = header.fragment().filter(|&fragment| fragment != (false, 0));
        self.transport(
            frame,
            l3 + header.length(),
            l3 + header.total_length(),
            fragment,
        )
    }

    #[inline]
    fn transport(
        &mut self,
        frame: &[u8],
        l4: usize,
        end: usize,
        fragment: Option<(bool, usize)>,
    ) -> Result<(), Malformed> {
        // Cannot fail for an IP header chain, which ends within its datagram of less than 64 KiB
        // plus 40 bytes; `payload` fits in `u16` for any chain that a port can deliver.
        let offset = |at: usize| u16::try_from(at).map_err(|_| Malformed::Length);
        self.l4 = offset(l4)?;
        self.payload = self.l4;
        self.end = end as u32;
        let datagram = &frame[l4..end.min(frame.len())];
        match (fragment, self.protocol) {
            (Some((_, 0)), tcp::PROTOCOL | udp::PROTOCOL) if datagram.len() >= 4 => {
                self.class = Class::FirstFragment;
            }
            (Some(_), _) => self.class = Class::Fragment,
            (None, tcp::PROTOCOL) => {
                self.payload = offset(l4 + tcp::Header::new(datagram)?.length())?;
                self.class = Class::Tcp;
            }
            (None, udp::PROTOCOL) => {
                udp::Header::new(datagram, end - l4)?;
                self.payload = offset(l4 + udp::HEADER)?;
                self.class = Class::Udp;
            }
            (None, _) => self.class = Class::Ip,
        }
        Ok(())
    }

    /// Source and destination address, 4 or 16 bytes each. Empty if not IP.
    #[inline]
    pub fn addresses<'a>(&self, frame: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let l3 = usize::from(self.l3);
        match self.version {
            4 => frame[l3 + ipv4::SOURCE..l3 + ipv4::SOURCE + 8].split_at(4),
            6 => frame[l3 + ipv6::SOURCE..l3 + ipv6::SOURCE + 32].split_at(16),
            _ => (&[], &[]),
        }
    }

    /// Source and destination port of TCP, UDP or a first fragment.
    #[inline]
    pub fn ports(&self, frame: &[u8]) -> Option<(u16, u16)> {
        let l4 = usize::from(self.l4);
        matches!(self.class, Class::Tcp | Class::Udp | Class::FirstFragment)
            .then(|| (be16(frame, l4), be16(frame, l4 + 2)))
    }

    /// The TCP header.
    #[inline]
    pub fn tcp<'a>(&self, frame: &'a [u8]) -> Option<tcp::Header<'a>> {
        if self.class != Class::Tcp {
            return None;
        }
        tcp::Header::new(&frame[usize::from(self.l4)..usize::from(self.payload)]).ok()
    }

    /// Transport payload without padding.
    #[inline]
    pub fn payload<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        &frame[usize::from(self.payload)..self.end as usize]
    }

    /// Length of the payload, in bytes.
    #[inline]
    pub fn payload_length(&self) -> u32 {
        self.end - u32::from(self.payload)
    }

    /// Verifies the transport checksum. Returns `None` if there is none or it cannot be verified:
    /// other transports, fragments, and IPv6 extension headers, which may hide the final
    /// destination.
    pub fn checksum_ok(&self, frame: &[u8]) -> Option<bool> {
        match self.class {
            Class::Tcp => {}
            Class::Udp => {
                let check = be16(frame, usize::from(self.l4) + udp::CHECKSUM);
                if check == 0 && self.version == 4 {
                    return None;
                }
            }
            _ => return None,
        }
        if self.version == 6 && self.ip_options {
            return None;
        }
        let (source, destination) = self.addresses(frame);
        let datagram = &frame[usize::from(self.l4)..self.end as usize];
        let datagram = match self.class {
            Class::Udp => &datagram[..usize::from(be16(datagram, udp::LENGTH))],
            _ => datagram,
        };
        let length = datagram.len() as u32;
        let mut sum = checksum::pseudo_header(source, destination, self.protocol, length);
        sum.add(datagram);
        Some(sum.value() == 0xffff)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample::frame;
    use super::super::tcp::Options;
    use super::super::tcp::Repr;
    use super::*;
    use crate::tcp::Range;
    use crate::tcp::Seq;
    use crate::tcp::Timestamps;

    #[test]
    fn third_tag_is_not_followed() {
        let mut bytes = [0u8; 64];
        for at in [12, 16, 20] {
            super::super::put16(&mut bytes, at, ethertype::VLAN);
        }
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!((packet.class, packet.l3), (Class::Other, 22));
    }

    #[test]
    fn fragments() {
        let mut bytes = frame(false, &Repr::default(), &[0; 32]);
        for (word, class) in [
            (0x2000, Class::FirstFragment),
            (0x2001, Class::Fragment),
            (0x0001, Class::Fragment),
        ] {
            super::super::put16(&mut bytes, ethernet::HEADER + 6, word);
            ipv4::finish(&mut bytes[ethernet::HEADER..], 72, 9);
            assert_eq!(Packet::parse(&bytes).unwrap().class, class);
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(packet) = Packet::parse(&bytes) {
                check(&packet, &bytes);
            }
        }

        #[test]
        fn nearly_tcp(
            v6 in any::<bool>(),
            payload in proptest::collection::vec(any::<u8>(), 0..64),
            flips in proptest::collection::vec((0usize..160, any::<u8>()), 0..4),
            cut in 0usize..200,
        ) {
            let mut bytes = frame(v6, &Repr::default(), &payload);
            for (at, value) in flips {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= value;
                }
            }
            bytes.truncate(cut);
            if let Ok(packet) = Packet::parse(&bytes) {
                check(&packet, &bytes);
            }
        }

        #[test]
        fn round_trip(
            v6 in any::<bool>(),
            numbers in any::<(u16, u16, u32, u32, u8, u16)>(),
            timestamps in proptest::option::of(any::<(u32, u32)>()),
            blocks in proptest::collection::vec(any::<(u32, u32)>(), 0..3),
            payload in proptest::collection::vec(any::<u8>(), 0..64),
            padding in 0usize..20,
        ) {
            let (source, destination, seq, ack, flags, window) = numbers;
            let timestamps = timestamps.map(|(value, echo)| Timestamps { value, echo });
            let mut options = Options { timestamps, ..Options::default() };
            for (left, right) in blocks {
                options.sack.push(Range { start: Seq(left), end: Seq(right) });
            }
            let (seq, ack) = (Seq(seq), Seq(ack));
            let repr = Repr { source, destination, seq, ack, flags, window, options };
            let mut bytes = frame(v6, &repr, &payload);
            bytes.resize(bytes.len() + padding, 0);
            let packet = Packet::parse(&bytes).unwrap();
            prop_assert_eq!(packet.class, Class::Tcp);
            prop_assert_eq!(packet.payload(&bytes), &payload[..]);
            prop_assert_eq!(packet.checksum_ok(&bytes), Some(true));
            let header = packet.tcp(&bytes).unwrap();
            prop_assert_eq!((header.seq(), header.ack()), (seq, ack));
            prop_assert_eq!(packet.ports(&bytes), Some((source, destination)));
            prop_assert_eq!((header.flags(), header.window()), (flags, window));
            prop_assert_eq!(header.options().unwrap(), options);
        }
    }

    /// Calls every accessor and checks the invariant.
    fn check(packet: &Packet, bytes: &[u8]) {
        assert!(packet.l3 <= packet.l4 && packet.l4 <= packet.payload);
        assert!(packet.end as usize <= bytes.len());
        let _ = packet.addresses(bytes);
        let _ = packet.ports(bytes);
        let _ = packet.checksum_ok(bytes);
        if !matches!(packet.class, Class::Malformed(_)) {
            let _ = packet.payload(bytes);
        }
        if let Some(tcp) = packet.tcp(bytes) {
            let _ = tcp.options();
        }
    }
}
