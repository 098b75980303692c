// SPDX-License-Identifier: GPL-2.0

//! Page pools: receive pages that stay mapped and are recycled.
//!
//! A pool gives pages ([`Page`]) to the device. What the device wrote is taken from them in
//! fragments ([`PoolFrag`]), which pass into any number of skbs. A pool may allocate blocks of
//! several pages; adjacent pages of a block then make one fragment, which lowers the cost per
//! fragment.
//!
//! C headers: [`include/net/page_pool/types.h`](srctree/include/net/page_pool/types.h),
//! [`include/net/page_pool/helpers.h`](srctree/include/net/page_pool/helpers.h)

use super::{
    napi::RxContext,
    netdev::{
        Allocation,
        InstanceLock, //
    },
    netmem::{
        Block,
        Pool,
        PoolFrag, //
    }, //
};
use crate::{
    bindings,
    util::device::raw_device, //
};
use core::ptr::NonNull;
use kernel::{
    device,
    dma::DmaAddress,
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

/// References that a page starts with: more than the fragments that a page can be divided into.
/// Taking a fragment then needs no atomic operation; the remainder is dropped at once.
const BIAS: isize = isize::MAX >> 8;

/// log2 of the largest number of pages in a block.
pub const MAX_ORDER: u32 = 6;

/// Where the memory of a pool comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The page allocator.
    Kernel,
    /// The queue's memory provider, if an application has bound one; otherwise the page allocator.
    Provider,
}

/// A pool of blocks of pages, mapped for one device to write.
///
/// The memory may belong to a memory provider that an application bound to the queue (devmem TCP,
/// io_uring zero-copy receive): the device writes it, and the CPU may be unable to read it.
///
/// # Invariants
///
/// The pool's blocks have `2^order` pages, `order` at most [`MAX_ORDER`].
///
/// # Examples
///
/// A poll that posts 64 pages to its device:
///
/// ```
/// use crate::net::{
///     napi::RxContext,
///     page_pool::{
///         Page,
///         PagePool, //
///     }, //
/// };
///
/// fn refill(pool: &mut PagePool, rx: &RxContext<'_>, post: impl Fn(u64)) -> [Option<Page>; 64] {
///     let mut pages = [const { None }; 64];
///     // An error leaves some of them empty, to be tried again in the next poll.
///     let _ = pool.fill(rx, &mut pages);
///     for page in pages.iter().flatten() {
///         post(page.dma_address());
///     }
///     pages
/// }
/// ```
pub struct PagePool {
    pool: Arc<Pool>,
    order: u32,
}

impl PagePool {
    /// Creates a pool of `pages` pages, in blocks of `2^order`, for receive queue `queue` of `dev`.
    /// Pages are mapped for `parent`.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] for an `order` above [`MAX_ORDER`], the lock of another device or a queue that does
    /// not exist, [`ENOMEM`].
    pub fn new(
        lock: &InstanceLock<'_>,
        dev: &Arc<Allocation>,
        queue: u16,
        parent: &device::Device<device::Bound>,
        pages: u32,
        order: u32,
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
        if source == Source::Provider {
            flags |= bindings::PP_FLAG_ALLOW_UNREADABLE_NETMEM;
        }
        // INVARIANT: Created with that order.
        Ok(Self {
            pool: Pool::new(lock, dev, queue, fast, flags)?,
            order,
        })
    }

    /// The pool, for [`Poll::pools`](super::napi::Poll::pools).
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Fills `pages` from as few blocks as possible, in order of address. Only in the poll that lists
    /// the pool.
    ///
    /// # Errors
    ///
    /// The number of pages of the block that could not be allocated; the pages before it are filled.
    #[inline]
    pub fn fill(&mut self, rx: &RxContext<'_>, pages: &mut [Option<Page>]) -> Result<(), usize> {
        if !self.pool.is_linked_to(rx.as_raw()) {
            return Err(pages.len());
        }
        for slots in pages.chunks_mut(1 << self.order) {
            // SAFETY: The pool is valid. Its cache is not used elsewhere: `&mut self` excludes other
            // allocation, and direct recycling happens in the poll of the instance that it is linked
            // to, which is this one.
            let block = unsafe { bindings::page_pool_dev_alloc_netmems(self.pool.as_raw()) };
            let Some(block) = Block::new(block) else {
                return Err(slots.len());
            };
            let references = BIAS * slots.len() as isize;
            // SAFETY: A new block has no other owner; `2^MAX_ORDER * BIAS` does not overflow.
            unsafe { bindings::page_pool_fragment_netmem(block.get(), references) };
            for (i, slot) in slots.iter_mut().enumerate() {
                // INVARIANT: The block has `BIAS` references for each of its pages, all owned here.
                *slot = Some(Page {
                    block,
                    // CAST: within a block.
                    start: (i * PAGE_SIZE) as u32,
                    pool: self.pool.raw(),
                    left: BIAS,
                });
            }
        }
        Ok(())
    }
}

/// A page of a pool that is owned as a whole.
///
/// # Invariants
///
/// `start` is the offset of the page in `block`, a block of `pool`, mapped, and `left` of the
/// block's references belong to this value; `left` is at least 1. A pool outlives its blocks.
pub struct Page {
    block: Block,
    start: u32,
    pool: NonNull<bindings::page_pool>,
    left: isize,
}

// SAFETY: A page is not bound to a thread.
unsafe impl Send for Page {}

impl Page {
    /// DMA address of the page.
    #[inline]
    pub fn dma_address(&self) -> DmaAddress {
        // SAFETY: By the type invariant.
        let block = unsafe { bindings::page_pool_get_dma_addr_netmem(self.block.get()) };
        block + DmaAddress::from(self.start)
    }

    /// Takes a fragment that the device has written.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] when it is empty or not within the page.
    #[inline]
    pub fn fragment(&mut self, offset: usize, length: usize) -> Result<PoolFrag> {
        if length == 0 || offset >= PAGE_SIZE || length > PAGE_SIZE - offset {
            return Err(EINVAL);
        }
        if self.left == 1 {
            // Not reached in practice: it would take 2^54 fragments of one page.
            return Err(EINVAL);
        }
        self.left -= 1;
        // CAST: both are within a page.
        let (offset, length) = (self.start + offset as u32, length as u32);
        self.sync(offset, length);
        // SAFETY: One of this value's references is handed over; the bytes are within the page.
        Ok(unsafe { PoolFrag::from_raw(self.block, offset, length) })
    }

    /// Appends the first `length` bytes of this page, which the device has written, to a fragment
    /// that ends where the page begins. Returns false when it does not end there.
    #[inline]
    pub fn extend(&self, fragment: &mut PoolFrag, length: usize) -> bool {
        if !fragment.ends_at(self.block, self.start) || length > PAGE_SIZE {
            return false;
        }
        // CAST: within a page.
        let length = length as u32;
        self.sync(self.start, length);
        // SAFETY: The page follows the fragment in the same block.
        unsafe { fragment.extend(length) };
        true
    }

    fn sync(&self, offset: u32, length: u32) {
        // SAFETY: By the type invariant; the bytes are within the block.
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
        // SAFETY: By the type invariant these references belong to this value; they end here.
        unsafe { bindings::page_pool_drain(self.pool.as_ptr(), self.block.get(), self.left) }
    }
}
