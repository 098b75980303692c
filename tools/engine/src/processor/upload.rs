// SPDX-License-Identifier: GPL-2.0

//! Frames that the host's own stack is to have: classified (R1.3) and stored.

use core::mem;

use toe_abi::completion::HashType;
use toe_abi::completion::NO_FLOW;
use toe_abi::completion::Op;
use toe_abi::completion::RxFrame;
use toe_abi::completion::frame_flag;
use toe_abi::stats::Counter;

use super::core::Core;
use super::core::RingSet;
use super::receive::Arrival;
use crate::env::Env;
use crate::env::RxChecksum;
use crate::env::RxOffload;
use crate::flow::Change;
use crate::gro::GroHeaders;
use crate::gso;
use crate::ring::HostError;
use crate::storage::GroSegment;
use crate::storage::Stored;
use crate::storage::Stripped;
use crate::tcp::flag;
use crate::tuple::Key;
use crate::tuple::Network;
use crate::tuple::Seed;
use crate::tuple::Tuple;
use crate::wire::Malformed;
use crate::wire::ethernet;
use crate::wire::packet::Class;
use crate::wire::tcp;
use crate::wire::vxlan;

/// What is known of a frame whose checksum has just been filled in.
const COMPLETE: RxOffload = RxOffload {
    checksum: RxChecksum::Valid,
    gso_size: 0,
};

/// A TCP segment in a frame, perhaps inside a VXLAN datagram.
struct Found<'a> {
    tcp: tcp::Header<'a>,
    key: Key,
    /// Where its payload starts in the frame.
    payload: usize,
    length: u32,
    /// Its checksum is right.
    valid: bool,
}

impl<'a> Found<'a> {
    /// The segment in `arrival`, of which it is known whether the checksum is right and, when it
    /// stands in the frame itself, what its key is. Else that is made with `seed`.
    #[inline]
    fn new(
        arrival: &Arrival<'a>,
        key: Option<&Key>,
        checksum: Option<bool>,
        seed: Seed,
    ) -> Option<Self> {
        let packet = &arrival.packet;
        if let (Some(tcp), Some(key)) = (packet.tcp(arrival.frame), key) {
            return Some(Self {
                tcp,
                key: *key,
                payload: packet.payload.into(),
                length: packet.payload_length(),
                valid: checksum == Some(true),
            });
        }
        let inner = match checksum {
            Some(false) => return None,
            _ => vxlan::Inner::of(packet, arrival.frame)?,
        };
        let frame = inner.frame(arrival.frame);
        let tuple = Tuple {
            network: Network::vxlan(inner.vni),
            ..Tuple::of_received(&inner.packet, frame)?
        };
        Some(Self {
            tcp: inner.packet.tcp(frame)?,
            key: Key::new(tuple, seed),
            payload: inner.start + usize::from(inner.packet.payload),
            length: inner.packet.payload_length(),
            valid: inner.packet.checksum_ok(frame) == Some(true),
        })
    }
}

impl Core {
    /// Uploads the wire frames that a large frame of ordinary traffic stands for.
    #[cold]
    pub(super) fn upload_cut<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        arrival: &Arrival<'_>,
        key: Option<&Key>,
        hash: (u32, HashType),
    ) -> Result<(), HostError> {
        let Some(large) = arrival.large() else {
            self.upload(now, env, rings, arrival, key, hash, None)?;
            return Ok(());
        };
        let mut buffer = mem::take(&mut self.scratch.segment);
        let mut result = Ok(());
        for index in 0..large.count() {
            let length = large.emit(index, &mut buffer);
            if let Some(piece) = Arrival::new(&buffer[..length], &COMPLETE) {
                result = self
                    .upload(now, env, rings, &piece, key, hash, None)
                    .map(|_| ());
            }
            if result.is_err() {
                break;
            }
        }
        self.scratch.segment = buffer;
        result
    }

    /// Uploads a frame that never left a machine, with the checksum that nobody has filled in yet:
    /// whoever captures or forwards it expects one.
    pub(super) fn upload_completed<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        arrival: &Arrival<'_>,
        key: Option<&Key>,
        hash: (u32, HashType),
    ) -> Result<(), HostError> {
        let mut buffer = mem::take(&mut self.scratch.segment);
        let frame = &mut buffer[..arrival.frame.len()];
        frame.copy_from_slice(arrival.frame);
        let end = arrival.packet.end as usize;
        let completed = arrival.partial().filter(|partial| {
            let (start, offset) = (partial.start.into(), partial.offset.into());
            gso::complete_checksum(&mut frame[..end], start, offset)
        });
        let whole = completed.and_then(|partial| {
            // Another's, inside a tunnel, says nothing of the transport's own.
            let known = match arrival.is_own(&partial) {
                true => COMPLETE,
                false => RxOffload::default(),
            };
            Arrival::new(frame, &known)
        });
        let result = match &whole {
            Some(whole) => self.upload(now, env, rings, whole, key, hash, None),
            None => self.upload(now, env, rings, arrival, key, hash, None),
        };
        self.scratch.segment = buffer;
        result.map(|_| ())
    }

    /// Uploads a frame of ordinary traffic, or as a legacy frame of the connection `legacy`. One that
    /// cannot be stored is counted.
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
        key: Option<&Key>,
        (hash, hash_type): (u32, HashType),
        legacy: Option<u32>,
    ) -> Result<Stored, HostError> {
        let packet = &arrival.packet;
        let mut completion = RxFrame {
            op: Op::NotTcp.raw(),
            hash_type: hash_type.raw(),
            flow: NO_FLOW,
            hash,
            segments: 1,
            ..RxFrame::default()
        };
        let mut tag = 0;
        if let Some(tci) = packet.vlan {
            tag = ethernet::TAG;
            completion.flags |= frame_flag::VLAN;
            completion.vlan_tci = tci;
        }
        let checksum = arrival.checksum_ok();
        if arrival.segments > 1 && checksum != Some(false) {
            completion.segments = arrival.segments;
            completion.gso_size = arrival.offload.gso_size;
        }
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
        let found = Found::new(arrival, key, checksum, self.config.seed);
        let mut change = None;
        let mut segment = None;
        if let Some(found) = &found {
            if found.valid {
                change = Some(
                    self.flows
                        .classify(now, &found.key, &found.tcp, found.length),
                );
            }
            let op = change.as_ref().map_or(Op::NotReassembled, |c| c.op);
            completion.flow = change.as_ref().map_or(NO_FLOW, Change::id);
            let has_payload = matches!(op, Op::Reassembled | Op::NotReassembled);
            let small = has_payload && self.storage.is_small(frame.len() - tag);
            completion.op = if small { Op::Small } else { op }.raw();
            if let (Some(change), 1..) = (&change, found.length) {
                // What a connection is given back with stands for itself.
                let goes_on = legacy.is_none();
                segment = Some(GroSegment {
                    flow: completion.flow,
                    seq: found.tcp.seq(),
                    header: found.payload - tag,
                    continues: goes_on && change.continues,
                    begins: goes_on && op == Op::FlowBegins,
                    push: found.tcp.flags() & flag::PSH != 0,
                    joins: GroHeaders::of(packet, &found.tcp, tag),
                    size: match completion.gso_size {
                        // CAST: payload of a datagram.
                        0 => found.length as u16,
                        size => size,
                    },
                });
            }
        }
        let flow = change.as_ref().map(Change::id);
        if let Some(host_id) = legacy {
            completion.flags |= frame_flag::LEGACY;
            completion.flow = host_id;
        }
        let stored = self.storage.store(
            env,
            &mut rings.completions,
            &Stripped::new(frame, tag),
            flow,
            segment.as_ref(),
            &mut completion,
        )?;
        // What found no room was not uploaded: the flow database must not vouch for it.
        match (stored, &change) {
            (Stored::Done, Some(change)) => self.flows.commit(change),
            (Stored::Done, None) => {}
            (Stored::NoPage, _) => self.counters.count(Counter::RxNoPage),
            (Stored::NoCompletion, _) => self.counters.count(Counter::RxNoCompletion),
        }
        Ok(stored)
    }
}
