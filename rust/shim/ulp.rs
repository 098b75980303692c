// SPDX-License-Identifier: GPL-2.0

//! Calls of the socket layer for a socket whose connection the shim handles.

use super::{
    connection::{
        Connection,
        Origin,
        ULP, //
    },
    handover,
    legacy,
    reason::Cause,
    recall,
    receive,
    send,
    update,
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
            Owned,
            TcpSock, //
        }, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::ordering::Relaxed,
        Arc, //
    }, //
};

impl Shadow for Connection {
    fn ulp() -> &'static Ulp<Self> {
        &ULP
    }

    fn setsockopt_ulp(sock: &mut Owned<'_>) -> Result {
        handover::request(sock, Origin::Program).map_err(|why| why.reason.error())
    }

    fn wait_until_settled(this: &Self) {
        this.settled.wait_for_completion();
    }

    fn is_requested(this: &Self) -> bool {
        this.origin == Origin::Program
    }

    fn sendmsg(this: &Arc<Self>, sock: &mut Owned<'_>, message: &mut Message<'_>) -> Result<Sent> {
        send::sendmsg(this, sock, message)
    }

    fn push(this: &Arc<Self>, sock: &mut Owned<'_>) {
        update::push(this, sock);
    }

    fn option_effect(level: c_int, name: c_int) -> OptionEffect {
        // CAST: levels and names are small and positive; others match nothing.
        match (level as u32, name as u32) {
            (
                bindings::SOL_TCP,
                bindings::TCP_NODELAY
                | bindings::TCP_CORK
                | bindings::TCP_CONGESTION
                | bindings::TCP_USER_TIMEOUT
                | bindings::TCP_NOTSENT_LOWAT
                | bindings::TCP_RTO_MIN_US
                | bindings::TCP_RTO_MAX_MS
                | bindings::TCP_DELACK_MAX_US,
            ) => OptionEffect::Tell,
            (bindings::SOL_IP, bindings::IP_TOS | bindings::IP_TTL | bindings::IP_MTU_DISCOVER) => {
                OptionEffect::Tell
            }
            (
                bindings::SOL_IPV6,
                bindings::IPV6_TCLASS | bindings::IPV6_UNICAST_HOPS | bindings::IPV6_AUTOFLOWLABEL,
            ) => OptionEffect::Tell,
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
        update::option_changed(this, sock);
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

    fn announce(this: &Self, sock: &mut Locked<'_>) -> bool {
        update::announce(this, sock)
    }

    fn unsent(this: &Self, sock: &TcpSock) -> u32 {
        sock.written().wrapping_sub(this.snd_nxt.load(Relaxed))
    }

    fn retransmits(this: &Self, sock: &mut Locked<'_>) {
        update::put_right_later(this, sock);
    }

    fn frame_processed(this: &Arc<Self>, sock: &mut Locked<'_>) {
        legacy::frame_processed(this, sock);
    }

    fn received(this: &Self, sock: &mut Locked<'_>, ifindex: u32) -> bool {
        watch::received(this, sock, ifindex)
    }

    fn released(this: &Self, sock: &mut Locked<'_>) -> Released {
        if this.marks.is_any() {
            watch::catch_up(this, sock);
        }
        send::submit_foreign(this, sock);
        watch::released(this, sock)
    }

    fn settle(this: &Arc<Self>, sock: &mut Owned<'_>) {
        recall::settle(this, sock);
    }
}
