// SPDX-License-Identifier: GPL-2.0

//! Families and their commands.

use super::{
    message::{
        GenlMsg,
        Header,
        NetlinkSkBuff, //
    },
    request::{
        Dump,
        Request, //
    }, //
};
use crate::{
    bindings,
    net::namespace::Namespace, //
};
use core::mem::transmute;
use kernel::{
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
    let request = unsafe { Request::from_raw(info, C::POLICY.len()) };
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
    let mut dump = unsafe { Dump::from_raw(skb, cb, C::POLICY.len()) };
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
