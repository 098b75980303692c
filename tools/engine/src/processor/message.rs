// SPDX-License-Identifier: GPL-2.0

//! Messages between the processors of a function.

use crate::env::RxOffload;

/// A message to a processor from another processor of the same function.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// A received frame that is assigned to the receiver of the message
    /// ([`Received::Elsewhere`](super::Received::Elsewhere)).
    Frame {
        /// The frame, from the Ethernet header on.
        bytes: &'a [u8],
        /// Offload state from the port.
        offload: RxOffload,
    },
}
