// SPDX-License-Identifier: GPL-2.0

//! The socket shim: which connections the adapter carries, and how they get there and back.
//!
//! While the adapter carries a connection, Linux's own socket is its *shadow*: a true, restorable
//! picture. Five invariants make that so.
//!
//! 1. **Send.** Every byte given to the adapter stays in the retransmit queue until the adapter
//!    reports it acknowledged ([`send`], [`pieces`]).
//! 2. **Receive.** The adapter acknowledges a byte only after it and its completion are in host
//!    memory; the host never refuses one ([`receive`]).
//! 3. **Window.** The right edge of the receive window moves only when Linux moves it, by the
//!    acknowledgements that `recvmsg` makes and the adapter brings up to date. What their headers
//!    hold is what Linux believes to have announced.
//! 4. **Order.** Payload, frames and the return of a connection are applied in the order of the ring:
//!    by the end of the poll, or by way of the socket's backlog ([`receive`]).
//! 5. **Teardown belongs to Linux.** The connection is returned first ([`giveback`]).

mod connection;
mod genl;
mod giveback;
mod handover;
mod patience;
mod pieces;
mod policy;
mod reason;
mod receive;
mod registry;
mod send;
mod table;
mod watch;

use self::{
    connection::{
        Connection,
        Phase,
        STOPPED,
        ULP, //
    },
    reason::{
        Cause,
        Refusal, //
    },
    table::Processor, //
};
use crate::{
    abi::{
        self,
        completion::{
            Acked,
            Delegated,
            Deliver,
            Returned, //
        }, //
    },
    bindings,
    net::skb::SkBuff,
    offload::{
        Client,
        Handle,
        Payload, //
    },
    tcp::{
        backlog::BacklogEntry,
        message::Message,
        shadow::{
            self,
            OptionEffect,
            Recall,
            Sent,
            Shadow,
            Ulp, //
        },
        sock::{
            Locked,
            Owned,
            TcpSock, //
        },
        sysctl::{
            self,
            Enable, //
        }, //
    }, //
};
use kernel::{
    net::netlink,
    prelude::*,
    sync::{
        atomic::ordering::Release,
        rcu,
        Arc, //
    }, //
};

/// The shim. To be dropped after the last adapter has stopped.
pub(crate) struct Shim {
    // Dropped in this order: first those that begin something.
    _family: netlink::Registration,
    _watch: watch::Watch,
    _policy: policy::Worker,
    _ulp: shadow::Registration<Connection>,
    _sysctl: sysctl::Registration,
    _adapters: registry::Adapters,
}

impl Shim {
    /// Offers delegation to sockets. Before the first adapter starts.
    pub(crate) fn new() -> Result<Self> {
        let adapters = registry::Adapters::new()?;
        let sysctl = sysctl::Registration::new()?;
        let ulp = ULP.register()?;
        let policy = policy::Worker::new()?;
        let watch = watch::Watch::new()?;
        Ok(Self {
            _family: genl::FAMILY.register()?,
            _watch: watch,
            _policy: policy,
            _ulp: ulp,
            _sysctl: sysctl,
            _adapters: adapters,
        })
    }
}

impl Client for Shim {
    type Processor = Processor;

    fn start(adapter: &Handle, processor: u8) -> Result<Processor> {
        let this = Processor::new(registry::lane_for_start(adapter, processor)?)?;
        this.lane.open(true);
        Ok(this)
    }

    fn delegated(this: &mut Processor, answer: Delegated) {
        receive::delegated(this, answer)
    }

    fn can_deliver(this: &mut Processor) -> bool {
        this.can_deliver()
    }

    fn deliver(this: &mut Processor, deliver: Deliver, payload: Payload) {
        receive::deliver(this, deliver, payload)
    }

    fn acked(this: &mut Processor, acked: Acked) {
        receive::acked(this, acked)
    }

    fn returned(this: &mut Processor, returned: Returned, state: abi::connection::Connection) {
        receive::returned(this, returned, state)
    }

    fn legacy(_this: &mut Processor, _host_id: u32, skb: SkBuff) {
        skb.receive()
    }

    fn completions_done(this: &mut Processor) {
        receive::flush(this);
        this.refill();
        receive::unblock(this);
    }

    fn submission_space(this: &mut Processor) {
        receive::unblock(this);
    }

    fn stopping(adapter: &Handle, processor: u8) {
        for lane in registry::lanes() {
            if lane.handle.is_same(adapter) && lane.processor == processor {
                lane.open(false);
            }
        }
    }

    fn stopped(this: Processor) {
        let lane = this.lane.clone();
        lane.open(false);
        drop(this);
        for connection in lane.connections() {
            // A hand-over that waits for its answer waits in vain; it counts as refused. A return
            // that is waited for has come, or never will.
            if connection.phase() == Phase::Delegating {
                let _ = connection.answer.cmpxchg(0, STOPPED, Release);
                connection.answered.complete_all();
            }
            connection.given_back.complete_all();
            let mut sock = connection.sock().lock();
            if matches!(connection.phase(), Phase::Delegated | Phase::Returning) {
                giveback::lost(&connection, &mut sock);
            }
        }
    }

    fn inspected(_adapter: &Handle) {
        watch::look_now();
    }

    fn gone(adapter: &Handle) {
        registry::forget(adapter);
    }

    fn transmit_queue(skb: &SkBuff) -> Option<u16> {
        let sock = TcpSock::of_sender(skb)?;
        let guard = rcu::read_lock();
        let connection = ULP.shadow_of(sock, &guard)?;
        Some(connection.lane.processor.into())
    }

    fn transmits(skb: &SkBuff) {
        if let Some(sock) = TcpSock::of_sender(skb) {
            policy::consider(sock);
        }
    }
}

impl Shadow for Connection {
    fn ulp() -> &'static Ulp<Self> {
        &ULP
    }

    fn setsockopt_ulp(sock: &mut Owned<'_>) -> Result {
        if sysctl::Registration::enable(sock) == Enable::Off {
            registry::NOWHERE.refused(Refusal::Disabled);
            return Err(Refusal::Disabled.error());
        }
        handover::delegate(sock).map_err(Refusal::error)
    }

    fn sendmsg(this: &Arc<Self>, sock: &mut Owned<'_>, message: &mut Message<'_>) -> Result<Sent> {
        send::sendmsg(this, sock, message)
    }

    fn push(this: &Arc<Self>, sock: &mut Owned<'_>) {
        {
            let (shadow, _) = this.cell.open(sock);
            shadow.more = false;
        }
        send::update_nagle(this, sock);
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
        giveback::recall(this, sock, why.into());
    }

    fn closed(this: &Arc<Self>, sock: &mut Locked<'_>) {
        let (shadow, _) = this.cell.open(sock);
        giveback::ask(this, shadow, Cause::Close);
    }

    fn backlog(this: &Arc<Self>, sock: &mut Locked<'_>, entry: BacklogEntry) {
        receive::backlog(this, sock, entry)
    }

    fn frame_processed(this: &Arc<Self>, sock: &mut Locked<'_>) {
        if matches!(this.phase(), Phase::Delegated | Phase::Returning) {
            sock.stop_timers();
        }
    }

    fn released(this: &Self, sock: &mut Locked<'_>) {
        send::gather(this, sock);
    }
}
