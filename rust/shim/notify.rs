// SPDX-License-Identifier: GPL-2.0

//! Notifications of the generic netlink family `toe` (`Documentation/netlink/specs/toe.yaml`).
//!
//! The commands of the family are in [`genl`](super::genl).

use super::{
    connection::Connection,
    reason::{
        Cause,
        Why, //
    }, //
};
use crate::{
    bindings,
    net::genetlink::{
        Family,
        GenlMsg, //
    },
    tcp::sock::trace,
    util::time::jiffies_msecs, //
};
use kernel::{
    net::netlink::MulticastGroup,
    prelude::*, //
};

/// The family.
pub(super) static FAMILY: Family = Family::const_new(
    kernel::module::this_module::<crate::Toe>(),
    bindings::TOE_FAMILY_NAME,
    bindings::TOE_FAMILY_VERSION,
    &GROUPS,
);

static GROUPS: [MulticastGroup; 1] = [MulticastGroup::const_new(c"conn")];
/// Index of the group `conn` in [`GROUPS`].
const CONN: u32 = 0;

/// Puts the attributes of a connection.
pub(super) fn put_connection(msg: &mut GenlMsg<'_>, connection: &Connection) -> Result {
    let (lane, tuple) = (&connection.lane, &connection.tuple);
    let width = tuple.width();
    msg.put_u32(bindings::TOE_A_CONN_IFINDEX, lane.adapter().ifindex())?;
    msg.put_u32(
        bindings::TOE_A_CONN_PROCESSOR,
        lane.queue.processor().into(),
    )?;
    msg.put_u32(bindings::TOE_A_CONN_HOST_ID, connection.host_id())?;
    msg.put_u32(
        bindings::TOE_A_CONN_DEVICE_ID,
        connection.device_id().unwrap_or(0),
    )?;
    let family = if tuple.ipv6 {
        bindings::AF_INET6
    } else {
        bindings::AF_INET
    };
    msg.put_u16(bindings::TOE_A_CONN_FAMILY, family as u16)?;
    msg.put_bytes(bindings::TOE_A_CONN_LOCAL_ADDRESS, &tuple.local[..width])?;
    msg.put_bytes(bindings::TOE_A_CONN_REMOTE_ADDRESS, &tuple.remote[..width])?;
    msg.put_u16(bindings::TOE_A_CONN_LOCAL_PORT, tuple.local_port)?;
    msg.put_u16(bindings::TOE_A_CONN_REMOTE_PORT, tuple.remote_port)?;
    msg.put_uint(bindings::TOE_A_CONN_COOKIE, connection.sock().cookie())?;
    msg.put_u32(bindings::TOE_A_CONN_UID, connection.sock().uid())?;
    msg.put_u32(bindings::TOE_A_CONN_STATE, connection.kind() as u32)?;
    msg.put_uint(bindings::TOE_A_CONN_SENT, connection.sent.get())?;
    msg.put_uint(bindings::TOE_A_CONN_RECEIVED, connection.received.get())?;
    msg.put_uint(
        bindings::TOE_A_CONN_AGE,
        jiffies_msecs().wrapping_sub(connection.since).into(),
    )
}

/// Sends `conn-delegated-ntf`. Called with the socket locked.
pub(super) fn delegated(connection: &Connection) {
    let cmd = bindings::TOE_CMD_CONN_DELEGATED_NTF as u8;
    FAMILY.multicast(connection.sock().namespace(), CONN, cmd, |msg| {
        put_connection(msg, connection)
    });
}

/// Sends `conn-returned-ntf`, and traces the return. Called with the socket locked.
pub(super) fn returned(connection: &Connection, why: Why<Cause>) {
    trace::returned(connection.sock(), why.reason as u32, why.detail);
    let cmd = bindings::TOE_CMD_CONN_RETURNED_NTF as u8;
    FAMILY.multicast(connection.sock().namespace(), CONN, cmd, |msg| {
        put_connection(msg, connection)?;
        msg.put_u32(bindings::TOE_A_CONN_REASON, why.reason as u32)?;
        why.detail.map_or(Ok(()), |detail| {
            msg.put_string(bindings::TOE_A_CONN_DETAIL, fmt!("{detail}"))
        })
    });
}
