// SPDX-License-Identifier: GPL-2.0

//! Something done at intervals in process context.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::bindings;
use kernel::{
    prelude::*,
    sync::Arc,
    types::Opaque,
    workqueue::{
        Queue,
        Work, //
    }, //
};

/// What is done.
pub trait Tick: Send + Sync + 'static {
    /// Called in process context, never twice at a time.
    fn tick(&self);
}

/// Calls a [`Tick`] at intervals, until dropped.
///
/// # Invariants
///
/// `work` is initialised with the callback of this type, and not under way once `self` is gone.
#[pin_data(PinnedDrop)]
pub struct Periodic<T: Tick> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    target: Arc<T>,
    interval_ms: u32,
}

// SAFETY: A work item is not bound to a thread; the rest is `Send` and `Sync` by its bounds.
unsafe impl<T: Tick> Send for Periodic<T> {}
// SAFETY: As above; nothing is changed by shared reference.
unsafe impl<T: Tick> Sync for Periodic<T> {}

impl<T: Tick> Periodic<T> {
    /// Calls `target` every `interval_ms` milliseconds from now on.
    pub fn new(target: Arc<T>, interval_ms: u32) -> Result<Pin<KBox<Self>>> {
        let this = KBox::pin_init(
            pin_init!(Self {
                work <- Opaque::ffi_init(|work: *mut bindings::delayed_work| {
                    // SAFETY: `work` is valid for writes and pinned; it is cancelled before it is
                    // gone.
                    // CAST: both bindings describe the same `struct lock_class_key`.
                    unsafe {
                        bindings::INIT_DELAYED_WORK(
                            work,
                            Some(Self::callback),
                            c"toe::Periodic".as_char_ptr(),
                            kernel::static_lock_class!().as_ptr().cast(),
                        )
                    }
                }),
                target,
                interval_ms,
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: The work item is initialised.
        unsafe { bindings::schedule_delayed_work(this.work.get(), interval_ms) };
        Ok(this)
    }

    /// # Safety
    ///
    /// Only for the work item of a live `Periodic<T>`.
    unsafe extern "C" fn callback(work: *mut bindings::work_struct) {
        // SAFETY: `work` is the field of a `delayed_work`, and that the field of a `Periodic<T>`.
        let this = unsafe {
            let delayed = kernel::container_of!(work, bindings::delayed_work, work);
            &*kernel::container_of!(Opaque::cast_from(delayed), Self, work)
        };
        this.target.tick();
        // SAFETY: The work item is initialised; `cancel_delayed_work_sync` copes with one that
        // schedules itself.
        unsafe { bindings::schedule_delayed_work(this.work.get(), this.interval_ms) };
    }
}

#[pinned_drop]
impl<T: Tick> PinnedDrop for Periodic<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The work item is initialised. Afterwards the callback neither runs nor is due.
        unsafe { bindings::cancel_delayed_work_sync(self.work.get()) };
    }
}

/// Waits until `work` is not under way any more. Sleeps.
pub fn flush<T: ?Sized, const ID: u64>(work: &Work<T, ID>) {
    // SAFETY: A `Work` is initialised. CAST: both bindings describe the same `struct work_struct`.
    unsafe { bindings::flush_work(Work::raw_get(work).cast()) };
}

/// The queue for work that may take long, on any CPU (`system_dfl_wq`).
pub fn unbound() -> &'static Queue {
    // SAFETY: The system's queues live as long as the system. CAST: both bindings describe the same
    // `struct workqueue_struct`.
    unsafe { Queue::from_raw(bindings::system_dfl_wq.cast()) }
}
