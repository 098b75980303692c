// SPDX-License-Identifier: GPL-2.0

//! The lock of a socket, and data that it protects.

use super::{
    socket::TcpSock,
    tcp::Tcp, //
};
use crate::{
    bindings,
    tcp::backlog::BacklogEntry, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ops::Deref,
    ptr, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::aref::ARef,
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    types::NotThreadSafe, //
};

/// A socket that is locked.
///
/// # Safety
///
/// While a value is borrowed exclusively, [`Self::sock`] is locked by the current context, and no
/// other value that implements this trait for the same socket can be used.
pub unsafe trait Lock {
    /// The socket.
    fn sock(&self) -> &TcpSock;

    /// The operations that need the lock.
    #[inline]
    fn tcp(&mut self) -> Tcp<'_> {
        // SAFETY: The socket is locked while `self` is borrowed.
        unsafe { Tcp::assume(self.sock()) }
    }
}

/// Proof that a socket is locked, in one way or the other.
///
/// Two values of the same lifetime may be exchanged: both are borrowed from the values that unlock
/// their sockets.
///
/// # Invariants
///
/// For `'a` the current context owns the socket, or holds its spinlock while no process owns it.
pub struct Locked<'a> {
    sock: &'a TcpSock,
    _exclusive: PhantomData<&'a mut ()>,
    _not_send: NotThreadSafe,
}

impl<'a> Locked<'a> {
    /// Assumes the lock.
    ///
    /// # Safety
    ///
    /// The invariant of the type must hold, and no other [`Lock`] of this socket may be used during
    /// `'a`.
    #[inline]
    pub(in crate::tcp) unsafe fn assume(sock: &'a TcpSock) -> Self {
        // INVARIANT: The caller promises it.
        Self {
            sock,
            _exclusive: PhantomData,
            _not_send: NotThreadSafe,
        }
    }
}

impl Locked<'_> {
    /// Lets Linux's TCP receive a frame ([`BacklogEntry::frame`]): its payload, and nothing that
    /// concerns the send side. TCP may call the callbacks of the socket's ULP, which find the socket
    /// locked: nothing that the lock protects is borrowed meanwhile.
    pub fn receive(&mut self, frame: BacklogEntry) {
        let skb = frame.into_raw();
        // SAFETY: The socket is locked; the frame is handed over.
        unsafe {
            bindings::tcp_frame_restore(skb);
            bindings::tcp_frame_receive(self.as_raw(), skb);
        }
    }

    /// Appends the payload of `entry` to the receive queue. `confirmed`: the adapter has acknowledged
    /// the payload, or will without asking again.
    /// TCP may call the callbacks of the socket's ULP, as for [`Self::receive`].
    ///
    /// # Errors
    ///
    /// `EPROTO` if the payload begins after `rcv_nxt`; or if it is not confirmed, and Linux holds
    /// payload out of order.
    #[inline]
    pub fn deliver(&mut self, entry: BacklogEntry, confirmed: bool) -> Result {
        let skb = entry.into_raw();
        // SAFETY: The socket is locked.
        let ret = to_result(unsafe { bindings::tcp_deliver(self.as_raw(), skb, confirmed) });
        if ret.is_err() {
            // SAFETY: `tcp_deliver` consumes the skb only if it succeeds.
            drop(unsafe { BacklogEntry::from_raw(skb) });
        }
        ret
    }
}

// SAFETY: By the invariant the socket is locked for `'a`, and this is the only lock during `'a`.
unsafe impl Lock for Locked<'_> {
    #[inline]
    fn sock(&self) -> &TcpSock {
        self.sock
    }
}

impl Deref for Locked<'_> {
    type Target = TcpSock;

    #[inline]
    fn deref(&self) -> &TcpSock {
        self.sock
    }
}

/// A socket that the current process owns (`lock_sock()`). Dropping processes the backlog and
/// releases the socket.
///
/// # Invariants
///
/// The current process owns the socket. If `borrowed` is set the caller of a callback releases it,
/// else `drop` does.
///
/// # Examples
///
/// ```ignore
/// fn urgent_data(sock: &TcpSock) -> bool {
///     // Sleeps until no other context holds the socket.
///     let mut sock = sock.lock();
///     sock.tcp().is_urgent()
///     // The socket is released here.
/// }
/// ```
pub struct Owned<'a> {
    sock: &'a TcpSock,
    borrowed: bool,
    _not_send: NotThreadSafe,
}

impl<'a> Owned<'a> {
    /// Assumes that the current process owns the socket, which dropping does not release.
    ///
    /// # Safety
    ///
    /// The process must own the socket, and no other [`Lock`] of this socket may be used during
    /// `'a`.
    pub(in crate::tcp) unsafe fn assume(sock: &'a TcpSock) -> Self {
        // INVARIANT: The caller promises it.
        Self {
            sock,
            borrowed: true,
            _not_send: NotThreadSafe,
        }
    }

    /// The proof of the lock, for functions that accept either kind of lock.
    #[inline]
    pub fn locked(&mut self) -> Locked<'_> {
        // SAFETY: The process owns the socket; `self` cannot be used while the result is.
        unsafe { Locked::assume(self.sock) }
    }

    /// Returns whether another process waits for the socket to set an option.
    pub fn awaits_option(&mut self) -> bool {
        // SAFETY: The socket is alive.
        unsafe { bindings::sock_awaits_option(self.as_raw()) }
    }

    /// Processes frames and entries that have arrived since the socket was locked.
    pub fn flush_backlog(&mut self) {
        // SAFETY: The process owns the socket.
        unsafe { bindings::sk_flush_backlog(self.as_raw()) }
    }
}

// SAFETY: By the invariant the process owns the socket.
unsafe impl Lock for Owned<'_> {
    #[inline]
    fn sock(&self) -> &TcpSock {
        self.sock
    }
}

impl Deref for Owned<'_> {
    type Target = TcpSock;

    #[inline]
    fn deref(&self) -> &TcpSock {
        self.sock
    }
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        if !self.borrowed {
            // SAFETY: By the invariant the process owns the socket.
            unsafe { bindings::release_sock(self.as_raw()) }
        }
    }
}

/// A socket's spinlock, held (`bh_lock_sock()`).
///
/// # Invariants
///
/// The current context holds the spinlock, with bottom halves disabled.
pub struct Spin<'a> {
    sock: &'a TcpSock,
    _not_send: NotThreadSafe,
}

impl Spin<'_> {
    /// The proof of the lock, unless a process owns the socket.
    #[inline]
    pub fn locked(&mut self) -> Option<Locked<'_>> {
        // SAFETY: The spinlock is held, so that the answer stays true.
        let owned = unsafe { bindings::sock_owned_by_user(self.sock.as_raw()) };
        // SAFETY: The spinlock is held and no process owns the socket; `self` cannot be used while
        // the result is.
        (!owned).then(|| unsafe { Locked::assume(self.sock) })
    }

    /// Appends an entry to the backlog of a socket that a process owns. That process finds it
    /// behind all frames and entries that came before.
    #[inline]
    pub fn add_backlog(&mut self, entry: BacklogEntry) {
        // SAFETY: The spinlock is held; the entry is handed over.
        unsafe { bindings::backlog_entry_add(self.sock.as_raw(), entry.into_raw()) }
    }

    /// Appends an entry with payload as [`Self::add_backlog`] does, or its payload to the entry before.
    #[inline]
    pub fn add_payload(&mut self, entry: BacklogEntry) {
        // SAFETY: The spinlock is held; the entry is handed over.
        unsafe { bindings::backlog_payload_add(self.sock.as_raw(), entry.into_raw()) }
    }

    /// Changes the numbers of the entry that was appended last, if it is of `kind` and the process has
    /// not taken it yet. Returns whether it is.
    #[inline]
    pub fn replace_last(&mut self, kind: u16, seq: u32, round: u32) -> bool {
        // SAFETY: The spinlock is held.
        unsafe { bindings::backlog_entry_replace(self.sock.as_raw(), kind.into(), seq, round) }
    }

    /// Appends a frame to the backlog of a socket that a process owns, as [`Self::add_backlog`] does,
    /// unless the backlog is full. The frame is then dropped, and counted by the socket layer.
    pub fn add_frame(&mut self, frame: BacklogEntry) {
        let skb = frame.into_raw();
        // SAFETY: The spinlock is held.
        let ret = unsafe { bindings::backlog_frame_add(self.sock.as_raw(), skb) };
        if ret != 0 {
            // SAFETY: `backlog_frame_add` takes the skb only if it succeeds.
            drop(unsafe { BacklogEntry::from_raw(skb) });
        }
    }
}

impl Drop for Spin<'_> {
    fn drop(&mut self) {
        // SAFETY: By the invariant the spinlock is held.
        unsafe { bindings::bh_unlock_sock(self.sock.as_raw()) }
    }
}

impl TcpSock {
    /// Owns the socket. Process context; sleeps, as long as another process owns the socket. That may
    /// be for ever: a process waits here only for a socket that it was called for. Others use
    /// [`Self::lock_timeout`] or [`Self::spin`].
    #[inline]
    pub fn lock(&self) -> Owned<'_> {
        // SAFETY: The socket is alive.
        unsafe { bindings::lock_sock(self.as_raw()) };
        // INVARIANT: The process owns the socket from here on.
        Owned {
            sock: self,
            borrowed: false,
            _not_send: NotThreadSafe,
        }
    }

    /// Owns the socket, unless another process does not release it within `timeout` milliseconds.
    /// Process context; sleeps.
    pub fn lock_timeout(&self, timeout: Msecs) -> Option<Owned<'_>> {
        // CAST: A timeout is short.
        let timeout = msecs_to_jiffies(timeout) as c_long;
        // SAFETY: The socket is alive.
        let owned = unsafe { bindings::lock_sock_timeout(self.as_raw(), timeout) };
        // INVARIANT: The process owns the socket from here on.
        owned.then(|| Owned {
            sock: self,
            borrowed: false,
            _not_send: NotThreadSafe,
        })
    }

    /// Takes the socket's spinlock and disables bottom halves. Process or softirq context.
    #[inline]
    pub fn spin(&self) -> Spin<'_> {
        // SAFETY: The socket is alive.
        unsafe { bindings::bh_lock_sock(self.as_raw()) };
        // INVARIANT: The spinlock is held from here on.
        Spin {
            sock: self,
            _not_send: NotThreadSafe,
        }
    }
}

/// Data that a socket's lock protects.
///
/// # Examples
///
/// ```ignore
/// let counter = SockCell::new(sock, 0_u32);
///
/// let mut spin = counter.sock().spin();
/// if let Some(mut lock) = spin.locked() {
///     let (count, mut tcp) = counter.open(&mut lock);
///     *count += 1;
///     tcp.stop_timers();
/// }
/// ```
pub struct SockCell<T> {
    sock: ARef<TcpSock>,
    data: UnsafeCell<T>,
}

// SAFETY: The data is only reached under the socket's lock.
unsafe impl<T: Send> Sync for SockCell<T> {}
// SAFETY: Neither the reference nor the data is bound to a thread.
unsafe impl<T: Send> Send for SockCell<T> {}

impl<T> SockCell<T> {
    /// Puts `data` under the lock of `sock`.
    pub fn new(sock: ARef<TcpSock>, data: T) -> Self {
        Self {
            sock,
            data: UnsafeCell::new(data),
        }
    }

    /// The socket.
    #[inline]
    pub fn sock(&self) -> &TcpSock {
        &self.sock
    }

    /// The data, and the operations that need the lock too.
    ///
    /// # Panics
    ///
    /// If `lock` is that of another socket.
    #[inline]
    pub fn open<'b>(&'b self, lock: &'b mut impl Lock) -> (&'b mut T, Tcp<'b>) {
        assert!(ptr::eq(self.sock(), lock.sock()));
        // SAFETY: `lock` is this socket's and excludes every other use of the data; it stays
        // borrowed as long as the data.
        (unsafe { &mut *self.data.get() }, lock.tcp())
    }
}
