// SPDX-License-Identifier: GPL-2.0

//! How soon delivery is direct again under a sender that never pauses.
//!
//! Only what arrives in the same batch as the frame that enters legacy mode is a legacy frame too,
//! and the host's answer ends it. A hole has to be filled before: until then all that is in flight
//! becomes legacy frames, which is a window, and the host's answer comes a round trip later.

use proptest::prelude::*;
use toe_abi::connection::flag as state_flag;

use super::behaviour::Behaviour;
use super::end::End;
use super::end::MSS;
use super::network::Network;
use super::network::Path;
use super::network::bulk;
use crate::tcp::Special;

/// Delay of the path, in microseconds.
const DELAY: u64 = 1_000;
/// Rate of the path, in bytes per second.
const RATE: u64 = 25_000_000;
/// Window of the receiver: with an answer that is late by the round trip of an idle path, the sender
/// does not pause.
const WINDOW: u32 = 110_000;
/// Round-trip time with the queue of a full window, in microseconds.
const ROUND_TRIP: u64 = WINDOW as u64 * 1_000_000 / RATE;
/// Interval of batches, in microseconds.
const BATCH: u64 = 50;

fn path() -> Path {
    Path {
        delay: DELAY,
        rate: RATE,
        // No loss.
        queue: 1_000_000,
        ..Path::default()
    }
}

/// A sender at full rate. The host processes completions after at most `lag`, and the adapter its
/// answers after at most `answer` microseconds.
fn sender(total: u32, lag: u64, answer: u64) -> Behaviour {
    Behaviour {
        total,
        cwnd: 200,
        ssthresh: 200,
        receive_buffer: WINDOW,
        round: BATCH,
        lag,
        answer,
        ..Behaviour::default()
    }
}

/// Every entry is over within 100 frames and three round trips. Returns the number of entries.
fn converged(end: &End) -> usize {
    for entry in &end.entries {
        assert!(entry.frames <= 100, "{entry:?}");
        assert!(entry.took <= 3 * ROUND_TRIP, "{entry:?}");
    }
    end.entries.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    /// A frame is special: what is in its batch becomes legacy frames, and the answer ends it.
    #[test]
    fn a_special_frame_costs_a_batch_and_an_answer(
        seed: u64,
        lag in 0..=DELAY,
        answer in 0..=DELAY,
        number in 100u32..600,
    ) {
        let path = Path { odd_frame: number, ..path() };
        let network = bulk(seed, sender(1_000_000, lag, answer), path, 10_000_000);
        let [entry] = network.ends[1].entries[..] else {
            panic!("{:?}", network.ends[1].entries);
        };
        prop_assert_eq!(entry.cause, Some(Special::Option));
        prop_assert!(entry.frames <= 2 + (RATE * BATCH / 1_000_000) as u32 / MSS, "{:?}", entry);
        prop_assert!(entry.took <= lag + answer + 2 * BATCH, "{:?}", entry);
        // The sender has not paused.
        let acked = network.ends[0].tcb.acked(0);
        prop_assert_eq!(acked.send.retransmits, 0);
        prop_assert!(network.now < 1_000_000_000_000 / RATE * 11 / 10 + 4 * DELAY);
    }

    /// Many special frames of every kind, some of them before the answer to the last.
    #[test]
    fn special_frames_in_a_stream_that_never_pauses(
        seed: u64,
        lag in 0..=DELAY,
        answer in 0..=DELAY,
        odd in 0u32..20_000,
        bare in 0u32..20_000,
    ) {
        let path = Path { odd, bare, ..path() };
        let network = bulk(seed, sender(1_000_000, lag, answer), path, 10_000_000);
        converged(&network.ends[1]);
        prop_assert_eq!(network.ends[1].host.refused, 0);
        prop_assert_eq!(network.ends[0].timeouts, 0);
    }

    /// A frame is lost, and the adapter cannot hold what follows it.
    #[test]
    fn a_hole_costs_a_window_and_a_round_trip(
        seed: u64,
        lag in 0..=DELAY,
        answer in 0..=DELAY,
        number in 100u32..600,
        hold in 0usize..20,
    ) {
        let path = Path { lose_frame: number, ..path() };
        let sender = Behaviour { hold, ..sender(1_000_000, lag, answer) };
        let network = bulk(seed, sender, path, 10_000_000);
        prop_assert_eq!(converged(&network.ends[1]), 1);
        prop_assert_eq!(network.ends[1].entries[0].cause, Some(Special::OutOfOrder));
        prop_assert_eq!(network.ends[0].timeouts, 0);
    }

    /// The connection is handed over amid the stream, and frames arrive out of order.
    #[test]
    fn a_hand_over_in_a_stream_that_never_pauses(
        seed: u64,
        lag in 0..=DELAY,
        answer in 0..=DELAY,
    ) {
        let path = Path { reorder: 20_000, reorder_by: 500, ..path() };
        let sender = sender(1_000_000, lag, answer);
        let receiver = Behaviour { total: 0, hand_over: 2_000, ..sender };
        let mut network = Network::new(seed, [sender, receiver], [path; 2]);
        network.run(10_000_000);
        converged(&network.ends[1]);
        prop_assert_eq!(network.ends[0].timeouts, 0);
    }
}

/// The host lags behind by more than a round trip: delivery resumes within a few frames of each odd
/// one nevertheless.
#[test]
fn a_host_that_is_late_gets_few_legacy_frames() {
    const ODD: u32 = 10_000;
    for lag in [0, 500, 5_000] {
        let path = Path {
            delay: 1_000,
            rate: 100_000_000,
            // No loss.
            queue: 200_000,
            odd: ODD,
            ..Path::default()
        };
        let sender = Behaviour {
            total: 40_000_000,
            lag,
            round: 50,
            ..Behaviour::default()
        };
        let network = bulk(lag, sender, path, 10_000_000);
        let frames = network.data_frames[0];
        let legacy = network.ends[1].host.legacy_frames;
        let odd = frames / (1_000_000 / ODD);
        assert!(legacy >= odd / 2, "{legacy} of {frames}");
        assert!(legacy <= 4 * odd, "{legacy} of {frames}");
        assert_eq!(network.ends[1].host.refused, 0);
        assert_eq!(network.ends[0].timeouts, 0);
    }
}

/// A frame is lost that follows payload which the host has not confirmed yet. The peer does not take
/// that payload for lost.
#[test]
fn only_what_was_lost_is_sent_again() {
    for flags in [0, state_flag::TIMESTAMPS | state_flag::SACK] {
        for seed in 0..10 {
            let path = Path {
                odd_frame: 300,
                lose_frame: 310,
                ..path()
            };
            let sender = Behaviour {
                flags,
                ..sender(1_000_000, 0, 2 * DELAY)
            };
            let network = bulk(seed, sender, path, 10_000_000);
            let acked = network.ends[0].tcb.acked(0);
            assert_eq!(acked.send.retransmits, 1, "{flags} {seed}");
            assert_eq!(network.ends[0].timeouts, 0);
        }
    }
}

/// Continuing loss, reordering and duplication, with a tenth as many special frames: nearly all
/// payload is delivered directly.
#[test]
fn most_payload_is_delivered_directly_under_loss() {
    let mut legacy = 0;
    for (loss, least) in [(1_000, 99), (10_000, 95), (50_000, 80)] {
        for (lag, answer) in [(0, 0), (DELAY, DELAY)] {
            let path = Path {
                loss,
                reorder: loss,
                reorder_by: 500,
                duplicate: loss / 10,
                odd: loss / 10,
                ..path()
            };
            let sender = Behaviour {
                // As many frames as the adapter holds by default.
                hold: 350,
                ..sender(4_000_000, lag, answer)
            };
            let network = bulk(lag, sender, path, 60_000_000);
            let host = &network.ends[1].host;
            let direct = 100 - host.legacy_bytes.div_ceil(4_000_000 / 100);
            legacy += host.legacy_frames;
            assert!(
                direct >= least,
                "{direct} % at {loss} ppm: {:?}",
                network.ends[1].entries
            );
        }
    }
    assert!(legacy > 100, "{legacy}");
}
