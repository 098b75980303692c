// SPDX-License-Identifier: GPL-2.0

//! `toectl watch`: prints connections as they are handed over and returned.

use crate::channel::Channel;
use crate::conn::Conn;
use crate::filter::Filter;
use crate::interface::Interfaces;
use crate::output;
use crate::uapi::*;
use crate::units;
use anyhow::Result;
use serde::Serialize;
use std::io;
use std::io::Write;

/// A notification, for JSON output.
#[derive(Serialize)]
struct Event {
    event: &'static str,
    #[serde(flatten)]
    conn: Conn,
}

/// Prints notifications until interrupted.
pub fn run(filter: &Filter, json: bool) -> Result<()> {
    let ifindex = filter.ifindex()?;
    let mut channel = Channel::open()?;
    channel.subscribe()?;
    loop {
        let Some(messages) = channel.notifications()? else {
            eprintln!("toectl: events lost: receive buffer overrun");
            continue;
        };
        let interfaces = Interfaces::read()?;
        for message in messages {
            let event = match u16::from(message.command) {
                TOE_CMD_CONN_DELEGATED_NTF => "delegated",
                TOE_CMD_CONN_RETURNED_NTF => "returned",
                _ => continue,
            };
            let conn = Conn::from_message(&message, &interfaces)?;
            if ifindex.is_some_and(|index| index != conn.ifindex) || !filter.matches(&conn) {
                continue;
            }
            if json {
                output::json(&Event { event, conn })?;
            } else {
                print(event, &conn)?;
            }
        }
    }
}

fn print(event: &str, conn: &Conn) -> Result<()> {
    let mut out = io::stdout().lock();
    write!(
        out,
        "{event:<9}  {} {} -> {}",
        conn.dev, conn.local, conn.remote
    )?;
    if event == "returned" {
        write!(
            out,
            "  {}{}: sent {}, received {} in {}",
            conn.reason.as_deref().unwrap_or("-"),
            conn.detail
                .as_ref()
                .map_or_else(String::new, |detail| format!(" ({detail})")),
            units::bytes(conn.sent),
            units::bytes(conn.received),
            units::duration(conn.age),
        )?;
    }
    Ok(writeln!(out)?)
}
