// SPDX-License-Identifier: GPL-2.0

//! The upper layer protocol: data attached to a socket, and the trait that it implements.

use super::{
    call,
    callbacks, //
};
use crate::{
    bindings,
    tcp::{
        backlog::BacklogEntry,
        message::Message,
        sock::{
            Lock,
            Locked,
            Owned,
            TcpSock,
            WeakSock, //
        }, //
    }, //
};
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
            Atomic, //
        },
        rcu,
        Arc,
        ArcBorrow, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    types::Opaque, //
};

/// Interval at which the end of a registration looks for attached data.
const DETACH_INTERVAL: Delta = Delta::from_millis(5);

/// Why a connection is recalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// `close()`.
    Close,
    /// `shutdown()`.
    Shutdown,
    /// `connect()` with `AF_UNSPEC`.
    Disconnect,
    /// A socket option that only Linux implements: its level and name.
    Option(c_int, c_int),
    /// The socket is being destroyed by the administrator (`ss -K`).
    Abort,
}

/// Effect of a socket option on a delegated connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionEffect {
    /// None: the option concerns only what Linux does.
    None,
    /// [`Shadow::option_changed`] is called.
    Tell,
    /// The connection is recalled.
    Recall,
}

/// Whether a process may release the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// Yes.
    Settled,
    /// A setting of the socket is not in force yet: [`Shadow::settle`] waits for it.
    Unsettled,
}

/// Result of a `sendmsg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Number of bytes sent.
    Bytes(usize),
    /// Nothing was done: the socket is an ordinary one, and Linux carries out the call.
    NotOurs,
}

/// Data that can be attached to a socket.
pub trait Shadow: Sized + Send + Sync + 'static {
    /// The protocol.
    fn ulp() -> &'static Ulp<Self>;

    /// Handles `setsockopt(TCP_ULP)`: attaches data to the socket, or returns the reason why not.
    fn setsockopt_ulp(sock: &mut Owned<'_>) -> Result;

    /// Waits for the end of the hand-over that has attached the data. A call that sets an option waits here
    /// and not for the socket's lock, so that one that waits for the lock is known to be Linux's. Sleeps.
    fn wait_until_settled(this: &Self);

    /// Returns whether the program has asked for the ULP, and so is to see it.
    fn is_requested(this: &Self) -> bool;

    /// Sends `message` as `sendmsg` does. Waits at most about a second once the data is detached and
    /// [`is_leaving`](super::is_leaving).
    fn sendmsg(this: &Arc<Self>, sock: &mut Owned<'_>, message: &mut Message<'_>) -> Result<Sent>;

    /// Sends payload that was held back for `MSG_MORE`.
    fn push(this: &Arc<Self>, sock: &mut Owned<'_>);

    /// Returns the effect of a socket option.
    fn option_effect(level: c_int, name: c_int) -> OptionEffect;

    /// Handles the new value of an option with [`OptionEffect::Tell`].
    fn option_changed(this: &Arc<Self>, sock: &mut Owned<'_>);

    /// Recalls the connection. Sleeps until the data is detached.
    fn recall(this: &Arc<Self>, sock: &mut Owned<'_>, why: Recall);

    /// Handles a close by Linux itself, for example after unanswered keepalive probes. Does not sleep.
    fn closed(this: &Arc<Self>, sock: &mut Locked<'_>);

    /// Handles a backlog entry from [`Spin::add_backlog`](crate::tcp::sock::Spin::add_backlog).
    fn backlog(this: &Arc<Self>, sock: &mut Locked<'_>, entry: BacklogEntry);

    /// Called before Linux sends an acknowledgement. Returns whether that is not necessary. Does not
    /// sleep.
    fn announce(this: &Self, sock: &mut Locked<'_>) -> bool;

    /// Returns how many bytes of what the application has written have not been sent. Any context.
    fn unsent(this: &Self, sock: &TcpSock) -> u32;

    /// Called when Linux was about to retransmit, which is the adapter's: its state is in change, and
    /// has to be put right later. Does not sleep.
    fn retransmits(this: &Self, sock: &mut Locked<'_>);

    /// Called after Linux has processed a frame of the backlog.
    fn frame_processed(this: &Arc<Self>, sock: &mut Locked<'_>);

    /// Called before Linux's TCP processes a plausible segment of the peer by itself. Returns whether
    /// the interface `ifindex`, by which it came, is the adapter's. Does not sleep.
    fn received(this: &Self, sock: &mut Locked<'_>, ifindex: u32) -> bool;

    /// Called when a process releases the socket. Does not sleep.
    fn released(this: &Self, sock: &mut Locked<'_>) -> Released;

    /// Called after [`Released::Unsettled`], before the socket is released. May sleep for a short time:
    /// the process may hold other locks.
    fn settle(this: &Arc<Self>, sock: &mut Owned<'_>);
}

/// The protocol. A `static`, one for each type that is attached.
pub struct Ulp<T: Shadow> {
    ops: UnsafeCell<bindings::tcp_ulp_ops>,
    // The `struct proto` of a socket with a shadow, for AF_INET and AF_INET6.
    protos: [Atomic<*mut bindings::proto>; 2],
    // Number of sockets that have data.
    attached: Atomic<u32>,
    _shadow: PhantomData<T>,
}

// SAFETY: Only the core accesses `ops` once it is registered; the rest is atomic.
unsafe impl<T: Shadow> Sync for Ulp<T> {}

impl<T: Shadow> Ulp<T> {
    /// Creates the protocol `name`, of at most 15 characters.
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
        ops.init = Some(callbacks::init::<T>);
        // No owner: unloading the module recalls all connections first.
        Self {
            ops: UnsafeCell::new(ops),
            protos: [Atomic::new(ptr::null_mut()), Atomic::new(ptr::null_mut())],
            attached: Atomic::new(0),
            _shadow: PhantomData,
        }
    }

    /// Registers the protocol with TCP.
    pub fn register(&'static self) -> Result<Registration<T>> {
        // SAFETY: The calls are static and complete.
        to_result(unsafe { bindings::calls_begin(&callbacks::FirstCalls::<T>::CALLS) })?;
        // SAFETY: `ops` is static and complete.
        to_result(unsafe { bindings::tcp_register_ulp(self.ops.get()) })
            .inspect_err(|_| call::drain())?;
        Ok(Registration(self))
    }

    /// Returns the data attached to a socket, while `_guard` is held.
    #[inline]
    pub fn shadow_of<'g>(
        &self,
        sock: &WeakSock,
        _guard: &'g rcu::Guard,
    ) -> Option<ArcBorrow<'g, T>> {
        // SAFETY: The memory of the socket is valid. `attach` made the data, which is kept for an RCU
        // grace period after it has been detached.
        let attached = unsafe {
            bindings::tcp_shadow_data(sock.as_raw(), self.proto_of(sock))
                .cast::<Attached<T>>()
                .as_ref()
        }?;
        Some(attached.shadow.as_arc_borrow())
    }

    /// Returns the data attached to a locked socket.
    #[inline]
    pub(super) fn shadow(&self, sock: &impl Lock) -> Option<Arc<T>> {
        let guard = rcu::read_lock();
        self.shadow_of(sock.sock(), &guard).map(Into::into)
    }

    /// Attaches `shadow` to a socket that has no ULP. Calls that begin from now on go to `shadow`. The
    /// socket still has no ULP: see [`Self::publish`]. Process context; sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EEXIST` if the socket has a ULP, `EOPNOTSUPP` for a socket of an unknown kind.
    pub fn attach(&self, sock: &mut Owned<'_>, shadow: Arc<T>) -> Result {
        let sk = sock.as_raw();
        // SAFETY: The process owns the socket, which protects its ULP. CAST: A TCP socket begins with
        // the `inet_connection_sock`.
        let ulp = unsafe { (*sk.cast::<bindings::inet_connection_sock>()).icsk_ulp_ops };
        if !ulp.is_null() {
            return Err(EEXIST);
        }
        let proto = self.proto_for(sock)?;
        let attached = KBox::into_raw(KBox::new(
            Attached {
                // Written by `calls_free`.
                free: Opaque::uninit(),
                shadow,
            },
            GFP_KERNEL,
        )?);
        // SAFETY: The process owns the socket. The socket owns `attached` until that is detached;
        // `proto` stays until no socket has it.
        let ret = to_result(unsafe {
            bindings::tcp_attach(
                sk,
                attached.cast(),
                proto,
                Some(callbacks::backlog_rcv::<T>),
            )
        });
        if ret.is_err() {
            // SAFETY: It was boxed above, and the socket has not taken it.
            drop(unsafe { KBox::from_raw(attached) });
            return ret;
        }
        self.attached.fetch_add(1, ordering::Relaxed);
        Ok(())
    }

    /// Makes this the ULP of a socket that has data.
    pub fn publish(&self, sock: &mut Owned<'_>) {
        // SAFETY: The process owns the socket; `ops` is static.
        unsafe { bindings::tcp_publish(sock.as_raw(), self.ops.get()) }
    }

    /// Detaches the data, if any: the socket is an ordinary one again. RCU readers may use the data
    /// until the end of a grace period. It is dropped in process context.
    pub fn detach(&self, lock: &mut impl Lock) {
        let sk = lock.sock().as_raw();
        // SAFETY: The socket is locked.
        let attached = unsafe { bindings::tcp_shadow_data(sk, self.proto_of(lock.sock())) }
            .cast::<Attached<T>>();
        if attached.is_null() {
            return;
        }
        // SAFETY: The socket is locked. `attach` boxed the data, which no new reader finds from here
        // on. Its `free` is not in use.
        unsafe {
            bindings::tcp_detach(sk);
            bindings::calls_free(
                Opaque::cast_into(&raw const (*attached).free),
                Some(free::<T>),
            );
        }
        self.attached.fetch_sub(1, ordering::Release);
    }

    /// Where the `struct proto` for a socket with a shadow is.
    #[inline]
    fn slot(&self, sock: &WeakSock) -> &Atomic<*mut bindings::proto> {
        // SAFETY: The memory of the socket is valid.
        &self.protos[usize::from(unsafe { bindings::sock_is_inet6(sock.as_raw()) })]
    }

    /// Returns the `struct proto` that a socket has while it has a shadow, or null if no socket of its
    /// kind has had one.
    #[inline]
    fn proto_of(&self, sock: &WeakSock) -> *mut bindings::proto {
        self.slot(sock).load(ordering::Acquire)
    }

    /// Returns the `struct proto` for a socket with a shadow.
    fn proto_for(&self, sock: &TcpSock) -> Result<*mut bindings::proto> {
        let known = self.proto_of(sock);
        if !known.is_null() {
            return Ok(known);
        }
        // SAFETY: The socket is alive; the protocol that it was created with does not change.
        let creator = unsafe { callbacks::creator(sock.as_raw()) };
        let slot = self.slot(sock);
        let new = KBox::into_raw(KBox::new(callbacks::proto::<T>(creator), GFP_KERNEL)?);
        match slot.cmpxchg(ptr::null_mut(), new, ordering::Full) {
            Ok(_) => Ok(new),
            Err(other) => {
                // SAFETY: It was boxed above, and is not published.
                drop(unsafe { KBox::from_raw(new) });
                Ok(other)
            }
        }
    }
}

/// The target of a socket's `icsk_ulp_data`.
#[repr(C)]
struct Attached<T> {
    // First, and its own first field is the `work_struct`: `free` casts a pointer to that to a pointer
    // to the structure.
    free: Opaque<bindings::rcu_work>,
    shadow: Arc<T>,
}

/// # Safety
///
/// Called only by the core, as the function of `calls_free`.
unsafe extern "C" fn free<T: Shadow>(work: *mut bindings::work_struct) {
    // SAFETY: `work` is at the start of a box from `attach` that `detach` handed over.
    drop(unsafe { KBox::from_raw(work.cast::<Attached<T>>()) });
}

/// A registered protocol.
///
/// Dropping waits until all data is detached, which has to be under way, and until every call through
/// a socket has returned.
///
/// # Unloading
///
/// Until the value is dropped the core has pointers to code and statics of the module, which are valid
/// while the module is loaded. The exit function drops the `InPlaceModule` type, which holds the value,
/// before the module is unloaded. The type cannot enforce that: safe code can forget the value. The
/// module must not do that, as it must not forget a [`kernel::driver::Registration`].
pub struct Registration<T: Shadow>(&'static Ulp<T>);

impl<T: Shadow> Drop for Registration<T> {
    fn drop(&mut self) {
        call::start_leaving();
        // SAFETY: `register` has registered it.
        unsafe { bindings::tcp_unregister_ulp(self.0.ops.get()) };
        while self.0.attached.load(ordering::Acquire) != 0 {
            fsleep(DETACH_INTERVAL);
        }
        call::drain();
        for slot in &self.0.protos {
            let proto = slot.xchg(ptr::null_mut(), ordering::Full);
            if !proto.is_null() {
                // SAFETY: It was boxed. No socket has it, and all readers have finished.
                drop(unsafe { KBox::from_raw(proto) });
            }
        }
    }
}
