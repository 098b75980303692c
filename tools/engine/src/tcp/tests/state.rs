// SPDX-License-Identifier: GPL-2.0

//! Hand-over and return.

use toe_abi::completion::HandoverStatus;
use toe_abi::completion::Reason;
use toe_abi::connection::ConnectionState;
use toe_abi::connection::SendState;
use toe_abi::connection::flag as state_flag;

use super::script::*;
use crate::tcp::*;

#[test]
fn a_connection_comes_back_as_it_went() {
    let state = ConnectionState {
        flags: state().flags | state_flag::ECN | state_flag::ECN_ECHO | state_flag::CORK,
        send: SendState {
            snd_nxt: (ISS + 5 * MSS).0,
            ssthresh: 20,
            ..state().send
        },
        backoff: 1,
        reordering: 5,
        rcv_mss: 0,
        ..state()
    };
    let tcb = Tcb::new(&state, Seq(state.rcv_nxt), Instant(77)).expect("sound");
    assert_eq!(tcb.export(Instant(77)), state);
    let later = tcb.export(Instant(77) + 5_999);
    assert_eq!(later.tsval, state.tsval + 5);
}

#[test]
fn counts_and_estimates_come_back() {
    let mut script = Script::new();
    script
        .submit(4 * MSS)
        .leaves(&super::send::full(0, 4), false);
    script.at(140).ack(4 * MSS).data(0, 10).acks(10);
    let state = script.tcb.export(script.instant());
    assert_eq!((state.send.segs_in, state.data_segs_in), (2, 1));
    assert_eq!((state.send.segs_out, state.data_segs_out), (5, 4));
    assert_eq!((state.send.delivered, state.send.retransmits), (4, 0));
    assert_eq!(
        (state.send.srtt_us, state.send.rttvar_us),
        (105_000, 17_500)
    );
    assert_eq!(state.send.snd_una, (ISS + 4 * MSS).0);
    assert_eq!(state.rcv_nxt, (IRS + 10).0);
    assert_eq!(state.send.cwnd, 10);
    let acked = script.tcb.acked(9);
    assert_eq!((acked.host_id, acked.send.snd_una), (9, state.send.snd_una));
    assert_eq!(
        (acked.send.srtt_us, acked.send.min_rtt_us),
        (105_000, 100_000)
    );
}

#[test]
fn contradictions_are_refused() {
    let refused = |change: fn(&mut ConnectionState)| {
        let mut state = state();
        change(&mut state);
        Tcb::new(&state, Seq(state.rcv_nxt), Instant(0)).err()
    };
    assert_eq!(refused(|_| {}), None);
    let bad: [fn(&mut ConnectionState); 10] = [
        |state| state.send.snd_nxt = (ISS - 1).0,
        |state| state.rcv_edge = (IRS - 1).0,
        |state| state.snd_wscale = 15,
        |state| state.rcv_wscale = 15,
        |state| state.flags &= !state_flag::WINDOW_SCALE,
        |state| state.send.cwnd = 0,
        |state| state.ts_tick_us = 0,
        |state| state.send.snd_wnd = u32::MAX,
        |state| state.flags |= state_flag::ECN_ECHO,
        |state| state.flags |= state_flag::CWR,
    ];
    for change in bad {
        assert_eq!(refused(change), Some(HandoverStatus::BadState));
    }
    let unsupported = refused(|state| state.mss = 63);
    assert_eq!(unsupported, Some(HandoverStatus::Unsupported));
}

#[test]
fn extreme_numbers_are_harmless() {
    let state = ConnectionState {
        send: SendState {
            cwnd: u32::MAX,
            ssthresh: u32::MAX - 1,
            srtt_us: u32::MAX,
            rttvar_us: u32::MAX,
            min_rtt_us: 0,
            rto_us: u32::MAX,
            ..state().send
        },
        reordering: u32::MAX,
        backoff: u32::MAX,
        max_window: u32::MAX,
        mss: u16::MAX,
        tsval: u32::MAX,
        ..state()
    };
    let mut script = Script::with(&state);
    script.submit(1 << 20).ack(0);
    while script.poll().is_some() {}
    script.now = 1 << 50;
    let due = script.instant();
    // With this backoff, the next timeout is the last.
    assert_eq!(script.tcb.on_timer(due), Err(Reason::Timeout));
    script.tcb.export(due);
}

/// The host never submits what it had in flight, and claims to send payload half the sequence space
/// away, where it looks as if it were submitted.
#[test]
fn nothing_that_was_not_submitted_can_be_acknowledged() {
    const FLIGHT: u32 = toe_abi::connection::MAX_FLIGHT;
    let mut state = state();
    state.send.snd_nxt = (ISS + FLIGHT).0;
    let mut script = Script::with(&state);
    script.at(100).ack(FLIGHT).nothing();
    for ahead in [1, MSS, FLIGHT, FLIGHT + 1, FLIGHT + 5 * MSS, 2 * FLIGHT - 1] {
        let frame = HostFrame {
            seq: ISS + FLIGHT + ahead - MSS,
            length: MSS,
            ack: IRS,
            window: 100,
        };
        script.tcb.on_host_frame(script.instant(), &frame);
        let segment = Segment {
            ack: ISS + FLIGHT + ahead,
            ..script.segment()
        };
        let verdict = script.take(&segment);
        assert!(matches!(verdict, Verdict::Drop(_)), "{ahead}: {verdict:?}");
        assert_eq!(script.tcb.snd_una(), ISS + FLIGHT);
        while let Some(out) = script.poll() {
            assert_eq!(out.length, 0, "{ahead}");
        }
    }
}
