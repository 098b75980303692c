// SPDX-License-Identifier: GPL-2.0

//! A delegated connection: what ties a socket to an entry of the adapter's table.

use super::{
    pieces::Pieces,
    reason::Cause,
    table::Lane, //
};
use crate::{
    abi::{
        completion,
        connection as abi, //
    },
    tcp::{
        backlog::BacklogEntry,
        shadow::Ulp,
        sock::{
            SockCell,
            State,
            TcpSock, //
        }, //
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
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    }, //
};

/// The upper layer protocol `toe`.
pub(super) static ULP: Ulp<Connection> = Ulp::new(c"toe");

/// A connection from the moment at which the adapter is asked to take it to that at which Linux
/// carries it again. A connection that is delegated again is a new one of these.
#[pin_data]
pub(super) struct Connection {
    /// The processor that carries it.
    pub(super) lane: Arc<Lane>,
    /// Our identifier of it.
    pub(super) host_id: Atomic<u32>,
    /// The adapter's, once it has answered.
    pub(super) device_id: Atomic<u32>,
    /// Addresses and ports.
    pub(super) tuple: Tuple,
    /// What the socket's lock guards.
    pub(super) cell: SockCell<Shadow>,
    /// What came while a process owned the socket.
    #[pin]
    pub(super) mail: BhSpinLock<Mail>,
    /// The adapter has answered the hand-over; the answer is in `answer`.
    #[pin]
    pub(super) answered: Completion,
    /// A [`completion::Status`], or [`STOPPED`].
    pub(super) answer: Atomic<u32>,
    /// The adapter is done with the connection: `Returned` has arrived, or never will.
    #[pin]
    pub(super) given_back: Completion,
    /// A [`Phase`], for those who do not hold the lock.
    phase: Atomic<u32>,
    /// When the hand-over was asked for ([`jiffies_msecs`]).
    pub(super) since: u32,
    /// Payload bytes that the peer has acknowledged to the adapter. Written by its poll.
    pub(super) sent: Counter,
    /// Payload bytes that the adapter has delivered. Written by its poll.
    pub(super) received: Counter,
}

/// Answer to a hand-over that the processor did not live to give.
pub(super) const STOPPED: u32 = u32::MAX;

/// Who carries the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Phase {
    /// The adapter has been asked.
    Delegating,
    /// The adapter.
    Delegated,
    /// The adapter has been asked for it.
    Returning,
    /// Linux.
    Linux,
}

/// Addresses and ports; addresses in wire order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tuple {
    /// IPv6 (else the first four bytes of an address count).
    pub(super) ipv6: bool,
    /// Local address.
    pub(super) local: [u8; 16],
    /// Remote address.
    pub(super) remote: [u8; 16],
    /// Local port.
    pub(super) local_port: u16,
    /// Remote port.
    pub(super) remote_port: u16,
}

impl Tuple {
    /// That of a state.
    pub(super) fn of(state: &State) -> Self {
        Self {
            ipv6: state.ipv6,
            local: state.local_address,
            remote: state.remote_address,
            local_port: state.local_port,
            remote_port: state.remote_port,
        }
    }

    /// Bytes of an address.
    pub(super) fn width(&self) -> usize {
        if self.ipv6 {
            16
        } else {
            4
        }
    }
}

/// What the socket's lock guards of a connection.
pub(super) struct Shadow {
    /// First byte that has not been submitted.
    pub(super) submitted: u32,
    /// The memory that the adapter may read.
    pub(super) pieces: Pieces,
    /// The application's last write announced more (`MSG_MORE`).
    pub(super) more: bool,
    /// Submitting has stopped for lack of room, and will be resumed.
    pub(super) blocked: bool,
    /// A `Return` has yet to be submitted.
    pub(super) owes_return: bool,
    /// What the host asked for the connection back for.
    pub(super) asked: Option<Cause>,
    /// Hardware address of the next hop, as the adapter was told.
    pub(super) remote_mac: [u8; 6],
    /// Largest payload of a segment in bytes, as the adapter was told.
    pub(super) mss: u16,
    /// What the adapter has last said.
    pub(super) last: Totals,
}

/// What the adapter counts from the hand-over on.
#[derive(Clone, Copy, Default)]
pub(super) struct Totals {
    /// First byte not acknowledged.
    pub(super) snd_una: u32,
    /// First byte not sent.
    pub(super) snd_nxt: u32,
    /// Segments retransmitted.
    pub(super) retransmits: u32,
    /// Segments sent.
    pub(super) segs_out: u32,
    /// Segments received.
    pub(super) segs_in: u32,
    /// Bytes retransmitted, modulo 2^32.
    pub(super) bytes_retransmitted: u32,
    /// Segments known to have reached the peer.
    pub(super) delivered: u32,
}

/// What came while a process owned the socket.
pub(super) struct Mail {
    /// The latest `Acked`; each says all that those before it said.
    pub(super) acked: Option<completion::Acked>,
    /// The `Returned`, with its state.
    pub(super) returned: Option<(completion::Returned, abi::Connection)>,
    /// The backlog entry for `acked`, when it is not in the backlog.
    pub(super) acked_entry: Option<BacklogEntry>,
    /// The backlog entry for `returned`.
    pub(super) returned_entry: Option<BacklogEntry>,
}

/// Meanings of backlog entries.
pub(super) mod entry {
    /// Payload.
    pub(in super::super) const DELIVER: u16 = 0;
    /// Look at `Mail::acked`, and submit what waits.
    pub(in super::super) const ACKED: u16 = 1;
    /// Look at `Mail::returned`.
    pub(in super::super) const RETURNED: u16 = 2;
}

impl Connection {
    /// The connection of `sock` in state `state`, to be carried by `lane`.
    pub(super) fn new(sock: &TcpSock, lane: Arc<Lane>, state: &State) -> Result<Arc<Self>> {
        let shadow = Shadow {
            submitted: state.snd_una,
            pieces: Pieces::new()?,
            more: false,
            blocked: false,
            owes_return: false,
            asked: None,
            remote_mac: state.remote_mac,
            mss: state.mss,
            last: Totals {
                snd_una: state.snd_una,
                snd_nxt: state.snd_nxt,
                ..Totals::default()
            },
        };
        let mail = Mail {
            acked: None,
            returned: None,
            acked_entry: Some(BacklogEntry::new(entry::ACKED)?),
            returned_entry: Some(BacklogEntry::new(entry::RETURNED)?),
        };
        let sock = ARef::from(sock);
        Arc::pin_init(
            pin_init!(Self {
                lane,
                host_id: Atomic::new(0),
                device_id: Atomic::new(0),
                tuple: Tuple::of(state),
                cell: SockCell::new(sock, shadow),
                mail <- new_bh_spinlock!(mail),
                answered <- Completion::new(),
                answer: Atomic::new(0),
                given_back <- Completion::new(),
                phase: Atomic::new(Phase::Delegating as u32),
                since: jiffies_msecs(),
                sent: Counter::new(),
                received: Counter::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// The socket.
    pub(super) fn sock(&self) -> &TcpSock {
        self.cell.sock()
    }

    /// The adapter's identifier.
    pub(super) fn device_id(&self) -> u32 {
        self.device_id.load(Relaxed)
    }

    /// Who carries the connection. Stays true while the socket is locked.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Delegating,
            1 => Phase::Delegated,
            2 => Phase::Returning,
            _ => Phase::Linux,
        }
    }

    /// Changes who carries the connection. With the socket locked.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u32, Relaxed);
    }
}
