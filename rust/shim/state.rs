// SPDX-License-Identifier: GPL-2.0

//! The state of a connection that the shim handles.
//!
//! ```text
//!               Connection::new
//!                      |
//!                      v
//!                  +--------+   handover::delegate: refused, or the processor stopped
//!                  | Asking | ------------------------------------------------------------+
//!                  +--------+                                                             |
//!                      | handover::delegate: the adapter has accepted                     |
//!                      v                                                                  |
//!      +------------------------------------+                                             |
//!      | Carried                            |                                             |
//!      |   +--------+ legacy::apply_frame   |                                             |
//!      |   | Direct | ---------+            |  recall::complete: returned by the adapter  |
//!      |   +--------+          v            |  on its own                                 |
//!      |       ^          +--------+        | -----------------------------------------+  |
//!      |       +--------- | Legacy |        |  recall::lost: the processor stopped     |  |
//!      |                  +--------+        |                                          |  |
//!      |   legacy::apply_resumed: in step,  |                                          |  |
//!      |   or not: Direct to Legacy         |                                          |  |
//!      +------------------------------------+                                          |  |
//!                      | recall::request: the host wants the connection back           |  |
//!                      v                                                               v  v
//!                 +-----------+  recall::complete: the adapter has returned it       +-------+
//!                 | Returning | ---------------------------------------------------> | Linux |
//!                 +-----------+  recall::lost: the processor stopped                 +-------+
//! ```
//!
//! `Linux` is final: a connection that is delegated again is a new [`Connection`].
//!
//! All transitions are made under the socket's lock, by the functions in the diagram. An operation
//! is a method of the states that permit it: only [`Carried`] submits payload and updates; both
//! [`Carried`] and [`Returning`] take the adapter's reports ([`SendSide`]).
//!
//! A process that owns the socket may keep a connection of a stopped processor out of `Linux`
//! ([`mark`](super::mark)). The adapter's access to its payload has ended all the same
//! ([`Connection::cut_off`]).
//!
//! [`Connection`]: super::connection::Connection
//! [`Connection::cut_off`]: super::connection::Connection::cut_off

use super::{
    parameters::Parameters,
    reason::{
        Cause,
        Why, //
    },
    seq::later,
    submission::Shortage,
    timeout::AnswerTimeout, //
};
use crate::{
    abi::{
        connection::{
            SendState,
            MAX_SND_WINDOW, //
        },
        submission::Resync, //
    },
    bindings,
    tcp::sock::{
        Lock,
        SockCell,
        Tcp,
        TcpSock, //
    }, //
};
use core::{
    mem,
    ops::Deref, //
};
use kernel::sync::{
    aref::ARef,
    atomic::{
        ordering::Relaxed,
        Atomic, //
    }, //
};

/// State of a connection.
pub(super) enum State {
    /// The adapter has been asked to take the connection. The task that asks owns the socket until it
    /// has the answer.
    Asking,
    /// The adapter carries the connection.
    Carried(Carried),
    /// The adapter carries the connection and has been asked to return it.
    Returning(Returning),
    /// Linux carries the connection.
    Linux,
}

/// A connection that the adapter carries.
pub(super) struct Carried {
    /// The send side.
    pub(super) send: SendSide,
    /// How received payload reaches the socket.
    pub(super) receive: Receive,
    /// An answer to a resumption that has not been submitted yet.
    pub(super) resync: Option<Resync>,
    /// The last write of the application announced more (`MSG_MORE`).
    pub(super) more: bool,
    /// The application has ended the effect of `MSG_MORE` on what it has written, or with
    /// [`flag::PUSH`](crate::abi::connection::flag::PUSH) everything that holds it back, and the adapter
    /// has not been told yet.
    pub(super) push: Option<u16>,
    /// Parameters that the socket wants.
    pub(super) wanted: Parameters,
    /// Parameters that the adapter has been told.
    pub(super) told: Parameters,
    /// Why payload or an update waits. While it is set the connection is in the lane's list of those
    /// that wait.
    pub(super) blocked: Option<Shortage>,
}

/// How the payload of a connection that the adapter carries reaches the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receive {
    /// The adapter delivers it.
    Direct,
    /// Linux's TCP receives whole frames. Payload that the adapter delivers may be behind a frame that
    /// Linux has dropped.
    Legacy,
}

/// A connection that the adapter has been asked to return.
pub(super) struct Returning {
    /// The send side.
    pub(super) send: SendSide,
    /// Why the host wants the connection back.
    pub(super) why: Why<Cause>,
    /// The `Return` has not been submitted yet: there was no room in the submission ring. The
    /// connection is in the lane's list of those that wait.
    pub(super) unsubmitted: bool,
    /// A process waits for the return, or has waited long enough.
    pub(super) awaited: bool,
    /// When the adapter is taken for broken, whether a process waits or not.
    pub(super) timeout: AnswerTimeout,
}

/// The send side of a connection in the adapter's table.
pub(super) struct SendSide {
    /// The adapter's identifier of the connection.
    pub(super) device_id: u32,
    /// First byte that has not been submitted.
    pub(super) submitted: u32,
    /// The adapter's latest report, at first the state at hand-over. `snd_nxt` is the highest
    /// reported.
    pub(super) last: SendState,
}

impl SendSide {
    /// Returns whether the report `now` can follow the latest one.
    pub(super) fn is_plausible(&self, now: &SendState) -> bool {
        let from = self.last.snd_una;
        let limit = self.sent_end().wrapping_sub(from);
        let una = now.snd_una.wrapping_sub(from);
        let nxt = now.snd_nxt.wrapping_sub(from);
        una <= nxt && nxt <= limit && now.snd_wnd <= MAX_SND_WINDOW
    }

    /// Applies a plausible report to the socket, and keeps it as the latest.
    pub(super) fn report(&mut self, tcp: &mut Tcp<'_>, now: &SendState) {
        if tcp.can_send() {
            tcp.acked(now, &self.last);
        }
        self.last = SendState {
            snd_nxt: later(self.last.snd_nxt, now.snd_nxt),
            ..*now
        };
    }

    /// Returns the end of the payload that the adapter may have sent.
    pub(super) fn sent_end(&self) -> u32 {
        later(self.submitted, self.last.snd_nxt)
    }
}

/// The discriminant of a [`State`], as user space sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    /// [`State::Asking`].
    Asking = bindings::toe_conn_state_TOE_CONN_STATE_DELEGATING,
    /// [`State::Carried`], [`Receive::Direct`].
    Carried = bindings::toe_conn_state_TOE_CONN_STATE_DELEGATED,
    /// [`State::Returning`].
    Returning = bindings::toe_conn_state_TOE_CONN_STATE_RETURNING,
    /// [`State::Linux`].
    Linux = bindings::toe_conn_state_TOE_CONN_STATE_LINUX,
    /// [`State::Carried`], [`Receive::Legacy`].
    Legacy = bindings::toe_conn_state_TOE_CONN_STATE_LEGACY,
}

impl Kind {
    /// Decodes a value of `enum toe_conn_state`.
    #[inline]
    fn from_raw(raw: u32) -> Self {
        match raw {
            bindings::toe_conn_state_TOE_CONN_STATE_DELEGATING => Self::Asking,
            bindings::toe_conn_state_TOE_CONN_STATE_DELEGATED => Self::Carried,
            bindings::toe_conn_state_TOE_CONN_STATE_RETURNING => Self::Returning,
            bindings::toe_conn_state_TOE_CONN_STATE_LEGACY => Self::Legacy,
            _ => Self::Linux,
        }
    }

    /// Returns whether the adapter carries the connection and has not been asked to return it.
    #[inline]
    pub(super) fn is_carried(self) -> bool {
        matches!(self, Self::Carried | Self::Legacy)
    }
}

impl State {
    fn kind(&self) -> Kind {
        match self {
            Self::Asking => Kind::Asking,
            Self::Carried(carried) => match carried.receive {
                Receive::Direct => Kind::Carried,
                Receive::Legacy => Kind::Legacy,
            },
            Self::Returning(_) => Kind::Returning,
            Self::Linux => Kind::Linux,
        }
    }

    /// Returns what the connection waits for, in the lane's list of those that wait.
    pub(super) fn shortage(&self) -> Option<Shortage> {
        match self {
            Self::Carried(carried) => carried.blocked,
            Self::Returning(returning) => returning.unsubmitted.then_some(Shortage::Room),
            Self::Asking | Self::Linux => None,
        }
    }
}

/// A [`State`] that is protected by the lock of its socket.
///
/// # Invariants
///
/// `kind` is the kind of the state whenever the socket is unlocked.
pub(super) struct StateCell {
    state: SockCell<State>,
    kind: Atomic<u32>,
}

impl StateCell {
    /// Creates the state of a new connection, before the adapter is asked to take it.
    pub(super) fn new(sock: ARef<TcpSock>) -> Self {
        // INVARIANT: The kind is that of the state.
        Self {
            state: SockCell::new(sock, State::Asking),
            kind: Atomic::new(Kind::Asking as u32),
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
        Kind::from_raw(self.kind.load(Relaxed))
    }

    /// Returns the state, and the operations that need the lock.
    #[inline]
    pub(super) fn open<'b>(&'b self, lock: &'b mut impl Lock) -> (StateMut<'b>, Tcp<'b>) {
        let (state, tcp) = self.state.open(lock);
        let kind = &self.kind;
        (StateMut { state, kind }, tcp)
    }
}

/// A [`State`] whose socket is locked.
pub(super) struct StateMut<'a> {
    state: &'a mut State,
    kind: &'a Atomic<u32>,
}

impl Deref for StateMut<'_> {
    type Target = State;

    #[inline]
    fn deref(&self) -> &State {
        self.state
    }
}

impl StateMut<'_> {
    /// Returns the connection if the adapter carries it and has not been asked to return it.
    #[inline]
    pub(super) fn carried(&mut self) -> Option<&mut Carried> {
        match self.state {
            State::Carried(carried) => Some(carried),
            _ => None,
        }
    }

    /// Returns the connection if the adapter has been asked to return it.
    #[inline]
    pub(super) fn returning(&mut self) -> Option<&mut Returning> {
        match self.state {
            State::Returning(returning) => Some(returning),
            _ => None,
        }
    }

    /// Returns the send side if the connection is in the adapter's table.
    #[inline]
    pub(super) fn send(&mut self) -> Option<&mut SendSide> {
        match self.state {
            State::Carried(carried) => Some(&mut carried.send),
            State::Returning(returning) => Some(&mut returning.send),
            State::Asking | State::Linux => None,
        }
    }

    /// `Asking` to `Carried`: the adapter has accepted the connection.
    pub(super) fn accept(&mut self, carried: Carried) {
        if matches!(self.state, State::Asking) {
            self.set(State::Carried(carried));
        }
    }

    /// Changes how the payload of a connection in state `Carried` reaches the socket.
    pub(super) fn set_receive(&mut self, receive: Receive) {
        if let State::Carried(carried) = self.state {
            carried.receive = receive;
            // INVARIANT: The kind is that of the state.
            self.kind.store(self.state.kind() as u32, Relaxed);
        }
    }

    /// `Carried` to `Returning`: the host wants the connection back. `unsubmitted`: the `Return`
    /// has not been submitted yet. `timeout`: that of the answer.
    pub(super) fn start_return(
        &mut self,
        why: Why<Cause>,
        unsubmitted: bool,
        timeout: AnswerTimeout,
    ) {
        match mem::replace(self.state, State::Linux) {
            State::Carried(Carried { send, .. }) => {
                self.set(State::Returning(Returning {
                    send,
                    why,
                    unsubmitted,
                    awaited: false,
                    timeout,
                }));
            }
            other => *self.state = other,
        }
    }

    /// Any state to `Linux`.
    pub(super) fn finish(&mut self) {
        self.set(State::Linux);
    }

    /// Replaces the state.
    fn set(&mut self, state: State) {
        // INVARIANT: The kind is that of the state.
        self.kind.store(state.kind() as u32, Relaxed);
        *self.state = state;
    }
}

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(toe_shim_state)]
mod tests {
    use super::*;

    #[test]
    fn a_report_follows_the_latest_one_and_has_a_possible_window() {
        let send = SendSide {
            device_id: 1,
            submitted: 300,
            last: SendState {
                snd_una: u32::MAX - 99,
                snd_nxt: 100,
                ..SendState::default()
            },
        };
        let plausible = |snd_una, snd_nxt, snd_wnd| {
            send.is_plausible(&SendState {
                snd_una,
                snd_nxt,
                snd_wnd,
                ..SendState::default()
            })
        };
        assert!(plausible(u32::MAX - 99, 100, 0));
        assert!(plausible(300, 300, MAX_SND_WINDOW));
        assert!(!plausible(u32::MAX - 100, 100, 0));
        assert!(!plausible(200, 100, 0));
        assert!(!plausible(0, 301, 0));
        assert!(!plausible(0, 100, MAX_SND_WINDOW + 1));
    }
}
