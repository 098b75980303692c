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
    types::Opaque, //
};

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
            _shadow: PhantomData,
        }
    }

    /// Registers the protocol with TCP.
    pub fn register(&'static self) -> Result<Registration<T>> {
        // SAFETY: The calls and `ops` are static and complete.
        unsafe {
            bindings::calls_begin(&callbacks::FirstCalls::<T>::CALLS);
            to_result(bindings::tcp_register_ulp(self.ops.get()))?;
        }
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
            bindings::tcp_ulp_data(sock.as_raw(), self.ops.get())
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

    /// Attaches `shadow` to a socket that has no ULP. Process context; sleeps.
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
                // Written by `call_rcu`.
                rcu: Opaque::uninit(),
                shadow,
            },
            GFP_KERNEL,
        )?);
        // SAFETY: The process owns the socket. The socket owns `attached` until that is detached;
        // `proto` stays until no socket has it.
        let ret = to_result(unsafe {
            bindings::tcp_attach(
                sk,
                self.ops.get(),
                attached.cast(),
                proto,
                Some(callbacks::backlog_rcv::<T>),
            )
        });
        if ret.is_err() {
            // SAFETY: It was boxed above, and the socket has not taken it.
            drop(unsafe { KBox::from_raw(attached) });
        }
        ret
    }

    /// Detaches the data, if any: the socket is an ordinary one again. RCU readers may use the data
    /// until the end of a grace period.
    pub fn detach(&self, lock: &mut impl Lock) {
        let sk = lock.sock().as_raw();
        // SAFETY: The socket is locked.
        let attached = unsafe { bindings::tcp_ulp_data(sk, self.ops.get()) }.cast::<Attached<T>>();
        if attached.is_null() {
            return;
        }
        // SAFETY: The socket is locked. `attach` boxed the data, which no new reader finds from here
        // on. Its `rcu` is not in use.
        unsafe {
            bindings::tcp_detach(sk);
            bindings::call_rcu(
                Opaque::cast_into(&raw const (*attached).rcu),
                Some(free::<T>),
            );
        }
    }

    /// Returns the `struct proto` for a socket with a shadow.
    fn proto_for(&self, sock: &TcpSock) -> Result<*mut bindings::proto> {
        // SAFETY: The socket is alive; the protocol that it was created with does not change.
        let creator = unsafe { callbacks::creator(sock.as_raw()) };
        // SAFETY: The socket is alive.
        let slot = &self.protos[usize::from(unsafe { bindings::sock_is_inet6(sock.as_raw()) })];
        let known = slot.load(ordering::Acquire);
        if !known.is_null() {
            return Ok(known);
        }
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
    // First: `free` casts a pointer to this field to a pointer to the structure.
    rcu: Opaque<bindings::callback_head>,
    shadow: Arc<T>,
}

/// # Safety
///
/// Called only by the core, as the callback of `call_rcu`.
unsafe extern "C" fn free<T: Shadow>(rcu: *mut bindings::callback_head) {
    // SAFETY: `rcu` is the first field of a box from `attach` that `detach` handed over.
    drop(unsafe { KBox::from_raw(rcu.cast::<Attached<T>>()) });
}

/// A registered protocol.
///
/// All data has to be detached before it is dropped. Dropping waits until every call through a socket
/// has returned.
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
        call::drain();
        rcu::rcu_barrier();
        for slot in &self.0.protos {
            let proto = slot.xchg(ptr::null_mut(), ordering::Full);
            if !proto.is_null() {
                // SAFETY: It was boxed. No socket has it, and all readers have finished.
                drop(unsafe { KBox::from_raw(proto) });
            }
        }
    }
}
