// SPDX-License-Identifier: GPL-2.0

//! A port queue with impairment.
//!
//! Without impairment, frames pass straight through. With impairment, GSO frames are cut into wire
//! frames, which are impaired individually.

use std::os::fd::BorrowedFd;

use toe_engine::env::Capabilities;
use toe_engine::env::Offload;
use toe_engine::env::OutFrame;
use toe_engine::env::SendError;

use super::PortQueue;
use crate::frame::Frame;
use crate::impairment::DEPTH;
use crate::impairment::Line;
use crate::impairment::Profile;
use crate::impairment::Tally;
use crate::impairment::WireClock;
use crate::memory::MemoryMap;
use crate::segment;

/// Frames read from the port at a time.
const BATCH: usize = 64;
/// Maximum number of frames transmitted per tick.
const BUDGET: usize = 256;
/// Time limit for frames queued ahead of the wire at a limited rate, in microseconds. Further
/// frames stay in the host, where the qdisc can schedule them.
const AHEAD: u64 = 1_000;
/// Buffer of the receive direction at a limited rate, in microseconds of transmission time, like
/// that of a router.
const BUFFER: u64 = 100_000;

/// A profile and the directions that it applies to.
#[derive(Clone)]
pub struct Impairment {
    /// The profile.
    pub profile: Profile,
    /// Wire clock of the transmit direction, if the profile applies to it.
    pub egress: Option<WireClock>,
    /// Wire clock of the receive direction, if the profile applies to it.
    pub ingress: Option<WireClock>,
}

/// A queue and its two lines, which exist while they are needed.
pub struct Impaired {
    inner: Box<dyn PortQueue>,
    egress: Option<Box<Line>>,
    ingress: Option<Box<Line>>,
    /// In effect until a driver configures another one.
    initial: Option<Impairment>,
    /// Distinguishes the lines of this queue from those of the port's other queues.
    stream: u64,
    now: u64,
    /// A frame was refused because the wire was busy for more than [`AHEAD`] after `now`.
    refused: bool,
    /// Buffers for a frame on its way to a line, and for a wire frame cut from it.
    scratch: Frame,
    wire: Frame,
    dropped: u64,
}

fn set(line: &mut Option<Box<Line>>, profile: Profile, stream: u64, clock: WireClock) {
    match line {
        Some(line) => line.set_profile(profile, stream, clock),
        None if profile.is_harmless() => {}
        None => *line = Some(Box::new(Line::new(profile, stream, clock))),
    }
}

impl Impaired {
    /// Wraps `inner`, the queue of processor `processor`, with `initial` impairment.
    pub fn new(inner: Box<dyn PortQueue>, processor: u8, initial: Option<Impairment>) -> Self {
        let mut this = Self {
            inner,
            egress: None,
            ingress: None,
            stream: 2 * u64::from(processor),
            now: 0,
            refused: false,
            scratch: Frame::new(),
            wire: Frame::new(),
            dropped: 0,
            initial,
        };
        this.begin();
        this
    }

    fn begin(&mut self) {
        if let Some(initial) = self.initial.clone() {
            self.impair(initial);
        }
    }

    /// Drops the driver's impairment, and the frames on the lines.
    pub fn reset(&mut self) {
        self.egress = None;
        self.ingress = None;
        self.refused = false;
        self.inner.unblock();
        self.begin();
    }

    /// Changes the impairment.
    pub fn impair(&mut self, impairment: Impairment) {
        let profile = impairment.profile;
        if let Some(clock) = impairment.egress {
            set(&mut self.egress, profile, self.stream, clock);
        }
        if let Some(clock) = impairment.ingress {
            set(&mut self.ingress, profile, self.stream + 1, clock);
        }
    }

    /// Transmits frames that are due at `now`, as many as one tick may. `now` is also the time for
    /// all calls until the next tick.
    pub fn tick(&mut self, now: u64) {
        self.now = now;
        self.refused = false;
        let Some(egress) = &mut self.egress else {
            return;
        };
        for _ in 0..BUDGET {
            let Some(bytes) = egress.front(now) else {
                break;
            };
            let frame = OutFrame {
                header: bytes,
                payload: &[],
                offload: Offload::default(),
            };
            match self.inner.send(&frame, &MemoryMap::EMPTY) {
                Err(SendError::Full) => return,
                Err(_) => self.dropped += 1,
                Ok(()) => {}
            }
            egress.pop();
        }
        if egress.is_spent() {
            self.egress = None;
        }
    }

    /// Time by which [`Self::tick`] and [`PortQueue::receive`] must be called, or at which the wire
    /// has room for a refused frame; `u64::MAX` for none.
    pub fn deadline(&self) -> u64 {
        let due = |line: &Option<Box<Line>>| line.as_ref().and_then(|line| line.due());
        let egress = due(&self.egress).filter(|_| !self.inner.blocked());
        // The wire may be busy although this queue has nothing left in flight: other queues share
        // it, and dropped frames occupy it too.
        let line = self.egress.as_ref().filter(|_| self.refused);
        let free = line.map(|line| self.now + line.backlog(self.now).saturating_sub(AHEAD));
        egress
            .into_iter()
            .chain(due(&self.ingress))
            .chain(free)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Statistics of the transmit and receive direction, while impaired.
    pub fn tallies(&self) -> [Option<Tally>; 2] {
        let tally = |line: &Option<Box<Line>>| line.as_ref().map(|line| line.tally());
        [tally(&self.egress), tally(&self.ingress)]
    }

    /// Moves frames from the port to the ingress line.
    fn fill(&mut self) {
        let Some(ingress) = &mut self.ingress else {
            return;
        };
        for _ in 0..BATCH {
            if !self.inner.receive(&mut self.scratch) {
                return;
            }
            if ingress.backlog(self.now) > BUFFER {
                self.dropped += 1;
                continue;
            }
            let now = self.now;
            let cut = segment::cut(&mut self.scratch, &mut self.wire, |frame| {
                ingress.push(now, frame);
            });
            if cut.is_err() {
                self.dropped += 1;
            }
        }
    }
}

impl PortQueue for Impaired {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn send(&mut self, frame: &OutFrame<'_>, memory: &MemoryMap) -> Result<(), SendError> {
        let Some(egress) = &mut self.egress else {
            return self.inner.send(frame, memory);
        };
        let segments = frame.offload.gso.map_or(1, |gso| {
            let payload = frame.length() - usize::from(gso.header_length).min(frame.length());
            payload.div_ceil(usize::from(gso.size).max(1))
        });
        if segments > DEPTH / 2 {
            return Err(SendError::Rejected);
        }
        self.refused = egress.backlog(self.now) > AHEAD;
        if self.refused || segments > egress.room() {
            return Err(SendError::Full);
        }
        self.scratch.gather(frame, memory)?;
        let now = self.now;
        segment::cut(&mut self.scratch, &mut self.wire, |frame| {
            egress.push(now, frame);
        })
        .map_err(|_| SendError::Rejected)
    }

    fn receive(&mut self, frame: &mut Frame) -> bool {
        if self.ingress.is_none() {
            return self.inner.receive(frame);
        }
        self.fill();
        let Some(ingress) = &mut self.ingress else {
            return false;
        };
        let Some(bytes) = ingress.front(self.now) else {
            if ingress.is_spent() {
                self.ingress = None;
            }
            return false;
        };
        frame.clear();
        let fits = frame.append(bytes);
        ingress.pop();
        fits
    }

    fn pending(&self) -> bool {
        self.inner.pending()
    }

    fn blocked(&self) -> bool {
        self.inner.blocked()
    }

    fn unblock(&mut self) {
        self.inner.unblock();
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.descriptor()
    }

    fn receives(&self) -> bool {
        self.inner.receives()
    }

    fn set_open(&mut self, open: bool) {
        self.inner.set_open(open);
    }

    fn dropped(&self) -> u64 {
        self.inner.dropped() + self.dropped
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use toe_abi::admin::SetImpairment;

    use super::super::cable::Cable;
    use super::super::out;
    use super::*;

    fn impairment(command: SetImpairment) -> Impairment {
        Impairment {
            profile: Profile::new(&command).expect("values in range"),
            egress: Some(WireClock::default()),
            ingress: Some(WireClock::default()),
        }
    }

    #[test]
    fn frames_cross_both_lines_and_the_end_of_impairment() {
        let (a, b) = Cable::pair();
        let (mut a, mut b) = (
            Impaired::new(Box::new(a), 0, None),
            Impaired::new(Box::new(b), 0, None),
        );
        b.set_open(true);
        let delay = impairment(SetImpairment {
            delay_us: 100,
            ..SetImpairment::default()
        });
        a.impair(delay.clone());
        b.impair(delay);
        a.tick(0);
        a.send(&out(&[1; 60]), &MemoryMap::EMPTY).expect("room");
        assert_eq!(a.deadline(), 100);
        a.tick(99);
        assert!(!b.pending());
        a.tick(100);
        b.tick(100);
        let mut frame = Frame::new();
        assert!(!b.receive(&mut frame));
        assert_eq!(b.deadline(), 200);
        b.tick(200);
        assert!(b.receive(&mut frame));
        assert_eq!(frame.bytes(), [1; 60]);

        a.send(&out(&[2; 60]), &MemoryMap::EMPTY).expect("room");
        a.impair(impairment(SetImpairment::default()));
        a.tick(201);
        assert!(a.egress.is_none(), "the line is empty");
        assert!(b.pending());
    }

    /// A port that takes and counts every frame.
    struct Sink(Rc<Cell<usize>>);

    impl PortQueue for Sink {
        fn capabilities(&self) -> Capabilities {
            Capabilities::default()
        }

        fn send(&mut self, _: &OutFrame<'_>, _: &MemoryMap) -> Result<(), SendError> {
            self.0.set(self.0.get() + 1);
            Ok(())
        }

        fn receive(&mut self, _: &mut Frame) -> bool {
            false
        }

        fn blocked(&self) -> bool {
            false
        }

        fn unblock(&mut self) {}

        fn dropped(&self) -> u64 {
            0
        }
    }

    #[test]
    fn frames_that_are_due_at_once_leave_a_part_at_a_time() {
        let sent = Rc::new(Cell::new(0));
        let mut port = Impaired::new(Box::new(Sink(Rc::clone(&sent))), 0, None);
        port.impair(impairment(SetImpairment {
            delay_us: 100,
            ..SetImpairment::default()
        }));
        port.tick(0);
        for _ in 0..2 * BUDGET + 1 {
            port.send(&out(&[1; 60]), &MemoryMap::EMPTY).expect("room");
        }
        for expected in [BUDGET, BUDGET, 1] {
            assert_eq!(port.deadline(), 100);
            port.tick(100);
            assert_eq!(sent.take(), expected);
        }
        assert_eq!(port.deadline(), u64::MAX);
    }

    #[test]
    fn a_limited_rate_holds_the_sender_back() {
        let (a, b) = Cable::pair();
        let (mut a, mut b) = (
            Impaired::new(Box::new(a), 0, None),
            Impaired::new(Box::new(b), 0, None),
        );
        b.set_open(true);
        a.impair(impairment(SetImpairment {
            rate_bps: 8_000_000,
            ..SetImpairment::default()
        }));
        a.tick(0);
        // One millisecond each.
        assert_eq!(a.send(&out(&[1; 976]), &MemoryMap::EMPTY), Ok(()));
        assert_eq!(a.send(&out(&[2; 976]), &MemoryMap::EMPTY), Ok(()));
        assert_eq!(
            a.send(&out(&[3; 976]), &MemoryMap::EMPTY),
            Err(SendError::Full)
        );
        assert_eq!(a.deadline(), 1000);
        a.tick(1000);
        assert!(b.pending());
        assert_eq!(a.send(&out(&[3; 976]), &MemoryMap::EMPTY), Ok(()));
    }

    #[test]
    fn a_queue_that_found_the_wire_taken_by_others_tries_again() {
        let (a, b) = (Cable::pair().0, Cable::pair().0);
        let (mut a, mut b) = (
            Impaired::new(Box::new(a), 0, None),
            Impaired::new(Box::new(b), 1, None),
        );
        let rate = impairment(SetImpairment {
            rate_bps: 8_000_000,
            ..SetImpairment::default()
        });
        for queue in [&mut a, &mut b] {
            queue.impair(rate.clone());
            queue.tick(0);
        }
        for _ in 0..2 {
            assert_eq!(a.send(&out(&[1; 976]), &MemoryMap::EMPTY), Ok(()));
        }
        assert_eq!(b.deadline(), u64::MAX);
        assert_eq!(
            b.send(&out(&[2; 976]), &MemoryMap::EMPTY),
            Err(SendError::Full)
        );
        assert_eq!(b.deadline(), 1000);
        b.tick(1000);
        assert_eq!(b.deadline(), u64::MAX, "no frame is waiting");
        assert_eq!(b.send(&out(&[2; 976]), &MemoryMap::EMPTY), Ok(()));
    }
}
