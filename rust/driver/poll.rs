// SPDX-License-Identifier: GPL-2.0

//! The NAPI poll of a queue pair: frees sent frames, then takes completions in ring order.

use super::{
    adapter::Adapter,
    fill_ring::Invalid,
    queue_pair::QueuePair,
    rx::Rx,
    tx_clean::TxClean, //
};
use crate::{
    abi::{
        completion::{
            frame_flag,
            Acked,
            CompletionOp,
            Delegated,
            Deliver,
            PagesReleased,
            Resumed,
            Returned,
            RxFrame,
            NO_PAGE,
            RETURNED_ENTRIES, //
        },
        connection::ConnectionState,
        ring::{
            arm_word,
            transmit_arm_word,
            RingId,
            ARM,
            ARM_TRANSMIT,
            COMPLETION_ENTRY, //
        },
        Layout, //
    },
    net::{
        dma::{
            Ring,
            SharedPage, //
        },
        napi::{
            self,
            Polled,
            RxContext,
            TxContext, //
        },
        netmem::Pool, //
    },
    offload::Client, //
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

/// Offset of the completion ring's producer index in the status page.
const PRODUCED: usize = RingId::Completion.index_offset();
/// Offset of the transmit ring's consumer index in the status page.
const SENT: usize = RingId::Transmit.index_offset();

/// State of a running queue pair that only its poll accesses.
pub(super) struct Poller<C: Client> {
    adapter: Arc<Adapter<C>>,
    pair: Arc<QueuePair>,
    status: Arc<SharedPage>,
    completions: Ring<COMPLETION_ENTRY>,
    rx_queue: Rx,
    tx_clean: TxClean,
    /// `None` once the processor has stopped.
    client: Option<C::Processor>,
    consumer: u32,
    /// GRO may hold a TCP frame. Completions of connections, which bypass GRO, must wait.
    gro_holds_tcp: bool,
    /// There was no memory for the next completion. The adapter's watchdog polls again.
    starved: bool,
}

/// The result of one completion.
enum Consumed {
    /// This many entries were consumed.
    Entries(u32),
    /// None: GRO must be flushed first, at the end of this poll.
    FlushFirst,
    /// None: there is no memory for it.
    NoMemory,
}

impl<C: Client> Poller<C> {
    /// Creates the state of a queue pair that is about to start.
    pub(super) fn new(
        adapter: Arc<Adapter<C>>,
        pair: Arc<QueuePair>,
        status: Arc<SharedPage>,
        completions: Ring<COMPLETION_ENTRY>,
        (rx_queue, tx_clean): (Rx, TxClean),
        client: C::Processor,
    ) -> Self {
        Self {
            adapter,
            pair,
            status,
            completions,
            rx_queue,
            tx_clean,
            client: Some(client),
            consumer: 0,
            gro_holds_tcp: false,
            starved: false,
        }
    }

    /// Takes the client's state out, once the processor has stopped.
    pub(super) fn take_client(&mut self) -> Option<C::Processor> {
        self.client.take()
    }

    /// Handles the completion `entry`, the first of `available`.
    fn consume(
        &mut self,
        rx: &RxContext<'_>,
        entry: [u8; COMPLETION_ENTRY],
        available: u32,
    ) -> Result<Consumed, Invalid> {
        let op = CompletionOp::from_raw(entry[0]).ok_or(Invalid)?;
        if op == CompletionOp::PagesReleased {
            self.rx_queue.released(&PagesReleased::from_bytes(&entry))?;
            return Ok(Consumed::Entries(1));
        }
        let frame =
            (op.raw() < CompletionOp::PagesReleased.raw()).then(|| RxFrame::from_bytes(&entry));
        let legacy = frame
            .as_ref()
            .is_some_and(|f| f.flags & frame_flag::LEGACY != 0);
        if let (Some(frame), false) = (&frame, legacy) {
            if let Some(skb) = self.rx_queue.frame(rx, &*self.adapter, &self.pair, frame)? {
                self.gro_holds_tcp |= op != CompletionOp::NotTcp;
                skb.gro_receive();
            }
            return Ok(Consumed::Entries(1));
        }

        // The entry belongs to a delegated connection.
        if self.gro_holds_tcp {
            return Ok(Consumed::FlushFirst);
        }
        let client = self.client.as_mut().ok_or(Invalid)?;
        match op {
            CompletionOp::Delegated => C::delegated(client, Delegated::from_bytes(&entry)),
            CompletionOp::Acked => C::acked(client, Acked::from_bytes(&entry)),
            CompletionOp::Deliver => {
                if !C::can_deliver(client) {
                    return Ok(Consumed::NoMemory);
                }
                let deliver = Deliver::from_bytes(&entry);
                let payload = self.rx_queue.deliver(&deliver)?;
                C::deliver(client, deliver, payload);
            }
            CompletionOp::Resumed => {
                if !C::can_deliver(client) {
                    return Ok(Consumed::NoMemory);
                }
                C::resumed(client, Resumed::from_bytes(&entry));
            }
            CompletionOp::Returned => {
                if available < RETURNED_ENTRIES as u32 {
                    return Err(Invalid);
                }
                let returned = Returned::from_bytes(&entry);
                if returned.page != NO_PAGE {
                    self.rx_queue.release_payload(returned.page)?;
                }
                let mut state = [0; ConnectionState::SIZE];
                for (i, part) in (1..).zip(state.chunks_exact_mut(COMPLETION_ENTRY)) {
                    part.copy_from_slice(&self.completions.read(self.consumer.wrapping_add(i)));
                }
                C::returned(client, returned, ConnectionState::from_bytes(&state));
                return Ok(Consumed::Entries(RETURNED_ENTRIES as u32));
            }
            _ => {
                let frame = frame.ok_or(Invalid)?;
                if let Some(skb) = self
                    .rx_queue
                    .frame(rx, &*self.adapter, &self.pair, &frame)?
                {
                    C::legacy(client, frame.flow, skb);
                }
            }
        }
        Ok(Consumed::Entries(1))
    }

    /// Handles completions up to the budget, and returns their number. Returns the budget as well
    /// when the poll must run again at once.
    fn completions(&mut self, rx: &RxContext<'_>) -> Result<usize, Invalid> {
        let budget = rx.budget();
        let (mut done, mut for_client) = (0, false);
        self.starved = false;
        let result = loop {
            let available = self
                .status
                .load_acquire::<PRODUCED>()
                .wrapping_sub(self.consumer);
            if available == 0 || done >= budget {
                break Ok(done);
            }
            if available > self.completions.entries() {
                break Err(Invalid);
            }
            let entry = self.completions.read(self.consumer);
            match self.consume(rx, entry, available) {
                Ok(Consumed::Entries(count)) => {
                    for_client |= entry[0] > CompletionOp::PagesReleased.raw();
                    self.consumer = self.consumer.wrapping_add(count);
                    done += 1;
                }
                Ok(Consumed::FlushFirst) => {
                    rx.gro_flush();
                    self.gro_holds_tcp = false;
                    break Ok(budget);
                }
                Ok(Consumed::NoMemory) => {
                    self.starved = true;
                    break Ok(done);
                }
                Err(Invalid) => break Err(Invalid),
            }
        };
        if let (true, Some(client)) = (for_client, &mut self.client) {
            C::completions_done(client);
        }
        result
    }

    /// Stops consuming completions until the function is reset.
    #[cold]
    fn fail(&self, why: &str) {
        self.pair.broken.store(true, Relaxed);
        self.adapter.function.fault(why);
    }
}

/// Requests the interrupt of a queue pair, for the next completion or for sent frames.
pub(super) struct Rearm<C: Client> {
    adapter: Arc<Adapter<C>>,
    status: Arc<SharedPage>,
    processor: u8,
    /// Consumer index of the completion ring.
    consumer: u32,
    /// Consumer index of the transmit ring at which the interrupt is due.
    sent: u32,
}

impl<C: Client> napi::Interrupt for Rearm<C> {
    fn arm(self) -> bool {
        let registers = self.adapter.function.registers();
        registers.doorbell(self.processor, ARM, arm_word(self.consumer));
        registers.doorbell(self.processor, ARM_TRANSMIT, transmit_arm_word(self.sent));
        // The adapter raises no interrupt for events before it has read the two words.
        mb(Full);
        let past = self.status.load_acquire::<SENT>().wrapping_sub(self.sent);
        self.status.load_acquire::<PRODUCED>() != self.consumer || past < u32::MAX / 2
    }
}

impl<C: Client> napi::Poll for Poller<C> {
    type Interrupt = Rearm<C>;

    fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.rx_queue.pools()
    }

    fn poll(&mut self, tx: &TxContext<'_>, rx: Option<&RxContext<'_>>) -> Polled<Rearm<C>> {
        // No interrupt: the function is reset, or the watchdog polls again.
        let stop = |work| Polled::Done {
            work,
            interrupt: None,
        };
        if self.pair.broken.load(Relaxed) {
            return stop(0);
        }
        let processor = self.pair.index;
        let adapter = self.adapter.clone();
        let function = &*adapter.function;
        let sent = self.status.load_acquire::<SENT>();
        let Some(cleaned) = self.tx_clean.clean(&self.pair, tx, rx, sent) else {
            self.fail("invalid transmit consumer index");
            return stop(0);
        };
        let Some(rx) = rx else {
            return Polled::More;
        };

        self.pair.end_shortage();
        // The end of a poll flushes GRO, except with `gro_flush_timeout`.
        self.gro_holds_tcp &= rx.gro_holds();
        let before = self.consumer;
        let done = self.completions(rx);
        self.rx_queue.flush(rx, &*adapter, &self.pair);
        let done = match done {
            Ok(done) => done,
            Err(Invalid) => {
                self.pair.rx_invalid.add(1);
                self.fail("invalid completion");
                return stop(0);
            }
        };
        let consumed = self.consumer != before;
        if consumed {
            function
                .registers()
                .doorbell(processor, PRODUCED, self.consumer);
            self.pair.consumed.store(self.consumer, Relaxed);
        }
        let refilled = self.rx_queue.refill(rx, &self.pair, function.registers());
        if refilled || consumed {
            function.wake(processor, &self.status);
        }
        if let Some(client) = &mut self.client {
            C::poll_done(client);
        }
        if self.starved {
            self.pair.rx_alloc_fail.add(1);
            return stop(done);
        }
        if done >= rx.budget() || self.status.load_acquire::<PRODUCED>() != self.consumer {
            return Polled::More;
        }
        Polled::Done {
            // Count TX completions as work so that napi_defer_hard_irqs applies to them.
            work: done.max(usize::from(cleaned > 0)),
            interrupt: Some(Rearm {
                status: self.status.clone(),
                processor,
                consumer: self.consumer,
                sent: self.tx_clean.interrupt_at(),
                adapter,
            }),
        }
    }
}
