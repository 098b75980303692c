// SPDX-License-Identifier: GPL-2.0

//! C callbacks of control operations.

use kernel::{
    ffi::c_int,
    prelude::*, //
};

/// Results of operations as C callbacks return them.
pub(in crate::net) trait IntoC {
    type C;

    fn into_c(self) -> Self::C;
}

impl IntoC for () {
    type C = ();

    #[inline]
    fn into_c(self) {}
}

impl IntoC for u32 {
    type C = u32;

    #[inline]
    fn into_c(self) -> u32 {
        self
    }
}

impl IntoC for Result {
    type C = c_int;

    #[inline]
    fn into_c(self) -> c_int {
        self.map_or_else(|error| error.to_errno(), |()| 0)
    }
}

impl IntoC for Result<c_int> {
    type C = c_int;

    #[inline]
    fn into_c(self) -> c_int {
        self.unwrap_or_else(|error| error.to_errno())
    }
}

/// Runs the body of a callback.
#[inline]
pub(in crate::net) fn run<R: IntoC>(body: impl FnOnce() -> R) -> R::C {
    body().into_c()
}

/// Defines C callbacks, inside an `impl` block of the driver type `T`, that the core calls for a
/// registered device of `T` with its instance lock held.
///
/// The first parameter is the [`Control`](super::Control) of the device. The others are declared as
/// `name: KIND TYPE`:
///
/// - `mut TYPE`: the C parameter is a `*mut TYPE`, the body is given a `&mut TYPE`;
/// - `const TYPE`: likewise, for a `*const TYPE` and a `&TYPE`;
/// - `val TYPE`: passed as it is.
///
/// The body returns anything that is [`IntoC`].
macro_rules! control_callbacks {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident($cx:ident $(, $arg:ident: $kind:ident $ty:ty)* $(,)?)
            $(-> $ret:ty)? $body:block
    )*) => {$(
        $(#[$meta])*
        ///
        /// # Safety
        ///
        /// `dev` is a device of `T` whose registration is alive, and its instance lock is held.
        /// Pointers to structures are valid, and nothing else uses these during the call.
        $vis unsafe extern "C" fn $name(
            dev: *mut $crate::bindings::net_device
            $(, $arg: $crate::net::device::control_callbacks!(@type $kind $ty))*
        ) -> <$crate::net::device::control_callbacks!(@ret $($ret)?)
                as $crate::net::device::IntoC>::C {
            // SAFETY: The caller promises it; this is the only `Control` under this lock.
            let mut control = unsafe { $crate::net::device::Private::<T>::control(dev) };
            let $cx = &mut control;
            $(
                let $arg = $crate::net::device::control_callbacks!(@bind $kind $arg);
            )*
            $crate::net::device::run(
                move || -> $crate::net::device::control_callbacks!(@ret $($ret)?) { $body },
            )
        }
    )*};
    (@type mut $ty:ty) => { *mut $ty };
    (@type const $ty:ty) => { *const $ty };
    (@type val $ty:ty) => { $ty };
    // SAFETY: The caller promises that it is valid and not used by others.
    (@bind mut $arg:ident) => { unsafe { &mut *$arg } };
    // SAFETY: The caller promises that it is valid.
    (@bind const $arg:ident) => { unsafe { &*$arg } };
    (@bind val $arg:ident) => { $arg };
    (@ret) => { () };
    (@ret $ret:ty) => { $ret };
}

pub(in crate::net) use control_callbacks;
