// SPDX-License-Identifier: GPL-2.0

//! What a run found, in JSON.

use nix::errno::Errno;
use serde::Serialize;
use std::collections::BTreeMap;

/// Failures that are told in words; the others are only counted.
const TOLD: usize = 10;

/// How often an upper layer protocol was attached.
#[derive(Debug, Default, Serialize)]
pub struct Ulp {
    /// Times that it was.
    pub attached: u64,
    /// Times that it was refused, by errno.
    pub refused: BTreeMap<String, u64>,
}

/// MSG_ZEROCOPY notifications.
#[derive(Debug, Default, Serialize)]
pub struct Zerocopy {
    /// Sends, each notified exactly once.
    pub sends: u64,
    /// Those of which the kernel says that it copied after all.
    pub copied: u64,
}

/// Outcome of a run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Connections on which every byte was right, both ways, and the end as wanted.
    pub good: u64,
    /// Connections on which anything was not.
    pub failed: u64,
    /// What was wrong, for the first of them.
    pub errors: Vec<String>,
    /// Payload bytes sent.
    pub sent: u64,
    /// Payload bytes received, every one compared.
    pub received: u64,
    /// Duration.
    pub seconds: f64,
    /// Upper layer protocol, when one was asked for.
    pub ulp: Ulp,
    /// MSG_ZEROCOPY, when it was asked for.
    pub zerocopy: Zerocopy,
}

impl Report {
    /// Counts a connection's end.
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

    /// Adds what another report counted.
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
