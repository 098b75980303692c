// SPDX-License-Identifier: GPL-2.0

//! Commands that set RSS contexts and receive rules.

use super::{
    adapter::{
        Adapter,
        Settings, //
    },
    steering::{
        compile,
        Rss, //
    }, //
};
use crate::{
    abi::{
        admin,
        feature,
        rss,
        rules::{
            ActionKind,
            Pattern,
            Rule,
            CONTEXTS, //
        },
        Layout, //
    },
    net::{
        device::Control,
        dma::SharedBytes,
        ethtool::FlowRule, //
    },
    offload::Client, //
};
use core::mem;
use kernel::{
    device::{
        self,
        Bound, //
    },
    prelude::*, //
};

impl<C: Client> Adapter<C> {
    /// Applies all contexts and rules to a function that was reset.
    pub(super) fn apply_steering(
        &self,
        dev: &device::Device<Bound>,
        settings: &Settings,
    ) -> Result {
        for context in 0..CONTEXTS as u32 {
            let rss = self.steering.lock().context(context);
            if let Ok(rss) = rss {
                self.apply_context(dev, context, &rss)?;
            }
        }
        for rule in &settings.rules {
            let (rule, pattern) = compile(rule)?;
            self.apply_rule(dev, &rule, &pattern)?;
        }
        Ok(())
    }

    fn apply_context(&self, dev: &device::Device<Bound>, context: u32, rss: &Rss) -> Result {
        if !self.function.has(feature::RSS) {
            return Ok(());
        }
        let config = rss::Config {
            key: rss.key,
            table: rss.table.0,
        };
        let memory = SharedBytes::new(dev, &config.to_bytes())?;
        let command = admin::SetRss {
            opcode: admin::Opcode::SetRss.raw(),
            fields: rss.fields.bits(),
            context,
            config: memory.dma_address(),
            ..Default::default()
        };
        self.function.command_with(&command, Some(memory))
    }

    fn apply_rule(&self, dev: &device::Device<Bound>, rule: &Rule, pattern: &Pattern) -> Result {
        let memory = SharedBytes::new(dev, &pattern.to_bytes())?;
        let (action, target) = rule.action.raw();
        let command = admin::SetRule {
            opcode: admin::Opcode::SetRule.raw(),
            location: rule.location,
            action: action.raw(),
            target,
            pattern: memory.dma_address(),
            ..Default::default()
        };
        self.function.command_with(&command, Some(memory))
    }

    /// Spreads context 0 evenly over `queues`.
    pub(super) fn spread(cx: &Control<'_, Self>, queues: u8) -> Result {
        let adapter = cx.data();
        let rss = {
            let mut steering = adapter.steering.lock();
            steering.spread(queues);
            steering.context(0)?
        };
        adapter.apply_context(cx.parent(), 0, &rss)
    }

    /// Sets a context. Nothing changes when the adapter refuses it.
    fn put_context(cx: &Control<'_, Self>, context: u32, rss: Rss) -> Result {
        let adapter = cx.data();
        // The copy changes first, so that a hand-over does not compute the former processor.
        let former = mem::replace(adapter.steering.lock().context_mut(context)?, Some(rss));
        adapter
            .apply_context(cx.parent(), context, &rss)
            .inspect_err(|_| {
                if let Ok(slot) = adapter.steering.lock().context_mut(context) {
                    *slot = former;
                }
            })
    }

    /// Changes a context.
    pub(super) fn change_context(
        cx: &Control<'_, Self>,
        context: u32,
        change: impl FnOnce(&mut Rss) -> Result,
    ) -> Result {
        let adapter = cx.data();
        if !adapter.function.has(feature::RSS) {
            return Err(EOPNOTSUPP);
        }
        let mut rss = adapter.steering.lock().context(context)?;
        change(&mut rss)?;
        Self::put_context(cx, context, rss)
    }

    /// Adds a context: a copy of context 0, spread evenly over all queues, then changed by `change`.
    pub(super) fn add_context(
        cx: &Control<'_, Self>,
        context: u32,
        change: impl FnOnce(&mut Rss) -> Result,
    ) -> Result {
        let adapter = cx.data();
        if !adapter.function.has(feature::RULES) {
            return Err(EOPNOTSUPP);
        }
        let mut rss = adapter.steering.lock().context(0)?;
        // CAST: at most 256 queues.
        rss.table = rss::Indirection::even(cx.device().queues() as u8);
        change(&mut rss)?;
        Self::put_context(cx, context, rss)
    }

    /// Removes a context that no rule refers to.
    pub(super) fn delete_context(&self, context: u32) -> Result {
        self.function.command(&admin::RemoveContext {
            opcode: admin::Opcode::RemoveContext.raw(),
            context,
            ..Default::default()
        })?;
        *self.steering.lock().context_mut(context)? = None;
        Ok(())
    }

    /// Sets a rule, and replaces the one at its location.
    pub(super) fn put_rule(cx: &mut Control<'_, Self>, flow: FlowRule) -> Result {
        let adapter = cx.data().clone();
        if !adapter.function.has(feature::RULES) {
            return Err(EOPNOTSUPP);
        }
        let (rule, pattern) = compile(&flow)?;
        // Allocate first. Rules change under the instance lock only.
        let location = flow.location();
        let mut flows = KVec::with_capacity(cx.state.rules.len() + 1, GFP_KERNEL)?;
        flows.extend_from_slice(&cx.state.rules, GFP_KERNEL)?;
        flows.retain(|other: &mut FlowRule| other.location() != location);
        let at = flows.partition_point(|other| other.location() < location);
        flows.insert_within_capacity(at, flow).map_err(|_| ENOMEM)?;
        let mut rules = KVec::with_capacity(flows.len(), GFP_KERNEL)?;
        for flow in &flows {
            rules.push(compile(flow)?.0, GFP_KERNEL)?;
        }
        adapter.apply_rule(cx.parent(), &rule, &pattern)?;
        mem::swap(&mut adapter.steering.lock().rules, &mut rules);
        cx.state.rules = flows;
        Ok(())
    }

    /// Removes the rule at `location`.
    pub(super) fn delete_rule(cx: &mut Control<'_, Self>, location: u32) -> Result {
        let adapter = cx.data().clone();
        let is_it = |flow: &FlowRule| flow.location() == location;
        let at = cx.state.rules.iter().position(is_it).ok_or(ENOENT)?;
        adapter.function.command(&admin::SetRule {
            opcode: admin::Opcode::SetRule.raw(),
            location: location.try_into()?,
            action: ActionKind::Remove.raw(),
            ..Default::default()
        })?;
        let _ = cx.state.rules.remove(at);
        let mut steering = adapter.steering.lock();
        steering
            .rules
            .retain(|rule| u32::from(rule.location) != location);
        Ok(())
    }

    /// Removes all rules.
    pub(super) fn delete_rules(cx: &mut Control<'_, Self>) -> Result {
        while let Some(flow) = cx.state.rules.last() {
            let location = flow.location();
            Self::delete_rule(cx, location)?;
        }
        Ok(())
    }
}
