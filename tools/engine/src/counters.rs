// SPDX-License-Identifier: GPL-2.0

//! Counters of a processor, in the layout of its status page.

use toe_abi::ring;
use toe_abi::stats::Counter;
use toe_abi::stats::Direction;
use toe_abi::stats::FCS;
use toe_abi::stats::SENT;
use toe_abi::stats::SIZES;

use crate::env::Fault;
use crate::env::Host;
use crate::wire::ethernet;

/// Number of counters.
const COUNT: usize = Counter::ALL.len();

/// The wire frames that one frame stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireFrames {
    /// Number of wire frames, at least 1.
    pub count: u64,
    /// Header bytes in each wire frame.
    pub header: usize,
    /// Length of each wire frame except the last, Ethernet header included and FCS excluded.
    pub full: usize,
    /// Length of the last wire frame.
    pub last: usize,
}

impl WireFrames {
    /// Wire frames of a frame with `header` bytes of headers and `payload` bytes of payload, with
    /// `size` payload bytes in each but the last. A `size` of 0 means a single wire frame.
    #[inline]
    pub fn new(header: usize, payload: usize, size: usize) -> Self {
        let count = match size {
            0 => 1,
            _ => payload.div_ceil(size).max(1),
        };
        Self {
            count: count as u64,
            header,
            full: header + size,
            last: header + payload - (count - 1) * size,
        }
    }

    /// Total bytes of all wire frames.
    #[inline]
    pub fn bytes(&self) -> u64 {
        (self.count - 1) * self.full as u64 + self.last as u64
    }
}

/// Index in [`SIZES`] of the size bucket for a frame of `length` bytes without FCS.
#[inline]
fn group(length: usize) -> usize {
    let last = SIZES.len() - 1;
    let larger = |&size: &u16| length + FCS <= usize::from(size);
    SIZES.iter().position(larger).unwrap_or(last)
}

/// Counter values, indexed by [`Counter`].
#[derive(Clone, Debug)]
pub struct Counters([u64; COUNT]);

impl Counters {
    /// Creates counters that are all 0.
    pub const fn new() -> Self {
        Self([0; COUNT])
    }

    /// Adds one.
    #[inline]
    pub fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Adds `value`.
    #[inline]
    pub fn add(&mut self, counter: Counter, value: u64) {
        let slot = &mut self.0[counter as usize];
        *slot = slot.wrapping_add(value);
    }

    /// Counts `frames` to MAC address `destination` in one direction.
    #[inline]
    pub fn wire(&mut self, direction: &Direction, destination: [u8; 6], frames: WireFrames) {
        let WireFrames {
            count, full, last, ..
        } = frames;
        self.add(direction.frames, count);
        self.add(direction.bytes, frames.bytes());
        if count > 1 {
            self.add(direction.sizes[group(full)], count - 1);
        }
        self.count(direction.sizes[group(last)]);
        if ethernet::is_multicast(destination) {
            self.add(direction.multicast, count);
            if ethernet::is_broadcast(destination) {
                self.add(direction.broadcast, count);
            }
        }
    }

    /// Counts transmitted `frames` to MAC address `destination`.
    #[inline]
    pub fn sent(&mut self, destination: [u8; 6], frames: WireFrames) {
        self.wire(&SENT, destination, frames);
        let WireFrames { count, header, .. } = frames;
        if count > 1 {
            self.count(Counter::TxGsoFrames);
            self.add(
                Counter::TxGsoBytes,
                frames.bytes() - (count - 1) * header as u64,
            );
            self.add(Counter::TxGsoWireFrames, count);
            self.add(Counter::TxGsoWireBytes, frames.bytes());
        }
    }

    /// Sets a gauge.
    #[inline]
    pub fn set(&mut self, counter: Counter, value: u64) {
        self.0[counter as usize] = value;
    }

    /// Values in the order of [`Counter`].
    pub fn values(&self) -> &[u64] {
        &self.0
    }

    /// Writes all counters to the status page at DMA address `status`.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the page is not mapped.
    pub fn publish<H: Host>(&self, host: &mut H, status: u64) -> Result<(), Fault> {
        let mut bytes = [0; COUNT * 8];
        for (raw, value) in bytes.chunks_exact_mut(8).zip(&self.0) {
            raw.copy_from_slice(&value.to_le_bytes());
        }
        host.write(status + ring::COUNTERS as u64, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use toe_abi::stats::RECEIVED;

    use super::*;

    #[test]
    fn a_large_frame_counts_as_what_it_stands_for() {
        let mut counters = Counters::new();
        let frames = WireFrames::new(66, 2500, 1000);
        counters.wire(&RECEIVED, [0xff; 6], frames);
        let get = |counter: Counter| counters.values()[counter as usize];
        assert_eq!(get(Counter::RxFrames), 3);
        assert_eq!(get(Counter::RxBytes), 3 * 66 + 2500);
        assert_eq!((get(Counter::Rx1518), get(Counter::Rx1023)), (2, 1));
        assert_eq!(
            (get(Counter::RxMulticast), get(Counter::RxBroadcast)),
            (3, 3)
        );
    }

    #[test]
    fn large_frames_sent_count_apart() {
        let mut counters = Counters::new();
        counters.sent([2; 6], WireFrames::new(66, 2500, 1000));
        counters.sent([2; 6], WireFrames::new(66, 1000, 1000));
        counters.sent([2; 6], WireFrames::new(1514, 0, 0));
        let gso = [
            Counter::TxGsoFrames,
            Counter::TxGsoBytes,
            Counter::TxGsoWireFrames,
            Counter::TxGsoWireBytes,
        ];
        let counted = gso.map(|counter| counters.values()[counter as usize]);
        assert_eq!(counted, [1, 2566, 3, 2500 + 3 * 66]);
        assert_eq!(counters.values()[Counter::TxFrames as usize], 5);
    }

    #[test]
    fn sizes_are_those_with_fcs() {
        let sizes = [14, 60, 61, 123, 124, 1514, 1515, 9022, 70_000];
        assert_eq!(sizes.map(group), [0, 0, 1, 1, 2, 5, 6, 6, 6]);
    }

    #[test]
    fn wire_frames() {
        let whole = WireFrames::new(60, 0, 0);
        assert_eq!((whole.count, whole.last), (1, 60));
        let exact = WireFrames::new(66, 2000, 1000);
        assert_eq!((exact.count, exact.full, exact.last), (2, 1066, 1066));
        let empty = WireFrames::new(66, 0, 1000);
        assert_eq!((empty.count, empty.last), (1, 66));
    }
}
