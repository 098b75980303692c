// SPDX-License-Identifier: GPL-2.0

//! Tests of the complete state machine: packet scripts for exact segments, and a simulated network
//! for overall behaviour.

mod behaviour;
mod check;
mod convergence;
mod ecn;
mod end;
mod entry;
mod goodput;
mod host;
mod legacy;
mod network;
mod receive;
mod recovery;
mod script;
mod send;
mod settings;
mod state;
mod survival;
