// SPDX-License-Identifier: GPL-2.0

//! One direction of an impaired port.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use super::profile::Profile;
use super::random::Random;

/// Capacity of a line, in frames.
pub const DEPTH: usize = 4096;
/// Maximum length of a wire frame: the largest MTU with Ethernet header and two tags.
const FRAME: usize = 9216;
/// A reordered frame is overtaken by 1 to this many frames.
const OVERTAKERS: u64 = 3;
/// Maximum time that a reordered frame waits to be overtaken, in microseconds.
const OVERTAKEN_AT_MOST: u64 = 2_000;

/// Time at which the wire is free again, in nanoseconds. Shared by the lines of a port.
pub type WireClock = Arc<AtomicU64>;

/// A frame in the line.
struct Delayed {
    buffer: usize,
    length: usize,
    /// Time at which it leaves the line, in microseconds.
    due: u64,
}

/// A frame being overtaken.
struct Overtaken {
    delayed: Delayed,
    /// Number of frames that still have to pass.
    by: u64,
}

/// Statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames that entered the line.
    pub frames: u64,
    /// Frames lost.
    pub lost: u64,
    /// Frames duplicated.
    pub duplicated: u64,
    /// Frames reordered.
    pub reordered: u64,
    /// Frames with a flipped bit.
    pub corrupted: u64,
    /// Frames dropped because the line was full.
    pub overflowed: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            frames,
            lost,
            duplicated,
            reordered,
            corrupted,
            overflowed,
        } = self;
        write!(
            f,
            "frames={frames} lost={lost} duplicated={duplicated} reordered={reordered} \
             corrupted={corrupted} overflowed={overflowed}"
        )
    }
}

/// One direction of an impaired port.
///
/// # Invariants
///
/// Every buffer is in exactly one of `empty`, `queue` and `aside`, once. `queue` is sorted by
/// `due`.
pub struct Line {
    profile: Profile,
    random: Random,
    clock: WireClock,
    memory: Box<[u8]>,
    empty: Vec<usize>,
    queue: VecDeque<Delayed>,
    aside: Option<Overtaken>,
    tally: Tally,
}

impl Line {
    /// Creates an empty line. `stream` distinguishes lines with the same profile.
    pub fn new(profile: Profile, stream: u64, clock: WireClock) -> Self {
        Self {
            profile,
            random: Self::random(&profile, stream),
            clock,
            memory: vec![0; DEPTH * FRAME].into_boxed_slice(),
            empty: (0..DEPTH).rev().collect(),
            queue: VecDeque::with_capacity(DEPTH),
            aside: None,
            tally: Tally::default(),
        }
    }

    fn random(profile: &Profile, stream: u64) -> Random {
        let seed = profile.seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93);
        Random::new(Random::new(seed).next())
    }

    /// Changes the profile. Frames in the line are not affected, unless the new profile is
    /// harmless: then all of them leave at once.
    pub fn set_profile(&mut self, profile: Profile, stream: u64, clock: WireClock) {
        self.profile = profile;
        self.random = Self::random(&profile, stream);
        self.clock = clock;
        if profile.is_harmless() {
            self.release_aside();
            for delayed in &mut self.queue {
                delayed.due = 0;
            }
        }
    }

    /// Whether the line is empty and has no effect any more.
    pub fn is_spent(&self) -> bool {
        self.profile.is_harmless() && self.queue.is_empty() && self.aside.is_none()
    }

    /// Number of frames that can be pushed even if all are duplicated.
    pub fn room(&self) -> usize {
        self.empty.len() / 2
    }

    /// Time in microseconds until the wire has transmitted everything queued at a limited rate.
    pub fn backlog(&self, now: u64) -> u64 {
        if self.profile.rate_bps == 0 {
            return 0;
        }
        (self.clock.load(Ordering::Relaxed) / 1000).saturating_sub(now)
    }

    /// Statistics so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Adds the wire frame `frame` at time `now`, in microseconds.
    pub fn push(&mut self, now: u64, frame: &[u8]) {
        self.tally.frames += 1;
        // Draw the same random numbers for every frame, so that the result for a frame depends only
        // on its number.
        let lost = self.random.happens(self.profile.loss_ppm);
        let duplicated = self.random.happens(self.profile.duplicate_ppm);
        let reordered = self.random.happens(self.profile.reorder_ppm);
        let corrupted = self.random.happens(self.profile.corrupt_ppm);
        let bit = self.random.next();
        let overtakers = 1 + self.random.below(OVERTAKERS);
        let jitter = self.random.below(u64::from(self.profile.jitter_us) + 1);

        let sent = self.transmit(now, frame.len());
        if lost {
            self.tally.lost += 1;
            return;
        }
        let due = sent + u64::from(self.profile.delay_us) + jitter;
        if duplicated {
            if let Some(copy) = self.hold(due, frame) {
                self.tally.duplicated += 1;
                self.enqueue(copy);
            }
        }
        let Some(delayed) = self.hold(due, frame) else {
            self.tally.overflowed += 1;
            return;
        };
        if corrupted {
            self.tally.corrupted += 1;
            self.flip(&delayed, bit);
        }
        if reordered && self.aside.is_none() {
            self.tally.reordered += 1;
            self.aside = Some(Overtaken {
                delayed,
                by: overtakers,
            });
            return;
        }
        self.enqueue(delayed);
        if let Some(overtaken) = &mut self.aside {
            overtaken.by -= 1;
            if overtaken.by == 0 {
                self.release_aside();
            }
        }
    }

    /// Occupies the wire for a frame of `length` bytes. Returns the time in microseconds at which
    /// it is transmitted.
    fn transmit(&self, now: u64, length: usize) -> u64 {
        /// FCS, preamble and inter-packet gap; minimum frame length (IEEE 802.3).
        const OVERHEAD: u64 = 4 + 8 + 12;
        const MINIMUM: u64 = 60;
        if self.profile.rate_bps == 0 {
            return now;
        }
        let bits = ((length as u64).max(MINIMUM) + OVERHEAD) * 8;
        let takes = u128::from(bits) * 1_000_000_000 / u128::from(self.profile.rate_bps);
        let takes = u64::try_from(takes).unwrap_or(u64::MAX);
        let end = |free: u64| free.max(now * 1000).saturating_add(takes);
        let clock = &self.clock;
        let before =
            clock.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| Some(end(free)));
        before.map_or_else(end, end) / 1000
    }

    /// Copies a frame to a free buffer. Returns `None` if there is none or the frame is too long.
    fn hold(&mut self, due: u64, frame: &[u8]) -> Option<Delayed> {
        if frame.len() > FRAME {
            return None;
        }
        let delayed = Delayed {
            buffer: self.empty.pop()?,
            length: frame.len(),
            due,
        };
        self.bytes_mut(&delayed).copy_from_slice(frame);
        Some(delayed)
    }

    fn bytes_mut(&mut self, delayed: &Delayed) -> &mut [u8] {
        let start = delayed.buffer * FRAME;
        &mut self.memory[start..start + delayed.length]
    }

    /// Flips one bit after the Ethernet header.
    fn flip(&mut self, delayed: &Delayed, bit: u64) {
        const ETHERNET: u64 = 14;
        let bits = (delayed.length as u64).saturating_sub(ETHERNET) * 8;
        if bits > 0 {
            let at = ETHERNET * 8 + bit % bits;
            self.bytes_mut(delayed)[(at / 8) as usize] ^= 1 << (at % 8);
        }
    }

    fn enqueue(&mut self, mut delayed: Delayed) {
        let last = self.queue.back().map_or(0, |last| last.due);
        delayed.due = delayed.due.max(last);
        self.queue.push_back(delayed);
    }

    fn release_aside(&mut self) {
        if let Some(overtaken) = self.aside.take() {
            self.enqueue(overtaken.delayed);
        }
    }

    /// Time at which the next frame is due, in microseconds.
    pub fn due(&self) -> Option<u64> {
        let aside = self
            .aside
            .as_ref()
            .map(|overtaken| overtaken.delayed.due + OVERTAKEN_AT_MOST);
        let queue = self.queue.front().map(|delayed| delayed.due);
        match (queue, aside) {
            (Some(queue), Some(aside)) => Some(queue.min(aside)),
            (queue, aside) => queue.or(aside),
        }
    }

    /// Next frame that is due at `now`. It stays in the line until [`Self::pop`].
    pub fn front(&mut self, now: u64) -> Option<&[u8]> {
        let late = |overtaken: &Overtaken| overtaken.delayed.due + OVERTAKEN_AT_MOST <= now;
        if self.queue.is_empty() && self.aside.as_ref().is_some_and(late) {
            self.release_aside();
        }
        let delayed = self.queue.front().filter(|delayed| delayed.due <= now)?;
        let start = delayed.buffer * FRAME;
        Some(&self.memory[start..start + delayed.length])
    }

    /// Removes the frame returned by [`Self::front`].
    pub fn pop(&mut self) {
        if let Some(delayed) = self.queue.pop_front() {
            self.empty.push(delayed.buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::CERTAIN;
    use super::super::profile::MAX_DELAY;
    use super::*;

    fn line(profile: Profile) -> Line {
        Line::new(profile, 0, WireClock::default())
    }

    /// Sends `count` numbered frames through `line`, one per microsecond, and returns those that
    /// left.
    fn run(line: &mut Line, count: u32) -> Vec<u32> {
        let mut out = Vec::new();
        let mut drain = |line: &mut Line, now| {
            while let Some(frame) = line.front(now) {
                let number: [u8; 4] = frame[14..18].try_into().expect("a whole frame");
                out.push(u32::from_be_bytes(number));
                line.pop();
            }
        };
        for i in 0..count {
            let mut frame = [0; 18];
            frame[14..].copy_from_slice(&i.to_be_bytes());
            line.push(i.into(), &frame);
            drain(line, i.into());
        }
        drain(line, u64::MAX / 2);
        assert_eq!(line.empty.len(), DEPTH, "every buffer is back");
        out
    }

    #[test]
    fn nothing_befalls_frames_of_a_harmless_profile() {
        let mut line = line(Profile::default());
        assert_eq!(run(&mut line, 1000), (0..1000).collect::<Vec<_>>());
        assert!(line.is_spent());
    }

    #[test]
    fn rates_are_right_and_fates_repeatable() {
        let profile = Profile {
            loss_ppm: 10_000,
            duplicate_ppm: 20_000,
            reorder_ppm: 30_000,
            corrupt_ppm: 5_000,
            seed: 7,
            ..Profile::default()
        };
        let (mut a, mut b) = (line(profile), line(profile));
        assert_eq!(run(&mut a, 100_000), run(&mut b, 100_000));
        let tally = a.tally();
        assert_eq!(tally, b.tally());
        let near = |value: u64, expected: u64| value.abs_diff(expected) < expected / 10;
        assert!(near(tally.lost, 1000), "{tally:?}");
        assert!(near(tally.duplicated, 1980), "{tally:?}");
        assert!(near(tally.corrupted, 495), "{tally:?}");
        assert!(
            tally.reordered > 2500 && tally.reordered < 3100,
            "{tally:?}"
        );

        let mut other = Line::new(profile, 1, WireClock::default());
        assert_ne!(run(&mut other, 100_000), run(&mut line(profile), 100_000));
    }

    #[test]
    fn overtaken_frames_are_neither_lost_nor_far_behind() {
        let mut line = line(Profile {
            reorder_ppm: 100_000,
            ..Profile::default()
        });
        let mut out = run(&mut line, 10_000);
        for (place, &number) in out.iter().enumerate() {
            assert!(place.abs_diff(number as usize) <= OVERTAKERS as usize);
        }
        assert!(!out.is_sorted());
        out.sort_unstable();
        assert_eq!(out, (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn an_overtaken_frame_that_nothing_follows_comes_late() {
        let mut line = line(Profile {
            reorder_ppm: CERTAIN,
            ..Profile::default()
        });
        line.push(5, &[0; 15]);
        assert_eq!(line.due(), Some(5 + OVERTAKEN_AT_MOST));
        assert!(line.front(4 + OVERTAKEN_AT_MOST).is_none());
        assert!(line.front(5 + OVERTAKEN_AT_MOST).is_some());
    }

    #[test]
    fn one_bit_is_flipped_behind_the_ethernet_header() {
        let mut line = line(Profile {
            corrupt_ppm: CERTAIN,
            ..Profile::default()
        });
        for i in 0..1000 {
            line.push(i, &[0; 64]);
            let frame = line.front(i).expect("due at once");
            assert_eq!(frame[..14], [0; 14]);
            assert_eq!(frame.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
            line.pop();
        }
    }

    #[test]
    fn jitter_keeps_order_and_delay_is_kept() {
        let mut line = line(Profile {
            delay_us: 100,
            jitter_us: 50,
            ..Profile::default()
        });
        line.push(0, &[0; 18]);
        assert!(line.front(99).is_none());
        assert!(line.front(150).is_some());
        line.pop();
        assert_eq!(run(&mut line, 1000), (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_rate_is_shared_by_the_lines_of_a_port() {
        let clock = WireClock::default();
        let profile = Profile {
            rate_bps: 8_000_000,
            ..Profile::default()
        };
        let mut a = Line::new(profile, 0, Arc::clone(&clock));
        let mut b = Line::new(profile, 1, clock);
        // 1,000 bytes with framing overhead: one millisecond each.
        a.push(0, &[0; 976]);
        b.push(0, &[0; 976]);
        assert_eq!((a.due(), b.due()), (Some(1000), Some(2000)));
        assert_eq!(a.backlog(500), 1500);
    }

    #[test]
    fn a_full_line_drops_and_counts() {
        let mut line = line(Profile {
            delay_us: MAX_DELAY,
            ..Profile::default()
        });
        for _ in 0..DEPTH + 10 {
            line.push(0, &[0; 14]);
        }
        assert_eq!((line.tally().overflowed, line.room()), (10, 0));
        line.set_profile(Profile::default(), 0, WireClock::default());
        assert!(!line.is_spent());
        for _ in 0..DEPTH {
            assert!(line.front(0).is_some());
            line.pop();
        }
        assert!(line.is_spent());
    }
}
