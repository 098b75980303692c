// SPDX-License-Identifier: GPL-2.0

//! Attaching XDP programs (`ndo_bpf`), and transmitting for them (`ndo_xdp_xmit`).

use super::{
    operations::Operations,
    state::Private, //
};
use crate::{
    bindings,
    net::{
        extack::Extack,
        netdev::NetDevice,
        xdp::{
            Program,
            XdpFrame, //
        }, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    ffi::c_int,
    prelude::*, //
};

/// # Safety
///
/// `dev` must be a device whose [`super::Registration<T>`] is alive, with the RTNL and its instance
/// lock held, and `command` valid.
pub(super) unsafe extern "C" fn bpf<T: Operations>(
    dev: *mut bindings::net_device,
    command: *mut bindings::netdev_bpf,
) -> c_int {
    // SAFETY: The caller promises it; the command tells which variant of the union is valid.
    unsafe {
        let command = &*command;
        if command.command != bindings::bpf_netdev_command_XDP_SETUP_PROG {
            return EOPNOTSUPP.to_errno();
        }
        let setup = &command.__bindgen_anon_1.__bindgen_anon_1;
        let mut extack = Extack::from_raw(setup.extack);
        let Some(program) = Program::from_raw(setup.prog) else {
            detach::<T>(dev);
            return 0;
        };
        match attach::<T>(dev, program, &mut extack) {
            Ok(()) => 0,
            Err((program, error)) => {
                // The reference stays with the core.
                let _ = program.into_raw();
                error.to_errno()
            }
        }
    }
}

/// Attaches a program, after turning off the features that it excludes.
///
/// # Safety
///
/// As for [`bpf`].
unsafe fn attach<T: Operations>(
    dev: *mut bindings::net_device,
    program: Program,
    extack: &mut Extack<'_>,
) -> Result<(), (Program, Error)> {
    // SAFETY: The caller promises it. `netdev_update_features` calls operations, so no `Control` is
    // alive meanwhile.
    unsafe {
        let data = &Private::<T>::state(dev).data;
        if let Err(error) = T::xdp_check(&mut Private::control(dev), &program, extack) {
            return Err((program, error));
        }
        let xdp = data.xdp();
        xdp.announce(true);
        bindings::netdev_update_features(dev);
        let features = NetDevice::from_raw(dev).features();
        if features & !data.fix_features(features) != 0 {
            extack.set(c"features that XDP excludes cannot be turned off");
            xdp.announce(xdp.is_attached());
            bindings::netdev_update_features(dev);
            T::xdp_changed(&mut Private::control(dev));
            return Err((program, EIO));
        }
        drop(xdp.replace(Some(program)));
        T::xdp_changed(&mut Private::control(dev));
    }
    Ok(())
}

/// Detaches the program, and turns on again the features that it excluded.
///
/// # Safety
///
/// As for [`bpf`].
unsafe fn detach<T: Operations>(dev: *mut bindings::net_device) {
    // SAFETY: As for `attach`.
    unsafe {
        let xdp = Private::<T>::state(dev).data.xdp();
        drop(xdp.replace(None));
        xdp.announce(false);
        // A device that is being unregistered has no features any more.
        if u32::from((*dev).reg_state) == bindings::netdev_reg_state_NETREG_REGISTERED {
            bindings::netdev_update_features(dev);
        }
        T::xdp_changed(&mut Private::control(dev));
    }
}

/// # Safety
///
/// `dev` must be a device whose [`super::Registration<T>`] is alive, bottom halves be disabled, and
/// `frames` be `count` frames, of which those that are sent pass to the driver.
pub(super) unsafe extern "C" fn xmit<T: Operations>(
    dev: *mut bindings::net_device,
    count: c_int,
    frames: *mut *mut bindings::xdp_frame,
    flags: u32,
) -> c_int {
    if flags & !bindings::XDP_XMIT_FLAGS_MASK != 0 {
        return EINVAL.to_errno();
    }
    // SAFETY: The caller promises it, and holds no transmit lock of the device.
    unsafe {
        let state = Private::<T>::state(dev);
        let dev = NetDevice::from_raw(dev);
        if !dev.is_running() || !dev.has_carrier() {
            return ENETDOWN.to_errno();
        }
        // CAST: a device has at least one queue, and at most as many as 16 bits count.
        let index = (bindings::smp_processor_id() % dev.queues().max(1)) as u16;
        let sent = state.with_tx_queue_of(dev, index, |queue, tx| {
            let mut sent = 0;
            while sent < count {
                let frame = *frames.add(sent as usize);
                let frame = XdpFrame::from_raw(NonNull::new_unchecked(frame));
                if let Err(frame) = state.data.xdp_transmit(queue, tx, frame) {
                    let _ = frame.into_raw();
                    break;
                }
                sent += 1;
            }
            if flags & bindings::XDP_XMIT_FLUSH != 0 {
                state.data.xdp_flush(tx);
            }
            sent
        });
        sent.unwrap_or(ENETDOWN.to_errno())
    }
}
