// SPDX-License-Identifier: GPL-2.0

//! Restarting single queue pairs while the others run: for memory providers that applications bind
//! to a receive queue (devmem TCP, io_uring zero-copy receive).
//!
//! C header: [`include/net/netdev_queues.h`](srctree/include/net/netdev_queues.h)

use super::{
    control::Control,
    operations::Operations,
    state::Private, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    mem,
    ptr, //
};
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// Operations on single queue pairs, under the instance lock. Indices are those of queues in use.
pub trait QueueManagement: Operations {
    /// The memory that a queue pair runs on.
    type Memory: Send;

    /// Largest log2 of the pages per block that the user may configure, at most
    /// [`MAX_ORDER`](crate::net::page_pool::MAX_ORDER).
    const MAX_ORDER: u32;

    /// Allocates memory for a queue pair, which may be running. Also called while the interface is
    /// down.
    fn prepare_queue(cx: &mut Control<'_, Self>, index: u16) -> Result<Self::Memory>;

    /// Stops a queue pair, and returns memory on which it can be started again as it was. After an
    /// error it is still running.
    fn stop_queue(cx: &mut Control<'_, Self>, index: u16) -> Result<Self::Memory>;

    /// Starts a stopped queue pair.
    fn start_queue(cx: &mut Control<'_, Self>, index: u16, memory: Self::Memory) -> Result;
}

/// log2 of the pages in `bytes`, a queue's page size; `None` when the driver may choose.
fn order(bytes: u32, max: u32) -> Result<Option<u32>> {
    let pages = bytes as usize / PAGE_SIZE;
    match bytes as usize % PAGE_SIZE {
        _ if bytes == 0 => Ok(None),
        0 if pages.is_power_of_two() && pages.ilog2() <= max => Ok(Some(pages.ilog2())),
        _ => Err(ERANGE),
    }
}

impl<T: QueueManagement> Control<'_, T> {
    /// log2 of the pages per block that the user configured for receive queue `index`; `None` when
    /// the driver may choose.
    pub fn queue_order(&self, index: u16) -> Option<u32> {
        let mut config = bindings::netdev_queue_config::default();
        // SAFETY: The device is registered with queue management, or about to be, and its instance
        // lock is held.
        unsafe {
            bindings::netdev_queue_config(self.device().as_raw(), index.into(), &mut config);
        }
        order(config.rx_page_size, T::MAX_ORDER).ok().flatten()
    }
}

/// The operations of `T` as the core calls them: for devices whose [`super::Registration<T>`] is
/// alive, with the instance lock held. The core keeps a pointer for each queue's memory, zeroed at
/// first: null, or from [`KBox::into_raw`].
pub(super) struct VTable<T: QueueManagement>(PhantomData<T>);

/// The core's memory for a queue of `T`.
type Slot<T> = *mut <T as QueueManagement>::Memory;

#[expect(
    clippy::missing_safety_doc,
    reason = "the type documents it for all callbacks"
)]
impl<T: QueueManagement> VTable<T> {
    pub(super) const OPS: bindings::netdev_queue_mgmt_ops = bindings::netdev_queue_mgmt_ops {
        ndo_queue_mem_size: size_of::<Slot<T>>(),
        ndo_queue_mem_alloc: Some(Self::mem_alloc),
        ndo_queue_mem_free: Some(Self::mem_free),
        ndo_queue_start: Some(Self::start),
        ndo_queue_stop: Some(Self::stop),
        ndo_validate_qcfg: Some(Self::validate),
        supported_params: bindings::QCFG_RX_PAGE_SIZE,
        ..pin_init::zeroed()
    };

    /// Stores the result of `f` in `memory`.
    ///
    /// # Safety
    ///
    /// As the type says; `memory` holds null.
    unsafe fn put(
        dev: *mut bindings::net_device,
        memory: *mut c_void,
        f: impl FnOnce(&mut Control<'_, T>) -> Result<T::Memory>,
    ) -> c_int {
        let make = || -> Result {
            // First, so that an allocation failure has no effect.
            let place = KBox::new_uninit(GFP_KERNEL)?;
            // SAFETY: The instance lock is held, by the caller's promise.
            let made = f(&mut unsafe { Private::control(dev) })?;
            let made = KBox::into_raw(KBox::write(place, made));
            // SAFETY: The core has memory for a pointer there.
            unsafe { memory.cast::<Slot<T>>().write(made) };
            Ok(())
        };
        make().map_or_else(|error| error.to_errno(), |()| 0)
    }

    /// Takes the content of `memory`.
    ///
    /// # Safety
    ///
    /// As the type says.
    unsafe fn take(memory: *mut c_void) -> Option<KBox<T::Memory>> {
        // SAFETY: The core has a pointer from `put` there, or null.
        unsafe {
            let slot = &mut *memory.cast::<Slot<T>>();
            let taken = mem::replace(slot, ptr::null_mut());
            (!taken.is_null()).then(|| KBox::from_raw(taken))
        }
    }

    unsafe extern "C" fn validate(
        _dev: *mut bindings::net_device,
        config: *mut bindings::netdev_queue_config,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: The core passes a valid configuration.
        match order(unsafe { (*config).rx_page_size }, T::MAX_ORDER) {
            Ok(_) => 0,
            Err(error) => error.to_errno(),
        }
    }

    unsafe extern "C" fn mem_alloc(
        dev: *mut bindings::net_device,
        _config: *mut bindings::netdev_queue_config,
        memory: *mut c_void,
        index: c_int,
    ) -> c_int {
        // SAFETY: As the type says. CAST: a queue in use.
        unsafe { Self::put(dev, memory, |cx| T::prepare_queue(cx, index as u16)) }
    }

    unsafe extern "C" fn mem_free(_dev: *mut bindings::net_device, memory: *mut c_void) {
        // SAFETY: As the type says.
        drop(unsafe { Self::take(memory) });
    }

    unsafe extern "C" fn stop(
        dev: *mut bindings::net_device,
        memory: *mut c_void,
        index: c_int,
    ) -> c_int {
        // SAFETY: As the type says. CAST: a queue in use.
        unsafe { Self::put(dev, memory, |cx| T::stop_queue(cx, index as u16)) }
    }

    unsafe extern "C" fn start(
        dev: *mut bindings::net_device,
        _config: *mut bindings::netdev_queue_config,
        memory: *mut c_void,
        index: c_int,
    ) -> c_int {
        // SAFETY: As the type says.
        let Some(memory) = (unsafe { Self::take(memory) }) else {
            return EINVAL.to_errno();
        };
        // SAFETY: The instance lock is held. CAST: a queue in use.
        let result = unsafe {
            T::start_queue(
                &mut Private::control(dev),
                index as u16,
                KBox::into_inner(memory),
            )
        };
        result.map_or_else(|error| error.to_errno(), |()| 0)
    }
}
