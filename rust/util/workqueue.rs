// SPDX-License-Identifier: GPL-2.0

//! What [`kernel::workqueue`] lacks: periodic work, flushing, queues of a module, and the queues
//! `system_percpu_wq` and `system_dfl_wq`. (Its own `system()` and `system_unbound()` are the deprecated queues, which warn
//! when they are used.)
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::bindings;
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    workqueue::{
        DelayedWork,
        HasDelayedWork,
        Queue,
        Work,
        WorkItem, //
    }, //
};

/// Work that is done periodically.
pub trait Tick: Send + Sync + 'static {
    /// Called in process context, never concurrently with itself for one [`Periodic`].
    fn tick(&self);
}

/// Calls a [`Tick`] periodically until it is dropped. Dropping sleeps until a running call has
/// returned.
///
/// The workqueue owns a reference to the work item, so leaking a `Periodic` leaks the [`Tick`] too.
pub struct Periodic<T: Tick>(Arc<PeriodicWork<T>>);

#[pin_data]
struct PeriodicWork<T: Tick> {
    #[pin]
    work: DelayedWork<Self>,
    target: Arc<T>,
    interval: Msecs,
}

kernel::impl_has_delayed_work! {
    impl{T: Tick} HasDelayedWork<Self> for PeriodicWork<T> { self.work }
}

impl<T: Tick> WorkItem for PeriodicWork<T> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.target.tick();
        this.schedule();
    }
}

impl<T: Tick> PeriodicWork<T> {
    fn schedule(self: Arc<Self>) {
        let delay = msecs_to_jiffies(self.interval);
        // Fails only while the work is cancelled.
        let _ = system_percpu().enqueue_delayed(self, delay);
    }
}

impl<T: Tick> Periodic<T> {
    /// Calls `target` every `interval` milliseconds, first after one interval.
    pub fn new(target: Arc<T>, interval: Msecs) -> Result<Self> {
        let work = Arc::pin_init(
            pin_init!(PeriodicWork {
                work <- kernel::new_delayed_work!("toe::Periodic"),
                target,
                interval,
            }),
            GFP_KERNEL,
        )?;
        work.clone().schedule();
        Ok(Self(work))
    }
}

impl<T: Tick> Drop for Periodic<T> {
    fn drop(&mut self) {
        cancel_delayed_work_sync(&self.0);
    }
}

/// Cancels the delayed work of `item`, and waits for it when it runs. Work that schedules itself
/// again is cancelled as well. Sleeps.
fn cancel_delayed_work_sync<T>(item: &Arc<T>)
where
    T: WorkItem<Pointer = Arc<T>> + HasDelayedWork<T>,
{
    // SAFETY: `item` is valid, and `HasDelayedWork` promises that its `work_struct` is the field of
    // an initialised `delayed_work`.
    // CAST: both bindings describe the same structures.
    let was_pending = unsafe {
        let work = Work::raw_get(T::raw_get_work(Arc::as_ptr(item).cast_mut()));
        let work = work.cast::<bindings::work_struct>();
        bindings::cancel_delayed_work_sync(kernel::container_of!(
            work,
            bindings::delayed_work,
            work
        ))
    };
    if was_pending {
        // SAFETY: `Queue::enqueue_delayed` gave a reference to the queue, which `run` would have
        // taken back. It will not be called for the work that was cancelled.
        drop(unsafe { Arc::from_raw(Arc::as_ptr(item)) });
    }
}

/// Waits until `work` is neither queued nor running. Sleeps.
pub fn flush_work<T: ?Sized, const ID: u64>(work: &Work<T, ID>) {
    // SAFETY: A `Work` is initialised. CAST: both bindings describe the same `struct work_struct`.
    unsafe { bindings::flush_work(Work::raw_get(work).cast()) };
}

/// The queue for short work on the local CPU (`system_percpu_wq`).
pub fn system_percpu() -> &'static Queue {
    // SAFETY: The system's queues are never freed. CAST: both bindings describe the same
    // `struct workqueue_struct`.
    unsafe { Queue::from_raw(bindings::system_percpu_wq.cast()) }
}

/// The queue for work that may run long, on any CPU (`system_dfl_wq`).
pub fn system_dfl() -> &'static Queue {
    // SAFETY: As above.
    unsafe { Queue::from_raw(bindings::system_dfl_wq.cast()) }
}

/// A queue of its own. Dropping it does the work that is left; sleeps.
///
/// # Invariants
///
/// The pointer owns a workqueue.
pub struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: Workqueues are used and destroyed from any thread.
unsafe impl Send for OwnedQueue {}
// SAFETY: As above.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// Creates a queue `name` that runs at most `active` items at a time, on any CPU.
    pub fn new(name: &'static CStr, active: c_int) -> Result<Self> {
        // SAFETY: `name` is valid.
        let raw = unsafe { bindings::alloc_unbound_workqueue(name.as_char_ptr(), active) };
        // INVARIANT: The queue was just allocated.
        Ok(Self(NonNull::new(raw).ok_or(ENOMEM)?))
    }
}

impl Deref for OwnedQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: By the type invariant. CAST: both bindings describe the same structure.
        unsafe { Queue::from_raw(self.0.as_ptr().cast()) }
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; nobody can queue work any more.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) }
    }
}

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(toe_util_workqueue)]
mod tests {
    use super::*;
    use crate::util::completion::Completion;

    #[pin_data]
    struct Ticked {
        #[pin]
        twice: Completion,
        ticks: crate::util::counter::Counter,
    }

    impl Tick for Ticked {
        fn tick(&self) {
            self.ticks.add(1);
            if self.ticks.get() == 2 {
                self.twice.complete_all();
            }
        }
    }

    #[test]
    fn ticks_until_dropped() -> Result {
        let ticked = Arc::pin_init(
            pin_init!(Ticked {
                twice <- Completion::new(),
                ticks: crate::util::counter::Counter::new(),
            }),
            GFP_KERNEL,
        )?;
        let periodic = Periodic::new(ticked.clone(), 1)?;
        assert!(ticked
            .twice
            .wait_for_completion_timeout(msecs_to_jiffies(10_000)));
        drop(periodic);
        // The work item was the only other owner.
        assert!(Arc::into_unique_or_drop(ticked).is_some());
        Ok(())
    }
}
