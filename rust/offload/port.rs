// SPDX-License-Identifier: GPL-2.0

//! What the shim calls.

use super::gate::Gate;
use crate::{
    abi::{
        admin::SetImpairment,
        ring::SUBMISSION_ENTRY,
        rules::Headers, //
    },
    net::{
        dma::MappedFrag,
        netdev::NetDevice,
        skb::Frag, //
    }, //
};
use core::{
    ops::Deref,
    ptr, //
};
use kernel::{
    error::Result,
    sync::Arc, //
};

/// Why a submission ring does not take entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// The ring is full. Try again in [`Client::poll_done`](super::Client::poll_done).
    Full,
    /// The processor does not run: the interface is down, or the adapter is gone. Every connection of
    /// the processor has been or is being returned through [`Client`](super::Client).
    Stopped,
}

/// An adapter that carries connections.
///
/// It may outlive its interface and its PCI function. Every operation then fails with
/// [`SubmitError::Stopped`] or `ENODEV`.
pub trait Port: Send + Sync {
    /// Returns the interface. It may be unregistered.
    fn netdev(&self) -> &NetDevice;

    /// Returns the index of the interface.
    fn ifindex(&self) -> u32 {
        self.netdev().ifindex()
    }

    /// Returns the negotiated features ([`crate::abi::feature`]).
    fn features(&self) -> u64;

    /// Returns whether the interface offers delegation: the adapter can, and the user permits it.
    fn is_offered(&self) -> bool;

    /// Returns whether the interface is up and the adapter works.
    fn is_running(&self) -> bool;

    /// Returns whether an XDP program sees every frame of the interface, or is being attached.
    fn is_inspected(&self) -> bool;

    /// Returns the client's gate.
    fn gate(&self) -> &Gate;

    /// Returns the number of connections that each processor can hold.
    fn connection_limit(&self) -> u32;

    /// Returns the processor to which the adapter steers the received frames of a connection with
    /// these headers. `None` when a receive rule drops them, or may match only some of them.
    ///
    /// Takes a lock; meant for hand-over, not for each send.
    fn processor_for(&self, headers: &Headers) -> Option<u8>;

    /// Puts `entries` into the submission ring of `processor`, publishes them together, and wakes the
    /// processor if it sleeps. Any context but hard interrupts.
    ///
    /// # Errors
    ///
    /// Nothing was submitted.
    fn submit(&self, processor: u8, entries: &[[u8; SUBMISSION_ENTRY]]) -> Result<(), SubmitError>;

    /// Returns how many completions of the processor have been consumed, modulo 2^32. A change is a
    /// sign of life.
    fn taken(&self, processor: u8) -> u32;

    /// Takes at most `most` of the processor's fragment credits, one for each fragment of a submitted
    /// `Send` that is not acknowledged ([`crate::abi::regs::FRAGMENTS`]). Returns how many it took.
    fn reserve_fragments(&self, processor: u8, most: u32) -> u32;

    /// Returns fragment credits, once the memory is unmapped.
    fn release_fragments(&self, processor: u8, count: u32);

    /// Asks for a poll as soon as there are fragment credits.
    fn await_fragments(&self, processor: u8);

    /// Maps part of a page for the adapter to read, and holds the page. Dropping the result unmaps and
    /// releases it.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the adapter is gone, `EIO` when the memory cannot be mapped.
    fn map(&self, frag: &Frag) -> Result<MappedFrag>;

    /// Sets how the adapter's port impairs traffic. Process context.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` when the adapter does not support it, `EINVAL` for a value out of range, `ENODEV`
    /// when the adapter is gone.
    fn impair(&self, impairment: &SetImpairment) -> Result;

    /// Schedules a reset of the function because the adapter broke the ABI; `why` is logged. The
    /// adapter loses its connections, see [`Client::stopped`](super::Client::stopped). Softirq or
    /// process context.
    fn fault(&self, why: &str);
}

/// A counted reference to a [`Port`].
///
/// The shim's registry and its ULP are statics, so the shim cannot be generic over the port, and its
/// calls are indirect. The hot one is [`Port::submit`]: one call for a batch of entries, which takes a
/// lock and writes a doorbell. [`Port::map`] comes once per fragment of up to 32 KB and maps it for
/// DMA. No call comes per byte or per frame.
///
/// Dropped in process context.
#[derive(Clone)]
pub struct Handle(Arc<dyn Port>);

impl Handle {
    /// Creates a handle of `port`.
    pub fn new(port: Arc<dyn Port>) -> Self {
        Self(port)
    }

    /// Returns whether both handles refer to one port.
    pub fn is_same(&self, other: &Self) -> bool {
        ptr::addr_eq(&*self.0, &*other.0)
    }
}

impl Deref for Handle {
    type Target = dyn Port;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}
