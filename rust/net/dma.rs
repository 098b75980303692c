// SPDX-License-Identifier: GPL-2.0

//! Memory that the host and a device share: rings, a status page, and mapped pieces of frames.
//!
//! C header: [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h)

use super::{
    skb::{
        Frag,
        SkBuff, //
    },
    xdp, //
};
use crate::bindings;
use kernel::{
    device::{
        self,
        Bound, //
    },
    dma::{
        Coherent,
        DmaAddress, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Relaxed, //
        }, //
    }, //
};

/// The device as this module's bindings see it.
#[inline]
pub(super) fn raw_device<C: device::DeviceContext>(
    dev: &device::Device<C>,
) -> *mut bindings::device {
    // CAST: both bindings describe the same `struct device`, and `device::Device` is transparent
    // over it.
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// A ring of entries of `ENTRY` bytes, a power of two of them, in coherent memory.
///
/// Entries are copied in and out word by word. The device may write at the same time; what is read
/// then is some mixture, never undefined.
///
/// # Invariants
///
/// The memory holds `mask + 1` entries.
pub struct Ring<const ENTRY: usize> {
    memory: Coherent<[u64]>,
    mask: u32,
}

impl<const ENTRY: usize> Ring<ENTRY> {
    const WORDS: usize = {
        assert!(ENTRY % 8 == 0);
        ENTRY / 8
    };

    /// A zeroed ring of `1 << log2` entries, page-aligned.
    pub fn new(dev: &device::Device<Bound>, log2: u8) -> Result<Self> {
        let entries = 1u32.checked_shl(log2.into()).ok_or(EINVAL)?;
        let words = (entries as usize).checked_mul(Self::WORDS).ok_or(EINVAL)?;
        // INVARIANT: So many words are so many entries.
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

    /// Where the device finds the ring.
    #[inline]
    pub fn dma_address(&self) -> DmaAddress {
        self.memory.dma_address()
    }

    #[inline]
    fn words(&self, index: u32) -> &[Atomic<u64>] {
        let first = (index & self.mask) as usize * Self::WORDS;
        // SAFETY: By the type invariant the entry is within the memory, which lives as long as
        // `self`. It is only ever accessed atomically by the host.
        unsafe {
            let start = self.memory.as_ptr().cast::<Atomic<u64>>().add(first);
            core::slice::from_raw_parts(start, Self::WORDS)
        }
    }

    /// Writes the entry of the free-running `index`.
    #[inline]
    pub fn write(&self, index: u32, entry: &[u8; ENTRY]) {
        for (word, bytes) in self.words(index).iter().zip(entry.chunks_exact(8)) {
            let mut raw = [0; 8];
            raw.copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(raw), Relaxed);
        }
    }

    /// Reads the entry of the free-running `index`.
    #[inline]
    pub fn read(&self, index: u32) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        for (word, bytes) in self.words(index).iter().zip(entry.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        entry
    }
}

/// A page of coherent memory in which each word has one writer.
pub struct SharedPage(Coherent<[u64]>);

impl SharedPage {
    /// A zeroed page.
    pub fn new(dev: &device::Device<Bound>) -> Result<Self> {
        Ok(Self(Coherent::zeroed_slice(
            dev,
            PAGE_SIZE / 8,
            GFP_KERNEL,
        )?))
    }

    /// Where the device finds the page.
    #[inline]
    pub fn dma_address(&self) -> DmaAddress {
        self.0.dma_address()
    }

    /// The little-endian word at `OFFSET`; what the device wrote before it is visible then.
    #[inline]
    pub fn load_acquire<const OFFSET: usize>(&self) -> u32 {
        const { assert!(OFFSET % 4 == 0 && OFFSET < PAGE_SIZE) };
        // SAFETY: The word is within the page, and accessed atomically only.
        let word = unsafe { &*self.0.as_ptr().cast::<Atomic<u32>>().add(OFFSET / 4) };
        u32::from_le(word.load(Acquire))
    }

    /// The little-endian 64-bit word at `offset`; 0 when that is not within the page.
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

/// Bytes in coherent memory: the operand of a command.
pub struct SharedBytes(Coherent<[u8]>);

impl SharedBytes {
    /// A copy of `bytes`.
    pub fn new(dev: &device::Device<Bound>, bytes: &[u8]) -> Result<Self> {
        Ok(Self(Coherent::from_slice(dev, bytes, GFP_KERNEL)?))
    }

    /// Where the device finds them.
    pub fn dma_address(&self) -> DmaAddress {
        self.0.dma_address()
    }
}

/// A piece of memory that is mapped for the device to read, or has an address for it as it is.
///
/// It goes back to the [`Mapper`] that made it; one that does not stays mapped.
#[must_use]
pub struct Mapping {
    address: DmaAddress,
    length: u32,
    dev: *mut bindings::device,
    /// It has to be unmapped.
    mapped: bool,
}

// SAFETY: A mapping is not bound to a thread; the pointer is only compared.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Where the device finds the memory.
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

/// Maps memory for one device to read.
#[derive(Clone)]
pub struct Mapper(ARef<device::Device>);

impl Mapper {
    /// A mapper for `dev`. To be dropped, with all that it mapped, before `dev` is unbound.
    pub fn new(dev: &device::Device<Bound>) -> Self {
        Self(dev.into())
    }

    #[inline]
    fn dev(&self) -> *mut bindings::device {
        raw_device(&*self.0)
    }

    #[inline]
    fn checked(&self, address: DmaAddress, length: u32) -> Option<Mapping> {
        let dev = self.dev();
        // SAFETY: The device is valid.
        (unsafe { bindings::dma_mapping_error(dev, address) } == 0).then_some(Mapping {
            address,
            length,
            dev,
            mapped: true,
        })
    }

    /// Maps the linear part of `skb`; `None` when that fails.
    #[inline]
    pub fn map_linear(&self, skb: &SkBuff) -> Option<Mapping> {
        self.map_bytes(skb.linear())
    }

    /// Maps the linear part of `frame`; `None` when that fails.
    #[inline]
    pub fn map_frame(&self, frame: &xdp::Frame) -> Option<Mapping> {
        self.map_bytes(frame.linear())
    }

    #[inline]
    fn map_bytes(&self, linear: &[u8]) -> Option<Mapping> {
        // SAFETY: The device is valid, and the memory is directly mapped.
        let address = unsafe {
            bindings::dma_map_single(
                self.dev(),
                linear.as_ptr().cast_mut().cast(),
                linear.len(),
                bindings::dma_data_direction::DMA_TO_DEVICE,
            )
        };
        self.checked(address, linear.len() as u32)
    }

    /// Maps a fragment; `None` when that fails.
    #[inline]
    pub fn map_frag(&self, frag: &Frag) -> Option<Mapping> {
        // SAFETY: The device is valid, and so is the fragment.
        let address = unsafe { bindings::skb_frag_dma_map(self.dev(), frag.as_raw()) };
        let mapping = self.checked(address, frag.size())?;
        Some(Mapping {
            mapped: frag.is_in_pages(),
            ..mapping
        })
    }

    /// Unmaps what this mapper (or a clone) has mapped.
    #[inline]
    pub fn unmap(&self, mapping: Mapping) {
        if mapping.dev != self.dev() {
            pr_err!("toe: a mapping was given back to another device; it stays mapped\n");
            return;
        }
        if !mapping.mapped {
            return;
        }
        // SAFETY: The mapping was made for this device, and is used up here. The direct mapping of
        // linear data and pages is undone alike.
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

/// A fragment that is mapped for the device to read, and whose memory is held. Dropping it ends both.
///
/// # Invariants
///
/// One reference to `memory` is this value's.
pub struct MappedFrag {
    mapping: Option<Mapping>,
    mapper: Mapper,
    memory: bindings::netmem_ref,
}

impl MappedFrag {
    /// Maps `frag` and holds its memory.
    ///
    /// # Errors
    ///
    /// [`EIO`] when it cannot be mapped.
    pub fn new(mapper: &Mapper, frag: &Frag) -> Result<Self> {
        let mapping = mapper.map_frag(frag).ok_or(EIO)?;
        // SAFETY: The memory is valid as long as `frag`.
        let memory = unsafe {
            let memory = bindings::skb_frag_netmem(frag.as_raw());
            bindings::get_netmem(memory);
            memory
        };
        // INVARIANT: The reference was just taken.
        Ok(Self {
            mapping: Some(mapping),
            mapper: mapper.clone(),
            memory,
        })
    }

    /// Where the device finds the memory.
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
        // SAFETY: By the type invariant; the reference ends here.
        unsafe { bindings::put_netmem(self.memory) };
    }
}
