// SPDX-License-Identifier: GPL-2.0

//! TCP sockets, their lock, and what may be done to one under it.
//!
//! A socket is locked in one of two ways (`include/net/sock.h`): a process *owns* it
//! ([`TcpSock::lock`]) and may sleep; or softirq holds its spinlock while nobody owns it
//! ([`TcpSock::spin`]). Either gives a [`Locked`], the proof that everything else here asks for.
//!
//! C header: [`include/net/sock.h`](srctree/include/net/sock.h)

mod tcp;

pub use self::tcp::{
    Fragments,
    Progress,
    ReturnState,
    State,
    Tcp,
    MAX_FRAGMENTS, //
};
use crate::{
    bindings,
    net::{
        namespace::Namespace,
        skb::SkBuff, //
    },
    tcp::{
        backlog::BacklogEntry,
        message::Message, //
    }, //
};
use core::{
    cell::UnsafeCell,
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    error::to_result,
    fs::file::LocalFile,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// The established connection between `local` and `remote` (address in wire order, port) that is
/// bound to the interface `ifindex` or to none.
pub(crate) fn lookup(
    namespace: &Namespace,
    local: (&[u8], u16),
    remote: (&[u8], u16),
    ifindex: u32,
) -> Option<ARef<TcpSock>> {
    let ipv6 = match (local.0.len(), remote.0.len()) {
        (16, 16) => true,
        (4, 4) => false,
        _ => return None,
    };
    // SAFETY: The addresses are as long as the family's. A socket that comes back is held for us.
    unsafe {
        let sk = bindings::tcp_lookup(
            namespace.as_raw(),
            ipv6,
            local.0.as_ptr(),
            local.1,
            remote.0.as_ptr(),
            remote.1,
            ifindex as c_int,
        );
        NonNull::new(sk.cast::<TcpSock>()).map(|sock| ARef::from_raw(sock))
    }
}

/// A full TCP socket (`struct tcp_sock`).
#[repr(transparent)]
pub struct TcpSock(Opaque<bindings::sock>);

// SAFETY: A socket is not bound to a thread.
unsafe impl Send for TcpSock {}
// SAFETY: What `&TcpSock` allows is synchronised by the socket's lock, or needs none.
unsafe impl Sync for TcpSock {}

// SAFETY: The socket's own reference count is used.
unsafe impl AlwaysRefCounted for TcpSock {
    fn inc_ref(&self) {
        // SAFETY: A reference proves a socket that is alive.
        unsafe { bindings::sock_hold(self.as_raw()) }
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference. `TcpSock` is transparent.
        unsafe { bindings::sock_put(obj.as_ptr().cast()) }
    }
}

impl TcpSock {
    /// Borrows a socket.
    ///
    /// # Safety
    ///
    /// `ptr` must be a full TCP socket that is alive for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::sock) -> &'a Self {
        // SAFETY: The caller promises validity; `TcpSock` is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The C structure.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::sock {
        self.0.get()
    }

    /// The TCP socket that sends `skb`, when it is one in state ESTABLISHED.
    #[inline]
    pub fn of_sender(skb: &SkBuff) -> Option<&Self> {
        // SAFETY: `skb` is valid; while it is queued for sending it holds the memory of its socket.
        unsafe {
            let sk = bindings::skb_tcp_sender(skb.as_raw());
            (!sk.is_null()).then(|| Self::from_raw(sk))
        }
    }

    /// A counted reference, unless the socket's life is over and only an skb keeps its memory.
    #[inline]
    pub fn try_hold(&self) -> Option<ARef<Self>> {
        // SAFETY: A reference proves memory that is valid; a count that was not zero is ours now.
        unsafe {
            bindings::sock_hold_live(self.as_raw()).then(|| ARef::from_raw(NonNull::from(self)))
        }
    }

    /// Owns the socket. Process context; sleeps.
    #[inline]
    pub fn lock(&self) -> Owned<'_> {
        // SAFETY: A reference proves a socket that is alive.
        unsafe { bindings::lock_sock(self.as_raw()) };
        // INVARIANT: The socket is owned from here on.
        Owned {
            locked: Locked(Tcp(self)),
            borrowed: false,
            _not_send: NotThreadSafe,
        }
    }

    /// Takes the socket's spinlock, with bottom halves off. From process or softirq context.
    #[inline]
    pub fn spin(&self) -> Spin<'_> {
        // SAFETY: A reference proves a socket that is alive.
        unsafe { bindings::bh_lock_sock(self.as_raw()) };
        Spin(Locked(Tcp(self)), NotThreadSafe)
    }

    /// Holds the file through which a process has the socket: as long as that is held nobody is
    /// closing the socket. `None` for a socket that is being closed, waits to be accepted, or is the
    /// kernel's own.
    pub fn file(&self) -> Option<ARef<LocalFile>> {
        // SAFETY: A reference proves a socket that is alive.
        let file = NonNull::new(unsafe { bindings::sock_file(self.as_raw()) })?;
        // SAFETY: It was held for us. `LocalFile` is transparent over it.
        Some(unsafe { ARef::from_raw(file.cast()) })
    }

    /// Whether the state is ESTABLISHED at this moment.
    #[inline]
    pub fn is_established(&self) -> bool {
        // SAFETY: A reference proves a socket that is alive.
        unsafe { bindings::sock_established(self.as_raw()) }
    }

    /// The hash of addresses and ports: with the address of the socket it tells a connection from
    /// one that uses the same memory later.
    #[inline]
    pub fn hash(&self) -> u32 {
        // SAFETY: A reference proves a socket that is alive.
        unsafe { bindings::sock_hash(self.as_raw()) }
    }

    /// Payload carried so far, both ways, in bytes.
    #[inline]
    pub fn bytes(&self) -> u64 {
        // SAFETY: As above.
        unsafe { bindings::tcp_bytes(self.as_raw()) }
    }

    /// The cookie (`SO_COOKIE`), 0 when nobody has asked for it yet.
    pub fn cookie(&self) -> u64 {
        // SAFETY: As above.
        unsafe { bindings::sock_cookie(self.as_raw()) }
    }

    /// The user that owns the socket, as its namespace sees it.
    pub fn uid(&self) -> u32 {
        // SAFETY: As above.
        unsafe { bindings::sock_uid(self.as_raw()) }
    }

    /// The network namespace.
    #[inline]
    pub fn namespace(&self) -> &Namespace {
        // SAFETY: As above. A socket keeps its namespace for as long as it is alive.
        unsafe { Namespace::from_raw(bindings::sock_net(self.as_raw())) }
    }
}

/// Proof that a socket is locked.
///
/// # Invariants
///
/// For as long as the value lives the current context owns the socket, or holds its spinlock while
/// nobody owns it.
pub struct Locked<'a>(Tcp<'a>);

impl<'a> Locked<'a> {
    /// Assumes the lock.
    ///
    /// # Safety
    ///
    /// The invariant of the type must hold for `'a`, and no other `Locked` of this socket may be in
    /// use meanwhile.
    #[inline]
    pub(crate) unsafe fn assume(sock: &'a TcpSock) -> Self {
        Self(Tcp(sock))
    }
}

impl<'a> Deref for Locked<'a> {
    type Target = Tcp<'a>;

    #[inline]
    fn deref(&self) -> &Tcp<'a> {
        &self.0
    }
}

/// A socket that the current process owns. Dropping lets go, after what came meanwhile has been
/// processed.
pub struct Owned<'a> {
    locked: Locked<'a>,
    // The caller of a callback owns the socket and lets go itself.
    borrowed: bool,
    _not_send: NotThreadSafe,
}

impl<'a> Owned<'a> {
    /// Assumes that the current process owns the socket, and goes on to when this is dropped.
    ///
    /// # Safety
    ///
    /// That must be so, and no other `Locked` of this socket may be in use meanwhile.
    pub(crate) unsafe fn assume(sock: &'a TcpSock) -> Self {
        Self {
            // SAFETY: The caller promises it.
            locked: unsafe { Locked::assume(sock) },
            borrowed: true,
            _not_send: NotThreadSafe,
        }
    }

    /// Processes what has come since the socket is owned.
    pub fn flush_backlog(&mut self) {
        // SAFETY: We own the socket.
        unsafe { bindings::sk_flush_backlog(self.as_raw()) }
    }

    /// Waits until there is room for more to send, or a moment, at most `timeout` jiffies, and takes
    /// off what was waited. The socket is let go meanwhile.
    ///
    /// # Errors
    ///
    /// `EAGAIN` for a timeout, `EPIPE` for a socket that was shut down or has an error, an
    /// interruption.
    pub fn wait_memory(&mut self, timeout: &mut c_long) -> Result {
        let moment = (*timeout).min(kernel::time::msecs_to_jiffies(250) as c_long);
        let mut left = moment;
        // SAFETY: We own the socket.
        let waited = unsafe { bindings::sk_stream_wait_memory(self.as_raw(), &mut left) };
        let result = to_result(waited);
        let forever = *timeout == c_long::MAX;
        if !forever {
            *timeout -= moment - left;
        }
        match result {
            Err(EAGAIN) if *timeout != 0 => Ok(()),
            // As `sock_intr_errno` has it.
            Err(EINTR) if forever => Err(ERESTARTSYS),
            result => result,
        }
    }

    /// How long a send may block, in jiffies.
    pub fn send_timeout(&self, nonblocking: bool) -> c_long {
        // SAFETY: We own the socket.
        unsafe { bindings::sock_sndtimeo(self.as_raw(), nonblocking) }
    }

    /// What `sendmsg` is to return for `error`: for `EPIPE` the socket's own error is reported
    /// once, and `SIGPIPE` sent.
    pub fn send_error(&mut self, message: &Message<'_>, error: Error) -> Error {
        // SAFETY: We own the socket.
        let errno = unsafe {
            bindings::sk_stream_error(self.as_raw(), message.flags() as c_int, error.to_errno())
        };
        Error::from_errno(errno)
    }

    /// Takes up to `limit` bytes of `message` into the shadow: to the retransmit queue, without
    /// sending and without sleeping.
    ///
    /// # Errors
    ///
    /// Those of `sendmsg`; `EAGAIN` when there is no room.
    pub fn send_shadow(&mut self, message: &mut Message<'_>, limit: usize) -> Result<usize> {
        // SAFETY: We own the socket; `message` is valid.
        bytes(unsafe { bindings::tcp_sendmsg_shadow(self.as_raw(), message.as_raw(), limit) })
    }

    /// Sends as Linux does, what there is room for.
    ///
    /// # Errors
    ///
    /// Those of a `sendmsg` with `MSG_DONTWAIT`.
    pub fn send(&mut self, message: &mut Message<'_>) -> Result<usize> {
        let (left, flags) = (message.left(), message.flags());
        let raw = message.as_raw();
        // SAFETY: We own the socket; `message` is valid.
        unsafe {
            (*raw).msg_flags = flags | bindings::MSG_DONTWAIT;
            let result = bytes(bindings::tcp_sendmsg_locked(self.as_raw(), raw, left));
            (*raw).msg_flags = flags;
            result
        }
    }

    /// Sets up the notification of a `MSG_ZEROCOPY` send, for the whole of `message`.
    ///
    /// # Errors
    ///
    /// `ENOBUFS` when there is no memory for it.
    pub fn zerocopy_start(&mut self, message: &mut Message<'_>) -> Result {
        let left = message.left();
        // SAFETY: We own the socket; `message` is valid.
        let (before, ready) = unsafe {
            (
                (*message.as_raw()).msg_ubuf,
                bindings::msg_zerocopy_start(self.as_raw(), message.as_raw(), left),
            )
        };
        message.zerocopy |= before.is_null()
            // SAFETY: `message` is valid.
            && !unsafe { (*message.as_raw()).msg_ubuf }.is_null();
        if ready {
            Ok(())
        } else {
            Err(ENOBUFS)
        }
    }
}

impl<'a> Deref for Owned<'a> {
    type Target = Locked<'a>;

    fn deref(&self) -> &Locked<'a> {
        &self.locked
    }
}

impl<'a> DerefMut for Owned<'a> {
    fn deref_mut(&mut self) -> &mut Locked<'a> {
        &mut self.locked
    }
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        if !self.borrowed {
            // SAFETY: We own the socket, and stop to here.
            unsafe { bindings::release_sock(self.as_raw()) }
        }
    }
}

fn bytes(ret: c_int) -> Result<usize> {
    to_result(ret).map(|()| ret as usize)
}

/// A socket's spinlock, held.
pub struct Spin<'a>(Locked<'a>, NotThreadSafe);

impl<'a> Spin<'a> {
    /// The lock, unless a process owns the socket.
    #[inline]
    pub fn locked(&mut self) -> Option<&mut Locked<'a>> {
        // SAFETY: We hold the spinlock, so that the answer stays true.
        let owned = unsafe { bindings::sock_owned_by_user(self.0.as_raw()) };
        (!owned).then_some(&mut self.0)
    }

    /// Appends an entry to the backlog of a socket that a process owns: that process will find it
    /// after all frames and entries that came before.
    #[inline]
    pub fn add_backlog(&mut self, entry: BacklogEntry) {
        // SAFETY: We hold the spinlock; the entry is handed over.
        unsafe { bindings::backlog_marker_add(self.0.as_raw(), entry.0.into_raw()) }
    }
}

impl Drop for Spin<'_> {
    fn drop(&mut self) {
        // SAFETY: We hold the spinlock, and stop to here.
        unsafe { bindings::bh_unlock_sock(self.0.as_raw()) }
    }
}

/// Data of a socket, guarded by its lock.
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

    /// The data, and what else the lock allows meanwhile.
    ///
    /// PANIC: when `lock` is that of another socket.
    #[inline]
    pub fn open<'b, 'a>(&'b self, lock: &'b mut Locked<'a>) -> (&'b mut T, &'b Tcp<'a>) {
        assert!(ptr::eq(self.sock.as_raw(), lock.as_raw()));
        // SAFETY: The lock is this socket's and excludes everyone else; it stays borrowed as long
        // as the data.
        (unsafe { &mut *self.data.get() }, &lock.0)
    }
}
