// SPDX-License-Identifier: GPL-2.0

//! `toectl conn`: delegated connections.

use crate::attribute::Attribute;
use crate::attribute::Message;
use crate::channel::Channel;
use crate::cli::ConnCommand;
use crate::filter::Filter;
use crate::filter::Tuples;
use crate::interface::Interfaces;
use crate::output;
use crate::output::Align;
use crate::output::Table;
use crate::proc_tcp;
use crate::uapi;
use crate::uapi::*;
use crate::units;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use serde::Serialize;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

/// A connection that is or was delegated, as reported by the kernel.
#[derive(Clone, Debug, Serialize)]
pub struct Conn {
    /// Index of the adapter's interface.
    pub ifindex: u32,
    /// Name of the interface.
    pub dev: String,
    /// Local address and port.
    pub local: SocketAddr,
    /// Remote address and port.
    pub remote: SocketAddr,
    /// Offload processor.
    pub processor: u32,
    /// Host identifier of the connection in the ABI.
    pub host_id: u32,
    /// Adapter identifier of the connection in the ABI.
    pub device_id: u32,
    /// Socket cookie.
    pub cookie: u64,
    /// User ID of the socket.
    pub uid: u32,
    /// State of the connection.
    pub state: String,
    /// Payload bytes acknowledged to the adapter.
    pub sent: u64,
    /// Payload bytes delivered by the adapter.
    pub received: u64,
    /// Milliseconds since the hand-over.
    pub age: u64,
    /// Reason for its return, if it was returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What exactly the reason was, if that leaves it open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Conn {
    /// Decodes a message of the kernel.
    ///
    /// # Errors
    ///
    /// If an attribute has a width other than specified.
    pub fn from_message(message: &Message, interfaces: &Interfaces) -> Result<Self> {
        let unknown = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let mut conn = Self {
            ifindex: 0,
            dev: String::new(),
            local: unknown,
            remote: unknown,
            processor: 0,
            host_id: 0,
            device_id: 0,
            cookie: 0,
            uid: 0,
            state: String::new(),
            sent: 0,
            received: 0,
            age: 0,
            reason: None,
            detail: None,
        };
        for attribute in &message.attributes {
            match attribute.kind {
                TOE_A_CONN_IFINDEX => conn.ifindex = attribute.as_u32()?,
                TOE_A_CONN_PROCESSOR => conn.processor = attribute.as_u32()?,
                TOE_A_CONN_HOST_ID => conn.host_id = attribute.as_u32()?,
                TOE_A_CONN_DEVICE_ID => conn.device_id = attribute.as_u32()?,
                TOE_A_CONN_LOCAL_ADDRESS => conn.local.set_ip(attribute.as_address()?),
                TOE_A_CONN_REMOTE_ADDRESS => conn.remote.set_ip(attribute.as_address()?),
                TOE_A_CONN_LOCAL_PORT => conn.local.set_port(attribute.as_u32()?.try_into()?),
                TOE_A_CONN_REMOTE_PORT => conn.remote.set_port(attribute.as_u32()?.try_into()?),
                TOE_A_CONN_COOKIE => conn.cookie = attribute.as_uint()?,
                TOE_A_CONN_UID => conn.uid = attribute.as_u32()?,
                TOE_A_CONN_STATE => conn.state = uapi::name(CONN_STATE, attribute.as_u32()?),
                TOE_A_CONN_SENT => conn.sent = attribute.as_uint()?,
                TOE_A_CONN_RECEIVED => conn.received = attribute.as_uint()?,
                TOE_A_CONN_AGE => conn.age = attribute.as_uint()?,
                TOE_A_CONN_REASON => {
                    conn.reason = Some(uapi::name(RETURN_REASON, attribute.as_u32()?));
                }
                TOE_A_CONN_DETAIL => conn.detail = Some(attribute.as_string()),
                // The address family follows from the addresses. Ignore attributes added by newer
                // kernels.
                _ => (),
            }
        }
        conn.dev = interfaces.name(conn.ifindex);
        Ok(conn)
    }
}

/// Attributes that identify a connection by its addresses and ports.
fn tuple(local: SocketAddr, remote: SocketAddr) -> Vec<Attribute> {
    let family = match local {
        SocketAddr::V4(_) => nix::libc::AF_INET,
        SocketAddr::V6(_) => nix::libc::AF_INET6,
    };
    vec![
        Attribute::u16(TOE_A_CONN_FAMILY, family as u16),
        Attribute::address(TOE_A_CONN_LOCAL_ADDRESS, local.ip()),
        Attribute::address(TOE_A_CONN_REMOTE_ADDRESS, remote.ip()),
        Attribute::u16(TOE_A_CONN_LOCAL_PORT, local.port()),
        Attribute::u16(TOE_A_CONN_REMOTE_PORT, remote.port()),
    ]
}

/// Executes a `conn` command.
pub fn run(command: ConnCommand, json: bool) -> Result<()> {
    let mut channel = Channel::open()?;
    match command {
        ConnCommand::List { filter } => list(&mut channel, &filter, json),
        ConnCommand::Offload { tuples, all } => {
            ensure!(
                all == tuples.is_empty(),
                "select connections (--port, --remote, ...) or use --all"
            );
            offload(&mut channel, &tuples, json)
        }
        ConnCommand::Return { filter, all } => {
            ensure!(
                all == filter.is_empty(),
                "select connections (--port, --dev, ...) or use --all"
            );
            if all {
                return_all(&mut channel, json)
            } else {
                return_matching(&mut channel, &filter, json)
            }
        }
    }
}

/// Delegated connections that match `filter`.
fn delegated(channel: &mut Channel, filter: &Filter) -> Result<Vec<Conn>> {
    let interfaces = Interfaces::read()?;
    let request = filter
        .ifindex()?
        .map(|index| Attribute::u32(TOE_A_CONN_IFINDEX, index));
    let mut connections = Vec::new();
    for message in channel.dump(TOE_CMD_CONN_GET, request.into_iter().collect())? {
        let conn = Conn::from_message(&message, &interfaces)?;
        if filter.matches(&conn) {
            connections.push(conn);
        }
    }
    Ok(connections)
}

fn list(channel: &mut Channel, filter: &Filter, json: bool) -> Result<()> {
    let connections = delegated(channel, filter)?;
    if json {
        return output::json(&connections);
    }
    let mut table = Table::new(&[
        ("Dev", Align::Left),
        ("Proc", Align::Right),
        ("Local", Align::Left),
        ("Remote", Align::Left),
        ("State", Align::Left),
        ("Sent", Align::Right),
        ("Received", Align::Right),
        ("Age", Align::Right),
    ]);
    for conn in connections {
        table.row(vec![
            conn.dev,
            conn.processor.to_string(),
            conn.local.to_string(),
            conn.remote.to_string(),
            conn.state,
            units::bytes(conn.sent),
            units::bytes(conn.received),
            units::duration(conn.age),
        ]);
    }
    table.print()
}

/// Outcome of a command on several connections.
#[derive(Default, Serialize)]
struct Outcome {
    done: usize,
    failed: Vec<Failure>,
}

/// A connection for which a command failed.
#[derive(Serialize)]
struct Failure {
    local: SocketAddr,
    remote: SocketAddr,
    error: String,
}

impl Outcome {
    fn add(&mut self, local: SocketAddr, remote: SocketAddr, result: Result<()>) {
        match result {
            Ok(()) => self.done += 1,
            Err(error) => self.failed.push(Failure {
                local,
                remote,
                error: format!("{error:#}"),
            }),
        }
    }

    /// Prints the outcome. Returns an error if a command failed or nothing matched.
    fn report(&self, done: &str, json: bool) -> Result<()> {
        if json {
            output::json(self)?;
        } else {
            for failure in &self.failed {
                let (local, remote) = (failure.local, failure.remote);
                eprintln!("{local} -> {remote}: {}", failure.error);
            }
            println!("{done}: {}", self.done);
        }
        match self.failed.len() {
            0 if self.done == 0 => bail!("no connection matches"),
            0 => Ok(()),
            failed => bail!("{failed} of {} failed", failed + self.done),
        }
    }
}

fn offload(channel: &mut Channel, tuples: &Tuples, json: bool) -> Result<()> {
    let mut outcome = Outcome::default();
    for (local, remote) in proc_tcp::established()? {
        if tuples.matches(local, remote) {
            let result = channel.request(TOE_CMD_CONN_OFFLOAD, tuple(local, remote));
            outcome.add(local, remote, result);
        }
    }
    outcome.report("handed over", json)
}

fn return_matching(channel: &mut Channel, filter: &Filter, json: bool) -> Result<()> {
    let mut outcome = Outcome::default();
    for conn in delegated(channel, filter)? {
        match channel.request(TOE_CMD_CONN_RETURN, tuple(conn.local, conn.remote)) {
            // The connection was returned in the meantime.
            Err(error) if is_not_found(&error) => (),
            result => outcome.add(conn.local, conn.remote, result),
        }
    }
    outcome.report("returned", json)
}

fn return_all(channel: &mut Channel, json: bool) -> Result<()> {
    let outcome = Outcome {
        done: delegated(channel, &Filter::default())?.len(),
        failed: Vec::new(),
    };
    channel.request(TOE_CMD_CONN_RETURN, vec![Attribute::flag(TOE_A_CONN_ALL)])?;
    outcome.report("returned", json)
}

fn is_not_found(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}
