// SPDX-License-Identifier: GPL-2.0

//! What the completion ring says of delegated connections.
//!
//! It is applied to the socket at once when nobody owns that, else it waits in the socket's
//! backlog, in one order with frames.

use super::{
    connection::{
        entry,
        Connection,
        Phase,
        Shadow,
        Totals, //
    },
    giveback,
    reason::Cause,
    send,
    table::Processor, //
};
use crate::{
    abi::{
        completion::{
            deliver_flag,
            Acked,
            Delegated,
            Deliver,
            Returned,
            Status, //
        },
        connection as abi, //
    },
    offload::Payload,
    tcp::{
        backlog::BacklogEntry,
        sock::{
            Locked,
            Progress, //
        }, //
    }, //
};
use kernel::sync::atomic::ordering::{
    Relaxed,
    Release, //
};

const UNKNOWN: &str = "a completion names a connection that the adapter does not carry";

/// The later of two sequence numbers.
pub(super) fn later(a: u32, b: u32) -> u32 {
    if (b.wrapping_sub(a) as i32) > 0 {
        b
    } else {
        a
    }
}

/// Whether the adapter can have got from where it last was to `snd_una` and `snd_nxt`.
pub(super) fn is_plausible(shadow: &Shadow, snd_una: u32, snd_nxt: u32) -> bool {
    let from = shadow.last.snd_una;
    let limit = later(shadow.submitted, shadow.last.snd_nxt).wrapping_sub(from);
    let (una, nxt) = (snd_una.wrapping_sub(from), snd_nxt.wrapping_sub(from));
    una <= nxt && nxt <= limit
}

/// The send side as an `Acked` or a `Returned` describes it. Counters count from the hand-over on.
#[derive(Clone, Copy)]
pub(super) struct Report {
    pub(super) snd_una: u32,
    pub(super) snd_nxt: u32,
    pub(super) snd_wnd: u32,
    pub(super) cwnd: u32,
    pub(super) ssthresh: u32,
    pub(super) srtt_us: u32,
    pub(super) rttvar_us: u32,
    pub(super) min_rtt_us: u32,
    pub(super) rto_us: u32,
    pub(super) retransmits: u32,
    pub(super) segs_out: u32,
    pub(super) segs_in: u32,
    pub(super) bytes_retransmitted: u32,
    pub(super) delivered: u32,
}

impl From<&Acked> for Report {
    fn from(acked: &Acked) -> Self {
        Self {
            snd_una: acked.snd_una,
            snd_nxt: acked.snd_nxt,
            snd_wnd: acked.snd_wnd,
            cwnd: acked.cwnd,
            ssthresh: acked.ssthresh,
            srtt_us: acked.srtt_us,
            rttvar_us: acked.rttvar_us,
            min_rtt_us: acked.min_rtt_us,
            rto_us: acked.rto_us,
            retransmits: acked.retransmits,
            segs_out: acked.segs_out,
            segs_in: acked.segs_in,
            bytes_retransmitted: acked.bytes_retransmitted,
            delivered: acked.delivered,
        }
    }
}

impl Report {
    /// What has changed since the last report, which this one replaces.
    pub(super) fn progress(&self, shadow: &mut Shadow) -> Progress {
        let last = shadow.last;
        shadow.last = Totals {
            snd_una: self.snd_una,
            snd_nxt: later(last.snd_nxt, self.snd_nxt),
            retransmits: self.retransmits,
            segs_out: self.segs_out,
            segs_in: self.segs_in,
            bytes_retransmitted: self.bytes_retransmitted,
            delivered: self.delivered,
        };
        Progress {
            snd_una: self.snd_una,
            snd_nxt: self.snd_nxt,
            snd_wnd: self.snd_wnd,
            cwnd: self.cwnd,
            ssthresh: self.ssthresh,
            srtt_us: self.srtt_us,
            rttvar_us: self.rttvar_us,
            min_rtt_us: self.min_rtt_us,
            rto_us: self.rto_us,
            retransmits: self.retransmits.wrapping_sub(last.retransmits),
            segs_out: self.segs_out.wrapping_sub(last.segs_out),
            segs_in: self.segs_in.wrapping_sub(last.segs_in),
            bytes_retransmitted: self
                .bytes_retransmitted
                .wrapping_sub(last.bytes_retransmitted),
            bytes_sent: later(last.snd_nxt, self.snd_nxt).wrapping_sub(last.snd_nxt),
            delivered: self.delivered.wrapping_sub(last.delivered),
        }
    }
}

/// Answer to a hand-over.
pub(super) fn delegated(this: &mut Processor, answer: Delegated) {
    let Some(connection) = this.pending(answer.host_id) else {
        return this.lane.handle.fault(UNKNOWN);
    };
    if answer.status == Status::Ok.raw() {
        connection.device_id.store(answer.device_id, Relaxed);
        this.admit(connection.clone());
    }
    connection.answer.store(answer.status.into(), Release);
    connection.answered.complete_all();
}

/// Payload of one connection that has not been applied yet: what several completions of one poll
/// bring costs the socket's lock, its reader's wake-up and an skb once.
pub(super) struct Gathered {
    host_id: u32,
    seq: u32,
    ts_recent: u32,
    push: bool,
    entry: BacklogEntry,
}

impl Gathered {
    fn len(&self) -> u32 {
        self.entry.skb().len()
    }

    /// Whether `deliver`, of `pieces` pieces, goes on where this ends, and there is room for it.
    fn is_continued_by(&self, deliver: &Deliver, pieces: usize) -> bool {
        self.host_id == deliver.host_id
            && self.seq.wrapping_add(self.len()) == deliver.seq
            && self.entry.skb().fragment_room() >= pieces
    }
}

/// In-order payload.
pub(super) fn deliver(this: &mut Processor, deliver: Deliver, payload: Payload) {
    let continues = |g: &Gathered| g.is_continued_by(&deliver, payload.len());
    let mut gathered = match this.gathered.take() {
        Some(gathered) if continues(&gathered) => gathered,
        other => {
            apply(this, other);
            let Some(entry) = this.entry() else {
                return this
                    .lane
                    .handle
                    .fault("payload came that nobody was ready for");
            };
            Gathered {
                host_id: deliver.host_id,
                seq: deliver.seq,
                ts_recent: 0,
                push: false,
                entry,
            }
        }
    };
    let before = gathered.len();
    for fragment in payload {
        let truesize = fragment.truesize();
        let skb = gathered.entry.skb_mut();
        if skb.add_fragment(fragment, truesize as u32).is_err() {
            break;
        }
    }
    if gathered.len() - before != deliver.data_length || deliver.data_length == 0 {
        return this.lane.handle.fault("payload is not as long as it says");
    }
    gathered.ts_recent = deliver.ts_recent;
    gathered.push |= deliver.flags & deliver_flag::PUSH != 0;
    this.gathered = Some(gathered);
}

/// Applies the payload that has been gathered.
pub(super) fn flush(this: &mut Processor) {
    let gathered = this.gathered.take();
    apply(this, gathered);
}

fn apply(this: &mut Processor, gathered: Option<Gathered>) {
    let Some(gathered) = gathered else {
        return;
    };
    let Some(connection) = this.get(gathered.host_id) else {
        return this.lane.handle.fault(UNKNOWN);
    };
    let length = gathered.len().into();
    let mut entry = gathered.entry;
    entry.prepare(gathered.seq, gathered.ts_recent, gathered.push);
    connection.received.add(length);
    connection.lane.received.add(length);

    let mut spin = connection.sock().spin();
    match spin.locked() {
        Some(lock) => apply_payload(connection, lock, entry),
        None => spin.add_backlog(entry),
    }
}

/// Progress of a connection's send side.
pub(super) fn acked(this: &mut Processor, acked: Acked) {
    let Some(connection) = this.get(acked.host_id) else {
        return this.lane.handle.fault(UNKNOWN);
    };
    let mut spin = connection.sock().spin();
    match spin.locked() {
        Some(lock) => apply_acked(connection, lock, &acked),
        None => {
            let mut mail = connection.mail.lock();
            mail.acked = Some(acked);
            if let Some(entry) = mail.acked_entry.take() {
                spin.add_backlog(entry);
            }
        }
    }
}

/// A connection is the host's again.
pub(super) fn returned(this: &mut Processor, header: Returned, state: abi::Connection) {
    flush(this);
    let Some(connection) = this.take(header.host_id) else {
        return this.lane.handle.fault(UNKNOWN);
    };
    {
        let mut spin = connection.sock().spin();
        match spin.locked() {
            Some(lock) => giveback::returned(&connection, lock, &header, &state),
            None => {
                let mut mail = connection.mail.lock();
                mail.returned = Some((header, state));
                if let Some(entry) = mail.returned_entry.take() {
                    spin.add_backlog(entry);
                }
            }
        }
    }
    connection.given_back.complete_all();
}

/// Lets connections submit that had no room.
pub(super) fn unblock(this: &mut Processor) {
    let lane = &this.lane;
    if !lane.any_blocked.load(Relaxed) {
        return;
    }
    // Those that block anew are for the next time.
    for connection in lane.unblock() {
        let mut spin = connection.sock().spin();
        match spin.locked() {
            Some(lock) => {
                let (shadow, tcp) = connection.cell.open(lock);
                send::resume(&connection, shadow, tcp);
            }
            None => {
                let mut mail = connection.mail.lock();
                // Nothing comes behind a `Returned`: the socket is an ordinary one after it.
                if mail.returned.is_none() {
                    if let Some(entry) = mail.acked_entry.take() {
                        spin.add_backlog(entry);
                    }
                }
            }
        }
    }
}

/// An entry of the backlog has its turn.
pub(super) fn backlog(connection: &Connection, lock: &mut Locked<'_>, entry: BacklogEntry) {
    match entry.kind() {
        entry::ACKED => {
            let acked = {
                let mut mail = connection.mail.lock();
                mail.acked_entry = Some(entry);
                mail.acked.take()
            };
            if let Some(acked) = acked {
                apply_acked(connection, lock, &acked);
            }
            let (shadow, tcp) = connection.cell.open(lock);
            if shadow.blocked {
                send::resume(connection, shadow, tcp);
            }
        }
        entry::RETURNED => {
            let (acked, returned) = {
                let mut mail = connection.mail.lock();
                (mail.acked.take(), mail.returned.take())
            };
            if let Some(acked) = acked {
                apply_acked(connection, lock, &acked);
            }
            if let Some((header, state)) = returned {
                giveback::returned(connection, lock, &header, &state);
            }
        }
        _ => apply_payload(connection, lock, entry),
    }
}

fn apply_payload(connection: &Connection, lock: &mut Locked<'_>, entry: BacklogEntry) {
    let (shadow, tcp) = connection.cell.open(lock);
    if tcp.deliver(entry).is_err() && tcp.is_established() {
        // A frame that Linux has not processed lies in between; the adapter has not acknowledged
        // past it.
        giveback::ask(connection, shadow, Cause::Gap);
    }
}

fn apply_acked(connection: &Connection, lock: &mut Locked<'_>, acked: &Acked) {
    let (shadow, tcp) = connection.cell.open(lock);
    if !matches!(connection.phase(), Phase::Delegated | Phase::Returning) {
        return;
    }
    let lane = &connection.lane;
    if !is_plausible(shadow, acked.snd_una, acked.snd_nxt) {
        return lane.handle.fault("an acknowledgement of what was not sent");
    }
    let newly = acked.snd_una.wrapping_sub(shadow.last.snd_una);
    connection.sent.add(newly.into());
    lane.sent.add(newly.into());
    let progress = Report::from(acked).progress(shadow);
    if tcp.is_established() {
        tcp.acked(&progress);
    }
    let released = shadow.pieces.release_to(acked.snd_una);
    lane.handle.release_fragments(lane.processor, released);
    shadow.submitted = later(shadow.submitted, acked.snd_una);
    let ifindex = lane.handle.ifindex();
    if !tcp.route_valid(ifindex) {
        giveback::ask(connection, shadow, Cause::of_route(tcp, ifindex));
    }
    send::submit(connection, shadow, tcp);
}
