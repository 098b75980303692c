// SPDX-License-Identifier: GPL-2.0

//! Frames from the port.

use toe_abi::PAGE_SIZE;
use toe_abi::completion::DELIVER_PAGES;
use toe_abi::completion::Frame;
use toe_abi::completion::HashType;
use toe_abi::completion::Op;
use toe_abi::completion::Reason;
use toe_abi::completion::frame_flag;
use toe_abi::stats::Counter;

use super::Received;
use super::core::Core;
use super::core::RingSet;
use crate::dct::Connection;
use crate::dct::hold;
use crate::env::Env;
use crate::env::RxChecksum;
use crate::env::RxOffload;
use crate::ring::Broken;
use crate::storage::Storage;
use crate::storage::Stored;
use crate::storage::Stripped;
use crate::tcp::Instant;
use crate::tcp::Piece;
use crate::tcp::Segment;
use crate::tcp::Verdict;
use crate::tcp::flag;
use crate::tuple::Tuple;
use crate::wire::Malformed;
use crate::wire::ethernet;
use crate::wire::packet::Class;
use crate::wire::packet::Packet;

/// "No flow".
const NO_FLOW: u32 = u32::MAX;
/// Payload pages that the largest frame takes (64 KB that begin in a page's last bytes).
const LARGEST_FRAME_PAGES: usize = 65536 / PAGE_SIZE + 1;
/// Completions that the largest frame takes: its own, and those that list its pages.
const LARGEST_FRAME_COMPLETIONS: u32 = 1 + LARGEST_FRAME_PAGES.div_ceil(DELIVER_PAGES) as u32;
/// The congestion-experienced mark in the ECN field (RFC 3168 5).
const CE: u8 = 0b11;

/// A received frame with what is known of it.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) frame: &'a [u8],
    pub(super) packet: Packet,
    pub(super) offload: RxOffload,
    /// Wire frames that it stands for, at least 1.
    segments: u16,
}

impl<'a> Arrival<'a> {
    /// `None` when it is not even an Ethernet frame.
    #[inline]
    pub(super) fn new(frame: &'a [u8], offload: &RxOffload) -> Option<Self> {
        let packet = Packet::parse(frame).ok()?;
        let segments = match (offload.gso_size, packet.class) {
            (0, _) | (_, Class::Malformed(_) | Class::Other) => 1,
            (size, _) => packet.payload_length().div_ceil(u32::from(size)).max(1),
        };
        Some(Self {
            frame,
            packet,
            offload: *offload,
            segments: segments.min(u32::from(u16::MAX)) as u16,
        })
    }

    /// MAC address that it is for.
    #[inline]
    fn destination(&self) -> [u8; 6] {
        let mut mac = [0; 6];
        mac.copy_from_slice(&self.frame[..6]);
        mac
    }

    /// Bytes on the wire, with the headers of each wire frame.
    #[inline]
    fn wire_bytes(&self) -> u64 {
        let repeated = u64::from(self.segments - 1) * u64::from(self.packet.payload);
        self.frame.len() as u64 + repeated
    }

    /// Size of the largest wire frame's IP datagram, or Ethernet payload.
    #[inline]
    fn datagram(&self) -> usize {
        let l3 = usize::from(self.packet.l3);
        if self.segments > 1 {
            usize::from(self.packet.payload) - l3 + usize::from(self.offload.gso_size)
        } else {
            self.frame.len() - l3
        }
    }

    /// Whether the transport checksum is right; `None` when there is none to judge.
    #[inline]
    fn checksum_ok(&self) -> Option<bool> {
        match self.offload.checksum {
            RxChecksum::Unknown => self.packet.checksum_ok(self.frame),
            _ => matches!(self.packet.class, Class::Tcp | Class::Udp).then_some(true),
        }
    }

    /// What TCP has to know of it; `None` unless it is TCP.
    #[inline]
    fn segment(&self) -> Option<Segment> {
        let header = self.packet.tcp(self.frame)?;
        let options = header.options();
        let unknown_option = options.is_err();
        let options = options.unwrap_or_default();
        let established_only = options.mss.is_none()
            && options.window_scale.is_none()
            && !options.sack_permitted
            && !options.unknown;
        Some(Segment {
            seq: header.seq(),
            ack: header.ack(),
            flags: header.flags(),
            window: header.window(),
            timestamps: options.timestamps,
            sack: options.sack,
            length: self.packet.payload_length(),
            wire_segments: self.segments,
            congestion_experienced: self.packet.tos & CE == CE,
            unknown_option: unknown_option || !established_only,
        })
    }
}

impl Core {
    /// Whether the largest frame finds room in the host's rings, as they are now.
    #[inline]
    pub(super) fn has_room<E: Env>(
        &mut self,
        env: &mut E,
        rings: &mut RingSet,
    ) -> Result<bool, Broken> {
        // A host may post fewer pages than that.
        let pages = LARGEST_FRAME_PAGES.min(rings.payload.entries() as usize / 2);
        let pages_short = |storage: &Storage| {
            storage.headers.available() == 0 || storage.payload.available() < pages
        };
        if pages_short(&self.storage) {
            self.fetch_pages(env, rings)?;
        }
        if rings.completions.room() < LARGEST_FRAME_COMPLETIONS {
            rings.completions.refresh(env)?;
        }
        Ok(!pages_short(&self.storage) && rings.completions.room() >= LARGEST_FRAME_COMPLETIONS)
    }

    /// The processor that the hash assigns a frame to that this function receives.
    pub(super) fn assigned(&self, frame: &[u8], offload: &RxOffload) -> Option<u8> {
        let arrival = Arrival::new(frame, offload)?;
        let (hash, _) = self.dispatch.of_packet(&arrival.packet, frame);
        self.filter
            .accepts(arrival.destination())
            .then(|| self.dispatch.processor(hash))
    }

    /// Takes a frame; `here` when another processor has found that it belongs to this one.
    #[inline]
    pub(super) fn receive<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        frame: &[u8],
        offload: &RxOffload,
        here: bool,
    ) -> Result<Received, Broken> {
        let Some(arrival) = Arrival::new(frame, offload) else {
            self.counters.count(Counter::RxMalformed);
            return Ok(Received::Done);
        };
        let mac = arrival.destination();
        if !self.filter.accepts(mac) {
            return Ok(Received::Done);
        }
        let tuple = match arrival.packet.class {
            Class::Tcp | Class::FirstFragment => Tuple::of_received(&arrival.packet, frame),
            _ => None,
        };
        let found = match &tuple {
            Some(tuple) if !self.table.is_empty() => self.table.find(tuple),
            _ => None,
        };
        let hash = match found {
            Some(_) => (0, HashType::None),
            None => {
                let hash = self.dispatch.of_packet(&arrival.packet, frame);
                let processor = self.dispatch.processor(hash.0);
                if !here && processor != self.config.index {
                    self.counters.count(Counter::Forwarded);
                    return Ok(Received::Elsewhere(processor));
                }
                hash
            }
        };
        if self.storage.headers.available() == 0
            || self.storage.payload.available() < LARGEST_FRAME_PAGES
        {
            // What the host has posted since the last round counts: none is lost for lack of pages
            // that are there.
            self.fetch_pages(env, rings)?;
        }
        self.counters
            .add(Counter::RxFrames, u64::from(arrival.segments));
        self.counters.add(Counter::RxBytes, arrival.wire_bytes());
        if ethernet::is_multicast(mac) {
            self.counters.count(Counter::RxMulticast);
        }
        if arrival.datagram() > self.mtu {
            self.counters.count(Counter::RxTooLong);
            return Ok(Received::Done);
        }
        match found {
            Some(place) => self.delegated(now, env, rings, place, &arrival)?,
            None => {
                let stored = self.upload(now, env, rings, &arrival, tuple.as_ref(), hash, None)?;
                self.count_stored(stored);
            }
        }
        Ok(Received::Done)
    }

    /// Counts a frame that could not be stored.
    pub(super) fn count_stored(&mut self, stored: Stored) {
        match stored {
            Stored::Done => {}
            Stored::NoPage => self.counters.count(Counter::RxNoPage),
            Stored::NoCompletion => self.counters.count(Counter::RxNoCompletion),
        }
    }

    /// Uploads a frame of ordinary traffic, or as a legacy frame of the connection `legacy`.
    #[inline]
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is known where it is called"
    )]
    pub(super) fn upload<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        arrival: &Arrival<'_>,
        tuple: Option<&Tuple>,
        (hash, hash_type): (u32, HashType),
        legacy: Option<u32>,
    ) -> Result<Stored, Broken> {
        let packet = &arrival.packet;
        let mut completion = Frame {
            op: Op::NotTcp.raw(),
            hash_type: hash_type.raw(),
            flow: NO_FLOW,
            hash,
            segments: arrival.segments,
            gso_size: if arrival.segments > 1 {
                arrival.offload.gso_size
            } else {
                0
            },
            ..Frame::default()
        };
        let mut tag = 0;
        if let Some(tci) = packet.vlan {
            tag = ethernet::TAG;
            completion.flags |= frame_flag::VLAN;
            completion.vlan_tci = tci;
        }
        let checksum = arrival.checksum_ok();
        match (packet.class, checksum) {
            (Class::Malformed(Malformed::Checksum), _) | (_, Some(false)) => {
                completion.flags |= frame_flag::CSUM_BAD;
                self.counters.count(Counter::RxCsumError);
            }
            (Class::Malformed(_), _) => self.counters.count(Counter::RxMalformed),
            (_, Some(true)) => completion.flags |= frame_flag::L4_CSUM_OK,
            (_, None) => {}
        }
        if packet.version == 4 && !matches!(packet.class, Class::Malformed(_)) {
            completion.flags |= frame_flag::L3_CSUM_OK;
        }
        // The padding of a minimum-size frame is not uploaded.
        let frame = match packet.class {
            Class::Other | Class::Malformed(_) => arrival.frame,
            _ => &arrival.frame[..packet.end as usize],
        };
        let stripped = Stripped::new(frame, tag);
        let mut header = 0;
        let mut change = None;
        if let (Some(tcp), Some(tuple)) = (packet.tcp(arrival.frame), tuple) {
            let length = packet.payload_length();
            if checksum == Some(true) {
                change = Some(self.flows.classify(now, tuple, &tcp, length));
            }
            let op = change
                .as_ref()
                .map_or(Op::NotReassembled, |change| change.op);
            let continues = matches!(op, Op::Reassembled | Op::NotReassembled);
            let small = continues && self.storage.is_small(frame.len() - tag);
            completion.flow = change.as_ref().map_or(NO_FLOW, |change| change.id());
            completion.op = if small { Op::Small } else { op }.raw();
            if length != 0 {
                header = usize::from(packet.payload) - tag;
            }
        }
        if let Some(host_id) = legacy {
            completion.flags |= frame_flag::LEGACY;
            completion.flow = host_id;
        }
        let completions = &mut rings.completions;
        let stored = self
            .storage
            .store(env, completions, &stripped, header, &mut completion)?;
        // What found no room was not uploaded: the flow database must not vouch for it.
        if let (Stored::Done, Some(change)) = (stored, &change) {
            self.flows.commit(change);
        }
        Ok(stored)
    }

    /// Takes a frame of the delegated connection at `place`.
    #[inline]
    fn delegated<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        place: u32,
        arrival: &Arrival<'_>,
    ) -> Result<(), Broken> {
        let Some((connection, _, hold)) = self.table.parts(place) else {
            return Ok(());
        };
        if connection.returning.is_some() {
            self.counters.count(Counter::RxNoCompletion);
            return Ok(());
        }
        self.counters
            .add(Counter::ToeRxSegments, u64::from(arrival.segments));
        let Some(segment) = arrival.segment() else {
            let reason = Reason::Fragment;
            return self.return_connection(now, env, rings, place, reason, Some(arrival));
        };
        if arrival.packet.ip_options {
            let reason = Reason::Option;
            return self.return_connection(now, env, rings, place, reason, Some(arrival));
        }
        if arrival.checksum_ok() == Some(false) {
            self.counters.count(Counter::RxCsumError);
            return Ok(());
        }
        let push = segment.flags & flag::PSH != 0;
        match connection.tcb.on_segment(Instant(now), &segment) {
            Verdict::Done => {}
            Verdict::Duplicate => self.counters.count(Counter::ToeDuplicates),
            Verdict::NoRoom => self.counters.count(Counter::ToeNoRoom),
            Verdict::Drop(_) => self.counters.count(Counter::ToeUnacceptable),
            Verdict::Return(reason) => {
                return self.return_connection(now, env, rings, place, reason, Some(arrival));
            }
            Verdict::Deliver(piece) => {
                let pages = &mut self.storage.payload;
                let end = piece.seq + piece.length;
                let more = connection.held.contiguous(hold, end);
                let length = (piece.length + more) as usize;
                if connection
                    .reassembly
                    .fits(pages, &rings.completions, length)
                {
                    connection.starved_since = None;
                    let completions = &mut rings.completions;
                    let payload = arrival.packet.payload(arrival.frame);
                    let skip = piece.skip as usize;
                    let payload = &payload[skip..skip + piece.length as usize];
                    let reassembly = &mut connection.reassembly;
                    reassembly.note_timestamp(connection.tcb.ts_recent());
                    reassembly.place(env, pages, completions, piece.seq, payload)?;
                    reassembly.note_push(push);
                    let all = connection.tcb.accept(Instant(now), &piece);
                    drain(env, connection, hold, pages, completions, end, all)?;
                    self.counters
                        .add(Counter::ToeRxBytes, u64::from(all - piece.seq));
                } else {
                    connection.starved_since.get_or_insert(now);
                    self.counters.count(Counter::ToeNoPage);
                }
            }
            Verdict::Hold(piece) => {
                let held = held(arrival, &piece, push);
                let bytes = connection.held.bytes() as usize + arrival.frame.len();
                if bytes > self.config.hold_connection as usize
                    || !connection.held.insert(hold, arrival.frame, &held)
                {
                    let reason = Reason::OutOfOrder;
                    return self.return_connection(now, env, rings, place, reason, Some(arrival));
                }
                connection.tcb.accept(Instant(now), &piece);
                self.counters.count(Counter::ToeOutOfOrder);
                // The peer's loss recovery wants an acknowledgement for each of these.
                self.send_turn(now, env, rings, place, 1)?;
            }
        }
        self.touch(place);
        Ok(())
    }
}

/// Describes `piece` of a frame that is to be held.
pub(super) fn held(arrival: &Arrival<'_>, piece: &Piece, push: bool) -> hold::Held {
    let offset = u32::from(arrival.packet.payload) + piece.skip;
    hold::Held::new(piece.seq, piece.length, offset, arrival.offload, push)
}

/// Delivers held payload from `from` up to `end`, which is contiguous.
fn drain<E: Env>(
    env: &mut E,
    connection: &mut Connection,
    hold: &mut hold::Pool,
    pages: &mut crate::storage::Pages,
    completions: &mut crate::ring::Completions,
    from: crate::tcp::Seq,
    end: crate::tcp::Seq,
) -> Result<(), Broken> {
    let mut at = from;
    while let Some(held) = connection.held.first(hold).copied() {
        if held.seq.at_least(end) {
            break;
        }
        let stop = held.end().min(end);
        if stop.after(at) {
            let skip = at - held.seq;
            for bytes in hold.bytes(&held, held.offset + skip, stop - at) {
                connection
                    .reassembly
                    .place(env, pages, completions, at, bytes)?;
                at = at + bytes.len() as u32;
            }
            connection.reassembly.note_push(held.push);
        }
        connection.held.pop(hold);
    }
    Ok(())
}
