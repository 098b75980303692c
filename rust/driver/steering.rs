// SPDX-License-Identifier: GPL-2.0

//! Which processor received frames go to: the hash, its contexts, and rules.

use super::adapter::{
    Adapter,
    Settings, //
};
use crate::{
    abi::{
        admin,
        feature,
        rss::{
            self,
            Toeplitz,
            Traffic, //
        },
        rules::{
            self,
            present,
            Action,
            ActionKind,
            Headers,
            Pattern,
            Rule,
            CONTEXTS, //
        },
        Layout, //
    },
    net::{
        device::Control,
        dma::SharedBytes,
        ethtool::{
            FlowAction,
            FlowFields,
            FlowRule, //
        }, //
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

/// Hash and indirection table of a context.
#[derive(Clone, Copy)]
pub(super) struct Rss {
    pub(super) key: [u8; rss::KEY_SIZE],
    pub(super) table: rss::Indirection,
    pub(super) fields: rss::Fields,
}

/// What is in force.
///
/// # Invariants
///
/// There are [`CONTEXTS`] places for contexts, and context 0 is there. `rules` are in the order of
/// their locations.
pub(super) struct Steering {
    contexts: KVec<Option<Rss>>,
    rules: KVec<Rule>,
}

impl Steering {
    /// Of a function that was just reset.
    pub(super) fn new(processors: u8) -> Result<Self> {
        let mut contexts = KVec::with_capacity(CONTEXTS, GFP_KERNEL)?;
        let ordinary = Rss {
            key: rss::DEFAULT_KEY,
            table: rss::Indirection::even(processors),
            fields: rss::Fields::DEFAULT,
        };
        contexts.push(Some(ordinary), GFP_KERNEL)?;
        while contexts.len() < CONTEXTS {
            contexts.push(None, GFP_KERNEL)?;
        }
        Ok(Self {
            contexts,
            rules: KVec::new(),
        })
    }

    fn slot(&mut self, context: u32) -> Result<&mut Option<Rss>> {
        self.contexts.get_mut(context as usize).ok_or(EINVAL)
    }

    /// A context.
    pub(super) fn context(&self, context: u32) -> Result<Rss> {
        let slot = self.contexts.get(context as usize).ok_or(EINVAL)?;
        slot.ok_or(ENOENT)
    }

    /// Spreads the ordinary traffic evenly over `queues`.
    pub(super) fn spread(&mut self, queues: u8) {
        if let Some(Some(ordinary)) = self.contexts.first_mut() {
            ordinary.table = rss::Indirection::even(queues);
        }
    }

    /// The processor that a connection's frames with these headers go to. `None` when a rule drops
    /// them, or may be for some of them only.
    pub(super) fn processor_for(&self, headers: &Headers) -> Option<u8> {
        let context = match Rule::of_connection(&self.rules, headers) {
            None => 0,
            Some(Action::Context(context)) => context,
            Some(Action::Processor(processor)) => return Some(processor),
            Some(Action::Drop) => return None,
        };
        let rss = self.context(context.into()).ok()?;
        let (traffic, length) = match headers.version {
            4 => (Traffic::Tcp4, 4),
            _ => (Traffic::Tcp6, 16),
        };
        let hash = Toeplitz::new(rss.key).tuple(
            &headers.source[..length],
            &headers.destination[..length],
            (
                u16::from_be_bytes(headers.source_port),
                u16::from_be_bytes(headers.destination_port),
            ),
            rss.fields.of(traffic),
            rss.fields.is_symmetric(),
        );
        Some(rss.table.processor(hash))
    }
}

/// The fields as the adapter is told them; `mask` for those of a mask.
fn headers(fields: &FlowFields, mask: &FlowFields) -> [u8; Headers::SIZE] {
    let mut present = 0;
    if mask.vlan_tci != [0; 2] {
        present |= present::TAG;
    }
    if (mask.source_port, mask.destination_port) != ([0; 2], [0; 2]) {
        present |= present::PORTS;
    }
    let headers = Headers {
        destination_mac: fields.destination_mac,
        source_mac: fields.source_mac,
        ethertype: fields.ethertype,
        vlan_tci: fields.vlan_tci,
        source: fields.source,
        destination: fields.destination,
        source_port: fields.source_port,
        destination_port: fields.destination_port,
        version: fields.version,
        protocol: fields.protocol,
        tos: fields.tos,
        present,
    };
    headers.to_bytes()
}

/// A rule as the adapter is told it.
fn compile(rule: &FlowRule) -> Result<(Rule, Pattern)> {
    let frames = rule.frames()?;
    let pattern = Pattern {
        value: headers(&frames.value, &frames.mask),
        mask: headers(&frames.mask, &frames.mask),
    };
    // Queues and contexts that there are have small numbers, and so have locations.
    let action = match rule.action()? {
        FlowAction::Drop => Action::Drop,
        FlowAction::Queue(queue) => Action::Processor(queue.try_into()?),
        FlowAction::Context(context) => Action::Context(context.try_into()?),
    };
    let location = rule.location().try_into()?;
    Ok((Rule::new(location, action, &pattern), pattern))
}

impl<C: Client> Adapter<C> {
    /// Sets everything, of a function that was reset.
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
        if self.features & feature::RSS == 0 {
            return Ok(());
        }
        let config = rss::Config {
            key: rss.key,
            table: rss.table.0,
        };
        let memory = SharedBytes::new(dev, &config.to_bytes())?;
        self.command(&admin::SetRss {
            opcode: admin::Opcode::SetRss.raw(),
            fields: rss.fields.bits(),
            context,
            config: memory.dma_address(),
            ..Default::default()
        })
    }

    fn apply_rule(&self, dev: &device::Device<Bound>, rule: &Rule, pattern: &Pattern) -> Result {
        let memory = SharedBytes::new(dev, &pattern.to_bytes())?;
        let (action, target) = rule.action.raw();
        self.command(&admin::SetRule {
            opcode: admin::Opcode::SetRule.raw(),
            location: rule.location,
            action: action.raw(),
            target,
            pattern: memory.dma_address(),
            ..Default::default()
        })
    }

    /// Spreads the ordinary traffic evenly over the queues that there are.
    pub(super) fn spread(cx: &Control<'_, Self>, queues: u8) -> Result {
        let adapter = cx.data();
        let rss = {
            let mut steering = adapter.steering.lock();
            steering.spread(queues);
            steering.context(0)?
        };
        adapter.apply_context(cx.parent(), 0, &rss)
    }

    /// Sets a context to `rss`. When the adapter refuses it nothing has changed.
    fn put_context(cx: &Control<'_, Self>, context: u32, rss: Rss) -> Result {
        let adapter = cx.data();
        // First, so that nobody computes a processor that it no longer is.
        let former = mem::replace(adapter.steering.lock().slot(context)?, Some(rss));
        adapter
            .apply_context(cx.parent(), context, &rss)
            .inspect_err(|_| {
                if let Ok(slot) = adapter.steering.lock().slot(context) {
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
        if adapter.features & feature::RSS == 0 {
            return Err(EOPNOTSUPP);
        }
        let mut rss = adapter.steering.lock().context(context)?;
        change(&mut rss)?;
        Self::put_context(cx, context, rss)
    }

    /// Adds a context: as context 0 is, but evenly over all queues, then changed.
    pub(super) fn add_context(
        cx: &Control<'_, Self>,
        context: u32,
        change: impl FnOnce(&mut Rss) -> Result,
    ) -> Result {
        let adapter = cx.data();
        if adapter.features & feature::RULES == 0 {
            return Err(EOPNOTSUPP);
        }
        let mut rss = adapter.steering.lock().context(0)?;
        // CAST: at most 256 queues.
        rss.table = rss::Indirection::even(cx.device().queues() as u8);
        change(&mut rss)?;
        Self::put_context(cx, context, rss)
    }

    /// Removes a context that no rule names.
    pub(super) fn delete_context(&self, context: u32) -> Result {
        self.command(&admin::RemoveContext {
            opcode: admin::Opcode::RemoveContext.raw(),
            context,
            ..Default::default()
        })?;
        *self.steering.lock().slot(context)? = None;
        Ok(())
    }

    /// Sets a rule, instead of one that is at its location.
    pub(super) fn put_rule(cx: &mut Control<'_, Self>, flow: FlowRule) -> Result {
        let adapter = cx.data().clone();
        if adapter.features & feature::RULES == 0 {
            return Err(EOPNOTSUPP);
        }
        let (rule, pattern) = compile(&flow)?;
        // All memory first. Rules change under the instance lock only.
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
        let place = |flow: &FlowRule| flow.location() == location;
        let at = cx.state.rules.iter().position(place).ok_or(ENOENT)?;
        adapter.command(&admin::SetRule {
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

const _: () = assert!(rules::RULES <= u16::MAX as usize);
