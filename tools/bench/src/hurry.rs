// SPDX-License-Identifier: GPL-2.0

//! SIGUSR1: the client stops waiting. Rate limits no longer apply and held connections close, so
//! that a test ends when it has seen enough.

use anyhow::Context;
use anyhow::Result;
use nix::libc::c_int;
use nix::sys::signal::SaFlags;
use nix::sys::signal::SigAction;
use nix::sys::signal::SigHandler;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use nix::sys::signal::sigaction;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

static ASKED: AtomicBool = AtomicBool::new(false);

/// Interval at which a waiting connection looks for the signal.
pub const LOOK_AGAIN: Duration = Duration::from_millis(100);

extern "C" fn on_signal(_: c_int) {
    ASKED.store(true, Ordering::Relaxed);
}

/// Installs the signal handler.
pub fn on_sigusr1() -> Result<()> {
    let action = SigAction::new(
        SigHandler::Handler(on_signal),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: The handler only stores to an atomic, which is safe in a signal handler.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.context("cannot handle SIGUSR1")?;
    Ok(())
}

/// Time from now until `due` to wait before looking again, or `None` if `due` has passed or the
/// signal has arrived.
pub fn wait_until(due: Instant) -> Option<Duration> {
    let left = due.saturating_duration_since(Instant::now());
    (!left.is_zero() && !ASKED.load(Ordering::Relaxed)).then(|| left.min(LOOK_AGAIN))
}

/// Sleeps until `due` or until the signal arrives.
pub fn sleep_until(due: Instant) {
    while let Some(pause) = wait_until(due) {
        thread::sleep(pause);
    }
}
