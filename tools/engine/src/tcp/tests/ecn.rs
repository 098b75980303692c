// SPDX-License-Identifier: GPL-2.0

//! Explicit congestion notification (RFC 3168).

use alloc::vec::Vec;

use toe_abi::connection::flag as state_flag;

use super::script::*;
use super::send::full;
use crate::tcp::*;

/// A connection that has negotiated ECN.
fn capable() -> Script {
    let mut state = state();
    state.flags |= state_flag::ECN;
    Script::with(&state)
}

/// The same with 10 of 40 segments sent, at 100 ms, nothing acknowledged.
fn ten_out() -> Script {
    let mut script = capable();
    script.submit(40 * MSS).sends(&full(0, 10)).at(100);
    script
}

/// The peer acknowledges up to `ack`, SACKs `blocks` and echoes a mark.
fn echo(script: &mut Script, ack: u32, blocks: &[(u32, u32)]) {
    let mut segment = Segment {
        ack: ISS + ack,
        flags: flag::ACK | flag::ECE,
        ..script.segment()
    };
    for &(start, end) in blocks {
        segment.sack.push(Range {
            start: ISS + start,
            end: ISS + end,
        });
    }
    assert_eq!(script.take(&segment), Verdict::Done);
}

/// Sends everything that may be sent. Returns offset, ECT and CWR of each segment.
fn all(script: &mut Script) -> Vec<(u32, bool, bool)> {
    let mut sent = Vec::new();
    while let Some(out) = script.poll() {
        sent.push((out.seq - ISS, out.ect, out.flags & flag::CWR != 0));
    }
    sent
}

fn ssthresh(script: &Script) -> u32 {
    script.tcb.acked(0).send.ssthresh
}

#[test]
fn rfc3168_6_1_2_a_mark_reduces_once_a_window() {
    let mut script = ten_out();
    echo(&mut script, MSS, &[]);
    echo(&mut script, 2 * MSS, &[]);
    assert_eq!(ssthresh(&script), 7);
    assert_eq!(all(&mut script), [(10 * MSS, true, true)]);
    // The peer has not seen CWR when it acknowledges the window.
    echo(&mut script, 10 * MSS, &[]);
    echo(&mut script, 10 * MSS, &[]);
    assert_eq!(ssthresh(&script), 7);
    assert_eq!(script.tcb.acked(0).send.cwnd, 7);
    let sent = all(&mut script);
    assert!(sent.iter().all(|&(_, ect, cwr)| ect && !cwr));
    // A mark on what was sent after the reduction.
    echo(&mut script, 11 * MSS, &[]);
    assert_eq!(ssthresh(&script), 4);
    assert_eq!(script.tcb.export(script.instant()).delivered_ce, 11);
    // An acknowledgement that it has overtaken says nothing.
    script.ack(17 * MSS);
    let before = ssthresh(&script);
    all(&mut script);
    script.ack(19 * MSS);
    echo(&mut script, 18 * MSS, &[(20 * MSS, 21 * MSS)]);
    assert_eq!(ssthresh(&script), before);
}

#[test]
fn rfc3168_6_1_2_a_loss_and_a_mark_in_one_window_reduce_once() {
    let mut script = ten_out();
    script.sack(0, &[(MSS, 4 * MSS)]);
    assert_eq!(ssthresh(&script), 7);
    let sent = all(&mut script);
    assert_eq!(sent[0], (0, false, false), "the retransmission");
    echo(&mut script, 4 * MSS, &[]);
    let sent = all(&mut script);
    assert_eq!(sent[0], (10 * MSS, true, true));
    assert!(sent[1..].iter().all(|&(_, ect, cwr)| ect && !cwr));
    echo(&mut script, 8 * MSS, &[]);
    echo(&mut script, 10 * MSS, &[]);
    assert_eq!(ssthresh(&script), 7);
    all(&mut script);
    script.ack(12 * MSS);
    assert_eq!(script.tcb.acked(0).send.cwnd, 7);
}

#[test]
fn rfc3168_6_1_2_a_timeout_is_announced() {
    let mut state = state();
    state.flags |= state_flag::ECN;
    state.flags &= !state_flag::SACK;
    let mut script = Script::with(&state);
    script.submit(2 * MSS).sends(&full(0, 2));
    script.timer(300).resends(&[(0, MSS)]);
    script.at(400);
    echo(&mut script, 2 * MSS, &[]);
    script.submit(MSS);
    assert_eq!(all(&mut script), [(2 * MSS, true, true)]);
    let before = ssthresh(&script);
    echo(&mut script, 2 * MSS, &[]);
    assert_eq!(ssthresh(&script), before);
}

/// Acknowledges up to `ack` with the timestamp of the first transmission: nothing was lost.
fn acknowledge_first(script: &mut Script, ack: u32) {
    let mut segment = script.segment();
    segment.ack = ISS + ack;
    segment.timestamps = Some(Timestamps {
        value: PEER_TS + 100,
        echo: TS,
    });
    assert_eq!(script.take(&segment), Verdict::Done);
}

#[test]
fn rfc3168_6_1_2_what_was_no_congestion_is_not_announced() {
    // The timestamps of the acknowledgement show that the loss was none.
    let mut script = ten_out();
    script.sack(0, &[(MSS, 4 * MSS)]);
    let sent = all(&mut script);
    assert_eq!(sent, [(0, false, false)]);
    acknowledge_first(&mut script, 4 * MSS);
    assert_eq!(ssthresh(&script), u32::MAX, "undone");
    let sent = all(&mut script);
    assert!(!sent.is_empty() && sent.iter().all(|&(_, ect, cwr)| ect && !cwr));
    // A mark counts at once.
    echo(&mut script, 5 * MSS, &[]);
    assert_ne!(ssthresh(&script), u32::MAX);
}

#[test]
fn rfc3168_6_1_2_a_mark_in_recovery_makes_the_reduction_final() {
    let mut script = ten_out();
    script.sack(0, &[(MSS, 4 * MSS)]);
    all(&mut script);
    echo(&mut script, 0, &[(MSS, 5 * MSS)]);
    acknowledge_first(&mut script, 5 * MSS);
    assert_eq!(ssthresh(&script), 7);
}

#[test]
fn rfc3168_6_1_3_reports_a_mark_until_the_peer_has_heard() {
    let mut script = capable();
    let mut arrive = |seq: u32, flags, marked| {
        let segment = Segment {
            seq: IRS + seq * MSS,
            length: MSS,
            flags: flag::ACK | flags,
            congestion_experienced: marked,
            ..script.segment()
        };
        let Verdict::Deliver(piece) = script.take(&segment) else {
            panic!();
        };
        let end = script.tcb.accept(Instant(0), &piece);
        script.tcb.delivered(end);
        script.acks((seq + 1) * MSS).flags
    };
    assert_eq!(arrive(0, 0, true), flag::ACK | flag::ECE);
    assert_eq!(arrive(1, 0, false), flag::ACK | flag::ECE);
    assert_eq!(arrive(2, flag::CWR, false), flag::ACK);
    assert_eq!(arrive(3, flag::CWR, true), flag::ACK | flag::ECE);
}

/// The window of a sender that has reduced it may be a single segment (`tcp_ecn_accept_cwr()`).
#[test]
fn a_reduction_is_acknowledged_at_once() {
    let mut state = state();
    state.flags |= state_flag::ECN;
    let mut script = settled_with(&state);
    let segment = Segment {
        seq: IRS + Q,
        length: MSS,
        flags: flag::ACK | flag::CWR,
        ..script.segment()
    };
    let Verdict::Deliver(piece) = script.take(&segment) else {
        panic!();
    };
    let end = script.tcb.accept(script.instant(), &piece);
    script.tcb.delivered(end);
    script.acks(Q + MSS);
}

#[test]
fn rfc3168_6_1_4_acknowledgements_are_not_capable() {
    let mut script = capable();
    script.data(0, MSS);
    assert!(!script.acks(MSS).ect);
    // A mark on one is invalid.
    let segment = Segment {
        congestion_experienced: true,
        ..script.segment()
    };
    assert_eq!(script.take(&segment), Verdict::Done);
    script.data(MSS, MSS);
    assert_eq!(script.acks(2 * MSS).flags, flag::ACK);
}

#[test]
fn rfc3168_6_1_5_what_the_host_may_have_sent_is_not_capable() {
    let mut script = capable();
    script.submit(3 * MSS);
    script.tcb.on_host_frame(
        Instant(0),
        &HostFrame {
            seq: ISS,
            length: MSS,
            ack: IRS,
            window: (WINDOW >> WSCALE) as u16,
        },
    );
    let expected = [
        (0, false, false),
        (MSS, true, false),
        (2 * MSS, true, false),
    ];
    assert_eq!(all(&mut script), expected);
}

#[test]
fn rfc3168_6_1_5_a_mark_outside_the_window_is_ignored() {
    let mut script = capable();
    script.data(0, MSS);
    script.acks(MSS);
    let segment = Segment {
        seq: IRS + 2 * WINDOW,
        length: MSS,
        congestion_experienced: true,
        ..script.segment()
    };
    assert_eq!(script.take(&segment), Verdict::Drop(Drop::Window));
    assert_eq!(script.acks(MSS).flags, flag::ACK);
}

#[test]
fn rfc3168_6_1_6_window_probes_are_not_capable() {
    let mut script = ten_out();
    echo(&mut script, 10 * MSS, &[]);
    // The window closes before CWR could be sent.
    script.window(10 * MSS, 0);
    assert_eq!(all(&mut script), []);
    let at = script.deadline().expect("a timer").0 / 1000;
    script.timer(at);
    assert_eq!(all(&mut script), [(10 * MSS, false, false)]);
    // The octet is sent again as part of the next segment.
    script.window(10 * MSS, WINDOW);
    let sent = all(&mut script);
    assert_eq!(sent[0], (10 * MSS, false, false));
    assert_eq!(sent[1], (11 * MSS, true, true));
    assert!(sent[2..].iter().all(|&(_, ect, cwr)| ect && !cwr));
}

#[test]
fn a_reduction_that_is_not_announced_is_handed_over() {
    let mut state = state();
    state.flags |= state_flag::ECN | state_flag::CWR;
    let mut script = Script::with(&state);
    let flags = |script: &Script| script.tcb.export(script.instant()).flags;
    assert_eq!(flags(&script), state.flags);
    // The peer does not know of it yet.
    echo(&mut script, 0, &[]);
    assert_eq!(ssthresh(&script), u32::MAX);
    script.submit(2 * MSS);
    let expected = [(0, true, true), (MSS, true, false)];
    assert_eq!(all(&mut script), expected);
    assert_eq!(flags(&script), state.flags & !state_flag::CWR);
}

#[test]
fn without_agreement_marks_say_nothing() {
    let mut script = Script::new();
    let segment = Segment {
        flags: flag::ACK | flag::ECE,
        congestion_experienced: true,
        ..script.segment()
    };
    assert_eq!(script.take(&segment), Verdict::Done);
    script.data(0, 1);
    assert_eq!(script.acks(1).flags, flag::ACK);
    assert_eq!(ssthresh(&script), u32::MAX);
    // Nor does a reduction.
    script.submit(20 * MSS).sends(&full(0, 10));
    script.sack(0, &[(MSS, 4 * MSS)]).leaves(&[(0, MSS)], true);
    script.ack(10 * MSS);
    let sent = all(&mut script);
    assert!(sent.iter().all(|&(_, ect, cwr)| !ect && !cwr));
}
