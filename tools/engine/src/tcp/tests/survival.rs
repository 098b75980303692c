// SPDX-License-Identifier: GPL-2.0

//! On any path, every byte arrives once and in order.

extern crate std;

use toe_abi::connection::flag as state_flag;

use super::behaviour::Behaviour;
use super::end::LARGE;
use super::end::MSS;
use super::end::Random;
use super::network::Network;
use super::network::Path;

const MBIT: u64 = 125_000;

/// Number of paths tried, unless `TOE_SEEDS` is set in the environment.
const SEEDS: u64 = 400;

/// Random parameters in both directions: every byte arrives once and in order, and both ends
/// finish.
#[test]
fn any_path_is_survived() {
    let seeds = std::env::var("TOE_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("a number"));
    for seed in 0..seeds {
        let mut random = Random(seed ^ 0x5eed);
        let mut path = || Path {
            delay: random.pick(&[0, 50, 1_000, 20_000, 100_000]),
            rate: random.pick(&[0, 0, MBIT, 100 * MBIT, 1000 * MBIT]),
            queue: random.pick(&[20_000, 200_000]),
            loss: random.pick(&[0, 0, 1_000, 10_000, 50_000]),
            lose_frame: 0,
            duplicate: random.pick(&[0, 0, 10_000, 100_000]),
            reorder: random.pick(&[0, 0, 10_000, 300_000]),
            reorder_by: random.pick(&[200, 5_000, 50_000]),
            marks: random.chance(300_000),
            whole: random.chance(300_000),
            odd: random.pick(&[0, 0, 0, 1_000, 100_000]),
            odd_frame: 0,
            bare: random.pick(&[0, 0, 0, 1_000, 100_000]),
        };
        let mut paths = [path(), path()];
        let mut flags = 0;
        for (flag, ppm) in [
            (state_flag::TIMESTAMPS, 800_000),
            (state_flag::SACK, 800_000),
            (state_flag::ECN, 300_000),
            (state_flag::NODELAY, 500_000),
        ] {
            if random.chance(ppm) {
                flags |= flag;
            }
        }
        let mut behaviour = || Behaviour {
            total: random.below(60_000) as u32,
            send_buffer: random.pick(&[5_000, 100_000, 4 << 20]),
            receive_buffer: random.pick(&[4_096, 65_536, 4 << 20]),
            write: random.pick(&[1, 100, 10_000, 1 << 20]),
            large: random.pick(&[MSS, 10 * MSS, LARGE]),
            read_every: random.pick(&[0, 0, 10_000, 400_000]),
            no_page: random.pick(&[0, 0, 10_000, 100_000]),
            flags,
            cwnd: random.pick(&[1, 10, 100]),
            ssthresh: random.pick(&[2, u32::MAX]),
            hand_over: random.pick(&[0, 0, 1_000, 20_000]),
            round: random.pick(&[1, 1, 100, 2_000]),
            hold: random.pick(&[usize::MAX, usize::MAX, 10, 0]),
            lag: random.pick(&[0, 0, 100, 5_000]),
            host_drop: random.pick(&[0, 0, 10_000, 100_000]),
            answer: random.pick(&[0, 0, 100, 5_000, 50_000]),
            lose_host_frame: random.pick(&[0, 0, 100_000]),
        };
        let mut behaviours = [behaviour(), behaviour()];
        if random.chance(200_000) {
            // Less than a segment, or hardly more. With less loss: of the many window probes, so many
            // in a row must not be lost that the connection is given up.
            for (behaviour, path) in behaviours.iter_mut().zip(&mut paths) {
                behaviour.receive_buffer = random.pick(&[512, 1_536]);
                for loss in [
                    &mut behaviour.no_page,
                    &mut behaviour.host_drop,
                    &mut behaviour.lose_host_frame,
                    &mut path.loss,
                ] {
                    *loss = (*loss).min(10_000);
                }
            }
        }
        std::println!("seed {seed}: {behaviours:?} {paths:?}");
        let mut network = Network::new(seed, behaviours, paths);
        // A window update that is lost costs minutes of window probes.
        network.run(100_000_000_000);
        for (index, end) in network.ends.iter().enumerate() {
            let peer = &network.ends[1 - index];
            assert_eq!(end.host.received, peer.behaviour.total, "seed {seed}");
        }
    }
}

/// Both applications stop reading for a while, and both ends probe the closed window of the other.
#[test]
fn two_closed_windows_open_again() {
    for seed in 0..100 {
        let mut random = Random(seed);
        let path = Path {
            delay: random.pick(&[100, 5_000, 100_000]),
            loss: random.pick(&[0, 10_000]),
            ..Path::default()
        };
        let mut behaviour = || Behaviour {
            total: 60_000,
            receive_buffer: random.pick(&[4_096, 5_000, 6_000]),
            read_every: random.pick(&[400_000, 1_000_000, 3_000_000]),
            ..Behaviour::default()
        };
        let mut network = Network::new(seed, [behaviour(), behaviour()], [path, path]);
        network.run(3_600_000_000);
    }
}
