// SPDX-License-Identifier: GPL-2.0

//! The generic netlink family `toe` (`Documentation/netlink/specs/toe.yaml`).

use super::{
    connection::{
        Connection,
        Tuple, //
    },
    giveback,
    handover,
    reason::Cause,
    registry,
    table::Stats, //
};
use crate::{
    abi::admin::{
        direction,
        Opcode,
        SetImpairment, //
    },
    bindings::*,
    net::{
        genetlink::{
            Command,
            Dump,
            Family,
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
    net::netlink::MulticastGroup,
    prelude::*,
    sync::{
        atomic::ordering::Relaxed,
        Arc, //
    }, //
};

/// The family.
pub(super) static FAMILY: Family = Family::const_new(
    kernel::module::this_module::<crate::Toe>(),
    TOE_FAMILY_NAME,
    TOE_FAMILY_VERSION,
    &OPERATIONS,
    &GROUPS,
);

static GROUPS: [MulticastGroup; 1] = [MulticastGroup::const_new(c"conn")];
/// Place of the group `conn` in [`GROUPS`].
const CONN: u32 = 0;

static OPERATIONS: [Operation; 5] = [
    Operation::new::<ConnGet>(),
    Operation::new::<ConnOffload>(),
    Operation::new::<ConnReturn>(),
    Operation::new::<StatsGet>(),
    Operation::new::<ImpairSet>(),
];

/// Attributes by which a connection is named.
static CONN_POLICY: [Policy; TOE_A_CONN_MAX as usize + 1] = {
    let mut policy = [const { Policy::reject() }; TOE_A_CONN_MAX as usize + 1];
    policy[TOE_A_CONN_IFINDEX as usize] = Policy::u32();
    policy[TOE_A_CONN_FAMILY as usize] = Policy::u16();
    policy[TOE_A_CONN_LOCAL_ADDRESS as usize] = Policy::binary(16);
    policy[TOE_A_CONN_REMOTE_ADDRESS as usize] = Policy::binary(16);
    policy[TOE_A_CONN_LOCAL_PORT as usize] = Policy::u16();
    policy[TOE_A_CONN_REMOTE_PORT as usize] = Policy::u16();
    policy[TOE_A_CONN_COOKIE as usize] = Policy::uint();
    policy[TOE_A_CONN_ALL as usize] = Policy::flag();
    policy
};

static STATS_POLICY: [Policy; TOE_A_STATS_IFINDEX as usize + 1] = {
    let mut policy = [const { Policy::reject() }; TOE_A_STATS_IFINDEX as usize + 1];
    policy[TOE_A_STATS_IFINDEX as usize] = Policy::u32();
    policy
};

static IMPAIR_POLICY: [Policy; TOE_A_IMPAIR_MAX as usize + 1] = {
    let mut policy = [const { Policy::reject() }; TOE_A_IMPAIR_MAX as usize + 1];
    let mut number = TOE_A_IMPAIR_IFINDEX as usize;
    while number <= TOE_A_IMPAIR_JITTER as usize {
        policy[number] = Policy::u32();
        number += 1;
    }
    policy[TOE_A_IMPAIR_RATE as usize] = Policy::uint();
    policy[TOE_A_IMPAIR_SEED as usize] = Policy::uint();
    policy
};

/// The connection that a request names by addresses and ports.
fn tuple(request: &Request<'_>) -> Result<Tuple> {
    let port = |attrtype| request.attrs().get_u16(attrtype).ok_or(EINVAL);
    let mut tuple = Tuple {
        ipv6: match request.attrs().get_u32(TOE_A_CONN_FAMILY) {
            Some(AF_INET) => false,
            Some(AF_INET6) => true,
            _ => return Err(EAFNOSUPPORT),
        },
        local: [0; 16],
        remote: [0; 16],
        local_port: port(TOE_A_CONN_LOCAL_PORT)?,
        remote_port: port(TOE_A_CONN_REMOTE_PORT)?,
    };
    let width = tuple.width();
    for (attrtype, address) in [
        (TOE_A_CONN_LOCAL_ADDRESS, &mut tuple.local),
        (TOE_A_CONN_REMOTE_ADDRESS, &mut tuple.remote),
    ] {
        let bytes = request.attrs().get_bytes(attrtype).ok_or(EINVAL)?;
        if bytes.len() != width {
            return Err(EINVAL);
        }
        address[..width].copy_from_slice(bytes);
    }
    Ok(tuple)
}

/// The connections of a network namespace.
fn connections(namespace: &Namespace) -> impl Iterator<Item = Arc<Connection>> + '_ {
    let mut position = [0; 2];
    core::iter::from_fn(move || next(namespace, &mut position))
}

/// The connection at `position` (lane, index) or behind it; moves `position` behind that.
fn next(namespace: &Namespace, position: &mut [c_long; 2]) -> Option<Arc<Connection>> {
    loop {
        // CAST: positions count from 0.
        let lane = registry::nth_lane(position[0] as usize)?;
        match lane.next(position[1] as usize) {
            Some((index, connection)) => {
                position[1] = index as c_long + 1;
                if connection.sock().namespace() == namespace {
                    return Some(connection);
                }
            }
            None => *position = [position[0] + 1, 0],
        }
    }
}

/// The delegated connection that a request names.
fn named(request: &Request<'_>) -> Result<Arc<Connection>> {
    let cookie = request
        .attrs()
        .get_uint(TOE_A_CONN_COOKIE)
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

fn put_connection(msg: &mut GenlMsg<'_>, connection: &Connection) -> Result {
    let (lane, tuple) = (&connection.lane, &connection.tuple);
    let width = tuple.width();
    msg.put_u32(TOE_A_CONN_IFINDEX, lane.handle.ifindex())?;
    msg.put_u32(TOE_A_CONN_PROCESSOR, lane.processor.into())?;
    msg.put_u32(TOE_A_CONN_HOST_ID, connection.host_id.load(Relaxed))?;
    msg.put_u32(TOE_A_CONN_DEVICE_ID, connection.device_id())?;
    let family = if tuple.ipv6 { AF_INET6 } else { AF_INET };
    msg.put_u16(TOE_A_CONN_FAMILY, family as u16)?;
    msg.put_bytes(TOE_A_CONN_LOCAL_ADDRESS, &tuple.local[..width])?;
    msg.put_bytes(TOE_A_CONN_REMOTE_ADDRESS, &tuple.remote[..width])?;
    msg.put_u16(TOE_A_CONN_LOCAL_PORT, tuple.local_port)?;
    msg.put_u16(TOE_A_CONN_REMOTE_PORT, tuple.remote_port)?;
    msg.put_uint(TOE_A_CONN_COOKIE, connection.sock().cookie())?;
    msg.put_u32(TOE_A_CONN_UID, connection.sock().uid())?;
    msg.put_u32(TOE_A_CONN_STATE, connection.phase() as u32)?;
    msg.put_uint(TOE_A_CONN_SENT, connection.sent.get())?;
    msg.put_uint(TOE_A_CONN_RECEIVED, connection.received.get())?;
    msg.put_uint(
        TOE_A_CONN_AGE,
        jiffies_msecs().wrapping_sub(connection.since).into(),
    )
}

/// `conn-delegated-ntf`. With the socket locked.
pub(super) fn notify_delegated(connection: &Connection) {
    let cmd = TOE_CMD_CONN_DELEGATED_NTF as u8;
    FAMILY.multicast(connection.sock().namespace(), CONN, cmd, |msg| {
        put_connection(msg, connection)
    });
}

/// `conn-returned-ntf`. With the socket locked.
pub(super) fn notify_returned(connection: &Connection, cause: Cause) {
    let cmd = TOE_CMD_CONN_RETURNED_NTF as u8;
    FAMILY.multicast(connection.sock().namespace(), CONN, cmd, |msg| {
        put_connection(msg, connection)?;
        msg.put_u32(TOE_A_CONN_REASON, cause as u32)
    });
}

/// `conn-get`
struct ConnGet;

#[vtable]
impl Command for ConnGet {
    const CMD: u8 = TOE_CMD_CONN_GET as u8;
    const POLICY: &'static [Policy] = &CONN_POLICY;

    fn doit(request: &Request<'_>) -> Result {
        let connection = named(request)?;
        request.reply(|msg| put_connection(msg, &connection))
    }

    fn dumpit(dump: &mut Dump<'_>) -> Result {
        let ifindex = dump.attrs().get_u32(TOE_A_CONN_IFINDEX);
        loop {
            let mut position = *dump.position();
            let Some(connection) = next(dump.namespace(), &mut position) else {
                return Ok(());
            };
            let wanted = ifindex.is_none_or(|ifindex| connection.lane.handle.ifindex() == ifindex);
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
    const CMD: u8 = TOE_CMD_CONN_OFFLOAD as u8;
    const ADMIN: bool = true;
    const POLICY: &'static [Policy] = &CONN_POLICY;

    fn doit(request: &Request<'_>) -> Result {
        let tuple = tuple(request)?;
        let width = tuple.width();
        // A socket that is not bound to an interface is found by way of any.
        let socket = registry::lanes()
            .find_map(|lane| {
                sock::lookup(
                    request.namespace(),
                    (&tuple.local[..width], tuple.local_port),
                    (&tuple.remote[..width], tuple.remote_port),
                    lane.handle.ifindex(),
                )
            })
            .ok_or(ENOENT)?;
        // What is being closed stays Linux's.
        let _file = socket.file().ok_or(ENOTCONN)?;
        let mut socket = socket.lock();
        handover::delegate(&mut socket).map_err(|refusal| {
            request.extack().set(refusal.text());
            refusal.error()
        })
    }
}

/// `conn-return`
struct ConnReturn;

#[vtable]
impl Command for ConnReturn {
    const CMD: u8 = TOE_CMD_CONN_RETURN as u8;
    const ADMIN: bool = true;
    const POLICY: &'static [Policy] = &CONN_POLICY;

    fn doit(request: &Request<'_>) -> Result {
        let give_back = |connection: Arc<Connection>| {
            let mut socket = connection.sock().lock();
            giveback::recall(&connection, &mut socket, Cause::User);
        };
        if !request.attrs().get_flag(TOE_A_CONN_ALL) {
            give_back(named(request)?);
            return Ok(());
        }
        let ifindex = request.attrs().get_u32(TOE_A_CONN_IFINDEX);
        connections(request.namespace())
            .filter(|connection| {
                ifindex.is_none_or(|ifindex| connection.lane.handle.ifindex() == ifindex)
            })
            .for_each(give_back);
        Ok(())
    }
}

/// `stats-get`
struct StatsGet;

fn put_reasons(msg: &mut GenlMsg<'_>, stats: &Stats) -> Result {
    for (refusal, count) in stats.refusals().filter(|&(_, count)| count > 0) {
        msg.put_nest(TOE_A_STATS_REFUSED, |nest| {
            nest.put_u32(TOE_A_REFUSED_REASON, refusal as u32)?;
            nest.put_uint(TOE_A_REFUSED_COUNT, count)
        })?;
    }
    for (cause, count) in stats.returns().filter(|&(_, count)| count > 0) {
        msg.put_nest(TOE_A_STATS_RETURNED, |nest| {
            nest.put_u32(TOE_A_RETURNED_REASON, cause as u32)?;
            nest.put_uint(TOE_A_RETURNED_COUNT, count)
        })?;
    }
    Ok(())
}

fn put_stats(msg: &mut GenlMsg<'_>, ifindex: u32) -> Result {
    msg.put_u32(TOE_A_STATS_IFINDEX, ifindex)?;
    if ifindex == 0 {
        return put_reasons(msg, &registry::NOWHERE);
    }
    let (mut count, mut capacity, mut sent, mut received) = (0, 0, 0u64, 0u64);
    let mut stats = None;
    for lane in registry::lanes().filter(|lane| lane.handle.ifindex() == ifindex) {
        count += lane.count();
        capacity += lane.capacity();
        sent += lane.sent.get();
        received += lane.received.get();
        stats = Some(lane.stats.clone());
    }
    let stats = stats.ok_or(ENODEV)?;
    msg.put_u32(TOE_A_STATS_CONNECTIONS, count)?;
    msg.put_u32(TOE_A_STATS_CAPACITY, capacity)?;
    msg.put_uint(TOE_A_STATS_DELEGATED, stats.delegated.load(Relaxed))?;
    msg.put_uint(TOE_A_STATS_SENT, sent)?;
    msg.put_uint(TOE_A_STATS_RECEIVED, received)?;
    put_reasons(msg, &stats)
}

#[vtable]
impl Command for StatsGet {
    const CMD: u8 = TOE_CMD_STATS_GET as u8;
    const POLICY: &'static [Policy] = &STATS_POLICY;

    fn doit(request: &Request<'_>) -> Result {
        let ifindex = request.attrs().get_u32(TOE_A_STATS_IFINDEX).ok_or(EINVAL)?;
        if ifindex != 0 {
            registry::adapter(request.namespace(), ifindex).ok_or(ENODEV)?;
        }
        request.reply(|msg| put_stats(msg, ifindex))
    }

    fn dumpit(dump: &mut Dump<'_>) -> Result {
        loop {
            // Position 0 is what was refused before an adapter was found, then come the adapters.
            let n = dump.position()[0] as usize;
            let ifindex = match n {
                0 => Some(0),
                _ => match registry::nth_adapter(n - 1) {
                    Some(handle) => handle
                        .netdev()
                        .is_in(dump.namespace())
                        .then(|| handle.ifindex()),
                    None => return Ok(()),
                },
            };
            if let Some(ifindex) = ifindex {
                dump.put(|msg| put_stats(msg, ifindex))?;
            }
            dump.position()[0] += 1;
        }
    }
}

/// `impair-set`
struct ImpairSet;

#[vtable]
impl Command for ImpairSet {
    const CMD: u8 = TOE_CMD_IMPAIR_SET as u8;
    const ADMIN: bool = true;
    const POLICY: &'static [Policy] = &IMPAIR_POLICY;

    fn doit(request: &Request<'_>) -> Result {
        let small = |attrtype| request.attrs().get_u32(attrtype).unwrap_or(0);
        let Some(handle) = registry::adapter(request.namespace(), small(TOE_A_IMPAIR_IFINDEX))
        else {
            request
                .extack()
                .set(c"no such interface of an adapter here");
            return Err(ENODEV);
        };
        let directions = small(TOE_A_IMPAIR_DIRECTIONS);
        if directions == 0 || directions & !(direction::EGRESS | direction::INGRESS) != 0 {
            request
                .extack()
                .set(c"directions are egress, ingress or both");
            return Err(EINVAL);
        }
        let impairment = SetImpairment {
            opcode: Opcode::SetImpairment.raw(),
            directions,
            loss_ppm: small(TOE_A_IMPAIR_LOSS),
            duplicate_ppm: small(TOE_A_IMPAIR_DUPLICATE),
            reorder_ppm: small(TOE_A_IMPAIR_REORDER),
            corrupt_ppm: small(TOE_A_IMPAIR_CORRUPT),
            delay_us: small(TOE_A_IMPAIR_DELAY),
            jitter_us: small(TOE_A_IMPAIR_JITTER),
            rate_bps: request.attrs().get_uint(TOE_A_IMPAIR_RATE).unwrap_or(0),
            seed: request.attrs().get_uint(TOE_A_IMPAIR_SEED).unwrap_or(0),
            ..SetImpairment::default()
        };
        let probabilities = [
            impairment.loss_ppm,
            impairment.duplicate_ppm,
            impairment.reorder_ppm,
            impairment.corrupt_ppm,
        ];
        if probabilities.iter().any(|&ppm| ppm > 1_000_000) {
            request
                .extack()
                .set(c"a probability is at most 1000000 parts per million");
            return Err(ERANGE);
        }
        handle.impair(&impairment)
    }
}
