// SPDX-License-Identifier: GPL-2.0

//! The operations of a socket with a shadow, as the socket layer calls them.

use super::{
    call::Call,
    ulp::{
        OptionEffect,
        Recall,
        Released,
        Sent,
        Shadow, //
    }, //
};
use crate::{
    bindings,
    tcp::{
        backlog::BacklogEntry,
        message::Message,
        sock::{
            Locked,
            Owned,
            TcpSock, //
        }, //
    }, //
};
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    sync::{
        rcu,
        Arc, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

/// The `struct proto` of a socket with a shadow: `creator` with other operations.
pub(super) fn proto<T: Shadow>(creator: &bindings::proto) -> bindings::proto {
    let mut proto = *creator;
    proto.sendmsg = Some(bindings::call_sendmsg);
    proto.splice_eof = Some(splice_eof::<T>);
    proto.setsockopt = Some(setsockopt::<T>);
    proto.getsockopt = Some(bindings::call_getsockopt);
    proto.shutdown = Some(shutdown::<T>);
    proto.close = Some(bindings::call_close);
    proto.disconnect = Some(disconnect::<T>);
    proto.diag_destroy = Some(diag_destroy::<T>);
    proto.unhash = Some(unhash::<T>);
    proto.release_cb = Some(release_cb::<T>);
    proto.stream_memory_free = Some(stream_memory_free::<T>);
    #[cfg(CONFIG_BPF_SYSCALL)]
    {
        // A sockmap would replace these operations.
        proto.psock_update_sk_prot = None;
    }
    proto
}

/// The functions that helpers call.
pub(super) struct FirstCalls<T>(PhantomData<T>);

impl<T: Shadow> FirstCalls<T> {
    pub(super) const CALLS: bindings::toe_first_calls = bindings::toe_first_calls {
        sendmsg: Some(sendmsg::<T>),
        close: Some(close::<T>),
        get_ulp: Some(get_ulp::<T>),
        announce: Some(announce::<T>),
        retransmits: Some(retransmits::<T>),
        received: Some(received::<T>),
    };
}

/// The protocol that a socket was created with.
///
/// # Safety
///
/// `sk` must be valid.
pub(super) unsafe fn creator<'a>(sk: *mut bindings::sock) -> &'a bindings::proto {
    // SAFETY: The caller promises it; the protocol that a socket was created with never changes.
    unsafe { &*(*sk).sk_prot_creator }
}

fn errno(result: Result) -> c_int {
    result.map_or_else(|e| e.to_errno(), |()| 0)
}

/// Recalls the connection of a socket that has a shadow.
fn recall<T: Shadow>(sock: &mut Owned<'_>, why: Recall) {
    if let Some(shadow) = T::ulp().shadow(sock) {
        T::recall(&shadow, sock, why);
    }
}

/// # Safety
///
/// Called only by the core, as the `struct tcp_ulp_ops` operation of this name.
pub(super) unsafe extern "C" fn init<T: Shadow>(sk: *mut bindings::sock) -> c_int {
    let _call = Call::enter();
    // SAFETY: `tcp_set_ulp` owns the socket.
    let mut sock = unsafe { Owned::assume(TcpSock::from_raw(sk)) };
    errno(T::setsockopt_ulp(&mut sock))
}

/// # Safety
///
/// Called only by `toe_helper_call_sendmsg`.
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
/// Called only by the core, as the `struct proto` operation of this name.
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
/// Called only by the core, as the `struct proto` operation of this name.
unsafe extern "C" fn setsockopt<T: Shadow>(
    sk: *mut bindings::sock,
    level: c_int,
    name: c_int,
    value: bindings::sockptr_t,
    length: c_uint,
) -> c_int {
    let _call = Call::enter();
    // SAFETY: The socket layer calls with a socket that is valid.
    let (sock, creator) = unsafe { (TcpSock::from_raw(sk), creator(sk)) };
    let Some(setsockopt) = creator.setsockopt else {
        return ENOPROTOOPT.to_errno();
    };
    if let Some(shadow) = shadow_of::<T>(sock) {
        T::wait_until_settled(&shadow);
    }
    let effect = T::option_effect(level, name);
    loop {
        if effect == OptionEffect::Recall {
            recall::<T>(&mut sock.lock(), Recall::Option(level, name));
        }
        // SAFETY: The arguments are the caller's.
        let ret = unsafe { setsockopt(sk, level, name, value, length) };
        if effect == OptionEffect::Tell && ret == 0 {
            let mut sock = sock.lock();
            if let Some(shadow) = T::ulp().shadow(&sock) {
                T::option_changed(&shadow, &mut sock);
            }
        }
        // The ULP that is in the way may be that of another delegation, begun after the recall.
        if ret != EEXIST.to_errno() || !is_ulp(level, name) || shadow_of::<T>(sock).is_none() {
            return ret;
        }
    }
}

/// Returns whether an option is `TCP_ULP`.
fn is_ulp(level: c_int, name: c_int) -> bool {
    // CAST: Both are small and positive; others are no options.
    (level as u32, name as u32) == (bindings::SOL_TCP, bindings::TCP_ULP)
}

/// Returns the shadow that a socket has at this moment.
fn shadow_of<T: Shadow>(sock: &TcpSock) -> Option<Arc<T>> {
    T::ulp().shadow_of(sock, &rcu::read_lock()).map(Into::into)
}

/// `getsockopt(TCP_ULP)`.
///
/// # Safety
///
/// Called only by `toe_helper_call_getsockopt`.
unsafe extern "C" fn get_ulp<T: Shadow>(
    sk: *mut bindings::sock,
    value: *mut c_char,
    length: *mut c_int,
) -> c_int {
    let _call = Call::enter();
    // SAFETY: The socket layer calls with a socket that is valid.
    let (sock, creator) = unsafe { (TcpSock::from_raw(sk), creator(sk)) };
    // Linux's function takes no lock for this option: the ULP must not go meanwhile.
    let sock = sock.lock();
    let shadow = T::ulp().shadow(&sock);
    if shadow.is_some_and(|shadow| !T::is_requested(&shadow)) {
        return errno(put_empty(length));
    }
    match creator.getsockopt {
        // CAST: The names are small. SAFETY: The arguments are the caller's.
        Some(getsockopt) => unsafe {
            getsockopt(
                sk,
                bindings::SOL_TCP as c_int,
                bindings::TCP_ULP as c_int,
                value,
                length,
            )
        },
        None => ENOPROTOOPT.to_errno(),
    }
}

/// Answers a `getsockopt` as for a socket without a ULP.
fn put_empty(length: *mut c_int) -> Result {
    let length = UserPtr::from_ptr(length.cast());
    UserSlice::new(length, size_of::<c_int>())
        .writer()
        .write(&0_i32)
}

/// # Safety
///
/// Called only by `toe_sk_rx_dst_set`, with the socket locked.
unsafe extern "C" fn received<T: Shadow>(sk: *mut bindings::sock, ifindex: c_int) -> bool {
    // SAFETY: The caller promises it.
    let mut sock = unsafe { Locked::assume(TcpSock::from_raw(sk)) };
    let guard = rcu::read_lock();
    T::ulp()
        .shadow_of(&sock, &guard)
        // CAST: An interface index is positive.
        .is_some_and(|shadow| T::received(&shadow, &mut sock, ifindex as u32))
}

/// # Safety
///
/// Called only by the core, as the `struct proto` operation of this name.
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
/// Called only by `toe_helper_call_close`.
unsafe extern "C" fn close<T: Shadow>(sk: *mut bindings::sock, _timeout: c_long) {
    let _call = Call::enter();
    // SAFETY: The socket layer calls with a socket that is valid.
    recall::<T>(&mut unsafe { TcpSock::from_raw(sk) }.lock(), Recall::Close);
}

/// # Safety
///
/// Called only by `toe_queue_xmit`.
unsafe extern "C" fn announce<T: Shadow>(sk: *mut bindings::sock) -> bool {
    // SAFETY: TCP transmits with the socket locked.
    let mut sock = unsafe { Locked::assume(TcpSock::from_raw(sk)) };
    let guard = rcu::read_lock();
    match T::ulp().shadow_of(&sock, &guard) {
        Some(shadow) => T::announce(&shadow, &mut sock),
        None => false,
    }
}

/// # Safety
///
/// Called only by `toe_queue_xmit`.
unsafe extern "C" fn retransmits<T: Shadow>(sk: *mut bindings::sock) {
    // SAFETY: TCP transmits with the socket locked.
    let mut sock = unsafe { Locked::assume(TcpSock::from_raw(sk)) };
    let guard = rcu::read_lock();
    if let Some(shadow) = T::ulp().shadow_of(&sock, &guard) {
        T::retransmits(&shadow, &mut sock);
    }
}

/// # Safety
///
/// Called only by the core, as the `struct proto` operation of this name.
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
/// Called only by the core, as the `struct proto` operation of this name.
unsafe extern "C" fn diag_destroy<T: Shadow>(sk: *mut bindings::sock, err: c_int) -> c_int {
    let _call = Call::enter();
    // A BPF iterator holds the socket's lock and must not sleep. `unhash` then asks for the connection.
    // SAFETY: Only looks at the current task.
    if !unsafe { bindings::has_current_bpf_ctx() } {
        // SAFETY: `sock_diag` calls with a socket that is valid.
        recall::<T>(&mut unsafe { TcpSock::from_raw(sk) }.lock(), Recall::Abort);
    }
    // SAFETY: As above.
    match unsafe { creator(sk) }.diag_destroy {
        // SAFETY: The arguments are the caller's.
        Some(destroy) => unsafe { destroy(sk, err) },
        None => EOPNOTSUPP.to_errno(),
    }
}

/// # Safety
///
/// Called only by the core, as the `struct proto` operation of this name.
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
/// The process must own the socket, with its spinlock held.
unsafe fn released<T: Shadow>(sk: *mut bindings::sock) -> Released {
    // SAFETY: The caller promises it.
    let mut sock = unsafe { Locked::assume(TcpSock::from_raw(sk)) };
    let guard = rcu::read_lock();
    T::ulp()
        .shadow_of(&sock, &guard)
        .map_or(Released::Settled, |shadow| T::released(&shadow, &mut sock))
}

/// # Safety
///
/// Called only by the core, as the `struct proto` operation of this name.
unsafe extern "C" fn release_cb<T: Shadow>(sk: *mut bindings::sock) {
    // SAFETY: `release_sock` calls with the socket owned and its spinlock held.
    if unsafe { released::<T>(sk) } == Released::Unsettled {
        let _call = Call::enter();
        // SAFETY: The process owns the socket; the spinlock is held, and again afterwards.
        unsafe {
            bindings::sock_pause_release(sk);
            let mut sock = Owned::assume(TcpSock::from_raw(sk));
            if let Some(shadow) = T::ulp().shadow(&sock) {
                T::settle(&shadow, &mut sock);
            }
            bindings::sock_continue_release(sk);
            // What was left to this process while the spinlock was not held.
            released::<T>(sk);
        }
    }
    // SAFETY: As above.
    if let Some(release_cb) = unsafe { creator(sk) }.release_cb {
        // SAFETY: As above.
        unsafe { release_cb(sk) }
    }
}

/// Does what `tcp_stream_memory_free` does.
///
/// # Safety
///
/// Called only by the core, as the `struct proto` operation of this name.
unsafe extern "C" fn stream_memory_free<T: Shadow>(sk: *const bindings::sock, wake: c_int) -> bool {
    // SAFETY: The socket layer calls with a socket that is valid.
    let sock = unsafe { TcpSock::from_raw(sk.cast_mut()) };
    let lowat = sock.notsent_lowat();
    if lowat == u32::MAX {
        return true;
    }
    let guard = rcu::read_lock();
    match T::ulp().shadow_of(sock, &guard) {
        Some(shadow) => u64::from(T::unsent(&shadow, sock)) << wake < lowat.into(),
        // The connection has just come back, and TCP looks again when it transmits.
        None => true,
    }
}

/// # Safety
///
/// Called only by the core, as `sk_backlog_rcv`.
pub(super) unsafe extern "C" fn backlog_rcv<T: Shadow>(
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
        if !unsafe { bindings::tcp_early_ok(sk, skb) } {
            // SAFETY: The skb is handed over.
            unsafe { bindings::consume_skb(skb) };
            return 0;
        }
    }
    // SAFETY: The socket is valid.
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
