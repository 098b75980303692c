// SPDX-License-Identifier: GPL-2.0

//! IRQ handlers of PCI functions, registered under names made at run time.
//!
//! C header: [`include/linux/interrupt.h`](srctree/include/linux/interrupt.h)

use kernel::{
    irq::{
        self,
        Flags,
        Handler,
        IrqRequest,
        ThreadedHandler, //
    },
    pci::IrqVectorRegistration,
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// A registration of the kernel crate, with the name and the vectors that it borrows.
///
/// [`irq::Registration`] and [`irq::ThreadedRegistration`] take `'static` names only, and borrow the
/// allocation of the vectors.
///
/// # Invariants
///
/// `inner` borrows nothing but `_name`, `_vectors` and what is valid for `'a`.
#[pin_data]
pub struct Named<'a, R> {
    // Dropped first.
    #[pin]
    inner: R,
    _name: CString,
    _vectors: Arc<IrqVectorRegistration<'a>>,
}

/// An [`irq::Registration`] under a name made at run time.
pub type Registration<'a, H> = Named<'a, irq::Registration<'a, H>>;

/// An [`irq::ThreadedRegistration`] under a name made at run time.
pub type ThreadedRegistration<'a, H> = Named<'a, irq::ThreadedRegistration<'a, H>>;

impl<'a, H: Handler + 'static> Registration<'a, H> {
    /// Registers `handler` for vector number `index`.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] when there is no such vector, and what `request_irq` returns.
    pub fn new(
        vectors: Arc<IrqVectorRegistration<'a>>,
        index: usize,
        flags: Flags,
        name: CString,
        handler: H,
    ) -> Result<Pin<KBox<Self>>> {
        // SAFETY: Both results are only passed to the registration `inner`.
        let (request, raw_name) = unsafe { lend(&vectors, index, &name)? };
        // SAFETY: A registration that is leaked leaks its name and vectors as well, and `H` is
        // `'static`, so everything that the handler uses stays valid.
        let inner = unsafe { irq::Registration::new(request, flags, raw_name, Ok(handler)) };
        Self::pin(inner, name, vectors)
    }
}

impl<'a, H: ThreadedHandler + 'static> ThreadedRegistration<'a, H> {
    /// Registers `handler` for vector number `index`.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] when there is no such vector, and what `request_threaded_irq` returns.
    pub fn new(
        vectors: Arc<IrqVectorRegistration<'a>>,
        index: usize,
        flags: Flags,
        name: CString,
        handler: H,
    ) -> Result<Pin<KBox<Self>>> {
        // SAFETY: Both results are only passed to the registration `inner`.
        let (request, raw_name) = unsafe { lend(&vectors, index, &name)? };
        // SAFETY: As for `Registration`.
        let inner =
            unsafe { irq::ThreadedRegistration::new(request, flags, raw_name, Ok(handler)) };
        Self::pin(inner, name, vectors)
    }
}

impl<'a, R> Named<'a, R> {
    fn pin(
        inner: impl PinInit<R, Error>,
        name: CString,
        vectors: Arc<IrqVectorRegistration<'a>>,
    ) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                inner <- inner,
                _name: name,
                _vectors: vectors,
            }),
            GFP_KERNEL,
        )
    }
}

/// Borrows vector number `index` and `name` for a [`Named`].
///
/// # Safety
///
/// What is borrowed must be used only as long as `vectors` is held and `name` exists.
unsafe fn lend<'a>(
    vectors: &Arc<IrqVectorRegistration<'a>>,
    index: usize,
    name: &CString,
) -> Result<(IrqRequest<'a>, &'static CStr)> {
    // SAFETY: The caller promises that the vectors and the name exist as long as they are used. Their
    // addresses do not change when the `Arc` and the `CString` move.
    let (vectors, name) = unsafe {
        (
            &*core::ptr::from_ref::<IrqVectorRegistration<'a>>(vectors),
            &*core::ptr::from_ref::<CStr>(name),
        )
    };
    Ok((vectors.index(index)?.into(), name))
}
