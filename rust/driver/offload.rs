// SPDX-License-Identifier: GPL-2.0

//! The border between the driver and the socket shim.
//!
//! Downwards the shim holds a [`Handle`] on an adapter: it submits entries, maps the memory that
//! they name and asks which processor a connection belongs to. Upwards the driver calls a
//! [`Client`], which the shim implements: what the completion rings say about delegated
//! connections, in their order, and the moments at which connections have to come back.

use super::{
    adapter::Adapter,
    processor::{
        Processor,
        Submission, //
    },
    receive::Pieces, //
};
use crate::{
    abi::{
        admin::SetImpairment,
        completion::{
            Acked,
            Delegated,
            Deliver,
            Returned, //
        },
        connection::Connection,
        feature,
        ring::{
            Ring as Line,
            INDEX,
            SUBMISSION_ENTRY, //
        },
        rules::Headers, //
    },
    bindings,
    net::{
        device::NetDevice,
        dma::MappedFrag,
        page_pool::Fragment,
        skb::{
            Frag,
            SkBuff, //
        }, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        barrier::{
            mb,
            Full, //
        },
        Arc, //
    }, //
};

/// Why the adapter does not take a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubmitError {
    /// There is no room in the ring now; [`Client::submission_space`] tells when there is.
    Full,
    /// The processor does not run: the interface is down, or the adapter is gone. Every connection
    /// of the processor has been or is being given back through [`Client`].
    Stopped,
}

/// A counted reference to an adapter.
///
/// It may outlive the interface and the PCI function: every operation then fails with
/// [`SubmitError::Stopped`] or [`ENODEV`]. To be dropped in process context.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Adapter>);

impl Handle {
    pub(super) fn new(adapter: Arc<Adapter>) -> Self {
        Self(adapter)
    }

    fn processor(&self, index: u8) -> Option<&Processor> {
        self.0
            .processors
            .get(usize::from(index))
            .map(|processor| &**processor)
    }

    /// The adapter behind `dev`, when `dev` is an interface of this driver that carries delegated
    /// connections.
    ///
    /// The caller holds a reference to `dev`, or found it in the RCU read-side section that it is
    /// in.
    pub(crate) fn of(dev: &NetDevice) -> Option<Self> {
        let adapter = dev.driver_data::<Adapter>()?;
        let carries =
            adapter.features & feature::DELEGATION != 0 && adapter.delegation.load(Relaxed);
        carries.then(|| Self(adapter.clone()))
    }

    /// Index of the interface.
    pub(crate) fn ifindex(&self) -> u32 {
        self.0.netdev.device().ifindex()
    }

    /// Whether both handles are of one adapter.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Negotiated features ([`crate::abi::feature`]).
    pub(crate) fn features(&self) -> u64 {
        self.0.features
    }

    /// Whether an XDP program sees every frame of the interface, or is about to.
    pub(crate) fn is_inspected(&self) -> bool {
        self.0.xdp.is_announced()
    }

    /// Whether the interface is up and the adapter alive.
    pub(crate) fn is_running(&self) -> bool {
        self.0.running.load(Relaxed) && !self.0.dead.load(Relaxed)
    }

    /// The most delegated connections that each processor can hold.
    pub(crate) fn connection_limit(&self) -> u32 {
        self.0.connections
    }

    /// The processor that the adapter assigns a connection's received frames with these headers to.
    /// `None` when a receive rule drops them, or may be for some of them only. Takes a lock: for
    /// hand-over, not per send.
    pub(crate) fn processor_for(&self, headers: &Headers) -> Option<u8> {
        self.0.steering.lock().processor_for(headers)
    }

    /// Puts `entries` into the submission ring of `processor`, all published together, and wakes
    /// the processor when it sleeps. From any context but hard interrupts.
    ///
    /// # Errors
    ///
    /// Nothing was submitted then.
    pub(crate) fn submit(
        &self,
        processor: u8,
        entries: &[[u8; SUBMISSION_ENTRY]],
    ) -> Result<(), SubmitError> {
        let processor = self.processor(processor).ok_or(SubmitError::Stopped)?;
        let mut guard = processor.submission.lock();
        let slot: &mut Option<Submission> = &mut guard;
        let submission = slot.as_mut().ok_or(SubmitError::Stopped)?;
        if (submission.room() as usize) < entries.len() {
            processor.waiting.store(true, Relaxed);
            // The poll may have looked before it could see that somebody waits.
            mb(Full);
            if (submission.room() as usize) < entries.len() {
                return Err(SubmitError::Full);
            }
        }
        for entry in entries {
            submission.ring.write(submission.producer, entry);
            submission.producer = submission.producer.wrapping_add(1);
        }
        let line = Line::Submission.line() + INDEX;
        self.0
            .registers
            .doorbell(processor.index, line, submission.producer);
        self.0.wake(processor.index, &submission.status);
        Ok(())
    }

    /// Completions of the processor that have been taken so far, modulo 2^32: a sign of life.
    pub(crate) fn taken(&self, processor: u8) -> u32 {
        self.processor(processor)
            .map_or(0, |processor| processor.consumed.load(Relaxed))
    }

    /// Takes `count` of the processor's fragment credits, one for each piece of a submitted `Send`
    /// that is not acknowledged ([`crate::abi::regs::FRAGMENTS`]); false when there
    /// are not as many left. Given back by [`Self::release_fragments`] when the memory is unmapped.
    pub(crate) fn reserve_fragments(&self, processor: u8, count: u32) -> bool {
        self.processor(processor)
            .is_some_and(|processor| processor.reserve(count))
    }

    /// Gives back fragment credits.
    pub(crate) fn release_fragments(&self, processor: u8, count: u32) {
        if let Some(processor) = self.processor(processor) {
            processor.release(count);
        }
    }

    /// Maps a piece of a page for the adapter to read, and holds the page. Dropping the result
    /// unmaps and lets go.
    ///
    /// # Errors
    ///
    /// [`ENODEV`] when the adapter is gone, [`EIO`] when the piece cannot be mapped.
    pub(crate) fn map(&self, frag: &Frag) -> Result<MappedFrag> {
        if !self.is_running() {
            return Err(ENODEV);
        }
        MappedFrag::new(&self.0.mapper, frag)
    }

    /// Sets how the port impairs what crosses it. In process context.
    ///
    /// # Errors
    ///
    /// [`EOPNOTSUPP`] when the adapter cannot, [`EINVAL`] for a value out of range, [`ENODEV`] when
    /// the adapter is gone.
    pub(crate) fn impair(&self, impairment: &SetImpairment) -> Result {
        if self.features() & feature::IMPAIR == 0 {
            return Err(EOPNOTSUPP);
        }
        self.0.command(impairment)
    }

    /// The network namespace of the interface, for comparison.
    pub(crate) fn net(&self) -> *mut bindings::net {
        self.0.netdev.device().net()
    }

    /// Schedules a reset of the function: the adapter has answered something impossible, `why` says
    /// what. Its connections are lost to it, see [`Client::stopped`]. From softirq or process
    /// context.
    pub(crate) fn fault(&self, why: &str) {
        self.0.fault(why);
    }
}

/// Payload of a delegated connection: the pieces of pool pages in which it lies, in order.
///
/// Each piece holds its page; moved into an skb by [`SkBuff::add_fragment`] it goes on to do so,
/// and the page returns to the pool when the skb is freed. Pieces that are not taken out are given
/// back.
pub(crate) struct Payload(pub(super) Pieces);

impl Payload {
    /// Number of pieces.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Iterator for Payload {
    type Item = Fragment;

    fn next(&mut self) -> Option<Fragment> {
        self.0.next()
    }
}

/// What the shim is to the driver.
///
/// Unless said otherwise the calls come from the processor's NAPI poll, in softirq context, in the
/// order of the completion ring. Frames that came before have been passed to the stack by then,
/// those held by GRO included. Identifiers and lengths inside an entry have NOT been compared with
/// the connection: the shim does that, and calls [`Handle::fault`] if they contradict it.
pub(crate) trait Client {
    /// The shim's own state of one running processor; exclusive to its poll.
    type Processor: Send;

    /// `processor` is about to start. Process context, instance lock held.
    fn start(adapter: &Handle, processor: u8) -> Result<Self::Processor>;

    /// Answer to a hand-over.
    fn delegated(this: &mut Self::Processor, answer: Delegated);

    /// Whether there is memory for another [`Self::deliver`]. Where there is none, the ring waits,
    /// and with it the adapter's acknowledgements: nothing of a connection may be lost.
    fn can_deliver(this: &mut Self::Processor) -> bool;

    /// In-order payload of a connection. Only after [`Self::can_deliver`].
    fn deliver(this: &mut Self::Processor, deliver: Deliver, payload: Payload);

    /// Progress of a connection's send side.
    fn acked(this: &mut Self::Processor, acked: Acked);

    /// A connection is the host's again. `returned.frames` calls of [`Self::legacy`] follow.
    fn returned(this: &mut Self::Processor, returned: Returned, state: Connection);

    /// A frame that is the special case of connection `host_id`; ready for [`SkBuff::receive`].
    fn legacy(this: &mut Self::Processor, host_id: u32, skb: SkBuff);

    /// The poll has handed over all it found, or its budget is used up: send what was batched.
    /// Called in every poll that handed over anything.
    fn completions_done(this: &mut Self::Processor);

    /// The submission ring has room again after a [`SubmitError::Full`].
    fn submission_space(this: &mut Self::Processor);

    /// A processor is about to stop (interface down, other queues or rings, reset, unbind, its queue
    /// restarted). Process context, instance lock held. The adapter gives its connections back as it
    /// stops: they arrive as `Returned`. New hand-overs are refused from here on.
    fn stopping(adapter: &Handle, processor: u8);

    /// The processor has stopped; its rings are drained and will not be read again. Process
    /// context, instance lock held. What the shim still believes to be on this processor, it takes
    /// back without the adapter. After the call nothing of [`Handle::map`] for this processor may
    /// be left mapped.
    fn stopped(this: Self::Processor);

    /// [`Handle::is_inspected`] has changed, one way or the other: connections past whoever inspects
    /// come back. Process context, instance lock held.
    fn inspected(adapter: &Handle);

    /// The adapter's interface is unregistered: nothing starts any more. Process context.
    fn gone(adapter: &Handle);

    /// The transmit queue for a frame that the stack sends: the processor that carries the
    /// connection of `skb.sk`, or nothing. Softirq or process context, bottom halves off.
    fn transmit_queue(skb: &SkBuff) -> Option<u16>;

    /// The stack sends `skb` through the adapter. Softirq or process context, transmit lock held.
    fn transmits(skb: &SkBuff);
}
