// SPDX-License-Identifier: GPL-2.0

//! Callbacks for link, channels, rings, coalescing and private flags.

use super::VTable;
use crate::{
    bindings,
    net::{
        device::control_callbacks,
        ethtool::{
            operations::Operations,
            settings::{
                Coalesce,
                RingChange, //
            }, //
        }, //
    }, //
};
use kernel::prelude::*;

impl<T: Operations> VTable<T> {
    control_callbacks! {
        /// The core passes zeroed settings.
        pub(super) fn get_link_ksettings(
            cx,
            settings: mut bindings::ethtool_link_ksettings,
        ) -> Result {
            settings.base.speed = match T::link_settings(cx).speed {
                0 => bindings::SPEED_UNKNOWN as u32,
                speed => speed,
            };
            settings.base.duplex = bindings::DUPLEX_FULL as u8;
            settings.base.port = bindings::PORT_OTHER as u8;
            Ok(())
        }

        /// The core passes zeroed channels.
        pub(super) fn get_channels(cx, channels: mut bindings::ethtool_channels) {
            let current = T::channels(cx);
            channels.max_combined = current.max;
            channels.combined_count = current.count;
        }

        /// The core has checked the limits.
        pub(super) fn set_channels(cx, channels: mut bindings::ethtool_channels) -> Result {
            T::set_channels(cx, channels.combined_count)
        }

        /// The core passes zeroed parameters.
        pub(super) fn get_ringparam(
            cx,
            ring: mut bindings::ethtool_ringparam,
            kernel: mut bindings::kernel_ethtool_ringparam,
            _extack: val *mut bindings::netlink_ext_ack,
        ) {
            let rings = T::rings(cx);
            ring.rx_max_pending = rings.rx_max;
            ring.rx_pending = rings.rx;
            ring.tx_max_pending = rings.tx_max;
            ring.tx_pending = rings.tx;
            kernel.hds_thresh_max = rings.threshold_max;
            kernel.tcp_data_split = match rings.split {
                true => bindings::ETHTOOL_TCP_DATA_SPLIT_ENABLED,
                false => bindings::ETHTOOL_TCP_DATA_SPLIT_DISABLED,
            };
        }

        /// The core has checked the limits.
        pub(super) fn set_ringparam(
            cx,
            ring: mut bindings::ethtool_ringparam,
            kernel: mut bindings::kernel_ethtool_ringparam,
            _extack: val *mut bindings::netlink_ext_ack,
        ) -> Result {
            let change = RingChange {
                rx: ring.rx_pending,
                tx: ring.tx_pending,
                split: match kernel.tcp_data_split {
                    bindings::ETHTOOL_TCP_DATA_SPLIT_ENABLED => Some(true),
                    bindings::ETHTOOL_TCP_DATA_SPLIT_DISABLED => Some(false),
                    _ => None,
                },
                threshold: kernel.hds_thresh,
            };
            T::set_rings(cx, change)
        }

        /// The core passes zeroed parameters.
        pub(super) fn get_coalesce(
            cx,
            coalesce: mut bindings::ethtool_coalesce,
            _kernel: val *mut bindings::kernel_ethtool_coalesce,
            _extack: val *mut bindings::netlink_ext_ack,
        ) -> Result {
            let current = T::coalesce(cx);
            coalesce.rx_coalesce_usecs = current.usecs;
            coalesce.rx_max_coalesced_frames = current.frames;
            Ok(())
        }

        /// The core refuses other parameters than those supported.
        pub(super) fn set_coalesce(
            cx,
            coalesce: mut bindings::ethtool_coalesce,
            _kernel: val *mut bindings::kernel_ethtool_coalesce,
            _extack: val *mut bindings::netlink_ext_ack,
        ) -> Result {
            let wanted = Coalesce {
                usecs: coalesce.rx_coalesce_usecs,
                frames: coalesce.rx_max_coalesced_frames,
            };
            T::set_coalesce(cx, wanted)
        }

        /// Private flags.
        pub(super) fn get_priv_flags(cx) -> u32 {
            T::private_flags(cx)
        }

        /// Private flags.
        pub(super) fn set_priv_flags(cx, flags: val u32) -> Result {
            T::set_private_flags(cx, flags)
        }
    }
}
