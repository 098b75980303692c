// SPDX-License-Identifier: GPL-2.0

//! Upload of frames to the host's own stack: classification and storage.

use core::mem;

use toe_abi::completion::CompletionOp;
use toe_abi::completion::HashType;
use toe_abi::completion::NO_FLOW;
use toe_abi::completion::RxFrame;
use toe_abi::completion::frame_flag;
use toe_abi::stats::Counter;

use super::core::Core;
use super::port_frame::PortFrame;
use super::rings::RingSet;
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

/// Offload state of a frame whose checksum the engine has filled in.
const COMPLETE: RxOffload = RxOffload {
    checksum: RxChecksum::Valid,
    gso_size: 0,
};

/// A TCP segment in a frame, possibly inside a VXLAN datagram.
struct Found<'a> {
    tcp: tcp::Header<'a>,
    key: Key,
    /// Offset of its payload in the frame.
    payload: usize,
    /// Bytes of payload.
    length: u32,
    /// Its checksum is correct.
    valid: bool,
}

impl<'a> Found<'a> {
    /// The segment in `frame`. `key` and `checksum` are those of the frame's own transport header;
    /// the key of an encapsulated segment is made with `seed`.
    #[inline]
    fn new(
        frame: &PortFrame<'a>,
        key: Option<&Key>,
        checksum: Option<bool>,
        seed: Seed,
    ) -> Option<Self> {
        let packet = &frame.packet;
        if let (Some(tcp), Some(key)) = (packet.tcp(frame.bytes), key) {
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
            _ => vxlan::Inner::of(packet, frame.bytes)?,
        };
        let bytes = inner.frame(frame.bytes);
        let tuple = Tuple {
            network: Network::vxlan(inner.vni),
            ..Tuple::of_received(&inner.packet, bytes)?
        };
        Some(Self {
            tcp: inner.packet.tcp(bytes)?,
            key: Key::new(tuple, seed),
            payload: inner.start + usize::from(inner.packet.payload),
            length: inner.packet.payload_length(),
            valid: inner.packet.checksum_ok(bytes) == Some(true),
        })
    }
}

impl Core {
    /// Cuts a large frame into wire frames and uploads these.
    #[cold]
    pub(super) fn upload_cut<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        frame: &PortFrame<'_>,
        key: Option<&Key>,
        hash: (u32, HashType),
    ) -> Result<(), HostError> {
        let Some(large) = frame.large() else {
            self.upload(now, env, rings, frame, key, hash, None)?;
            return Ok(());
        };
        let mut buffer = mem::take(&mut self.scratch.segment);
        let mut result = Ok(());
        for index in 0..large.count() {
            let length = large.emit(index, &mut buffer);
            if let Some(wire_frame) = PortFrame::new(&buffer[..length], &COMPLETE) {
                result = self
                    .upload(now, env, rings, &wire_frame, key, hash, None)
                    .map(|_| ());
            }
            if result.is_err() {
                break;
            }
        }
        self.scratch.segment = buffer;
        result
    }

    /// Fills in the checksum that the sender, on the same machine, has left out, and uploads the
    /// frame. Packet capture and forwarding on the host expect a complete checksum.
    pub(super) fn upload_completed<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        frame: &PortFrame<'_>,
        key: Option<&Key>,
        hash: (u32, HashType),
    ) -> Result<(), HostError> {
        let mut buffer = mem::take(&mut self.scratch.segment);
        let bytes = &mut buffer[..frame.bytes.len()];
        bytes.copy_from_slice(frame.bytes);
        let end = frame.packet.end as usize;
        let completed = frame.partial().filter(|partial| {
            let (start, offset) = (partial.start.into(), partial.offset.into());
            gso::complete_checksum(&mut bytes[..end], start, offset)
        });
        let whole = completed.and_then(|partial| {
            // A checksum inside a tunnel does not cover the outer transport header.
            let offload = match frame.is_own(&partial) {
                true => COMPLETE,
                false => RxOffload::default(),
            };
            PortFrame::new(bytes, &offload)
        });
        let result = match &whole {
            Some(whole) => self.upload(now, env, rings, whole, key, hash, None),
            None => self.upload(now, env, rings, frame, key, hash, None),
        };
        self.scratch.segment = buffer;
        result.map(|_| ())
    }

    /// Classifies a frame, stores it and writes its completion. With `legacy`, it is a legacy frame of
    /// the connection with this host identifier. Counts a frame that cannot be stored.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "all callers have these values")]
    pub(super) fn upload<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        frame: &PortFrame<'_>,
        key: Option<&Key>,
        (hash, hash_type): (u32, HashType),
        legacy: Option<u32>,
    ) -> Result<Stored, HostError> {
        let packet = &frame.packet;
        let mut completion = RxFrame {
            op: CompletionOp::NotTcp.raw(),
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
        let checksum = frame.checksum_ok();
        if frame.segments > 1 && checksum != Some(false) {
            completion.segments = frame.segments;
            completion.gso_size = frame.offload.gso_size;
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
        let bytes = match packet.class {
            Class::Other | Class::Malformed(_) => frame.bytes,
            _ => &frame.bytes[..packet.end as usize],
        };
        let found = Found::new(frame, key, checksum, self.config.seed);
        let mut change = None;
        let mut segment = None;
        if let Some(found) = &found {
            if found.valid {
                change = Some(
                    self.flows
                        .classify(now, &found.key, &found.tcp, found.length),
                );
            }
            let op = change
                .as_ref()
                .map_or(CompletionOp::NotReassembled, |c| c.op);
            completion.flow = change.as_ref().map_or(NO_FLOW, Change::id);
            let has_payload =
                matches!(op, CompletionOp::Reassembled | CompletionOp::NotReassembled);
            let small = has_payload && self.storage.is_small(bytes.len() - tag);
            completion.op = if small { CompletionOp::Small } else { op }.raw();
            if let (Some(change), 1..) = (&change, found.length) {
                // Payload of a legacy frame is not gathered with that of other frames.
                let gathers = legacy.is_none();
                segment = Some(GroSegment {
                    flow: completion.flow,
                    seq: found.tcp.seq(),
                    header: found.payload - tag,
                    continues: gathers && change.continues,
                    begins: gathers && op == CompletionOp::FlowBegins,
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
            &Stripped::new(bytes, tag),
            flow,
            segment.as_ref(),
            &mut completion,
        )?;
        // The flow database records only frames that were uploaded.
        match (stored, &change) {
            (Stored::Done, Some(change)) => self.flows.commit(change),
            (Stored::Done, None) => {}
            (Stored::NoPage, _) => self.counters.count(Counter::RxNoPage),
            (Stored::NoCompletion, _) => self.counters.count(Counter::RxNoCompletion),
        }
        Ok(stored)
    }
}
