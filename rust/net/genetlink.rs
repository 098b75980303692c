// SPDX-License-Identifier: GPL-2.0

//! Generic netlink families with commands.
//!
//! C header: [`include/net/genetlink.h`](srctree/include/net/genetlink.h)

use super::namespace::Namespace;
use crate::bindings;
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ptr::NonNull,
    slice, //
};
use kernel::{
    error::to_result,
    prelude::*,
    ThisModule, //
};

/// What an attribute of a request must be; its place in the policy is the attribute's number.
#[repr(transparent)]
pub struct Policy(bindings::nla_policy);

// SAFETY: Pure data.
unsafe impl Sync for Policy {}

impl Policy {
    const fn of(kind: u32, length: u16) -> Self {
        // SAFETY: All zeroes is a valid value.
        let mut policy: bindings::nla_policy = unsafe { core::mem::zeroed() };
        policy.type_ = kind as u8;
        policy.len = length;
        Self(policy)
    }

    /// No such attribute in a request.
    pub const fn reject() -> Self {
        Self::of(bindings::NLA_REJECT, 0)
    }

    /// 16 bits.
    pub const fn u16() -> Self {
        Self::of(bindings::NLA_U16, 0)
    }

    /// 32 bits.
    pub const fn u32() -> Self {
        Self::of(bindings::NLA_U32, 0)
    }

    /// 32 or 64 bits.
    pub const fn uint() -> Self {
        Self::of(bindings::NLA_UINT, 0)
    }

    /// At most `max` bytes.
    pub const fn binary(max: u16) -> Self {
        Self::of(bindings::NLA_BINARY, max)
    }

    /// Present or not.
    pub const fn flag() -> Self {
        Self::of(bindings::NLA_FLAG, 0)
    }
}

/// A command.
pub trait Command: 'static {
    /// Its number.
    const NUMBER: u8;
    /// Only for the administrator of the network namespace.
    const ADMIN: bool = false;
    /// Attributes of a request.
    const POLICY: &'static [Policy];
    /// Whether there is a [`Self::act`].
    const ACTS: bool = false;
    /// Whether there is a [`Self::dump`].
    const DUMPS: bool = false;

    /// Does it.
    fn act(_request: &Request<'_>) -> Result {
        Err(EOPNOTSUPP)
    }

    /// Appends messages until there is no room (`EMSGSIZE`) or none is left. Called until it leaves
    /// [`Dump::position`] where it found it and returns `Ok`.
    fn dump(_dump: &mut Dump<'_>) -> Result {
        Err(EOPNOTSUPP)
    }
}

/// A command, as the family lists it.
#[repr(transparent)]
pub struct Operation(bindings::genl_ops);

// SAFETY: Pure data.
unsafe impl Sync for Operation {}

impl Operation {
    /// That of `C`.
    pub const fn new<C: Command>() -> Self {
        // SAFETY: All zeroes is a valid value.
        let mut ops: bindings::genl_ops = unsafe { core::mem::zeroed() };
        ops.cmd = C::NUMBER;
        if C::ACTS {
            ops.doit = Some(doit::<C>);
        }
        if C::DUMPS {
            ops.dumpit = Some(dumpit::<C>);
        }
        ops.policy = C::POLICY.as_ptr().cast();
        ops.maxattr = C::POLICY.len() as u32 - 1;
        if C::ADMIN {
            ops.flags = bindings::GENL_UNS_ADMIN_PERM as u8;
        }
        Self(ops)
    }
}

/// # Safety
///
/// To be called by the core only, as its callback of this name is.
unsafe extern "C" fn doit<C: Command>(
    _skb: *mut bindings::sk_buff,
    info: *mut bindings::genl_info,
) -> c_int {
    // SAFETY: The core calls with a request that is valid, its attributes checked by the policy.
    let info = unsafe { &*info };
    let request = Request { info };
    C::act(&request).map_or_else(|e| e.to_errno(), |()| 0)
}

/// # Safety
///
/// To be called by the core only, as its callback of this name is.
unsafe extern "C" fn dumpit<C: Command>(
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
) -> c_int {
    // SAFETY: The core calls with an skb and a state that are valid, and nobody else's.
    let mut dump = unsafe { Dump { skb, cb: &mut *cb } };
    let before = dump.length();
    match C::dump(&mut dump) {
        // What did not fit comes in the next part; if nothing fits, it never will.
        Err(e) if e != EMSGSIZE || dump.length() == before => e.to_errno(),
        // CAST: bounded by the size of an skb.
        _ => (dump.length() - before) as c_int,
    }
}

/// `name`, a string that ends with 0, as a C structure holds it.
const fn c_name<const N: usize>(name: &[u8]) -> [kernel::ffi::c_char; N] {
    assert!(name.len() <= N);
    let mut held = [0; N];
    let mut i = 0;
    while i < name.len() {
        held[i] = name[i] as kernel::ffi::c_char;
        i += 1;
    }
    held
}

/// A group of listeners; its place in the family's list is its number.
#[repr(transparent)]
pub struct Group(bindings::genl_multicast_group);

// SAFETY: Pure data.
unsafe impl Sync for Group {}

impl Group {
    /// The group `name`, a string that ends with 0.
    pub const fn new(name: &[u8]) -> Self {
        // SAFETY: All zeroes is a valid value.
        let mut group: bindings::genl_multicast_group = unsafe { core::mem::zeroed() };
        group.name = c_name(name);
        Self(group)
    }
}

/// A family. A `static`.
pub struct Family(UnsafeCell<bindings::genl_family>);

// SAFETY: The core's once it is registered.
unsafe impl Sync for Family {}

impl Family {
    /// The family `name`, a string that ends with 0.
    pub const fn new(
        module: &'static ThisModule,
        name: &[u8],
        version: u32,
        operations: &'static [Operation],
        groups: &'static [Group],
    ) -> Self {
        // SAFETY: All zeroes is a valid value.
        let mut family: bindings::genl_family = unsafe { core::mem::zeroed() };
        family.name = c_name(name);
        family.version = version;
        family.module = module.as_ptr().cast();
        family.ops = operations.as_ptr().cast();
        family.n_ops = operations.len() as u8;
        family.mcgrps = groups.as_ptr().cast();
        family.n_mcgrps = groups.len() as u8;
        // Every command is checked strictly.
        family.resv_start_op = 1;
        Self(UnsafeCell::new(family))
    }

    /// Sends a message to the listeners of group number `group` in `namespace`, if there are any.
    /// From any context but hard interrupts, while the family is registered. The message is lost when
    /// there is no memory for it; the listeners' sockets report that.
    pub fn notify(
        &'static self,
        namespace: &Namespace,
        group: u32,
        number: u8,
        fill: impl FnOnce(&mut Message<'_>) -> Result,
    ) {
        let (family, net) = (self.0.get(), namespace.as_raw());
        // SAFETY: The family is static, the namespace valid.
        unsafe {
            if !bindings::genl_has_listeners(family, net, group) {
                return;
            }
            let skb = bindings::genlmsg_new(true);
            if skb.is_null() {
                return;
            }
            let header = bindings::genlmsg_put_notice(skb, family, number);
            match message(skb, header, fill) {
                Ok(()) => bindings::genlmsg_multicast_netns(family, net, skb, group),
                Err(_) => bindings::nlmsg_free(skb),
            }
        }
    }

    /// Registers the family, in every network namespace.
    pub fn register(&'static self) -> Result<Registration> {
        // SAFETY: The family is static, and not registered.
        unsafe {
            (*self.0.get()).set_netnsok(1);
            (*self.0.get()).set_parallel_ops(1);
            to_result(bindings::genl_register_family(self.0.get()))?;
        }
        Ok(Registration(self))
    }
}

/// A registered family.
pub struct Registration(&'static Family);

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: It is registered; waits for commands that are under way.
        unsafe { bindings::genl_unregister_family(self.0 .0.get()) };
    }
}

/// An attribute's value, if the attribute is there.
///
/// # Safety
///
/// `attrs` must point to attributes up to number `number`.
unsafe fn attribute<'a>(
    attrs: *mut *mut bindings::nlattr,
    number: u32,
) -> Option<&'a bindings::nlattr> {
    if attrs.is_null() {
        return None;
    }
    // SAFETY: The caller promises it.
    unsafe { (*attrs.add(number as usize)).as_ref() }
}

/// A request.
pub struct Request<'a> {
    info: &'a bindings::genl_info,
}

impl Request<'_> {
    fn attribute(&self, number: u32) -> Option<&bindings::nlattr> {
        // SAFETY: The policy of the command has as many attributes as the command asks for.
        unsafe { attribute(self.info.attrs, number) }
    }

    /// A number.
    pub fn number(&self, number: u32) -> Option<u64> {
        self.attribute(number)
            // SAFETY: The attribute is valid.
            .map(|attr| unsafe { bindings::nla_number(attr) })
    }

    /// Bytes.
    pub fn bytes(&self, number: u32) -> Option<&[u8]> {
        self.attribute(number)
            // SAFETY: The attribute is valid, and has so many bytes.
            .map(|attr| unsafe {
                slice::from_raw_parts(
                    bindings::nla_data(attr).cast(),
                    bindings::nla_len(attr) as usize,
                )
            })
    }

    /// Whether an attribute is there.
    pub fn has(&self, number: u32) -> bool {
        self.attribute(number).is_some()
    }

    /// The network namespace of the sender.
    pub fn namespace(&self) -> &Namespace {
        // SAFETY: The request is valid, and the socket that it came from holds its namespace.
        unsafe { Namespace::from_raw(bindings::genl_info_net(self.info)) }
    }

    /// What an error means.
    pub fn explain(&self, text: &'static CStr) {
        // SAFETY: The request is valid, the text static.
        unsafe { bindings::genl_set_message(self.info, text.as_char_ptr()) }
    }

    /// Answers.
    pub fn reply(&self, fill: impl FnOnce(&mut Message<'_>) -> Result) -> Result {
        // SAFETY: No preconditions.
        let skb = unsafe { bindings::genlmsg_new(false) };
        if skb.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: Both are valid. CAST: the core changes nothing of the request.
        unsafe {
            let info = core::ptr::from_ref(self.info).cast_mut();
            let header = bindings::genlmsg_put_info(skb, info, (*self.info.genlhdr).cmd);
            let result = message(skb, header, fill);
            if result.is_err() {
                bindings::nlmsg_free(skb);
                return result;
            }
            to_result(bindings::genlmsg_reply(skb, info))
        }
    }
}

/// Fills the message that begins at `header`.
///
/// # Safety
///
/// `skb` must be valid, and `header` null or a header at its end.
unsafe fn message(
    skb: *mut bindings::sk_buff,
    header: *mut c_void,
    fill: impl FnOnce(&mut Message<'_>) -> Result,
) -> Result {
    if header.is_null() {
        return Err(EMSGSIZE);
    }
    let result = fill(&mut Message {
        skb,
        _skb: PhantomData,
    });
    // SAFETY: The caller promises it.
    unsafe {
        match result {
            Ok(()) => bindings::genlmsg_end(skb, header),
            Err(_) => bindings::genlmsg_cancel(skb, header),
        }
    }
    result
}

/// A dump under way.
pub struct Dump<'a> {
    skb: *mut bindings::sk_buff,
    cb: &'a mut bindings::netlink_callback,
}

impl Dump<'_> {
    fn length(&self) -> u32 {
        // SAFETY: The skb is valid.
        unsafe { (*self.skb).len }
    }

    /// Where to go on; two numbers that start at 0 and mean what the command wants.
    pub fn position(&mut self) -> &mut [c_long; 2] {
        // SAFETY: Both variants of the union are plain numbers; `args` has six.
        unsafe { &mut *(&raw mut self.cb.__bindgen_anon_1.args).cast::<[c_long; 2]>() }
    }

    /// A number of the request.
    pub fn number(&mut self, number: u32) -> Option<u64> {
        // SAFETY: The dump is valid; the policy of the command has as many attributes as the
        // command asks for.
        unsafe {
            attribute(bindings::genl_dump_attrs(self.cb), number)
                .map(|attr| bindings::nla_number(attr))
        }
    }

    /// The network namespace of the receiver.
    pub fn namespace(&self) -> &Namespace {
        // SAFETY: The dump is valid, and the socket that it goes to holds its namespace.
        unsafe { Namespace::from_raw(bindings::genl_dump_net(self.cb)) }
    }

    /// Appends a message of command `number` of `family`.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` when there is no room.
    pub fn add(
        &mut self,
        family: &'static Family,
        number: u8,
        fill: impl FnOnce(&mut Message<'_>) -> Result,
    ) -> Result {
        // SAFETY: All are valid.
        unsafe {
            let header = bindings::genlmsg_put_dump(self.skb, self.cb, family.0.get(), number);
            message(self.skb, header, fill)
        }
    }
}

/// A message being written.
pub struct Message<'a> {
    skb: *mut bindings::sk_buff,
    _skb: PhantomData<&'a ()>,
}

impl Message<'_> {
    /// Appends a 16-bit number.
    pub fn put_u16(&mut self, number: u32, value: u16) -> Result {
        self.put_bytes(number, &value.to_ne_bytes())
    }

    /// Appends a 32-bit number.
    pub fn put_u32(&mut self, number: u32, value: u32) -> Result {
        self.put_bytes(number, &value.to_ne_bytes())
    }

    /// Appends a number of as many bits as it needs, 32 or 64.
    pub fn put_uint(&mut self, number: u32, value: u64) -> Result {
        // SAFETY: The skb is valid.
        to_result(unsafe { bindings::nla_put_uint(self.skb, number as c_int, value) })
    }

    /// Appends bytes.
    pub fn put_bytes(&mut self, number: u32, value: &[u8]) -> Result {
        // SAFETY: The skb is valid, and so many bytes are. CAST: attributes are short.
        to_result(unsafe {
            bindings::nla_put(
                self.skb,
                number as c_int,
                value.len() as c_int,
                value.as_ptr().cast(),
            )
        })
    }

    /// Appends a nest.
    pub fn put_nest(&mut self, number: u32, fill: impl FnOnce(&mut Self) -> Result) -> Result {
        // SAFETY: The skb is valid.
        let nest = NonNull::new(unsafe { bindings::nla_nest_start(self.skb, number as c_int) })
            .ok_or(EMSGSIZE)?;
        let result = fill(self);
        // SAFETY: The nest was begun above.
        unsafe {
            match result {
                Ok(()) => bindings::nla_nest_end(self.skb, nest.as_ptr()),
                Err(_) => bindings::nla_nest_cancel(self.skb, nest.as_ptr()),
            }
        }
        result
    }
}
