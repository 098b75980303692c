// SPDX-License-Identifier: GPL-2.0

//! A connection between a socket and an entry of the adapter's connection table.

use super::{
    answer::{
        Answer,
        PendingAnswer, //
    },
    frags::SubmittedFrags,
    lane::Lane,
    mark::Marks,
    quota::Share,
    seq::later,
    state::{
        Kind,
        SendSide,
        StateCell,
        StateMut, //
    },
    submission::Shortage, //
};
use crate::{
    abi::{
        completion::{
            Acked,
            Returned, //
        },
        connection::{
            self as abi,
            flag,
            SendState, //
        },
        ring::SUBMISSION_ENTRY,
        Layout, //
    },
    net::neighbour::Neighbour,
    offload::SubmitError,
    tcp::{
        backlog::BacklogEntry,
        shadow::Ulp,
        sock::TcpSock, //
    },
    util::{
        completion::Completion,
        counter::Counter,
        lock::{
            new_bh_spinlock,
            BhSpinLock, //
        },
        time::jiffies_msecs, //
    }, //
};
use core::mem;
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            ordering::Relaxed,
            Atomic,
            AtomicFlag, //
        },
        Arc,
        UniqueArc, //
    }, //
};

/// The upper layer protocol `toe`.
pub(super) static ULP: Ulp<Connection> = Ulp::new(c"toe");

/// Who wants a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The program, which has set `TCP_ULP`.
    Program,
    /// The policy or the administrator. The program is not to notice.
    Outside,
}

/// A connection from the hand-over until Linux carries it again.
///
/// It is attached to its socket as upper layer protocol data ([`ULP`]), and is in the table of its
/// [`Lane`] until its state is [`Linux`](super::state::State::Linux).
#[pin_data]
pub(super) struct Connection {
    /// The lane whose processor carries the connection.
    pub(super) lane: Arc<Lane>,
    /// Identifier in completions. Set when the connection enters the lane's table.
    host_id: u32,
    /// Addresses and ports.
    pub(super) tuple: Tuple,
    /// Who wanted the hand-over.
    pub(super) origin: Origin,
    /// The adapter's answer to the hand-over.
    #[pin]
    pub(super) answer: PendingAnswer,
    /// The state. Protected by the socket's lock.
    pub(super) state: StateCell,
    /// Completions that arrived while a process owned the socket.
    #[pin]
    pub(super) deferred: BhSpinLock<Deferred>,
    /// Payload that the adapter may read. `None` once the processor has stopped or Linux carries the
    /// connection: nothing is submitted for it any longer.
    #[pin]
    pub(super) frags: BhSpinLock<Option<SubmittedFrags>>,
    /// The next hop, from the first check on. `None` whenever [`Self::frags`] is.
    #[pin]
    neighbour: BhSpinLock<Option<Neighbour>>,
    /// Counts for the user.
    _share: Share,
    /// Work that is left to the process that owns the socket.
    pub(super) marks: Marks,
    /// The hand-over has ended, with success or without.
    #[pin]
    pub(super) settled: Completion,
    /// The adapter has returned the connection, and what it held out of order is arriving.
    pub(super) arriving: AtomicFlag,
    /// `Returned` has arrived with these frames, or never will.
    #[pin]
    pub(super) returned: Completion,
    /// Linux carries the connection.
    #[pin]
    pub(super) finished: Completion,
    /// Time of the hand-over ([`jiffies_msecs`]).
    pub(super) since: u32,
    /// First byte that the adapter has not sent, by its latest report. Written under the socket's lock.
    pub(super) snd_nxt: Atomic<u32>,
    /// Payload bytes that the peer has acknowledged to the adapter. Written under the socket's lock.
    pub(super) sent: Counter,
    /// Payload bytes that the adapter has delivered. Written by the lane's poll.
    pub(super) received: Counter,
}

/// Addresses and ports of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tuple {
    /// Whether the addresses are IPv6. IPv4 addresses are in the first four bytes.
    pub(super) ipv6: bool,
    /// Local address, network byte order.
    pub(super) local: [u8; 16],
    /// Remote address, network byte order.
    pub(super) remote: [u8; 16],
    /// Local port.
    pub(super) local_port: u16,
    /// Remote port.
    pub(super) remote_port: u16,
}

impl Tuple {
    /// Returns the length of an address in bytes.
    pub(super) fn width(&self) -> usize {
        if self.ipv6 {
            16
        } else {
            4
        }
    }
}

impl From<&abi::ConnectionState> for Tuple {
    fn from(snapshot: &abi::ConnectionState) -> Self {
        Self {
            ipv6: snapshot.has(flag::IPV6),
            local: snapshot.local_address,
            remote: snapshot.remote_address,
            local_port: snapshot.local_port,
            remote_port: snapshot.remote_port,
        }
    }
}

/// Completions that arrived while a process owned the socket.
pub(super) struct Deferred {
    /// Progress of the send side.
    pub(super) progress: Deferral<Progress>,
    /// The `Returned`, with the connection's state. Stays queued after it has been applied: the socket
    /// is an ordinary one then, which takes no entries.
    pub(super) returned: Deferral<(Returned, abi::ConnectionState)>,
}

/// Progress of the send side that has not been applied to the socket.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    /// The latest `Acked`. It supersedes all earlier ones.
    pub(super) acked: Option<Acked>,
    /// The submission ring has room again.
    pub(super) resume: bool,
}

/// A backlog entry and what it applies.
pub(super) enum Deferral<T> {
    /// The entry is not in the backlog.
    Idle(BacklogEntry),
    /// The entry is in the backlog and applies this.
    Queued(T),
}

impl<T: Copy> Deferral<T> {
    /// Creates a deferral with an entry of `kind`, of [`entry`]. Process context.
    fn new(kind: u16) -> Result<Self> {
        Ok(Self::Idle(BacklogEntry::new(kind)?))
    }

    /// Returns what the entry in the backlog applies.
    pub(super) fn get(&self) -> Option<T> {
        match self {
            Self::Idle(_) => None,
            Self::Queued(value) => Some(*value),
        }
    }

    /// Lets the entry apply `value` instead of what it applied before. Returns the entry if the caller
    /// has to put it into the backlog.
    pub(super) fn queue(&mut self, value: T) -> Option<BacklogEntry> {
        match mem::replace(self, Self::Queued(value)) {
            Self::Idle(entry) => Some(entry),
            Self::Queued(_) => None,
        }
    }

    /// Takes back the entry, which has come out of the backlog. Returns what it applies.
    pub(super) fn take(&mut self, entry: BacklogEntry) -> Option<T> {
        match mem::replace(self, Self::Idle(entry)) {
            Self::Idle(_) => None,
            Self::Queued(value) => Some(value),
        }
    }
}

/// Kinds of backlog entries.
pub(super) mod entry {
    /// The entry holds payload.
    pub(in super::super) const PAYLOAD: u16 = 0;
    /// Apply [`Deferred::progress`](super::Deferred::progress).
    pub(in super::super) const PROGRESS: u16 = 1;
    /// Apply [`Deferred::returned`](super::Deferred::returned).
    pub(in super::super) const RETURNED: u16 = 2;
    /// The entry is a legacy frame.
    pub(in super::super) const FRAME: u16 = 3;
    /// Legacy mode ends: the entry holds the sequence number and the round of the resumption.
    pub(in super::super) const RESUMED: u16 = 4;
}

impl Connection {
    /// Creates the connection that `snapshot` describes. It has no identifier before it is inserted
    /// into the table of `lane`, and counts as `share`. Process context.
    pub(super) fn new(
        sock: &TcpSock,
        lane: Arc<Lane>,
        snapshot: &abi::ConnectionState,
        origin: Origin,
        share: Share,
    ) -> Result<Pin<UniqueArc<Self>>> {
        let deferred = Deferred {
            progress: Deferral::new(entry::PROGRESS)?,
            returned: Deferral::new(entry::RETURNED)?,
        };
        let frags = SubmittedFrags::new(lane.queue.clone())?;
        UniqueArc::pin_init(
            pin_init!(Self {
                lane,
                host_id: 0,
                tuple: snapshot.into(),
                origin,
                answer <- PendingAnswer::new(),
                state: StateCell::new(ARef::from(sock)),
                deferred <- new_bh_spinlock!(deferred),
                frags <- new_bh_spinlock!(Some(frags)),
                _share: share,
                neighbour <- new_bh_spinlock!(None),
                marks: Marks::new(),
                settled <- Completion::new(),
                arriving: AtomicFlag::new(false),
                returned <- Completion::new(),
                finished <- Completion::new(),
                since: jiffies_msecs(),
                snd_nxt: Atomic::new(snapshot.send.snd_nxt),
                sent: Counter::new(),
                received: Counter::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Sets the identifier in completions.
    pub(super) fn set_host_id(self: Pin<&mut Self>, host_id: u32) {
        *self.project().host_id = host_id;
    }

    /// Returns the identifier in completions.
    #[inline]
    pub(super) fn host_id(&self) -> u32 {
        self.host_id
    }

    /// Returns the identifier in submissions once the adapter has accepted the connection.
    pub(super) fn device_id(&self) -> Option<u32> {
        match self.answer.get() {
            Some(Answer::Accepted { device_id }) => Some(device_id),
            _ => None,
        }
    }

    /// Counts payload that `report` acknowledges, and that the former report did not, and notes what has
    /// been sent. With the socket locked.
    pub(super) fn count_sent(&self, send: &SendSide, report: &SendState) {
        self.snd_nxt
            .store(later(send.last.snd_nxt, report.snd_nxt), Relaxed);
        let newly = report.snd_una.wrapping_sub(send.last.snd_una).into();
        self.sent.add(newly);
        self.lane.sent.fetch_add(newly, Relaxed);
    }

    /// Submits `entries`, all or none of them. Any context but hard interrupts.
    pub(super) fn submit(&self, entries: &[[u8; SUBMISSION_ENTRY]]) -> Result<(), SubmitError> {
        // Held meanwhile: a processor that has been started again does not know the connection.
        let frags = self.frags.lock();
        match *frags {
            Some(_) => self.lane.queue.submit(entries),
            None => Err(SubmitError::Stopped),
        }
    }

    /// Submits one entry. Any context but hard interrupts.
    pub(super) fn submit_entry(
        &self,
        entry: &impl Layout<Bytes = [u8; SUBMISSION_ENTRY]>,
    ) -> Result<(), SubmitError> {
        self.submit(&[entry.to_bytes()])
    }

    /// Keeps the next hop in the neighbour table, instead of the former one. Any context but hard
    /// interrupts.
    pub(super) fn hold(&self, neighbour: Neighbour) {
        let frags = self.frags.lock();
        // Otherwise the interface may be about to go, which waits for the neighbour.
        if frags.is_some() {
            let former = self.neighbour.lock().replace(neighbour);
            drop(former);
        }
    }

    /// Ends the adapter's access to payload, and all submissions. Any context; the adapter does not
    /// carry the connection any longer.
    pub(super) fn cut_off(&self) {
        let frags = self.frags.lock().take();
        drop(frags);
        let neighbour = self.neighbour.lock().take();
        drop(neighbour);
    }

    /// Any state to [`State::Linux`](super::state::State::Linux).
    pub(super) fn finish(&self, state: &mut StateMut<'_>) {
        state.finish();
        self.cut_off();
        self.marks.take();
        self.settled.complete_all();
        self.finished.complete_all();
    }

    /// Lists the connection to be resumed when there is room again. `blocked`: why it waits, part of its
    /// state.
    pub(super) fn wait(&self, blocked: &mut Option<Shortage>, shortage: Shortage) {
        if blocked.replace(shortage).is_none() {
            self.lane.wait(self);
        }
        // Only once it is listed: a poll that begins now finds it.
        if shortage == Shortage::Credits {
            self.lane.queue.await_fragments();
        }
    }

    /// Returns the socket.
    #[inline]
    pub(super) fn sock(&self) -> &TcpSock {
        self.state.sock()
    }

    /// Returns the kind of the state. Without the socket's lock it may change at any time.
    #[inline]
    pub(super) fn kind(&self) -> Kind {
        self.state.kind()
    }

    /// Returns whether the connection is in the adapter's table. Without the socket's lock that may
    /// change at any time.
    #[inline]
    pub(super) fn is_offloaded(&self) -> bool {
        let kind = self.kind();
        kind.is_carried() || kind == Kind::Returning
    }
}
