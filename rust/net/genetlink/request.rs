// SPDX-License-Identifier: GPL-2.0

//! Requests and dumps, as a command gets them.

use super::message::{
    genlmsg_put,
    GenlMsg,
    Header,
    NetlinkSkBuff, //
};
use crate::{
    bindings,
    net::{
        extack::Extack,
        namespace::Namespace, //
    }, //
};
use core::{
    ptr::NonNull,
    slice, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// The attributes of a request.
pub struct Attributes<'a>(&'a [Option<NonNull<bindings::nlattr>>]);

impl Attributes<'_> {
    /// Returns the payload of attribute `attrtype`, if the request has it and the command's policy
    /// knows it.
    pub fn get_bytes(&self, attrtype: u32) -> Option<&[u8]> {
        let attr = (*self.0.get(attrtype as usize)?)?.as_ptr();
        // SAFETY: The attribute is valid with its payload, as the core has validated it.
        Some(unsafe {
            slice::from_raw_parts(
                bindings::nla_data(attr).cast(),
                bindings::nla_len(attr) as usize,
            )
        })
    }

    /// Returns an integer attribute of 8, 16, 32 or 64 bits.
    pub fn get_uint(&self, attrtype: u32) -> Option<u64> {
        match *self.get_bytes(attrtype)? {
            [a] => Some(a.into()),
            [a, b] => Some(u16::from_ne_bytes([a, b]).into()),
            [a, b, c, d] => Some(u32::from_ne_bytes([a, b, c, d]).into()),
            [a, b, c, d, e, f, g, h] => Some(u64::from_ne_bytes([a, b, c, d, e, f, g, h])),
            _ => None,
        }
    }

    /// Returns an integer attribute of up to 32 bits.
    pub fn get_u32(&self, attrtype: u32) -> Option<u32> {
        u32::try_from(self.get_uint(attrtype)?).ok()
    }

    /// Returns an integer attribute of up to 16 bits.
    pub fn get_u16(&self, attrtype: u32) -> Option<u16> {
        u16::try_from(self.get_uint(attrtype)?).ok()
    }

    /// Returns whether the request has attribute `attrtype`.
    pub fn get_flag(&self, attrtype: u32) -> bool {
        self.get_bytes(attrtype).is_some()
    }
}

/// What a request and its dump know of the request (`struct genl_info`).
struct Info<'a> {
    raw: &'a bindings::genl_info,
    attrs: Attributes<'a>,
}

impl<'a> Info<'a> {
    /// # Safety
    ///
    /// `raw` must be valid for `'a`, and its attributes parsed by a policy of length `attrs`.
    unsafe fn new(raw: *mut bindings::genl_info, attrs: usize) -> Self {
        // SAFETY: The caller promises it. `attrs` is null, or an array of `maxattr + 1` pointers,
        // which is the length of the policy.
        unsafe {
            let raw = &*raw;
            let attrs = if raw.attrs.is_null() {
                &[]
            } else {
                slice::from_raw_parts(raw.attrs.cast(), attrs)
            };
            Self {
                raw,
                attrs: Attributes(attrs),
            }
        }
    }

    fn namespace(&self) -> &Namespace {
        // SAFETY: `raw` is valid, and the socket of the request holds its namespace.
        unsafe { Namespace::from_raw(bindings::genl_info_net(self.raw)) }
    }

    /// The header of an answer with the command of the request.
    fn header(&self, flags: u32) -> Header {
        Header {
            portid: self.raw.snd_portid,
            seq: self.raw.snd_seq,
            family: self.raw.family,
            flags,
            // SAFETY: `raw` is valid, and with it the header of the request.
            cmd: unsafe { (*self.raw.genlhdr).cmd },
        }
    }
}

/// A request.
pub struct Request<'a>(Info<'a>);

impl Request<'_> {
    /// # Safety
    ///
    /// `info` must be valid while the value exists, and its attributes parsed by a policy of length
    /// `attrs`.
    pub(super) unsafe fn from_raw(info: *mut bindings::genl_info, attrs: usize) -> Self {
        // SAFETY: The caller promises it.
        Self(unsafe { Info::new(info, attrs) })
    }

    /// The attributes.
    pub fn attrs(&self) -> &Attributes<'_> {
        &self.0.attrs
    }

    /// The network namespace of the sender.
    pub fn namespace(&self) -> &Namespace {
        self.0.namespace()
    }

    /// The extended ACK, for error messages.
    pub fn extack(&self) -> Extack<'_> {
        // SAFETY: It is null, or valid as long as the request.
        unsafe { Extack::from_raw(self.0.raw.extack) }
    }

    /// Sends an answer.
    ///
    /// # Errors
    ///
    /// [`EMSGSIZE`] when it gets too long, [`ENOMEM`], or what `fill` returns.
    pub fn reply(&self, fill: impl FnOnce(&mut GenlMsg<'_>) -> Result) -> Result {
        let mut skb = NetlinkSkBuff::new(false)?;
        skb.put(self.0.header(0), fill)?;
        // SAFETY: The request is valid, and only read. The call consumes the skb.
        to_result(unsafe {
            let info = core::ptr::from_ref(self.0.raw).cast_mut();
            bindings::genlmsg_reply(skb.into_raw(), info)
        })
    }
}

/// A part of a dump.
pub struct Dump<'a> {
    info: Info<'a>,
    skb: *mut bindings::sk_buff,
    cb: &'a mut bindings::netlink_callback,
}

impl Dump<'_> {
    /// # Safety
    ///
    /// `skb` and `cb` must be valid and used by nobody else while the value exists, and the attributes
    /// of the request be parsed by a policy of length `attrs`.
    pub(super) unsafe fn from_raw(
        skb: *mut bindings::sk_buff,
        cb: *mut bindings::netlink_callback,
        attrs: usize,
    ) -> Self {
        // SAFETY: The caller promises it.
        unsafe {
            Self {
                info: Info::new(bindings::genl_info_dump(cb).cast_mut(), attrs),
                skb,
                cb: &mut *cb,
            }
        }
    }

    /// The length of this part in bytes.
    pub(super) fn len(&self) -> u32 {
        // SAFETY: The skb is valid.
        unsafe { (*self.skb).len }
    }

    /// The attributes of the request.
    pub fn attrs(&self) -> &Attributes<'_> {
        &self.info.attrs
    }

    /// The network namespace of the receiver.
    pub fn namespace(&self) -> &Namespace {
        self.info.namespace()
    }

    /// Position at which the next part resumes. Both numbers are 0 at first; the command defines
    /// their meaning.
    pub fn position(&mut self) -> &mut [c_long; 2] {
        // SAFETY: Both variants of the union are plain bytes; `args` has six elements.
        unsafe { &mut *(&raw mut self.cb.__bindgen_anon_1.args).cast::<[c_long; 2]>() }
    }

    /// Adds a message.
    ///
    /// # Errors
    ///
    /// [`EMSGSIZE`] when there is no room, or what `fill` returns.
    pub fn put(&mut self, fill: impl FnOnce(&mut GenlMsg<'_>) -> Result) -> Result {
        let header = self.info.header(bindings::NLM_F_MULTI);
        // SAFETY: The skb is valid, and nobody else uses it.
        unsafe { genlmsg_put(self.skb, header, fill) }
    }
}
