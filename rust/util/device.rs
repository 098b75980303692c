// SPDX-License-Identifier: GPL-2.0

//! Devices as this module's bindings describe them.

use crate::bindings;
use kernel::device;

/// The C structure of `dev`.
#[inline]
pub(crate) fn raw_device<C: device::DeviceContext>(
    dev: &device::Device<C>,
) -> *mut bindings::device {
    // CAST: both bindings describe the same `struct device`, and `device::Device` is transparent
    // over it.
    core::ptr::from_ref(dev).cast_mut().cast()
}
