// SPDX-License-Identifier: GPL-2.0

//! What a driver does for its device, and how the core calls it.

use super::{
    control::{
        Addresses,
        Control,
        RxMode, //
    },
    NetDevice, //
};
use crate::{
    bindings,
    net::{
        extack::Extack,
        queue::TxQueue,
        skb::{
            DropReason,
            SkBuff,
            SkBuffRef, //
        },
        stats::{
            LinkStats,
            RxQueueStats,
            TxQueueStats, //
        },
        xdp::{
            self,
            Candidate, //
        }, //
    }, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    ffi::{
        c_int,
        c_uint,
        c_ulong,
        c_void, //
    },
    prelude::*,
    sync::Arc, //
};

/// What a driver does for its device.
///
/// Operations with a [`Control`] run in process context under the instance lock, most of them under
/// the RTNL as well.
pub trait Operations: Sized + Send + Sync + 'static {
    /// State that only control operations touch.
    type Control: Send;
    /// State of a transmit queue, under its transmit lock.
    type TxQueue: Send;

    /// The interface goes up (`ndo_open`).
    fn open(cx: &mut Control<'_, Self>) -> Result;

    /// The interface goes down (`ndo_stop`). Queues are still running.
    fn stop(cx: &mut Control<'_, Self>);

    /// Sends a frame (`ndo_start_xmit`); softirq or process context, bottom halves off. With `more`
    /// another one follows at once.
    fn start_xmit(&self, queue: TxQueue<'_>, state: &mut Self::TxQueue, skb: SkBuff, more: bool);

    /// Which of `features` apply to this frame (`ndo_features_check`).
    fn features_check(&self, dev: &NetDevice, skb: &SkBuff, features: u64) -> u64;

    /// The queue for this frame, or the core's choice (`ndo_select_queue`).
    fn select_queue(&self, skb: &SkBuff) -> Option<u16>;

    /// Which frames to receive (`ndo_set_rx_mode_async`); an error makes the core try again later.
    fn set_rx_mode(cx: &mut Control<'_, Self>, mode: RxMode<'_>) -> Result;

    /// A new MAC address, known to be valid, whether the interface is up or not
    /// (`ndo_set_mac_address`). The device has it when this
    /// succeeds.
    fn set_mac_address(cx: &mut Control<'_, Self>, mac: [u8; 6]) -> Result;

    /// A new MTU, within the limits (`ndo_change_mtu`). The device has it when this succeeds.
    fn change_mtu(cx: &mut Control<'_, Self>, mtu: u32) -> Result;

    /// Which of the wanted `features` can be on as things stand (`ndo_fix_features`). Also while a
    /// device is being registered.
    fn fix_features(&self, features: u64) -> u64;

    /// New features (`ndo_set_features`).
    fn set_features(cx: &mut Control<'_, Self>, features: u64) -> Result;

    /// Where the device's XDP program is.
    fn xdp(&self) -> &xdp::Attachment;

    /// Whether a program can be attached as things stand; an error with a word to the user when not.
    fn xdp_admit(
        cx: &mut Control<'_, Self>,
        program: &Candidate,
        extack: &mut Extack<'_>,
    ) -> Result;

    /// A program has been attached or taken away, or will not be attached after all.
    fn xdp_changed(cx: &mut Control<'_, Self>);

    /// Sends a frame as a program has decided, or gives it back when there is no room
    /// (`ndo_xdp_xmit`); softirq context, or process context with bottom halves off.
    fn xdp_transmit(
        &self,
        queue: TxQueue<'_>,
        state: &mut Self::TxQueue,
        frame: xdp::Frame,
    ) -> Result<(), xdp::Frame>;

    /// What was given to [`Self::xdp_transmit`] has to leave now. In the same context.
    fn xdp_flush(&self, state: &mut Self::TxQueue);

    /// A queue has been stopped for too long (`ndo_tx_timeout`). Atomic context.
    fn tx_timeout(&self, queue: TxQueue<'_>);

    /// What [`NetDevice::schedule_work`] asked for (`ndo_work`).
    fn work(cx: &mut Control<'_, Self>, events: usize);

    /// Statistics of the interface (`ndo_get_stats64`). Atomic context, any number at a time.
    fn stats(&self, stats: &mut LinkStats);

    /// Statistics of a receive queue.
    fn rx_queue_stats(&self, index: usize, stats: &mut RxQueueStats);

    /// Statistics of a transmit queue.
    fn tx_queue_stats(&self, index: usize, stats: &mut TxQueueStats);
}

/// The driver's state in a device's private area.
pub(super) struct Private<T: Operations> {
    pub(super) data: Arc<T>,
    pub(super) control: UnsafeCell<T::Control>,
    pub(super) tx: KVec<UnsafeCell<Option<T::TxQueue>>>,
}

impl<T: Operations> Private<T> {
    #[inline]
    pub(super) fn of(dev: &NetDevice) -> *mut Self {
        // SAFETY: The device is allocated, with room for a `Private<T>`.
        unsafe { bindings::netdev_priv(dev.as_raw()).cast() }
    }
}

/// The operations of `T` as the core calls them.
///
/// All callbacks are for devices that a [`Registration<T>`] registered; the core calls them only as
/// long as it is alive.
pub(super) struct VTable<T: Operations>(PhantomData<T>);

#[expect(
    clippy::missing_safety_doc,
    reason = "the type says it for all callbacks"
)]
impl<T: Operations> VTable<T> {
    const OPS: bindings::net_device_ops = bindings::net_device_ops {
        ndo_open: Some(Self::open),
        ndo_stop: Some(Self::stop),
        ndo_start_xmit: Some(Self::start_xmit),
        ndo_features_check: Some(Self::features_check),
        ndo_select_queue: Some(Self::select_queue),
        ndo_set_rx_mode_async: Some(Self::set_rx_mode),
        ndo_set_mac_address: Some(Self::set_mac_address),
        ndo_validate_addr: Some(bindings::eth_validate_addr),
        ndo_change_mtu: Some(Self::change_mtu),
        ndo_fix_features: Some(Self::fix_features),
        ndo_set_features: Some(Self::set_features),
        ndo_bpf: Some(Self::bpf),
        ndo_xdp_xmit: Some(Self::xdp_xmit),
        ndo_tx_timeout: Some(Self::tx_timeout),
        ndo_work: Some(Self::work),
        ndo_get_stats64: Some(Self::stats),
        ..pin_init::zeroed()
    };

    pub(super) const STAT_OPS: bindings::netdev_stat_ops = bindings::netdev_stat_ops {
        get_queue_stats_rx: Some(Self::rx_queue_stats),
        get_queue_stats_tx: Some(Self::tx_queue_stats),
        get_base_stats: Some(Self::base_stats),
    };

    /// The one address of `OPS`: a constant may be promoted in several places.
    #[inline(never)]
    pub(super) fn ops() -> &'static bindings::net_device_ops {
        &Self::OPS
    }

    /// Runs a control operation.
    ///
    /// # Safety
    ///
    /// `dev` is such a device, and the core holds its instance lock.
    #[inline]
    unsafe fn control(
        dev: *mut bindings::net_device,
        f: impl FnOnce(&mut Control<'_, T>) -> Result,
    ) -> c_int {
        // SAFETY: The instance lock is held, by the caller's promise.
        match f(&mut unsafe { Control::new(dev) }) {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }

    unsafe extern "C" fn open(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: As for all control operations, see the type.
        unsafe { Self::control(dev, T::open) }
    }

    unsafe extern "C" fn stop(dev: *mut bindings::net_device) -> c_int {
        let stop = |cx: &mut Control<'_, T>| {
            T::stop(cx);
            Ok(())
        };
        // SAFETY: As above.
        unsafe { Self::control(dev, stop) }
    }

    unsafe extern "C" fn start_xmit(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
    ) -> bindings::netdev_tx_t {
        // SAFETY: The core hands over a valid skb, for a registered device, with its queue set and
        // that queue's transmit lock held: what makes access to the queue's slot exclusive.
        unsafe {
            let dev = NetDevice::from_raw(dev);
            let private = &*Private::<T>::of(dev);
            let skb = SkBuff::from_raw(NonNull::new_unchecked(skb));
            let index = skb.queue_mapping();
            let queue = TxQueue::new(dev, index);
            let slot = private.tx.get(usize::from(index));
            match (queue, slot.map(|slot| &mut *slot.get())) {
                (Some(queue), Some(Some(state))) => {
                    let more = bindings::netdev_xmit_more();
                    private.data.start_xmit(queue, state, skb, more)
                }
                _ => skb.drop_with(DropReason::DevReady),
            }
        }
        bindings::netdev_tx_NETDEV_TX_OK
    }

    unsafe extern "C" fn features_check(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
        features: u64,
    ) -> u64 {
        // SAFETY: The core lends a valid skb, for a registered device.
        unsafe {
            let dev = NetDevice::from_raw(dev);
            let skb = SkBuffRef::from_raw(NonNull::new_unchecked(skb));
            let data = &(*Private::<T>::of(dev)).data;
            // What the core would do without this operation: a second tag takes most features away.
            let features = bindings::vlan_features_check(skb.as_raw(), features);
            data.features_check(dev, &skb, features)
        }
    }

    unsafe extern "C" fn select_queue(
        dev: *mut bindings::net_device,
        skb: *mut bindings::sk_buff,
        sb_dev: *mut bindings::net_device,
    ) -> u16 {
        // SAFETY: The core lends a valid skb, for a registered device.
        unsafe {
            let data = &(*Private::<T>::of(NetDevice::from_raw(dev))).data;
            let chosen = data.select_queue(&SkBuffRef::from_raw(NonNull::new_unchecked(skb)));
            chosen.unwrap_or_else(|| bindings::netdev_pick_tx(dev, skb, sb_dev))
        }
    }

    unsafe extern "C" fn set_rx_mode(
        dev: *mut bindings::net_device,
        unicast: *mut bindings::netdev_hw_addr_list,
        multicast: *mut bindings::netdev_hw_addr_list,
    ) -> c_int {
        // SAFETY: As for all control operations; the lists are snapshots for this call.
        unsafe {
            let flags = (*dev).flags;
            let mode = RxMode {
                promiscuous: flags & bindings::net_device_flags_IFF_PROMISC != 0,
                all_multicast: flags & bindings::net_device_flags_IFF_ALLMULTI != 0,
                unicast: Addresses::new(&*unicast),
                multicast: Addresses::new(&*multicast),
            };
            Self::control(dev, |cx| T::set_rx_mode(cx, mode))
        }
    }

    unsafe extern "C" fn set_mac_address(
        dev: *mut bindings::net_device,
        address: *mut c_void,
    ) -> c_int {
        // SAFETY: As for all control operations; the core gives a `sockaddr` with an address of the
        // device's length. `eth_prepare_mac_addr_change` checks it.
        unsafe {
            let result = bindings::eth_prepare_mac_addr_change(dev, address);
            if result != 0 {
                return result;
            }
            let mac: [u8; 6] = *(&raw const (*address.cast::<bindings::sockaddr>()).sa_data).cast();
            Self::control(dev, |cx| {
                T::set_mac_address(cx, mac)?;
                bindings::eth_hw_addr_set(dev, mac.as_ptr());
                Ok(())
            })
        }
    }

    unsafe extern "C" fn change_mtu(dev: *mut bindings::net_device, mtu: c_int) -> c_int {
        // SAFETY: As for all control operations. CAST: the core has checked the limits.
        unsafe {
            Self::control(dev, |cx| {
                T::change_mtu(cx, mtu as u32)?;
                core::ptr::write_volatile(&raw mut (*dev).mtu, mtu as c_uint);
                Ok(())
            })
        }
    }

    unsafe extern "C" fn fix_features(dev: *mut bindings::net_device, features: u64) -> u64 {
        // SAFETY: The core calls it for a device with its private data, of which this is shared.
        unsafe {
            let data = &(*Private::<T>::of(NetDevice::from_raw(dev))).data;
            data.fix_features(features)
        }
    }

    unsafe extern "C" fn bpf(
        dev: *mut bindings::net_device,
        command: *mut bindings::netdev_bpf,
    ) -> c_int {
        // SAFETY: The core holds the RTNL and the instance lock. It gives a valid command, of which
        // the type says which part of the union it is.
        unsafe {
            let command = &*command;
            if command.command != bindings::bpf_netdev_command_XDP_SETUP_PROG {
                return EOPNOTSUPP.to_errno();
            }
            let setup = &command.__bindgen_anon_1.__bindgen_anon_1;
            let mut extack = Extack::from_raw(setup.extack);
            let Some(program) = Candidate::from_raw(setup.prog) else {
                Self::xdp_take_away(dev);
                return 0;
            };
            match Self::xdp_attach(dev, program, &mut extack) {
                Ok(()) => 0,
                Err((program, error)) => {
                    // The reference is the core's again.
                    let _ = program.into_raw();
                    error.to_errno()
                }
            }
        }
    }

    /// Attaches a program: first everything is taken away that it must not meet.
    ///
    /// # Safety
    ///
    /// `dev` is such a device, and the core holds the RTNL and its instance lock.
    unsafe fn xdp_attach(
        dev: *mut bindings::net_device,
        program: Candidate,
        extack: &mut Extack<'_>,
    ) -> Result<(), (Candidate, Error)> {
        // SAFETY: The locks are held, by the caller's promise; `netdev_update_features` calls
        // operations, while there is no `Control`.
        unsafe {
            let data = &(*Private::<T>::of(NetDevice::from_raw(dev))).data;
            if let Err(error) = T::xdp_admit(&mut Control::new(dev), &program, extack) {
                return Err((program, error));
            }
            let xdp = data.xdp();
            xdp.announce(true);
            bindings::netdev_update_features(dev);
            let features = NetDevice::from_raw(dev).features();
            if features & !data.fix_features(features) != 0 {
                extack.set(c"the device does not let go of features that XDP excludes");
                xdp.announce(xdp.is_attached());
                bindings::netdev_update_features(dev);
                T::xdp_changed(&mut Control::new(dev));
                return Err((program, EIO));
            }
            drop(xdp.replace(Some(program)));
            T::xdp_changed(&mut Control::new(dev));
        }
        Ok(())
    }

    /// Takes the program away, and lets happen again what it excluded.
    ///
    /// # Safety
    ///
    /// As for [`Self::xdp_attach`].
    unsafe fn xdp_take_away(dev: *mut bindings::net_device) {
        // SAFETY: As there.
        unsafe {
            let data = &(*Private::<T>::of(NetDevice::from_raw(dev))).data;
            drop(data.xdp().replace(None));
            data.xdp().announce(false);
            // A device that is on its way out has no features any more.
            if u32::from((*dev).reg_state) == bindings::netdev_reg_state_NETREG_REGISTERED {
                bindings::netdev_update_features(dev);
            }
            T::xdp_changed(&mut Control::new(dev));
        }
    }

    unsafe extern "C" fn xdp_xmit(
        dev: *mut bindings::net_device,
        count: c_int,
        frames: *mut *mut bindings::xdp_frame,
        flags: u32,
    ) -> c_int {
        if flags & !bindings::XDP_XMIT_FLAGS_MASK != 0 {
            return EINVAL.to_errno();
        }
        // SAFETY: The core calls it for a registered device with bottom halves off, and lends `count`
        // frames: those that are sent are the driver's, the others stay the core's.
        unsafe {
            let dev = NetDevice::from_raw(dev);
            if !dev.is_running() || !dev.has_carrier() {
                return ENETDOWN.to_errno();
            }
            let data = &(*Private::<T>::of(dev)).data;
            // CAST: a device has at least one queue, and as many as 16 bits count at most.
            let index = (bindings::smp_processor_id() % dev.queues().max(1)) as u16;
            let sent = dev.with_tx_queue::<T, _>(index, |queue, state| {
                let mut sent = 0;
                while sent < count {
                    let frame = *frames.add(sent as usize);
                    let frame = xdp::Frame::from_raw(NonNull::new_unchecked(frame));
                    if let Err(frame) = data.xdp_transmit(queue, state, frame) {
                        let _ = frame.into_raw();
                        break;
                    }
                    sent += 1;
                }
                if flags & bindings::XDP_XMIT_FLUSH != 0 {
                    data.xdp_flush(state);
                }
                sent
            });
            sent.unwrap_or(ENETDOWN.to_errno())
        }
    }

    unsafe extern "C" fn set_features(dev: *mut bindings::net_device, features: u64) -> c_int {
        // SAFETY: As for all control operations.
        unsafe { Self::control(dev, |cx| T::set_features(cx, features)) }
    }

    unsafe extern "C" fn tx_timeout(dev: *mut bindings::net_device, index: c_uint) {
        // SAFETY: The core calls it for a registered device.
        unsafe {
            let dev = NetDevice::from_raw(dev);
            if let Some(queue) = TxQueue::new(dev, index as u16) {
                (*Private::<T>::of(dev)).data.tx_timeout(queue);
            }
        }
    }

    unsafe extern "C" fn work(dev: *mut bindings::net_device, events: c_ulong) {
        let work = |cx: &mut Control<'_, T>| {
            T::work(cx, events);
            Ok(())
        };
        // SAFETY: As for all control operations.
        unsafe { Self::control(dev, work) };
    }

    unsafe extern "C" fn stats(dev: *mut bindings::net_device, stats: *mut LinkStats) {
        // SAFETY: The core calls it for a registered device, with zeroed statistics.
        unsafe {
            (*Private::<T>::of(NetDevice::from_raw(dev)))
                .data
                .stats(&mut *stats)
        }
    }

    unsafe extern "C" fn rx_queue_stats(
        dev: *mut bindings::net_device,
        index: c_int,
        stats: *mut RxQueueStats,
    ) {
        // SAFETY: The core calls it for a registered device and an existing queue.
        unsafe {
            let data = &(*Private::<T>::of(NetDevice::from_raw(dev))).data;
            data.rx_queue_stats(index as usize, &mut *stats)
        }
    }

    unsafe extern "C" fn tx_queue_stats(
        dev: *mut bindings::net_device,
        index: c_int,
        stats: *mut TxQueueStats,
    ) {
        // SAFETY: As above.
        unsafe {
            let data = &(*Private::<T>::of(NetDevice::from_raw(dev))).data;
            data.tx_queue_stats(index as usize, &mut *stats)
        }
    }

    unsafe extern "C" fn base_stats(
        dev: *mut bindings::net_device,
        rx: *mut RxQueueStats,
        tx: *mut TxQueueStats,
    ) {
        // SAFETY: As above; the core gives statistics that are all unset, both of them nothing but
        // 64-bit values.
        unsafe {
            // What one queue reports, all do: it counts from zero.
            Self::rx_queue_stats(dev, 0, rx);
            Self::tx_queue_stats(dev, 0, tx);
            zero_set(&mut *rx.cast::<[u64; size_of::<RxQueueStats>() / 8]>());
            zero_set(&mut *tx.cast::<[u64; size_of::<TxQueueStats>() / 8]>());
            // What queues counted that are there no more.
            bindings::netdev_stat_queue_sum(
                dev,
                (*dev).real_num_rx_queues as c_int,
                (*dev).num_rx_queues as c_int,
                rx,
                (*dev).real_num_tx_queues as c_int,
                (*dev).num_tx_queues as c_int,
                tx,
            );
        }
    }
}

/// Makes those statistics zero that are set.
fn zero_set(statistics: &mut [u64]) {
    for value in statistics.iter_mut().filter(|value| **value != u64::MAX) {
        *value = 0;
    }
}
