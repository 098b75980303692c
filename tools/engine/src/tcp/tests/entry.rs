// SPDX-License-Identifier: GPL-2.0

//! Every cause of legacy mode in every setting of a connection: with and without timestamps and SACK,
//! with windows of less than a segment, one, some and many, open or closed from time to time. Half of
//! the sequence numbers wrap. All bytes arrive, and the properties that [`End`](super::end::End)
//! asserts hold.

use toe_abi::connection::flag as state_flag;

use super::behaviour::Behaviour;
use super::end::MSS;
use super::network::Network;
use super::network::Path;
use crate::tcp::Special;

const SETTINGS: [u16; 4] = [
    0,
    state_flag::TIMESTAMPS,
    state_flag::SACK,
    state_flag::TIMESTAMPS | state_flag::SACK,
];
const WINDOWS: [u32; 4] = [512, MSS, 5_000, 65_536];

/// Runs `cause` in every setting with every window of `windows`. The receiver's behaviour is
/// `receiver`, apart from the setting. `count` says how often it has occurred.
fn everywhere(
    windows: &[u32],
    path: &Path,
    receiver: &Behaviour,
    count: impl Fn(&Network) -> usize,
) {
    for flags in SETTINGS {
        for &window in windows {
            let mut occurred = 0;
            for seed in 0..8 {
                let receiver = Behaviour {
                    flags,
                    receive_buffer: window,
                    // For half of them, the window closes while the application does not read.
                    read_every: receiver.read_every.max(seed % 2 * 20_000),
                    ..*receiver
                };
                let sender = Behaviour {
                    total: 40_000,
                    flags,
                    ..Behaviour::default()
                };
                let back = Path {
                    delay: path.delay,
                    ..Path::default()
                };
                let mut network = Network::new(seed, [sender, receiver], [*path, back]);
                network.run(100_000_000_000);
                occurred += count(&network);
            }
            assert!(occurred > 0, "never with flags {flags}, window {window}");
        }
    }
}

fn path() -> Path {
    Path {
        delay: 1_000,
        ..Path::default()
    }
}

fn receiver() -> Behaviour {
    Behaviour {
        lag: 500,
        answer: 500,
        ..Behaviour::default()
    }
}

/// Number of entries because of `cause`.
fn entries(cause: Option<Special>) -> impl Fn(&Network) -> usize {
    move |network| {
        let entries = network.ends[1].entries.iter();
        entries.filter(|entry| entry.cause == cause).count()
    }
}

#[test]
fn an_unknown_option() {
    let path = Path {
        odd: 100_000,
        ..path()
    };
    everywhere(&WINDOWS, &path, &receiver(), entries(Some(Special::Option)));
}

#[test]
fn a_missing_timestamp() {
    let path = Path {
        bare: 100_000,
        ..path()
    };
    everywhere(&WINDOWS, &path, &receiver(), |network| {
        let timestamps = network.ends[1].behaviour.flags & state_flag::TIMESTAMPS != 0;
        match timestamps {
            true => entries(Some(Special::Option))(network),
            false => 1,
        }
    });
}

#[test]
fn more_out_of_order_than_can_be_held() {
    let path = Path {
        reorder: 100_000,
        reorder_by: 3_000,
        ..path()
    };
    let receiver = Behaviour {
        hold: 1,
        ..receiver()
    };
    let cause = entries(Some(Special::OutOfOrder));
    everywhere(&WINDOWS[2..], &path, &receiver, cause);
}

#[test]
fn a_window_update_that_does_not_reach_the_adapter() {
    let receiver = Behaviour {
        read_every: 50_000,
        lose_host_frame: 200_000,
        ..receiver()
    };
    let cause = entries(Some(Special::Window));
    everywhere(&WINDOWS[..3], &path(), &receiver, cause);
}

/// The host answers so late that the peer's retransmission timer expires.
#[test]
fn unconfirmed_payload_is_sent_again() {
    let path = Path {
        odd: 100_000,
        ..path()
    };
    let receiver = Behaviour {
        answer: 3_000_000,
        ..receiver()
    };
    everywhere(&WINDOWS, &path, &receiver, |network| {
        network.ends[1].repeated as usize
    });
}

#[test]
fn a_hand_over_with_a_hole() {
    let path = Path {
        reorder: 300_000,
        reorder_by: 3_000,
        ..path()
    };
    let receiver = Behaviour {
        hand_over: 200_000,
        ..receiver()
    };
    everywhere(&WINDOWS[2..], &path, &receiver, |network| {
        network.ends[1].handed_over[0] as usize
    });
}

#[test]
fn a_hand_over_before_the_host_has_processed_what_was_uploaded() {
    let receiver = Behaviour {
        hand_over: 100_000,
        ..receiver()
    };
    everywhere(&WINDOWS, &path(), &receiver, |network| {
        network.ends[1].handed_over[1] as usize
    });
}

/// Whatever is lost on the way from the peer to the host's TCP or back: a frame on the wire, a legacy
/// frame without a page, one that the host's TCP drops, its acknowledgement.
#[test]
fn the_effect_of_any_message_is_lost() {
    let path = Path {
        odd: 50_000,
        loss: 20_000,
        ..path()
    };
    let receiver = Behaviour {
        no_page: 50_000,
        host_drop: 200_000,
        lose_host_frame: 100_000,
        ..receiver()
    };
    everywhere(&WINDOWS, &path, &receiver, |network| {
        network.ends[1].host.refused as usize
    });
}

/// What the host gets back lets it go on, whatever the delivery was.
#[test]
fn returns_out_of_every_delivery() {
    let path = Path {
        odd: 200_000,
        reorder: 100_000,
        reorder_by: 3_000,
        ..path()
    };
    let receiver = Behaviour {
        hand_over: 200_000,
        host_drop: 50_000,
        ..receiver()
    };
    for state in 0..3 {
        everywhere(&WINDOWS[2..], &path, &receiver, |network| {
            network.ends[1].returns[state] as usize
        });
    }
}
