// SPDX-License-Identifier: GPL-2.0

//! Generic netlink families with commands.
//!
//! [`kernel::net::netlink`] has families, multicast groups and their registration, which this builds
//! on. It has no commands, requests or dumps, and its messages have no nested attributes and reach
//! the initial network namespace only.
//!
//! C header: [`include/net/genetlink.h`](srctree/include/net/genetlink.h)

use super::{
    extack::Extack,
    namespace::Namespace, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::{
        size_of,
        transmute,
        ManuallyDrop, //
    },
    ptr::NonNull,
    slice, //
};
use kernel::{
    error::to_result,
    net::netlink::{
        self,
        MulticastGroup,
        Registration, //
    },
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        AtomicFlag, //
    },
    ThisModule, //
};

/// What an attribute of a request must be (`struct nla_policy`). A command has an array of these,
/// indexed by attribute type.
#[repr(transparent)]
pub struct Policy(bindings::nla_policy);

// SAFETY: The policy is never written and points to nothing.
unsafe impl Sync for Policy {}

impl Policy {
    const fn new(kind: u32, len: u16) -> Self {
        Self(bindings::nla_policy {
            type_: kind as u8,
            len,
            ..pin_init::zeroed()
        })
    }

    /// The attribute is not allowed (`NLA_REJECT`).
    pub const fn reject() -> Self {
        Self::new(bindings::NLA_REJECT, 0)
    }

    /// A 16-bit integer (`NLA_U16`).
    pub const fn u16() -> Self {
        Self::new(bindings::NLA_U16, 0)
    }

    /// A 32-bit integer (`NLA_U32`).
    pub const fn u32() -> Self {
        Self::new(bindings::NLA_U32, 0)
    }

    /// A 32-bit or 64-bit integer (`NLA_UINT`).
    pub const fn uint() -> Self {
        Self::new(bindings::NLA_UINT, 0)
    }

    /// Up to `max` bytes (`NLA_BINARY`).
    pub const fn binary(max: u16) -> Self {
        Self::new(bindings::NLA_BINARY, max)
    }

    /// A flag, set by being present (`NLA_FLAG`).
    pub const fn flag() -> Self {
        Self::new(bindings::NLA_FLAG, 0)
    }
}

/// A command of a family.
#[vtable]
pub trait Command: 'static {
    /// The command's number.
    const CMD: u8;
    /// Whether it needs `CAP_NET_ADMIN` in the user namespace of the network namespace.
    const ADMIN: bool = false;
    /// The policy of the request's attributes; not empty.
    const POLICY: &'static [Policy];

    /// Carries out a request. Called in process context, concurrently with other commands.
    fn doit(_request: &Request<'_>) -> Result {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Adds messages to a part of a dump until there is no room for more (`EMSGSIZE`) or none is
    /// left. Called again with the same [`Dump::position`] until it adds nothing. In process
    /// context, concurrently with other commands.
    fn dumpit(_dump: &mut Dump<'_>) -> Result {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }
}

/// The entry of a [`Command`] in its family (`struct genl_ops`).
#[repr(transparent)]
pub struct Operation(bindings::genl_ops);

// SAFETY: The entry is never written, and what it points to is static.
unsafe impl Sync for Operation {}

impl Operation {
    /// Creates the entry of `C`.
    pub const fn new<C: Command>() -> Self {
        assert!(!C::POLICY.is_empty());
        Self(bindings::genl_ops {
            cmd: C::CMD,
            doit: if C::HAS_DOIT {
                Some(doit_callback::<C>)
            } else {
                None
            },
            dumpit: if C::HAS_DUMPIT {
                Some(dumpit_callback::<C>)
            } else {
                None
            },
            policy: C::POLICY.as_ptr().cast(),
            // The core parses attributes up to this type.
            maxattr: C::POLICY.len() as u32 - 1,
            flags: if C::ADMIN {
                bindings::GENL_UNS_ADMIN_PERM as u8
            } else {
                0
            },
            ..pin_init::zeroed()
        })
    }
}

/// # Safety
///
/// Only for `genl_ops::doit` of an [`Operation`] for `C`.
unsafe extern "C" fn doit_callback<C: Command>(
    _skb: *mut bindings::sk_buff,
    info: *mut bindings::genl_info,
) -> c_int {
    // SAFETY: The core passes a valid request, whose attributes it parsed by the policy of `C`.
    let request = Request(unsafe { Info::new::<C>(info) });
    C::doit(&request).map_or_else(|e| e.to_errno(), |()| 0)
}

/// # Safety
///
/// Only for `genl_ops::dumpit` of an [`Operation`] for `C`.
unsafe extern "C" fn dumpit_callback<C: Command>(
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
) -> c_int {
    // SAFETY: The core passes a valid skb and dump state, which nobody else uses during the call. It
    // parsed the attributes of the request by the policy of `C`.
    let mut dump = unsafe {
        Dump {
            info: Info::new::<C>(bindings::genl_info_dump(cb).cast_mut()),
            skb,
            cb: &mut *cb,
        }
    };
    let before = dump.len();
    match C::dumpit(&mut dump) {
        // A message that does not fit goes into the next part, unless this one is empty.
        Err(e) if e != EMSGSIZE || dump.len() == before => e.to_errno(),
        // CAST: An skb is shorter than `c_int::MAX`.
        _ => (dump.len() - before) as c_int,
    }
}

/// A generic netlink family with commands. For a `static`.
///
/// # Examples
///
/// A family `example` whose command 1 returns its attribute 1, incremented:
///
/// ```
/// static FAMILY: Family = Family::const_new(
///     this_module::<LocalModule>(),
///     b"example\0",
///     1,
///     &GROUPS,
/// );
/// static OPERATIONS: [Operation; 1] = [Operation::new::<Increment>()];
/// static GROUPS: [MulticastGroup; 0] = [];
///
/// struct Increment;
///
/// #[vtable]
/// impl Command for Increment {
///     const CMD: u8 = 1;
///     const POLICY: &'static [Policy] = &[Policy::reject(), Policy::u32()];
///
///     fn doit(request: &Request<'_>) -> Result {
///         let Some(value) = request.attrs().get_u32(1) else {
///             request.extack().set(c"attribute 1 is missing");
///             return Err(EINVAL);
///         };
///         request.reply(|msg| msg.put_u32(1, value.wrapping_add(1)))
///     }
/// }
///
/// let registration = FAMILY.register(&OPERATIONS)?;
/// ```
///
/// # Invariants
///
/// The commands in `family` are written by the first call of [`Self::register`] only.
pub struct Family {
    family: netlink::Family,
    claimed: AtomicFlag,
}

impl Family {
    /// Creates the family `name`, a string with a trailing zero. A group's index in `groups` is its
    /// number.
    ///
    /// Intended for const contexts: panics when an argument is out of range.
    pub const fn const_new(
        module: &'static ThisModule,
        name: &[u8],
        version: u32,
        groups: &'static [MulticastGroup],
    ) -> Self {
        let family = netlink::Family::const_new(module, name, version, groups);
        // SAFETY: `netlink::Family` is transparent over a `struct genl_family`, which both bindings
        // describe.
        let family: bindings::genl_family = unsafe { transmute(family) };
        let family = bindings::genl_family {
            // Attributes of all commands are validated strictly.
            resv_start_op: 1,
            ..family
        };
        Self {
            // SAFETY: As above.
            family: unsafe { transmute::<bindings::genl_family, netlink::Family>(family) },
            claimed: AtomicFlag::new(false),
        }
    }

    /// Registers the family with its commands in every network namespace until the result is dropped.
    ///
    /// The commands are no part of the family before, so that their implementation may send to the
    /// family's groups.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] after the first call, [`EINVAL`] for more than 255 commands, [`EEXIST`] when there is
    /// another family of that name.
    pub fn register(&'static self, operations: &'static [Operation]) -> Result<Registration> {
        let count = u8::try_from(operations.len()).map_err(|_| EINVAL)?;
        if self.claimed.xchg(true, Relaxed) {
            return Err(EBUSY);
        }
        // SAFETY: The family is not registered, and by the type invariant nothing else accesses these
        // fields.
        unsafe {
            (*self.as_raw()).ops = operations.as_ptr().cast();
            (*self.as_raw()).n_ops = count;
        }
        self.family.register()
    }

    #[inline]
    fn as_raw(&self) -> *mut bindings::genl_family {
        // CAST: both bindings describe the same `struct genl_family`.
        self.family.as_raw().cast()
    }

    /// Sends a message with command `cmd` to the listeners of group number `group` in `namespace`;
    /// does nothing when there are none. From any context but hard interrupts, while the family is
    /// registered.
    ///
    /// A message for which there is no memory is lost.
    pub fn multicast(
        &'static self,
        namespace: &Namespace,
        group: u32,
        cmd: u8,
        fill: impl FnOnce(&mut GenlMsg<'_>) -> Result,
    ) {
        // SAFETY: The family is static and the namespace valid.
        if !unsafe { bindings::genl_has_listeners(self.as_raw(), namespace.as_raw(), group) } {
            return;
        }
        let Ok(mut skb) = NetlinkSkBuff::new(true) else {
            return;
        };
        let header = Header {
            portid: 0,
            seq: 0,
            family: self.as_raw(),
            flags: 0,
            cmd,
        };
        if skb.put(header, fill).is_ok() {
            // SAFETY: All pointers are valid. The call consumes the skb.
            unsafe {
                bindings::genlmsg_multicast_netns(
                    self.as_raw(),
                    namespace.as_raw(),
                    skb.into_raw(),
                    group,
                )
            }
        }
    }
}

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
    /// `raw` must be valid for `'a`, and its attributes parsed by the policy of `C`.
    unsafe fn new<C: Command>(raw: *mut bindings::genl_info) -> Self {
        // SAFETY: The caller promises it. `attrs` is null, or an array of `maxattr + 1` pointers,
        // which is the length of the policy.
        unsafe {
            let raw = &*raw;
            let attrs = if raw.attrs.is_null() {
                &[]
            } else {
                slice::from_raw_parts(raw.attrs.cast(), C::POLICY.len())
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
    fn len(&self) -> u32 {
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

/// An skb for netlink messages.
///
/// # Invariants
///
/// The pointer owns a valid skb.
struct NetlinkSkBuff(NonNull<bindings::sk_buff>);

impl NetlinkSkBuff {
    /// Allocates an skb for a message of the default size; without sleeping if `atomic`.
    fn new(atomic: bool) -> Result<Self> {
        // SAFETY: No preconditions.
        let skb = unsafe { bindings::genlmsg_new_default(atomic) };
        // INVARIANT: The skb was just allocated.
        Ok(Self(NonNull::new(skb).ok_or(ENOMEM)?))
    }

    fn put(&mut self, header: Header, fill: impl FnOnce(&mut GenlMsg<'_>) -> Result) -> Result {
        // SAFETY: By the type invariant.
        unsafe { genlmsg_put(self.0.as_ptr(), header, fill) }
    }

    fn into_raw(self) -> *mut bindings::sk_buff {
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
struct Header {
    portid: u32,
    seq: u32,
    family: *const bindings::genl_family,
    flags: u32,
    cmd: u8,
}

/// Appends a message that `fill` fills; nothing when that fails.
///
/// # Safety
///
/// `skb` must be valid and used by nobody else, and `header.family` be valid.
unsafe fn genlmsg_put(
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
