// SPDX-License-Identifier: GPL-2.0

//! Frames that the host's own stack sends.

use toe_abi::Layout;
use toe_abi::ring::TRANSMIT_ENTRY;
use toe_abi::stats::Counter;
use toe_abi::transmit::Descriptor;
use toe_abi::transmit::MAX_ENTRIES;
use toe_abi::transmit::flag;

use super::core::Core;
use super::rings::RingSet;
use crate::counters::WireFrames;
use crate::dct::Protocol;
use crate::env::Capabilities;
use crate::env::Env;
use crate::env::Fault;
use crate::env::Frag;
use crate::env::Gso;
use crate::env::GsoKind;
use crate::env::Host;
use crate::env::Offload;
use crate::env::OutFrame;
use crate::env::Partial;
use crate::env::SendError;
use crate::gso;
use crate::gso::Large;
use crate::ring::HostError;
use crate::storage::MAX_FRAME;
use crate::tcp::HostFrame;
use crate::tcp::Instant;
use crate::tuple::Key;
use crate::tuple::Tuple;
use crate::wire::be16;
use crate::wire::checksum;
use crate::wire::ethernet;
use crate::wire::ethernet::ethertype;
use crate::wire::packet::Class;
use crate::wire::packet::Packet;
use crate::wire::tcp;

/// Bytes of a frame that are copied out of host memory for inspection: all headers, and a small
/// payload.
const HEAD: usize = 256;

/// Why a frame of the host was dropped.
enum Dropped {
    /// Its entries contradict each other or the frame.
    Invalid,
    /// Its memory is not mapped.
    Fault,
}

impl From<Fault> for Dropped {
    fn from(_: Fault) -> Self {
        Self::Fault
    }
}

/// The start of a frame with room for a tag, copied out of host memory so that the host cannot change
/// it any more.
struct Head {
    bytes: [u8; HEAD + ethernet::TAG],
    length: usize,
}

/// A checked frame.
struct Checked {
    head: Head,
    /// Length of the frame, with an inserted tag.
    length: usize,
    /// Number of fragments behind the head, in the scratch list.
    frags: usize,
    packet: Packet,
    offload: Offload,
}

impl Core {
    /// Sends at most `budget` frames of the host. Returns true when the port has no room.
    pub(super) fn host_frames<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        budget: usize,
    ) -> Result<bool, HostError> {
        let mut budget = budget;
        while budget != 0 && rings.transmit.available() != 0 {
            budget -= 1;
            let mut raw = [0; MAX_ENTRIES * TRANSMIT_ENTRY];
            let seen = rings.transmit.available().min(MAX_ENTRIES as u32) as usize;
            let mut read = 0;
            while read < seen {
                let to = &mut raw[read * TRANSMIT_ENTRY..seen * TRANSMIT_ENTRY];
                read += rings.transmit.read(env, read as u32, to)? as usize;
            }
            let mut entries = [Descriptor::default(); MAX_ENTRIES];
            let mut count = 0;
            let mut ends = false;
            for bytes in raw[..seen * TRANSMIT_ENTRY].chunks_exact(TRANSMIT_ENTRY) {
                let mut entry = [0; TRANSMIT_ENTRY];
                entry.copy_from_slice(bytes);
                entries[count] = Descriptor::from_bytes(&entry);
                count += 1;
                if entries[count - 1].flags & flag::END != 0 {
                    ends = true;
                    break;
                }
            }
            if self.skipping || !ends {
                // The frame has too many entries, or not all of them were published together. Drop
                // its entries up to the end of the frame.
                if !self.skipping {
                    self.counters.count(Counter::TxInvalid);
                }
                self.skipping = !ends;
                rings.transmit.take(count as u32);
                continue;
            }
            match self.host_frame(now, env, &entries[..count]) {
                Ok(Ok(())) => {}
                Ok(Err(SendError::Full)) => return Ok(true),
                Ok(Err(SendError::Fault)) | Err(Dropped::Fault) => {
                    self.counters.count(Counter::TxFault);
                }
                Ok(Err(SendError::Rejected)) => self.counters.count(Counter::TxDropped),
                Err(Dropped::Invalid) => self.counters.count(Counter::TxInvalid),
            }
            self.resume = 0;
            rings.transmit.take(count as u32);
        }
        Ok(false)
    }

    /// Checks and sends one frame.
    fn host_frame<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        entries: &[Descriptor],
    ) -> Result<Result<(), SendError>, Dropped> {
        let mut checked = self.check(env, entries)?;
        if !self.table.is_empty() {
            self.refresh_host_frame(now, &mut checked);
        }
        Ok(self.put_host_frame(env, &checked))
    }

    /// Copies the head of a frame, stores the fragments behind it in the scratch list, and checks the
    /// frame.
    fn check<H: Host>(&mut self, host: &H, entries: &[Descriptor]) -> Result<Checked, Dropped> {
        let first = entries.first().ok_or(Dropped::Invalid)?;
        let mut head = Head {
            bytes: [0; HEAD + ethernet::TAG],
            length: 0,
        };
        let mut length = 0;
        let mut frags = 0;
        for entry in entries {
            let size = entry.length as usize;
            if size == 0 || size > usize::from(u16::MAX) {
                return Err(Dropped::Invalid);
            }
            let end = entry
                .address
                .checked_add(size as u64)
                .ok_or(Dropped::Fault)?;
            let now = size.min(HEAD - head.length);
            host.read(
                entry.address,
                &mut head.bytes[head.length..head.length + now],
            )?;
            head.length += now;
            length += size;
            if now < size {
                let rest = size - now;
                self.scratch.frags[frags] = Frag::host(end - rest as u64, rest as u32);
                frags += 1;
            }
        }
        if length < ethernet::HEADER || length + ethernet::TAG > MAX_FRAME {
            return Err(Dropped::Invalid);
        }
        let tag = if first.flags & flag::VLAN != 0 {
            ethernet::TAG
        } else {
            0
        };
        if tag != 0 {
            head.insert_tag(first.vlan_tci);
            length += tag;
        }
        let packet =
            Packet::parse_head(&head.bytes[..head.length], length).map_err(|_| Dropped::Invalid)?;
        let offload = offload(first, tag, length, head.length, &packet)?;
        let l3 = usize::from(packet.l3);
        let datagram = match &offload.gso {
            Some(gso) => usize::from(gso.header_length) - l3 + usize::from(gso.size),
            None => length - l3,
        };
        if datagram > self.mtu {
            return Err(Dropped::Invalid);
        }
        Ok(Checked {
            head,
            length,
            frags,
            packet,
            offload,
        })
    }

    /// When the frame belongs to a delegated connection: updates the connection with the window that
    /// the host announces, and updates the frame with the connection's state. The host's copy of the
    /// state is older, and the peer must not see it go back.
    fn refresh_host_frame(&mut self, now: u64, checked: &mut Checked) {
        let bytes = &mut checked.head.bytes[..checked.head.length];
        let packet = &checked.packet;
        let Some(header) = packet.tcp(bytes) else {
            return;
        };
        let Some(tuple) = Tuple::of_sent(packet, bytes, None) else {
            return;
        };
        let key = Key::new(tuple, self.config.seed);
        let Some(slot) = self.table.find(&key) else {
            return;
        };
        let Some(connection) = self.table.get(slot) else {
            return;
        };
        let rewrite = match &mut connection.protocol {
            Protocol::Tcp(tcp) => tcp.tcb.on_host_frame(
                Instant(now),
                &HostFrame {
                    seq: header.seq(),
                    length: packet.payload_length(),
                    ack: header.ack(),
                    window: header.window(),
                },
            ),
        };
        // A segment that occupies sequence space keeps its sequence number.
        let occupies =
            packet.payload_length() != 0 || header.flags() & (tcp::flag::SYN | tcp::flag::FIN) != 0;
        let timestamps = header.timestamps_offset().zip(rewrite.timestamps);
        // Blocks below the new acknowledgement number would report duplicates (RFC 2883).
        let sack = header.sack_option().filter(|_| rewrite.ack != header.ack());
        let l4 = usize::from(packet.l4);
        let segment = &mut bytes[l4..usize::from(packet.payload)];
        let before = checksum::sum(segment);
        if !occupies {
            segment[tcp::SEQ..tcp::SEQ + 4].copy_from_slice(&rewrite.seq.0.to_be_bytes());
        }
        segment[tcp::ACK..tcp::ACK + 4].copy_from_slice(&rewrite.ack.0.to_be_bytes());
        segment[tcp::WINDOW..tcp::WINDOW + 2].copy_from_slice(&rewrite.window.to_be_bytes());
        if let Some(sack) = sack {
            segment[sack].fill(tcp::kind::NOP);
        }
        if let Some(ece) = rewrite.ece {
            let flags = &mut segment[tcp::FLAGS];
            *flags = *flags & !tcp::flag::ECE | u8::from(ece) * tcp::flag::ECE;
        }
        if let Some((at, timestamps)) = timestamps {
            segment[at..at + 4].copy_from_slice(&timestamps.value.to_be_bytes());
            segment[at + 4..at + 8].copy_from_slice(&timestamps.echo.to_be_bytes());
        }
        // A checksum that is left to the port covers the pseudo-header only, which has not changed. A
        // complete checksum is updated incrementally (RFC 1624). Both sums include the checksum field
        // itself.
        if checked.offload.checksum.is_none() {
            let after = checksum::sum(segment);
            let check = checksum::update(be16(segment, tcp::CHECKSUM), before, after);
            segment[tcp::CHECKSUM..tcp::CHECKSUM + 2].copy_from_slice(&check.to_be_bytes());
        }
        self.counters.count(Counter::ToeHostFrames);
        self.make_ready(slot);
    }

    /// Passes a frame to the port. Does the offloads that the port lacks first.
    fn put_host_frame<E: Env>(&mut self, env: &mut E, checked: &Checked) -> Result<(), SendError> {
        let head = &checked.head.bytes[..checked.head.length];
        let frags = &self.scratch.frags[..checked.frags];
        let wire = match checked.offload.gso {
            None => WireFrames::new(checked.length, 0, 0),
            Some(gso) => {
                let header = usize::from(gso.header_length);
                WireFrames::new(header, checked.length - header, gso.size.into())
            }
        };
        let destination = ethernet::destination(head);
        if can(&self.capabilities, &checked.offload) {
            env.send(&OutFrame {
                header: head,
                payload: frags,
                offload: checked.offload,
            })?;
        } else {
            let frame = &mut self.scratch.frame;
            frame[..head.len()].copy_from_slice(head);
            let mut at = head.len();
            for frag in frags {
                let end = at + frag.length as usize;
                let to = frame.get_mut(at..end).ok_or(SendError::Rejected)?;
                frag.read(env, to).map_err(|Fault| SendError::Fault)?;
                at = end;
            }
            let frame = &mut frame[..at];
            match (&checked.offload.gso, checked.offload.checksum) {
                (Some(gso), _) => {
                    let large = Large {
                        frame,
                        kind: gso.kind,
                        l3: checked.packet.l3.into(),
                        l4: checked.packet.l4.into(),
                        header: gso.header_length.into(),
                        size: gso.size.into(),
                        v6: checked.packet.version == 6,
                    };
                    // When the port fills up in between, the next round resumes here.
                    for index in self.resume..large.count() {
                        self.resume = index;
                        let length = large.emit(index, &mut self.scratch.segment);
                        env.send(&OutFrame {
                            header: &self.scratch.segment[..length],
                            payload: &[],
                            offload: Offload::default(),
                        })?;
                    }
                }
                (None, Some(Partial { start, offset })) => {
                    gso::complete_checksum(frame, start.into(), offset.into());
                    env.send(&OutFrame {
                        header: frame,
                        payload: &[],
                        offload: Offload::default(),
                    })?;
                }
                (None, None) => {}
            }
        }
        self.counters.sent(destination, wire);
        Ok(())
    }
}

impl Head {
    /// Inserts an 802.1Q tag behind the MAC addresses.
    fn insert_tag(&mut self, tci: u16) {
        let at = ethernet::TYPE;
        self.bytes.copy_within(at..self.length, at + ethernet::TAG);
        self.bytes[at..at + 2].copy_from_slice(&ethertype::VLAN.to_be_bytes());
        self.bytes[at + 2..at + 4].copy_from_slice(&tci.to_be_bytes());
        self.length += ethernet::TAG;
    }
}

/// Whether a port with `capabilities` can do all of `offload`.
fn can(capabilities: &Capabilities, offload: &Offload) -> bool {
    let checksum = capabilities.checksum || offload.checksum.is_none();
    let gso = match &offload.gso {
        None => true,
        Some(gso) if gso.kind == GsoKind::Udp => capabilities.uso,
        Some(_) => capabilities.tso,
    };
    checksum && gso
}

/// Offload that the first entry of a frame requests, checked against the frame. The frame has
/// `length` bytes, of which `head` bytes are copied, and an inserted tag of `tag` bytes.
fn offload(
    first: &Descriptor,
    tag: usize,
    length: usize,
    head: usize,
    packet: &Packet,
) -> Result<Offload, Dropped> {
    let large = first.flags & (flag::TSO | flag::USO);
    if large == 0 {
        if first.flags & flag::CSUM == 0 {
            return Ok(Offload::default());
        }
        let start = usize::from(first.csum_start) + tag;
        let field = start + usize::from(first.csum_offset);
        if start < ethernet::HEADER || field + 2 > length {
            return Err(Dropped::Invalid);
        }
        return Ok(Offload {
            checksum: Some(Partial {
                start: u16::try_from(start).map_err(|_| Dropped::Invalid)?,
                offset: first.csum_offset,
            }),
            gso: None,
        });
    }
    // Checksum position and header length are known from the headers. The entry must agree.
    let (kind, offset) = match (large, packet.class, packet.version) {
        (flag::TSO, Class::Tcp, 4) => (GsoKind::Tcp4, tcp::CHECKSUM),
        (flag::TSO, Class::Tcp, 6) => (GsoKind::Tcp6, tcp::CHECKSUM),
        (flag::USO, Class::Udp, _) => (GsoKind::Udp, crate::wire::udp::CHECKSUM),
        _ => return Err(Dropped::Invalid),
    };
    let header = usize::from(packet.payload);
    let agrees = usize::from(first.header_length) + tag == header
        && usize::from(first.csum_start) + tag == usize::from(packet.l4)
        && usize::from(first.csum_offset) == offset
        && first.gso_size != 0
        && header <= head
        && header < length
        && packet.end as usize == length;
    if !agrees {
        return Err(Dropped::Invalid);
    }
    let segments = (length - header).div_ceil(usize::from(first.gso_size));
    Ok(Offload {
        checksum: Some(Partial {
            start: packet.l4,
            offset: offset as u16,
        }),
        gso: Some(Gso {
            kind,
            size: first.gso_size,
            header_length: packet.payload,
            segments: u16::try_from(segments).map_err(|_| Dropped::Invalid)?,
        }),
    })
}
