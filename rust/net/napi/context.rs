// SPDX-License-Identifier: GPL-2.0

//! What a poll may do, and only a poll: transmit completion ([`TxContext`]) and reception
//! ([`RxContext`]).

use super::Instance;
use crate::{
    bindings,
    net::{
        netdev::NetDevice,
        queue::{
            CompletedTxQueue,
            TxQueue, //
        },
        skb::{
            PktHashType,
            SkBuff,
            UniqueSkBuff, //
        }, //
    }, //
};
use core::{
    cell::Cell,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    types::NotThreadSafe, //
};

/// The contexts of a poll of `napi` with `budget`.
///
/// # Safety
///
/// Only for the poll of `napi`, which must outlive both.
#[inline]
pub(super) unsafe fn new(napi: &Instance, budget: usize) -> (TxContext<'_>, Option<RxContext<'_>>) {
    // INVARIANT: By the caller's promise, for both.
    let tx = TxContext {
        napi,
        budget,
        _thread: NotThreadSafe,
    };
    let rx = (budget > 0).then(|| RxContext {
        napi,
        budget,
        redirected: Cell::new(false),
        _thread: NotThreadSafe,
    });
    (tx, rx)
}

/// A poll in progress, for transmit completion.
///
/// # Invariants
///
/// This is the poll of `napi`, and `budget` its budget.
pub struct TxContext<'a> {
    napi: &'a Instance,
    budget: usize,
    _thread: NotThreadSafe,
}

impl<'a> TxContext<'a> {
    /// The device.
    #[inline]
    pub fn device(&self) -> &'a NetDevice {
        self.napi.dev.device()
    }

    /// The transmit queue of the instance's queue pair.
    #[inline]
    pub fn queue(&self) -> CompletedTxQueue<'_> {
        // SAFETY: The queue exists. By the type invariant this is the instance's poll; a queue has one
        // enabled instance, and polls of an instance do not overlap.
        unsafe { CompletedTxQueue::new(TxQueue::new_unchecked(self.device(), self.napi.queue)) }
    }

    /// Frees a frame that was sent.
    #[inline]
    pub fn consume(&self, skb: SkBuff) {
        // SAFETY: The skb is handed over; by the type invariant this is a poll with this budget.
        unsafe { bindings::napi_consume_skb(skb.into_raw(), self.budget as i32) };
    }
}

/// A poll in progress, with budget to receive frames. It is an RCU read-side critical section.
///
/// # Invariants
///
/// This is the poll of `napi`, and `budget`, which is not 0, its budget.
pub struct RxContext<'a> {
    napi: &'a Instance,
    budget: usize,
    redirected: Cell<bool>,
    _thread: NotThreadSafe,
}

impl<'a> RxContext<'a> {
    #[inline]
    pub(in crate::net) fn as_raw(&self) -> *mut bindings::napi_struct {
        self.napi.as_raw()
    }

    /// The device.
    #[inline]
    pub fn device(&self) -> &'a NetDevice {
        self.napi.dev.device()
    }

    /// The most frames that the poll may receive.
    #[inline]
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Allocates an skb with room for `length` bytes of linear data (`napi_alloc_skb()`).
    #[inline]
    pub fn alloc_skb(&self, length: u32) -> Option<UniqueSkBuff> {
        // SAFETY: By the type invariant this is the instance's poll.
        let skb = NonNull::new(unsafe { bindings::napi_alloc_skb(self.as_raw(), length) })?;
        // SAFETY: A new skb has no other owner and no clone.
        Some(unsafe { UniqueSkBuff::from_raw(skb) })
    }

    /// Removes the Ethernet header of a received frame and sets protocol, packet type and device.
    ///
    /// # Errors
    ///
    /// [`EINVAL`], and the frame dropped, when the linear part is shorter than an Ethernet header.
    #[inline]
    pub fn eth_type_trans(&self, skb: UniqueSkBuff) -> Result<RxSkBuff<'_>> {
        if skb.headlen() < bindings::ETH_HLEN {
            return Err(EINVAL);
        }
        let raw = skb.as_raw();
        // SAFETY: The skb is owned and the header is there, as checked. All variants of the union are
        // plain integers.
        unsafe {
            let protocol = bindings::eth_type_trans(raw, self.device().as_raw());
            (*raw).__bindgen_anon_4.headers.as_mut().protocol = protocol;
        }
        // SAFETY: Set just now.
        Ok(unsafe { RxSkBuff::new(self, skb) })
    }

    /// Whether GRO holds frames.
    #[inline]
    pub fn gro_holds(&self) -> bool {
        // SAFETY: By the type invariant this is the instance's poll: nothing else accesses it.
        let gro = unsafe { &(*self.as_raw()).gro };
        gro.bitmask != 0 || gro.rx_count != 0
    }

    /// Flushes GRO: passes all held frames on. They reach the stack when the poll returns.
    #[inline]
    pub fn gro_flush(&self) {
        // SAFETY: By the type invariant this is the instance's poll.
        unsafe { bindings::napi_gro_flush(self.as_raw(), false) }
    }

    /// Notes that an XDP program redirected a frame, so that the poll ends with `xdp_do_flush()`.
    #[inline]
    pub(in crate::net) fn redirected(&self) {
        self.redirected.set(true);
    }

    /// Ends the poll.
    #[inline]
    pub(super) fn finish(self) {
        if self.redirected.get() {
            // SAFETY: By the type invariant this is the poll that redirected.
            unsafe { bindings::xdp_do_flush() };
        }
    }
}

/// A received frame that is ready for the stack, in the poll that received it.
///
/// # Invariants
///
/// `eth_type_trans()` was called for the device of `rx`.
pub struct RxSkBuff<'a> {
    skb: UniqueSkBuff,
    rx: &'a RxContext<'a>,
}

impl Deref for RxSkBuff<'_> {
    type Target = SkBuff;

    #[inline]
    fn deref(&self) -> &SkBuff {
        &self.skb
    }
}

impl<'a> RxSkBuff<'a> {
    /// # Safety
    ///
    /// `eth_type_trans()` must have been called for the device of `rx`.
    #[inline]
    pub(in crate::net) unsafe fn new(rx: &'a RxContext<'a>, skb: UniqueSkBuff) -> Self {
        // INVARIANT: The caller promises it.
        Self { skb, rx }
    }

    /// Sets the flow hash.
    #[inline]
    pub fn set_hash(&mut self, hash: u32, kind: PktHashType) {
        self.skb.set_hash(hash, kind);
    }

    /// Sets `CHECKSUM_UNNECESSARY`: the device verified the transport checksum.
    #[inline]
    pub fn set_checksum_unnecessary(&mut self) {
        self.skb.set_checksum_unnecessary();
    }

    /// Returns the frame, for a receiver other than the stack.
    #[inline]
    pub fn into_unique(self) -> UniqueSkBuff {
        // SAFETY: `rx` is the instance's poll; the skb is not shared.
        unsafe { bindings::skb_mark_napi_id(self.skb.as_raw(), self.rx.as_raw()) };
        self.skb
    }

    /// Passes the frame to the stack through GRO.
    #[inline]
    pub fn gro_receive(self) {
        // SAFETY: `rx` is the instance's poll; the skb is handed over.
        unsafe { bindings::napi_gro_receive(self.rx.as_raw(), self.skb.into_raw()) };
    }

    /// Passes the frame to the stack at once.
    #[inline]
    pub fn receive(self) {
        // SAFETY: A poll is softirq context; the skb is handed over.
        unsafe { bindings::netif_receive_skb(self.skb.into_raw()) };
    }
}
