// SPDX-License-Identifier: GPL-2.0

//! Checks of a segment: window, timestamp, acknowledgement number, probes of a closed window, and
//! which segments return the connection to the host's TCP.

use toe_abi::completion::Reason;

use super::script::*;
use crate::tcp::*;

#[test]
fn rfc9293_3_10_7_4_what_is_outside_the_window_is_answered() {
    let mut script = settled();
    let mut unacceptable = |seq: u32, length| {
        let segment = Segment {
            seq: IRS + seq,
            length,
            ..script.segment()
        };
        let verdict = script.take(&segment);
        script.acks(Q);
        verdict
    };
    // A keepalive probe of the peer, old data, data beyond the window.
    assert_eq!(unacceptable(Q - 1, 0), Verdict::Drop(Drop::Window));
    assert_eq!(unacceptable(Q - 10, 10), Verdict::Duplicate);
    assert_eq!(unacceptable(Q + WINDOW, 1), Verdict::Drop(Drop::Window));
}

#[test]
fn answers_to_empty_segments_are_limited() {
    let mut script = settled();
    let probe = Segment {
        seq: IRS + Q - 1,
        ..script.segment()
    };
    script.take(&probe);
    script.acks(Q);
    script.take(&probe);
    script.at(499).nothing();
    script.at(500).take(&probe);
    script.acks(Q);
}

/// The host may have opened the window in a frame that was lost on its way to the adapter.
#[test]
fn a_window_that_stays_closed_is_the_hosts_to_explain() {
    let mut script = settled();
    let mut end = Q;
    for _ in 0..2 {
        // The peer fills the window, and the host does not read.
        script.data(end, WINDOW);
        script.acks(end + WINDOW);
        end += WINDOW;
        let probe = Segment {
            seq: IRS + end - 1,
            ..script.segment()
        };
        for _ in 0..8 {
            assert_eq!(script.take(&probe), Verdict::Drop(Drop::Window));
        }
        // Then the host reads, and the count restarts.
        script.tcb.set_rcv_edge(IRS + end + WINDOW);
        script.acks(end);
        assert_eq!(script.take(&probe), Verdict::Drop(Drop::Window));
    }
    script.data(end, WINDOW);
    script.acks(end + WINDOW);
    let probe = Segment {
        seq: IRS + end + WINDOW - 1,
        ..script.segment()
    };
    // Forged: no peer probes there.
    let forged = |script: &Script, offset, length| Segment {
        seq: probe.seq + offset,
        length,
        ..script.segment()
    };
    for _ in 0..8 {
        for (offset, length) in [(0x4000_0000, 64), (3, 0), (3, 1)] {
            let forged = forged(&script, offset, length);
            assert_eq!(script.take(&forged), Verdict::Drop(Drop::Window));
        }
    }
    for _ in 0..8 {
        assert_eq!(script.take(&probe), Verdict::Drop(Drop::Window));
    }
    assert_eq!(script.take(&probe), Verdict::Upload(Some(Special::Window)));
    let forged = forged(&script, 0x4000_0000, 64);
    assert_eq!(script.take(&forged), Verdict::Drop(Drop::Window));
}

#[test]
fn rfc7323_5_3_an_old_timestamp_is_dropped_and_answered() {
    let mut script = Script::new();
    script.at(10).data(0, MSS);
    script.acks(MSS);
    let mut old = Segment {
        seq: IRS + MSS,
        length: MSS,
        ..script.segment()
    };
    if let Some(timestamps) = &mut old.timestamps {
        timestamps.value = PEER_TS + 9;
    }
    assert_eq!(script.take(&old), Verdict::Drop(Drop::Paws));
    script.acks(MSS);
    // Not after 24 days (5.5).
    script.now = 25 * 86_400 * 1_000_000;
    assert!(matches!(script.take(&old), Verdict::Deliver(_)));
}

#[test]
fn rfc7323_4_3_echoes_the_segment_that_advanced_the_window() {
    let mut script = settled();
    let echo = |out: Outgoing| out.timestamps.map(|timestamps| timestamps.echo - PEER_TS);
    // One ACK for two segments: the earlier timestamp.
    script.at(100).data(Q, MSS).nothing();
    script.at(110).data(Q + MSS, MSS);
    assert_eq!(echo(script.acks(Q + 2 * MSS)), Some(100));
    // An out-of-order segment does not count, the one that fills the hole does.
    script.at(120).data(Q + 3 * MSS, MSS);
    assert_eq!(echo(script.acks(Q + 2 * MSS)), Some(100));
    script.at(130).data(Q + 2 * MSS, MSS);
    assert_eq!(echo(script.acks(Q + 4 * MSS)), Some(130));
}

#[test]
fn special_cases_go_to_the_host_untouched() {
    let returned = |change: fn(&mut Segment)| {
        let mut script = Script::new();
        script.submit(MSS).sends(&[(0, MSS)]);
        let mut segment = Segment {
            ack: ISS + MSS,
            length: 10,
            ..script.segment()
        };
        change(&mut segment);
        let verdict = script.take(&segment);
        script.nothing();
        assert_eq!(script.tcb.snd_una(), ISS);
        assert_eq!(script.tcb.rcv_nxt(), IRS);
        verdict
    };
    let fin = returned(|segment| segment.flags |= flag::FIN);
    assert_eq!(fin, Verdict::Return(Reason::Fin));
    let reset = returned(|segment| segment.flags |= flag::RST);
    assert_eq!(reset, Verdict::Return(Reason::Reset));
    let blind = returned(|segment| {
        segment.flags |= flag::RST;
        segment.seq = IRS + WINDOW + 1;
    });
    assert_eq!(blind, Verdict::Drop(Drop::Window));
    let urgent = returned(|segment| segment.flags |= flag::URG);
    assert_eq!(urgent, Verdict::Return(Reason::Urgent));
    let options = returned(|segment| segment.ip_options = true);
    assert_eq!(options, Verdict::Return(Reason::Option));
    let no_ack = returned(|segment| segment.flags = 0);
    assert_eq!(no_ack, Verdict::Drop(Drop::NoAck));
}

/// Who knows addresses and ports only cannot return the connection.
#[test]
fn rfc5961_blind_segments_are_answered() {
    let mut script = settled();
    let mut blind = |seq: u32, flags| {
        let segment = Segment {
            seq: IRS + seq,
            flags: flag::ACK | flags,
            ip_options: true,
            ..script.segment()
        };
        let verdict = script.take(&segment);
        script.acks(Q);
        script.now += 500_000;
        verdict
    };
    // 4.2, 3.2, 5.
    assert_eq!(blind(Q - 100, flag::SYN), Verdict::Drop(Drop::Blind));
    assert_eq!(blind(Q, flag::SYN), Verdict::Drop(Drop::Blind));
    assert_eq!(blind(Q + 1, flag::RST), Verdict::Drop(Drop::Blind));
    assert_eq!(blind(Q + WINDOW + 1, 0), Verdict::Drop(Drop::Window));
    assert_eq!(blind(Q - 1, flag::FIN), Verdict::Drop(Drop::Window));
    // 5.2: neither does one that has only guessed the window.
    for flags in [flag::URG, flag::FIN, 0] {
        let guessed = Segment {
            ack: ISS + (1 << 30),
            flags: flag::ACK | flags,
            ip_options: true,
            ..script.segment()
        };
        assert_eq!(script.take(&guessed), Verdict::Drop(Drop::FutureAck));
        script.acks(Q);
        script.now += 500_000;
    }
    // At most at the rate of challenge ACKs.
    let reset = |script: &Script, seq: u32| Segment {
        seq: IRS + seq,
        flags: flag::RST,
        ..script.segment()
    };
    for _ in 0..2 {
        let blind = reset(&script, Q + 1);
        assert_eq!(script.take(&blind), Verdict::Drop(Drop::Blind));
    }
    script.acks(Q);
    script.nothing();
    // The peer takes a SACK block for the state of this TCP, as Linux does.
    script.data(Q + MSS, MSS);
    script.acks(Q);
    let sacked = reset(&script, Q + 2 * MSS);
    assert_eq!(script.take(&sacked), Verdict::Return(Reason::Reset));
}

#[test]
fn a_fragment_returns_the_connection_if_it_is_the_peers() {
    let mut script = settled();
    script.submit(MSS).sends(&[(0, MSS)]);
    let una = script.tcb.snd_una();
    let next = IRS + Q;
    let fragment = |script: &mut Script, seq: Seq, ack: Seq| {
        let now = script.instant();
        script.tcb.on_fragment(now, Some((seq, ack)))
    };
    for seq in [next, next - 10, next + (WINDOW - 1)] {
        assert!(fragment(&mut script, seq, una));
        assert!(fragment(&mut script, seq, una + MSS));
    }
    // Others are answered: the peer may repeat what has long been received.
    let now = script.instant();
    assert!(!script.tcb.on_fragment(now, None));
    script.acks(Q);
    for (seq, ack) in [
        (next, una + MSS + 1),
        (next, una - WINDOW - 1),
        (next - 70_000, una),
        (next + WINDOW, una),
    ] {
        script.now += 500_000;
        assert!(!fragment(&mut script, seq, ack));
        script.acks(Q);
        assert!(!fragment(&mut script, seq, ack));
        script.nothing();
    }
}

/// RFC 9293 3.10.7.4: it takes a number, but no room.
#[test]
fn a_fin_is_accepted_while_the_window_is_closed() {
    let mut script = settled();
    script.data(Q, WINDOW);
    script.acks(Q + WINDOW);
    let fin = Segment {
        seq: IRS + Q + WINDOW,
        flags: flag::ACK | flag::FIN,
        ..script.segment()
    };
    assert_eq!(script.take(&fin), Verdict::Return(Reason::Fin));
}

/// A peer that uses all of the window that it was granted does not probe it.
#[test]
fn the_last_bytes_of_a_window_are_no_probes() {
    let mut state = state();
    state.rcv_wscale = 14;
    let mut script = Script::with(&state);
    let granted = 20 << 14;
    script.tcb.set_rcv_edge(IRS + granted);
    script.data(0, MSS);
    script.acks(MSS);
    let mut at = MSS;
    // This acknowledgement announced a window that ends less than 2^14 bytes before the edge.
    while at + 100 <= MSS + (19 << 14) {
        script.data(at, 100);
        at += 100;
    }
}

/// Such a segment does not return the connection and is not processed.
#[test]
fn rfc9293_3_10_7_4_an_acknowledgement_of_what_was_not_sent_is_answered() {
    let mut script = Script::new();
    script.submit(MSS).sends(&[(0, MSS)]);
    let segment = Segment {
        ack: ISS + MSS + 1,
        length: 10,
        ..script.segment()
    };
    assert_eq!(script.take(&segment), Verdict::Drop(Drop::FutureAck));
    script.acks(0);
    // At most at the rate of challenge ACKs.
    assert_eq!(script.take(&segment), Verdict::Drop(Drop::FutureAck));
    script.nothing();
    assert_eq!((script.tcb.snd_una(), script.tcb.rcv_nxt()), (ISS, IRS));
    script.ack(MSS).data(0, 10);
    assert_eq!(script.tcb.snd_una(), ISS + MSS);
}

/// For example a tail loss probe of the host, which the adapter has not sent.
#[test]
fn what_the_host_has_sent_itself_is_acknowledged() {
    let mut script = Script::new();
    script.submit(40 * MSS);
    script.sends(&super::send::full(0, 10)).at(100);
    let frame = HostFrame {
        seq: ISS + 11 * MSS,
        length: MSS,
        ack: IRS,
        window: 4000,
    };
    script.tcb.on_host_frame(script.instant(), &frame);
    script.ack(12 * MSS);
    assert_eq!(script.tcb.snd_una(), ISS + 12 * MSS);
    script.leaves(&[(12 * MSS, MSS)], false);
    let beyond = Segment {
        ack: ISS + 39 * MSS,
        ..script.segment()
    };
    assert_eq!(script.take(&beyond), Verdict::Drop(Drop::FutureAck));
    assert_eq!(script.tcb.acked(0).send.retransmits, 0);
}

/// SND.NXT is the highest number sent, also after an RTO: data sent before may be acknowledged.
#[test]
fn all_that_was_sent_may_be_acknowledged_after_a_timeout() {
    let mut script = Script::new();
    script.submit(5 * MSS).sends(&super::send::full(0, 5));
    script.timer(202).resends(&[(4 * MSS, MSS)]);
    script.timer(502).resends(&[(0, MSS)]);
    script.ack(5 * MSS).nothing();
    assert_eq!(script.tcb.snd_una(), ISS + 5 * MSS);
}

#[test]
fn rfc5961_5_2_an_acknowledgement_from_long_ago_is_answered() {
    let mut script = Script::new();
    let segment = Segment {
        ack: ISS - WINDOW - 1,
        length: 10,
        ..script.segment()
    };
    assert_eq!(script.take(&segment), Verdict::Drop(Drop::OldAck));
    script.acks(0);
}
