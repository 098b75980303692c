// SPDX-License-Identifier: GPL-2.0

//! Command line.

use crate::filter::Filter;
use crate::filter::Tuples;
use crate::units;
use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

/// Manage TCP connections delegated to an adapter
#[derive(Debug, Parser)]
#[command(name = "toectl", version, max_term_width = 100)]
pub struct Arguments {
    /// Print JSON
    #[arg(short, long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List, hand over or return connections
    Conn {
        #[command(subcommand)]
        command: Option<ConnCommand>,
    },
    /// Show counters of the adapters, with refusals and returns by reason
    Stats {
        /// Interface (default: all)
        dev: Option<String>,
    },
    /// Impair frames on the adapter's port: loss, delay, reordering, duplication, corruption
    Impair(Impairment),
    /// Print connections as they are handed over and returned
    Watch {
        #[command(flatten)]
        filter: Filter,
    },
}

#[derive(Debug, Subcommand)]
pub enum ConnCommand {
    /// List delegated connections
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Hand over established connections, irrespective of net.toe.min_bytes
    Offload {
        #[command(flatten)]
        tuples: Tuples,
        /// Hand over every established connection of the network namespace
        #[arg(long)]
        all: bool,
    },
    /// Return delegated connections to the kernel's TCP
    Return {
        #[command(flatten)]
        filter: Filter,
        /// Return every delegated connection of the network namespace
        #[arg(long)]
        all: bool,
    },
}

impl Default for ConnCommand {
    fn default() -> Self {
        Self::List {
            filter: Filter::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// Transmitted frames
    Egress,
    /// Received frames
    Ingress,
    /// Both directions
    #[default]
    Both,
}

/// Impairments as words, in the manner of tc-netem(8):
/// `toectl impair toe0 delay 10ms 2ms loss 1% reorder 1% duplicate 0.1% rate 100mbit seed 7`.
#[derive(Debug, Args)]
pub struct Impairment {
    /// Interface
    pub dev: String,
    /// Direction of the frames
    #[arg(short, long, value_enum, default_value_t)]
    pub direction: Direction,
    /// `off`, or a list of: loss P, duplicate P, reorder P, corrupt P (probabilities such as 1% or
    /// 0.5%), delay TIME [JITTER] (us, ms, s), rate RATE (bit, kbit, mbit, gbit), seed N.
    /// Impairments not listed are turned off
    #[arg(required = true, value_name = "IMPAIRMENT")]
    pub words: Vec<String>,
}

/// Values of an impairment; all zero for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Parts per million.
    pub loss: u32,
    /// Parts per million.
    pub duplicate: u32,
    /// Parts per million.
    pub reorder: u32,
    /// Parts per million.
    pub corrupt: u32,
    /// Microseconds.
    pub delay: u32,
    /// Microseconds.
    pub jitter: u32,
    /// Bit/s.
    pub rate: u64,
    /// Seed of the random numbers.
    pub seed: u64,
}

impl Impairment {
    /// Parses the words.
    pub fn values(&self) -> anyhow::Result<Values> {
        let mut values = Values::default();
        let mut words = self.words.iter().map(String::as_str).peekable();
        while let Some(key) = words.next() {
            if key == "off" {
                anyhow::ensure!(
                    self.words.len() == 1,
                    "'off' cannot be combined with impairments"
                );
                break;
            }
            let value = words
                .next()
                .ok_or_else(|| anyhow::anyhow!("missing value for '{key}'"))?;
            match key {
                "loss" => values.loss = units::probability(value)?,
                "duplicate" => values.duplicate = units::probability(value)?,
                "reorder" => values.reorder = units::probability(value)?,
                "corrupt" => values.corrupt = units::probability(value)?,
                "rate" => values.rate = units::rate(value)?,
                "seed" => values.seed = units::number(value)?,
                "delay" => {
                    values.delay = units::microseconds(value)?;
                    if let Some(jitter) =
                        words.next_if(|word| word.starts_with(|c: char| c.is_ascii_digit()))
                    {
                        values.jitter = units::microseconds(jitter)?;
                    }
                }
                _ => anyhow::bail!(
                    "unknown impairment '{key}': use loss, duplicate, reorder, corrupt, delay, rate, seed or off"
                ),
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn values(words: &str) -> anyhow::Result<Values> {
        Impairment {
            dev: "toe0".into(),
            direction: Direction::Both,
            words: words.split(' ').map(String::from).collect(),
        }
        .values()
    }

    #[test]
    fn command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn impairment_words() {
        let all = values("delay 10ms 2ms loss 1% reorder 0.5% duplicate 0.1% rate 100mbit seed 7");
        assert_eq!(
            all.unwrap(),
            Values {
                loss: 10_000,
                duplicate: 1_000,
                reorder: 5_000,
                corrupt: 0,
                delay: 10_000,
                jitter: 2_000,
                rate: 100_000_000,
                seed: 7,
            }
        );
        assert_eq!(values("delay 1s loss 100%").unwrap().jitter, 0);
        assert_eq!(values("off").unwrap(), Values::default());
        assert!(values("loss").is_err());
        assert!(values("loss 101%").is_err());
        assert!(values("los 1%").is_err());
        assert!(values("off loss 1%").is_err());
    }
}
