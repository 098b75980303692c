// SPDX-License-Identifier: GPL-2.0

//! NAPI: polling the queues of a device in softirq context.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

mod context;

pub use self::context::{
    RxContext,
    RxSkBuff,
    TxContext, //
};

use super::{
    netdev::{
        Allocation,
        InstanceLock, //
    },
    netmem::Pool,
    queue::TxQueue, //
};
use crate::bindings;
use core::{
    cell::UnsafeCell,
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

/// The most page pools of one instance.
const MAX_POOLS: usize = 8;

/// State of a queue pair that only its NAPI poll accesses.
///
/// # Examples
///
/// A poll that receives frames from a hypothetical ring:
///
/// ```
/// use crate::net::{
///     napi::{
///         Interrupt,
///         Poll,
///         Polled,
///         RxContext,
///         TxContext, //
///     },
///     netmem::Pool,
///     page_pool::PagePool, //
/// };
/// use kernel::{
///     prelude::*,
///     sync::Arc, //
/// };
///
/// struct RxRing {
///     pool: PagePool,
///     frames: KVec<KVec<u8>>,
/// }
///
/// struct Arm;
///
/// impl Interrupt for Arm {
///     fn arm(self) -> bool {
///         // Write the doorbell. No frame can have arrived in between.
///         false
///     }
/// }
///
/// impl Poll for RxRing {
///     type Interrupt = Arm;
///
///     fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
///         core::iter::once(self.pool.pool())
///     }
///
///     fn poll(&mut self, _tx: &TxContext<'_>, rx: Option<&RxContext<'_>>) -> Polled<Arm> {
///         let Some(rx) = rx else {
///             return Polled::More;
///         };
///         let mut work = 0;
///         while work < rx.budget() {
///             let Some(frame) = self.frames.pop() else {
///                 return Polled::Done { work, interrupt: Some(Arm) };
///             };
///             if let Some(mut skb) = rx.alloc_skb(frame.len() as u32) {
///                 if let Ok(skb) = skb.put(&frame).and_then(|()| rx.eth_type_trans(skb)) {
///                     skb.gro_receive();
///                 }
///             }
///             work += 1;
///         }
///         Polled::More
///     }
/// }
/// ```
pub trait Poll: Send + 'static {
    /// The interrupt that schedules the next poll.
    type Interrupt: Interrupt;

    /// The page pools that only this poll allocates from, at most 8. While the instance is enabled,
    /// memory freed in its context returns to their caches without a lock.
    fn pools(&self) -> impl Iterator<Item = &Arc<Pool>>;

    /// Completes transmitted frames, and receives up to [`RxContext::budget`] frames. Without `rx`
    /// (budget 0, netpoll) only transmit work is allowed.
    fn poll(&mut self, tx: &TxContext<'_>, rx: Option<&RxContext<'_>>) -> Polled<Self::Interrupt>;
}

/// Result of a poll.
pub enum Polled<I> {
    /// There is more work.
    More,
    /// All work is done.
    Done {
        /// Units of work, less than the budget; 0 when there was nothing to do.
        work: usize,
        /// The interrupt to arm unless the core polls again by itself, as the user may prefer
        /// (`napi-defer-hard-irqs`, `irq-suspend-timeout`, busy polling).
        interrupt: Option<I>,
    },
}

/// An interrupt that schedules an instance.
///
/// It is armed when the poll is over. The next one may already run, or the instance be disabled, so
/// it does not refer to the [`Poll`] state.
pub trait Interrupt {
    /// Arms the interrupt. Returns true when its cause occurred meanwhile, so that no interrupt may
    /// follow.
    fn arm(self) -> bool;
}

/// State of an enabled instance.
struct Enabled {
    /// A `P` of the [`Napi<P>`], from [`KBox::into_raw`].
    poll: *mut c_void,
    /// Frees `poll`.
    free: unsafe fn(*mut c_void),
    /// Linked to the instance.
    pools: [Option<Arc<Pool>>; MAX_POOLS],
}

impl Enabled {
    /// # Safety
    ///
    /// The instance must be disabled.
    unsafe fn unlink(&mut self) {
        for pool in self.pools.iter_mut().filter_map(Option::take) {
            // SAFETY: Linked when it was stored; the instance is disabled by the caller's promise.
            unsafe { pool.unlink() };
        }
    }
}

/// A `napi_struct` for a queue pair of a device.
///
/// The core waits forever when threaded mode is turned off on a disabled instance, so the instance
/// is added to its device only while enabled.
///
/// # Invariants
///
/// `state` changes only under the device's instance lock, while `raw` cannot be scheduled. With
/// `state`, `raw` is added to `dev` and enabled; without, it cannot be scheduled. `queue` is a queue
/// pair of `dev`.
#[pin_data(PinnedDrop)]
pub struct Instance {
    #[pin]
    raw: Opaque<bindings::napi_struct>,
    state: UnsafeCell<Option<Enabled>>,
    dev: Arc<Allocation>,
    queue: u16,
    /// Number of the interrupt that schedules the instance; -1 when unknown.
    irq: Atomic<i32>,
}

// SAFETY: `napi_struct` is not bound to a thread; `state` owns a `Send` type and is accessed as the
// type invariant says.
unsafe impl Send for Instance {}
// SAFETY: As above.
unsafe impl Sync for Instance {}

impl Instance {
    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::napi_struct {
        self.raw.get()
    }

    /// Links the instance to the queue in netlink's view, or unlinks it.
    ///
    /// # Safety
    ///
    /// The device's instance lock must be held. `napi` is null or the instance, added.
    unsafe fn set_queue_napi(&self, napi: *mut bindings::napi_struct) {
        let dev = self.dev.device().as_raw();
        for kind in [
            bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_RX,
            bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_TX,
        ] {
            // SAFETY: The lock is held, and the queue exists by the type invariant.
            unsafe { bindings::netif_queue_set_napi(dev, self.queue.into(), kind, napi) };
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Instance {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Nothing else refers to the instance.
        let Some(mut state) = (unsafe { (*self.state.get()).take() }) else {
            return;
        };
        let dev = self.dev.device().as_raw();
        // SAFETY: By the type invariant the instance is enabled. The lock is held where required, and
        // the state freed once nothing polls it.
        unsafe {
            bindings::netdev_lock(dev);
            bindings::napi_disable_locked(self.as_raw());
            state.unlink();
            bindings::netif_napi_del_locked(self.as_raw());
            bindings::netdev_unlock(dev);
            (state.free)(state.poll);
        }
    }
}

/// A NAPI instance that polls a `P`. Clones refer to the same instance.
///
/// Must be dropped in process context.
///
/// # Invariants
///
/// With state, the instance's state is a `P`.
pub struct Napi<P: Poll>(Arc<Instance>, PhantomData<fn(P)>);

impl<P: Poll> Clone for Napi<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<P: Poll> Napi<P> {
    /// Creates a disabled instance for queue pair `queue` of `dev`. Settings of the queue's instance
    /// (`netdev napi-set`) are kept while it is disabled.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] when there is no such queue pair, [`ENOMEM`].
    pub fn new(dev: &Arc<Allocation>, queue: u16) -> Result<Self> {
        if u32::from(queue) >= dev.device().num_tx_queues() {
            return Err(EINVAL);
        }
        let dev = dev.clone();
        // INVARIANT: The queue exists, as checked.
        let instance = Arc::pin_init(
            pin_init!(Instance {
                raw <- Opaque::ffi_init(|raw: *mut bindings::napi_struct| {
                    // SAFETY: `raw` is valid for writes; `netif_napi_add_config_locked` expects a
                    // zeroed `napi_struct`.
                    unsafe {
                        core::ptr::write_bytes(raw, 0, 1);
                        // INVARIANT: With these it cannot be scheduled.
                        // CAST: two flags.
                        (*raw).state =
                            (bindings::NAPIF_STATE_SCHED | bindings::NAPIF_STATE_NPSVC) as c_ulong;
                        // No CPU polls it.
                        (*raw).list_owner = -1;
                    }
                }),
                state: UnsafeCell::new(None),
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

    /// Enables the instance to poll `state`, and clears the BQL state of its transmit queue. The
    /// driver must not post frames to the queue before.
    ///
    /// # Errors
    ///
    /// Returns `state` with [`EBUSY`] when this or another instance polls the queue, or another one uses a
    /// pool, [`EINVAL`] when `lock` belongs to another device, [`E2BIG`] when there are too many pools.
    pub fn enable(&self, lock: &InstanceLock<'_>, state: KBox<P>) -> Result<(), (Error, KBox<P>)> {
        let this = &*self.0;
        if !lock.is_of(&this.dev) {
            return Err((EINVAL, state));
        }
        // SAFETY: The instance lock is held, so nothing else accesses it.
        let slot = unsafe { &mut *this.state.get() };
        // SAFETY: The queue exists by the type invariant.
        let queue = unsafe { TxQueue::new_unchecked(this.dev.device(), this.queue) };
        if slot.is_some() || queue.has_napi() {
            return Err((EBUSY, state));
        }
        let mut enabled = Enabled {
            poll: core::ptr::null_mut(),
            free: Self::free,
            pools: [const { None }; MAX_POOLS],
        };
        // SAFETY: The instance is disabled.
        if let Err(error) = unsafe { this.link(&mut enabled, &*state) } {
            return Err((error, state));
        }
        enabled.poll = KBox::into_raw(state).cast();
        *slot = Some(enabled);
        // SAFETY: No enabled instance completes frames of the queue.
        queue.with_lock_bh(|queue| unsafe { queue.reset() });
        // SAFETY: The instance is disabled, and the instance lock held. `queue` exists by the type
        // invariant. The instance is removed before it or the device is freed.
        // INVARIANT: The instance has a `P` as its state, is added and enabled.
        unsafe {
            bindings::netif_napi_add_config_locked(
                this.dev.device().as_raw(),
                this.as_raw(),
                Some(Self::poll_callback),
                this.queue.into(),
            );
            bindings::netif_napi_set_irq_locked(this.as_raw(), this.irq.load(Relaxed));
            bindings::napi_enable_locked(this.as_raw());
            this.set_queue_napi(this.as_raw());
        }
        Ok(())
    }

    /// Disables the instance: waits for a running poll, including its [`Interrupt::arm`], and returns
    /// the state. `None` when the instance is disabled or `lock` belongs to another device.
    pub fn disable(&self, lock: &InstanceLock<'_>) -> Option<KBox<P>> {
        let this = &*self.0;
        if !lock.is_of(&this.dev) {
            return None;
        }
        // SAFETY: The instance lock is held, so nothing else changes it; a poll only reads it.
        unsafe { (*this.state.get()).as_ref()? };
        // SAFETY: The instance is enabled, and the instance lock held. After `napi_disable_locked` no
        // poll accesses the state, which is a `P` by the type invariant.
        // INVARIANT: A disabled instance cannot be scheduled, added or not.
        unsafe {
            this.set_queue_napi(core::ptr::null_mut());
            bindings::napi_disable_locked(this.as_raw());
            let mut state = (*this.state.get()).take()?;
            state.unlink();
            // Waits also for the last poll to return.
            bindings::netif_napi_del_locked(this.as_raw());
            Some(KBox::from_raw(state.poll.cast()))
        }
    }

    /// Schedules a poll, unless the instance is disabled. In process context: the poll runs before
    /// this returns, or on the CPU that polls already.
    #[inline]
    pub fn schedule(&self) {
        // SAFETY: By the type invariant the instance is added to its device or cannot be scheduled.
        unsafe { bindings::napi_schedule_bh(self.0.as_raw()) }
    }

    /// Sets the number of the interrupt that schedules the instance, to be reported from the next
    /// [`Self::enable`] on.
    pub fn set_irq(&self, irq: u32) {
        // CAST: interrupt numbers are small.
        self.0.irq.store(irq as i32, Relaxed);
    }

    /// # Safety
    ///
    /// `state` must come from a box of a `P`, and not be used any more.
    unsafe fn free(state: *mut c_void) {
        // SAFETY: The caller promises it.
        drop(unsafe { KBox::<P>::from_raw(state.cast()) });
    }

    /// # Safety
    ///
    /// Only for `netif_napi_add_config_locked` of the [`Instance`] of a `Napi<P>`.
    unsafe extern "C" fn poll_callback(raw: *mut bindings::napi_struct, budget: c_int) -> c_int {
        // SAFETY: `raw` is the field of a live, pinned `Instance`.
        let napi =
            unsafe { &*kernel::container_of!(Opaque::cast_from(raw.cast_const()), Instance, raw) };
        // SAFETY: A poll runs only while the instance is enabled, hence with state.
        let Some(enabled) = (unsafe { &*napi.state.get() }) else {
            return 0;
        };
        // SAFETY: The state is a `P`; only one poll runs at a time, and nothing else accesses it.
        let state = unsafe { &mut *enabled.poll.cast::<P>() };
        let allowed = budget.max(0) as usize;
        // SAFETY: This is the instance's poll, with this budget.
        let (tx, rx) = unsafe { context::new(napi, allowed) };
        let polled = state.poll(&tx, rx.as_ref());
        if let Some(rx) = rx {
            rx.finish();
        }
        match polled {
            Polled::Done { work, interrupt } if work < allowed => {
                // CAST: less than the budget.
                let work = work as c_int;
                // SAFETY: This is the instance's poll.
                let idle = unsafe { bindings::napi_complete_done(raw, work) };
                if idle && interrupt.is_some_and(Interrupt::arm) {
                    // SAFETY: The instance is added to its device until this poll has returned.
                    unsafe { bindings::napi_schedule(raw) };
                }
                work
            }
            _ => budget,
        }
    }
}

impl Instance {
    /// Links the pools of `state` to the instance; on an error none is linked.
    ///
    /// # Safety
    ///
    /// The instance must be disabled.
    unsafe fn link<P: Poll>(&self, enabled: &mut Enabled, state: &P) -> Result {
        let mut slots = enabled.pools.iter_mut();
        let result = state.pools().try_for_each(|pool| {
            let slot = slots.next().ok_or(E2BIG)?;
            // SAFETY: The instance is disabled. `enabled` holds a reference until it unlinks the pool,
            // which it does when the instance is disabled.
            unsafe { pool.link(self.as_raw())? };
            *slot = Some(pool.clone());
            Ok(())
        });
        if result.is_err() {
            // SAFETY: The instance is disabled.
            unsafe { enabled.unlink() };
        }
        result
    }
}
