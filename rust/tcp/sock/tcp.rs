// SPDX-License-Identifier: GPL-2.0

//! Operations on the shadow of a delegated connection: a TCP socket that is locked.

use super::socket::TcpSock;
use crate::{
    abi::connection::{
        flag,
        ConnectionState,
        SendState, //
    },
    bindings,
    net::skb::Frag,
    tcp::state, //
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ops::Deref,
    slice, //
};
use kernel::{
    error::to_result,
    prelude::*,
    time::Msecs,
    types::NotThreadSafe, //
};

/// A TCP socket that is locked.
///
/// Methods that can free pages of the retransmit queue take `&mut self`.
///
/// # Invariants
///
/// The socket is locked for `'a`, and no other value gives access to it under that lock.
pub struct Tcp<'a> {
    sock: &'a TcpSock,
    _exclusive: PhantomData<&'a mut ()>,
    _not_send: NotThreadSafe,
}

impl Deref for Tcp<'_> {
    type Target = TcpSock;

    #[inline]
    fn deref(&self) -> &TcpSock {
        self.sock
    }
}

/// The most fragments that [`Tcp::fragments`] lists at a time.
pub const MAX_FRAGMENTS: usize = 16;

/// Page fragments of the retransmit queue.
///
/// # Invariants
///
/// The first `count` elements of `frags` are initialised. The retransmit queue holds their pages,
/// and is borrowed.
pub struct RtxFrags<'a> {
    frags: [MaybeUninit<bindings::skb_frag_t>; MAX_FRAGMENTS],
    count: usize,
    ends_record: bool,
    _queue: PhantomData<&'a ()>,
}

impl RtxFrags<'_> {
    /// The fragments, in order.
    #[inline]
    pub fn as_slice(&self) -> &[Frag] {
        // SAFETY: By the type's invariants; `Frag` is transparent over `skb_frag_t`.
        unsafe { slice::from_raw_parts(self.frags.as_ptr().cast(), self.count) }
    }

    /// Whether the last byte ends a record.
    #[inline]
    pub fn ends_record(&self) -> bool {
        self.ends_record
    }
}

/// The result of a C function that returns a number or a negative errno.
pub(super) fn bytes(ret: c_int) -> Result<usize> {
    to_result(ret).map(|()| ret as usize)
}

impl<'a> Tcp<'a> {
    /// Assumes that a socket is locked.
    ///
    /// # Safety
    ///
    /// The invariant of the type must hold.
    #[inline]
    pub(super) unsafe fn assume(sock: &'a TcpSock) -> Self {
        // INVARIANT: The caller promises it.
        Self {
            sock,
            _exclusive: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// Stops Linux's retransmission timer and moves unsent payload to the retransmit queue.
    pub fn enter_shadow(&mut self) {
        // SAFETY: The socket is locked.
        unsafe {
            bindings::tcp_set_shadow(self.as_raw());
            bindings::tcp_entail(self.as_raw());
        }
    }

    /// Stops the timers that Linux may have started while it processed a frame.
    #[inline]
    pub fn stop_timers(&mut self) {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_set_shadow(self.as_raw()) }
    }

    /// Moves unsent payload to the retransmit queue, and stops the retransmission timer.
    pub fn entail(&mut self) {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_entail(self.as_raw()) }
    }

    /// Whether a process has the socket open: it is not being closed, does not wait to be accepted, and
    /// does not belong to the kernel. A `close()` that has not begun by then finds the operations that
    /// the socket has now.
    #[inline]
    pub fn is_open(&self) -> bool {
        // SAFETY: The socket is locked.
        unsafe { bindings::sock_is_open(self.as_raw()) }
    }

    /// Whether there is urgent data to send.
    pub fn is_urgent(&self) -> bool {
        let tp = self.as_tcp();
        // SAFETY: The socket is locked.
        unsafe { (*tp).snd_una != (*tp).snd_up }
    }

    /// Sequence number behind the last byte that the application has written.
    #[inline]
    pub fn write_seq(&self) -> u32 {
        // SAFETY: The socket is locked.
        unsafe { (*self.as_tcp()).write_seq }
    }

    /// First byte not received.
    #[inline]
    pub fn rcv_nxt(&self) -> u32 {
        // SAFETY: The socket is locked.
        unsafe { (*self.as_tcp()).rcv_nxt }
    }

    /// Right edge of the receive window that Linux has announced.
    #[inline]
    pub fn rcv_edge(&self) -> u32 {
        // SAFETY: The socket is locked.
        let window = unsafe { bindings::tcp_receive_window(self.as_raw()) };
        self.rcv_nxt().wrapping_add(window)
    }

    /// Timestamp value of a segment sent in `ahead` milliseconds.
    pub fn tsval(&self, ahead: Msecs) -> u32 {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_tsval(self.as_raw(), ahead) }
    }

    /// Latest timestamp of the peer.
    pub fn ts_recent(&self) -> u32 {
        // SAFETY: The socket is locked.
        unsafe { (*self.as_tcp()).rx_opt.ts_recent }
    }

    /// Maximum segment size in use.
    #[inline]
    pub fn mss(&self) -> u32 {
        // SAFETY: The socket is locked.
        unsafe { (*self.as_tcp()).mss_cache }
    }

    /// What holds back partial segments: [`flag::NODELAY`], [`flag::CORK`], and [`flag::PUSH`] if
    /// nothing holds back what has been written.
    pub fn nagle(&self) -> u16 {
        // SAFETY: The socket is locked.
        let nonagle = u32::from(unsafe { bindings::tcp_sock::nonagle_raw(self.as_tcp()) });
        let flag = |bit: u32, flag: u16| if nonagle & bit != 0 { flag } else { 0 };
        flag(bindings::TCP_NAGLE_OFF, flag::NODELAY)
            | flag(bindings::TCP_NAGLE_CORK, flag::CORK)
            | flag(bindings::TCP_NAGLE_PUSH, flag::PUSH)
    }

    /// The acknowledgement number with which a process goes on that waits for room in the socket's
    /// buffer; `write_seq` if there is room.
    #[inline]
    pub fn room_seq(&self) -> u32 {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_room_seq(self.as_raw()) }
    }

    /// Lists the page fragments of the retransmit queue from `seq` on, at most those of one record
    /// (`MSG_EOR`).
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` for payload that is not in pages.
    #[inline]
    pub fn fragments(&self, seq: u32) -> Result<RtxFrags<'_>> {
        let mut frags = [MaybeUninit::uninit(); MAX_FRAGMENTS];
        let mut ends_record = false;
        // SAFETY: The socket is locked; there is room for `MAX_FRAGMENTS`.
        let count = unsafe {
            bindings::tcp_fragments(
                self.as_raw(),
                seq,
                frags.as_mut_ptr().cast(),
                MAX_FRAGMENTS as c_int,
                &mut ends_record,
            )
        };
        // INVARIANT: `tcp_fragments` has initialised that many.
        Ok(RtxFrags {
            frags,
            count: bytes(count)?,
            ends_record,
            _queue: PhantomData,
        })
    }

    /// Applies a report of the adapter on the send side: frees acknowledged payload and updates
    /// windows, estimates and counters. `last` is the report before `now`; the state at hand-over
    /// counts as the first.
    #[inline]
    pub fn acked(&mut self, now: &SendState, last: &SendState) {
        // SAFETY: The socket is locked. A `snd_una` outside of `snd_una..=snd_nxt` frees nothing, or
        // all that is queued.
        unsafe {
            bindings::tcp_acked(
                self.as_raw(),
                state::send_state(now),
                state::send_state(last),
            )
        }
    }

    /// Whether everything before `seq` has been received, and no payload out of order.
    pub fn is_in_step(&self, seq: u32) -> bool {
        // SAFETY: The socket is locked.
        let hole = unsafe { bindings::tcp_has_out_of_order(self.as_raw()) };
        !hole && (self.rcv_nxt().wrapping_sub(seq) as i32) >= 0
    }

    /// Moves payload from `state.send.snd_nxt` on back to the write queue, and takes over what
    /// Linux's TCP has to know beyond [`Self::acked`].
    pub fn leave_shadow(&mut self, state: &ConnectionState) {
        // SAFETY: The socket is locked.
        unsafe {
            bindings::tcp_unsend(self.as_raw(), state.send.snd_nxt);
            bindings::tcp_returned(self.as_raw(), state::connection(state));
        }
    }

    /// Makes Linux transmit, acknowledge and start its timers. `due`: a retransmission is due. Called
    /// after the ULP has been detached.
    pub fn resume(&mut self, due: bool) {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_resume(self.as_raw(), due) }
    }
}
