// SPDX-License-Identifier: GPL-2.0

//! Socket buffers under construction.

use super::{
    GsoKind,
    PktHashType,
    SkBuff, //
};
use crate::{
    bindings,
    net::netmem::PoolFrag, //
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// An owned socket buffer without clones, which can be written.
///
/// # Invariants
///
/// No clone shares the skb's data.
///
/// # Examples
///
/// A received frame, copied into a new skb and passed to GRO:
///
/// ```
/// use crate::net::{
///     napi::RxContext,
///     skb::PktHashType, //
/// };
/// use kernel::prelude::*;
///
/// fn receive(rx: &RxContext<'_>, frame: &[u8], hash: u32) -> Result {
///     let mut skb = rx.alloc_skb(frame.len() as u32).ok_or(ENOMEM)?;
///     skb.put(frame)?;
///     skb.record_rx_queue(0);
///     let mut skb = rx.eth_type_trans(skb)?;
///     skb.set_hash(hash, PktHashType::L4);
///     skb.gro_receive();
///     Ok(())
/// }
/// ```
#[repr(transparent)]
pub struct UniqueSkBuff(SkBuff);

impl Deref for UniqueSkBuff {
    type Target = SkBuff;

    #[inline]
    fn deref(&self) -> &SkBuff {
        &self.0
    }
}

impl From<UniqueSkBuff> for SkBuff {
    #[inline]
    fn from(skb: UniqueSkBuff) -> Self {
        skb.0
    }
}

impl UniqueSkBuff {
    /// Takes ownership of a socket buffer.
    ///
    /// # Safety
    ///
    /// As for [`SkBuff::from_raw`]; and no clone may share the skb's data.
    #[inline]
    pub(crate) unsafe fn from_raw(ptr: NonNull<bindings::sk_buff>) -> Self {
        // SAFETY: The caller hands over the only reference.
        // INVARIANT: The caller promises that there is no clone.
        Self(unsafe { SkBuff::from_raw(ptr) })
    }

    /// Gives up ownership.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut bindings::sk_buff {
        self.0.into_raw()
    }

    /// Appends `bytes` to the linear part of an skb without fragments.
    ///
    /// # Errors
    ///
    /// [`ENOSPC`] when there is not enough room.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> Result {
        let skb = self.get();
        let room = (skb.end - skb.tail) as usize;
        if skb.data_len != 0 || bytes.len() > room {
            return Err(ENOSPC);
        }
        // SAFETY: By the type invariants; there is room, as checked, and `__skb_put` returns where
        // the bytes go.
        unsafe {
            let to = bindings::__skb_put(self.as_raw(), bytes.len() as u32);
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast(), bytes.len());
        }
        Ok(())
    }

    /// Number of fragments that can still be added.
    #[inline]
    pub fn fragment_room(&self) -> usize {
        let count = usize::from(self.shared_info().nr_frags);
        (bindings::MAX_SKB_FRAGS as usize).saturating_sub(count)
    }

    /// Appends a fragment of pool memory. The skb holds it from now on and returns it to its pool.
    /// `truesize` is the memory to account for, at least the fragment's length.
    ///
    /// # Errors
    ///
    /// Returns the fragment when the skb has the maximum number of fragments.
    #[inline]
    pub fn add_fragment(&mut self, fragment: PoolFrag, truesize: u32) -> Result<(), PoolFrag> {
        let count = usize::from(self.shared_info().nr_frags);
        if self.fragment_room() == 0 {
            return Err(fragment);
        }
        let (block, offset, length) = fragment.into_raw();
        // SAFETY: By the type invariants; there is room, as checked; the reference to the block passes
        // to the skb, which is marked to return it to its pool.
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
    pub fn set_hash(&mut self, hash: u32, kind: PktHashType) {
        // SAFETY: By the type invariants.
        unsafe { bindings::skb_set_hash(self.as_raw(), hash, kind as u32) }
    }

    /// Sets the receive queue.
    #[inline]
    pub fn record_rx_queue(&mut self, queue: u16) {
        // SAFETY: By the type invariants.
        unsafe { bindings::skb_record_rx_queue(self.as_raw(), queue) }
    }

    /// Sets the 802.1Q tag control information that the device stripped.
    #[inline]
    pub fn put_vlan(&mut self, tci: u16) {
        let proto = (bindings::ETH_P_8021Q as u16).to_be();
        // SAFETY: By the type invariants.
        unsafe { bindings::__vlan_hwaccel_put_tag(self.as_raw(), proto, tci) }
    }

    /// Sets `CHECKSUM_UNNECESSARY`: the device verified the transport checksum.
    #[inline]
    pub fn set_checksum_unnecessary(&mut self) {
        // SAFETY: By the type invariants; all variants of the union are plain integers.
        unsafe {
            (*self.as_raw())
                .__bindgen_anon_4
                .headers
                .as_mut()
                .set_ip_summed(bindings::CHECKSUM_UNNECESSARY as u8);
        }
    }

    /// Sets `CHECKSUM_PARTIAL`: the checksum field, `offset` bytes after byte `start` of the linear
    /// part, holds only the sum of the pseudo-header.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] when the field is outside the linear part.
    #[inline]
    pub fn set_checksum_partial(&mut self, start: u16, offset: u16) -> Result {
        // SAFETY: By the type invariants.
        if unsafe { bindings::skb_partial_csum_set(self.as_raw(), start, offset) } {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// Marks the frame as `segments` wire frames of `size` payload bytes each that the device
    /// coalesced.
    #[inline]
    pub fn set_gso(&mut self, kind: GsoKind, size: u16, segments: u16) {
        // SAFETY: By the type invariants nobody else uses the skb or its data.
        let shared = unsafe { &mut *bindings::skb_shinfo(self.as_raw()) };
        shared.gso_size = size;
        shared.gso_segs = segments;
        shared.gso_type = match kind {
            GsoKind::Tcp4 => bindings::SKB_GSO_TCPV4 as u32,
            GsoKind::Tcp6 => bindings::SKB_GSO_TCPV6 as u32,
            GsoKind::Udp => bindings::SKB_GSO_UDP_L4 as u32,
        };
    }
}
