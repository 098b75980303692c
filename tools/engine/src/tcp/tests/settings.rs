// SPDX-License-Identifier: GPL-2.0

//! What the host sets while the connection lasts.

use toe_abi::completion::Reason;
use toe_abi::connection::flag as state_flag;

use super::script::*;
use super::send::full;

#[test]
fn flags_end_the_effect_of_more() {
    let mut state = state();
    state.flags &= !state_flag::NODELAY;
    let mut script = Script::with(&state);
    script.submit_with(MSS + 5, false, true).sends(&[(0, MSS)]);
    script.tcb.set_flags(0);
    script.sends(&[(MSS, 5)]);
    // Nagle's algorithm applies to what follows.
    script.submit_with(5, false, true).nothing();
    script.tcb.set_flags(0);
    script.nothing();
    script.tcb.set_flags(state_flag::NODELAY);
    script.sends(&[(MSS + 5, 5)]);
}

#[test]
fn a_push_overrides_cork_and_nagle_for_what_was_submitted() {
    let mut state = state();
    state.flags &= !state_flag::NODELAY;
    state.flags |= state_flag::CORK;
    state.send.cwnd = 1;
    let mut script = Script::with(&state);
    script.submit(10).nothing();
    let corked = state_flag::NODELAY | state_flag::CORK;
    script.tcb.set_flags(corked | state_flag::PUSH);
    script.sends(&[(0, 10)]);
    script.submit(10).nothing();
    script.tcb.set_flags(corked);
    script.nothing();
    // Pushed while the congestion window has no room: corked payload behind it goes with it.
    script.submit(MSS - 10).nothing();
    script.submit(10);
    script.tcb.set_flags(corked | state_flag::PUSH);
    script.submit(10).nothing();
    script.at(100).ack(10).sends(&[(10, MSS)]);
    script.at(200).ack(10 + MSS).sends(&[(10 + MSS, 20)]);
    script.at(300).ack(30 + MSS);
    script.submit(10).nothing();
}

#[test]
fn a_smaller_mss_holds_from_the_next_segment() {
    let mut script = Script::new();
    script.tcb.set_mss(400).expect("large enough");
    assert_eq!(script.tcb.set_mss(63), Err(Reason::Submission));
    script.large = 400;
    script
        .submit(1000)
        .sends(&[(0, 400), (400, 400), (800, 200)]);
}

/// `tcp_simple_retransmit()`.
#[test]
fn rfc1191_6_5_what_a_router_has_dropped_is_sent_again_at_once() {
    let mut script = Script::new();
    script.submit(2 * MSS).sends(&full(0, 2));
    script.at(20).submit(300).sends(&[(2 * MSS, 300)]);
    script.at(40).tcb.set_mss(400).expect("large enough");
    script.large = 400;
    script.resends(&[(0, 400), (400, 400), (800, 400), (1200, 400), (1600, 400)]);
    // It is no congestion.
    assert_eq!(script.tcb.acked(0).send.ssthresh, u32::MAX);
    assert_eq!(script.tcb.acked(0).send.cwnd, 25);
    script.at(140).ack(2 * MSS + 300).nothing();
    assert!(script.tcb.acked(0).send.cwnd >= 25);
    // A larger MSS says nothing about what is in flight.
    script.submit(400).sends(&[(2300, 400)]);
    script.tcb.set_mss(1000).expect("large enough");
    script.nothing();
}

/// `tcp_retries2`: the first timeout after this time.
#[test]
fn the_host_says_how_long_to_retry() {
    let mut script = Script::new();
    script.tcb.set_patience(500_000, 0);
    script.submit(MSS).sends(&[(0, MSS)]);
    script.timer(300).resends(&[(0, MSS)]);
    script.timer(600).resends(&[(0, MSS)]);
    let deadline = script.tcb.deadline().expect("a timer");
    assert_eq!(deadline.0 / 1000, 1200);
    assert_eq!(script.tcb.on_timer(deadline), Err(Reason::Timeout));
    let state = script.tcb.export(deadline);
    assert_eq!((state.backoff, state.unanswered_us), (2, 900_000));
}

/// `TCP_USER_TIMEOUT`.
#[test]
fn the_host_says_when_to_give_up() {
    let give_up = |script: &mut Script, ms: u64| {
        let deadline = script.tcb.deadline().expect("a timer");
        assert_eq!(deadline.0 / 1000, ms);
        assert_eq!(script.tcb.on_timer(deadline), Err(Reason::Timeout));
    };
    let mut script = Script::new();
    script.tcb.set_patience(0, 500_000);
    script.submit(MSS).sends(&[(0, MSS)]);
    script.timer(300).resends(&[(0, MSS)]);
    script.timer(600).resends(&[(0, MSS)]);
    give_up(&mut script, 800);
    // An answer ends the time.
    script.at(750).ack(MSS);
    assert_eq!(script.tcb.deadline(), None);
    assert_eq!(script.tcb.export(script.instant()).unanswered_us, 0);
    // A closed window is no answer.
    script.window(MSS, 0).submit(MSS).nothing();
    let probe = script.tcb.deadline().expect("a probe");
    script.now = probe.0;
    script.tcb.on_timer(probe).expect("no return");
    script.sends(&[(MSS, 1)]);
    script.ack(MSS).nothing();
    give_up(&mut script, probe.0 / 1000 + 500);
    script.window(MSS, WINDOW).sends(&[(MSS, MSS)]);
}

#[test]
fn the_host_sets_the_smallest_timeout() {
    let mut state = state();
    state.send.srtt_us = 1_000;
    state.send.rttvar_us = 0;
    let mut script = Script::with(&state);
    script
        .tcb
        .set_times(20_000, 40_000, 1_000)
        .expect("in range");
    script.submit(MSS).sends(&[(0, MSS)]);
    script.timer(21).resends(&[(0, MSS)]);
    script.timer(42).resends(&[(0, MSS)]);
    script.timer(82).resends(&[(0, MSS)]);
    for (min, max, delay) in [(0, 1, 1_000), (20_000, 40_000, 999)] {
        assert_eq!(
            script.tcb.set_times(min, max, delay),
            Err(Reason::Submission)
        );
    }
}

#[test]
fn the_window_is_kept_over_idle_time_if_the_host_says_so() {
    let mut state = state();
    state.send.cwnd = 80;
    state.flags |= state_flag::KEEP_CWND;
    let mut script = Script::with(&state);
    script.submit(MSS).sends(&[(0, MSS)]);
    script.at(100).ack(MSS);
    script.at(850).submit(MSS).sends(&[(MSS, MSS)]);
    assert_eq!(script.tcb.acked(0).send.cwnd, 80);
    script.at(950).ack(2 * MSS);
    script.tcb.set_flags(state_flag::NODELAY);
    script.at(1700).submit(MSS).sends(&[(2 * MSS, MSS)]);
    assert_eq!(script.tcb.acked(0).send.cwnd, 20);
}

/// `TCP_NOTSENT_LOWAT`.
#[test]
fn the_host_learns_what_was_sent_if_it_wants_to() {
    let mut script = Script::new();
    script.submit(MSS).sends(&[(0, MSS)]);
    assert!(!script.tcb.take_events().acked);
    let flags = state_flag::NODELAY | state_flag::REPORT_SENT;
    script.tcb.set_flags(flags);
    assert!(script.tcb.take_events().acked);
    script.submit(MSS);
    assert!(!script.tcb.take_events().acked);
    script.sends(&[(MSS, MSS)]);
    assert!(script.tcb.take_events().acked);
    assert_eq!(script.tcb.acked(0).send.snd_nxt, (ISS + 2 * MSS).0);
}

#[test]
fn the_host_limits_the_congestion_window() {
    let mut script = Script::new();
    script.tcb.set_cwnd_limit(3);
    script.submit(10 * MSS).sends(&full(0, 3));
    script.at(100).ack(3 * MSS).sends(&full(3 * MSS, 3));
    script.tcb.set_cwnd_limit(0);
    script.at(200).ack(6 * MSS).sends(&full(6 * MSS, 4));
}

#[test]
fn the_host_limits_the_delay_of_acknowledgements() {
    let mut script = settled();
    script
        .tcb
        .set_times(200_000, 200_000, 5_000)
        .expect("in range");
    script.data(Q, 10);
    script.timer(5);
    script.acks(Q + 10);
}

#[test]
fn an_edge_of_the_host_is_announced_at_once() {
    let mut script = settled();
    script.tcb.set_rcv_edge(IRS + Q + WINDOW + MSS);
    let out = script.acks(Q);
    let announced = u32::from(out.window) << WSCALE;
    assert_eq!(announced, (WINDOW + MSS) >> WSCALE << WSCALE);
    script.tcb.set_rcv_edge(IRS + Q + WINDOW + MSS);
    script.nothing();
}
