// SPDX-License-Identifier: GPL-2.0

//! Tests of the whole protocol machine: packet scripts for exact segments, a simulated network for
//! what comes of them.

mod end;
mod goodput;
mod network;
mod receive;
mod recovery;
mod script;
mod send;
mod state;
mod survival;
