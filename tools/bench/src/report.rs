// SPDX-License-Identifier: GPL-2.0

//! Report of a run, in JSON.

use nix::errno::Errno;
use serde::Serialize;
use std::collections::BTreeMap;

/// Number of failures reported in full; the others are only counted.
const TOLD: usize = 10;

/// Attempts to attach an upper layer protocol.
#[derive(Debug, Default, Serialize)]
pub struct Ulp {
    /// Successful attempts.
    pub attached: u64,
    /// Refused attempts, by errno.
    pub refused: BTreeMap<String, u64>,
}

/// MSG_ZEROCOPY notifications.
#[derive(Debug, Default, Serialize)]
pub struct Zerocopy {
    /// Sends, each with exactly one notification.
    pub sends: u64,
    /// Sends for which the kernel reports a copy.
    pub copied: u64,
}

/// Report of a run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Connections with correct data in both directions and the expected end.
    pub good: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Errors of the first failed connections.
    pub errors: Vec<String>,
    /// Payload bytes sent.
    pub sent: u64,
    /// Payload bytes received and verified.
    pub received: u64,
    /// Duration.
    pub seconds: f64,
    /// Upper layer protocol, if requested.
    pub ulp: Ulp,
    /// MSG_ZEROCOPY, if requested.
    pub zerocopy: Zerocopy,
}

impl Report {
    /// Counts the end of a connection.
    pub fn connection(&mut self, outcome: anyhow::Result<()>, moved: (u64, u64)) {
        self.sent += moved.0;
        self.received += moved.1;
        match outcome {
            Ok(()) => self.good += 1,
            Err(error) => {
                self.failed += 1;
                if self.errors.len() < TOLD {
                    self.errors.push(format!("{error:#}"));
                }
            }
        }
    }

    /// Adds the counts of another report.
    pub fn merge(&mut self, other: Self) {
        self.good += other.good;
        self.failed += other.failed;
        let room = TOLD.saturating_sub(self.errors.len());
        self.errors.extend(other.errors.into_iter().take(room));
        self.sent += other.sent;
        self.received += other.received;
        self.ulp.attached += other.ulp.attached;
        for (error, count) in other.ulp.refused {
            *self.ulp.refused.entry(error).or_default() += count;
        }
        self.zerocopy.sends += other.zerocopy.sends;
        self.zerocopy.copied += other.zerocopy.copied;
    }

    /// Counts an attempt to attach an upper layer protocol.
    pub fn ulp(&mut self, outcome: Option<Result<(), Errno>>) {
        match outcome {
            None => (),
            Some(Ok(())) => self.ulp.attached += 1,
            Some(Err(error)) => {
                *self.ulp.refused.entry(format!("{error:?}")).or_default() += 1;
            }
        }
    }
}
