// SPDX-License-Identifier: GPL-2.0

//! The admin queue: set-up and control of a function.
//!
//! Two rings in host memory, both of `1 << ADMIN_LOG2` entries: commands of [`COMMAND_SIZE`] bytes,
//! completions of [`COMPLETION_SIZE`]. The host writes its producer index to
//! [`ADMIN_PRODUCER`](super::regs::ADMIN_PRODUCER). A completion is valid when its `phase` equals
//! the round's: 1 on the first pass over the ring, 0 on the second and so on; it is written last.
//! Commands are carried out and answered in order, with interrupt vector 0. Events are completions
//! that nobody asked for.
//!
//! Every command starts with `opcode` and `token`; the token comes back in the answer.

use super::layout::{
    layout,
    wire_enum, //
};

/// Size of a command.
pub const COMMAND_SIZE: usize = 64;
/// Size of a completion.
pub const COMPLETION_SIZE: usize = 32;

wire_enum! {
    /// What a command asks for.
    pub enum Opcode: u16 {
        /// Starts a processor: [`StartProcessor`].
        StartProcessor = 1,
        /// Stops a processor: [`StopProcessor`]. Answered when every connection has been returned
        /// through the completion ring and the processor touches no host memory any more.
        StopProcessor = 2,
        /// Sets hash and indirection table of a context, which is created when there is none:
        /// [`SetRss`]. Connections that are now assigned elsewhere are returned with `Moved`.
        SetRss = 3,
        /// Sets which frames are received: [`SetFilter`].
        SetFilter = 4,
        /// Sets the MTU: [`SetMtu`].
        SetMtu = 5,
        /// Sets interrupt moderation of a processor: [`SetCoalesce`].
        SetCoalesce = 6,
        /// Sets how frames are stored: [`SetStorage`].
        SetStorage = 7,
        /// Sets how the port impairs what crosses it: [`SetImpairment`].
        SetImpairment = 8,
        /// Removes a context that no rule names: [`RemoveContext`].
        RemoveContext = 9,
        /// Sets or removes a rule: [`SetRule`]. Connections that are now assigned elsewhere are
        /// returned with `Moved`.
        SetRule = 10,
    }
}

wire_enum! {
    /// Outcome of a command.
    pub enum Status: u16 {
        /// Done.
        Ok = 0,
        /// No such command.
        Unknown = 1,
        /// An argument is out of range.
        Invalid = 2,
        /// Not in this state: the processor runs already, or does not run.
        State = 3,
        /// Memory named by the command is not mapped for the adapter.
        Fault = 4,
        /// Something that was not negotiated.
        Unsupported = 5,
        /// The adapter failed; its log says why.
        Internal = 6,
    }
}

wire_enum! {
    /// What a completion with `event` set reports.
    pub enum Event: u16 {
        /// The link went up or down; `value` is 1 or 0.
        Link = 1,
        /// Processor `value` has stopped because of an error in its rings; the host restarts it or
        /// resets.
        ProcessorFailed = 2,
    }
}

layout! {
    /// An entry of the admin completion ring.
    pub struct Completion: 32 {
        /// Token of the command, 0 for an event.
        0 => token: u32,
        /// A [`Status`] for an answer, an [`Event`] for an event.
        4 => status: u16,
        /// 1 for an event.
        6 => event: u16,
        /// Value of an event.
        8 => value: u32,
        /// 1 on the first pass over the ring, 0 on the next, and so on.
        28 => phase: u32,
    }
}

layout! {
    /// What all commands begin with.
    pub struct Header: 64 {
        /// An [`Opcode`].
        0 => opcode: u16,
        /// Comes back in the answer.
        4 => token: u32,
    }
}

layout! {
    /// Starts a processor on its rings. All indices start at 0: the host zeroes the processor's
    /// doorbell and status lines before it gives this command.
    pub struct StartProcessor: 64 {
        /// [`Opcode::StartProcessor`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// Number of the processor.
        8 => processor: u8,
        /// MSI-X vector of its completion ring.
        9 => vector: u8,
        /// log2 of the entries of each ring, in the order of [`Ring`](super::ring::Ring).
        10 => log2_entries: [u8; 5],
        /// DMA address of the status page.
        16 => status: u64,
        /// DMA addresses of the rings, in the same order, each aligned to 4096.
        24 => rings: [u64; 5],
    }
}

layout! {
    /// Stops a processor.
    pub struct StopProcessor: 64 {
        /// [`Opcode::StopProcessor`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// Number of the processor.
        8 => processor: u8,
    }
}

layout! {
    /// Sets hash and indirection table of a context.
    pub struct SetRss: 64 {
        /// [`Opcode::SetRss`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// [`super::rss::Fields`].
        8 => fields: u32,
        /// The context: 0 for frames that no rule is for, below [`super::rules::CONTEXTS`].
        12 => context: u32,
        /// DMA address of a [`super::rss::Config`].
        16 => config: u64,
    }
}

layout! {
    /// Removes a context.
    pub struct RemoveContext: 64 {
        /// [`Opcode::RemoveContext`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// The context, not 0.
        8 => context: u32,
    }
}

layout! {
    /// Sets or removes a rule ([`super::rules`]).
    pub struct SetRule: 64 {
        /// [`Opcode::SetRule`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// Its location, below [`super::rules::RULES`]; a rule that is there is replaced.
        8 => location: u16,
        /// An [`ActionKind`](super::rules::ActionKind).
        10 => action: u16,
        /// Processor or context.
        12 => target: u32,
        /// DMA address of a [`super::rules::Pattern`]; for a removal it does not count.
        16 => pattern: u64,
        /// When not 0, the virtual connection identifier of the flows of these frames (R1.2): they are
        /// other flows than those of other tags, or of none, between the same addresses and ports.
        /// [`TAG_BITS`](super::rules::TAG_BITS).
        24 => tag: u32,
    }
}

/// Bits of [`SetFilter::flags`].
pub mod filter {
    /// Receive every frame.
    pub const PROMISCUOUS: u32 = 1 << 0;
    /// Receive every multicast frame.
    pub const ALL_MULTICAST: u32 = 1 << 1;
}

layout! {
    /// Sets which frames are received, besides those to the own address and broadcasts.
    pub struct SetFilter: 64 {
        /// [`Opcode::SetFilter`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// [`filter`] bits.
        8 => flags: u32,
        /// Number of multicast addresses at `addresses`; at most 512, beyond that the host sets
        /// `ALL_MULTICAST`.
        12 => count: u32,
        /// DMA address of an array of 8-byte entries, a MAC address in the first 6 bytes of each.
        16 => addresses: u64,
        /// Own unicast MAC address.
        24 => mac: [u8; 6],
    }
}

layout! {
    /// Sets the MTU: frames with more payload are dropped, both ways, and counted.
    pub struct SetMtu: 64 {
        /// [`Opcode::SetMtu`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// MTU in bytes, 68 to [`MAX_MTU`](super::regs::MAX_MTU).
        8 => mtu: u32,
    }
}

layout! {
    /// Sets interrupt moderation.
    pub struct SetCoalesce: 64 {
        /// [`Opcode::SetCoalesce`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// Number of the processor.
        8 => processor: u8,
        /// An interrupt is held back at most this long after a completion, in microseconds; 0 for
        /// not at all.
        12 => usecs: u32,
        /// ... or until this many completions wait; 0 or 1 for not at all.
        16 => completions: u32,
    }
}

/// Bits of [`SetStorage::flags`].
pub mod storage {
    /// Separate headers from payload (`tcp-data-split`).
    pub const SPLIT: u32 = 1 << 0;
    /// Coalesce consecutive segments of a flow that is not delegated.
    pub const GRO: u32 = 1 << 1;
    /// With [`SPLIT`], separate headers from all TCP payload, also from what does not continue its flow:
    /// pages of the payload ring are the only ones that have any of it, but for small frames.
    pub const SPLIT_ALL: u32 = 1 << 2;
}

layout! {
    /// Sets how frames are stored.
    pub struct SetStorage: 64 {
        /// [`Opcode::SetStorage`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// [`storage`] bits.
        8 => flags: u32,
        /// Frames up to this size are stored whole in a hybrid page.
        12 => small_frame: u16,
    }
}

/// Bits of [`SetImpairment::directions`].
pub mod direction {
    /// Towards the wire.
    pub const EGRESS: u32 = 1 << 0;
    /// From the wire.
    pub const INGRESS: u32 = 1 << 1;
}

layout! {
    /// Sets how the port impairs frames. Zero everywhere ends it. Probabilities are in parts per
    /// million, independent for each wire frame; a large segment counts as the wire frames it
    /// stands for.
    pub struct SetImpairment: 64 {
        /// [`Opcode::SetImpairment`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// [`direction`] bits: which ways the values are for.
        8 => directions: u32,
        /// Frames that vanish.
        12 => loss_ppm: u32,
        /// Frames that arrive twice.
        16 => duplicate_ppm: u32,
        /// Frames that are overtaken.
        20 => reorder_ppm: u32,
        /// Frames with one bit flipped.
        24 => corrupt_ppm: u32,
        /// Delay of every frame in microseconds.
        28 => delay_us: u32,
        /// Uniform random part added to it, in microseconds.
        32 => jitter_us: u32,
        /// Rate in bit/s, 0 for no limit.
        40 => rate_bps: u64,
        /// Seed of the random sequence: the same seed and the same frames give the same fate.
        48 => seed: u64,
    }
}
