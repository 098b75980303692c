// SPDX-License-Identifier: GPL-2.0

//! `toectl impair`: network impairment on the adapter's port.

use crate::attribute::Attribute;
use crate::channel::Channel;
use crate::cli::Direction;
use crate::cli::Impairment;
use crate::interface;
use crate::uapi::*;
use anyhow::Result;

/// Executes `impair`.
pub fn run(impairment: &Impairment) -> Result<()> {
    let values = impairment.values()?;
    let directions = match impairment.direction {
        Direction::Egress => TOE_DIRECTION_EGRESS,
        Direction::Ingress => TOE_DIRECTION_INGRESS,
        Direction::Both => TOE_DIRECTION_EGRESS | TOE_DIRECTION_INGRESS,
    };
    let request = vec![
        Attribute::u32(TOE_A_IMPAIR_IFINDEX, interface::index(&impairment.dev)?),
        Attribute::u32(TOE_A_IMPAIR_DIRECTIONS, directions.into()),
        Attribute::u32(TOE_A_IMPAIR_LOSS, values.loss),
        Attribute::u32(TOE_A_IMPAIR_DUPLICATE, values.duplicate),
        Attribute::u32(TOE_A_IMPAIR_REORDER, values.reorder),
        Attribute::u32(TOE_A_IMPAIR_CORRUPT, values.corrupt),
        Attribute::u32(TOE_A_IMPAIR_DELAY, values.delay),
        Attribute::u32(TOE_A_IMPAIR_JITTER, values.jitter),
        Attribute::uint(TOE_A_IMPAIR_RATE, values.rate),
        Attribute::uint(TOE_A_IMPAIR_SEED, values.seed),
    ];
    Channel::open()?.request(TOE_CMD_IMPAIR_SET, request)
}
