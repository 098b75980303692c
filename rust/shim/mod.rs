// SPDX-License-Identifier: GPL-2.0

//! The socket shim: hands TCP connections over to the adapter and takes them back.
//!
//! While the adapter carries a connection, Linux keeps its socket in a state from which it can resume
//! the connection at any time. Five invariants ensure that:
//!
//! 1. **Send.** Every byte that is submitted to the adapter stays in the socket's retransmit queue, and
//!    its page mapped, until the adapter reports it acknowledged ([`send::submit`],
//!    [`frags::SubmittedFrags`]).
//! 2. **Receive.** The adapter acknowledges a byte only after the byte and its completion are in host
//!    memory, and the host never drops such a byte ([`poll::ProcessorPoll::can_deliver`],
//!    [`receive::deliver`]).
//! 3. **Window.** The right edge of the receive window moves only when Linux moves it: the
//!    acknowledgement that Linux wants to send when `recvmsg` frees memory becomes an update, and the
//!    adapter announces the window ([`update::announce`]). The state in the socket is what Linux has
//!    announced ([`Locked::deliver`](crate::tcp::sock::Locked::deliver)).
//! 4. **Order.** Payload, frames and the return of a connection are applied in the order of the
//!    completion ring, in the poll itself or through the socket's backlog ([`receive::backlog`]).
//! 5. **Teardown.** Linux closes connections. The adapter returns a connection first
//!    ([`recall::recall`]).
//!
//! The files in the order of their layers; a file names only those before it, except that `connection`
//! and `lane` name each other:
//!
//! | File | Content |
//! |---|---|
//! | [`reason`], [`stats`] | reasons of refusals and returns, and their counters |
//! | [`answer`] | the adapter's answer to a hand-over |
//! | [`table`], [`seq`] | objects by identifier; sequence numbers |
//! | [`submission`], [`timeout`], [`frags`] | submission queue, its timeout, payload that the adapter reads |
//! | [`state`], [`parameters`] | state of a connection, with its send side and its parameters |
//! | [`quota`] | number of delegated connections of each user |
//! | [`mark`] | work left to the owner of a socket |
//! | [`connection`], [`lane`] | a connection; a processor and its connections |
//! | [`registry`], [`backoff`], [`kept`], [`notify`] | adapters; delay of automatic delegation; connections that a user keeps with Linux; notifications |
//! | [`recall`] | return of a connection |
//! | [`update`], [`send`] | submissions: updates, `sendmsg` and payload |
//! | [`poll`], [`receive`] | completions |
//! | [`handover`] | hand-over of a connection |
//! | [`policy`], [`watch`] | automatic delegation; recall when the surroundings change |
//! | [`genl`], [`ulp`] | calls from netlink and from the socket layer |

mod answer;
mod backoff;
mod connection;
mod frags;
mod genl;
mod handover;
mod kept;
mod lane;
mod legacy;
mod mark;
mod notify;
mod parameters;
mod policy;
mod poll;
mod quota;
mod reason;
mod recall;
mod receive;
mod registry;
mod send;
mod seq;
mod state;
mod stats;
mod submission;
mod table;
mod timeout;
mod ulp;
mod update;
mod watch;

use self::{
    answer::Answer,
    connection::{
        Connection,
        ULP, //
    },
    mark::Mark,
    poll::ProcessorPoll, //
};
use crate::{
    abi::{
        self,
        completion::{
            Acked,
            Delegated,
            Deliver,
            Resumed,
            Returned, //
        }, //
    },
    net::{
        napi::RxSkBuff,
        skb::SkBuff, //
    },
    offload::{
        Client,
        Handle,
        Payload,
        Port, //
    },
    tcp::{
        shadow,
        sock::WeakSock,
        sysctl, //
    }, //
};
use kernel::{
    net::netlink,
    prelude::*,
    sync::rcu, //
};

/// The shim. Dropped after the last adapter has stopped.
pub(crate) struct Shim {
    // Dropped in this order: first those that start hand-overs.
    _family: netlink::Registration,
    _watch: watch::Watch,
    _policy: policy::Policy,
    _ulp: shadow::Registration<Connection>,
    _sysctl: sysctl::Registration,
    _kept: kept::Registration,
    _quota: quota::Registration,
    _registry: registry::Registry,
}

impl Shim {
    /// Registers the shim with the socket layer and with netlink. Called before the first adapter
    /// starts.
    pub(crate) fn new() -> Result<Self> {
        let registry = registry::Registry::new()?;
        let kept = kept::Registration::new()?;
        let quota = quota::Registration::new()?;
        let sysctl = sysctl::Registration::new()?;
        let ulp = ULP.register()?;
        let policy = policy::Policy::new()?;
        let watch = watch::Watch::new()?;
        Ok(Self {
            _family: genl::register()?,
            _watch: watch,
            _policy: policy,
            _ulp: ulp,
            _sysctl: sysctl,
            _kept: kept,
            _quota: quota,
            _registry: registry,
        })
    }
}

impl Client for Shim {
    type Processor = ProcessorPoll;

    fn start(adapter: &Handle, processor: u8) -> Result<ProcessorPoll> {
        let poll = ProcessorPoll::new(registry::start(adapter, processor)?)?;
        poll.lane.set_open(true);
        Ok(poll)
    }

    fn delegated(poll: &mut ProcessorPoll, delegated: Delegated) {
        receive::delegated(poll, delegated)
    }

    fn can_deliver(poll: &mut ProcessorPoll) -> bool {
        poll.can_deliver()
    }

    fn deliver(poll: &mut ProcessorPoll, deliver: Deliver, payload: Payload) {
        receive::deliver(poll, deliver, payload)
    }

    fn acked(poll: &mut ProcessorPoll, acked: Acked) {
        receive::acked(poll, acked)
    }

    fn returned(
        poll: &mut ProcessorPoll,
        returned: Returned,
        state: abi::connection::ConnectionState,
    ) {
        receive::returned(poll, returned, state)
    }

    fn resumed(poll: &mut ProcessorPoll, resumed: Resumed) {
        receive::flush(poll);
        legacy::resumed(poll, resumed)
    }

    fn legacy(poll: &mut ProcessorPoll, host_id: u32, skb: RxSkBuff<'_>) {
        receive::flush(poll);
        legacy::frame(poll, host_id, skb);
        receive::frame_arrived(poll, host_id)
    }

    fn completions_done(poll: &mut ProcessorPoll) {
        receive::flush(poll);
        poll.refill();
    }

    fn poll_done(poll: &mut ProcessorPoll) {
        receive::check_return(poll);
        receive::resume_waiting(poll);
    }

    fn stopping(adapter: &Handle, processor: u8) {
        if let Some(lane) = registry::lane(adapter, processor) {
            lane.set_open(false);
        }
    }

    fn stopped(mut poll: ProcessorPoll) {
        receive::finish_return(&mut poll);
        let lane = poll.lane.clone();
        lane.set_open(false);
        drop(poll);
        for connection in lane.connections() {
            // No completion arrives any more: ends the waits for one. A hand-over that the adapter
            // has answered keeps its answer.
            connection.answer.give(Answer::Stopped);
            connection.returned.complete_all();
            connection.cut_off();
            connection
                .marks
                .with(connection.sock(), Mark::Lost, |lock| {
                    recall::lost(&connection, lock)
                });
        }
    }

    fn inspected(_adapter: &Handle) {
        watch::schedule();
    }

    fn gone(adapter: &Handle) {
        // The watch sees them no longer.
        for lane in registry::lanes_of(adapter) {
            for connection in lane.connections() {
                connection.marks.pin(connection.sock());
            }
        }
        registry::forget(adapter);
    }

    fn transmit_queue(skb: &SkBuff) -> Option<u16> {
        let sock = WeakSock::of_sender(skb)?;
        let guard = rcu::read_lock();
        let connection = ULP.shadow_of(sock, &guard)?;
        Some(connection.lane.queue.processor().into())
    }

    fn transmits(adapter: &dyn Port, skb: &SkBuff) {
        if let Some(sock) = WeakSock::of_sender(skb) {
            policy::consider(adapter.gate(), sock);
        }
    }
}
