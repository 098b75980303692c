// SPDX-License-Identifier: GPL-2.0

//! Network device drivers.
//!
//! A device is allocated and set up ([`Unregistered`]), then registered with its driver's state
//! ([`Registration`]). From then on the core calls the driver's [`Operations`]. Control operations
//! run under the device's instance lock (`request_ops_lock`), which makes access to
//! [`Operations::Control`] exclusive.
//!
//! C headers: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h),
//! [`include/net/netdev_lock.h`](srctree/include/net/netdev_lock.h)

mod callback;
mod control;
mod operations;
mod poll;
mod queue_management;
mod queue_stats;
mod registration;
mod rx_mode;
mod state;
mod vtable;
mod xdp;

pub(in crate::net) use self::{
    callback::{
        control_callbacks,
        run,
        IntoC, //
    },
    state::Private, //
};
pub use self::{
    control::Control,
    operations::Operations,
    queue_management::QueueManagement,
    registration::{
        Registration,
        Unregistered, //
    },
    rx_mode::{
        Addresses,
        RxMode, //
    }, //
};
