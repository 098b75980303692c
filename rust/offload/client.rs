// SPDX-License-Identifier: GPL-2.0

//! What the driver calls.

use super::{
    port::{
        Handle,
        Port, //
    },
    Payload, //
};
use crate::{
    abi::{
        completion::{
            Acked,
            Delegated,
            Deliver,
            Resumed,
            Returned, //
        },
        connection::ConnectionState, //
    },
    net::{
        napi::RxSkBuff,
        skb::SkBuff, //
    }, //
};
use kernel::error::Result;

/// The user of the adapter's offload processors: the socket shim.
///
/// Unless noted otherwise the driver calls these functions from the queue pair's NAPI poll, in softirq
/// context, in the order of the completion ring. All earlier frames have been passed to the stack,
/// including those that GRO held. The driver does not compare identifiers and lengths inside an entry
/// with the connection; the client does, and calls [`Port::fault`](super::Port::fault) on a
/// contradiction.
pub trait Client: 'static {
    /// The client's state of one running processor. Only the processor's poll accesses it.
    type Processor: Send;

    /// Prepares for the start of `processor`. Process context, instance lock held.
    fn start(adapter: &Handle, processor: u8) -> Result<Self::Processor>;

    /// Handles the answer to a hand-over.
    fn delegated(this: &mut Self::Processor, answer: Delegated);

    /// Returns whether there is memory for another [`Self::deliver`] or [`Self::resumed`].
    ///
    /// The poll stops when there is none. The adapter then stops acknowledging once its ring is full,
    /// so no payload is lost.
    fn can_deliver(this: &mut Self::Processor) -> bool;

    /// Takes in-order payload of a connection. Called only after [`Self::can_deliver`] returned true.
    fn deliver(this: &mut Self::Processor, deliver: Deliver, payload: Payload);

    /// Handles progress of a connection's send side.
    fn acked(this: &mut Self::Processor, acked: Acked);

    /// Takes a connection back. `returned.frames` calls of [`Self::legacy`] follow.
    fn returned(this: &mut Self::Processor, returned: Returned, state: ConnectionState);

    /// Handles the end of the legacy mode of a connection. Called only after [`Self::can_deliver`]
    /// returned true.
    fn resumed(this: &mut Self::Processor, resumed: Resumed);

    /// Takes a frame that the adapter passes up for connection `host_id`, which it carries or has
    /// just returned (legacy frame).
    fn legacy(this: &mut Self::Processor, host_id: u32, skb: RxSkBuff<'_>);

    /// Ends a batch: no completion is left, or the budget is used up. Called at the end of each poll
    /// that called one of the functions above.
    fn completions_done(this: &mut Self::Processor);

    /// Ends every poll that receives. Submissions that met
    /// [`SubmitError::Full`](super::SubmitError::Full), or found no fragment credits, may succeed now.
    /// Such a poll comes at least once a second.
    fn poll_done(this: &mut Self::Processor);

    /// Announces that a processor is about to stop: interface down, reconfiguration, reset, unbind or
    /// queue restart. Process context, instance lock held.
    ///
    /// The adapter returns its connections as it stops; they arrive as [`Self::returned`]. The client
    /// refuses new hand-overs from now on.
    fn stopping(adapter: &Handle, processor: u8);

    /// Releases the state of a processor that has stopped. Its rings are drained and are not read
    /// again. Process context, instance lock held.
    ///
    /// The client takes back without the adapter every connection that it still counts to this
    /// processor. It unmaps all that [`Port::map`](super::Port::map) mapped for the processor.
    fn stopped(this: Self::Processor);

    /// Reports a change of [`Port::is_inspected`](super::Port::is_inspected). Process context,
    /// instance lock held.
    fn inspected(adapter: &Handle);

    /// Reports that the interface is unregistered. No processor starts any more. Process context.
    fn gone(adapter: &Handle);

    /// Returns the transmit queue for a frame that the stack sends: that of the processor which
    /// carries the connection of `skb.sk`, if any. Softirq or process context, bottom halves off.
    fn transmit_queue(skb: &SkBuff) -> Option<u16>;

    /// Notes that the stack sends `skb` through `adapter`. Softirq or process context, transmit
    /// lock held.
    fn transmits(adapter: &dyn Port, skb: &SkBuff);
}
