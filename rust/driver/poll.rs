// SPDX-License-Identifier: GPL-2.0

//! The poll of a processor: transmit completions, then the completion ring in its order.

use super::{
    adapter::Adapter,
    processor::Processor,
    receive::{
        Invalid,
        Receiver, //
    },
    transmit::Completer, //
};
use crate::{
    abi::{
        completion::{
            frame_flag,
            Acked,
            Delegated,
            Deliver,
            Op,
            PagesReleased,
            Returned,
            RxFrame,
            NO_PAGE,
            RETURNED_ENTRIES, //
        },
        connection::Connection,
        ring::{
            arm_word,
            transmit_arm_word,
            Ring as Line,
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

/// Index that the adapter owns, in the status page.
const PRODUCED: usize = Line::Completion.index_offset();
const SENT: usize = Line::Transmit.index_offset();

/// State of a running processor that only its poll touches.
pub(super) struct Poller<C: Client> {
    pub(super) adapter: Arc<Adapter<C>>,
    pub(super) processor: Arc<Processor>,
    pub(super) status: Arc<SharedPage>,
    pub(super) completions: Ring<COMPLETION_ENTRY>,
    pub(super) receiver: Receiver,
    pub(super) transmitted: Completer,
    /// Taken out when the processor has stopped.
    pub(super) shim: Option<C::Processor>,
    pub(super) consumer: u32,
    /// GRO may hold a TCP frame: a connection's own completions, which bypass it, have to wait.
    pub(super) gro_holds_tcp: bool,
    /// There was no memory for the next completion: the adapter's tick polls again.
    pub(super) starved: bool,
}

/// What came of an entry.
enum Taken {
    /// So many entries were used up.
    Entries(u32),
    /// Nothing: GRO has to be emptied first, and that takes the end of this poll.
    FlushFirst,
    /// Nothing: there is no memory for it now.
    NoMemory,
}

impl<C: Client> Poller<C> {
    fn take(
        &mut self,
        rx: &RxContext<'_>,
        entry: [u8; COMPLETION_ENTRY],
        available: u32,
    ) -> Result<Taken, Invalid> {
        let op = Op::from_raw(entry[0]).ok_or(Invalid)?;
        if op == Op::PagesReleased {
            self.receiver.released(&PagesReleased::from_bytes(&entry))?;
            return Ok(Taken::Entries(1));
        }
        let frame = (op.raw() < Op::PagesReleased.raw()).then(|| RxFrame::from_bytes(&entry));
        let legacy = frame
            .as_ref()
            .is_some_and(|f| f.flags & frame_flag::LEGACY != 0);
        if let (Some(frame), false) = (&frame, legacy) {
            let (adapter, processor) = (&self.adapter, &self.processor);
            if let Some(skb) = self.receiver.frame(rx, adapter, processor, frame)? {
                self.processor.rx_frames.add(1);
                self.gro_holds_tcp |= op != Op::NotTcp;
                skb.gro_receive();
            }
            return Ok(Taken::Entries(1));
        }

        // From here on it is about a delegated connection.
        if self.gro_holds_tcp {
            return Ok(Taken::FlushFirst);
        }
        let shim = self.shim.as_mut().ok_or(Invalid)?;
        match op {
            Op::Delegated => C::delegated(shim, Delegated::from_bytes(&entry)),
            Op::Acked => C::acked(shim, Acked::from_bytes(&entry)),
            Op::Deliver => {
                if !C::can_deliver(shim) {
                    return Ok(Taken::NoMemory);
                }
                let deliver = Deliver::from_bytes(&entry);
                let payload = self.receiver.deliver(&deliver)?;
                C::deliver(shim, deliver, payload);
            }
            Op::Returned => {
                if available < RETURNED_ENTRIES as u32 {
                    return Err(Invalid);
                }
                let returned = Returned::from_bytes(&entry);
                if returned.page != NO_PAGE {
                    self.receiver.payload.release(returned.page)?;
                }
                let mut state = [0; Connection::SIZE];
                for (i, part) in (1..).zip(state.chunks_exact_mut(COMPLETION_ENTRY)) {
                    part.copy_from_slice(&self.completions.read(self.consumer.wrapping_add(i)));
                }
                C::returned(shim, returned, Connection::from_bytes(&state));
                return Ok(Taken::Entries(RETURNED_ENTRIES as u32));
            }
            _ => {
                let frame = frame.ok_or(Invalid)?;
                let (adapter, processor) = (&self.adapter, &self.processor);
                if let Some(skb) = self.receiver.frame(rx, adapter, processor, &frame)? {
                    C::legacy(shim, frame.flow, skb);
                }
            }
        }
        Ok(Taken::Entries(1))
    }

    /// Takes completions, at most `budget`. How many it took; `budget` when it has to be called
    /// again at once.
    fn completions(&mut self, rx: &RxContext<'_>) -> Result<usize, Invalid> {
        let budget = rx.budget();
        let (mut done, mut for_shim) = (0, false);
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
            match self.take(rx, entry, available) {
                Ok(Taken::Entries(count)) => {
                    for_shim |= entry[0] > Op::PagesReleased.raw();
                    self.consumer = self.consumer.wrapping_add(count);
                    done += 1;
                }
                Ok(Taken::FlushFirst) => {
                    rx.gro_flush();
                    self.gro_holds_tcp = false;
                    break Ok(budget);
                }
                Ok(Taken::NoMemory) => {
                    self.starved = true;
                    break Ok(done);
                }
                Err(Invalid) => break Err(Invalid),
            }
        };
        if let (true, Some(shim)) = (for_shim, &mut self.shim) {
            C::completions_done(shim);
        }
        result
    }
}

/// The processor's interrupt: for the next completion, or for frames sent.
pub(super) struct Interrupt<C: Client> {
    adapter: Arc<Adapter<C>>,
    status: Arc<SharedPage>,
    index: u8,
    /// Consumer index of the completion ring.
    consumer: u32,
    /// Consumer index of the transmit ring that is worth an interrupt.
    target: u32,
}

impl<C: Client> napi::Interrupt for Interrupt<C> {
    fn arm(self) -> bool {
        let registers = &self.adapter.registers;
        registers.doorbell(self.index, ARM, arm_word(self.consumer));
        registers.doorbell(self.index, ARM_TRANSMIT, transmit_arm_word(self.target));
        // What came before the adapter saw the words causes no interrupt.
        mb(Full);
        let past = self.status.load_acquire::<SENT>().wrapping_sub(self.target);
        self.status.load_acquire::<PRODUCED>() != self.consumer || past < u32::MAX / 2
    }
}

impl<C: Client> napi::Poll for Poller<C> {
    type Interrupt = Interrupt<C>;

    fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.receiver.pools()
    }

    fn poll(&mut self, tx: &TxContext<'_>, rx: Option<&RxContext<'_>>) -> Polled<Interrupt<C>> {
        // There is nothing to wait for: the adapter is reset, or its tick polls.
        let stop = |work| Polled::Done {
            work,
            interrupt: None,
        };
        if self.processor.broken.load(Relaxed) {
            return stop(0);
        }
        let index = self.processor.index;
        let adapter = self.adapter.clone();
        let sent = self.status.load_acquire::<SENT>();
        let transmitted = self.transmitted.complete(&self.processor, tx, rx, sent);
        let Some(transmitted) = transmitted else {
            self.processor.broken.store(true, Relaxed);
            adapter.fault("more frames are reported as sent than there were");
            return stop(0);
        };
        let Some(rx) = rx else {
            return Polled::More;
        };

        // The end of a poll empties GRO, unless the user wants frames held longer.
        self.gro_holds_tcp &= rx.gro_holds();
        let before = self.consumer;
        let done = self.completions(rx);
        self.receiver.flush(rx, &adapter, &self.processor);
        let done = match done {
            Ok(done) => done,
            Err(Invalid) => {
                self.processor.broken.store(true, Relaxed);
                self.processor.rx_invalid.add(1);
                adapter.fault("a completion contradicts itself");
                return stop(0);
            }
        };
        let registers = &adapter.registers;
        if self.consumer != before {
            registers.doorbell(index, PRODUCED, self.consumer);
            self.processor.consumed.store(self.consumer, Relaxed);
        }
        let headers = self.receiver.headers.refill(rx, &self.processor, registers);
        let payload = self.receiver.payload.refill(rx, &self.processor, registers);
        if headers || payload || self.consumer != before {
            adapter.wake(index, &self.status);
        }
        if self.processor.waiting.load(Relaxed) && adapter.submission_room(index) > 0 {
            self.processor.waiting.store(false, Relaxed);
            if let Some(shim) = &mut self.shim {
                C::submission_space(shim);
            }
        }
        if self.starved {
            self.processor.rx_alloc_fail.add(1);
            return stop(done);
        }
        if done >= rx.budget() || self.status.load_acquire::<PRODUCED>() != self.consumer {
            return Polled::More;
        }
        Polled::Done {
            // Frames sent are work as well: who wants to be interrupted less wants that of both.
            work: done.max(usize::from(transmitted > 0)),
            interrupt: Some(Interrupt {
                adapter,
                status: self.status.clone(),
                index,
                consumer: self.consumer,
                target: self.transmitted.target(),
            }),
        }
    }
}
