// SPDX-License-Identifier: GPL-2.0

//! Flow database: upload state of the TCP flows that are not delegated.
//!
//! Classifies how a frame continues its flow, and at hand-over tells which payload is in frames
//! that the host's TCP may not have processed yet.

use alloc::boxed::Box;
use alloc::vec;

use branches::prefetch_read_data;
use toe_abi::completion::CompletionOp;

use crate::tcp::Seq;
use crate::tcp::flag;
use crate::tuple::Key;
use crate::tuple::Tuple;
use crate::wire::tcp;

/// Associativity. The least recently used flow of a set is evicted.
const WAYS: usize = 4;

/// State bits of a flow.
mod state {
    /// `run_start` and `next` are valid.
    pub(super) const KNOWN: u8 = 1 << 0;
    /// The flow has ended with FIN or RST.
    pub(super) const ENDED: u8 = 1 << 1;
    /// `ack`, `ack_seq` and `window` are valid.
    pub(super) const ACKNOWLEDGES: u8 = 1 << 2;
}

/// A flow, one cache line in size.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Flow {
    tuple: Tuple,
    track: Track,
}

const _: () = assert!(size_of::<Flow>() == 64);

/// Upload state of a flow.
///
/// # Invariants
///
/// If `KNOWN` is set, every byte in `[run_start, next)` has been uploaded.
#[derive(Clone, Copy, Default)]
struct Track {
    /// Start of the contiguous range that was uploaded last.
    run_start: Seq,
    /// End of that range: next expected sequence number.
    next: Seq,
    /// Latest uploaded acknowledgement number, the sequence number of its segment, and its window.
    ack: Seq,
    ack_seq: Seq,
    window: u16,
    /// [`state`] bits.
    state: u8,
}

/// Tag of a flow, which a lookup compares without reading the flow itself.
#[derive(Clone, Copy, Default)]
struct Tag {
    /// Hash bits, one of which is always set. 0 marks a free way.
    hash: u16,
    /// Time of last use, in units of 2^[`ACTIVITY`] microseconds.
    active: u16,
}

/// log2 of the unit of `Tag::active`, in microseconds. The count wraps after 71 minutes, so a flow
/// that was idle for longer may look recently used.
const ACTIVITY: u32 = 16;

/// An uploaded acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadedAck {
    /// Sequence number of the segment.
    pub seq: Seq,
    /// Acknowledgement number.
    pub ack: Seq,
    /// Window field, not scaled.
    pub window: u16,
}

/// Pending change to a flow, made by uploading a segment.
pub struct Change {
    place: usize,
    track: Track,
    /// How the segment continues its flow: `FlowEnds`, `FlowBegins`, `NoPayload`, `Reassembled` or
    /// `NotReassembled`.
    pub op: CompletionOp,
    /// The payload is the next of the flow, or its first.
    pub continues: bool,
}

impl Change {
    /// Identifier of the flow.
    #[inline]
    pub fn id(&self) -> u32 {
        self.place as u32
    }
}

/// Upload state at hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// End of the uploaded contiguous range that starts at or before the host's `rcv_nxt`.
    pub end: Seq,
    /// Payload after a hole behind `end` was uploaded too.
    pub hole: bool,
    /// Latest uploaded acknowledgement.
    pub ack: Option<UploadedAck>,
}

/// Tags of a set.
#[derive(Clone, Copy, Default)]
struct Tags([Tag; WAYS]);

impl Tags {
    /// The way that most likely holds a flow with these tag bits. Way 0 if none matches.
    #[inline]
    fn likely(&self, bits: u16) -> usize {
        // Branchless, since the outcome is unpredictable.
        (1..WAYS).fold(0, |way, i| way.max(i * usize::from(self.0[i].hash == bits)))
    }

    /// The way to evict: a free one, else the least recently used.
    fn oldest(&self, now: u16) -> usize {
        let idle = |tag: &Tag| match tag.hash {
            0 => u32::MAX,
            _ => u32::from(now.wrapping_sub(tag.active)),
        };
        (1..WAYS).fold(0, |oldest, way| {
            match idle(&self.0[way]) > idle(&self.0[oldest]) {
                true => way,
                false => oldest,
            }
        })
    }
}

/// Tag bits of a hash.
#[inline]
fn bits(hash: u64) -> u16 {
    (hash >> 48) as u16 | 1
}

/// Prefetches into the cache.
#[inline]
fn fetch<T>(what: &T) {
    prefetch_read_data::<T, 0>(what);
}

/// The flow database, set-associative and of fixed size.
///
/// Tags are stored apart from the flows. They are small enough to stay in a cache that the flows do
/// not fit in, and tell which single cache line of the flows is needed.
pub struct Flows {
    tags: Box<[Tags]>,
    flows: Box<[Flow]>,
}

impl Flows {
    /// Creates a database for `flows` flows, a power of two.
    pub fn new(flows: u32) -> Self {
        let sets = (flows as usize / WAYS).next_power_of_two().max(1);
        Self {
            tags: vec![Tags::default(); sets].into_boxed_slice(),
            flows: vec![Flow::default(); sets * WAYS].into_boxed_slice(),
        }
    }

    /// Removes all flows.
    pub fn clear(&mut self) {
        self.tags.fill(Tags::default());
    }

    /// Index of the set for this hash.
    #[inline]
    fn set(&self, hash: u64) -> usize {
        hash as usize & (self.tags.len() - 1)
    }

    /// Prefetches the tags for this hash, ahead of a lookup.
    #[inline]
    pub fn expect(&self, hash: u64) {
        fetch(&self.tags[self.set(hash)]);
    }

    /// Prefetches the flow for this hash. Call some time after [`Flows::expect`].
    #[inline]
    pub fn anticipate(&self, hash: u64) {
        let set = self.set(hash);
        let way = self.tags[set].likely(bits(hash));
        fetch(&self.flows[set * WAYS + way]);
    }

    /// Index of the flow of `key`. Inserts it if needed, evicting the least recently used flow of
    /// its set.
    #[inline]
    fn place(&mut self, key: &Key, now: u64) -> usize {
        let set = self.set(key.hash);
        let bits = bits(key.hash);
        let now = (now >> ACTIVITY) as u16;
        let tags = &mut self.tags[set];
        let flows = &mut self.flows[set * WAYS..(set + 1) * WAYS];
        let is_it = |&way: &usize| tags.0[way].hash == bits && flows[way].tuple == key.tuple;
        let likely = Some(tags.likely(bits)).filter(is_it);
        if let Some(way) = likely.or_else(|| (0..WAYS).find(is_it)) {
            tags.0[way].active = now;
            return set * WAYS + way;
        }
        let way = tags.oldest(now);
        tags.0[way] = Tag {
            hash: bits,
            active: now,
        };
        flows[way] = Flow {
            tuple: key.tuple,
            track: Track::default(),
        };
        set * WAYS + way
    }

    /// Classifies how a segment that is about to be uploaded continues its flow. The change takes
    /// effect with [`Flows::commit`], once the segment has been stored.
    #[inline]
    pub fn classify(
        &mut self,
        now: u64,
        key: &Key,
        header: &tcp::Header<'_>,
        length: u32,
    ) -> Change {
        let place = self.place(key, now);
        let mut track = self.flows[place].track;
        let flags = header.flags();
        if flags & flag::ACK != 0 {
            track.acknowledge(header);
        }
        let (op, continues) = track.upload(flags, header.seq(), length);
        Change {
            place,
            track,
            op,
            continues,
        }
    }

    /// Applies `change`: its segment has been uploaded. The database must not have changed in
    /// between.
    #[inline]
    pub fn commit(&mut self, change: &Change) {
        self.flows[change.place].track = change.track;
    }

    /// Records that the host has everything up to `next` and that no other upload is in progress.
    pub fn begin(&mut self, now: u64, key: &Key, next: Seq) {
        let place = self.place(key, now);
        self.flows[place].track = Track {
            run_start: next,
            next,
            state: state::KNOWN,
            ..Track::default()
        };
    }

    /// Upload state for a host whose TCP has processed everything before `rcv_nxt`. Returns `None`
    /// if it is not known; the flow is then tracked from `rcv_nxt` on, so that a later call
    /// succeeds.
    pub fn uploaded(&mut self, now: u64, key: &Key, rcv_nxt: Seq) -> Option<Uploaded> {
        let place = self.place(key, now);
        let flow = &mut self.flows[place].track;
        if flow.state & state::ENDED != 0 {
            return None;
        }
        let known = flow.is_known();
        if known && rcv_nxt.at_most(flow.next) {
            let hole = rcv_nxt.before(flow.run_start);
            return Some(Uploaded {
                end: if hole { rcv_nxt } else { flow.next },
                hole,
                ack: flow.acknowledgement(),
            });
        }
        flow.state |= state::KNOWN;
        flow.run_start = rcv_nxt;
        flow.next = rcv_nxt;
        None
    }
}

impl Track {
    #[inline]
    fn is_known(&self) -> bool {
        self.state & state::KNOWN != 0
    }

    #[inline]
    fn acknowledgement(&self) -> Option<UploadedAck> {
        (self.state & state::ACKNOWLEDGES != 0).then_some(UploadedAck {
            seq: self.ack_seq,
            ack: self.ack,
            window: self.window,
        })
    }

    #[inline]
    fn acknowledge(&mut self, header: &tcp::Header<'_>) {
        if self.state & state::ACKNOWLEDGES == 0 || self.ack.at_most(header.ack()) {
            self.ack = header.ack();
            self.ack_seq = header.seq();
            self.window = header.window();
            self.state |= state::ACKNOWLEDGES;
        }
    }

    /// Records an uploaded segment. Returns its class, and whether its payload continues the flow.
    #[inline]
    fn upload(&mut self, flags: u8, seq: Seq, length: u32) -> (CompletionOp, bool) {
        if flags & flag::SYN != 0 {
            self.state = self.state & !state::ENDED | state::KNOWN;
            self.run_start = seq + 1;
            self.next = seq + 1 + length;
            return (CompletionOp::FlowBegins, length != 0);
        }
        let end = seq + length;
        let continues = self.is_known() && seq == self.next;
        let (op, continues) = if length == 0 {
            (CompletionOp::NoPayload, false)
        } else if continues {
            self.next = end;
            (CompletionOp::Reassembled, true)
        } else if !self.is_known() {
            self.state |= state::KNOWN;
            self.run_start = seq;
            self.next = end;
            (CompletionOp::FlowBegins, true)
        } else {
            self.place_run(seq, end);
            (CompletionOp::NotReassembled, false)
        };
        if flags & (flag::FIN | flag::RST) != 0 {
            self.state |= state::ENDED;
            return (CompletionOp::FlowEnds, continues);
        }
        (op, continues)
    }

    /// Records `[seq, end)`, which does not start at `next`.
    fn place_run(&mut self, seq: Seq, end: Seq) {
        if seq.after(self.next) {
            // A gap: only the range after it is known to be uploaded.
            self.run_start = seq;
            self.next = end;
        } else if end.at_least(self.run_start) {
            // Overlaps or adjoins the range.
            self.run_start = self.run_start.min(seq);
            self.next = self.next.max(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::tuple::Seed;
    use crate::wire::tcp::Repr;

    fn key(port: u16) -> Key {
        let tuple = Tuple {
            remote_port: port,
            version: 4,
            ..Tuple::default()
        };
        Key::new(tuple, Seed::new(1))
    }

    /// Tags must be distinct within a set, or a lookup reads other flows too.
    #[test]
    fn tags_tell_flows_of_a_set_apart() {
        for seed in 0..32 {
            let mut tags: Vec<_> = (0..20_000u32)
                .map(|i| {
                    let mut tuple = Tuple {
                        version: 4,
                        ..Tuple::default()
                    };
                    tuple.remote[..4].copy_from_slice(&(10 << 24 | i).to_be_bytes());
                    let hash = Key::new(tuple, Seed::new(seed)).hash;
                    (hash & 0x3fff, bits(hash))
                })
                .collect();
            tags.sort_unstable();
            let all = tags.len();
            tags.dedup();
            assert!(all - tags.len() < 10, "{} of seed {seed}", all - tags.len());
        }
    }

    fn upload(flows: &mut Flows, now: u64, port: u16, repr: &Repr, length: u32) -> CompletionOp {
        let mut bytes = [0; 20];
        repr.emit(&mut bytes);
        let header = tcp::Header::new(&bytes).unwrap();
        let change = flows.classify(now, &key(port), &header, length);
        flows.commit(&change);
        change.op
    }

    fn data(flows: &mut Flows, now: u64, port: u16, seq: u32, length: u32) -> CompletionOp {
        let repr = Repr {
            seq: Seq(seq),
            flags: flag::ACK,
            ..Repr::default()
        };
        upload(flows, now, port, &repr, length)
    }

    #[test]
    fn operation_codes() {
        let mut flows = Flows::new(64);
        assert_eq!(data(&mut flows, 1, 1, 100, 10), CompletionOp::FlowBegins);
        assert_eq!(data(&mut flows, 1, 1, 110, 10), CompletionOp::Reassembled);
        assert_eq!(data(&mut flows, 1, 1, 120, 0), CompletionOp::NoPayload);
        assert_eq!(
            data(&mut flows, 1, 1, 130, 10),
            CompletionOp::NotReassembled
        );
        assert_eq!(data(&mut flows, 1, 1, 140, 10), CompletionOp::Reassembled);
        let fin = Repr {
            seq: Seq(150),
            flags: flag::FIN,
            ..Repr::default()
        };
        assert_eq!(upload(&mut flows, 1, 1, &fin, 0), CompletionOp::FlowEnds);
        assert_eq!(flows.uploaded(1, &key(1), Seq(150)), None);
    }

    #[test]
    fn a_hole_is_not_vouched_for_until_it_is_filled() {
        let mut flows = Flows::new(64);
        data(&mut flows, 1, 1, 100, 10);
        data(&mut flows, 1, 1, 120, 10);
        let up = flows.uploaded(1, &key(1), Seq(110));
        assert_eq!(up.map(|up| (up.end, up.hole)), Some((Seq(110), true)));
        data(&mut flows, 1, 1, 110, 10);
        let up = flows.uploaded(1, &key(1), Seq(110));
        assert_eq!(up.map(|up| (up.end, up.hole)), Some((Seq(130), false)));
    }

    #[test]
    fn an_unknown_flow_is_told_on_the_second_question() {
        let mut flows = Flows::new(64);
        assert_eq!(flows.uploaded(1, &key(1), Seq(7)), None);
        let end = flows.uploaded(1, &key(1), Seq(7)).map(|up| up.end);
        assert_eq!(end, Some(Seq(7)));
    }

    #[test]
    fn the_least_recently_used_gives_way() {
        let mut flows = Flows::new(WAYS as u32);
        let at = |time: u64| time << ACTIVITY;
        for port in 0..WAYS as u16 {
            data(&mut flows, at(port.into()), port, 0, 10);
        }
        data(&mut flows, at(10), 0, 10, 10);
        data(&mut flows, at(11), 99, 0, 10);
        assert_eq!(
            data(&mut flows, at(12), 0, 20, 10),
            CompletionOp::Reassembled
        );
        assert_eq!(
            data(&mut flows, at(13), 1, 10, 10),
            CompletionOp::FlowBegins
        );
    }

    proptest! {
        /// Whatever arrives, the reported range has been uploaded.
        #[test]
        fn vouches_only_for_what_was_uploaded(
            start: u32,
            segments in proptest::collection::vec((0u32..300, 0u32..40), 0..60),
            question in 0u32..300,
        ) {
            let mut flows = Flows::new(64);
            let mut uploaded: Vec<bool> = alloc::vec![false; 400];
            for (offset, length) in segments {
                data(&mut flows, 1, 1, start.wrapping_add(offset), length);
                uploaded[offset as usize..(offset + length) as usize].fill(true);
            }
            let rcv_nxt = Seq(start) + question;
            if let Some(up) = flows.uploaded(1, &key(1), rcv_nxt) {
                let end = question + (up.end - rcv_nxt);
                prop_assert!(uploaded[question as usize..end as usize].iter().all(|&up| up));
            }
        }
    }
}
