// SPDX-License-Identifier: GPL-2.0

//! Receiving: accepted payload, ACKs and their timing.

use toe_abi::connection::flag as state_flag;

use super::script::*;
use crate::tcp::*;

fn range(start: u32, end: u32) -> Range {
    Range {
        start: IRS + start,
        end: IRS + end,
    }
}

#[test]
fn rfc5681_4_2_acknowledges_every_second_full_segment() {
    let mut script = settled();
    script.data(Q, MSS).nothing();
    script.data(Q + MSS, MSS).acks(Q + 2 * MSS);
    script.data(Q + 2 * MSS, MSS).nothing();
}

#[test]
fn rfc9293_3_8_6_3_delays_at_most_40_ms() {
    let mut script = settled();
    script.at(10).data(Q, 100).nothing();
    script.at(20).data(Q + 100, 100).nothing();
    script.timer(50).acks(Q + 200);
    assert_eq!(script.deadline(), None);
}

#[test]
fn a_push_is_not_delayed_on_a_one_way_connection() {
    let mut script = settled();
    let segment = Segment {
        seq: IRS + Q,
        length: 100,
        flags: flag::ACK | flag::PSH,
        ..script.segment()
    };
    let Verdict::Deliver(piece) = script.take(&segment) else {
        panic!();
    };
    let end = script.tcb.accept(Instant(0), &piece);
    script.tcb.delivered(end);
    script.acks(Q + 100);
}

#[test]
fn an_acknowledgement_travels_on_data() {
    let mut script = settled();
    script.data(Q, 100).submit(50);
    let out = script.poll().expect("data");
    assert_eq!((out.length, out.ack), (50, IRS + Q + 100));
    script.nothing();
    assert!(script.deadline().is_some_and(|at| at.0 > 100_000));
}

#[test]
fn invariant_2_nothing_undelivered_is_acknowledged() {
    let mut script = Script::new();
    let segment = Segment {
        seq: IRS,
        length: MSS,
        ..script.segment()
    };
    let Verdict::Deliver(piece) = script.take(&segment) else {
        panic!();
    };
    // Not stored: as if it had not arrived.
    script.nothing();
    assert_eq!(script.take(&segment), Verdict::Deliver(piece));
    assert_eq!(script.tcb.accept(Instant(0), &piece), IRS + MSS);
    // Stored, but the completion is not written.
    script.acks(0);
    script.tcb.delivered(IRS + MSS);
    script.timer(40).acks(MSS);
}

#[test]
fn one_confirmation_covers_many_segments() {
    let mut script = Script::new();
    for i in 0..5 {
        let segment = Segment {
            seq: IRS + i * MSS,
            length: MSS,
            ..script.segment()
        };
        let Verdict::Deliver(piece) = script.take(&segment) else {
            panic!();
        };
        script.tcb.accept(Instant(0), &piece);
    }
    script.tcb.delivered(IRS + 5 * MSS);
    script.acks(5 * MSS);
}

#[test]
fn rfc2018_reports_what_came_out_of_order() {
    let mut script = settled();
    script.data(Q + 2 * MSS, MSS);
    let out = script.acks(Q);
    assert_eq!(out.sack.as_slice(), [range(Q + 2 * MSS, Q + 3 * MSS)]);
    script.data(Q + 4 * MSS, MSS);
    let out = script.acks(Q);
    assert_eq!(
        out.sack.as_slice(),
        [
            range(Q + 4 * MSS, Q + 5 * MSS),
            range(Q + 2 * MSS, Q + 3 * MSS)
        ]
    );
    // RFC 5681 4.2: immediately if it fills part of a hole.
    script.data(Q, MSS);
    assert_eq!(script.acks(Q + MSS).sack.as_slice().len(), 2);
    script.data(Q + MSS, MSS);
    let out = script.acks(Q + 3 * MSS);
    assert_eq!(out.sack.as_slice(), [range(Q + 4 * MSS, Q + 5 * MSS)]);
    assert_eq!(script.tcb.rcv_nxt(), IRS + Q + 3 * MSS);
    script.data(Q + 3 * MSS, MSS);
    assert!(script.acks(Q + 5 * MSS).sack.is_empty());
}

#[test]
fn rfc2883_reports_duplicates_once() {
    let mut script = settled();
    script.data(Q - MSS, MSS);
    assert_eq!(script.acks(Q).sack.as_slice(), [range(Q - MSS, Q)]);
    script.data(Q + 2 * MSS, 2 * MSS);
    assert_eq!(script.acks(Q).sack.as_slice().len(), 1);
    script.data(Q + 2 * MSS, MSS);
    assert_eq!(
        script.acks(Q).sack.as_slice(),
        [
            range(Q + 2 * MSS, Q + 3 * MSS),
            range(Q + 2 * MSS, Q + 4 * MSS)
        ]
    );
    assert_eq!(script.tcb.export(Instant(0)).duplicates, 2);
}

/// Section 4.2: of a segment that fills a gap, the part that was received before.
#[test]
fn rfc2883_reports_overlaps_out_of_order() {
    for (start, length, duplicate) in [
        (3 * MSS / 2, MSS, range(Q + 2 * MSS, Q + 5 * MSS / 2)),
        (5 * MSS / 2, MSS, range(Q + 5 * MSS / 2, Q + 3 * MSS)),
        // The first one of two.
        (3 * MSS / 2, 3 * MSS / 2, range(Q + 2 * MSS, Q + 3 * MSS)),
    ] {
        let mut script = settled();
        script.data(Q + 2 * MSS, MSS);
        script.acks(Q);
        script.data(Q + start, length);
        let out = script.acks(Q);
        assert_eq!(out.sack.as_slice()[0], duplicate);
    }
}

#[test]
fn data_segments_with_blocks_keep_to_the_mtu() {
    let mut script = settled();
    script.data(Q + 2 * MSS, MSS);
    script.submit(2 * MSS);
    let out = script.poll().expect("data");
    assert_eq!(out.sack.as_slice().len(), 1);
    assert_eq!(out.length + u32::from(out.sack.option_length()), MSS);
}

#[test]
fn without_sack_each_segment_out_of_order_is_answered() {
    let mut state = state();
    state.flags &= !state_flag::SACK;
    let mut script = Script::with(&state);
    for i in 1..4 {
        script.data(i * MSS, MSS);
    }
    for _ in 0..3 {
        let out = script.poll().expect("a duplicate acknowledgement");
        assert_eq!((out.ack, out.length), (IRS, 0));
        assert!(out.sack.is_empty());
    }
    script.nothing();
}

#[test]
fn old_and_new_data_in_one_segment_is_trimmed() {
    let mut script = settled();
    let segment = Segment {
        seq: IRS + Q - 300,
        length: MSS,
        ..script.segment()
    };
    let piece = Trimmed {
        seq: IRS + Q,
        skip: 300,
        length: 700,
    };
    assert_eq!(script.take(&segment), Verdict::Deliver(piece));
}

#[test]
fn data_beyond_the_window_is_trimmed() {
    let mut script = Script::new();
    let segment = Segment {
        seq: IRS + 1,
        length: WINDOW,
        ..script.segment()
    };
    let piece = Trimmed {
        seq: IRS + 1,
        skip: 0,
        length: WINDOW - 1,
    };
    assert_eq!(script.take(&segment), Verdict::Hold(piece));
}

/// Old data, and new data beyond a closed window: nothing is accepted.
#[test]
fn nothing_is_taken_from_behind_a_closed_window() {
    let mut state = state();
    state.rcv_edge = (IRS + MSS).0;
    let mut script = Script::with(&state);
    script.data(0, MSS);
    script.acks(MSS);
    let segment = Segment {
        seq: IRS + MSS - 10,
        length: 20,
        ..script.segment()
    };
    assert_eq!(script.take(&segment), Verdict::Duplicate);
    script.acks(MSS);
}

#[test]
fn too_many_holes_are_not_remembered() {
    let mut script = Script::new();
    let mut verdicts = (0, 0);
    for i in 1..=30 {
        let segment = Segment {
            seq: IRS + i * 100,
            length: 10,
            ..script.segment()
        };
        match script.take(&segment) {
            Verdict::Hold(piece) => {
                script.tcb.accept(Instant(0), &piece);
                verdicts.0 += 1;
            }
            Verdict::Upload(Some(Special::OutOfOrder)) => verdicts.1 += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(verdicts, (24, 6));
}

#[test]
fn invariant_3_the_edge_moves_with_the_host_only() {
    let mut script = Script::new();
    let edge = |out: &Outgoing| out.ack + (u32::from(out.window) << WSCALE) - IRS;
    script.data(0, MSS);
    assert_eq!(
        edge(&script.acks(MSS)),
        WINDOW - WINDOW % 16 - (MSS - MSS / 16 * 16) % 16
    );
    script.data(MSS, MSS);
    let rewrite = script.tcb.on_host_frame(
        Instant(0),
        &HostFrame {
            seq: ISS,
            length: 0,
            ack: IRS + MSS,
            window: ((WINDOW + MSS) >> WSCALE) as u16,
        },
    );
    // The adapter's acknowledgement number and the host's edge.
    assert_eq!(rewrite.ack, IRS + 2 * MSS);
    let announced = rewrite.ack + (u32::from(rewrite.window) << WSCALE) - IRS;
    let given = MSS + ((WINDOW + MSS) >> WSCALE << WSCALE);
    assert!(announced <= given && announced + (1 << WSCALE) > given);
    // The frame contains the pending ACK.
    script.nothing();
    // An edge further back has no effect.
    script.tcb.set_rcv_edge(IRS + 10);
    script.nothing();
    assert_eq!(script.tcb.export(Instant(0)).rcv_edge, (IRS + given).0);
}

/// The host's frame has no SACK option, so a pending SACK stays pending.
#[test]
fn a_frame_of_the_host_does_not_replace_a_report() {
    let mut script = settled();
    script.data(Q + 2 * MSS, MSS);
    let frame = HostFrame {
        seq: ISS,
        length: 0,
        ack: IRS + Q,
        window: 4000,
    };
    script.tcb.on_host_frame(Instant(0), &frame);
    let out = script.acks(Q);
    assert_eq!(out.sack.as_slice(), [range(Q + 2 * MSS, Q + 3 * MSS)]);
    // Without a pending SACK, it replaces our own ACK.
    script.data(Q, 2 * MSS);
    script.tcb.on_host_frame(Instant(0), &frame);
    script.nothing();
}

#[test]
fn a_keepalive_probe_of_the_host_keeps_its_number() {
    let mut script = Script::new();
    script.submit(MSS).sends(&[(0, MSS)]).ack(MSS);
    script.tcb.take_events();
    let frame = HostFrame {
        seq: ISS + MSS - 1,
        length: 0,
        ack: IRS,
        window: 1,
    };
    assert_eq!(
        script.tcb.on_host_frame(Instant(0), &frame).seq,
        ISS + MSS - 1
    );
    assert!(!script.tcb.take_events().acked);
    script.ack(MSS);
    assert!(script.tcb.take_events().acked);
    script.ack(MSS);
    assert!(!script.tcb.take_events().acked);
    let other = HostFrame {
        seq: ISS + 10 * MSS,
        length: 0,
        ..frame
    };
    assert_eq!(script.tcb.on_host_frame(Instant(0), &other).seq, ISS + MSS);
}
