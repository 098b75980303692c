// SPDX-License-Identifier: GPL-2.0

//! Calls of the socket layer for a socket whose connection the shim handles.

use super::{
    connection::{
        Connection,
        ULP, //
    },
    handover,
    legacy,
    reason::Cause,
    recall,
    receive,
    send,
    watch, //
};
use crate::{
    bindings,
    tcp::{
        backlog::BacklogEntry,
        message::Message,
        shadow::{
            OptionEffect,
            Recall,
            Released,
            Sent,
            Shadow,
            Ulp, //
        },
        sock::{
            Locked,
            Owned, //
        }, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

impl Shadow for Connection {
    fn ulp() -> &'static Ulp<Self> {
        &ULP
    }

    fn setsockopt_ulp(sock: &mut Owned<'_>) -> Result {
        handover::request(sock).map_err(|why| why.reason.error())
    }

    fn sendmsg(this: &Arc<Self>, sock: &mut Owned<'_>, message: &mut Message<'_>) -> Result<Sent> {
        send::sendmsg(this, sock, message)
    }

    fn push(this: &Arc<Self>, sock: &mut Owned<'_>) {
        send::push(this, sock);
    }

    fn option_effect(level: c_int, name: c_int) -> OptionEffect {
        // CAST: levels and names are small and positive; others match nothing.
        match (level as u32, name as u32) {
            (bindings::SOL_TCP, bindings::TCP_NODELAY | bindings::TCP_CORK) => OptionEffect::Tell,
            (
                bindings::SOL_TCP,
                bindings::TCP_KEEPIDLE
                | bindings::TCP_KEEPINTVL
                | bindings::TCP_KEEPCNT
                | bindings::TCP_SYNCNT
                | bindings::TCP_LINGER2
                | bindings::TCP_DEFER_ACCEPT
                | bindings::TCP_WINDOW_CLAMP
                | bindings::TCP_QUICKACK
                | bindings::TCP_INQ,
            ) => OptionEffect::None,
            (
                bindings::SOL_IP,
                bindings::IP_PKTINFO
                | bindings::IP_RECVERR
                | bindings::IP_RECVTTL
                | bindings::IP_RECVTOS
                | bindings::IP_BIND_ADDRESS_NO_PORT,
            ) => OptionEffect::None,
            (
                bindings::SOL_IPV6,
                bindings::IPV6_V6ONLY | bindings::IPV6_RECVERR | bindings::IPV6_RECVPKTINFO,
            ) => OptionEffect::None,
            _ => OptionEffect::Recall,
        }
    }

    fn option_changed(this: &Arc<Self>, sock: &mut Owned<'_>) {
        send::update_nagle(this, sock);
    }

    fn recall(this: &Arc<Self>, sock: &mut Owned<'_>, why: Recall) {
        recall::recall(this, sock, why);
    }

    fn closed(this: &Arc<Self>, sock: &mut Locked<'_>) {
        let (mut state, _) = this.state.open(sock);
        recall::request(this, &mut state, Cause::Close);
    }

    fn backlog(this: &Arc<Self>, sock: &mut Locked<'_>, entry: BacklogEntry) {
        receive::backlog(this, sock, entry)
    }

    fn frame_processed(this: &Arc<Self>, sock: &mut Locked<'_>) {
        legacy::frame_processed(this, sock);
    }

    fn received(this: &Self, sock: &mut Locked<'_>, ifindex: u32) -> bool {
        watch::received(this, sock, ifindex)
    }

    fn released(this: &Self, sock: &mut Locked<'_>) -> Released {
        send::submit_foreign(this, sock);
        watch::released(this, sock)
    }

    fn settle(this: &Arc<Self>, sock: &mut Owned<'_>) {
        recall::settle(this, sock);
    }
}
