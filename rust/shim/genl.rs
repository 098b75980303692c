// SPDX-License-Identifier: GPL-2.0

//! Commands of the generic netlink family `toe` (`Documentation/netlink/specs/toe.yaml`).

use super::{
    connection::{
        Connection,
        Origin,
        Tuple,
        ULP, //
    },
    handover,
    kept,
    notify::{
        put_connection,
        FAMILY, //
    },
    reason::Cause,
    recall,
    registry::{
        self,
        Totals, //
    },
    stats::{
        Stats,
        NO_ADAPTER, //
    }, //
};
use crate::{
    abi::admin::{
        direction,
        Opcode,
        SetImpairment,
        MAX_PPM, //
    },
    bindings,
    net::{
        genetlink::{
            Command,
            Dump,
            GenlMsg,
            Operation,
            Policy,
            Request, //
        },
        namespace::Namespace, //
    },
    tcp::sock,
    util::time::jiffies_msecs, //
};
use kernel::{
    net::netlink,
    prelude::*,
    sync::{
        rcu,
        Arc, //
    }, //
};

/// How long a command waits for a process that owns a socket, in milliseconds.
const OWNER_TIMEOUT_MS: u32 = 1_000;

/// Registers the family.
pub(super) fn register() -> Result<netlink::Registration> {
    FAMILY.register(&OPERATIONS)
}

static OPERATIONS: [Operation; 5] = [
    Operation::new::<ConnGet>(),
    Operation::new::<ConnOffload>(),
    Operation::new::<ConnReturn>(),
    Operation::new::<StatsGet>(),
    Operation::new::<ImpairSet>(),
];

/// Attributes that name a connection.
static CONN_POLICY: [Policy; bindings::TOE_A_CONN_MAX as usize + 1] = {
    let mut policy = [const { Policy::reject() }; bindings::TOE_A_CONN_MAX as usize + 1];
    policy[bindings::TOE_A_CONN_IFINDEX as usize] = Policy::u32();
    policy[bindings::TOE_A_CONN_FAMILY as usize] = Policy::u16();
    policy[bindings::TOE_A_CONN_LOCAL_ADDRESS as usize] = Policy::binary(16);
    policy[bindings::TOE_A_CONN_REMOTE_ADDRESS as usize] = Policy::binary(16);
    policy[bindings::TOE_A_CONN_LOCAL_PORT as usize] = Policy::u16();
    policy[bindings::TOE_A_CONN_REMOTE_PORT as usize] = Policy::u16();
    policy[bindings::TOE_A_CONN_COOKIE as usize] = Policy::uint();
    policy[bindings::TOE_A_CONN_ALL as usize] = Policy::flag();
    policy
};

static STATS_POLICY: [Policy; bindings::TOE_A_STATS_IFINDEX as usize + 1] = {
    let mut policy = [const { Policy::reject() }; bindings::TOE_A_STATS_IFINDEX as usize + 1];
    policy[bindings::TOE_A_STATS_IFINDEX as usize] = Policy::u32();
    policy
};

static IMPAIR_POLICY: [Policy; bindings::TOE_A_IMPAIR_MAX as usize + 1] = {
    let mut policy = [const { Policy::reject() }; bindings::TOE_A_IMPAIR_MAX as usize + 1];
    let mut number = bindings::TOE_A_IMPAIR_IFINDEX as usize;
    while number <= bindings::TOE_A_IMPAIR_JITTER as usize {
        policy[number] = Policy::u32();
        number += 1;
    }
    policy[bindings::TOE_A_IMPAIR_RATE as usize] = Policy::uint();
    policy[bindings::TOE_A_IMPAIR_SEED as usize] = Policy::uint();
    policy
};

/// Returns the addresses and ports in a request.
fn tuple(request: &Request<'_>) -> Result<Tuple> {
    let port = |attrtype| request.attrs().get_u16(attrtype).ok_or(EINVAL);
    let mut tuple = Tuple {
        ipv6: match request.attrs().get_u32(bindings::TOE_A_CONN_FAMILY) {
            Some(bindings::AF_INET) => false,
            Some(bindings::AF_INET6) => true,
            Some(_) => return Err(EAFNOSUPPORT),
            None => return Err(EINVAL),
        },
        local: [0; 16],
        remote: [0; 16],
        local_port: port(bindings::TOE_A_CONN_LOCAL_PORT)?,
        remote_port: port(bindings::TOE_A_CONN_REMOTE_PORT)?,
    };
    let width = tuple.width();
    for (attrtype, address) in [
        (bindings::TOE_A_CONN_LOCAL_ADDRESS, &mut tuple.local),
        (bindings::TOE_A_CONN_REMOTE_ADDRESS, &mut tuple.remote),
    ] {
        let bytes = request.attrs().get_bytes(attrtype).ok_or(EINVAL)?;
        if bytes.len() != width {
            return Err(EINVAL);
        }
        address[..width].copy_from_slice(bytes);
    }
    Ok(tuple)
}

/// Iterates over the connections in a network namespace. They may change meanwhile: this is no
/// snapshot.
fn connections(namespace: &Namespace) -> impl Iterator<Item = Arc<Connection>> + '_ {
    let mut position = [0; 2];
    core::iter::from_fn(move || next(namespace, &mut position))
}

/// Returns the connection at `position` (number of the lane, position in its table) or the next
/// one after it, and advances `position` past it.
fn next(namespace: &Namespace, position: &mut [c_long; 2]) -> Option<Arc<Connection>> {
    loop {
        // CAST: both count from 0.
        let lane = registry::nth_lane(position[0] as usize)?;
        match lane.next(position[1] as usize) {
            Some((i, connection)) => {
                position[1] = i as c_long + 1;
                if connection.sock().namespace() == namespace {
                    return Some(connection);
                }
            }
            None => *position = [position[0] + 1, 0],
        }
    }
}

/// Returns the connection that a request names, by cookie or by addresses and ports.
fn named(request: &Request<'_>) -> Result<Arc<Connection>> {
    let cookie = request
        .attrs()
        .get_uint(bindings::TOE_A_CONN_COOKIE)
        .filter(|&cookie| cookie != 0);
    let tuple = match cookie {
        Some(_) => None,
        None => Some(tuple(request)?),
    };
    connections(request.namespace())
        .find(|connection| match cookie {
            Some(cookie) => connection.sock().cookie() == cookie,
            None => Some(connection.tuple) == tuple,
        })
        .ok_or(ENOENT)
}

/// `conn-get`
struct ConnGet;

#[vtable]
impl Command for ConnGet {
    const CMD: u8 = bindings::TOE_CMD_CONN_GET as u8;
    const POLICY: &'static [Policy] = &CONN_POLICY;

    fn doit(request: &Request<'_>) -> Result {
        let connection = named(request)?;
        request.reply(|msg| put_connection(msg, &connection))
    }

    fn dumpit(dump: &mut Dump<'_>) -> Result {
        let ifindex = dump.attrs().get_u32(bindings::TOE_A_CONN_IFINDEX);
        loop {
            let mut position = *dump.position();
            let Some(connection) = next(dump.namespace(), &mut position) else {
                return Ok(());
            };
            let wanted =
                ifindex.is_none_or(|ifindex| connection.lane.adapter().ifindex() == ifindex);
            if wanted {
                dump.put(|msg| put_connection(msg, &connection))?;
            }
            *dump.position() = position;
        }
    }
}

/// `conn-offload`
struct ConnOffload;

#[vtable]
impl Command for ConnOffload {
    const CMD: u8 = bindings::TOE_CMD_CONN_OFFLOAD as u8;
    const ADMIN: bool = true;
    const POLICY: &'static [Policy] = &CONN_POLICY;

    fn doit(request: &Request<'_>) -> Result {
        let tuple = tuple(request)?;
        let width = tuple.width();
        // A socket that is not bound to an interface is found with any of them.
        let socket = registry::lanes()
            .find_map(|lane| {
                sock::lookup(
                    request.namespace(),
                    (&tuple.local[..width], tuple.local_port),
                    (&tuple.remote[..width], tuple.remote_port),
                    lane.adapter().ifindex(),
                )
            })
            .ok_or(ENOENT)?;
        let mut socket = socket.lock_timeout(OWNER_TIMEOUT_MS).ok_or_else(|| {
            request.extack().set(c"a process owns the socket");
            EBUSY
        })?;
        let shadow = ULP
            .shadow_of(&socket, &rcu::read_lock())
            .map(Arc::<Connection>::from);
        if let Some(connection) = shadow {
            if connection.kind().is_carried() {
                return Ok(());
            }
            // It is coming back.
            recall::recall(&connection, &mut socket, Cause::User);
        }
        handover::request(&mut socket, Origin::Outside).map_err(|why| {
            match why.detail {
                None => request.extack().set(why.reason.text()),
                Some(detail) => request
                    .extack()
                    .set_fmt(fmt!("{}: {detail}", why.reason.text())),
            }
            why.reason.error()
        })
    }
}

/// `conn-return`
struct ConnReturn;

#[vtable]
impl Command for ConnReturn {
    const CMD: u8 = bindings::TOE_CMD_CONN_RETURN as u8;
    const ADMIN: bool = true;
    const POLICY: &'static [Policy] = &CONN_POLICY;

    fn doit(request: &Request<'_>) -> Result {
        let deadline = jiffies_msecs().wrapping_add(OWNER_TIMEOUT_MS);
        let ask = |connection: &Connection| -> Result {
            // Before the connection comes back: then it is a candidate again.
            kept::keep(connection.sock())?;
            recall::ask(connection);
            Ok(())
        };
        let wait = |connection: Arc<Connection>| {
            ask(&connection)?;
            recall::wait(&connection, deadline).inspect_err(|_| {
                request.extack().set(
                    c"a process owns a socket; its connection returns when it releases the socket",
                );
            })
        };
        if !request.attrs().get_flag(bindings::TOE_A_CONN_ALL) {
            return wait(named(request)?);
        }
        let ifindex = request.attrs().get_u32(bindings::TOE_A_CONN_IFINDEX);
        let wanted = || {
            connections(request.namespace()).filter(|connection| {
                ifindex.is_none_or(|ifindex| connection.lane.adapter().ifindex() == ifindex)
            })
        };
        wanted().try_for_each(|connection| ask(&connection))?;
        wanted().map(wait).fold(Ok(()), Result::and)
    }
}

/// `stats-get`
struct StatsGet;

fn put_reasons(msg: &mut GenlMsg<'_>, stats: &Stats) -> Result {
    for (refusal, count) in stats.refusals().filter(|&(_, count)| count > 0) {
        msg.put_nest(bindings::TOE_A_STATS_REFUSED, |nest| {
            nest.put_u32(bindings::TOE_A_REFUSED_REASON, refusal as u32)?;
            nest.put_uint(bindings::TOE_A_REFUSED_COUNT, count)
        })?;
    }
    for (cause, count) in stats.returns().filter(|&(_, count)| count > 0) {
        msg.put_nest(bindings::TOE_A_STATS_RETURNED, |nest| {
            nest.put_u32(bindings::TOE_A_RETURNED_REASON, cause as u32)?;
            nest.put_uint(bindings::TOE_A_RETURNED_COUNT, count)
        })?;
    }
    Ok(())
}

/// Puts the statistics of an adapter, or those of hand-overs without an adapter.
fn put_stats(msg: &mut GenlMsg<'_>, totals: Option<&Totals>) -> Result {
    let ifindex = totals.map_or(0, |totals| totals.ifindex);
    msg.put_u32(bindings::TOE_A_STATS_IFINDEX, ifindex)?;
    let Some(totals) = totals else {
        return put_reasons(msg, &NO_ADAPTER);
    };
    msg.put_u32(bindings::TOE_A_STATS_CONNECTIONS, totals.connections)?;
    msg.put_u32(bindings::TOE_A_STATS_CAPACITY, totals.capacity)?;
    msg.put_uint(bindings::TOE_A_STATS_DELEGATED, totals.stats.delegated())?;
    msg.put_uint(bindings::TOE_A_STATS_SENT, totals.sent)?;
    msg.put_uint(bindings::TOE_A_STATS_RECEIVED, totals.received)?;
    put_reasons(msg, &totals.stats)
}

#[vtable]
impl Command for StatsGet {
    const CMD: u8 = bindings::TOE_CMD_STATS_GET as u8;
    const POLICY: &'static [Policy] = &STATS_POLICY;

    fn doit(request: &Request<'_>) -> Result {
        let ifindex = request
            .attrs()
            .get_u32(bindings::TOE_A_STATS_IFINDEX)
            .ok_or(EINVAL)?;
        let totals = match ifindex {
            0 => None,
            _ => {
                let adapter = registry::adapter(request.namespace(), ifindex);
                Some(adapter.and_then(|a| registry::totals(&a)).ok_or(ENODEV)?)
            }
        };
        request.reply(|msg| put_stats(msg, totals.as_ref()))
    }

    fn dumpit(dump: &mut Dump<'_>) -> Result {
        loop {
            // Position 0 is for hand-overs without an adapter; the adapters follow.
            let n = dump.position()[0] as usize;
            if n == 0 {
                dump.put(|msg| put_stats(msg, None))?;
            } else {
                let Some(adapter) = registry::nth_adapter(n - 1) else {
                    return Ok(());
                };
                if adapter.netdev().is_in(dump.namespace()) {
                    // An adapter that has gone meanwhile is left out.
                    if let Some(totals) = registry::totals(&adapter) {
                        dump.put(|msg| put_stats(msg, Some(&totals)))?;
                    }
                }
            }
            dump.position()[0] += 1;
        }
    }
}

/// `impair-set`
struct ImpairSet;

#[vtable]
impl Command for ImpairSet {
    const CMD: u8 = bindings::TOE_CMD_IMPAIR_SET as u8;
    const ADMIN: bool = true;
    const POLICY: &'static [Policy] = &IMPAIR_POLICY;

    fn doit(request: &Request<'_>) -> Result {
        let small = |attrtype| request.attrs().get_u32(attrtype).unwrap_or(0);
        let Some(adapter) =
            registry::adapter(request.namespace(), small(bindings::TOE_A_IMPAIR_IFINDEX))
        else {
            request
                .extack()
                .set(c"no such interface of an adapter in this namespace");
            return Err(ENODEV);
        };
        let directions = small(bindings::TOE_A_IMPAIR_DIRECTIONS);
        if directions == 0 || directions & !(direction::EGRESS | direction::INGRESS) != 0 {
            request
                .extack()
                .set(c"directions are egress, ingress or both");
            return Err(EINVAL);
        }
        let impairment = SetImpairment {
            opcode: Opcode::SetImpairment.raw(),
            directions,
            loss_ppm: small(bindings::TOE_A_IMPAIR_LOSS),
            duplicate_ppm: small(bindings::TOE_A_IMPAIR_DUPLICATE),
            reorder_ppm: small(bindings::TOE_A_IMPAIR_REORDER),
            corrupt_ppm: small(bindings::TOE_A_IMPAIR_CORRUPT),
            delay_us: small(bindings::TOE_A_IMPAIR_DELAY),
            jitter_us: small(bindings::TOE_A_IMPAIR_JITTER),
            rate_bps: request
                .attrs()
                .get_uint(bindings::TOE_A_IMPAIR_RATE)
                .unwrap_or(0),
            seed: request
                .attrs()
                .get_uint(bindings::TOE_A_IMPAIR_SEED)
                .unwrap_or(0),
            ..SetImpairment::default()
        };
        let probabilities = [
            impairment.loss_ppm,
            impairment.duplicate_ppm,
            impairment.reorder_ppm,
            impairment.corrupt_ppm,
        ];
        if probabilities.iter().any(|&ppm| ppm > MAX_PPM) {
            request
                .extack()
                .set(c"a probability is at most 1000000 parts per million");
            return Err(ERANGE);
        }
        adapter.impair(&impairment)
    }
}
