// SPDX-License-Identifier: GPL-2.0

//! `ethtool`: settings and statistics of a device.
//!
//! The core calls the operations under the instance lock; [`Operations::set_channels`] under the RTNL,
//! too, which is not held for the others.
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h)

mod flow;
mod operations;
mod rss;
mod settings;
mod statistics;
mod vtable;

pub use self::{
    flow::{
        FlowAction,
        FlowFields,
        FlowMatch,
        FlowRule, //
    },
    operations::Operations,
    rss::{
        Flow,
        HashFields,
        RssChange, //
    },
    settings::{
        Channels,
        Coalesce,
        LinkSettings,
        RingChange,
        Rings, //
    },
    statistics::{
        MacStatistics,
        Names,
        SizeRange, //
    }, //
};
