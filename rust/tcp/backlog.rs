// SPDX-License-Identifier: GPL-2.0

//! Entries of a socket's backlog, where completions wait while a process owns the socket.

use crate::{
    bindings,
    net::{
        napi::RxSkBuff,
        netmem::PoolFrag,
        skb::UniqueSkBuff, //
    }, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// An entry of a socket's backlog that is not a frame.
pub struct BacklogEntry(UniqueSkBuff);

impl BacklogEntry {
    /// Allocates an entry of `kind`. Process context; sleeps.
    pub fn new(kind: u16) -> Result<Self> {
        Self::alloc(kind, false)
    }

    /// Allocates an entry of `kind`. Any context.
    #[inline]
    pub fn new_atomic(kind: u16) -> Result<Self> {
        Self::alloc(kind, true)
    }

    fn alloc(kind: u16, atomic: bool) -> Result<Self> {
        // SAFETY: No preconditions.
        let skb = unsafe { bindings::alloc_backlog_entry(kind.into(), atomic) };
        let skb = NonNull::new(skb).ok_or(ENOMEM)?;
        // SAFETY: The skb is new.
        Ok(Self(unsafe { UniqueSkBuff::from_raw(skb) }))
    }

    /// Makes an entry of `kind` of a received frame, which the socket's TCP receives when
    /// [`Locked::receive`](super::sock::Locked::receive) applies it.
    ///
    /// # Errors
    ///
    /// `EINVAL`, and the frame dropped, if it is not a TCP segment, or has IP options.
    pub fn frame(skb: RxSkBuff<'_>, kind: u16) -> Result<Self> {
        let skb = skb.into_unique();
        // SAFETY: The skb is valid and not shared; `eth_type_trans()` has set its protocol.
        match unsafe { bindings::tcp_frame_prepare(skb.as_raw(), kind.into()) } {
            true => Ok(Self(skb)),
            false => Err(EINVAL),
        }
    }

    /// Changes the kind of an entry without a frame.
    pub fn set_kind(&mut self, kind: u16) {
        // SAFETY: The skb is valid and not shared.
        unsafe { bindings::backlog_entry_set_kind(self.0.as_raw(), kind.into()) }
    }

    /// Stores a sequence number and another number.
    pub fn set_seq(&mut self, seq: u32, round: u32) {
        // SAFETY: The skb is valid and not shared.
        unsafe { bindings::backlog_entry_set_seq(self.0.as_raw(), seq, round) }
    }

    /// Returns the numbers of [`Self::set_seq`].
    pub fn seq(&self) -> (u32, u32) {
        let (mut seq, mut round) = (0, 0);
        // SAFETY: The skb is valid.
        unsafe { bindings::backlog_entry_seq(self.0.as_raw(), &mut seq, &mut round) };
        (seq, round)
    }

    /// The kind.
    #[inline]
    pub fn kind(&self) -> u16 {
        // SAFETY: The skb is valid and has a kind. CAST: The kind was set from a `u16`.
        unsafe { bindings::backlog_entry_kind(self.0.as_raw()) as u16 }
    }

    /// The skb.
    #[inline]
    pub fn skb(&self) -> &UniqueSkBuff {
        &self.0
    }

    /// Appends payload, see [`UniqueSkBuff::add_fragment`].
    #[inline]
    pub fn add_fragment(&mut self, fragment: PoolFrag, truesize: u32) -> Result<(), PoolFrag> {
        self.0.add_fragment(fragment, truesize)
    }

    /// Sets the arguments of [`Locked::deliver`](super::sock::Locked::deliver): the sequence number of the
    /// payload, the peer's latest timestamp, and whether the peer set PSH.
    #[inline]
    pub fn prepare(&mut self, seq: u32, ts_recent: u32, push: bool) {
        // SAFETY: The skb is valid and not shared.
        unsafe { bindings::tcp_deliver_prepare(self.0.as_raw(), seq, ts_recent, push) }
    }

    /// Returns the skb, which the caller frees.
    #[inline]
    pub(super) fn into_raw(self) -> *mut bindings::sk_buff {
        self.0.into_raw()
    }

    /// Undoes [`Self::into_raw`].
    ///
    /// # Safety
    ///
    /// `skb` must come from `into_raw`, and is handed over.
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
        if unsafe { bindings::backlog_entry_kind(skb) } < 0 {
            return Err(skb);
        }
        // SAFETY: Only entries have a kind; the caller hands it over.
        Ok(unsafe { Self::from_raw(skb) })
    }
}
