// SPDX-License-Identifier: GPL-2.0

//! The interrupts of the function: one for the admin queue, one for each processor.

use super::adapter::Adapter;
use crate::{
    abi::regs,
    net::irq::NapiIrq,
    offload::Client,
    util::irq::ThreadedRegistration, //
};
use kernel::{
    device::Bound,
    irq::{
        Flags,
        IrqReturn,
        ThreadedHandler, //
    },
    pci::{
        self,
        IrqType,
        IrqTypes, //
    },
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// Requested interrupts. Dropping frees them and waits for running handlers.
pub(super) struct Interrupts<'bound, C: Client> {
    _admin: Pin<KBox<ThreadedRegistration<'bound, AdminIrq<C>>>>,
    _processors: KVec<NapiIrq<'bound>>,
}

impl<'bound, C: Client> Interrupts<'bound, C> {
    /// Allocates the MSI-X vectors of `pdev` and requests them for `adapter`.
    pub(super) fn request(
        pdev: &'bound pci::Device<Bound>,
        adapter: &Arc<Adapter<C>>,
    ) -> Result<Self> {
        let count = 1 + adapter.processors.len() as u32;
        let types = IrqTypes::default().with(IrqType::MsiX);
        let vectors = Arc::new(pdev.alloc_irq_vectors(count, count, types)?, GFP_KERNEL)?;

        // The interface has no name before it is registered, and may be renamed.
        let name = pdev.as_ref().name();
        let admin = ThreadedRegistration::new(
            vectors.clone(),
            regs::ADMIN_VECTOR.into(),
            Flags::ONESHOT,
            CString::try_from_fmt(fmt!("toe-admin@pci:{}", name))?,
            AdminIrq(adapter.clone()),
        )?;
        let mut processors = KVec::new();
        for processor in &adapter.processors {
            let index = processor.index;
            let irq = NapiIrq::request(
                &vectors,
                1 + usize::from(index),
                CString::try_from_fmt(fmt!("toe-{}@pci:{}", index, name))?,
                &processor.napi,
            )?;
            processors.push(irq, GFP_KERNEL)?;
        }
        Ok(Self {
            _admin: admin,
            _processors: processors,
        })
    }
}

/// The handler of the admin queue's interrupt.
struct AdminIrq<C: Client>(Arc<Adapter<C>>);

impl<C: Client> ThreadedHandler for AdminIrq<C> {
    fn handle_threaded(&self) -> IrqReturn {
        self.0.handle_admin_events();
        IrqReturn::Handled
    }
}
