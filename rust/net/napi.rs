// SPDX-License-Identifier: GPL-2.0

//! NAPI: polling a queue in softirq context.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use super::device::Allocation;
use super::device::InstanceLock;
use super::device::NetDevice;
use super::device::Operations;
use super::queue::TxQueue;
use crate::bindings;
use core::cell::Cell;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use kernel::ffi::c_int;
use kernel::ffi::c_void;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::types::Opaque;

/// What a NAPI instance polls: the state of a queue that only its poll touches.
pub trait Poll: Send + 'static {
    /// Does up to `budget` units of receive work, and says how many it did.
    ///
    /// With less than `budget` the instance is done and waits for [`Napi::schedule`]: whatever
    /// calls that has to be armed before this returns. A call that comes meanwhile is not lost.
    /// With a budget of 0 only transmit work may be done.
    fn poll(&mut self, cx: &Context<'_>, budget: usize) -> usize;
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

/// A `napi_struct` that is part of a device.
///
/// # Invariants
///
/// `raw` is added to `dev`. `state` is null, or owns a pinned `P` of the [`Napi<P>`] that this
/// belongs to; it is written under the device's instance lock while the instance is disabled only.
#[pin_data(PinnedDrop)]
pub struct Instance {
    #[pin]
    raw: Opaque<bindings::napi_struct>,
    state: UnsafeCell<*mut c_void>,
    free: unsafe fn(*mut c_void),
    dev: Arc<Allocation>,
    queue: u16,
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
        // SAFETY: The instance is added and nobody else refers to it. With state it is enabled.
        unsafe {
            let state = *self.state.get();
            if !state.is_null() {
                bindings::napi_disable(self.as_raw());
            }
            bindings::netif_napi_del(self.as_raw());
            if !state.is_null() {
                (self.free)(state);
            }
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
    /// Adds an instance for queue `queue` to a device. It is disabled.
    pub fn new(dev: &Arc<Allocation>, queue: u16) -> Result<Self> {
        if u32::from(queue) >= dev.device().num_tx_queues() {
            return Err(EINVAL);
        }
        let dev = dev.clone();
        let instance = Arc::pin_init(
            pin_init!(Instance {
                raw <- Opaque::ffi_init(|raw: *mut bindings::napi_struct| {
                    // SAFETY: `raw` is valid for writes; a zeroed `napi_struct` is what
                    // `netif_napi_add_config` expects. It is removed when the instance is dropped,
                    // before the device is freed; `queue` is in range, as checked.
                    unsafe {
                        core::ptr::write_bytes(raw, 0, 1);
                        bindings::netif_napi_add_config(
                            dev.device().as_raw(),
                            raw,
                            Some(Self::poll_callback),
                            queue.into(),
                        );
                    }
                }),
                state: UnsafeCell::new(core::ptr::null_mut()),
                free: Self::free,
                dev: dev.clone(),
                queue,
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
        // the lock that all of these need is held.
        // INVARIANT: `state` owns a `P`.
        unsafe {
            *this.state.get() = KBox::into_raw(state).cast();
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

    /// Disables the instance: waits for a poll under way, and gives back what it polled. `None` when
    /// it was not enabled, or when `lock` is another device's.
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
        unsafe {
            for kind in [
                bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_RX,
                bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_TX,
            ] {
                bindings::netif_queue_set_napi(dev, this.queue.into(), kind, core::ptr::null_mut());
            }
            bindings::napi_disable_locked(this.as_raw());
            *this.state.get() = core::ptr::null_mut();
            Some(KBox::from_raw(state.cast()))
        }
    }

    /// Schedules a poll, unless the instance is disabled. From any context.
    #[inline]
    pub fn schedule(&self) {
        // SAFETY: The instance is added to its device.
        unsafe { bindings::napi_schedule(self.0.as_raw()) }
    }

    /// Binds the instance to the interrupt that schedules it, for whoever asks.
    pub fn set_irq(&self, irq: u32) {
        let dev = self.0.dev.device();
        // SAFETY: The instance is added to its device; the lock is held around the call.
        unsafe {
            bindings::netdev_lock(dev.as_raw());
            bindings::netif_napi_set_irq_locked(self.0.as_raw(), irq as c_int);
            bindings::netdev_unlock(dev.as_raw());
        }
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
    /// Only for `netif_napi_add_config` of an [`Instance`] that belongs to a `Napi<P>`.
    unsafe extern "C" fn poll_callback(raw: *mut bindings::napi_struct, budget: c_int) -> c_int {
        // SAFETY: `raw` is the field of a live, pinned `Instance`.
        let napi =
            unsafe { &*kernel::container_of!(Opaque::cast_from(raw.cast_const()), Instance, raw) };
        // SAFETY: A poll runs only while the instance is enabled, hence with state, and only one at
        // a time.
        let state = unsafe { &mut *(*napi.state.get()).cast::<P>() };
        let budget = budget.max(0) as usize;
        let cx = Context {
            napi,
            redirected: Cell::new(false),
        };
        let done = state.poll(&cx, budget).min(budget);
        if cx.redirected.get() {
            // SAFETY: This is the poll that redirected.
            unsafe { bindings::xdp_do_flush() };
        }
        if done < budget {
            // SAFETY: This is the instance's own poll.
            unsafe { bindings::napi_complete_done(raw, done as c_int) };
        }
        done as c_int
    }
}
