// SPDX-License-Identifier: GPL-2.0

//! `toectl`: lists, hands over and returns the TCP connections delegated to an adapter.
//!
//! Uses only the generic netlink family `toe` (Documentation/netlink/specs/toe.yaml), with the
//! constants of include/uapi/linux/toe.h.

mod attribute;
mod channel;
mod cli;
mod conn;
mod filter;
mod impair;
mod interface;
mod output;
mod proc_tcp;
mod stats;
mod uapi;
mod units;
mod watch;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    let json = arguments.json;
    let outcome = match arguments.command {
        cli::Command::Conn { command } => conn::run(command.unwrap_or_default(), json),
        cli::Command::Stats { dev } => stats::run(dev.as_deref(), json),
        cli::Command::Impair(impairment) => impair::run(&impairment),
        cli::Command::Watch { filter } => watch::run(&filter, json),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // A closed pipe (`toectl conn | head`) is not a failure.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("toectl: {error:#}");
            ExitCode::FAILURE
        }
    }
}
