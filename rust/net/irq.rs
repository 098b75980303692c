// SPDX-License-Identifier: GPL-2.0

//! Interrupts that schedule NAPI instances.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use super::napi::{
    Instance,
    Napi,
    Poll, //
};
use crate::{
    bindings,
    util::irq::Registration, //
};
use kernel::{
    irq::{
        Flags,
        Handler,
        IrqRequest,
        IrqReturn, //
    },
    pci::IrqVectorRegistration,
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// The interrupt of a NAPI instance. Dropping frees it and waits for a running handler.
pub struct NapiIrq<'a>(#[expect(dead_code)] Pin<KBox<Registration<'a, Schedule>>>);

impl<'a> NapiIrq<'a> {
    /// Lets vector number `index` schedule `napi`, under the name `name` in `/proc/interrupts`.
    pub fn request<P: Poll>(
        vectors: &Arc<IrqVectorRegistration<'a>>,
        index: usize,
        name: CString,
        napi: &Napi<P>,
    ) -> Result<Self> {
        let irq = IrqRequest::from(vectors.index(index)?).irq();
        let handler = Schedule(napi.instance().clone());
        let registration =
            Registration::new(vectors.clone(), index, Flags::TRIGGER_NONE, name, handler)?;
        napi.set_irq(irq);
        Ok(Self(registration))
    }
}

/// Schedules the instance. Only its registration has the value, so only the IRQ core calls it.
struct Schedule(Arc<Instance>);

impl Handler for Schedule {
    #[inline]
    fn handle(&self) -> IrqReturn {
        // SAFETY: The instance is added to its device or cannot be scheduled. Interrupts are off
        // (`napi_schedule_irqoff` copes with the forced threads of PREEMPT_RT).
        unsafe { bindings::napi_schedule_irqoff(self.0.as_raw()) };
        IrqReturn::Handled
    }
}
