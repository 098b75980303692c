// SPDX-License-Identifier: GPL-2.0

//! Socket buffers.
//!
//! An owned [`SkBuff`] can be read, passed on and freed. Its data may be shared with clones, so that
//! only a [`UniqueSkBuff`] can be written.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

mod unique;

pub use self::unique::UniqueSkBuff;

use crate::bindings;
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull,
    slice, //
};

/// Why a frame is dropped (`enum skb_drop_reason`).
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Not specified.
    NotSpecified = bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED,
    /// The frame is larger than the device can send.
    PktTooBig = bindings::skb_drop_reason_SKB_DROP_REASON_PKT_TOO_BIG,
    /// The device is not ready.
    DevReady = bindings::skb_drop_reason_SKB_DROP_REASON_DEV_READY,
    /// The transmit ring is full.
    FullRing = bindings::skb_drop_reason_SKB_DROP_REASON_FULL_RING,
    /// Out of memory.
    NoMem = bindings::skb_drop_reason_SKB_DROP_REASON_NOMEM,
}

/// Input of a flow hash (`enum pkt_hash_types`).
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PktHashType {
    /// IP addresses.
    L3 = bindings::pkt_hash_types_PKT_HASH_TYPE_L3,
    /// IP addresses and ports.
    L4 = bindings::pkt_hash_types_PKT_HASH_TYPE_L4,
}

/// State of a frame's transport checksum (`ip_summed`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Not verified (`CHECKSUM_NONE`).
    None,
    /// Verified (`CHECKSUM_UNNECESSARY`).
    Unnecessary,
    /// The device must sum from byte `start` of the frame to its end, and store the checksum
    /// `offset` bytes after `start` (`CHECKSUM_PARTIAL`).
    Partial {
        /// First byte that is summed.
        start: u32,
        /// Position of the checksum, relative to `start`.
        offset: u16,
    },
}

/// Segmentation of a GSO frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// Protocol.
    pub kind: GsoKind,
    /// Payload bytes of each segment but the last (`gso_size`).
    pub size: u16,
    /// Number of segments (`gso_segs`).
    pub segments: u16,
    /// Length of the headers that each segment repeats, in bytes.
    pub header_length: u32,
}

/// Protocol of a GSO frame (`gso_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP datagrams.
    Udp,
}

/// A fragment of a frame (`skb_frag_t`), as `skb_shared_info` lists it.
///
/// It borrows the skb, and with it the memory.
#[repr(transparent)]
pub struct Frag(bindings::skb_frag_t);

impl Frag {
    /// Length in bytes.
    #[inline]
    pub fn size(&self) -> u32 {
        self.0.len
    }

    /// Whether the memory consists of pages. Otherwise it is a `net_iov`, which has a DMA address but
    /// no page.
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

/// An owned socket buffer.
///
/// Dropping it frees the frame as lost without a reason. [`Self::drop_with`] gives the reason, and
/// [`TxContext::consume`](super::napi::TxContext::consume) frees a frame that was sent.
///
/// # Invariants
///
/// The pointer is a valid `sk_buff`, and this is its only reference (`users` is 1): devices of this
/// crate do not set `IFF_TX_SKB_SHARING`. Clones may share the data, which therefore nobody writes.
pub struct SkBuff(NonNull<bindings::sk_buff>);

// SAFETY: An owned skb may be passed to and freed by any thread.
unsafe impl Send for SkBuff {}

/// A borrowed socket buffer.
pub struct SkBuffRef<'a>(ManuallyDrop<SkBuff>, PhantomData<&'a ()>);

impl SkBuffRef<'_> {
    /// Borrows a socket buffer.
    ///
    /// # Safety
    ///
    /// `ptr` must be a valid `sk_buff` that nobody changes for the lifetime of the result.
    pub(crate) unsafe fn from_raw(ptr: NonNull<bindings::sk_buff>) -> Self {
        Self(ManuallyDrop::new(SkBuff(ptr)), PhantomData)
    }
}

impl Deref for SkBuffRef<'_> {
    type Target = SkBuff;

    fn deref(&self) -> &SkBuff {
        &self.0
    }
}

impl SkBuff {
    /// Takes ownership of a socket buffer.
    ///
    /// # Safety
    ///
    /// `ptr` must be a valid `sk_buff`, and the caller must hand over its only reference.
    #[inline]
    pub(crate) unsafe fn from_raw(ptr: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: The caller hands over the only reference.
        Self(ptr)
    }

    /// Gives up ownership.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut bindings::sk_buff {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// The pointer, which stays owned by `self`.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    #[inline]
    fn get(&self) -> &bindings::sk_buff {
        // SAFETY: By the type invariant nobody else changes the skb while `self` is borrowed.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    fn shared_info(&self) -> &bindings::skb_shared_info {
        // SAFETY: By the type invariant; every skb has a `skb_shared_info`, and nobody writes it while
        // clones may share it.
        unsafe { &*bindings::skb_shinfo(self.as_raw()) }
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

    /// Index of the selected transmit queue.
    #[inline]
    pub fn queue_mapping(&self) -> u16 {
        self.get().queue_mapping
    }

    /// The linear part, starting at `data`.
    #[inline]
    pub fn linear(&self) -> &[u8] {
        // SAFETY: `data` points to `headlen` initialised bytes.
        unsafe { slice::from_raw_parts(self.get().data, self.headlen() as usize) }
    }

    /// The fragments.
    #[inline]
    pub fn frags(&self) -> &[Frag] {
        let shared = self.shared_info();
        // SAFETY: The first `nr_frags` entries are valid; `Frag` is transparent over them.
        unsafe { slice::from_raw_parts(shared.frags.as_ptr().cast(), shared.nr_frags.into()) }
    }

    /// Segmentation of the frame; `None` when it is not a GSO frame.
    #[inline]
    pub fn gso(&self) -> Option<Gso> {
        let shared = self.shared_info();
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
            // SAFETY: By the type invariant; a GSO frame has its transport header set.
            header_length: unsafe { bindings::skb_gso_header_length(self.as_raw()) },
        })
    }

    /// State of the checksum of a frame to send.
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

    /// The 802.1Q tag control information that the device must insert.
    #[inline]
    pub fn vlan(&self) -> Option<u16> {
        // SAFETY: By the type invariant.
        unsafe {
            bindings::skb_vlan_tag_present(self.as_raw())
                .then(|| bindings::skb_vlan_tag_get(self.as_raw()))
        }
    }

    /// Reports the time to a socket that asks when the frame is sent. Called before the device can send
    /// it.
    #[inline]
    pub fn tx_timestamp(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_tx_timestamp(self.as_raw()) }
    }

    /// Frees a frame that is lost. Callable from any context.
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
