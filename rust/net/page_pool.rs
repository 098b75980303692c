// SPDX-License-Identifier: GPL-2.0

//! Page pools: receive pages that stay mapped and come back.
//!
//! Memory goes from the pool to the device in pages ([`Page`]), and from there in pieces
//! ([`Fragment`]) into any number of skbs. A pool may hold blocks of several pages: neighbours of
//! one block make one piece, so that what is handled by the piece costs less. Each piece holds one
//! reference to its block; the block returns to the pool with the last.
//!
//! C headers: [`include/net/page_pool/types.h`](srctree/include/net/page_pool/types.h),
//! [`include/net/page_pool/helpers.h`](srctree/include/net/page_pool/helpers.h)

use super::{
    device::InstanceLock,
    napi::Instance, //
};
use crate::{
    bindings,
    util::device::raw_device, //
};
use core::{
    mem::ManuallyDrop,
    num::NonZeroUsize,
    ptr::NonNull,
    slice, //
};
use kernel::{
    device,
    dma::DmaAddress,
    error::from_err_ptr,
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

/// References that a page starts with: more pieces than a page can be cut into. Taking a piece
/// then needs no atomic operation; what is left over is given back at once.
const BIAS: isize = isize::MAX >> 8;

/// log2 of the most pages of a block.
pub const MAX_ORDER: u32 = 6;

/// A pool of whatever kind.
///
/// # Invariants
///
/// The pointer is a valid `page_pool`. It recycles to `napi`, which is alive, or to none.
pub(super) struct Pool {
    raw: NonNull<bindings::page_pool>,
    napi: Option<Arc<Instance>>,
}

// SAFETY: A pool is not bound to a thread; what needs serialisation takes `&mut self`.
unsafe impl Send for Pool {}

impl Pool {
    /// A pool for queue `queue` of the device whose lock is held. The device is to outlive it.
    pub(super) fn new(
        lock: &InstanceLock<'_>,
        queue: u16,
        fast: bindings::page_pool_params__bindgen_ty_1_page_pool_params_fast,
        flags: u32,
    ) -> Result<Self> {
        let mut params = bindings::page_pool_params::default();
        params.__bindgen_anon_1.fast = fast;
        params.__bindgen_anon_2.slow =
            bindings::page_pool_params__bindgen_ty_2_page_pool_params_slow {
                netdev: lock.device().as_raw(),
                queue_idx: queue.into(),
                flags,
                ..Default::default()
            };
        // SAFETY: `params` is complete; everything it points to outlives the pool: the device by the
        // caller's promise, and by the instance that it comes to recycle to.
        let raw = from_err_ptr(unsafe { bindings::page_pool_create(&params) })?;
        // INVARIANT: `page_pool_create` returned a pool.
        Ok(Self {
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
            napi: None,
        })
    }

    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::page_pool {
        self.raw.as_ptr()
    }

    /// As [`PagePool::recycle_to`].
    pub(super) fn recycle_to(&mut self, napi: &Arc<Instance>) {
        if self.napi.is_some() {
            return;
        }
        // SAFETY: The pool is valid and has no instance.
        // INVARIANT: The clone keeps it alive.
        unsafe {
            bindings::page_pool_enable_direct_recycling(self.as_raw(), napi.as_raw());
        }
        self.napi = Some(napi.clone());
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. Pages that are still out keep what they need of the pool
        // until they come back.
        unsafe { bindings::page_pool_destroy(self.as_raw()) }
    }
}

/// Where the memory of a pool comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The kernel's own.
    Own,
    /// The queue's memory provider, when an application has bound one to it; else the kernel's own.
    Provided,
}

/// A block of a pool: pages, or memory that is not the host's own (`netmem_ref`).
pub(crate) type Block = NonZeroUsize;

/// A pool of blocks of pages of one NAPI instance, mapped for one device to write.
///
/// The pages may be those of a memory provider that an application has bound to the queue (devmem TCP,
/// io_uring zero-copy receive): the device writes them, and the CPU may not be able to look at them.
///
/// # Invariants
///
/// The pool's blocks have `2^order` pages, `order` at most [`MAX_ORDER`].
pub struct PagePool {
    pool: Pool,
    order: u32,
}

impl PagePool {
    /// Creates a pool for `pages` pages, in blocks of `2^order`, for queue `queue`. Pages are mapped
    /// for `parent`.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an `order` above [`MAX_ORDER`], `ENOMEM`.
    pub fn new(
        lock: &InstanceLock<'_>,
        parent: &device::Device<device::Bound>,
        pages: u32,
        order: u32,
        queue: u16,
        source: Source,
    ) -> Result<Self> {
        if order > MAX_ORDER {
            return Err(EINVAL);
        }
        let fast = bindings::page_pool_params__bindgen_ty_1_page_pool_params_fast {
            order,
            pool_size: (pages >> order).max(1),
            nid: kernel::bindings::NUMA_NO_NODE,
            dev: raw_device(parent),
            dma_dir: bindings::dma_data_direction::DMA_FROM_DEVICE,
            max_len: (PAGE_SIZE << order) as u32,
            ..Default::default()
        };
        let mut flags = bindings::PP_FLAG_DMA_MAP | bindings::PP_FLAG_DMA_SYNC_DEV;
        if source == Source::Provided {
            flags |= bindings::PP_FLAG_ALLOW_UNREADABLE_NETMEM;
        }
        // INVARIANT: Of that order.
        Ok(Self {
            pool: Pool::new(lock, queue, fast, flags)?,
            order,
        })
    }

    /// From here on pages that come back in the poll of `napi` need no lock. To be called once, and
    /// the instance is to be disabled when the pool is dropped.
    pub fn recycle_to(&mut self, napi: &Arc<Instance>) {
        self.pool.recycle_to(napi);
    }

    /// Fills `pages` with pages of as few blocks as that takes, in the order of their addresses.
    /// `&mut self` is what serialises the pool's lockless cache.
    ///
    /// # Errors
    ///
    /// When there is no memory for a block: how many of the pages it was for.
    #[inline]
    pub fn fill(&mut self, pages: &mut [Option<Page>]) -> Result<(), usize> {
        for slots in pages.chunks_mut(1 << self.order) {
            // SAFETY: By the type invariant; `&mut self` excludes other takers.
            let block = unsafe { bindings::page_pool_dev_alloc_netmems(self.pool.as_raw()) };
            let Some(block) = Block::new(block) else {
                return Err(slots.len());
            };
            let references = BIAS * slots.len() as isize;
            // SAFETY: A fresh block is ours alone; at most `2^MAX_ORDER` times `BIAS` is a number.
            unsafe { bindings::page_pool_fragment_netmem(block.get(), references) };
            for (i, slot) in slots.iter_mut().enumerate() {
                // INVARIANT: The block has `BIAS` references for each of its pages, all of them
                // ours.
                *slot = Some(Page {
                    block,
                    // CAST: within a block.
                    start: (i * PAGE_SIZE) as u32,
                    pool: self.pool.raw,
                    left: BIAS,
                });
            }
        }
        Ok(())
    }
}

/// A page of a pool, owned as a whole.
///
/// # Invariants
///
/// `start` is where the page begins in `block`, a block of `pool`, mapped, and `left` of the block's
/// references are this value's; `left` is at least 1. A pool outlives its blocks.
pub struct Page {
    block: Block,
    start: u32,
    pool: NonNull<bindings::page_pool>,
    left: isize,
}

// SAFETY: A page is not bound to a thread.
unsafe impl Send for Page {}

impl Page {
    /// Where the device finds the page.
    #[inline]
    pub fn dma_address(&self) -> DmaAddress {
        // SAFETY: By the type invariant.
        let block = unsafe { bindings::page_pool_get_dma_addr_netmem(self.block.get()) };
        block + DmaAddress::from(self.start)
    }

    /// Takes a piece, after the device has written it.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] when it is empty or not within the page.
    #[inline]
    pub fn fragment(&mut self, offset: usize, length: usize) -> Result<Fragment> {
        if length == 0 || offset >= PAGE_SIZE || length > PAGE_SIZE - offset {
            return Err(EINVAL);
        }
        if self.left == 1 {
            // Out of reach: a page has no 2^54 pieces.
            return Err(EINVAL);
        }
        self.left -= 1;
        // CAST: both are within a page.
        let (offset, length) = (self.start + offset as u32, length as u32);
        self.sync(offset, length);
        // INVARIANT: One reference went over.
        Ok(Fragment {
            block: self.block,
            offset,
            length,
        })
    }

    /// Adds the first `length` bytes of this page, after the device has written them, to a piece
    /// that ends where the page begins; false when that is not so.
    #[inline]
    pub fn extend(&self, piece: &mut Fragment, length: usize) -> bool {
        if piece.block != self.block
            || piece.offset + piece.length != self.start
            || length > PAGE_SIZE
        {
            return false;
        }
        // CAST: within a page.
        let length = length as u32;
        self.sync(self.start, length);
        // INVARIANT: Still within the block, of which it has its reference.
        piece.length += length;
        true
    }

    fn sync(&self, offset: u32, length: u32) {
        // SAFETY: By the type invariant; the piece is within the block.
        unsafe {
            bindings::page_pool_dma_sync_netmem_for_cpu(
                self.pool.as_ptr(),
                self.block.get(),
                offset,
                length,
            )
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, so many references are ours, and they end here.
        unsafe { bindings::page_pool_drain(self.pool.as_ptr(), self.block.get(), self.left) }
    }
}

/// A piece of a pool's memory: of one page, or of neighbours. It holds the block that they are of.
///
/// # Invariants
///
/// `block` is a block of a pool, and one of its references is this value's. `offset + length` is
/// within the block.
pub struct Fragment {
    block: Block,
    offset: u32,
    length: u32,
}

// SAFETY: A reference to a page is not bound to a thread.
unsafe impl Send for Fragment {}

impl Fragment {
    /// Length in bytes, at least 1.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Where in its block it begins, in bytes; blocks are of whole pages.
    #[inline]
    pub fn offset(&self) -> usize {
        self.offset as usize
    }

    /// What a piece of pages that one flow has for itself costs it, in bytes: all of every page that
    /// begins with the piece, and what there is of the first if that began before.
    #[inline]
    pub fn truesize(&self) -> usize {
        let (offset, end) = (self.offset(), self.offset() + self.len());
        let first = offset.next_multiple_of(PAGE_SIZE);
        first.min(end) - offset + (end.next_multiple_of(PAGE_SIZE) - first)
    }

    /// What the device wrote; `None` when the CPU cannot look at it.
    #[inline]
    pub fn bytes(&self) -> Option<&[u8]> {
        // SAFETY: By the type invariant the piece is within the block, which is mapped when it has an
        // address (pool pages are never in high memory) and initialised. A device that goes on writing
        // to memory that it gave back makes the contents arbitrary, as it could have from the start.
        unsafe {
            let start = NonNull::new(bindings::netmem_address(self.block.get()).cast::<u8>())?;
            Some(slice::from_raw_parts(
                start.as_ptr().add(self.offset()),
                self.len(),
            ))
        }
    }

    /// Takes the first `length` bytes off, without holding the block for them; `None` when nothing
    /// is left.
    #[inline]
    pub fn advance(mut self, length: usize) -> Option<Self> {
        if length >= self.len() {
            return None;
        }
        self.offset += length as u32;
        self.length -= length as u32;
        Some(self)
    }

    /// Takes back what [`Self::into_raw`] gave.
    ///
    /// # Safety
    ///
    /// The arguments are its result, and the reference that went with them goes over.
    #[inline]
    pub(super) unsafe fn from_raw(block: Block, offset: u32, length: u32) -> Self {
        // INVARIANT: The caller promises it.
        Self {
            block,
            offset,
            length,
        }
    }

    /// Gives the reference away: block, offset, length.
    #[inline]
    pub(crate) fn into_raw(self) -> (Block, u32, u32) {
        let this = ManuallyDrop::new(self);
        (this.block, this.offset, this.length)
    }
}

impl Drop for Fragment {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the reference ends here.
        unsafe { bindings::page_pool_put_frag(self.block.get()) }
    }
}
