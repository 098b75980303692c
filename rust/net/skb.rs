// SPDX-License-Identifier: GPL-2.0

//! Socket buffers.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use super::{
    device::NetDevice,
    napi::Context,
    page_pool::Fragment, //
};
use crate::bindings;
use core::{
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull,
    slice, //
};
use kernel::prelude::*;

/// Why a frame is dropped (`enum skb_drop_reason`).
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// No better reason is known.
    NotSpecified = bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED,
    /// The frame is longer than the device can take.
    PktTooBig = bindings::skb_drop_reason_SKB_DROP_REASON_PKT_TOO_BIG,
    /// The device is not ready to send.
    DevReady = bindings::skb_drop_reason_SKB_DROP_REASON_DEV_READY,
    /// The transmit ring is full.
    FullRing = bindings::skb_drop_reason_SKB_DROP_REASON_FULL_RING,
    /// There is no memory.
    NoMem = bindings::skb_drop_reason_SKB_DROP_REASON_NOMEM,
}

/// What a flow hash was computed over (`enum pkt_hash_types`).
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashType {
    /// IP addresses.
    L3 = bindings::pkt_hash_types_PKT_HASH_TYPE_L3,
    /// IP addresses and ports.
    L4 = bindings::pkt_hash_types_PKT_HASH_TYPE_L4,
}

/// What of a frame's checksums is still to be done or known to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing is known (`CHECKSUM_NONE`).
    None,
    /// The transport checksum was verified (`CHECKSUM_UNNECESSARY`).
    Unnecessary,
    /// To be summed from `start` (from the start of the frame) to the end, and stored `offset`
    /// bytes behind `start` (`CHECKSUM_PARTIAL`).
    Partial {
        /// Where the checksummed part starts.
        start: u32,
        /// Where the checksum goes, from `start`.
        offset: u16,
    },
}

/// How a large frame is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// What it is.
    pub kind: GsoKind,
    /// Payload bytes of each segment but the last.
    pub size: u16,
    /// Number of segments.
    pub segments: u16,
    /// Length of the headers that every segment repeats.
    pub header_length: u32,
}

/// Kinds of large frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP datagrams.
    Udp,
}

/// A piece of a frame in a page of its own, as `skb_shared_info` lists it.
///
/// It borrows the skb: the page stays as long as the reference.
#[repr(transparent)]
pub struct Frag(bindings::skb_frag_t);

impl Frag {
    /// Length in bytes.
    #[inline]
    pub fn size(&self) -> u32 {
        self.0.len
    }

    /// Whether it is in pages; else it is in memory that devices address as it is (`net_iov`).
    #[inline]
    pub fn is_in_pages(&self) -> bool {
        // SAFETY: `self` is a valid fragment.
        !unsafe { bindings::skb_frag_is_net_iov(&self.0) }
    }

    #[inline]
    pub(super) fn as_raw(&self) -> *const bindings::skb_frag_t {
        &self.0
    }
}

/// A socket buffer that is owned: whoever has it sends it, hands it on or drops it.
///
/// Dropping frees it as a lost frame without further reason; [`Self::drop_with`] says why, and
/// [`Self::consume`] that nothing was lost.
///
/// # Invariants
///
/// The pointer is a valid `sk_buff`, and this is its only owner.
pub struct SkBuff(NonNull<bindings::sk_buff>);

// SAFETY: An owned skb may be handed over to and freed by any thread.
unsafe impl Send for SkBuff {}

/// A socket buffer that is only looked at.
pub struct SkBuffRef<'a>(ManuallyDrop<SkBuff>, core::marker::PhantomData<&'a ()>);

impl SkBuffRef<'_> {
    /// Borrows a socket buffer.
    ///
    /// # Safety
    ///
    /// `ptr` must be a valid `sk_buff` for the lifetime of the result.
    pub(crate) unsafe fn from_raw(ptr: NonNull<bindings::sk_buff>) -> Self {
        Self(ManuallyDrop::new(SkBuff(ptr)), core::marker::PhantomData)
    }
}

impl Deref for SkBuffRef<'_> {
    type Target = SkBuff;

    fn deref(&self) -> &SkBuff {
        &self.0
    }
}

impl SkBuff {
    /// Takes a socket buffer over.
    ///
    /// # Safety
    ///
    /// `ptr` must be a valid `sk_buff` that nobody else owns.
    #[inline]
    pub(crate) unsafe fn from_raw(ptr: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: The caller hands over the only ownership.
        Self(ptr)
    }

    /// Gives the ownership away as a pointer.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut bindings::sk_buff {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// The pointer, without giving anything away.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    #[inline]
    fn get(&self) -> &bindings::sk_buff {
        // SAFETY: By the type invariant, nobody else changes the skb while `self` is borrowed.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    fn shared(&self) -> &bindings::skb_shared_info {
        // SAFETY: By the type invariant; every skb has a `skb_shared_info`.
        unsafe { &*bindings::skb_shinfo(self.as_raw()) }
    }

    /// Allocates an skb with room for `length` bytes of linear data, for the poll's device.
    #[inline]
    pub fn alloc(cx: &Context<'_>, length: u32) -> Option<Self> {
        // SAFETY: `cx` proves a live NAPI instance, in its own poll.
        let ptr = unsafe { bindings::napi_alloc_skb(cx.as_raw(), length) };
        // INVARIANT: A fresh skb is ours alone.
        NonNull::new(ptr).map(Self)
    }

    /// Length in bytes.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        self.get().len
    }

    /// Length of the linear part in bytes.
    #[inline]
    pub fn headlen(&self) -> u32 {
        self.get().len - self.get().data_len
    }

    /// The transmit queue that was chosen.
    #[inline]
    pub fn queue_mapping(&self) -> u16 {
        self.get().queue_mapping
    }

    /// The linear part, from the current `data` on.
    #[inline]
    pub fn linear(&self) -> &[u8] {
        // SAFETY: `data` points to `headlen` initialised bytes.
        unsafe { slice::from_raw_parts(self.get().data, self.headlen() as usize) }
    }

    /// The fragments.
    #[inline]
    pub fn frags(&self) -> &[Frag] {
        let shared = self.shared();
        // SAFETY: The first `nr_frags` entries are valid; `Frag` is transparent over them.
        unsafe { slice::from_raw_parts(shared.frags.as_ptr().cast(), shared.nr_frags.into()) }
    }

    /// How the frame is to be cut, `None` when it is not.
    #[inline]
    pub fn gso(&self) -> Option<Gso> {
        let shared = self.shared();
        if shared.gso_size == 0 {
            return None;
        }
        let kind = if shared.gso_type & bindings::SKB_GSO_TCPV4 as u32 != 0 {
            GsoKind::Tcp4
        } else if shared.gso_type & bindings::SKB_GSO_TCPV6 as u32 != 0 {
            GsoKind::Tcp6
        } else {
            GsoKind::Udp
        };
        Some(Gso {
            kind,
            size: shared.gso_size,
            segments: shared.gso_segs,
            // SAFETY: By the type invariant; a frame to be cut has its transport header set.
            header_length: unsafe { bindings::skb_gso_header_length(self.as_raw()) },
        })
    }

    /// What is to be done about the checksum of a frame to send.
    #[inline]
    pub fn checksum(&self) -> Checksum {
        let skb = self.get();
        // SAFETY: All variants of the union are plain integers.
        let (summed, offset) = unsafe {
            let header = skb.__bindgen_anon_4.headers.as_ref();
            (
                u32::from(header.ip_summed()),
                header.__bindgen_anon_1.__bindgen_anon_1.csum_offset,
            )
        };
        match summed {
            bindings::CHECKSUM_PARTIAL => Checksum::Partial {
                // SAFETY: By the type invariant. CAST: never negative in a frame to send.
                start: unsafe { bindings::skb_checksum_start_offset(self.as_raw()) } as u32,
                offset,
            },
            bindings::CHECKSUM_UNNECESSARY => Checksum::Unnecessary,
            _ => Checksum::None,
        }
    }

    /// The 802.1Q tag that is to be inserted.
    #[inline]
    pub fn vlan(&self) -> Option<u16> {
        // SAFETY: By the type invariant.
        unsafe {
            bindings::skb_vlan_tag_present(self.as_raw())
                .then(|| bindings::skb_vlan_tag_get(self.as_raw()))
        }
    }

    /// Appends `bytes` to the linear part of an skb without fragments.
    ///
    /// # Errors
    ///
    /// [`ENOSPC`] when there is no room for them.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> Result {
        let skb = self.get();
        let room = (skb.end - skb.tail) as usize;
        if skb.data_len != 0 || bytes.len() > room {
            return Err(ENOSPC);
        }
        // SAFETY: By the type invariant; there is room for so many bytes, as checked, and `__skb_put`
        // returns where they go.
        unsafe {
            let to = bindings::__skb_put(self.as_raw(), bytes.len() as u32);
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast(), bytes.len());
        }
        Ok(())
    }

    /// How many more pieces there is room for.
    #[inline]
    pub fn fragment_room(&self) -> usize {
        let count = usize::from(self.shared().nr_frags);
        (bindings::MAX_SKB_FRAGS as usize).saturating_sub(count)
    }

    /// Appends a piece of a pool page; the skb holds the page from now on, and gives it back to its
    /// pool. `truesize` is the memory it accounts for, at least the piece's length.
    ///
    /// # Errors
    ///
    /// The piece comes back when the skb has no room for another.
    #[inline]
    pub fn add_fragment(&mut self, fragment: Fragment, truesize: u32) -> Result<(), Fragment> {
        let count = usize::from(self.shared().nr_frags);
        if self.fragment_room() == 0 {
            return Err(fragment);
        }
        let (block, offset, length) = fragment.into_raw();
        // SAFETY: By the type invariant; there is room for a fragment, as checked; the reference to
        // the block goes over to the skb, which is marked to return it to its pool.
        unsafe {
            bindings::skb_mark_for_recycle(self.as_raw());
            bindings::skb_add_rx_frag_netmem(
                self.as_raw(),
                count as i32,
                block.get(),
                offset as i32,
                length as i32,
                truesize,
            );
        }
        Ok(())
    }

    /// Sets the flow hash.
    #[inline]
    pub fn set_hash(&mut self, hash: u32, kind: HashType) {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_set_hash(self.as_raw(), hash, kind as u32) }
    }

    /// Sets the receive queue that the frame came through.
    #[inline]
    pub fn record_rx_queue(&mut self, queue: u16) {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_record_rx_queue(self.as_raw(), queue) }
    }

    /// Sets the 802.1Q tag that was stripped.
    #[inline]
    pub fn put_vlan(&mut self, tci: u16) {
        let proto = (bindings::ETH_P_8021Q as u16).to_be();
        // SAFETY: By the type invariant.
        unsafe { bindings::__vlan_hwaccel_put_tag(self.as_raw(), proto, tci) }
    }

    /// Says that the transport checksum was verified.
    #[inline]
    pub fn set_checksum_unnecessary(&mut self) {
        // SAFETY: By the type invariant; all variants of the union are plain integers.
        unsafe {
            let skb = self.0.as_mut();
            skb.__bindgen_anon_4
                .headers
                .as_mut()
                .set_ip_summed(bindings::CHECKSUM_UNNECESSARY as u8);
        }
    }

    /// Says that the transport checksum field holds the sum of the pseudo-header only: sum from
    /// `start` (from the current `data`), store at `start + offset`.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] when the field is not within the linear part.
    #[inline]
    pub fn set_checksum_partial(&mut self, start: u16, offset: u16) -> Result {
        // SAFETY: By the type invariant.
        if unsafe { bindings::skb_partial_csum_set(self.as_raw(), start, offset) } {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// Says that a received frame stands for `segments` wire frames with `size` bytes of payload each.
    #[inline]
    pub fn set_gso(&mut self, kind: GsoKind, size: u16, segments: u16) {
        // SAFETY: By the type invariant, nobody else uses the skb.
        let shared = unsafe { &mut *bindings::skb_shinfo(self.as_raw()) };
        shared.gso_size = size;
        shared.gso_segs = segments;
        shared.gso_type = match kind {
            GsoKind::Tcp4 => bindings::SKB_GSO_TCPV4 as u32,
            GsoKind::Tcp6 => bindings::SKB_GSO_TCPV6 as u32,
            GsoKind::Udp => bindings::SKB_GSO_UDP_L4 as u32,
        };
    }

    /// Takes the Ethernet header off a received frame and notes what it says.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] when the linear part holds no Ethernet header; the skb is unchanged.
    #[inline]
    pub fn eth_type_trans(&mut self, dev: &NetDevice) -> Result {
        if self.headlen() < bindings::ETH_HLEN {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariant; the header is there, as checked.
        let protocol = unsafe { bindings::eth_type_trans(self.as_raw(), dev.as_raw()) };
        // SAFETY: By the type invariant; all variants of the union are plain integers.
        unsafe { self.0.as_mut().__bindgen_anon_4.headers.as_mut().protocol = protocol };
        Ok(())
    }

    /// Passes a received frame to the stack by way of GRO.
    #[inline]
    pub fn gro_receive(self, cx: &Context<'_>) {
        // SAFETY: `cx` proves that this is its instance's own poll; the skb is handed over.
        unsafe { bindings::napi_gro_receive(cx.as_raw(), self.into_raw()) };
    }

    /// Passes a received frame to the stack at once. In softirq context.
    #[inline]
    pub fn receive(self) {
        // SAFETY: The skb is handed over.
        unsafe { bindings::netif_receive_skb(self.into_raw()) };
    }

    /// Frees a frame that did what it was for. `budget` is that of the poll, 0 outside of one.
    #[inline]
    pub fn consume(self, budget: usize) {
        // SAFETY: The skb is handed over.
        unsafe { bindings::napi_consume_skb(self.into_raw(), budget as i32) };
    }

    /// Frees a frame that is lost, from any context.
    #[cold]
    pub fn drop_with(self, reason: DropReason) {
        // SAFETY: The skb is handed over.
        unsafe { bindings::dev_kfree_skb_any_reason(self.into_raw(), reason as u32) };
    }
}

impl Drop for SkBuff {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the ownership ends here.
        unsafe {
            bindings::dev_kfree_skb_any_reason(self.as_raw(), DropReason::NotSpecified as u32)
        };
    }
}
