// SPDX-License-Identifier: GPL-2.0

//! PCI functions that access host memory.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    device::{
        self,
        Bound,
        Core, //
    },
    dma::{
        Device as _,
        DmaMask, //
    },
    pci,
    prelude::*, //
};

/// A driver of a PCI function that does DMA. Registered as [`DmaAdapter`].
pub trait DmaDriver {
    /// The driver's data of a bound function.
    type Data<'bound>: Send + 'bound;

    /// The functions that the driver supports.
    const ID_TABLE: pci::IdTable<()>;

    /// The addresses that the function reaches.
    const DMA_MASK: DmaMask;

    /// Binds a function. Its memory is decoded and its DMA mask is set.
    fn probe(pdev: &pci::Device<Bound>) -> Result<Self::Data<'_>>;
}

/// The [`pci::Driver`] of a [`DmaDriver`].
///
/// The kernel crate's functions that set DMA limits are unsafe, because they must not run in parallel
/// to DMA mappings of the device. This adapter calls them before the driver sees the device.
pub struct DmaAdapter<T>(PhantomData<T>);

impl<T: DmaDriver> pci::Driver for DmaAdapter<T> {
    type IdInfo = ();
    type Data<'bound> = T::Data<'bound>;
    const ID_TABLE: pci::IdTable<()> = T::ID_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound ()>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        pdev.enable_device_mem()?;
        // SAFETY: The driver has not been given the device yet, and no mapping outlives a binding:
        // nothing allocates or maps DMA memory of the device.
        unsafe {
            pdev.dma_set_mask_and_coherent(T::DMA_MASK)?;
            // The length of a mapping is not limited.
            pdev.dma_set_max_seg_size(u32::MAX);
        }
        T::probe(pdev)
    }
}

/// Permits or forbids the function `dev` to access host memory (bus mastering).
///
/// # Errors
///
/// `EINVAL` when `dev` is no PCI function.
pub fn set_bus_master(dev: &device::Device<Bound>, on: bool) -> Result {
    let pdev: &pci::Device<Bound> = dev.try_into()?;
    // CAST: both bindings describe the same `struct pci_dev`, and `pci::Device` is transparent over
    // it.
    let raw = core::ptr::from_ref(pdev).cast_mut().cast();
    // SAFETY: The device is valid and bound.
    unsafe {
        match on {
            true => bindings::pci_set_master(raw),
            false => bindings::pci_clear_master(raw),
        }
    }
    Ok(())
}
