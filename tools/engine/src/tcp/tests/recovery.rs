// SPDX-License-Identifier: GPL-2.0

//! Loss detection and recovery.

use toe_abi::completion::Reason;
use toe_abi::connection::ConnectionState;
use toe_abi::connection::flag as state_flag;

use super::script::*;
use super::send::full;
use crate::tcp::*;

fn without_sack() -> ConnectionState {
    let mut state = state();
    state.flags &= !state_flag::SACK;
    state
}

/// Ten segments in flight, at 100 ms, nothing acknowledged.
fn ten_out(state: &ConnectionState) -> Script {
    let mut script = Script::with(state);
    script.submit(40 * MSS).sends(&full(0, 10)).at(100);
    script
}

#[test]
fn rfc8985_three_reported_segments_show_a_loss() {
    let mut script = ten_out(&state());
    // Limited transmit (RFC 3042): new data for the first two.
    script.sack(0, &[(MSS, 2 * MSS)]).sends(&[(10 * MSS, MSS)]);
    script.sack(0, &[(MSS, 3 * MSS)]).sends(&[(11 * MSS, MSS)]);
    script.sack(0, &[(MSS, 4 * MSS)]).leaves(&[(0, MSS)], true);
    assert_eq!(script.tcb.take_events().recoveries, 1);
    assert_eq!(script.tcb.acked(0).send.ssthresh, 7);
    script.at(200).ack(12 * MSS);
    let acked = script.tcb.acked(0);
    assert_eq!((acked.send.cwnd, acked.send.retransmits), (7, 1));
    assert_eq!(script.tcb.take_events().timeouts, 0);
}

#[test]
fn rfc8985_time_shows_a_loss_with_fewer_reports() {
    let mut state = state();
    state.send.cwnd = 3;
    let mut script = Script::with(&state);
    script.submit(3 * MSS).sends(&full(0, 3));
    script.at(100).sack(0, &[(2 * MSS, 3 * MSS)]).nothing();
    // One round trip, plus a quarter of the minimum RTT, plus a grain of 8192 us.
    script.timer(133).leaves(&[(0, MSS)], true);
    script.ack(2 * MSS);
}

#[test]
fn rfc8985_reordering_is_waited_for() {
    let mut state = state();
    state.reordering = 10;
    let mut script = ten_out(&state);
    script.sack(0, &[(MSS, 9 * MSS)]);
    while let Some(out) = script.poll() {
        assert!(!out.retransmit);
    }
    script.at(110).sack(9 * MSS, &[]);
    assert_eq!(script.tcb.acked(0).send.retransmits, 0);
    assert_eq!(script.tcb.acked(0).send.ssthresh, u32::MAX);
}

#[test]
fn reordering_is_learnt_and_exported() {
    let mut script = ten_out(&state());
    script.sack(0, &[(MSS, 3 * MSS)]);
    script.ack(3 * MSS);
    assert_eq!(script.tcb.export(script.instant()).reordering, 4);
}

/// A segment marked lost that arrives before its retransmission was late.
#[test]
fn rfc8985_6_2_a_loss_that_was_none_shows_reordering() {
    let mut script = ten_out(&state());
    script.sack(0, &[(MSS, 4 * MSS)]).ack(4 * MSS);
    assert_eq!(script.tcb.export(script.instant()).reordering, 4);
    // Not if it was retransmitted: the retransmission may have arrived.
    let mut script = ten_out(&state());
    script.sack(0, &[(MSS, 4 * MSS)]).leaves(&[(0, MSS)], true);
    while script.poll().is_some() {}
    script.at(200).ack(4 * MSS);
    assert_eq!(script.tcb.export(script.instant()).reordering, 3);
}

#[test]
fn rfc8985_a_lost_retransmission_is_found_without_a_timeout() {
    let mut script = ten_out(&state());
    script.sack(0, &[(MSS, 4 * MSS)]);
    script.leaves(&[(0, MSS)], true);
    script.at(110).sack(0, &[(MSS, 10 * MSS)]);
    let mut new = 0;
    while let Some(out) = script.poll() {
        assert!(!out.retransmit);
        new += out.length;
    }
    assert!(new > 0);
    // Segments sent after the retransmission arrive, the retransmission does not.
    script.at(215).sack(0, &[(MSS, 10 * MSS + new)]);
    assert!(script.tcb.acked(0).send.retransmits < 2);
    let mut again = 0;
    while again == 0 {
        while let Some(out) = script.poll() {
            again += u32::from(out.retransmit && out.seq == ISS);
        }
        if again == 0 {
            let at = script.deadline().expect("a timer");
            assert!(at.0 < 260_000);
            script.now = at.0;
            script.tcb.on_timer(at).expect("no return");
        }
    }
    assert_eq!(script.tcb.take_events().timeouts, 0);
}

#[test]
fn rfc5681_three_duplicates_show_a_loss_without_sack() {
    let mut script = ten_out(&without_sack());
    script.ack(0).sends(&[(10 * MSS, MSS)]);
    script.ack(0).sends(&[(11 * MSS, MSS)]);
    script.ack(0).leaves(&[(0, MSS)], true);
    for _ in 0..8 {
        script.ack(0);
        while let Some(out) = script.poll() {
            assert!(!out.retransmit);
        }
    }
    assert_eq!(script.tcb.acked(0).send.ssthresh, 7);
    script.at(200).ack(10 * MSS);
    script.leaves(&[(10 * MSS, MSS)], true);
}

#[test]
fn rfc6582_a_partial_acknowledgement_shows_the_next_loss() {
    let mut script = ten_out(&without_sack());
    for _ in 0..7 {
        script.ack(0);
        while script.poll().is_some() {}
    }
    script.at(200).ack(4 * MSS);
    let out = script.poll().expect("a retransmission");
    assert_eq!((out.seq, out.retransmit), (ISS + 4 * MSS, true));
}

/// Step 3, also when the duplicate ACKs stand for more than it acknowledges.
#[test]
fn rfc6582_each_partial_acknowledgement_brings_a_retransmission() {
    let mut script = ten_out(&without_sack());
    script.ack(0).ack(0).ack(0).resends(&[(0, MSS)]);
    for i in 1..4 {
        script.at(100 + u64::from(i) * 20).ack(i * MSS);
        let out = script.poll().expect("a retransmission");
        assert_eq!((out.seq, out.retransmit), (ISS + i * MSS, true));
        while script.poll().is_some() {}
    }
}

#[test]
fn rfc5681_2_what_is_no_duplicate_does_not_count() {
    let mut script = ten_out(&without_sack());
    for i in 0..10 {
        // A new window, or data.
        script.window(0, WINDOW - 16 * i);
        script.data(i * 10, 10);
    }
    while let Some(out) = script.poll() {
        assert!(!out.retransmit);
    }
    assert_eq!(script.tcb.take_events().recoveries, 0);
}

#[test]
fn rfc6298_5_the_timeout_doubles_and_the_window_is_one_segment() {
    let mut script = ten_out(&without_sack());
    script.timer(300).resends(&[(0, MSS)]);
    assert_eq!(script.tcb.acked(0).send.cwnd, 1);
    assert_eq!(script.tcb.acked(0).send.ssthresh, 7);
    script.timer(900).resends(&[(0, MSS)]);
    script.timer(2_100).resends(&[(0, MSS)]);
    assert_eq!(script.tcb.acked(0).send.ssthresh, 7);
    assert_eq!(script.tcb.take_events().timeouts, 3);
    // Slow start from one segment, through everything outstanding.
    script.at(2_200).ack(MSS).resends(&full(MSS, 2));
    script.at(2_300).ack(3 * MSS).resends(&full(3 * MSS, 4));
    // Delivered segments are not retransmitted.
    script.at(2_400).ack(10 * MSS).sends(&full(10 * MSS, 7));
}

#[test]
fn rfc6298_5_3_an_acknowledgement_restarts_the_timer() {
    let mut script = ten_out(&without_sack());
    script.ack(MSS);
    while script.poll().is_some() {}
    let rto = u64::from(script.tcb.acked(0).send.rto_us);
    assert_eq!(script.deadline(), Some(Instant(100_000 + rto)));
    script.at(150).ack(11 * MSS);
    while script.poll().is_some() {}
    let all = Seq(script.tcb.acked(0).send.snd_nxt) - ISS;
    script.at(250).ack(all);
    while script.poll().is_some() {}
    script.at(350).ack(40 * MSS).nothing();
    assert_eq!(script.deadline(), None);
}

#[test]
fn six_timeouts_bring_the_connection_back() {
    let mut script = ten_out(&state());
    let mut sent = 0;
    let reason = loop {
        let at = script.deadline().expect("a timer");
        script.now = at.0;
        match script.tcb.on_timer(at) {
            Ok(()) => {
                while script.poll().is_some() {
                    sent += 1;
                }
            }
            Err(reason) => break reason,
        }
    };
    // One tail loss probe and five retransmissions.
    assert_eq!((reason, sent), (Reason::Timeout, 6));
    assert_eq!(script.tcb.export(script.instant()).backoff, 6);
}

#[test]
fn karn_what_was_sent_twice_is_not_timed() {
    let mut state = without_sack();
    state.flags &= !state_flag::TIMESTAMPS;
    let mut script = Script::with(&state);
    script.submit(MSS).sends(&[(0, MSS)]);
    script.timer(300).resends(&[(0, MSS)]);
    script.at(350).ack(MSS);
    let acked = script.tcb.acked(0);
    // RFC 6298 5: the backed-off RTO persists until the next sample.
    assert_eq!((acked.send.srtt_us, acked.send.rto_us), (100_000, 600_000));
    script.submit(MSS).sends(&[(MSS, MSS)]);
    script.at(450).ack(2 * MSS);
    assert_eq!(script.tcb.acked(0).send.rto_us, 300_000);
}

#[test]
fn rfc7323_4_timestamps_time_what_was_sent_twice() {
    let mut script = Script::with(&without_sack());
    script.submit(MSS).sends(&[(0, MSS)]);
    script.timer(300).resends(&[(0, MSS)]);
    script.at(380);
    let mut segment = script.segment();
    segment.ack = ISS + MSS;
    segment.timestamps = segment.timestamps.map(|timestamps| Timestamps {
        echo: TS + 300,
        ..timestamps
    });
    script.take(&segment);
    assert_eq!(
        script.tcb.acked(0).send.srtt_us,
        100_000 - 100_000 / 8 + 10_000
    );
    assert!(script.tcb.acked(0).send.rto_us < 320_000);
}

#[test]
fn rfc3522_a_spurious_timeout_is_undone() {
    let mut script = ten_out(&without_sack());
    script.timer(300).resends(&[(0, MSS)]);
    assert_eq!(script.tcb.acked(0).send.cwnd, 1);
    script.at(310);
    // The echo predates the retransmission.
    let mut segment = script.segment();
    segment.ack = ISS + MSS;
    segment.timestamps = segment.timestamps.map(|timestamps| Timestamps {
        echo: TS,
        ..timestamps
    });
    script.take(&segment);
    let acked = script.tcb.acked(0);
    assert_eq!((acked.send.cwnd, acked.send.ssthresh), (11, u32::MAX));
    script.sends(&full(10 * MSS, 2));
}

#[test]
fn rfc3708_reported_duplicates_undo_a_recovery() {
    let mut script = ten_out(&state());
    script.sack(0, &[(MSS, 5 * MSS)]).leaves(&[(0, MSS)], true);
    while script.poll().is_some() {}
    assert_eq!(script.tcb.acked(0).send.ssthresh, 7);
    script.at(201).ack(10 * MSS);
    script.sack(10 * MSS, &[(0, MSS)]);
    let acked = script.tcb.acked(0);
    assert_eq!(acked.send.ssthresh, u32::MAX);
    assert!(acked.send.cwnd >= 10);
}

#[test]
fn rfc8985_7_a_lost_tail_is_found_by_a_probe() {
    let mut script = Script::new();
    script.submit(5 * MSS).sends(&full(0, 5));
    script.at(100).ack(2 * MSS).nothing();
    // Two round trips plus the slack after the ACK: the last segment.
    script.timer(302).resends(&[(4 * MSS, MSS)]);
    // Its delivery shows that the others are lost.
    script.at(402).sack(2 * MSS, &[(4 * MSS, 5 * MSS)]);
    script.resends(&full(2 * MSS, 1));
    assert_eq!(script.tcb.take_events().timeouts, 0);
}

/// The retransmission is lost, and the receive window allows no later segment that would reveal it.
#[test]
fn a_recovery_that_hears_nothing_is_probed() {
    let mut state = state();
    state.send.snd_wnd = 10 * MSS;
    let mut script = ten_out(&state);
    script.window(0, 10 * MSS);
    script.sack(0, &[(MSS, 10 * MSS)]).resends(&[(0, MSS)]);
    // Two round trips plus the slack, not an RTO.
    script.timer(302);
    let out = script.poll().expect("a probe");
    assert_eq!((out.seq, out.length, out.retransmit), (ISS, MSS, true));
    assert_eq!(out.flags & flag::PSH, flag::PSH);
    script.at(400).window(10 * MSS, 10 * MSS);
    assert_eq!(script.tcb.take_events().timeouts, 0);
    assert_eq!(script.tcb.acked(0).send.ssthresh, 7);
}

/// cwnd left unused because several ACKs were processed at once survives the reduction.
#[test]
fn room_that_was_not_used_yet_survives_a_reduction() {
    let mut script = ten_out(&state());
    script.ack(6 * MSS);
    script.sack(6 * MSS, &[(7 * MSS, 8 * MSS)]);
    script.sack(6 * MSS, &[(7 * MSS, 9 * MSS)]);
    script.sack(6 * MSS, &[(7 * MSS, 10 * MSS)]);
    script.leaves(&[(6 * MSS, MSS)], true);
    // Slow start had grown the window to 16 segments, 7/10 of which are 11.
    let mut new = 0;
    while let Some(out) = script.poll() {
        new += out.length;
    }
    assert_eq!((new, script.tcb.acked(0).send.ssthresh), (10 * MSS, 11));
}

#[test]
fn rfc8985_7_a_probe_is_new_data_when_there_is_some() {
    let mut script = ten_out(&state());
    script.timer(202).sends(&[(10 * MSS, MSS)]);
    script.at(300).ack(11 * MSS);
    assert_eq!(script.tcb.acked(0).send.retransmits, 0);
    assert_eq!(script.tcb.acked(0).send.ssthresh, u32::MAX);
}

#[test]
fn rfc8985_7_4_a_probe_that_repairs_a_loss_is_a_loss() {
    let mut script = Script::new();
    script.submit(3 * MSS).sends(&full(0, 3));
    script.timer(202).resends(&[(2 * MSS, MSS)]);
    script.submit(MSS).sends(&[(3 * MSS, MSS)]);
    script.at(310).ack(4 * MSS);
    assert_eq!(script.tcb.acked(0).send.ssthresh, 7);
    // A D-SACK that does not is none.
    let mut script = Script::new();
    script.submit(3 * MSS).sends(&full(0, 3));
    script.timer(202).resends(&[(2 * MSS, MSS)]);
    script.at(210).ack(3 * MSS);
    script.at(310).sack(3 * MSS, &[(2 * MSS, 3 * MSS)]);
    assert_eq!(script.tcb.acked(0).send.ssthresh, u32::MAX);
}

#[test]
fn rfc2018_8_a_peer_may_forget_what_it_reported() {
    let mut script = ten_out(&state());
    script.sack(0, &[(MSS, 10 * MSS)]);
    while script.poll().is_some() {}
    script.at(200).ack(MSS);
    while script.poll().is_some() {}
    // The peer acknowledges only the hole, although it had SACKed everything after it.
    let mut sent = alloc::vec::Vec::new();
    while script.tcb.take_events().timeouts == 0 {
        let at = script.deadline().expect("a timer");
        script.now = at.0;
        script.tcb.on_timer(at).expect("no return");
        while let Some(out) = script.poll() {
            sent.push((out.seq - ISS, out.retransmit));
        }
    }
    // A probe, then the data the peer has dropped.
    assert_eq!(sent, [(17 * MSS, false), (MSS, true)]);
}

#[test]
fn rfc9937_the_window_comes_down_in_proportion() {
    let mut state = state();
    state.send.cwnd = 20;
    let mut script = Script::with(&state);
    script.submit(60 * MSS).sends(&full(0, 20));
    script.at(100);
    let mut sent = 0;
    for i in 1..20 {
        script.sack(0, &[(MSS, (1 + i) * MSS)]);
        while script.poll().is_some() {
            sent += 1;
        }
    }
    // Seven for ten: neither a pause of half a round trip nor a burst.
    assert!((12..=15).contains(&sent), "{sent}");
    script.at(200).ack(20 * MSS);
    assert_eq!(script.tcb.acked(0).send.cwnd, 14);
}
