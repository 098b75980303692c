// SPDX-License-Identifier: GPL-2.0

//! Settings of link, channels, rings and interrupt coalescing.

/// Link settings.
#[derive(Clone, Copy, Debug)]
pub struct LinkSettings {
    /// Speed in Mbit/s, 0 when unknown.
    pub speed: u32,
}

/// Queue pairs ("combined channels").
#[derive(Clone, Copy, Debug)]
pub struct Channels {
    /// Number in use.
    pub count: u32,
    /// Maximum.
    pub max: u32,
}

/// Ring parameters.
#[derive(Clone, Copy, Debug)]
pub struct Rings {
    /// Receive ring: number of pages that can be posted.
    pub rx: u32,
    /// Transmit ring: number of entries.
    pub tx: u32,
    /// Maximum of `rx`.
    pub rx_max: u32,
    /// Maximum of `tx`.
    pub tx_max: u32,
    /// Header-data split (`tcp-data-split`).
    pub split: bool,
    /// Maximum of `hds-thresh`, in bytes.
    pub threshold_max: u32,
}

/// Requested ring parameters.
#[derive(Clone, Copy, Debug)]
pub struct RingChange {
    /// Minimum number of pages, at most [`Rings::rx_max`].
    pub rx: u32,
    /// Minimum number of entries, at most [`Rings::tx_max`].
    pub tx: u32,
    /// Header-data split; `None` when the driver may choose.
    pub split: Option<bool>,
    /// Frames up to this size in bytes are not split, at most [`Rings::threshold_max`].
    pub threshold: u32,
}

/// Interrupt coalescing on receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coalesce {
    /// Maximum delay of an interrupt, in microseconds.
    pub usecs: u32,
    /// Number of completions after which the interrupt is raised at once.
    pub frames: u32,
}
