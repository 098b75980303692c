// SPDX-License-Identifier: GPL-2.0

//! The status page: counters and the sleep flag.

use ::core::sync::atomic::Ordering;
use ::core::sync::atomic::fence;

use toe_abi::ring;

use super::core::Core;
use super::rings::RingSet;
use crate::env::Env;
use crate::env::Host;
use crate::ring::HostError;

/// Interval at which a busy processor writes its counters, in microseconds.
const STATUS_INTERVAL: u64 = 1_000;

impl Core {
    /// Writes the counters to the status page.
    pub(super) fn publish_counters<H: Host>(
        &mut self,
        now: u64,
        host: &mut H,
        rings: &RingSet,
    ) -> Result<(), HostError> {
        self.next_status = now + STATUS_INTERVAL;
        Ok(self.counters.publish(host, rings.status)?)
    }

    /// Writes the sleep flag.
    pub(super) fn announce_sleep<H: Host>(
        &self,
        host: &mut H,
        rings: &RingSet,
        sleeps: bool,
    ) -> Result<(), HostError> {
        let at = rings.status + ring::SLEEPING as u64;
        Ok(host.store_release(at, u32::from(sleeps))?)
    }

    /// Writes the counters and sets the sleep flag. A full barrier orders the flag before the next
    /// read of the host's indices: either that read sees an index, or the host sees the flag and
    /// kicks.
    pub(super) fn prepare_sleep<E: Env>(
        &mut self,
        now: u64,
        env: &mut E,
        rings: &RingSet,
    ) -> Result<(), HostError> {
        self.publish_counters(now, env, rings)?;
        self.announce_sleep(env, rings, true)?;
        fence(Ordering::SeqCst);
        Ok(())
    }
}
