// SPDX-License-Identifier: GPL-2.0

//! Legacy mode: packet scripts, streams that never pause, and a hostile host.

use proptest::prelude::*;
use toe_abi::connection::flag as state_flag;

use super::host::Host;
use super::script::IRS;
use super::script::ISS;
use super::script::MSS;
use super::script::Script;
use super::script::WINDOW;
use super::script::WSCALE;
use super::script::state;
use crate::tcp::*;

/// Takes a segment that must be uploaded, as the caller does.
fn upload(script: &mut Script, segment: &Segment, why: Option<Special>) {
    assert_eq!(script.take(segment), Verdict::Upload(why));
    if why.is_some() {
        script.tcb.enter_legacy(script.instant());
    }
    assert!(script.tcb.uploaded(script.instant(), segment.payload()));
    let end = script.tcb.rcv_nxt();
    script.tcb.delivered(end);
}

/// Payload of the peer from `seq` on, as an offset.
fn data(script: &Script, seq: u32) -> Segment {
    Segment {
        seq: IRS + seq,
        length: MSS,
        ..script.segment()
    }
}

/// The host's TCP acknowledges up to `ack` in a frame of its own. Returns the acknowledgement that
/// leaves.
fn host_ack(script: &mut Script, ack: u32) -> u32 {
    let frame = HostFrame {
        seq: ISS,
        length: 0,
        ack: IRS + ack,
        window: (WINDOW >> WSCALE) as u16,
    };
    script.tcb.on_host_frame(script.instant(), &frame).ack - IRS
}

fn resume(script: &mut Script) -> Option<(u32, u32)> {
    let resumed = script.tcb.resume(0)?;
    Some((Seq(resumed.seq) - IRS, resumed.round))
}

fn resync(script: &mut Script, rcv_nxt: u32, in_step: bool, round: u32) -> Answered {
    let answer = Resync {
        rcv_nxt: IRS + rcv_nxt,
        in_step,
        round,
    };
    script.tcb.on_resync(script.instant(), &answer)
}

/// Uploads the first segment because of an unknown option. Delivery resumes behind it.
fn odd_frame(script: &mut Script) {
    let odd = Segment {
        unknown_option: true,
        ..data(script, 0)
    };
    upload(script, &odd, Some(Special::Option));
    assert_eq!(resume(script), Some((MSS, 1)));
}

#[test]
fn an_odd_frame_is_uploaded_and_delivery_resumes_behind_it() {
    let mut script = Script::new();
    script.submit(MSS).sends(&[(0, MSS)]);
    let odd = Segment {
        ack: ISS + MSS,
        unknown_option: true,
        ..data(&script, 0)
    };
    upload(&mut script, &odd, Some(Special::Option));
    // Its acknowledgement counts, its payload is the host's.
    assert_eq!(script.tcb.snd_una(), ISS + MSS);
    script.nothing();
    assert_eq!(resume(&mut script), Some((MSS, 1)));
    assert_eq!(resume(&mut script), None);
    // Delivered, and not acknowledged before the host has confirmed.
    script.data(MSS, MSS).nothing();
    assert_eq!(host_ack(&mut script, 0), 0);
    assert_eq!(resync(&mut script, MSS, true, 1), Answered::InStep(0));
    assert_eq!(script.tcb.delivery(), Delivery::Direct);
    script.acks(2 * MSS);
}

#[test]
fn an_odd_frame_without_payload_is_processed() {
    let mut script = Script::new();
    script.submit(MSS).sends(&[(0, MSS)]);
    for timestamps in [None, script.segment().timestamps] {
        let odd = Segment {
            ack: ISS + MSS,
            timestamps,
            length: 0,
            unknown_option: timestamps.is_some(),
            ..data(&script, 0)
        };
        assert_eq!(script.take(&odd), Verdict::Done);
    }
    assert_eq!(script.tcb.snd_una(), ISS + MSS);
    assert_eq!(script.tcb.delivery(), Delivery::Direct);
}

#[test]
fn a_signed_frame_is_dropped() {
    let mut script = Script::new();
    script.submit(MSS).sends(&[(0, MSS)]);
    for length in [0, MSS] {
        let signed = Segment {
            ack: ISS + MSS,
            length,
            signed: true,
            ..data(&script, 0)
        };
        assert_eq!(script.take(&signed), Verdict::Drop(Drop::Signed));
    }
    assert_eq!(script.tcb.snd_una(), ISS);
    script.nothing();
}

#[test]
fn a_missing_timestamp_is_odd() {
    let mut script = Script::new();
    let bare = Segment {
        timestamps: None,
        ..data(&script, 0)
    };
    upload(&mut script, &bare, Some(Special::Option));
}

#[test]
fn every_frame_is_uploaded_until_the_hole_is_filled() {
    let mut script = Script::new();
    let mut odd = data(&script, MSS);
    odd.unknown_option = true;
    upload(&mut script, &odd, Some(Special::Option));
    assert_eq!(resume(&mut script), None, "there is a hole");
    let next = data(&script, 2 * MSS);
    upload(&mut script, &next, None);
    // The host's TCP reports the hole to the peer.
    script.nothing();
    assert_eq!(host_ack(&mut script, 0), 0);
    let missing = data(&script, 0);
    upload(&mut script, &missing, None);
    assert_eq!(resume(&mut script), Some((3 * MSS, 1)));
}

/// The seed of the design: the acknowledgement of the host's TCP is copied.
#[test]
fn an_acknowledgement_of_the_host_advances_the_entry() {
    let state = toe_abi::connection::ConnectionState {
        flags: state().flags | state_flag::OUT_OF_ORDER,
        ..state()
    };
    let mut script = Script::with(&state);
    // The host holds what follows the first segment. The adapter does not know how much.
    assert_eq!(resume(&mut script), Some((0, 1)));
    assert_eq!(resync(&mut script, 0, false, 1), Answered::OutOfStep);
    assert_eq!(resume(&mut script), None, "nothing has changed");
    let later = data(&script, 5 * MSS);
    upload(&mut script, &later, None);
    let missing = data(&script, 0);
    upload(&mut script, &missing, None);
    assert_eq!(resume(&mut script), None, "a hole, as far as is known");
    assert_eq!(host_ack(&mut script, 6 * MSS), 6 * MSS);
    assert_eq!(resume(&mut script), Some((6 * MSS, 2)));
    assert_eq!(resync(&mut script, 6 * MSS, true, 2), Answered::InStep(0));
    assert_eq!(script.tcb.delivery(), Delivery::Direct);
}

/// The host's TCP has dropped an uploaded frame.
#[test]
fn what_was_delivered_after_a_dropped_frame_is_received_again() {
    let mut script = Script::new();
    odd_frame(&mut script);
    script.data(MSS, MSS).nothing();
    assert_eq!(resync(&mut script, 0, false, 1), Answered::OutOfStep);
    assert_eq!(script.tcb.rcv_nxt(), IRS);
    // The peer, without an acknowledgement, sends both again.
    for seq in [0, MSS] {
        let again = data(&script, seq);
        upload(&mut script, &again, None);
    }
    assert_eq!(resume(&mut script), Some((2 * MSS, 2)));
    assert_eq!(resync(&mut script, 2 * MSS, true, 2), Answered::InStep(0));
    script.acks(2 * MSS);
}

#[test]
fn unconfirmed_payload_that_the_peer_repeats_is_uploaded() {
    let mut script = Script::new();
    odd_frame(&mut script);
    let again = data(&script, 0);
    upload(&mut script, &again, Some(Special::Gap));
    assert_eq!(resume(&mut script), Some((MSS, 2)));
    // The answer to the first resumption says what the host has, and no more.
    assert_eq!(resync(&mut script, 0, false, 1), Answered::Outdated);
    assert_eq!(resync(&mut script, MSS, true, 2), Answered::InStep(0));
    assert_eq!(script.tcb.delivery(), Delivery::Direct);
}

/// The connection begins in legacy mode when frames were uploaded that the host has not processed.
#[test]
fn what_was_uploaded_before_the_hand_over_is_confirmed_first() {
    let mut script = Script::new();
    script.tcb = Tcb::new(&state(), IRS + 3 * MSS, Instant(0)).expect("sound");
    assert_eq!(resume(&mut script), Some((3 * MSS, 1)));
    script.data(3 * MSS, MSS).nothing();
    assert_eq!(host_ack(&mut script, 2 * MSS), 2 * MSS);
    assert_eq!(host_ack(&mut script, 3 * MSS), 3 * MSS);
    assert_eq!(resync(&mut script, 3 * MSS, true, 1), Answered::InStep(0));
    script.acks(4 * MSS);
}

#[test]
fn a_host_that_is_ahead_is_followed() {
    let mut script = Script::new();
    odd_frame(&mut script);
    assert_eq!(resync(&mut script, 4 * MSS, true, 1), Answered::OutOfStep);
    assert_eq!(resume(&mut script), Some((4 * MSS, 2)));
}

/// It lies, or it answers for a later state.
#[test]
fn a_host_that_is_in_step_with_less_is_not() {
    let mut script = Script::new();
    odd_frame(&mut script);
    script.data(MSS, MSS);
    assert_eq!(resync(&mut script, MSS / 2, true, 1), Answered::OutOfStep);
    assert_eq!(script.tcb.rcv_nxt(), IRS + MSS / 2);
    assert_eq!(resume(&mut script), None, "nothing has changed");
}

/// The host denies that it is in step before it processes what is in its backlog.
#[test]
fn an_acknowledgement_after_a_denial_is_a_change() {
    let mut script = Script::new();
    odd_frame(&mut script);
    assert_eq!(resync(&mut script, 0, false, 1), Answered::OutOfStep);
    assert_eq!(resume(&mut script), None, "nothing has changed");
    assert_eq!(host_ack(&mut script, MSS), MSS);
    assert_eq!(resume(&mut script), Some((MSS, 2)));
    assert_eq!(resync(&mut script, MSS, true, 2), Answered::InStep(0));
    assert_eq!(script.tcb.delivery(), Delivery::Direct);
}

/// The peer has sent more than the window before the hand-over.
#[test]
fn payload_beyond_the_window_is_not_taken_back() {
    let narrow = toe_abi::connection::ConnectionState {
        rcv_edge: (IRS + 2 * MSS).0,
        ..state()
    };
    let mut script = Script::new();
    script.tcb = Tcb::new(&narrow, IRS + 3 * MSS, Instant(0)).expect("sound");
    let across = Segment {
        length: 3 * MSS,
        ..data(&script, MSS)
    };
    upload(&mut script, &across, None);
    script.tcb.receiver.assert_invariants();
    assert_eq!(resume(&mut script), Some((3 * MSS, 1)));
    // The host's TCP has dropped what is beyond the window.
    assert_eq!(resync(&mut script, 2 * MSS, false, 1), Answered::OutOfStep);
    assert_eq!(script.tcb.rcv_nxt(), IRS + 2 * MSS);
}

/// An acknowledgement is due for payload that was delivered directly, and the host's TCP does not
/// acknowledge the frame after it, because there was no page for it.
#[test]
fn what_was_delivered_before_the_entry_is_acknowledged() {
    let mut script = Script::new();
    for seq in 0..17 {
        script.data(seq * MSS, MSS);
        while script.poll().is_some() {}
    }
    let mut odd = data(&script, 18 * MSS);
    odd.unknown_option = true;
    assert_eq!(script.take(&odd), Verdict::Upload(Some(Special::Option)));
    script.tcb.enter_legacy(script.instant());
    assert_eq!(resume(&mut script), Some((17 * MSS, 1)));
    assert_eq!(script.deadline(), Some(Instant(40_000)));
    script.timer(40).acks(17 * MSS);
}

/// The host has opened the window in a frame that was lost on its way to the adapter. The window is
/// closed for the peer, which cannot see less than its scale allows.
#[test]
fn probes_of_a_closed_window_reach_the_host() {
    for room in [0, (1 << WSCALE) - 1] {
        for length in [0, 1] {
            let closed = toe_abi::connection::ConnectionState {
                rcv_edge: (IRS + room).0,
                ..state()
            };
            let mut script = Script::with(&closed);
            let mut probes = 0;
            let why = loop {
                let before = script.tcb.rcv_nxt();
                let probe = Segment {
                    seq: Seq(before.0.wrapping_sub(1 - length)),
                    length,
                    ..script.segment()
                };
                probes += 1;
                match script.take(&probe) {
                    Verdict::Deliver(piece) => {
                        let end = script.tcb.accept(script.instant(), &piece);
                        script.tcb.delivered(end);
                    }
                    Verdict::Upload(why) => break why,
                    Verdict::Drop(_) | Verdict::Duplicate => {}
                    verdict => panic!("{verdict:?}"),
                }
                while script.poll().is_some() {}
                script.now += 1_000_000;
                assert!(probes < 100, "{room} {length}");
            };
            assert_eq!((why, probes), (Some(Special::Window), 9), "{room} {length}");
        }
    }
}

/// A hole behind unconfirmed payload is reported with the payload's acknowledgement. Before, the peer
/// would take that payload for lost too.
#[test]
fn unconfirmed_payload_does_not_look_lost() {
    let mut script = Script::new();
    odd_frame(&mut script);
    script.data(MSS, MSS).data(3 * MSS, MSS).nothing();
    script.submit(MSS);
    let segment = script.poll().expect("a segment");
    assert_eq!((segment.ack, segment.sack.as_slice()), (IRS, &[][..]));
    script.nothing();
    assert_eq!(resync(&mut script, MSS, true, 1), Answered::InStep(0));
    let hole = Range {
        start: IRS + 3 * MSS,
        end: IRS + 4 * MSS,
    };
    assert_eq!(script.acks(2 * MSS).sack.as_slice(), [hole]);
}

#[test]
fn a_connection_that_stays_out_of_step_is_given_up() {
    let mut script = Script::new();
    script.tcb.enter_legacy(Instant(0));
    let hole = data(&script, MSS).payload();
    for _ in 0..20_000 {
        assert!(script.tcb.uploaded(Instant(9_000_000), hole));
    }
    assert!(!script.tcb.uploaded(Instant(11_000_000), hole));
}

/// What a hostile host must not achieve.
struct Bounds {
    /// Takes all that was stored or uploaded, or that the hostile host claims to have.
    all: Host,
    /// Right edge that the host has granted, right edge and acknowledgement that were sent.
    granted: u32,
    edge: u32,
    ack: u32,
}

impl Bounds {
    fn new() -> Self {
        Self {
            all: Host::new(),
            granted: WINDOW,
            edge: WINDOW,
            ack: 0,
        }
    }

    fn add(&mut self, range: Range) {
        self.all.take(range.start - IRS, range.end - IRS);
    }

    /// The host claims to have everything before `end`.
    fn claim(&mut self, end: u32) {
        // The adapter does not believe more.
        if end <= self.granted {
            self.all.take(0, end);
        }
    }

    /// The host announces `window` with `ack`.
    fn grant(&mut self, ack: u32, window: u16) {
        let edge = ack.wrapping_add(u32::from(window) << WSCALE);
        if edge > self.granted && edge < 1 << 31 {
            self.granted = edge;
        }
    }

    /// Checks an outgoing acknowledgement.
    fn check(&mut self, ack: Seq, window: u16) {
        let ack = ack - IRS;
        let edge = ack.wrapping_add(u32::from(window) << WSCALE);
        assert!(ack >= self.ack && ack < 1 << 31, "{ack} after {}", self.ack);
        assert!(edge + (1 << WSCALE) > self.edge, "the window shrank");
        assert!(
            ack <= self.granted && edge <= self.granted,
            "beyond the window"
        );
        assert!(ack <= self.all.received, "{ack} is acknowledged");
        self.ack = ack;
        self.edge = self.edge.max(edge);
    }
}

proptest! {
    /// A host that acknowledges and answers what is not so. No acknowledgement, of the adapter or in a
    /// frame of the host, goes back, leaves the window, or is for payload that is nowhere. Every step
    /// causes few frames and at most one resumption.
    #[test]
    fn a_lying_host_harms_only_itself(
        options: (bool, bool),
        steps in prop::collection::vec((0u8..7, any::<u32>(), any::<bool>()), 1..200),
    ) {
        let mut state = state();
        state.set(state_flag::SACK, options.0);
        state.set(state_flag::OUT_OF_ORDER, options.1);
        let mut script = Script::with(&state);
        let mut bounds = Bounds::new();
        for (step, number, flag) in steps {
            let near = number % (2 * WINDOW);
            script.now += u64::from(number % 1000);
            let now = script.instant();
            match step {
                0..=2 => {
                    let next = script.tcb.rcv_nxt() - IRS;
                    let segment = Segment {
                        // In order, behind a hole, or a repetition.
                        seq: IRS + [next, next + MSS, near][number as usize % 3],
                        length: 1 + number % MSS,
                        unknown_option: flag && number & 8 != 0,
                        ..script.segment()
                    };
                    match script.take(&segment) {
                        Verdict::Deliver(piece) | Verdict::Hold(piece) => {
                            bounds.add(Range { start: piece.seq, end: piece.seq + piece.length });
                            script.tcb.accept(now, &piece);
                        }
                        Verdict::Upload(why) => {
                            if why.is_some() {
                                script.tcb.enter_legacy(now);
                            }
                            bounds.add(segment.payload());
                            script.tcb.uploaded(now, segment.payload());
                        }
                        _ => {}
                    }
                }
                3 => {
                    script.tcb.resume(0);
                    prop_assert!(script.tcb.resume(0).is_none());
                }
                4 => {
                    let rcv_nxt = if flag { number >> 4 } else { near };
                    let answer = Resync {
                        rcv_nxt: IRS + rcv_nxt,
                        in_step: number & 1 == 0,
                        // Often the latest.
                        round: number >> 1 & 7,
                    };
                    bounds.claim(rcv_nxt);
                    script.tcb.on_resync(now, &answer);
                }
                5 => {
                    let ack = if flag { number >> 4 } else { near };
                    let window = (number >> 8) as u16 % (WINDOW >> WSCALE) as u16;
                    let frame = HostFrame { seq: ISS, length: 0, ack: IRS + ack, window };
                    bounds.grant(ack, window);
                    bounds.claim(ack);
                    let rewrite = script.tcb.on_host_frame(now, &frame);
                    bounds.check(rewrite.ack, rewrite.window);
                }
                _ => script.tcb.delivered(script.tcb.rcv_nxt()),
            }
            script.tcb.receiver.assert_invariants();
            let mut frames = 0;
            while let Some(out) = script.poll() {
                bounds.check(out.ack, out.window);
                frames += 1;
            }
            prop_assert!(frames <= 200, "{} frames", frames);
        }
    }
}
