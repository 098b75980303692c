// SPDX-License-Identifier: GPL-2.0

//! The adapter process: serves PCI functions to QEMU over vfio-user and forwards their frames.
//!
//! ```text
//!   vfio-user client (QEMU)                       other workers
//!        | registers, DMA map, interrupts              | messages (links)
//!   function thread --> admin thread --> worker threads, one per offload processor
//!                       commands, resets      | slot: engine + host memory + port queue
//! ```
//!
//! A worker owns all state that it works on. Other threads send it messages. The data path
//! therefore takes no lock, and everything it needs is allocated before the first frame.

use std::process::ExitCode;

use anyhow::Context;
use anyhow::Result;
use clap::Parser;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use tracing::error;
use tracing::info;

mod admin;
mod cli;
mod config_space;
mod device;
mod doorbells;
mod frame;
mod function;
mod host;
mod hostile;
mod impairment;
mod interrupt;
mod links;
mod log;
mod memory;
mod parked;
mod port;
mod registers;
mod segment;
mod setting;
mod slot;
mod vfio;
mod waker;
mod worker;

fn main() -> ExitCode {
    let options = cli::Options::parse();
    let log = match log::Log::start(options.log_level) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("cannot start the log: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    };
    log.flush();
    code
}

/// Runs the device until a signal ends it.
fn run(options: cli::Options) -> Result<()> {
    // Block signals before any thread is started, so that all threads inherit the mask. They are
    // taken below.
    let signals = SigSet::from_iter([
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ]);
    signals.thread_block().context("cannot block signals")?;
    // Every client may pass a file for each of its mappings and interrupts.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot get the limit of files")?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("cannot set the limit of files")?;
    let device = device::Device::start(options)?;
    loop {
        match signals.wait().context("cannot wait for signals")? {
            Signal::SIGUSR1 => device.report(),
            Signal::SIGUSR2 => device.toggle_hostility(),
            signal => {
                device.report();
                info!("terminated by {signal}");
                return Ok(());
            }
        }
    }
}
