// SPDX-License-Identifier: GPL-2.0

//! Frames from the port: classification and dispatch.

use toe_abi::PAGE_SIZE;
use toe_abi::stats::Counter;
use toe_abi::stats::RECEIVED;

use super::Ahead;
use super::BATCH;
use super::Received;
use super::core::Core;
use super::port_frame::PortFrame;
use super::rings::RingSet;
use crate::env::Env;
use crate::env::RxOffload;
use crate::ring::Consumer;
use crate::ring::HostError;
use crate::steering::Target;
use crate::storage;
use crate::tuple::Key;
use crate::tuple::Tuple;
use crate::wire::packet::Class;
use crate::wire::tcp;

/// A frame that has passed the address filter.
struct Accepted<'a> {
    frame: PortFrame<'a>,
    /// Key of its flow, when it has ports and may be TCP.
    key: Option<Key>,
}

/// What a frame belongs to.
enum Owner {
    /// The delegated connection in this slot.
    Delegated(u32),
    /// The host's own stack.
    Ordinary(Target),
}

impl Core {
    /// Whether the host's rings have room for the largest frame behind `ahead`.
    #[inline]
    pub(super) fn has_room<E: Env>(
        &mut self,
        env: &mut E,
        rings: &mut RingSet,
        ahead: Ahead,
    ) -> Result<bool, HostError> {
        let entries = (1 + ahead.frames as u32) * storage::MAX_ENTRIES;
        // Each frame may start a page and end in another one.
        let pages = ahead.bytes / PAGE_SIZE + 2 * ahead.frames;
        if !self.has_pages(rings, pages) {
            self.fetch_pages(env, rings)?;
        }
        if rings.completions.room() < entries {
            rings.completions.refresh(env)?;
        }
        Ok(self.has_pages(rings, pages) && rings.completions.room() >= entries)
    }

    /// Whether both rings have pages for the largest frame and `more` pages.
    #[inline]
    fn has_pages(&self, rings: &RingSet, more: usize) -> bool {
        // The host may post fewer pages than the largest frame takes.
        let most = |ring: &Consumer| more + storage::MAX_PAGES.min(ring.entries() as usize / 2);
        self.storage.header_pages() >= most(&rings.headers)
            && self.storage.supply.payload.available() >= most(&rings.payload)
    }

    /// The processor that `frame` is assigned to, `None` when the function does not receive it.
    pub(super) fn assigned(&self, frame: &[u8], offload: &RxOffload) -> Option<u8> {
        let frame = PortFrame::new(frame, offload)?;
        self.filter.accepts(frame.destination()).then(|| {
            self.steering
                .of_packet(&frame.packet, frame.bytes)
                .processor
        })
    }

    /// Takes numbered frames. Calls `elsewhere` with the number of each frame that belongs to another
    /// processor, and with that processor.
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
                    .accept(frame, &offload)
                    .map(|accepted| (number, accepted));
                if let Some((_, Accepted { key: Some(key), .. })) = &batch[filled] {
                    self.flows.expect(key.hash);
                }
                filled += 1;
            }
            let batch = &batch[..filled];
            for (_, accepted) in batch.iter().flatten() {
                if let Some(key) = &accepted.key {
                    self.flows.anticipate(key.hash);
                }
            }
            for (number, accepted) in batch.iter().flatten() {
                if let Received::Elsewhere(to) = self.take(now, env, rings, accepted, false)? {
                    elsewhere(*number, to);
                }
            }
            if filled < BATCH {
                return Ok(());
            }
        }
    }

    /// Takes a frame. `here`: another processor has found that it belongs to this one.
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
        match self.accept(frame, offload) {
            Some(accepted) => self.take(now, env, rings, &accepted, here),
            None => Ok(Received::Done),
        }
    }

    /// Parses a frame and applies the address filter. `None` when the frame is dropped.
    #[inline]
    fn accept<'a>(&mut self, frame: &'a [u8], offload: &RxOffload) -> Option<Accepted<'a>> {
        let Some(frame) = PortFrame::new(frame, offload) else {
            self.counters.count(Counter::RxMalformed);
            return None;
        };
        if !self.filter.accepts(frame.destination()) {
            return None;
        }
        let tuple = match frame.packet.class {
            Class::Tcp | Class::FirstFragment if frame.packet.protocol == tcp::PROTOCOL => {
                Tuple::of_received(&frame.packet, frame.bytes)
            }
            _ => None,
        };
        let key = tuple.map(|tuple| Key::new(tuple, self.config.seed));
        Some(Accepted { frame, key })
    }

    /// Takes an accepted frame.
    #[inline]
    fn take<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        accepted: &Accepted<'_>,
        here: bool,
    ) -> Result<Received, HostError> {
        let Accepted { frame, key } = accepted;
        let found = match key {
            Some(key) if !self.table.is_empty() => self.table.find(key),
            _ => None,
        };
        let owner = match found {
            Some(slot) => Owner::Delegated(slot),
            None => {
                let target = self.steering.of_packet(&frame.packet, frame.bytes);
                if !here && target.processor != self.config.index {
                    self.counters.count(Counter::Forwarded);
                    return Ok(Received::Elsewhere(target.processor));
                }
                Owner::Ordinary(target)
            }
        };
        if !self.has_pages(rings, 0) {
            // Pages may have been posted since the last round: do not drop the frame for lack of
            // pages without looking.
            self.fetch_pages(env, rings)?;
        }
        self.counters
            .wire(&RECEIVED, frame.destination(), frame.wire_frames());
        if frame.datagram() > self.mtu {
            self.counters.count(Counter::RxTooLong);
            return Ok(Received::Done);
        }
        match owner {
            Owner::Delegated(slot) => self.delegated(now, env, rings, slot, frame)?,
            Owner::Ordinary(target) => self.ordinary(now, env, rings, frame, *key, &target)?,
        }
        Ok(Received::Done)
    }

    /// Takes a frame for the host's own stack.
    #[inline]
    fn ordinary<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &mut RingSet,
        frame: &PortFrame<'_>,
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
        match frame.segments {
            2.. if !(self.storage.gro() && frame.is_plain()) => {
                self.upload_cut(now, env, rings, frame, key, hash)
            }
            1 if frame.partial().is_some() => {
                self.upload_completed(now, env, rings, frame, key, hash)
            }
            _ => self
                .upload(now, env, rings, frame, key, hash, None)
                .map(|_| ()),
        }
    }
}
