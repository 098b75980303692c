// SPDX-License-Identifier: GPL-2.0

//! An upper layer protocol that keeps a TCP socket as the shadow of a connection that something
//! else carries.
//!
//! What is attached to a socket ([`Ulp::attach`]) shows as its ULP, sends in TCP's place, and is
//! asked to give the connection back before Linux does what only Linux can do: close, shutdown,
//! disconnect, options. Receiving stays Linux's. It is detached at any moment, and the socket is
//! then as it was.
//!
//! C headers: [`include/net/tcp.h`](srctree/include/net/tcp.h) (`struct tcp_ulp_ops`),
//! [`include/net/sock.h`](srctree/include/net/sock.h) (`struct proto`)

use super::{
    backlog::BacklogEntry,
    message::Message,
    sock::{
        Lock,
        Locked,
        Owned,
        TcpSock,
        WeakSock, //
    }, //
};
use crate::bindings;
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ptr, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::{
        atomic::{
            ordering,
            Atomic,
            AtomicFlag, //
        },
        rcu,
        Arc,
        ArcBorrow, //
    },
    types::Opaque, //
};

/// Why the connection is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// `close()`.
    Close,
    /// `shutdown()`.
    Shutdown,
    /// `connect()` with `AF_UNSPEC`.
    Disconnect,
    /// A socket option that only Linux can heed.
    Option,
    /// The socket is being destroyed by the administrator (`ss -K`).
    Abort,
}

/// What setting a socket option means for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionEffect {
    /// Nothing: Linux looks after it, or it concerns what stays Linux's.
    None,
    /// [`Shadow::option_changed`] is to be told.
    Tell,
    /// Linux has to carry the connection.
    Recall,
}

/// What came of a `sendmsg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// So many bytes were taken.
    Bytes(usize),
    /// Nothing was done: the socket is an ordinary one, and Linux is to carry the call out.
    NotOurs,
}

/// What is attached to a socket.
pub trait Shadow: Sized + Send + Sync + 'static {
    /// The protocol.
    fn ulp() -> &'static Ulp<Self>;

    /// The application asks for the protocol (`TCP_ULP`): attach something, or say why not.
    fn setsockopt_ulp(sock: &mut Owned<'_>) -> Result;

    /// Sends. Takes all of `message` or waits, as `sendmsg` does; for no longer than a second or so
    /// once it is detached and [`is_leaving`].
    fn sendmsg(this: &Arc<Self>, sock: &mut Owned<'_>, message: &mut Message<'_>) -> Result<Sent>;

    /// What may have been held back for more to come is not to wait any longer.
    fn push(this: &Arc<Self>, sock: &mut Owned<'_>);

    /// What setting an option means.
    fn option_effect(level: c_int, name: c_int) -> OptionEffect;

    /// An option of [`OptionEffect::Tell`] has been set.
    fn option_changed(this: &Arc<Self>, sock: &mut Owned<'_>);

    /// Gives the connection back. Sleeps until it has been detached.
    fn recall(this: &Arc<Self>, sock: &mut Owned<'_>, why: Recall);

    /// Linux has closed the socket by itself (a keepalive that was not answered, say). Must detach.
    fn closed(this: &Arc<Self>, sock: &mut Locked<'_>);

    /// An entry that [`Spin::add_backlog`](super::sock::Spin::add_backlog) took has its turn.
    fn backlog(this: &Arc<Self>, sock: &mut Locked<'_>, entry: BacklogEntry);

    /// Linux has processed a frame.
    fn frame_processed(this: &Arc<Self>, sock: &mut Locked<'_>);

    /// A process that owned the socket is letting go. Must not sleep.
    fn released(this: &Self, sock: &mut Locked<'_>);
}

/// The protocol. A `static`, one for each type that is attached.
pub struct Ulp<T: Shadow> {
    ops: UnsafeCell<bindings::tcp_ulp_ops>,
    // For each of the two address families, the `struct proto` of a socket with a shadow.
    protos: [Atomic<*mut bindings::proto>; 2],
    _shadow: PhantomData<T>,
}

// SAFETY: `ops` is the core's once it is registered; the rest is atomic.
unsafe impl<T: Shadow> Sync for Ulp<T> {}

impl<T: Shadow> Ulp<T> {
    /// The protocol `name`, of at most 15 characters.
    pub const fn new(name: &CStr) -> Self {
        // SAFETY: All zeroes is a valid value.
        let mut ops: bindings::tcp_ulp_ops = unsafe { core::mem::zeroed() };
        let name = name.to_bytes_with_nul();
        assert!(name.len() <= ops.name.len());
        let mut i = 0;
        while i < name.len() {
            ops.name[i] = name[i] as kernel::ffi::c_char;
            i += 1;
        }
        ops.init = Some(init::<T>);
        // No owner: a module that is unloaded takes its connections back first.
        Self {
            ops: UnsafeCell::new(ops),
            protos: [Atomic::new(ptr::null_mut()), Atomic::new(ptr::null_mut())],
            _shadow: PhantomData,
        }
    }

    /// Offers the protocol to `TCP_ULP`.
    pub fn register(&'static self) -> Result<Registration<T>> {
        // SAFETY: The calls and `ops` are static and complete.
        unsafe {
            bindings::calls_begin(&FirstCalls::<T>::CALLS);
            to_result(bindings::tcp_register_ulp(self.ops.get()))?;
        }
        Ok(Registration(self))
    }

    /// What is attached to a socket, while `_guard` is held.
    #[inline]
    pub fn shadow_of<'g>(
        &self,
        sock: &WeakSock,
        _guard: &'g rcu::Guard,
    ) -> Option<ArcBorrow<'g, T>> {
        // SAFETY: The memory of the socket is valid. What is attached was made by `attach`, and is kept for an
        // RCU grace period after it has been detached.
        let attached = unsafe {
            bindings::tcp_ulp_data(sock.as_raw(), self.ops.get())
                .cast::<Attached<T>>()
                .as_ref()
        }?;
        Some(attached.shadow.as_arc_borrow())
    }

    /// What is attached to a socket that is locked.
    #[inline]
    fn shadow(&self, sock: &impl Lock) -> Option<Arc<T>> {
        let guard = rcu::read_lock();
        self.shadow_of(sock.sock(), &guard).map(Into::into)
    }

    /// Attaches `shadow` to a socket that has no ULP.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EEXIST` when the socket has one, `EOPNOTSUPP` for a socket of an unknown kind.
    pub fn attach(&self, lock: &mut impl Lock, shadow: Arc<T>) -> Result {
        let sk = lock.sock().as_raw();
        // SAFETY: The socket is locked, which protects its ULP. CAST: A TCP socket begins with the
        // `inet_connection_sock`.
        let ulp = unsafe { (*sk.cast::<bindings::inet_connection_sock>()).icsk_ulp_ops };
        if !ulp.is_null() {
            return Err(EEXIST);
        }
        let proto = self.proto_for(lock.sock())?;
        let attached = KBox::into_raw(KBox::new(
            Attached {
                // Written by `call_rcu`.
                rcu: Opaque::uninit(),
                shadow,
            },
            GFP_KERNEL,
        )?);
        // SAFETY: The socket is locked. What is attached goes over to it, until it is detached; the
        // `proto` stays until no socket has it.
        let ret = to_result(unsafe {
            bindings::tcp_attach(
                sk,
                self.ops.get(),
                attached.cast(),
                proto,
                Some(backlog_rcv::<T>),
            )
        });
        if ret.is_err() {
            // SAFETY: It was boxed above, and not handed over.
            drop(unsafe { KBox::from_raw(attached) });
        }
        ret
    }

    /// Detaches what is attached, if anything is: the socket is an ordinary one again. Whoever
    /// still looks at what was attached may do so until the end of an RCU grace period.
    pub fn detach(&self, lock: &mut impl Lock) {
        let sk = lock.sock().as_raw();
        // SAFETY: The socket is locked.
        let attached = unsafe { bindings::tcp_ulp_data(sk, self.ops.get()) }.cast::<Attached<T>>();
        if attached.is_null() {
            return;
        }
        // SAFETY: The socket is locked. What `attach` made is ours again; nobody finds it from now
        // on. Its `rcu` is not in use.
        unsafe {
            bindings::tcp_detach(sk);
            bindings::call_rcu(
                Opaque::cast_into(&raw const (*attached).rcu),
                Some(free::<T>),
            );
        }
    }

    /// The `struct proto` for a socket with a shadow: its own with this protocol's operations.
    fn proto_for(&self, sock: &TcpSock) -> Result<*mut bindings::proto> {
        // SAFETY: The socket is alive; the protocol that it was created with does not change.
        let creator = unsafe { creator(sock.as_raw()) };
        // SAFETY: The socket is alive.
        let slot = &self.protos[usize::from(unsafe { bindings::sock_is_inet6(sock.as_raw()) })];
        let known = slot.load(ordering::Acquire);
        if !known.is_null() {
            return Ok(known);
        }
        let mut proto = KBox::new(*creator, GFP_KERNEL)?;
        proto.sendmsg = Some(bindings::call_sendmsg);
        proto.splice_eof = Some(splice_eof::<T>);
        proto.setsockopt = Some(setsockopt::<T>);
        proto.shutdown = Some(shutdown::<T>);
        proto.close = Some(bindings::call_close);
        proto.disconnect = Some(disconnect::<T>);
        proto.diag_destroy = Some(diag_destroy::<T>);
        proto.unhash = Some(unhash::<T>);
        proto.release_cb = Some(release_cb::<T>);
        let new = KBox::into_raw(proto);
        match slot.cmpxchg(ptr::null_mut(), new, ordering::Full) {
            Ok(_) => Ok(new),
            Err(other) => {
                // SAFETY: It was made here, and nobody has seen it.
                drop(unsafe { KBox::from_raw(new) });
                Ok(other)
            }
        }
    }
}

/// What a socket's `icsk_ulp_data` points to.
#[repr(C)]
struct Attached<T> {
    // First: what `free` is given is a pointer to the whole.
    rcu: Opaque<bindings::callback_head>,
    shadow: Arc<T>,
}

/// # Safety
///
/// To be called by the core only, as its callback of this name is.
unsafe extern "C" fn free<T: Shadow>(rcu: *mut bindings::callback_head) {
    // SAFETY: `rcu` is the first field of what `attach` boxed and `detach` handed over.
    drop(unsafe { KBox::from_raw(rcu.cast::<Attached<T>>()) });
}

/// What is done before Linux carries a call out.
struct FirstCalls<T>(PhantomData<T>);

impl<T: Shadow> FirstCalls<T> {
    const CALLS: bindings::toe_first_calls = bindings::toe_first_calls {
        sendmsg: Some(sendmsg::<T>),
        close: Some(close::<T>),
    };
}

/// A registered protocol.
///
/// Before it is dropped everything has to be detached. Dropping waits until every call that came
/// through a socket has left the module.
pub struct Registration<T: Shadow>(&'static Ulp<T>);

/// The module is about to go.
static LEAVING: AtomicFlag = AtomicFlag::new(false);

/// Whether the module is about to go, and calls that may take long have to leave it.
#[inline]
pub fn is_leaving() -> bool {
    LEAVING.load(ordering::Relaxed)
}

impl<T: Shadow> Drop for Registration<T> {
    fn drop(&mut self) {
        LEAVING.store(true, ordering::Relaxed);
        // SAFETY: It was registered. Process context.
        unsafe {
            bindings::tcp_unregister_ulp(self.0.ops.get());
            bindings::calls_drain();
        }
        rcu::rcu_barrier();
        for slot in &self.0.protos {
            let proto = slot.xchg(ptr::null_mut(), ordering::Full);
            if !proto.is_null() {
                // SAFETY: No socket has it any more, nobody reads it any more; it was boxed.
                drop(unsafe { KBox::from_raw(proto) });
            }
        }
    }
}

/// A call of the socket layer that is under way: the module's code stays until it ends.
struct Call(c_int);

impl Call {
    #[inline]
    fn enter() -> Self {
        // SAFETY: No preconditions.
        Self(unsafe { bindings::calls_enter() })
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: It is what `calls_enter` returned.
        unsafe { bindings::calls_leave(self.0) }
    }
}

/// What the socket's own protocol does.
///
/// # Safety
///
/// `sk` must be valid.
unsafe fn creator<'a>(sk: *mut bindings::sock) -> &'a bindings::proto {
    // SAFETY: The caller promises it; the protocol that a socket was created with never changes.
    unsafe { &*(*sk).sk_prot_creator }
}

fn errno(result: Result) -> c_int {
    result.map_or_else(|e| e.to_errno(), |()| 0)
}

/// Gives the connection of a socket back, if it has a shadow.
fn recall<T: Shadow>(sock: &mut Owned<'_>, why: Recall) {
    if let Some(shadow) = T::ulp().shadow(sock) {
        T::recall(&shadow, sock, why);
    }
}

/// # Safety
///
/// To be called by the core only, as its callback of this name is.
unsafe extern "C" fn init<T: Shadow>(sk: *mut bindings::sock) -> c_int {
    let _call = Call::enter();
    // SAFETY: `tcp_set_ulp` owns the socket.
    let mut sock = unsafe { Owned::assume(TcpSock::from_raw(sk)) };
    errno(T::setsockopt_ulp(&mut sock))
}

/// # Safety
///
/// To be called by `toe_helper_call_sendmsg` only.
unsafe extern "C" fn sendmsg<T: Shadow>(
    sk: *mut bindings::sock,
    msg: *mut bindings::msghdr,
    _size: usize,
) -> c_int {
    let _call = Call::enter();
    // SAFETY: The socket layer calls with a socket and a message that are valid.
    let (sock, mut message) = unsafe { (TcpSock::from_raw(sk), Message::from_raw(msg)) };
    let mut sock = sock.lock();
    let result = match T::ulp().shadow(&sock) {
        Some(shadow) => T::sendmsg(&shadow, &mut sock, &mut message),
        None => Ok(Sent::NotOurs),
    };
    match result {
        // CAST: the socket layer never sends more than `MAX_RW_COUNT`.
        Ok(Sent::Bytes(bytes)) => bytes as c_int,
        Ok(Sent::NotOurs) => bindings::CALL_LINUX,
        Err(error) => error.to_errno(),
    }
}

/// # Safety
///
/// To be called by the core only, as its callback of this name is.
unsafe extern "C" fn splice_eof<T: Shadow>(socket: *mut bindings::socket) {
    let _call = Call::enter();
    // SAFETY: The socket layer calls with a socket that is valid.
    let sk = unsafe { (*socket).sk };
    {
        // SAFETY: As above.
        let mut sock = unsafe { TcpSock::from_raw(sk) }.lock();
        if let Some(shadow) = T::ulp().shadow(&sock) {
            return T::push(&shadow, &mut sock);
        }
    }
    // SAFETY: As above.
    if let Some(splice_eof) = unsafe { creator(sk) }.splice_eof {
        // SAFETY: As above.
        unsafe { splice_eof(socket) }
    }
}

/// # Safety
///
/// To be called by the core only, as its callback of this name is.
unsafe extern "C" fn setsockopt<T: Shadow>(
    sk: *mut bindings::sock,
    level: c_int,
    name: c_int,
    value: bindings::sockptr_t,
    length: c_uint,
) -> c_int {
    let _call = Call::enter();
    let effect = T::option_effect(level, name);
    if effect == OptionEffect::Recall {
        // SAFETY: The socket layer calls with a socket that is valid.
        recall::<T>(&mut unsafe { TcpSock::from_raw(sk) }.lock(), Recall::Option);
    }
    // SAFETY: As above.
    let Some(setsockopt) = unsafe { creator(sk) }.setsockopt else {
        return ENOPROTOOPT.to_errno();
    };
    // SAFETY: The arguments are the caller's.
    let ret = unsafe { setsockopt(sk, level, name, value, length) };
    if effect == OptionEffect::Tell && ret == 0 {
        // SAFETY: As above.
        let mut sock = unsafe { TcpSock::from_raw(sk) }.lock();
        if let Some(shadow) = T::ulp().shadow(&sock) {
            T::option_changed(&shadow, &mut sock);
        }
    }
    ret
}

/// # Safety
///
/// To be called by the core only, as its callback of this name is.
unsafe extern "C" fn shutdown<T: Shadow>(sk: *mut bindings::sock, how: c_int) {
    let _call = Call::enter();
    // SAFETY: `inet_shutdown` owns the socket.
    let mut sock = unsafe { Owned::assume(TcpSock::from_raw(sk)) };
    recall::<T>(&mut sock, Recall::Shutdown);
    drop(sock);
    // SAFETY: As above.
    if let Some(shutdown) = unsafe { creator(sk) }.shutdown {
        // SAFETY: The arguments are the caller's.
        unsafe { shutdown(sk, how) }
    }
}

/// # Safety
///
/// To be called by `toe_helper_call_close` only.
unsafe extern "C" fn close<T: Shadow>(sk: *mut bindings::sock, _timeout: c_long) {
    let _call = Call::enter();
    // SAFETY: The socket layer calls with a socket that is valid.
    recall::<T>(&mut unsafe { TcpSock::from_raw(sk) }.lock(), Recall::Close);
}

/// # Safety
///
/// To be called by the core only, as its callback of this name is.
unsafe extern "C" fn disconnect<T: Shadow>(sk: *mut bindings::sock, flags: c_int) -> c_int {
    let _call = Call::enter();
    // SAFETY: The socket layer owns the socket.
    let mut sock = unsafe { Owned::assume(TcpSock::from_raw(sk)) };
    recall::<T>(&mut sock, Recall::Disconnect);
    drop(sock);
    // SAFETY: As above.
    match unsafe { creator(sk) }.disconnect {
        // SAFETY: The arguments are the caller's.
        Some(disconnect) => unsafe { disconnect(sk, flags) },
        None => EOPNOTSUPP.to_errno(),
    }
}

/// # Safety
///
/// To be called by the core only, as its callback of this name is.
unsafe extern "C" fn diag_destroy<T: Shadow>(sk: *mut bindings::sock, err: c_int) -> c_int {
    let _call = Call::enter();
    // SAFETY: `sock_diag` calls with a socket that is valid.
    recall::<T>(&mut unsafe { TcpSock::from_raw(sk) }.lock(), Recall::Abort);
    // SAFETY: As above.
    match unsafe { creator(sk) }.diag_destroy {
        // SAFETY: The arguments are the caller's.
        Some(destroy) => unsafe { destroy(sk, err) },
        None => EOPNOTSUPP.to_errno(),
    }
}

/// # Safety
///
/// To be called by the core only, as its callback of this name is.
unsafe extern "C" fn unhash<T: Shadow>(sk: *mut bindings::sock) {
    // SAFETY: `tcp_set_state` calls with the socket locked.
    let mut sock = unsafe { Locked::assume(TcpSock::from_raw(sk)) };
    if let Some(shadow) = T::ulp().shadow(&sock) {
        T::closed(&shadow, &mut sock);
    }
    // SAFETY: As above.
    if let Some(unhash) = unsafe { creator(sk) }.unhash {
        // SAFETY: As above.
        unsafe { unhash(sk) }
    }
}

/// # Safety
///
/// To be called by the core only, as its callback of this name is.
unsafe extern "C" fn release_cb<T: Shadow>(sk: *mut bindings::sock) {
    {
        // SAFETY: `release_sock` calls with the socket owned and its spinlock held.
        let mut sock = unsafe { Locked::assume(TcpSock::from_raw(sk)) };
        let guard = rcu::read_lock();
        if let Some(shadow) = T::ulp().shadow_of(&sock, &guard) {
            T::released(&shadow, &mut sock);
        }
    }
    // SAFETY: As above.
    if let Some(release_cb) = unsafe { creator(sk) }.release_cb {
        // SAFETY: As above.
        unsafe { release_cb(sk) }
    }
}

/// # Safety
///
/// To be called by the core only, as its callback of this name is.
unsafe extern "C" fn backlog_rcv<T: Shadow>(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
) -> c_int {
    // SAFETY: The backlog is processed with the socket locked.
    let mut sock = unsafe { Locked::assume(TcpSock::from_raw(sk)) };
    let shadow = T::ulp().shadow(&sock);
    // SAFETY: The skb is valid and handed over.
    let skb = match unsafe { BacklogEntry::from_backlog(skb) } {
        Ok(entry) => {
            if let Some(shadow) = shadow {
                T::backlog(&shadow, &mut sock, entry);
            }
            return 0;
        }
        Err(skb) => skb,
    };
    if shadow.is_some() {
        // SAFETY: The socket is locked, the skb valid.
        if !unsafe { bindings::tcp_legacy_ok(sk, skb) } {
            // SAFETY: The skb is handed over.
            unsafe { bindings::consume_skb(skb) };
            return 0;
        }
    }
    // SAFETY: As for `creator`; TCP always has one.
    let Some(receive) = unsafe { creator(sk) }.backlog_rcv else {
        return 0;
    };
    // SAFETY: The arguments are the caller's.
    let ret = unsafe { receive(sk, skb) };
    if let Some(shadow) = shadow {
        T::frame_processed(&shadow, &mut sock);
    }
    ret
}
