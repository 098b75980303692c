// SPDX-License-Identifier: GPL-2.0

//! NAPI: polling a queue in softirq context.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use super::{
    device::{
        Allocation,
        InstanceLock,
        NetDevice,
        Operations, //
    },
    queue::TxQueue, //
};
use crate::bindings;
use core::{
    cell::{
        Cell,
        UnsafeCell, //
    },
    marker::PhantomData, //
};
use kernel::{
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    types::Opaque, //
};

/// What a NAPI instance polls: the state of a queue that only its poll touches.
pub trait Poll: Send + 'static {
    /// What schedules the next poll.
    type Interrupt: Interrupt;

    /// Does up to `budget` units of receive work. With a budget of 0 only transmit work may be done.
    fn poll(&mut self, cx: &Context<'_>, budget: usize) -> Polled<Self::Interrupt>;
}

/// What came of a poll.
pub enum Polled<I> {
    /// There is more to do.
    More,
    /// All is done, `work` units of it, less than the budget; none if there was nothing to do.
    Done {
        /// Of receive or transmit work.
        work: usize,
        /// Asked for unless the core polls again by itself: its user may prefer that to interrupts
        /// (`napi-defer-hard-irqs`, `irq-suspend-timeout`, busy polling).
        interrupt: Option<I>,
    },
}

/// An interrupt that calls [`Napi::schedule`].
///
/// It is asked for when the poll is over and the next may be under way, even when the instance is
/// disabled: it has nothing of the state that is polled.
pub trait Interrupt {
    /// Asks for it. True when what it would tell of has happened meanwhile: there may be none.
    fn request(self) -> bool;
}

/// The poll in progress.
pub struct Context<'a> {
    napi: &'a Instance,
    redirected: Cell<bool>,
}

impl<'a> Context<'a> {
    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::napi_struct {
        self.napi.as_raw()
    }

    /// The device polled for.
    #[inline]
    pub fn device(&self) -> &'a NetDevice {
        self.napi.dev.device()
    }

    /// Whether GRO holds frames.
    #[inline]
    pub fn gro_holds(&self) -> bool {
        // SAFETY: `self` proves that this is the instance's own poll: nobody else touches it.
        let gro = unsafe { &(*self.as_raw()).gro };
        gro.bitmask != 0 || gro.rx_count != 0
    }

    /// Passes all frames that GRO holds towards the stack. They are there once the poll returns.
    #[inline]
    pub fn gro_flush(&self) {
        // SAFETY: `self` proves that this is the instance's own poll.
        unsafe { bindings::napi_gro_flush(self.as_raw(), false) }
    }

    /// Runs `f` on the state of transmit queue `index`, under the queue's lock; `None` when the
    /// device is none of `T`'s, or nothing is sent now. `f` must not send through the stack.
    #[inline]
    pub fn transmit<T: Operations, R>(
        &self,
        index: u16,
        f: impl FnOnce(TxQueue<'_>, &mut T::TxQueue) -> R,
    ) -> Option<R> {
        // SAFETY: In a poll bottom halves are off.
        unsafe { self.device().with_tx_queue::<T, R>(index, f) }
    }

    /// A program has sent a frame elsewhere, where it arrives by the end of the poll.
    #[inline]
    pub(super) fn redirected(&self) {
        self.redirected.set(true);
    }
}

/// A `napi_struct` for a queue of a device.
///
/// It is the device's while it is enabled only: to switch a disabled one off from being threaded
/// the core would wait for ever.
///
/// # Invariants
///
/// `state` is null, or owns a pinned `P` of the [`Napi<P>`] that this belongs to; it is written under
/// the device's instance lock while `raw` cannot be scheduled only. With state `raw` is added to
/// `dev` and enabled, without it cannot be scheduled.
#[pin_data(PinnedDrop)]
pub struct Instance {
    #[pin]
    raw: Opaque<bindings::napi_struct>,
    state: UnsafeCell<*mut c_void>,
    free: unsafe fn(*mut c_void),
    dev: Arc<Allocation>,
    queue: u16,
    /// Number of the interrupt that schedules it, -1 if none is known.
    irq: Atomic<i32>,
}

// SAFETY: `napi_struct` does its own synchronisation; `state` is of a type that is `Send`, and is
// accessed as the type invariant says.
unsafe impl Send for Instance {}
// SAFETY: As above.
unsafe impl Sync for Instance {}

impl Instance {
    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::napi_struct {
        self.raw.get()
    }
}

#[pinned_drop]
impl PinnedDrop for Instance {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Nobody else refers to the instance. With state it is enabled; the lock is held
        // around what needs it, and state freed when nothing polls it any more.
        unsafe {
            let state = *self.state.get();
            if state.is_null() {
                return;
            }
            let dev = self.dev.device().as_raw();
            bindings::netdev_lock(dev);
            bindings::napi_disable_locked(self.as_raw());
            bindings::netif_napi_del_locked(self.as_raw());
            bindings::netdev_unlock(dev);
            (self.free)(state);
        }
    }
}

/// A NAPI instance that polls a `P`. A handle: clones are the same instance.
///
/// To be dropped in process context.
pub struct Napi<P: Poll>(Arc<Instance>, PhantomData<fn(P)>);

impl<P: Poll> Clone for Napi<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<P: Poll> Napi<P> {
    /// An instance for queue `queue` of a device. It is disabled. What is set of the queue's instance
    /// (`netdev napi-set`) outlives that.
    pub fn new(dev: &Arc<Allocation>, queue: u16) -> Result<Self> {
        if u32::from(queue) >= dev.device().num_tx_queues() {
            return Err(EINVAL);
        }
        let dev = dev.clone();
        let instance = Arc::pin_init(
            pin_init!(Instance {
                raw <- Opaque::ffi_init(|raw: *mut bindings::napi_struct| {
                    // SAFETY: `raw` is valid for writes; a zeroed `napi_struct` is what
                    // `netif_napi_add_config_locked` expects.
                    unsafe {
                        core::ptr::write_bytes(raw, 0, 1);
                        // INVARIANT: With these it cannot be scheduled.
                        // CAST: two flags.
                        (*raw).state =
                            (bindings::NAPIF_STATE_SCHED | bindings::NAPIF_STATE_NPSVC) as c_ulong;
                        // No processor polls it.
                        (*raw).list_owner = -1;
                    }
                }),
                state: UnsafeCell::new(core::ptr::null_mut()),
                free: Self::free,
                dev,
                queue,
                irq: Atomic::new(-1),
            }),
            GFP_KERNEL,
        )?;
        Ok(Self(instance, PhantomData))
    }

    /// The instance without its type.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.0
    }

    /// Enables the instance to poll `state`.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] when it is enabled already, [`EINVAL`] when `lock` is another device's.
    pub fn enable(&self, lock: &InstanceLock<'_>, state: KBox<P>) -> Result {
        let this = &*self.0;
        if !core::ptr::eq(lock.device(), this.dev.device()) {
            return Err(EINVAL);
        }
        // SAFETY: The instance lock is held, so nobody else looks.
        if !unsafe { *this.state.get() }.is_null() {
            return Err(EBUSY);
        }
        let dev = this.dev.device().as_raw();
        // SAFETY: The instance is disabled, so no poll looks at `state` before it is enabled, and
        // the lock that all of these need is held. `queue` is in range, as `new` checked, and the
        // instance is taken away before it or the device is freed.
        // INVARIANT: `state` owns a `P`, and the instance is added and enabled.
        unsafe {
            *this.state.get() = KBox::into_raw(state).cast();
            bindings::netif_napi_add_config_locked(
                dev,
                this.as_raw(),
                Some(Self::poll_callback),
                this.queue.into(),
            );
            bindings::netif_napi_set_irq_locked(this.as_raw(), this.irq.load(Relaxed));
            bindings::napi_enable_locked(this.as_raw());
            for kind in [
                bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_RX,
                bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_TX,
            ] {
                bindings::netif_queue_set_napi(dev, this.queue.into(), kind, this.as_raw());
            }
        }
        Ok(())
    }

    /// Disables the instance: waits for a poll under way, its interrupt having been asked for, and
    /// gives back what it polled. `None` when it was not enabled, or when `lock` is another device's.
    pub fn disable(&self, lock: &InstanceLock<'_>) -> Option<KBox<P>> {
        let this = &*self.0;
        if !core::ptr::eq(lock.device(), this.dev.device()) {
            return None;
        }
        // SAFETY: The instance lock is held, so nobody else changes it.
        let state = unsafe { *this.state.get() };
        if state.is_null() {
            return None;
        }
        let dev = this.dev.device().as_raw();
        // SAFETY: The instance is enabled, and the lock that all of these need is held. After
        // `napi_disable_locked` no poll looks at `state`, which `enable` made from a box of a `P`.
        // INVARIANT: A disabled instance cannot be scheduled, whether it is added or not.
        unsafe {
            for kind in [
                bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_RX,
                bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_TX,
            ] {
                bindings::netif_queue_set_napi(dev, this.queue.into(), kind, core::ptr::null_mut());
            }
            bindings::napi_disable_locked(this.as_raw());
            // Also waits for the last poll to return.
            bindings::netif_napi_del_locked(this.as_raw());
            *this.state.get() = core::ptr::null_mut();
            Some(KBox::from_raw(state.cast()))
        }
    }

    /// Schedules a poll, unless the instance is disabled. From any context.
    #[inline]
    pub fn schedule(&self) {
        // SAFETY: By the type invariant the instance is added to its device or cannot be scheduled.
        unsafe { bindings::napi_schedule(self.0.as_raw()) }
    }

    /// Says which interrupt schedules the instance, for whoever asks once it is enabled.
    pub fn set_irq(&self, irq: u32) {
        // CAST: there are not that many.
        self.0.irq.store(irq as i32, Relaxed);
    }

    /// # Safety
    ///
    /// `state` must come from a box of a `P`.
    unsafe fn free(state: *mut c_void) {
        // SAFETY: The caller promises it.
        drop(unsafe { KBox::<P>::from_raw(state.cast()) });
    }

    /// # Safety
    ///
    /// Only for `netif_napi_add_config_locked` of an [`Instance`] that belongs to a `Napi<P>`.
    unsafe extern "C" fn poll_callback(raw: *mut bindings::napi_struct, budget: c_int) -> c_int {
        // SAFETY: `raw` is the field of a live, pinned `Instance`.
        let napi =
            unsafe { &*kernel::container_of!(Opaque::cast_from(raw.cast_const()), Instance, raw) };
        // SAFETY: A poll runs only while the instance is enabled, hence with state, and only one at
        // a time.
        let state = unsafe { &mut *(*napi.state.get()).cast::<P>() };
        let allowed = budget.max(0) as usize;
        let cx = Context {
            napi,
            redirected: Cell::new(false),
        };
        let polled = state.poll(&cx, allowed);
        if cx.redirected.get() {
            // SAFETY: This is the poll that redirected.
            unsafe { bindings::xdp_do_flush() };
        }
        match polled {
            Polled::Done { work, interrupt } if work < allowed => {
                // CAST: less than the budget.
                let work = work as c_int;
                // SAFETY: This is the instance's own poll.
                let idle = unsafe { bindings::napi_complete_done(raw, work) };
                if idle && interrupt.is_some_and(Interrupt::request) {
                    // SAFETY: The instance is added to its device until this poll has returned.
                    unsafe { bindings::napi_schedule(raw) };
                }
                work
            }
            _ => budget,
        }
    }
}
