// SPDX-License-Identifier: GPL-2.0

//! Messages under construction.

use crate::bindings;
use core::{
    marker::PhantomData,
    mem::{
        size_of,
        ManuallyDrop, //
    },
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    fmt::{
        self,
        Write, //
    },
    prelude::*,
    str::NullTerminatedFormatter, //
};

/// An skb for netlink messages.
///
/// # Invariants
///
/// The pointer owns a valid skb.
pub(super) struct NetlinkSkBuff(NonNull<bindings::sk_buff>);

impl NetlinkSkBuff {
    /// Allocates an skb for a message of the default size; without sleeping if `atomic`.
    pub(super) fn new(atomic: bool) -> Result<Self> {
        // SAFETY: No preconditions.
        let skb = unsafe { bindings::genlmsg_new_default(atomic) };
        // INVARIANT: The skb was just allocated.
        Ok(Self(NonNull::new(skb).ok_or(ENOMEM)?))
    }

    /// Appends a message that `fill` fills; nothing when that fails.
    pub(super) fn put(
        &mut self,
        header: Header,
        fill: impl FnOnce(&mut GenlMsg<'_>) -> Result,
    ) -> Result {
        // SAFETY: By the type invariant.
        unsafe { genlmsg_put(self.0.as_ptr(), header, fill) }
    }

    /// Returns the skb, which the caller has to free.
    pub(super) fn into_raw(self) -> *mut bindings::sk_buff {
        ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Drop for NetlinkSkBuff {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::nlmsg_free(self.0.as_ptr()) }
    }
}

/// The arguments of `genlmsg_put`.
pub(super) struct Header {
    pub(super) portid: u32,
    pub(super) seq: u32,
    pub(super) family: *const bindings::genl_family,
    pub(super) flags: u32,
    pub(super) cmd: u8,
}

/// Appends a message that `fill` fills; nothing when that fails.
///
/// # Safety
///
/// `skb` must be valid and used by nobody else, and `header.family` be valid.
pub(super) unsafe fn genlmsg_put(
    skb: *mut bindings::sk_buff,
    header: Header,
    fill: impl FnOnce(&mut GenlMsg<'_>) -> Result,
) -> Result {
    let Header {
        portid,
        seq,
        family,
        flags,
        cmd,
    } = header;
    // SAFETY: The caller promises it. CAST: `flags` are 16 bits.
    let raw_header =
        unsafe { bindings::genlmsg_put(skb, portid, seq, family, flags as c_int, cmd) };
    if raw_header.is_null() {
        return Err(EMSGSIZE);
    }
    let result = fill(&mut GenlMsg {
        skb,
        _skb: PhantomData,
    });
    // SAFETY: `skb` is valid, and the message begins at `raw_header`.
    unsafe {
        match result {
            Ok(()) => bindings::genlmsg_end(skb, raw_header),
            Err(_) => bindings::genlmsg_cancel(skb, raw_header),
        }
    }
    result
}

/// A message under construction.
///
/// # Invariants
///
/// `skb` is valid, and nobody else uses it.
pub struct GenlMsg<'a> {
    skb: *mut bindings::sk_buff,
    _skb: PhantomData<&'a mut bindings::sk_buff>,
}

impl GenlMsg<'_> {
    /// Adds a 16-bit integer attribute.
    ///
    /// # Errors
    ///
    /// [`EMSGSIZE`] when there is no room, as for all attributes.
    pub fn put_u16(&mut self, attrtype: u32, value: u16) -> Result {
        self.put_bytes(attrtype, &value.to_ne_bytes())
    }

    /// Adds a 32-bit integer attribute.
    pub fn put_u32(&mut self, attrtype: u32, value: u32) -> Result {
        self.put_bytes(attrtype, &value.to_ne_bytes())
    }

    /// Adds an integer attribute of 32 bits, or 64 if the value needs them.
    pub fn put_uint(&mut self, attrtype: u32, value: u64) -> Result {
        match u32::try_from(value) {
            Ok(value) => self.put_u32(attrtype, value),
            Err(_) => self.put_bytes(attrtype, &value.to_ne_bytes()),
        }
    }

    /// Adds a string attribute, cut off after 79 bytes.
    pub fn put_string(&mut self, attrtype: u32, args: fmt::Arguments<'_>) -> Result {
        let mut buffer = [0; 80];
        let mut formatter = NullTerminatedFormatter::new(&mut buffer).ok_or(EMSGSIZE)?;
        // An error says that the string was cut off.
        let _ = formatter.write_fmt(args);
        let text = CStr::from_bytes_until_nul(&buffer).map_err(|_| EMSGSIZE)?;
        self.put_bytes(attrtype, text.to_bytes_with_nul())
    }

    /// Adds an attribute of bytes.
    pub fn put_bytes(&mut self, attrtype: u32, value: &[u8]) -> Result {
        // The length field counts the header, too.
        const MAX_LEN: usize = u16::MAX as usize - size_of::<bindings::nlattr>();
        if value.len() > MAX_LEN {
            return Err(EMSGSIZE);
        }
        // SAFETY: By the type invariant; `value` is valid for its length.
        to_result(unsafe {
            bindings::nla_put(
                self.skb,
                attrtype as c_int,
                value.len() as c_int,
                value.as_ptr().cast(),
            )
        })
    }

    /// Adds an attribute that holds the attributes that `fill` adds; nothing when that fails.
    pub fn put_nest(&mut self, attrtype: u32, fill: impl FnOnce(&mut Self) -> Result) -> Result {
        // SAFETY: By the type invariant.
        let nest = NonNull::new(unsafe { bindings::nla_nest_start(self.skb, attrtype as c_int) })
            .ok_or(EMSGSIZE)?;
        let result = fill(self);
        // SAFETY: By the type invariant; the nest was started above.
        unsafe {
            match result {
                Ok(()) => bindings::nla_nest_end(self.skb, nest.as_ptr()),
                Err(_) => bindings::nla_nest_cancel(self.skb, nest.as_ptr()),
            }
        }
        result
    }
}
