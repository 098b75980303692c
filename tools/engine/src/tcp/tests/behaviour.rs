// SPDX-License-Identifier: GPL-2.0

//! Parameters of an end of a simulated connection.

use toe_abi::connection::flag as state_flag;

use super::end::MSS;

/// Behaviour of application and host at one end.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    pub total: u32,
    pub send_buffer: u32,
    pub receive_buffer: u32,
    /// Maximum size of a write.
    pub write: u32,
    pub large: u32,
    /// Interval at which the reader takes available payload; 0: immediately.
    pub read_every: u64,
    /// Probability that no page is available.
    pub no_page: u32,
    pub flags: u16,
    pub cwnd: u32,
    pub ssthresh: u32,
    /// Probability, per event, that the connection is returned to the host and handed over again at
    /// once.
    pub hand_over: u32,
    /// Interval at which the end processes all frames that have arrived, in microseconds.
    pub round: u64,
    /// Most frames that are held out of order.
    pub hold: usize,
    /// Most time until the host processes completions, in microseconds.
    pub lag: u64,
    /// Probability that the host's TCP drops a legacy frame.
    pub host_drop: u32,
    /// Most time until the adapter reads what the host has written, in microseconds. Answers and
    /// frames of the host overtake each other.
    pub answer: u64,
    /// Probability that a frame of the host's TCP does not reach the adapter.
    pub lose_host_frame: u32,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            total: 0,
            send_buffer: 4 << 20,
            receive_buffer: 4 << 20,
            write: 1 << 20,
            large: MSS,
            read_every: 0,
            no_page: 0,
            flags: state_flag::TIMESTAMPS | state_flag::SACK,
            cwnd: 10,
            ssthresh: u32::MAX,
            hand_over: 0,
            round: 1,
            hold: usize::MAX,
            lag: 0,
            host_drop: 0,
            answer: 0,
            lose_host_frame: 0,
        }
    }
}
