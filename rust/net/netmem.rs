// SPDX-License-Identifier: GPL-2.0

//! Network memory: page pools and fragments of their memory.
//!
//! A pool hands out blocks (`netmem_ref`): one or more pages, or memory that the CPU cannot read
//! (`net_iov`). Each [`PoolFrag`] holds one reference to its block; the block returns to its pool
//! with the last one. [`super::page_pool`] allocates from pools.
//!
//! C headers: [`include/net/netmem.h`](srctree/include/net/netmem.h),
//! [`include/net/page_pool/types.h`](srctree/include/net/page_pool/types.h)

use super::netdev::{
    Allocation,
    InstanceLock, //
};
use crate::bindings;
use core::{
    mem::ManuallyDrop,
    num::NonZeroUsize,
    ptr::{
        self,
        NonNull, //
    },
    slice, //
};
use kernel::{
    error::from_err_ptr,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            AtomicFlag,
            Full,
            Release, //
        },
        Arc, //
    }, //
};

/// A block of a pool (`netmem_ref`).
pub(crate) type Block = NonZeroUsize;

/// A page pool (`struct page_pool`).
///
/// The NAPI instance that polls the pool's queue holds a reference while it is enabled, and only
/// then recycles directly, that is without a lock, into the pool's cache
/// ([`super::napi::Poll::pools`]).
///
/// # Invariants
///
/// `raw` is a valid `page_pool` of a queue of `dev`. Its `p.napi` is null, or an enabled instance
/// that holds a reference to this; it is not null only while `linked` is set.
pub struct Pool {
    raw: NonNull<bindings::page_pool>,
    linked: AtomicFlag,
    _dev: Arc<Allocation>,
}

// SAFETY: A pool is not bound to a thread.
unsafe impl Send for Pool {}
// SAFETY: `&Pool` gives no access to the pool's cache, except under the safety requirements of
// `link` and `as_raw`'s users.
unsafe impl Sync for Pool {}

impl Pool {
    /// Creates a pool for receive queue `queue` of `dev`, whose instance lock is `lock`.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] when `lock` belongs to another device or there is no such queue, [`ENOMEM`].
    pub(super) fn new(
        lock: &InstanceLock<'_>,
        dev: &Arc<Allocation>,
        queue: u16,
        fast: bindings::page_pool_params__bindgen_ty_1_page_pool_params_fast,
        flags: u32,
    ) -> Result<Arc<Self>> {
        // As many receive queues as transmit queues are allocated.
        if !lock.is_of(dev) || u32::from(queue) >= dev.device().num_tx_queues() {
            return Err(EINVAL);
        }
        let mut params = bindings::page_pool_params::default();
        params.__bindgen_anon_1.fast = fast;
        params.__bindgen_anon_2.slow =
            bindings::page_pool_params__bindgen_ty_2_page_pool_params_slow {
                netdev: dev.device().as_raw(),
                queue_idx: queue.into(),
                flags,
                ..Default::default()
            };
        // SAFETY: `params` is complete, the device outlives the pool, and its instance lock, which a
        // memory provider needs, is held.
        let raw = from_err_ptr(unsafe { bindings::page_pool_create(&params) })?;
        let raw = NonNull::new(raw).ok_or(ENOMEM)?;
        // INVARIANT: `page_pool_create` returned a pool without an instance.
        let pool = Self {
            raw,
            linked: AtomicFlag::new(false),
            _dev: dev.clone(),
        };
        Ok(Arc::new(pool, GFP_KERNEL)?)
    }

    #[inline]
    pub(super) fn raw(&self) -> NonNull<bindings::page_pool> {
        self.raw
    }

    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::page_pool {
        self.raw.as_ptr()
    }

    /// Whether `napi` recycles directly into the pool.
    #[inline]
    pub(super) fn is_linked_to(&self, napi: *mut bindings::napi_struct) -> bool {
        // SAFETY: By the type invariant; the core reads it without a lock, too.
        let linked = unsafe { ptr::read_volatile(&raw const (*self.as_raw()).p.napi) };
        ptr::eq(linked, napi)
    }

    /// Makes `napi` recycle directly into the pool. In process context.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] when an instance does already.
    ///
    /// # Safety
    ///
    /// `napi` must be a disabled instance whose owner holds a reference to the pool and calls
    /// [`Self::unlink`] as soon as the instance is disabled again.
    pub(super) unsafe fn link(&self, napi: *mut bindings::napi_struct) -> Result {
        if self.linked.xchg(true, Full) {
            return Err(EBUSY);
        }
        // SAFETY: The pool has no instance, and `napi` is valid by the caller's promise.
        // INVARIANT: The caller holds a reference for the instance.
        unsafe { bindings::page_pool_enable_direct_recycling(self.as_raw(), napi) };
        Ok(())
    }

    /// Ends direct recycling. In process context.
    ///
    /// # Safety
    ///
    /// The pool must be linked to an instance that is disabled.
    pub(super) unsafe fn unlink(&self) {
        // SAFETY: By the caller's promise the instance does not run.
        unsafe { bindings::page_pool_disable_direct_recycling(self.as_raw()) };
        self.linked.store(false, Release);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: By the type invariant no instance recycles to the pool. Blocks that are still out
        // keep what they need of it until they come back.
        unsafe { bindings::page_pool_destroy(self.as_raw()) }
    }
}

/// A fragment of pool memory: part of a page, or of adjacent pages of a block. Holds its block.
///
/// # Invariants
///
/// `block` is a block of a pool, and one of its references belongs to this value.
/// `offset + length` is within the block.
pub struct PoolFrag {
    block: Block,
    offset: u32,
    length: u32,
}

// SAFETY: A reference to a block is not bound to a thread.
unsafe impl Send for PoolFrag {}

impl PoolFrag {
    /// # Safety
    ///
    /// One reference to `block`, a block of a pool, is handed over. `offset + length` must be within
    /// the block.
    #[inline]
    pub(super) unsafe fn from_raw(block: Block, offset: u32, length: u32) -> Self {
        // INVARIANT: The caller promises it.
        Self {
            block,
            offset,
            length,
        }
    }

    /// Releases the reference to the caller: block, offset, length.
    #[inline]
    pub(crate) fn into_raw(self) -> (Block, u32, u32) {
        let this = ManuallyDrop::new(self);
        (this.block, this.offset, this.length)
    }

    /// Whether `offset` of `block` is where the fragment ends.
    #[inline]
    pub(super) fn ends_at(&self, block: Block, offset: u32) -> bool {
        self.block == block && self.offset + self.length == offset
    }

    /// Lengthens the fragment by `length` bytes.
    ///
    /// # Safety
    ///
    /// The bytes that follow the fragment must be within its block, and written by the device.
    #[inline]
    pub(super) unsafe fn extend(&mut self, length: u32) {
        // INVARIANT: Still within the block, by the caller's promise.
        self.length += length;
    }

    /// Length in bytes, at least 1.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Offset in the block, in bytes. Blocks consist of whole pages.
    #[inline]
    pub fn offset(&self) -> usize {
        self.offset as usize
    }

    /// Memory to account for (`truesize`) when only one flow uses the pages, in bytes: every page
    /// that starts within the fragment in full, and of the first page only the part used, if it
    /// started before.
    #[inline]
    pub fn truesize(&self) -> usize {
        let (offset, end) = (self.offset(), self.offset() + self.len());
        let first = offset.next_multiple_of(PAGE_SIZE);
        first.min(end) - offset + (end.next_multiple_of(PAGE_SIZE) - first)
    }

    /// The data; `None` when the CPU cannot read the memory.
    #[inline]
    pub fn bytes(&self) -> Option<&[u8]> {
        // SAFETY: By the type invariant the fragment is within the block, which is mapped when it has
        // an address (pool pages are never in high memory) and initialised. A device that keeps
        // writing to memory that it returned can make the contents arbitrary, as it could before.
        unsafe {
            let start = NonNull::new(bindings::netmem_address(self.block.get()).cast::<u8>())?;
            Some(slice::from_raw_parts(
                start.as_ptr().add(self.offset()),
                self.len(),
            ))
        }
    }

    /// Removes the first `length` bytes; `None`, and the reference dropped, when nothing is left.
    #[inline]
    pub fn advance(mut self, length: usize) -> Option<Self> {
        if length >= self.len() {
            return None;
        }
        self.offset += length as u32;
        self.length -= length as u32;
        Some(self)
    }
}

impl Drop for PoolFrag {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the reference ends here.
        unsafe { bindings::page_pool_put_frag(self.block.get()) }
    }
}
