// SPDX-License-Identifier: GPL-2.0

//! Watchdog, and recovery after a fault.

use super::{
    adapter::Adapter,
    limits::RECOVERIES, //
};
use crate::{
    abi::regs,
    net::device::Control,
    offload::Client,
    util::{
        time::jiffies_msecs,
        workqueue::Tick, //
    }, //
};
use kernel::{
    io::poll::read_poll_timeout,
    prelude::*,
    sync::atomic::Relaxed,
    time::Delta, //
};

/// Time limit of recovery. The function is inaccessible while the PCI core resets it.
const RECOVERY_TIMEOUT: Delta = Delta::from_secs(3);

/// Interval between attempts.
const RECOVERY_INTERVAL: Delta = Delta::from_millis(50);

impl<C: Client> Adapter<C> {
    /// Resets the function after a fault, and restores its settings.
    pub(super) fn recover(cx: &mut Control<'_, Self>) {
        let this = cx.data().clone();
        let function = &this.function;
        if function.is_dead() || !function.is_faulted() {
            // An earlier recovery has handled it.
            return;
        }
        this.resets.add(1, Relaxed);
        let permitted = cx.state.recoveries.note(jiffies_msecs());
        let _operation = function.begin();
        // Whether it succeeds or not, the function no longer accesses memory.
        let _ = function.reset(cx.parent());
        if cx.state.up {
            Self::stop_all(cx, false);
        }
        if !permitted {
            return Self::give_up(cx, fmt!("{} resets within a minute", RECOVERIES + 1));
        }
        let mut result = Ok(());
        let recovered = read_poll_timeout(
            || {
                result = Self::restart(cx);
                Ok(result.is_ok())
            },
            |&recovered| recovered,
            RECOVERY_INTERVAL,
            RECOVERY_TIMEOUT,
        );
        if recovered.is_ok() {
            dev_info!(function.dev(), "reset complete\n");
        } else if function.registers().read(regs::STATUS).is_err() {
            let errno = result.map_or_else(|error| error.to_errno(), |()| 0);
            Self::give_up(cx, fmt!("recovery failed ({})", errno));
        } else {
            // The next recovery may succeed.
            function.fault("recovery failed");
        }
    }

    /// Gives up a function that was reset and whose channels are stopped.
    fn give_up(cx: &mut Control<'_, Self>, why: core::fmt::Arguments<'_>) {
        let function = &cx.data().function;
        function.set_dead();
        cx.set_carrier(false);
        dev_err!(
            function.dev(),
            "{}, adapter disabled until the driver is bound again\n",
            why
        );
    }

    /// Enables the function, restores its settings, and starts the interface if it is up.
    fn restart(cx: &mut Control<'_, Self>) -> Result {
        let this = cx.data().clone();
        // A fault from here on concerns the restarted function, and schedules another recovery.
        this.function.clear_fault();
        this.function.enable(cx.parent())?;
        this.apply(cx.parent(), cx.state)?;
        match cx.state.up {
            true => Self::start(cx),
            false => Ok(()),
        }
    }
}

impl<C: Client> Tick for Adapter<C> {
    /// Detects a function that has failed or was reset externally. Polls all channels, so that they
    /// retry allocations that have failed.
    fn tick(&self) {
        if !self.running.load(Relaxed) || self.function.is_dead() {
            return;
        }
        let failed = regs::status::RESETTING | regs::status::FAILED;
        match self.function.registers().read(regs::STATUS) {
            Err(_) => self.function.fault("function does not respond"),
            Ok(status) if status & (regs::status::READY | failed) != regs::status::READY => {
                self.function.fault("function failed or was reset")
            }
            Ok(_) => self
                .channels
                .iter()
                .for_each(|channel| channel.napi.schedule()),
        }
    }
}
