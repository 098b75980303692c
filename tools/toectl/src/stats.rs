// SPDX-License-Identifier: GPL-2.0

//! `toectl stats`: counters of the adapters.

use crate::attribute::Attribute;
use crate::attribute::Message;
use crate::channel::Channel;
use crate::interface;
use crate::interface::Interfaces;
use crate::output;
use crate::output::Align;
use crate::output::Table;
use crate::uapi;
use crate::uapi::*;
use crate::units;
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// Counters of one adapter.
#[derive(Debug, Default, Serialize)]
struct Stats {
    /// Index of its interface; 0 for refusals before an adapter was selected.
    ifindex: u32,
    /// Name of its interface.
    dev: String,
    /// Connections currently delegated.
    connections: u32,
    /// Maximum number of delegated connections.
    capacity: u32,
    /// Successful hand-overs.
    delegated: u64,
    /// Payload bytes acknowledged to the adapter.
    sent: u64,
    /// Payload bytes delivered by the adapter.
    received: u64,
    /// Refused hand-overs, by reason.
    refused: BTreeMap<String, u64>,
    /// Connections returned, by reason.
    returned: BTreeMap<String, u64>,
}

impl Stats {
    fn from_message(message: &Message, interfaces: &Interfaces) -> Result<Self> {
        let mut stats = Self::default();
        for attribute in &message.attributes {
            match attribute.kind {
                TOE_A_STATS_IFINDEX => stats.ifindex = attribute.as_u32()?,
                TOE_A_STATS_CONNECTIONS => stats.connections = attribute.as_u32()?,
                TOE_A_STATS_CAPACITY => stats.capacity = attribute.as_u32()?,
                TOE_A_STATS_DELEGATED => stats.delegated = attribute.as_uint()?,
                TOE_A_STATS_SENT => stats.sent = attribute.as_uint()?,
                TOE_A_STATS_RECEIVED => stats.received = attribute.as_uint()?,
                TOE_A_STATS_REFUSED => {
                    let kinds = (TOE_A_REFUSED_REASON, TOE_A_REFUSED_COUNT);
                    count(&mut stats.refused, attribute, kinds, REFUSE_REASON)?;
                }
                TOE_A_STATS_RETURNED => {
                    let kinds = (TOE_A_RETURNED_REASON, TOE_A_RETURNED_COUNT);
                    count(&mut stats.returned, attribute, kinds, RETURN_REASON)?;
                }
                _ => (),
            }
        }
        stats.dev = interfaces.name(stats.ifindex);
        Ok(stats)
    }
}

/// Adds a reason and its count from a nested attribute. `kinds` are its attribute types.
fn count(
    counts: &mut BTreeMap<String, u64>,
    nest: &Attribute,
    kinds: (u16, u16),
    names: Names,
) -> Result<()> {
    let (mut reason, mut count) = (0, 0);
    for attribute in nest.nested()? {
        if attribute.kind == kinds.0 {
            reason = attribute.as_u32()?;
        } else if attribute.kind == kinds.1 {
            count = attribute.as_uint()?;
        }
    }
    counts.insert(uapi::name(names, reason), count);
    Ok(())
}

/// Executes `stats` for one interface or all.
pub fn run(dev: Option<&str>, json: bool) -> Result<()> {
    let mut channel = Channel::open()?;
    let interfaces = Interfaces::read()?;
    let messages = match dev {
        Some(dev) => {
            let index = Attribute::u32(TOE_A_STATS_IFINDEX, interface::index(dev)?);
            channel.get(TOE_CMD_STATS_GET, vec![index])?
        }
        None => channel.dump(TOE_CMD_STATS_GET, Vec::new())?,
    };
    let all = messages
        .iter()
        .map(|message| Stats::from_message(message, &interfaces))
        .collect::<Result<Vec<_>>>()?;
    if json {
        return output::json(&all);
    }
    let mut table = Table::new(&[
        ("Dev", Align::Left),
        ("Counter", Align::Left),
        ("Value", Align::Right),
    ]);
    for stats in &all {
        let mut row = |name: &str, value: String| {
            table.row(vec![stats.dev.clone(), name.into(), value]);
        };
        if stats.ifindex != 0 {
            let connections = format!("{} of {}", stats.connections, stats.capacity);
            row("connections now", connections);
            row("handed over", stats.delegated.to_string());
            row("payload sent", units::bytes(stats.sent));
            row("payload received", units::bytes(stats.received));
        }
        for (reason, count) in &stats.refused {
            row(&format!("refused: {reason}"), count.to_string());
        }
        for (reason, count) in &stats.returned {
            row(&format!("returned: {reason}"), count.to_string());
        }
    }
    table.print()
}
