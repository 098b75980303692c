// SPDX-License-Identifier: GPL-2.0

//! Sending: windows, Nagle's algorithm, probes, header fields.

use alloc::vec::Vec;

use toe_abi::completion::Reason;
use toe_abi::connection::flag as state_flag;

use super::script::*;
use crate::tcp::*;

/// `count` full segments starting at `first`.
pub fn full(first: u32, count: u32) -> Vec<(u32, u32)> {
    (0..count).map(|i| (first + i * MSS, MSS)).collect()
}

#[test]
fn rfc5681_the_congestion_window_limits() {
    let mut script = Script::new();
    script.submit(20 * MSS).sends(&full(0, 10));
    // Slow start: two segments per ACKed segment.
    script.at(100).ack(2 * MSS).sends(&full(10 * MSS, 4));
}

#[test]
fn rfc9293_3_8_6_the_peer_window_limits() {
    let mut state = state();
    state.send.snd_wnd = 3 * MSS + 200;
    let mut script = Script::with(&state);
    script.submit(20 * MSS);
    script.sends(&full(0, 3));
    // Silly window avoidance: 200 bytes are not sent, a full segment is.
    script.at(100).window(3 * MSS, 4 * MSS);
    script.sends(&full(3 * MSS, 4));
}

#[test]
fn rfc9293_3_8_6_2_1_half_the_largest_window_is_worth_a_segment() {
    let mut state = state();
    state.send.snd_wnd = 800;
    state.max_window = 800;
    let mut script = Script::with(&state);
    script.window(0, 800).submit(2 * MSS).sends(&[(0, 800)]);
}

#[test]
fn large_segments_count_as_what_they_stand_for() {
    let mut script = Script::new();
    script.large = 64_000;
    script.submit(5 * MSS + 10);
    let out = script.poll().expect("one segment");
    assert_eq!((out.seq, out.length), (ISS, 5 * MSS + 10));
    assert_eq!((out.gso_size, out.wire_segments), (1000, 6));
    assert_eq!(out.flags, flag::ACK | flag::PSH);
    script.nothing();
    assert_eq!(script.tcb.acked(1).send.segs_out, 6);
    assert_eq!(script.tcb.export(script.instant()).data_segs_out, 6);
}

#[test]
fn progress_is_reported_when_the_host_can_use_it() {
    let mut script = Script::new();
    script.submit(20 * MSS).sends(&full(0, 10));
    script.tcb.take_events();
    script.tcb.set_awaited(ISS + 7 * MSS - 1);
    let reported = |script: &mut Script| script.tcb.take_events().acked;
    script.ack(6 * MSS);
    assert!(!reported(&mut script));
    script.ack(7 * MSS);
    assert!(reported(&mut script), "what the host waits for");
    script.ack(9 * MSS);
    assert!(!reported(&mut script));
    // At the latest after four milliseconds.
    script.now += 3_999;
    script.tcb.on_timer(script.instant()).unwrap();
    assert!(!reported(&mut script));
    script.now += 1;
    script.tcb.on_timer(script.instant()).unwrap();
    assert!(reported(&mut script));
    assert!(script.tcb.deadline() == script.deadline());
    while script.poll().is_some() {}
    script.ack(20 * MSS);
    assert!(reported(&mut script), "there is nothing left");
}

#[test]
fn a_large_segment_is_whole_segments() {
    let mut script = Script::new();
    script.large = 3_500;
    script.submit(20 * MSS);
    script.sends(&[(0, 3000), (3000, 3000), (6000, 3000), (9000, 1000)]);
}

#[test]
fn segments_say_everything() {
    let mut script = Script::new();
    script.at(25).submit(10);
    let out = script.poll().expect("one segment");
    let expected = Outgoing {
        seq: ISS,
        length: 10,
        gso_size: 0,
        wire_segments: 1,
        retransmit: false,
        flags: flag::ACK | flag::PSH,
        ack: IRS,
        window: (WINDOW >> WSCALE) as u16,
        timestamps: Some(Timestamps {
            value: TS + 25,
            echo: PEER_TS,
        }),
        sack: SackBlocks::new(),
        ect: false,
    };
    assert_eq!(out, expected);
}

#[test]
fn nagle_holds_a_second_small_segment() {
    let mut state = state();
    state.flags &= !state_flag::NODELAY;
    let mut script = Script::with(&state);
    script.submit(100).sends(&[(0, 100)]);
    script.submit(100).nothing();
    script.submit(MSS).sends(&[(100, MSS)]);
    script.at(100).ack(100 + MSS).sends(&[(100 + MSS, 100)]);
}

/// Minshall's modification: full segments in flight do not delay the last one.
#[test]
fn nagle_does_not_hold_the_end_of_a_write() {
    let mut state = state();
    state.flags &= !state_flag::NODELAY;
    let mut script = Script::with(&state);
    script.submit(2 * MSS + 5);
    script.sends(&[(0, MSS), (MSS, MSS), (2 * MSS, 5)]);
}

#[test]
fn more_and_cork_hold_200_ms_at_most() {
    let mut script = Script::new();
    script.submit_with(5, false, true).nothing();
    script.timer(200).sends(&[(0, 5)]);
    script.at(300).ack(5);
    script.tcb.set_flags(state_flag::CORK | state_flag::NODELAY);
    script.submit(7).nothing();
    script.timer(500).sends(&[(5, 7)]);
    script.at(600).ack(12);
    script.submit(3).nothing();
    script.tcb.set_flags(state_flag::NODELAY);
    script.sends(&[(12, 3)]);
}

#[test]
fn more_holds_until_the_next_acknowledgement() {
    let mut script = Script::new();
    script.submit_with(MSS + 5, false, true).sends(&[(0, MSS)]);
    // Payload of the peer that acknowledges nothing has no effect.
    script.at(50).data(0, 10);
    script.acks(10);
    script.at(100).ack(MSS).sends(&[(MSS, 5)]);
    // What is corked waits on.
    script.tcb.set_flags(state_flag::CORK | state_flag::NODELAY);
    script.submit(MSS + 5).sends(&[(MSS + 5, MSS)]);
    script.at(200).ack(2 * MSS + 5).nothing();
}

/// `MSG_EOR`.
#[test]
fn no_segment_has_payload_of_two_records() {
    let mut state = state();
    state.flags &= !state_flag::NODELAY;
    let mut script = Script::with(&state);
    script.large = 64_000;
    script
        .submit_record(2 * MSS + 5)
        .submit_record(7)
        .submit(3 * MSS);
    script.leaves(&[(0, 2 * MSS + 5), (2 * MSS + 5, 7)], false);
    script.sends(&[(2 * MSS + 12, 3 * MSS)]);
    // Nor has a probe or a retransmission.
    script.at(100).ack(2 * MSS);
    script.submit_record(1).nothing();
    script.at(110).ack(5 * MSS + 12).sends(&[(5 * MSS + 12, 1)]);
    script.submit(1).nothing();
    script.timer(411).sends(&[(5 * MSS + 13, 1)]);
    script
        .timer(712)
        .resends(&[(5 * MSS + 12, 1), (5 * MSS + 13, 1)]);
}

#[test]
fn the_last_record_obeys_nagle() {
    let mut state = state();
    state.flags &= !state_flag::NODELAY;
    let mut script = Script::with(&state);
    script.submit_record(5).sends(&[(0, 5)]);
    script.submit_record(5).nothing();
    // Nothing can be added to it any more.
    script.submit(1).sends(&[(5, 5)]);
}

#[test]
fn a_probe_finds_the_last_of_many_records_at_once() {
    let mut script = Script::new();
    script.submit_record(MSS).sends(&[(0, MSS)]);
    for number in 0..500 {
        script.submit_record(2).sends(&[(MSS + 2 * number, 2)]);
    }
    script.records.asked.set(0);
    script.timer(202).resends(&[(MSS + 998, 2)]);
    let asked = script.records.asked.get();
    assert!(asked < 10, "{asked}");
}

#[test]
fn a_record_that_ends_where_the_window_does_is_sent_at_once() {
    let mut state = state();
    state.send.snd_wnd = 2 * MSS + 200;
    let mut script = Script::with(&state);
    script.submit_record(2 * MSS + 200).submit(MSS);
    script.sends(&[(0, MSS), (MSS, MSS), (2 * MSS, 200)]);
    // The next record does not end there.
    script.at(100).window(2 * MSS + 200, 200);
    script.nothing();
}

#[test]
fn rfc9293_3_8_6_1_probes_a_closed_window() {
    let mut script = Script::new();
    script.window(0, 0).submit(3 * MSS).nothing();
    // RTO 300 ms, then doubled.
    script.timer(300).sends(&[(0, 1)]);
    script.timer(900).resends(&[(0, 1)]);
    script.ack(0).nothing();
    script.timer(2_100).resends(&[(0, 1)]);
    script.ack(0).nothing();
    // The window opens without acknowledging the byte: it is part of the next segment.
    script.at(3_000).window(0, WINDOW).sends(&full(0, 3));
    assert_eq!(script.tcb.acked(0).send.cwnd, 10);
}

#[test]
fn the_octet_of_a_probe_does_not_hold_the_rest() {
    let mut state = state();
    state.flags &= !state_flag::NODELAY;
    let mut script = Script::with(&state);
    script.window(0, 0).submit(100).nothing();
    script.timer(300).sends(&[(0, 1)]);
    script.at(400).window(0, WINDOW).sends(&[(0, 100)]);
    // The peer had taken the octet all the same. It is no sample of the round-trip time.
    script.at(401).ack(1).nothing();
    assert_eq!(script.tcb.acked(0).send.srtt_us, 100_000);
    script.at(500).ack(100).nothing();
    assert_eq!(script.tcb.deadline(), None);
}

#[test]
fn a_closed_window_that_takes_the_octet_opens() {
    let mut script = Script::new();
    script.window(0, 0).submit(2 * MSS).nothing();
    script.timer(300).sends(&[(0, 1)]);
    script.window(1, 0).nothing();
    script.timer(900).sends(&[(1, 1)]);
    script.window(2, WINDOW);
    script.sends(&[(2, MSS), (2 + MSS, MSS - 2)]);
}

/// Of two ACKs that differ only in the window, the larger window is the later one.
#[test]
fn an_overtaken_acknowledgement_does_not_shrink_the_window() {
    let mut script = Script::new();
    script.submit(4 * MSS).sends(&full(0, 4));
    script
        .at(100)
        .window(2 * MSS, 40_000)
        .window(2 * MSS, 20_000);
    assert_eq!(script.tcb.acked(0).send.snd_wnd, 40_000);
    // A higher acknowledgement number is later, irrespective of the sequence number.
    let mut segment = script.segment();
    segment.ack = ISS + 3 * MSS;
    segment.window = (10_000 >> WSCALE) as u16;
    script.data(0, 100);
    segment.seq = IRS + 90;
    segment.length = 20;
    script.take(&segment);
    assert_eq!(script.tcb.acked(0).send.snd_wnd, 10_000);
}

/// The peer has filled its window exactly, although the scaled field announced slightly less.
#[test]
fn acknowledgements_stand_where_the_window_is_rounded_off() {
    let mut state = state();
    state.send.snd_wnd = 2_990;
    let mut script = Script::with(&state);
    script.submit(2_990);
    script.sends(&[(0, MSS), (MSS, MSS), (2 * MSS, 990)]);
    // 1990 more bytes, rounded down by the window scale.
    script.at(100).window(MSS, 1_984);
    script.data(0, MSS);
    assert_eq!(script.acks(MSS).seq, ISS + 2_990);
}

/// The peer must be able to accept our segments while a probe is outstanding.
#[test]
fn acknowledgements_stay_within_the_closed_window() {
    let mut script = Script::new();
    script.window(0, 0).submit(MSS).nothing();
    script.timer(300).sends(&[(0, 1)]);
    script.data(0, MSS);
    let out = script.acks(MSS);
    assert_eq!(out.seq, ISS);
}

#[test]
fn answered_probes_go_on_for_ever_and_unanswered_ones_do_not() {
    let mut script = Script::new();
    script.window(0, 0).submit(MSS).nothing();
    for _ in 0..20 {
        let deadline = script.deadline().expect("a probe");
        script.now = deadline.0;
        script.tcb.on_timer(deadline).expect("the peer answers");
        assert_eq!(script.poll().map(|out| out.length), Some(1));
        script.ack(0).nothing();
    }
    let mut probes = 0;
    let reason = loop {
        let deadline = script.deadline().expect("a probe");
        script.now = deadline.0;
        match script.tcb.on_timer(deadline) {
            Ok(()) => probes += u32::from(script.poll().is_some()),
            Err(reason) => break reason,
        }
    };
    assert_eq!((probes, reason), (5, Reason::Timeout));
}

#[test]
fn idle_time_reduces_the_window() {
    let mut state = state();
    state.send.cwnd = 80;
    let mut script = Script::with(&state);
    script.submit(MSS).sends(&[(0, MSS)]);
    script.at(100).ack(MSS);
    // After two and a half RTOs.
    script.at(850).submit(MSS).sends(&[(MSS, MSS)]);
    assert_eq!(script.tcb.acked(0).send.cwnd, 20);
}

#[test]
fn an_unused_window_does_not_grow() {
    let mut script = Script::new();
    for i in 0..20 {
        script.submit(MSS).sends(&[(i * MSS, MSS)]);
        script.ack((i + 1) * MSS);
    }
    assert_eq!(script.tcb.acked(0).send.cwnd, 10);
}

#[test]
fn what_the_host_has_not_submitted_again_is_not_asked_for() {
    let mut state = state();
    state.send.snd_nxt = (ISS + 5 * MSS).0;
    let mut script = Script::with(&state);
    script.nothing();
    script.submit(2 * MSS).nothing();
    // No tail segment was submitted to probe with.
    script.timer(202).nothing();
    // The RTO marks all five lost, of which two are submitted.
    script.timer(300).resends(&[(0, MSS)]);
    script.at(400).ack(MSS).resends(&[(MSS, MSS)]);
    script.submit(5 * MSS);
    script.resends(&[(2 * MSS, MSS)]);
}

#[test]
fn submissions_must_follow_each_other() {
    let mut script = Script::new();
    let submit = |script: &mut Script, seq, length| script.tcb.submit(seq, length, false, false);
    assert_eq!(submit(&mut script, ISS + 1, 10), Err(Reason::Submission));
    assert_eq!(submit(&mut script, ISS, 0), Err(Reason::Submission));
    assert_eq!(
        submit(&mut script, ISS, (1 << 30) + 1),
        Err(Reason::Submission)
    );
    assert_eq!(submit(&mut script, ISS, 10), Ok(()));
    assert_eq!(submit(&mut script, ISS, 10), Err(Reason::Submission));
    assert_eq!(submit(&mut script, ISS + 10, 10), Ok(()));
}
