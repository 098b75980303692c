// SPDX-License-Identifier: GPL-2.0

//! The delegated connection table (R2.1, R2.2): match, state and buffers of the connections that the
//! processor carries.
//!
//! The match part is [`Index`], the state [`Tcb`] with a header [`Template`], the buffers are
//! [`Fragments`] of host memory to send, [`Reassembly`] for payload received and held frames.

mod fragments;
pub mod hold;
mod index;
mod template;

use alloc::boxed::Box;
use alloc::vec::Vec;

use toe_abi::completion::Reason;
use toe_abi::connection;
use toe_abi::connection::Connection as State;

pub use self::fragments::Fragments;
pub use self::fragments::Pool as FragmentPool;
use self::index::Index;
pub use self::template::MAX_HEADER;
pub use self::template::Template;
use crate::storage::Reassembly;
use crate::tcp::Instant;
use crate::tcp::Seq;
use crate::tcp::Tcb;
use crate::tuple::Key;

/// A delegated connection.
pub struct Connection {
    /// Who it is.
    pub key: Key,
    /// The host's identifier.
    pub host_id: u32,
    /// The state of TCP.
    pub tcb: Tcb,
    /// The state as the host gave it: who the connection is, for the way back.
    state: State,
    /// Headers of what it sends.
    pub template: Template,
    /// Payload to send.
    pub fragments: Fragments,
    /// End of the payload that the state of TCP knows of.
    pub submitted: Seq,
    /// Where received payload goes.
    pub reassembly: Reassembly,
    /// Frames held out of order.
    pub held: hold::List,
    /// Set when it is to be returned and the completion ring has no room for that yet.
    pub returning: Option<Reason>,
    /// Since when payload has been dropped for want of pages.
    pub starved_since: Option<u64>,
}

impl Connection {
    /// A connection as `state` describes it; `tcb` was made from it.
    pub fn new(key: Key, host_id: u32, state: &State, tcb: Tcb) -> Self {
        let submitted = tcb.snd_una();
        Self {
            key,
            host_id,
            tcb,
            state: *state,
            template: Template::new(state, &key.tuple),
            fragments: Fragments::new(Seq(state.send.snd_una)),
            submitted,
            reassembly: Reassembly::new(host_id),
            held: hold::List::new(),
            returning: None,
            starved_since: None,
        }
    }

    /// Sets the address of the next hop.
    pub fn set_remote_mac(&mut self, mac: [u8; 6]) {
        self.state.remote_mac = mac;
        self.template.set_remote_mac(mac);
    }

    /// The state for the host.
    pub fn export(&self, now: Instant) -> State {
        let identity = connection::flag::IPV6 | connection::flag::VLAN;
        let tcp = self.tcb.export(now);
        State {
            local_address: self.state.local_address,
            remote_address: self.state.remote_address,
            local_port: self.state.local_port,
            remote_port: self.state.remote_port,
            local_mac: self.state.local_mac,
            remote_mac: self.state.remote_mac,
            vlan_tci: self.state.vlan_tci,
            flow_label: self.state.flow_label,
            tos: self.state.tos,
            ttl: self.state.ttl,
            rcv_mss: self.state.rcv_mss,
            flags: tcp.flags & !identity | self.state.flags & identity,
            ..tcp
        }
    }
}

/// The half of a hash that the index goes by; the flow database goes by the other.
#[inline]
fn index_hash(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// A place in the table. The marks say in which queues of the processor the place stands; they
/// outlive the connection, so that a place is never in a queue twice.
#[derive(Default)]
struct Slot {
    generation: u32,
    marks: u8,
    connection: Option<Connection>,
}

/// The table.
///
/// # Invariants
///
/// A place is in `free` or holds a connection, not both; the index has exactly the places that hold
/// one.
pub struct Table {
    slots: Box<[Slot]>,
    free: Vec<u32>,
    index: Index,
    /// Bits of an identifier that name the place; those above are the generation.
    place_bits: u32,
    /// Fragments to send.
    pub fragments: FragmentPool,
    /// Memory for frames held out of order.
    pub hold: hold::Pool,
}

impl Table {
    /// Room for `connections` connections, `fragments` fragments and `hold` bytes of held frames.
    pub fn new(connections: u32, fragments: u32, hold: u32) -> Self {
        let mut slots = Vec::with_capacity(connections as usize);
        slots.resize_with(connections as usize, Slot::default);
        Self {
            slots: slots.into_boxed_slice(),
            free: (0..connections).rev().collect(),
            index: Index::new(connections),
            place_bits: connections.next_power_of_two().trailing_zeros(),
            fragments: FragmentPool::new(fragments),
            hold: hold::Pool::new(hold),
        }
    }

    /// Forgets every connection.
    pub fn clear(&mut self) {
        self.free.clear();
        for (place, slot) in self.slots.iter_mut().enumerate().rev() {
            if slot.connection.take().is_some() {
                slot.generation = slot.generation.wrapping_add(1);
            }
            slot.marks = 0;
            self.free.push(place as u32);
        }
        self.index.clear();
        self.fragments.clear();
        self.hold.clear();
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// Whether there is room for no other.
    pub fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Number of places.
    pub fn places(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The place of the connection that `key` names.
    #[inline]
    pub fn find(&self, key: &Key) -> Option<u32> {
        self.index.find(index_hash(key.hash), |place| {
            let slot = self.slots.get(place as usize);
            slot.and_then(|slot| slot.connection.as_ref())
                .is_some_and(|connection| connection.key.tuple == key.tuple)
        })
    }

    /// Adds a connection; returns its place and its identifier for the host. `None` when the table
    /// is full.
    pub fn insert(&mut self, connection: Connection) -> Option<(u32, u32)> {
        let place = self.free.pop()?;
        self.index.insert(index_hash(connection.key.hash), place);
        self.slots[place as usize].connection = Some(connection);
        Some((place, self.id(place)?))
    }

    /// The identifier of the connection at `place`.
    #[inline]
    pub fn id(&self, place: u32) -> Option<u32> {
        let slot = self.slots.get(place as usize)?;
        slot.connection.as_ref()?;
        Some(slot.generation.checked_shl(self.place_bits).unwrap_or(0) | place)
    }

    /// Removes the connection at `place` and frees its buffers.
    pub fn remove(&mut self, place: u32) {
        let slot = &mut self.slots[place as usize];
        if let Some(mut connection) = slot.connection.take() {
            slot.generation = slot.generation.wrapping_add(1);
            connection.fragments.clear(&mut self.fragments);
            connection.held.clear(&mut self.hold);
            self.index.remove(index_hash(connection.key.hash), place);
            self.free.push(place);
        }
    }

    /// The place of the connection that the host names by `device_id`.
    #[inline]
    pub fn by_id(&self, device_id: u32) -> Option<u32> {
        let place = device_id & ((1u64 << self.place_bits) - 1) as u32;
        (self.id(place)? == device_id).then_some(place)
    }

    /// The connection at `place` with its identifier, unless it is on its way back.
    #[inline]
    pub fn active(&mut self, place: u32) -> Option<(u32, &mut Connection)> {
        let id = self.id(place)?;
        let connection = self
            .get(place)
            .filter(|connection| connection.returning.is_none())?;
        Some((id, connection))
    }

    /// The connection at `place`.
    #[inline]
    pub fn get(&mut self, place: u32) -> Option<&mut Connection> {
        self.slots.get_mut(place as usize)?.connection.as_mut()
    }

    /// The connection at `place`, with the buffers of all.
    #[inline]
    pub fn parts(
        &mut self,
        place: u32,
    ) -> Option<(&mut Connection, &mut FragmentPool, &mut hold::Pool)> {
        let connection = self.slots.get_mut(place as usize)?.connection.as_mut()?;
        Some((connection, &mut self.fragments, &mut self.hold))
    }

    /// Sets `mark` at `place`; false when it was set already.
    #[inline]
    pub fn mark(&mut self, place: u32, mark: u8) -> bool {
        let marks = &mut self.slots[place as usize].marks;
        let new = *marks & mark == 0;
        *marks |= mark;
        new
    }

    /// Clears `mark` at `place`.
    #[inline]
    pub fn unmark(&mut self, place: u32, mark: u8) {
        self.slots[place as usize].marks &= !mark;
    }
}
