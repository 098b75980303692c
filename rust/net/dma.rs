// SPDX-License-Identifier: GPL-2.0

//! DMA memory: coherent rings and pages, and streaming mappings of frames for the device to read.
//!
//! C header: [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h)

use super::{
    skb::{
        Frag,
        SkBuff, //
    },
    xdp::XdpFrame, //
};
use crate::{
    bindings,
    util::device::raw_device, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    devres::Devres,
    dma::{
        Coherent,
        DmaAddress, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// A ring of entries of `ENTRY` bytes in coherent memory. The number of entries is a power of two.
///
/// Entries are copied in and out with relaxed atomic accesses of 64 bits. An entry that the device
/// writes at the same time is read as a mixture of old and new words.
///
/// # Invariants
///
/// `memory` has `mask + 1` entries, a power of two.
pub struct Ring<const ENTRY: usize> {
    memory: Coherent<[u64]>,
    mask: u32,
}

impl<const ENTRY: usize> Ring<ENTRY> {
    const WORDS: usize = {
        assert!(ENTRY % 8 == 0);
        ENTRY / 8
    };

    /// Allocates a zeroed, page-aligned ring of `1 << log2` entries.
    pub fn new(dev: &device::Device<Bound>, log2: u8) -> Result<Self> {
        let entries = 1u32.checked_shl(log2.into()).ok_or(EINVAL)?;
        let words = (entries as usize).checked_mul(Self::WORDS).ok_or(EINVAL)?;
        // INVARIANT: There are at least `words` words, which are `entries` entries.
        Ok(Self {
            memory: Coherent::zeroed_slice(dev, words.max(PAGE_SIZE / 8), GFP_KERNEL)?,
            mask: entries - 1,
        })
    }

    /// Number of entries.
    #[inline]
    pub fn entries(&self) -> u32 {
        self.mask + 1
    }

    /// Base-2 logarithm of [`Self::entries`].
    #[inline]
    pub fn log2(&self) -> u8 {
        self.mask.trailing_ones() as u8
    }

    /// DMA address of the first entry.
    #[inline]
    pub fn dma_address(&self) -> DmaAddress {
        self.memory.dma_address()
    }

    #[inline]
    fn words(&self, index: u32) -> &[Atomic<u64>] {
        let first = (index & self.mask) as usize * Self::WORDS;
        // SAFETY: By the type invariant the entry is within the memory, which is valid as long as
        // `self`. The host accesses it atomically only.
        unsafe {
            let start = self.memory.as_ptr().cast::<Atomic<u64>>().add(first);
            core::slice::from_raw_parts(start, Self::WORDS)
        }
    }

    /// Writes the entry at `index`, taken modulo the number of entries.
    #[inline]
    pub fn write(&self, index: u32, entry: &[u8; ENTRY]) {
        for (word, bytes) in self.words(index).iter().zip(entry.chunks_exact(8)) {
            let mut raw = [0; 8];
            raw.copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(raw), Relaxed);
        }
    }

    /// Reads the entry at `index`, taken modulo the number of entries.
    #[inline]
    pub fn read(&self, index: u32) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        for (word, bytes) in self.words(index).iter().zip(entry.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        entry
    }
}

/// A page of coherent memory that the device writes and the host reads.
pub struct SharedPage(Coherent<[u64]>);

impl SharedPage {
    /// Allocates a zeroed page.
    pub fn new(dev: &device::Device<Bound>) -> Result<Self> {
        Ok(Self(Coherent::zeroed_slice(
            dev,
            PAGE_SIZE / 8,
            GFP_KERNEL,
        )?))
    }

    /// DMA address of the page.
    #[inline]
    pub fn dma_address(&self) -> DmaAddress {
        self.0.dma_address()
    }

    /// Reads the little-endian 32-bit word at byte `OFFSET`, with acquire semantics: what the device
    /// wrote before it is visible afterwards.
    #[inline]
    pub fn load_acquire<const OFFSET: usize>(&self) -> u32 {
        const { assert!(OFFSET % 4 == 0 && OFFSET < PAGE_SIZE) };
        // SAFETY: The word is within the page, and accessed atomically only.
        let word = unsafe { &*self.0.as_ptr().cast::<Atomic<u32>>().add(OFFSET / 4) };
        u32::from_le(word.load(Acquire))
    }

    /// Reads the little-endian 64-bit word at byte `offset`, rounded down to a multiple of 8. Returns 0
    /// beyond the end of the page.
    #[inline]
    pub fn load64(&self, offset: usize) -> u64 {
        if offset >= PAGE_SIZE {
            return 0;
        }
        // SAFETY: The word is within the page, and accessed atomically only.
        let word = unsafe { &*self.0.as_ptr().cast::<Atomic<u64>>().add(offset / 8) };
        u64::from_le(word.load(Relaxed))
    }
}

/// Bytes in coherent memory that the device reads.
pub struct SharedBytes(Coherent<[u8]>);

impl SharedBytes {
    /// Allocates memory and copies `bytes` into it.
    pub fn new(dev: &device::Device<Bound>, bytes: &[u8]) -> Result<Self> {
        Ok(Self(Coherent::from_slice(dev, bytes, GFP_KERNEL)?))
    }

    /// DMA address of the first byte.
    pub fn dma_address(&self) -> DmaAddress {
        self.0.dma_address()
    }
}

/// A streaming mapping that the device reads (`DMA_TO_DEVICE`).
///
/// It must be given back to [`Mapper::unmap`], or it stays mapped.
#[must_use]
pub struct Mapping {
    address: DmaAddress,
    length: u32,
    /// The device that it is mapped for.
    dev: *mut bindings::device,
    /// Whether it must be unmapped. A `net_iov` is mapped by its owner.
    mapped: bool,
}

// SAFETY: A mapping is not bound to a thread. The pointer is only compared.
unsafe impl Send for Mapping {}

impl Mapping {
    /// DMA address of the memory.
    #[inline]
    pub fn address(&self) -> DmaAddress {
        self.address
    }

    /// Length in bytes.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        self.length
    }
}

/// Maps memory for one device to read, as long as the device is bound to its driver.
///
/// The DMA API may only be used for a bound device. A mapper may outlive the binding: it maps and
/// unmaps nothing then. The check is an RCU read-side critical section around each call, which is
/// negligible beside the mapping itself. Clones are the same mapper.
#[derive(Clone)]
pub struct Mapper(Arc<Devres<()>>);

impl Mapper {
    /// Creates a mapper for `dev`.
    pub fn new(dev: &device::Device<Bound>) -> Result<Self> {
        Ok(Self(Arc::new(Devres::new(dev, ())?, GFP_KERNEL)?))
    }

    #[inline]
    fn dev(&self) -> *mut bindings::device {
        raw_device(self.0.device())
    }

    /// Maps `length` bytes by `map`; `None` when that fails or the device is unbound.
    ///
    /// # Safety
    ///
    /// `map` must return what a function of the DMA API does for the device.
    #[inline]
    unsafe fn map(
        &self,
        length: u32,
        map: impl FnOnce(*mut bindings::device) -> DmaAddress,
    ) -> Option<Mapping> {
        let _bound = self.0.try_access()?;
        let dev = self.dev();
        let address = map(dev);
        // SAFETY: The device is valid and bound.
        (unsafe { bindings::dma_mapping_error(dev, address) } == 0).then_some(Mapping {
            address,
            length,
            dev,
            mapped: true,
        })
    }

    /// Maps the linear part of `skb`. Returns `None` when that fails.
    #[inline]
    pub fn map_linear(&self, skb: &SkBuff) -> Option<Mapping> {
        self.map_bytes(skb.linear())
    }

    /// Maps the linear part of `frame`. Returns `None` when that fails.
    #[inline]
    pub fn map_frame(&self, frame: &XdpFrame) -> Option<Mapping> {
        self.map_bytes(frame.linear())
    }

    #[inline]
    fn map_bytes(&self, linear: &[u8]) -> Option<Mapping> {
        // SAFETY: The device is valid and bound, and the memory is in the kernel's linear mapping.
        unsafe {
            self.map(linear.len() as u32, |dev| {
                bindings::dma_map_single(
                    dev,
                    linear.as_ptr().cast_mut().cast(),
                    linear.len(),
                    bindings::dma_data_direction::DMA_TO_DEVICE,
                )
            })
        }
    }

    /// Maps a fragment of a frame that is sent through the device. Returns `None` when that fails.
    ///
    /// A `net_iov` has a DMA address already; the core has checked that it is one for this device
    /// (`validate_xmit_unreadable_skb`).
    #[inline]
    pub fn map_frag(&self, frag: &Frag) -> Option<Mapping> {
        // SAFETY: The device is valid and bound, and so is the fragment valid.
        let mapping = unsafe {
            self.map(frag.size(), |dev| {
                bindings::skb_frag_dma_map(dev, frag.as_raw())
            })?
        };
        Some(Mapping {
            mapped: frag.is_in_pages(),
            ..mapping
        })
    }

    /// Unmaps what this mapper or a clone of it mapped. Does nothing once the device is unbound.
    #[inline]
    pub fn unmap(&self, mapping: Mapping) {
        if mapping.dev != self.dev() {
            pr_err!("unmap: not a mapping of this device, it stays mapped\n");
            return;
        }
        if !mapping.mapped {
            return;
        }
        let Some(_bound) = self.0.try_access() else {
            return;
        };
        // SAFETY: The device is valid and bound, the mapping was made for it and is consumed here.
        // `dma_map_single` is undone by `dma_unmap_page` as well.
        unsafe {
            bindings::dma_unmap_page(
                self.dev(),
                mapping.address,
                mapping.length as usize,
                bindings::dma_data_direction::DMA_TO_DEVICE,
            )
        }
    }
}

/// A fragment that is mapped for the device to read, with a reference to its memory. Dropping it
/// unmaps the fragment and drops the reference.
///
/// # Invariants
///
/// The value owns one reference to `memory`.
pub struct MappedFrag {
    mapping: Option<Mapping>,
    mapper: Mapper,
    memory: bindings::netmem_ref,
}

impl MappedFrag {
    /// Maps `frag` and takes a reference to its memory.
    ///
    /// # Errors
    ///
    /// [`EIO`] when it cannot be mapped, or is a `net_iov`: that may be bound to another device.
    pub fn new(mapper: &Mapper, frag: &Frag) -> Result<Self> {
        if !frag.is_in_pages() {
            return Err(EIO);
        }
        let mapping = mapper.map_frag(frag).ok_or(EIO)?;
        // SAFETY: The memory is valid as long as `frag`.
        let memory = unsafe {
            let memory = bindings::skb_frag_netmem(frag.as_raw());
            bindings::get_netmem(memory);
            memory
        };
        // INVARIANT: The reference was taken above.
        Ok(Self {
            mapping: Some(mapping),
            mapper: mapper.clone(),
            memory,
        })
    }

    /// DMA address of the memory.
    #[inline]
    pub fn address(&self) -> DmaAddress {
        self.mapping.as_ref().map_or(0, Mapping::address)
    }
}

impl Drop for MappedFrag {
    fn drop(&mut self) {
        if let Some(mapping) = self.mapping.take() {
            self.mapper.unmap(mapping);
        }
        // SAFETY: By the type invariant; the value is gone after this.
        unsafe { bindings::put_netmem(self.memory) };
    }
}
