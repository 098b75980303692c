// SPDX-License-Identifier: GPL-2.0

//! MSI-X vectors and what they call.
//!
//! C headers: [`include/linux/pci.h`](srctree/include/linux/pci.h),
//! [`include/linux/interrupt.h`](srctree/include/linux/interrupt.h)

use super::napi::{
    Instance,
    Napi,
    Poll, //
};
use crate::bindings;
use kernel::{
    device::Bound,
    error::to_result,
    ffi::{
        c_int,
        c_void, //
    },
    pci,
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// Something that handles an interrupt in a thread of its own.
pub trait ThreadHandler: Send + Sync + 'static {
    /// Called in process context, never twice at a time.
    fn handle(&self);
}

/// A vector in use.
///
/// # Invariants
///
/// `irq` is requested with `name` and `cookie`; `cookie` is what `put` expects.
struct Action {
    irq: u32,
    cookie: *mut c_void,
    put: unsafe fn(*mut c_void),
    _name: CString,
}

impl Drop for Action {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. After `free_irq` the handler does not run any more, so
        // nothing but `self` refers to the cookie.
        unsafe {
            bindings::free_irq(self.irq, self.cookie);
            (self.put)(self.cookie);
        }
    }
}

/// The MSI-X vectors of a PCI function.
///
/// Dropping it waits for running handlers, lets go of what they call, and frees the vectors.
///
/// # Invariants
///
/// `count` vectors of `pdev` are allocated.
pub struct Vectors<'a> {
    pdev: &'a pci::Device<Bound>,
    count: u32,
    actions: KVec<Action>,
}

// SAFETY: Cookies are references to values that are `Send` and `Sync`.
unsafe impl Send for Vectors<'_> {}

fn raw_pci(pdev: &pci::Device<Bound>) -> *mut bindings::pci_dev {
    // CAST: both bindings describe the same `struct pci_dev`, and `pci::Device` is transparent over
    // it.
    core::ptr::from_ref(pdev).cast_mut().cast()
}

impl<'a> Vectors<'a> {
    /// Allocates exactly `count` vectors.
    pub fn new(pdev: &'a pci::Device<Bound>, count: u32) -> Result<Self> {
        // SAFETY: The function is valid and bound.
        let result = unsafe {
            bindings::pci_alloc_irq_vectors(raw_pci(pdev), count, count, bindings::PCI_IRQ_MSIX)
        };
        to_result(result)?;
        // INVARIANT: `pci_alloc_irq_vectors` allocated them.
        Ok(Self {
            pdev,
            count,
            actions: KVec::new(),
        })
    }

    /// The interrupt number of a vector.
    fn irq(&self, vector: u32) -> Result<u32> {
        if vector >= self.count {
            return Err(EINVAL);
        }
        // SAFETY: The function is valid and has that vector.
        let irq = unsafe { bindings::pci_irq_vector(raw_pci(self.pdev), vector) };
        to_result(irq)?;
        Ok(irq as u32)
    }

    /// Lets `vector` schedule `napi`.
    pub fn request_napi<P: Poll>(&mut self, vector: u32, name: CString, napi: &Napi<P>) -> Result {
        let irq = self.irq(vector)?;
        self.actions.reserve(1, GFP_KERNEL)?;
        let cookie = Arc::into_raw(napi.instance().clone()).cast_mut().cast();
        // SAFETY: `name` and `cookie` stay valid until the interrupt is freed; the handler expects
        // such a cookie.
        let result = unsafe {
            bindings::request_irq(irq, Some(napi_handler), 0, name.as_char_ptr(), cookie)
        };
        self.install(irq, cookie, put_arc::<Instance>, name, result)?;
        napi.set_irq(irq);
        Ok(())
    }

    /// Lets `vector` call `handler` in a thread.
    pub fn request_thread<H: ThreadHandler>(
        &mut self,
        vector: u32,
        name: CString,
        handler: Arc<H>,
    ) -> Result {
        let irq = self.irq(vector)?;
        self.actions.reserve(1, GFP_KERNEL)?;
        let cookie = Arc::into_raw(handler).cast_mut().cast();
        // SAFETY: As above.
        let result = unsafe {
            bindings::request_threaded_irq(
                irq,
                None,
                Some(thread_handler::<H>),
                bindings::IRQF_ONESHOT as usize,
                name.as_char_ptr(),
                cookie,
            )
        };
        self.install(irq, cookie, put_arc::<H>, name, result)
    }

    fn install(
        &mut self,
        irq: u32,
        cookie: *mut c_void,
        put: unsafe fn(*mut c_void),
        name: CString,
        result: c_int,
    ) -> Result {
        if let Err(error) = to_result(result) {
            // SAFETY: The interrupt was not requested: the cookie is still ours alone.
            unsafe { put(cookie) };
            return Err(error);
        }
        // INVARIANT: The interrupt was requested with these.
        let action = Action {
            irq,
            cookie,
            put,
            _name: name,
        };
        Ok(self.actions.push(action, GFP_KERNEL)?)
    }
}

impl Drop for Vectors<'_> {
    fn drop(&mut self) {
        self.actions.clear();
        // SAFETY: By the type invariant; no interrupt is requested any more.
        unsafe { bindings::pci_free_irq_vectors(raw_pci(self.pdev)) };
    }
}

/// # Safety
///
/// `cookie` must come from `Arc::<T>::into_raw`, and not be used any more.
unsafe fn put_arc<T>(cookie: *mut c_void) {
    // SAFETY: The caller promises it.
    drop(unsafe { Arc::from_raw(cookie.cast::<T>().cast_const()) });
}

/// # Safety
///
/// Only for `request_irq` with a cookie from an `Arc<Instance>`.
unsafe extern "C" fn napi_handler(_irq: c_int, cookie: *mut c_void) -> bindings::irqreturn_t {
    // SAFETY: The cookie is valid until the interrupt is freed. Interrupts are off.
    unsafe { bindings::napi_schedule_irqoff((*cookie.cast::<Instance>()).as_raw()) };
    bindings::irqreturn::IRQ_HANDLED
}

/// # Safety
///
/// Only for `request_threaded_irq` with a cookie from an `Arc<H>`.
unsafe extern "C" fn thread_handler<H: ThreadHandler>(
    _irq: c_int,
    cookie: *mut c_void,
) -> bindings::irqreturn_t {
    // SAFETY: The cookie is valid until the interrupt is freed.
    unsafe { &*cookie.cast::<H>() }.handle();
    bindings::irqreturn::IRQ_HANDLED
}
