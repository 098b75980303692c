// SPDX-License-Identifier: GPL-2.0

//! Settings of a processor, from the admin queue.

use toe_abi::admin::CommandStatus;
use toe_abi::admin::MAX_COALESCE_USECS;
use toe_abi::admin::MAX_MULTICAST;
use toe_abi::admin::MIN_MTU;
use toe_abi::admin::filter;
use toe_abi::admin::storage;
use toe_abi::rss;
use toe_abi::rss::Fields;
use toe_abi::rules::Rule;

use super::Processor;
use crate::MAX_MTU;
use crate::wire::ethernet;

impl Processor {
    /// Sets hash key, indirection table and [`Fields`] of a context. Creates the context when there
    /// is none. The next polls return connections that now belong to another processor, with reason
    /// `Moved`.
    ///
    /// # Errors
    ///
    /// `Invalid` for unknown bits, or a context or processor out of range.
    pub fn set_rss(
        &mut self,
        context: u32,
        config: &rss::Config,
        fields: u32,
    ) -> Result<(), CommandStatus> {
        let fields = Fields::new(fields).ok_or(CommandStatus::Invalid)?;
        let indirection = rss::Indirection(config.table);
        self.core
            .steering
            .set_context(context, config.key, indirection, fields)?;
        self.core.start_sweep();
        Ok(())
    }

    /// Removes a context.
    ///
    /// # Errors
    ///
    /// `Invalid` when there is none, `State` when a rule refers to it.
    pub fn remove_context(&mut self, context: u32) -> Result<(), CommandStatus> {
        self.core.steering.remove_context(context)
    }

    /// Sets a rule. The next polls return connections that now belong to another processor, with
    /// reason `Moved`.
    ///
    /// # Errors
    ///
    /// `Invalid` when its location is out of range or the target of its action does not exist.
    pub fn set_rule(&mut self, rule: Rule) -> Result<(), CommandStatus> {
        self.core.steering.set_rule(rule)?;
        self.core.start_sweep();
        Ok(())
    }

    /// Removes the rule at `location`, if there is one. The next polls return connections that now
    /// belong to another processor, with reason `Moved`.
    pub fn remove_rule(&mut self, location: u16) {
        self.core.steering.remove_rule(location);
        self.core.start_sweep();
    }

    /// Sets which frames are received: own address, [`toe_abi::admin::filter`] bits, multicast
    /// addresses (at most 512).
    ///
    /// # Errors
    ///
    /// `Invalid` for too many addresses, unknown flags, or a group address as the own address.
    pub fn set_filter(
        &mut self,
        mac: [u8; 6],
        flags: u32,
        multicast: &[[u8; 6]],
    ) -> Result<(), CommandStatus> {
        let group = ethernet::is_multicast(mac);
        if flags & !filter::ALL != 0 || multicast.len() > MAX_MULTICAST || group {
            return Err(CommandStatus::Invalid);
        }
        self.core.filter.set(mac, flags, multicast);
        Ok(())
    }

    /// Sets the MTU.
    ///
    /// # Errors
    ///
    /// `Invalid` unless it is [`MIN_MTU`] to [`MAX_MTU`].
    pub fn set_mtu(&mut self, mtu: u32) -> Result<(), CommandStatus> {
        if !(MIN_MTU..=MAX_MTU).contains(&mtu) {
            return Err(CommandStatus::Invalid);
        }
        self.core.mtu = mtu as usize;
        Ok(())
    }

    /// Sets interrupt coalescing: an interrupt is delayed by at most `usecs` microseconds, or until
    /// `completions` completions are pending.
    ///
    /// # Errors
    ///
    /// `Invalid` for more than a second.
    pub fn set_coalesce(&mut self, usecs: u32, completions: u32) -> Result<(), CommandStatus> {
        if usecs > MAX_COALESCE_USECS {
            return Err(CommandStatus::Invalid);
        }
        self.core.coalesce.usecs = usecs;
        self.core.coalesce.completions = completions;
        Ok(())
    }

    /// Sets how frames are stored: [`toe_abi::admin::storage`] bits and the small-frame threshold.
    ///
    /// # Errors
    ///
    /// `Invalid` for unknown flags or a threshold above [`toe_abi::MAX_SMALL_FRAME`].
    pub fn set_storage(&mut self, flags: u32, small_frame: u16) -> Result<(), CommandStatus> {
        if flags & !storage::ALL != 0 || small_frame > toe_abi::MAX_SMALL_FRAME {
            return Err(CommandStatus::Invalid);
        }
        self.core.storage.set(flags, small_frame);
        Ok(())
    }
}
