// SPDX-License-Identifier: GPL-2.0

//! TCP sockets, and their state that can be read without the lock.

use crate::{
    bindings,
    net::{
        namespace::Namespace,
        skb::SkBuff, //
    }, //
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

/// Looks up the established connection between `local` and `remote` (address in wire order, port)
/// that is bound to the interface `ifindex` or to none.
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
    // SAFETY: The addresses have the length of the family. The result, if any, is a full TCP socket
    // with a reference for the caller.
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

/// A full TCP socket (`struct tcp_sock`) whose reference count may be zero.
///
/// An skb in flight keeps the memory and the network namespace of its socket, but not the socket's
/// reference count. [`Self::try_hold`] takes a reference.
///
/// # Invariants
///
/// A reference is to a full TCP socket whose memory is valid for the reference's lifetime.
#[repr(transparent)]
pub struct WeakSock(Opaque<bindings::sock>);

// SAFETY: A socket is not bound to a thread.
unsafe impl Send for WeakSock {}
// SAFETY: `&WeakSock` only reads fields that can be read without the socket's lock.
unsafe impl Sync for WeakSock {}

impl WeakSock {
    /// Borrows a socket.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a full TCP socket whose memory is valid for `'a`.
    #[inline]
    unsafe fn from_raw<'a>(ptr: *mut bindings::sock) -> &'a Self {
        // SAFETY: The caller promises validity; `WeakSock` is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The C structure.
    #[inline]
    pub(in crate::tcp) fn as_raw(&self) -> *mut bindings::sock {
        self.0.get()
    }

    /// The C structure with TCP's fields.
    #[inline]
    pub(super) fn as_tcp(&self) -> *mut bindings::tcp_sock {
        // CAST: A `tcp_sock` begins with its `sock`.
        self.as_raw().cast()
    }

    /// The TCP socket that sends `skb`, if that is in state ESTABLISHED and accepted.
    #[inline]
    pub fn of_sender(skb: &SkBuff) -> Option<&Self> {
        // SAFETY: `skb` is valid.
        let sk = unsafe { bindings::skb_tcp_sender(skb.as_raw()) };
        // SAFETY: A queued skb holds the memory of its socket (`sk_wmem_alloc`).
        (!sk.is_null()).then(|| unsafe { Self::from_raw(sk) })
    }

    /// Takes a reference, unless the count is zero.
    #[inline]
    pub fn try_hold(&self) -> Option<ARef<TcpSock>> {
        // SAFETY: By the type's invariant the memory is valid.
        if !unsafe { bindings::sock_hold_live(self.as_raw()) } {
            return None;
        }
        // SAFETY: `sock_hold_live` took a reference. `TcpSock` is transparent.
        Some(unsafe { ARef::from_raw(NonNull::from(self).cast()) })
    }

    /// Whether the state is ESTABLISHED at this moment.
    #[inline]
    pub fn is_established(&self) -> bool {
        // SAFETY: By the type's invariant the memory is valid. Volatile, as READ_ONCE().
        let state = unsafe { (&raw const (*self.as_raw()).__sk_common.skc_state).read_volatile() };
        state == bindings::TCP_ESTABLISHED
    }

    /// Sequence number behind the last byte that the application has written, at this moment.
    #[inline]
    pub fn written(&self) -> u32 {
        // SAFETY: As above. Volatile, as READ_ONCE().
        unsafe { (&raw const (*self.as_tcp()).write_seq).read_volatile() }
    }

    /// How much unsent payload is few enough for the application to write more
    /// (`TCP_NOTSENT_LOWAT`).
    #[inline]
    pub(in crate::tcp) fn notsent_lowat(&self) -> u32 {
        // SAFETY: As above.
        unsafe { bindings::tcp_notsent_lowat(self.as_raw()) }
    }

    /// Whether the state permits to send payload at this moment: ESTABLISHED or CLOSE_WAIT.
    #[inline]
    pub fn can_send(&self) -> bool {
        // SAFETY: By the type's invariant the memory is valid.
        unsafe { bindings::tcp_can_send(self.as_raw()) }
    }

    /// The hash of addresses and ports. Together with the socket's address it tells a connection
    /// from a later one in the same memory.
    #[inline]
    pub fn hash(&self) -> u32 {
        // SAFETY: As above.
        unsafe { bindings::sock_hash(self.as_raw()) }
    }

    /// Payload transferred so far, in both directions, in bytes.
    #[inline]
    pub fn bytes(&self) -> u64 {
        let tp = self.as_tcp();
        // SAFETY: As above. Volatile, as READ_ONCE().
        let (acked, received) = unsafe {
            (
                (&raw const (*tp).bytes_acked).read_volatile(),
                (&raw const (*tp).bytes_received).read_volatile(),
            )
        };
        acked.wrapping_add(received)
    }

    /// Whether loss recovery of the send side is under way, or a probe of the tail is unanswered, at
    /// this moment.
    #[inline]
    pub fn is_in_recovery(&self) -> bool {
        let tp = self.as_tcp();
        // SAFETY: As above. The byte of the state has other fields that change at the same time; a
        // wrong answer is harmless.
        let (state, segments) = unsafe {
            let icsk = &raw const (*tp).inet_conn;
            (
                bindings::inet_connection_sock::icsk_ca_state_raw(icsk),
                u32::from((&raw const (*icsk).icsk_retransmits).read_volatile())
                    | (&raw const (*tp).sacked_out).read_volatile()
                    | (&raw const (*tp).lost_out).read_volatile()
                    | (&raw const (*tp).retrans_out).read_volatile(),
            )
        };
        u32::from(state) != bindings::tcp_ca_state_TCP_CA_Open || segments != 0
    }

    /// The cookie (`SO_COOKIE`), 0 if none has been generated.
    pub fn cookie(&self) -> u64 {
        // SAFETY: As above.
        unsafe { bindings::sock_cookie(self.as_raw()) }
    }

    /// The user that owns the socket, in all user namespaces.
    pub fn kuid(&self) -> u32 {
        // SAFETY: As above.
        unsafe { bindings::sock_kuid(self.as_raw()) }
    }

    /// The user that owns the socket, as its user namespace maps it.
    pub fn uid(&self) -> u32 {
        // SAFETY: As above.
        unsafe { bindings::sock_uid(self.as_raw()) }
    }

    /// Whether the frames of the connection are IPv6.
    #[inline]
    pub fn is_ipv6(&self) -> bool {
        // SAFETY: As above; the addresses of a connection do not change.
        unsafe { bindings::tcp_is_ipv6(self.as_raw()) }
    }

    /// The network namespace.
    #[inline]
    pub(crate) fn namespace(&self) -> &Namespace {
        // SAFETY: As above; the memory of a socket holds its namespace.
        unsafe { Namespace::from_raw(bindings::sock_net(self.as_raw())) }
    }
}

/// A full TCP socket (`struct tcp_sock`).
///
/// # Invariants
///
/// A reference is to a socket whose reference count is not zero for the reference's lifetime.
#[repr(transparent)]
pub struct TcpSock(WeakSock);

// SAFETY: The socket's own reference count is used; by the type's invariant it is not zero.
unsafe impl AlwaysRefCounted for TcpSock {
    fn inc_ref(&self) {
        // SAFETY: The count is not zero.
        unsafe { bindings::sock_hold(self.as_raw()) }
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference. `TcpSock` is transparent.
        unsafe { bindings::sock_put(obj.as_ptr().cast()) }
    }
}

impl Deref for TcpSock {
    type Target = WeakSock;

    #[inline]
    fn deref(&self) -> &WeakSock {
        &self.0
    }
}

impl TcpSock {
    /// Borrows a socket.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a full TCP socket whose reference count is not zero for `'a`.
    #[inline]
    pub(in crate::tcp) unsafe fn from_raw<'a>(ptr: *mut bindings::sock) -> &'a Self {
        // INVARIANT: The caller promises it.
        // SAFETY: As above; `TcpSock` is transparent.
        unsafe { &*ptr.cast() }
    }
}
