// SPDX-License-Identifier: GPL-2.0

//! A socket's backlog: what waits for a process that owns the socket, in its order.

use crate::{
    bindings,
    net::{
        netmem::Fragment,
        skb::UniqueSkBuff, //
    }, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// An entry of a socket's backlog that is not a frame.
pub struct BacklogEntry(UniqueSkBuff);

impl BacklogEntry {
    /// Allocates an entry that means `kind`. Process context.
    pub fn new(kind: u16) -> Result<Self> {
        Self::alloc(kind, false)
    }

    /// Allocates an entry that means `kind`. From any context.
    #[inline]
    pub fn new_atomic(kind: u16) -> Result<Self> {
        Self::alloc(kind, true)
    }

    fn alloc(kind: u16, atomic: bool) -> Result<Self> {
        // SAFETY: Any values are fine.
        let skb = unsafe { bindings::alloc_backlog_marker(kind.into(), atomic) };
        let skb = NonNull::new(skb).ok_or(ENOMEM)?;
        // SAFETY: A fresh skb is ours alone.
        Ok(Self(unsafe { UniqueSkBuff::from_raw(skb) }))
    }

    /// What it means.
    #[inline]
    pub fn kind(&self) -> u16 {
        // SAFETY: Every entry is one of `alloc_backlog_marker`'s. CAST: set from a `u16`.
        unsafe { bindings::backlog_marker_kind(self.0.as_raw()) as u16 }
    }

    /// The skb.
    #[inline]
    pub fn skb(&self) -> &UniqueSkBuff {
        &self.0
    }

    /// Appends payload, see [`UniqueSkBuff::add_fragment`].
    #[inline]
    pub fn add_fragment(&mut self, fragment: Fragment, truesize: u32) -> Result<(), Fragment> {
        self.0.add_fragment(fragment, truesize)
    }

    /// Notes what [`Tcp::deliver`](super::sock::Tcp::deliver) has to know of the payload: its sequence number, the peer's
    /// latest timestamp, and whether the peer pushed.
    #[inline]
    pub fn prepare(&mut self, seq: u32, ts_recent: u32, push: bool) {
        // SAFETY: The skb is ours.
        unsafe { bindings::tcp_deliver_prepare(self.0.as_raw(), seq, ts_recent, push) }
    }

    /// Gives the skb away.
    #[inline]
    pub(super) fn into_raw(self) -> *mut bindings::sk_buff {
        self.0.into_raw()
    }

    /// Takes over an entry that [`Self::into_raw`] has given away.
    ///
    /// # Safety
    ///
    /// `skb` must be such an entry, and is the caller's.
    pub(super) unsafe fn from_raw(skb: *mut bindings::sk_buff) -> Self {
        // SAFETY: The caller hands the skb over; it is not null.
        Self(unsafe { UniqueSkBuff::from_raw(NonNull::new_unchecked(skb)) })
    }

    /// Takes an skb out of a backlog, or returns it if it is a frame.
    ///
    /// # Safety
    ///
    /// `skb` must be valid and is handed over.
    pub(super) unsafe fn from_backlog(
        skb: *mut bindings::sk_buff,
    ) -> Result<Self, *mut bindings::sk_buff> {
        // SAFETY: The caller promises validity.
        if unsafe { bindings::backlog_marker_kind(skb) } < 0 {
            return Err(skb);
        }
        // SAFETY: Only entries have a kind; the caller hands it over.
        Ok(unsafe { Self::from_raw(skb) })
    }
}
