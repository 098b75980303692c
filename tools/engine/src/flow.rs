// SPDX-License-Identifier: GPL-2.0

//! The flow database (R1.2): what the host has been given of each TCP flow that it carries itself.
//!
//! It says how a frame continues its flow (R1.3), and at hand-over it knows what is on the way up in
//! frames that the host's TCP may not have seen yet.

use alloc::boxed::Box;
use alloc::vec;

use branches::prefetch_read_data;
use toe_abi::completion::Op;

use crate::tcp::Seq;
use crate::tcp::flag;
use crate::tuple::Key;
use crate::tuple::Tuple;
use crate::wire::tcp;

/// Flows that share a set; the least recently used of them gives way.
const WAYS: usize = 4;

/// States of a flow.
mod state {
    /// `run_start` and `next` count.
    pub(super) const KNOWN: u8 = 1 << 0;
    /// The flow has ended with FIN or RST.
    pub(super) const ENDED: u8 = 1 << 1;
    /// `ack`, `ack_seq` and `window` count.
    pub(super) const ACKNOWLEDGES: u8 = 1 << 2;
}

/// A flow: one cache line.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Flow {
    tuple: Tuple,
    track: Track,
}

const _: () = assert!(size_of::<Flow>() == 64);

/// What the host has been given of a flow.
///
/// # Invariants
///
/// With `KNOWN`: every byte of `[run_start, next)` has been uploaded.
#[derive(Clone, Copy, Default)]
struct Track {
    /// Start of the contiguous run that was uploaded last.
    run_start: Seq,
    /// Its end: the next expected sequence number.
    next: Seq,
    /// The latest acknowledgement that was uploaded, the sequence number of its segment, and the
    /// window.
    ack: Seq,
    ack_seq: Seq,
    window: u16,
    /// [`state`] bits.
    state: u8,
}

/// What is known of the flows of a set without looking at them.
#[derive(Clone, Copy, Default)]
struct Tag {
    /// Bits of the hash, one of them always set; 0 for a free place.
    hash: u16,
    /// Last activity, in units of [`ACTIVITY`].
    active: u16,
}

/// log2 of the microseconds in which activity is counted. The count comes round every 71 minutes: a
/// flow that was idle for longer may count as active.
const ACTIVITY: u32 = 16;

/// An acknowledgement that was uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadedAck {
    /// Sequence number of its segment.
    pub seq: Seq,
    /// Acknowledgement number.
    pub ack: Seq,
    /// Window, not scaled.
    pub window: u16,
}

/// What uploading a segment changes in the database.
pub struct Change {
    place: usize,
    track: Track,
    /// How the segment continues its flow: `FlowEnds`, `FlowBegins`, `NoPayload`, `Reassembled` or
    /// `NotReassembled`.
    pub op: Op,
    /// Its payload is the flow's next, or its first.
    pub continues: bool,
}

impl Change {
    /// Identifier of the flow.
    #[inline]
    pub fn id(&self) -> u32 {
        self.place as u32
    }
}

/// How far delivery of a connection can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// End of the run that was uploaded, from the host's `rcv_nxt` on.
    pub end: Seq,
    /// The latest acknowledgement that was uploaded.
    pub ack: Option<UploadedAck>,
}

/// The tags of flows that share a place.
#[derive(Clone, Copy, Default)]
struct Tags([Tag; WAYS]);

impl Tags {
    /// The way whose tag has these bits, most likely; the first when none has.
    #[inline]
    fn likely(&self, bits: u16) -> usize {
        // No branch, for nobody could foretell it.
        (1..WAYS).fold(0, |way, i| way.max(i * usize::from(self.0[i].hash == bits)))
    }

    /// The way that gives way to another flow: a free one, or that of the least recently used.
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

/// What a tag has of a hash.
#[inline]
fn bits(hash: u64) -> u16 {
    (hash >> 48) as u16 | 1
}

/// Starts to fetch what will be needed, and does not wait for it.
#[inline]
fn fetch<T>(what: &T) {
    prefetch_read_data::<T, 0>(what);
}

/// The flow database: set-associative, of fixed size.
///
/// The tags are apart from the flows: they are so few bytes that they stay in a cache where the flows
/// do not, and tell which one line of the flows is needed.
pub struct Flows {
    tags: Box<[Tags]>,
    flows: Box<[Flow]>,
}

impl Flows {
    /// Room for `flows` flows, a power of two.
    pub fn new(flows: u32) -> Self {
        let sets = (flows as usize / WAYS).next_power_of_two().max(1);
        Self {
            tags: vec![Tags::default(); sets].into_boxed_slice(),
            flows: vec![Flow::default(); sets * WAYS].into_boxed_slice(),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.tags.fill(Tags::default());
    }

    /// The set of flows with this hash.
    #[inline]
    fn set(&self, hash: u64) -> usize {
        hash as usize & (self.tags.len() - 1)
    }

    /// Has the cache fetch what tells where a flow with this hash is: it will soon be looked for.
    #[inline]
    pub fn expect(&self, hash: u64) {
        fetch(&self.tags[self.set(hash)]);
    }

    /// Has the cache fetch the flow with this hash, some time after [`Flows::expect`].
    #[inline]
    pub fn anticipate(&self, hash: u64) {
        let set = self.set(hash);
        let way = self.tags[set].likely(bits(hash));
        fetch(&self.flows[set * WAYS + way]);
    }

    /// The place of the flow of `key`; when it had none, the least recently used flow of its set has
    /// given way.
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

    /// How a segment that is about to be uploaded continues its flow. What that changes takes effect
    /// with [`Flows::commit`], when the segment has found room.
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

    /// The segment of `change` has been uploaded. Nothing else must have changed the database since.
    #[inline]
    pub fn commit(&mut self, change: &Change) {
        self.flows[change.place].track = change.track;
    }

    /// Notes that the host has everything up to `next`, and nothing else is on its way up.
    pub fn begin(&mut self, now: u64, key: &Key, next: Seq) {
        let place = self.place(key, now);
        self.flows[place].track = Track {
            run_start: next,
            next,
            state: state::KNOWN,
            ..Track::default()
        };
    }

    /// What is on its way up to a host whose TCP has received everything before `rcv_nxt`. `None`
    /// when that cannot be told; the flow is then watched from here on, so that a later question
    /// finds an answer.
    pub fn uploaded(&mut self, now: u64, key: &Key, rcv_nxt: Seq) -> Option<Uploaded> {
        let place = self.place(key, now);
        let flow = &mut self.flows[place].track;
        if flow.state & state::ENDED != 0 {
            return None;
        }
        let known = flow.is_known();
        if known && flow.run_start.at_most(rcv_nxt) && rcv_nxt.at_most(flow.next) {
            return Some(Uploaded {
                end: flow.next,
                ack: flow.acknowledgement(),
            });
        }
        // A run that lies ahead stays: the host has to catch up with it first.
        if !known || flow.next.before(rcv_nxt) {
            flow.state |= state::KNOWN;
            flow.run_start = rcv_nxt;
            flow.next = rcv_nxt;
        }
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

    /// Takes a segment in; how it continues its flow, and whether its payload does.
    #[inline]
    fn upload(&mut self, flags: u8, seq: Seq, length: u32) -> (Op, bool) {
        if flags & flag::SYN != 0 {
            self.state = self.state & !state::ENDED | state::KNOWN;
            self.run_start = seq + 1;
            self.next = seq + 1 + length;
            return (Op::FlowBegins, length != 0);
        }
        let end = seq + length;
        let continues = self.is_known() && seq == self.next;
        let (op, continues) = if length == 0 {
            (Op::NoPayload, false)
        } else if continues {
            self.next = end;
            (Op::Reassembled, true)
        } else if !self.is_known() {
            self.state |= state::KNOWN;
            self.run_start = seq;
            self.next = end;
            (Op::FlowBegins, true)
        } else {
            self.place_run(seq, end);
            (Op::NotReassembled, false)
        };
        if flags & (flag::FIN | flag::RST) != 0 {
            self.state |= state::ENDED;
            return (Op::FlowEnds, continues);
        }
        (op, continues)
    }

    /// Takes `[seq, end)` in, which does not begin at `next`.
    fn place_run(&mut self, seq: Seq, end: Seq) {
        if seq.after(self.next) {
            // A gap: only what is contiguous up to the end can be vouched for.
            self.run_start = seq;
            self.next = end;
        } else if end.at_least(self.run_start) {
            // Overlaps or touches the run.
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

    /// Else looking for a flow reads other flows, too.
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

    fn upload(flows: &mut Flows, now: u64, port: u16, repr: &Repr, length: u32) -> Op {
        let mut bytes = [0; 20];
        repr.emit(&mut bytes);
        let header = tcp::Header::new(&bytes).unwrap();
        let change = flows.classify(now, &key(port), &header, length);
        flows.commit(&change);
        change.op
    }

    fn data(flows: &mut Flows, now: u64, port: u16, seq: u32, length: u32) -> Op {
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
        assert_eq!(data(&mut flows, 1, 1, 100, 10), Op::FlowBegins);
        assert_eq!(data(&mut flows, 1, 1, 110, 10), Op::Reassembled);
        assert_eq!(data(&mut flows, 1, 1, 120, 0), Op::NoPayload);
        assert_eq!(data(&mut flows, 1, 1, 130, 10), Op::NotReassembled);
        assert_eq!(data(&mut flows, 1, 1, 140, 10), Op::Reassembled);
        let fin = Repr {
            seq: Seq(150),
            flags: flag::FIN,
            ..Repr::default()
        };
        assert_eq!(upload(&mut flows, 1, 1, &fin, 0), Op::FlowEnds);
        assert_eq!(flows.uploaded(1, &key(1), Seq(150)), None);
    }

    #[test]
    fn a_hole_is_not_vouched_for_until_it_is_filled() {
        let mut flows = Flows::new(64);
        data(&mut flows, 1, 1, 100, 10);
        data(&mut flows, 1, 1, 120, 10);
        assert_eq!(flows.uploaded(1, &key(1), Seq(110)), None);
        data(&mut flows, 1, 1, 110, 10);
        let end = flows.uploaded(1, &key(1), Seq(110)).map(|up| up.end);
        assert_eq!(end, Some(Seq(130)));
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
        assert_eq!(data(&mut flows, at(12), 0, 20, 10), Op::Reassembled);
        assert_eq!(data(&mut flows, at(13), 1, 10, 10), Op::FlowBegins);
    }

    proptest! {
        /// Whatever arrives, what the database vouches for has been uploaded.
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
