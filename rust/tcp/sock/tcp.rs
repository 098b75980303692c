// SPDX-License-Identifier: GPL-2.0

//! What may be done to a TCP socket that is locked.

use super::{
    bytes,
    TcpSock, //
};
use crate::{
    bindings,
    net::{
        netdev::NetDevice,
        skb::{
            Frag,
            SkBuff, //
        }, //
    },
    tcp::backlog::BacklogEntry, //
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ops::Deref,
    ptr::NonNull,
    slice, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// State of a connection, as Linux's TCP has it.
pub type State = bindings::toe_tcp_state;
/// Progress of the send side; counters are increments.
pub type Progress = bindings::toe_tcp_progress;
/// What is only told when a connection returns; counters are increments.
pub type ReturnState = bindings::toe_tcp_return;

/// What may be done to a socket that is locked.
pub struct Tcp<'a>(pub(super) &'a TcpSock);

impl Deref for Tcp<'_> {
    type Target = TcpSock;

    #[inline]
    fn deref(&self) -> &TcpSock {
        self.0
    }
}

/// The most pieces of payload that [`Tcp::fragments`] lists at a time.
pub const MAX_FRAGMENTS: usize = 16;

/// Pieces of payload in the retransmit queue.
pub struct Fragments<'a> {
    frags: [MaybeUninit<bindings::skb_frag_t>; MAX_FRAGMENTS],
    count: usize,
    _queue: PhantomData<&'a ()>,
}

impl Fragments<'_> {
    /// The pieces, in order.
    #[inline]
    pub fn as_slice(&self) -> &[Frag] {
        // SAFETY: The first `count` are initialised; `Frag` is transparent over them. Their pages
        // are the retransmit queue's, which is borrowed.
        unsafe { slice::from_raw_parts(self.frags.as_ptr().cast(), self.count) }
    }
}

impl Tcp<'_> {
    /// Looks at the interface of the route in use.
    pub fn with_device<R>(&self, look: impl FnOnce(&NetDevice) -> R) -> Option<R> {
        // SAFETY: The socket is locked.
        let dev = NonNull::new(unsafe { bindings::tcp_device(self.as_raw()) })?;
        // SAFETY: The device is held until below.
        let result = look(unsafe { NetDevice::from_raw(dev.as_ptr()) });
        // SAFETY: `tcp_device` held it for us.
        unsafe { bindings::tcp_device_put(dev.as_ptr()) };
        Some(result)
    }

    /// Describes the connection.
    ///
    /// # Errors
    ///
    /// What stands against its delegation: bits of `enum toe_tcp_obstacle`.
    pub fn snapshot(&self) -> Result<State, u32> {
        let mut state = State::default();
        // SAFETY: The socket is locked.
        match unsafe { bindings::tcp_snapshot(self.as_raw(), &mut state) } {
            0 => Ok(state),
            obstacles => Err(obstacles),
        }
    }

    /// Whether the route leads through the interface `ifindex`. Looked up anew when routes have
    /// changed.
    #[inline]
    pub fn route_valid(&self, ifindex: u32) -> bool {
        // SAFETY: The socket is locked. CAST: of an interface.
        unsafe { bindings::tcp_route_valid(self.as_raw(), ifindex as c_int) }
    }

    /// What stands against going on with a delegated connection (bits of `enum toe_tcp_change`),
    /// and the hardware address of the next hop as it is now.
    pub fn changes(&self, ifindex: u32) -> (u32, [u8; 6]) {
        let mut mac = [0; 6];
        // SAFETY: The socket is locked; an address has six bytes. CAST: of an interface.
        let changes =
            unsafe { bindings::tcp_changes(self.as_raw(), ifindex as c_int, mac.as_mut_ptr()) };
        (changes, mac)
    }

    /// Whether a socket option that only Linux can heed has been set behind the shim's back.
    #[inline]
    pub fn send_obstacle(&self) -> bool {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_send_obstacle(self.as_raw()) }
    }

    /// Takes Linux's timers off the send side, and moves what is not sent to the retransmit queue.
    pub fn enter_shadow(&self) {
        // SAFETY: The socket is locked.
        unsafe {
            bindings::tcp_set_shadow(self.as_raw());
            bindings::tcp_entail(self.as_raw());
        }
    }

    /// Takes Linux's timers off the send side again, after Linux has processed a frame.
    #[inline]
    pub fn stop_timers(&self) {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_set_shadow(self.as_raw()) }
    }

    /// Moves what waits to be sent to the retransmit queue, and takes Linux's timers off the send
    /// side.
    pub fn entail(&self) {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_entail(self.as_raw()) }
    }

    /// Whether there is urgent data to send.
    pub fn is_urgent(&self) -> bool {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_is_urgent(self.as_raw()) }
    }

    /// Sequence number behind the last byte that the application has written.
    #[inline]
    pub fn write_seq(&self) -> u32 {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_write_seq(self.as_raw()) }
    }

    /// First byte not acknowledged.
    #[inline]
    pub fn snd_una(&self) -> u32 {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_snd_una(self.as_raw()) }
    }

    /// First byte not received.
    #[inline]
    pub fn rcv_nxt(&self) -> u32 {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_rcv_nxt(self.as_raw()) }
    }

    /// Maximum segment size in use.
    #[inline]
    pub fn mss(&self) -> u32 {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_mss(self.as_raw()) }
    }

    /// Whether Nagle's algorithm is off, and whether the socket is corked.
    pub fn nagle(&self) -> (bool, bool) {
        // SAFETY: The socket is locked.
        let nonagle = u32::from(unsafe { bindings::tcp_nagle(self.as_raw()) });
        (
            nonagle & bindings::TCP_NAGLE_OFF != 0,
            nonagle & bindings::TCP_NAGLE_CORK != 0,
        )
    }

    /// Lists the pieces of memory that hold the payload from `seq` on, of the retransmit queue.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` for payload that is not in pages.
    #[inline]
    pub fn fragments(&self, seq: u32) -> Result<Fragments<'_>> {
        let mut frags = [MaybeUninit::uninit(); MAX_FRAGMENTS];
        // SAFETY: The socket is locked; there is room for so many.
        let count = unsafe {
            bindings::tcp_fragments(
                self.as_raw(),
                seq,
                frags.as_mut_ptr().cast(),
                MAX_FRAGMENTS as c_int,
            )
        };
        Ok(Fragments {
            frags,
            count: bytes(count)?,
            _queue: PhantomData,
        })
    }

    /// Brings the send side to where the adapter says that it is. What is acknowledged is freed.
    #[inline]
    pub fn acked(&self, progress: &Progress) {
        // SAFETY: The socket is locked. A sequence number that is not between `snd_una` and
        // `snd_nxt` frees nothing, or all there is.
        unsafe { bindings::tcp_acked(self.as_raw(), progress) }
    }

    /// Appends the payload of `entry` to the receive queue.
    ///
    /// # Errors
    ///
    /// `EPROTO` when it is not what comes next.
    #[inline]
    pub fn deliver(&self, entry: BacklogEntry) -> Result {
        let skb = entry.0.into_raw();
        // SAFETY: The socket is locked.
        let ret = to_result(unsafe { bindings::tcp_deliver(self.as_raw(), skb) });
        if ret.is_err() {
            // SAFETY: It was not consumed then, and is still ours.
            drop(unsafe { SkBuff::from_raw(NonNull::new_unchecked(skb)) });
        }
        ret
    }

    /// Makes what begins at or after `snd_nxt` unsent again, and takes over what is only told at a
    /// return.
    pub fn leave_shadow(&self, snd_nxt: u32, state: &ReturnState) {
        // SAFETY: The socket is locked.
        unsafe {
            bindings::tcp_unsend(self.as_raw(), snd_nxt);
            bindings::tcp_returned(self.as_raw(), state);
        }
    }

    /// Lets Linux send, acknowledge and set its timers. Last, after the shadow has been detached.
    pub fn resume(&self) {
        // SAFETY: The socket is locked.
        unsafe { bindings::tcp_resume(self.as_raw()) }
    }
}
