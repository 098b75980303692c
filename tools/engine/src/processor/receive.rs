// SPDX-License-Identifier: GPL-2.0

//! Frames from the port.

use toe_abi::PAGE_SIZE;
use toe_abi::completion::Reason;
use toe_abi::stats::Counter;
use toe_abi::stats::RECEIVED;

use super::Ahead;
use super::BATCH;
use super::Received;
use super::core::Core;
use super::core::RingSet;
use crate::counters::WireFrames;
use crate::dct::Connection;
use crate::dct::hold;
use crate::env::Env;
use crate::env::GsoKind;
use crate::env::Partial;
use crate::env::RxChecksum;
use crate::env::RxOffload;
use crate::gso::Large;
use crate::ring::Consumer;
use crate::ring::HostError;
use crate::steering::Target;
use crate::storage;
use crate::tcp::Instant;
use crate::tcp::Segment;
use crate::tcp::Trimmed;
use crate::tcp::Verdict;
use crate::tcp::flag;
use crate::tuple::Key;
use crate::tuple::Tuple;
use crate::wire::ethernet;
use crate::wire::packet::Class;
use crate::wire::packet::Packet;
use crate::wire::tcp;
use crate::wire::udp;

/// The congestion-experienced mark in the ECN field (RFC 3168 5).
const CE: u8 = 0b11;

/// A received frame with what is known of it.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) frame: &'a [u8],
    pub(super) packet: Packet,
    pub(super) offload: RxOffload,
    /// Wire frames that it stands for, at least 1.
    pub(super) segments: u16,
}

/// A received frame that is about to be dealt with.
struct Examined<'a> {
    arrival: Arrival<'a>,
    /// Who it is from, when it has ports and may be TCP.
    key: Option<Key>,
}

/// What a frame is part of.
enum Way {
    /// The delegated connection at this place.
    Delegated(u32),
    /// Ordinary traffic.
    Ordinary(Target),
}

impl<'a> Arrival<'a> {
    /// `None` when it is not even an Ethernet frame.
    #[inline]
    pub(super) fn new(frame: &'a [u8], offload: &RxOffload) -> Option<Self> {
        let packet = Packet::parse(frame).ok()?;
        let segments = match (offload.gso_size, packet.class) {
            (1.., Class::Tcp | Class::Udp) => {
                let size = u32::from(offload.gso_size);
                packet.payload_length().div_ceil(size).max(1)
            }
            _ => 1,
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
        ethernet::destination(self.frame)
    }

    /// What it was on the wire.
    #[inline]
    fn wire_frames(&self) -> WireFrames {
        let (header, length) = (usize::from(self.packet.payload), self.frame.len());
        match self.segments {
            1 => WireFrames::new(length, 0, 0),
            _ => WireFrames::new(header, length - header, self.offload.gso_size.into()),
        }
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
    pub(super) fn checksum_ok(&self) -> Option<bool> {
        match self.offload.checksum {
            RxChecksum::Valid => {
                matches!(self.packet.class, Class::Tcp | Class::Udp).then_some(true)
            }
            RxChecksum::Partial(partial) if self.is_own(&partial) => Some(true),
            _ => self.packet.checksum_ok(self.frame),
        }
    }

    /// The checksum that nobody has filled in yet.
    #[inline]
    pub(super) fn partial(&self) -> Option<Partial> {
        match self.offload.checksum {
            RxChecksum::Partial(partial) => Some(partial),
            _ => None,
        }
    }

    /// Whether a checksum is that of the transport that the parser has found.
    #[inline]
    pub(super) fn is_own(&self, partial: &Partial) -> bool {
        let offset = match self.packet.class {
            Class::Tcp => tcp::CHECKSUM,
            Class::Udp => udp::CHECKSUM,
            _ => return false,
        };
        partial.start == self.packet.l4 && usize::from(partial.offset) == offset
    }

    /// Whether it may be uploaded as a large one: the host looks for its headers where they are
    /// without a second tag and extension headers.
    #[inline]
    fn is_plain(&self) -> bool {
        let tag = self.packet.vlan.map_or(0, |_| ethernet::TAG);
        let extended = self.packet.version == 6 && self.packet.ip_options;
        usize::from(self.packet.l3) == ethernet::HEADER + tag && !extended
    }

    /// How it is cut into wire frames; `None` unless it is TCP or UDP with a right checksum.
    pub(super) fn large(&self) -> Option<Large<'a>> {
        if self.checksum_ok() == Some(false) {
            return None;
        }
        let packet = &self.packet;
        let kind = match (packet.class, packet.version) {
            (Class::Udp, _) => GsoKind::Udp,
            (Class::Tcp, 4) => GsoKind::Tcp4,
            (Class::Tcp, _) => GsoKind::Tcp6,
            _ => return None,
        };
        Some(Large {
            frame: &self.frame[..packet.end as usize],
            kind,
            l3: packet.l3.into(),
            l4: packet.l4.into(),
            header: packet.payload.into(),
            size: self.offload.gso_size.into(),
            v6: packet.version == 6,
        })
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
    /// Whether the largest frame finds room in the host's rings, as they are now, behind `ahead`.
    #[inline]
    pub(super) fn has_room<E: Env>(
        &mut self,
        env: &mut E,
        rings: &mut RingSet,
        ahead: Ahead,
    ) -> Result<bool, HostError> {
        let entries = (1 + ahead.frames as u32) * storage::MAX_ENTRIES;
        // Each frame may begin a page, and go on in another.
        let pages = ahead.bytes / PAGE_SIZE + 2 * ahead.frames;
        if !self.has_pages(rings, pages) {
            self.fetch_pages(env, rings)?;
        }
        if rings.completions.room() < entries {
            rings.completions.refresh(env)?;
        }
        Ok(self.has_pages(rings, pages) && rings.completions.room() >= entries)
    }

    /// Whether there are pages for the largest frame and `more`, of either ring.
    #[inline]
    fn has_pages(&self, rings: &RingSet, more: usize) -> bool {
        // A host may post fewer pages than that.
        let most = |ring: &Consumer| more + storage::MAX_PAGES.min(ring.entries() as usize / 2);
        self.storage.header_pages() >= most(&rings.headers)
            && self.storage.supply.payload.available() >= most(&rings.payload)
    }

    /// The processor that a frame goes to that this function receives.
    pub(super) fn assigned(&self, frame: &[u8], offload: &RxOffload) -> Option<u8> {
        let arrival = Arrival::new(frame, offload)?;
        self.filter
            .accepts(arrival.destination())
            .then(|| self.steering.of_packet(&arrival.packet, frame).processor)
    }

    /// Takes frames, with their numbers, and calls `elsewhere` with the number of each that belongs to
    /// another processor.
    #[inline]
    pub(super) fn receive_batch<'a, E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        frames: &mut impl Iterator<Item = (usize, (&'a [u8], RxOffload))>,
        elsewhere: &mut impl FnMut(usize, u8),
    ) -> Result<(), HostError> {
        loop {
            let mut batch = [const { None }; BATCH];
            let mut filled = 0;
            for (number, (frame, offload)) in frames.by_ref().take(BATCH) {
                batch[filled] = self
                    .examine(frame, &offload)
                    .map(|examined| (number, examined));
                if let Some((_, Examined { key: Some(key), .. })) = &batch[filled] {
                    self.flows.expect(key.hash);
                }
                filled += 1;
            }
            let batch = &batch[..filled];
            for (_, examined) in batch.iter().flatten() {
                if let Some(key) = &examined.key {
                    self.flows.anticipate(key.hash);
                }
            }
            for (number, examined) in batch.iter().flatten() {
                if let Received::Elsewhere(to) = self.take(now, env, rings, examined, false)? {
                    elsewhere(*number, to);
                }
            }
            if filled < BATCH {
                return Ok(());
            }
        }
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
    ) -> Result<Received, HostError> {
        match self.examine(frame, offload) {
            Some(examined) => self.take(now, env, rings, &examined, here),
            None => Ok(Received::Done),
        }
    }

    /// What a frame is; `None` when nothing is to be done with it, which is counted where it is a
    /// loss.
    #[inline]
    fn examine<'a>(&mut self, frame: &'a [u8], offload: &RxOffload) -> Option<Examined<'a>> {
        let Some(arrival) = Arrival::new(frame, offload) else {
            self.counters.count(Counter::RxMalformed);
            return None;
        };
        if !self.filter.accepts(arrival.destination()) {
            return None;
        }
        let tuple = match arrival.packet.class {
            Class::Tcp | Class::FirstFragment => Tuple::of_received(&arrival.packet, frame),
            _ => None,
        };
        let key = tuple.map(|tuple| Key::new(tuple, self.config.seed));
        Some(Examined { arrival, key })
    }

    /// Takes a frame of which it is known what it is.
    #[inline]
    fn take<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        examined: &Examined<'_>,
        here: bool,
    ) -> Result<Received, HostError> {
        let Examined { arrival, key } = examined;
        let found = match key {
            Some(key) if !self.table.is_empty() => self.table.find(key),
            _ => None,
        };
        let way = match found {
            Some(place) => Way::Delegated(place),
            None => {
                let target = self.steering.of_packet(&arrival.packet, arrival.frame);
                if !here && target.processor != self.config.index {
                    self.counters.count(Counter::Forwarded);
                    return Ok(Received::Elsewhere(target.processor));
                }
                Way::Ordinary(target)
            }
        };
        if !self.has_pages(rings, 0) {
            // What the host has posted since the last round counts: none is lost for lack of pages
            // that are there.
            self.fetch_pages(env, rings)?;
        }
        self.counters
            .wire(&RECEIVED, arrival.destination(), arrival.wire_frames());
        if arrival.datagram() > self.mtu {
            self.counters.count(Counter::RxTooLong);
            return Ok(Received::Done);
        }
        match way {
            Way::Delegated(place) => self.delegated(now, env, rings, place, arrival)?,
            Way::Ordinary(target) => self.ordinary(now, env, rings, arrival, *key, &target)?,
        }
        Ok(Received::Done)
    }

    /// Takes a frame of ordinary traffic.
    #[inline]
    fn ordinary<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        arrival: &Arrival<'_>,
        key: Option<Key>,
        target: &Target,
    ) -> Result<(), HostError> {
        if target.dropped {
            self.counters.count(Counter::RxRuleDrops);
            return Ok(());
        }
        let key = match (key, target.network) {
            (Some(key), Some(network)) => Some(key.of_network(network, self.config.seed)),
            (key, _) => key,
        };
        let (key, hash) = (key.as_ref(), target.hash);
        match arrival.segments {
            2.. if !(self.storage.gro() && arrival.is_plain()) => {
                self.upload_cut(now, env, rings, arrival, key, hash)
            }
            1 if arrival.partial().is_some() => {
                self.upload_completed(now, env, rings, arrival, key, hash)
            }
            _ => self
                .upload(now, env, rings, arrival, key, hash, None)
                .map(|_| ()),
        }
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
    ) -> Result<(), HostError> {
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
                let pages = &mut self.storage.supply.payload;
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
pub(super) fn held(arrival: &Arrival<'_>, piece: &Trimmed, push: bool) -> hold::Held {
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
) -> Result<(), HostError> {
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
