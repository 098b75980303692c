// SPDX-License-Identifier: GPL-2.0

//! Interrupts of the function: one of the admin queue, one of each queue pair.

use super::{
    adapter::Adapter,
    function::Function, //
};
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

/// Requested interrupts. Dropping them frees them, and waits for running handlers.
pub(super) struct Interrupts<'bound> {
    _admin: Pin<KBox<ThreadedRegistration<'bound, AdminIrq>>>,
    _channels: KVec<NapiIrq<'bound>>,
}

impl<'bound> Interrupts<'bound> {
    /// Allocates the MSI-X vectors of `pdev`, and requests them for `adapter`.
    pub(super) fn request<C: Client>(
        pdev: &'bound pci::Device<Bound>,
        adapter: &Adapter<C>,
    ) -> Result<Self> {
        let count = 1 + adapter.channels.len() as u32;
        let types = IrqTypes::default().with(IrqType::MsiX);
        let vectors = Arc::new(pdev.alloc_irq_vectors(count, count, types)?, GFP_KERNEL)?;

        // The interface has no name before it is registered, and may be renamed.
        let name = pdev.as_ref().name();
        let admin = ThreadedRegistration::new(
            vectors.clone(),
            regs::ADMIN_VECTOR.into(),
            Flags::ONESHOT,
            CString::try_from_fmt(fmt!("toe-admin@pci:{}", name))?,
            AdminIrq(adapter.function.clone()),
        )?;
        let mut channels = KVec::new();
        for channel in &adapter.channels {
            let index = channel.index;
            let irq = NapiIrq::request(
                &vectors,
                1 + usize::from(index),
                CString::try_from_fmt(fmt!("toe-{}@pci:{}", index, name))?,
                &channel.napi,
            )?;
            channels.push(irq, GFP_KERNEL)?;
        }
        Ok(Self {
            _admin: admin,
            _channels: channels,
        })
    }
}

/// Handler of the admin queue's interrupt.
struct AdminIrq(Arc<Function>);

impl ThreadedHandler for AdminIrq {
    fn handle_threaded(&self) -> IrqReturn {
        self.0.handle_events();
        IrqReturn::Handled
    }
}
