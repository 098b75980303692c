// SPDX-License-Identifier: GPL-2.0

//! The admin queue: configuration of a function.
//!
//! The queue is two rings in host memory of `1 << ADMIN_LOG2` entries each: commands of
//! [`COMMAND_SIZE`] bytes and completions of [`COMPLETION_SIZE`] bytes. The host writes its producer
//! index to [`ADMIN_PRODUCER`](super::regs::ADMIN_PRODUCER) and its consumer index to
//! [`ADMIN_CONSUMER`](super::regs::ADMIN_CONSUMER). A completion is valid when its `phase` is that of
//! the current pass over the ring: 1 on the first pass, 0 on the second, and so on. The adapter writes
//! `phase` last and raises vector [`ADMIN_VECTOR`](super::regs::ADMIN_VECTOR). It executes one command
//! at a time, in order, and answers each with one completion. Events are unsolicited completions.
//!
//! Every command starts with `opcode` and `token`. The completion carries the token of its command.

use super::{
    layout::layout,
    table::{
        constants,
        flags,
        wire_enum, //
    }, //
};

constants! {
    /// Size of a command in bytes.
    pub const COMMAND_SIZE: usize = 64;
    /// Size of a completion in bytes.
    pub const COMPLETION_SIZE: usize = 32;
    /// Largest number of multicast addresses of a [`SetFilter`].
    pub const MAX_MULTICAST: usize = 512;
    /// Smallest MTU in bytes: the smallest datagram that every IPv4 link carries (RFC 791, 3.2).
    pub const MIN_MTU: u32 = 68;
    /// Largest delay of a [`SetCoalesce`] in microseconds.
    pub const MAX_COALESCE_USECS: u32 = 1_000_000;
    /// Largest probability of a [`SetImpairment`]: one million parts per million.
    pub const MAX_PPM: u32 = 1_000_000;
    /// Largest delay of a [`SetImpairment`], and largest jitter, in microseconds.
    pub const MAX_IMPAIR_USECS: u32 = 60_000_000;
}

wire_enum! {
    /// Type of a command.
    pub enum Opcode: u16 {
        /// Starts a processor: [`StartProcessor`].
        StartProcessor = 1,
        /// Stops a processor: [`StopProcessor`]. Answered when every connection has been returned
        /// through the completion ring and the processor no longer accesses host memory.
        StopProcessor = 2,
        /// Sets hash key, fields and indirection table of a context, which is created if necessary:
        /// [`SetRss`]. Connections that now belong to another processor return with reason `Moved`.
        SetRss = 3,
        /// Sets which frames are received: [`SetFilter`].
        SetFilter = 4,
        /// Sets the MTU: [`SetMtu`].
        SetMtu = 5,
        /// Sets interrupt coalescing of a processor: [`SetCoalesce`].
        SetCoalesce = 6,
        /// Sets how frames are stored: [`SetStorage`].
        SetStorage = 7,
        /// Sets how the port impairs frames: [`SetImpairment`].
        SetImpairment = 8,
        /// Removes a context that no rule uses: [`RemoveContext`].
        RemoveContext = 9,
        /// Sets or removes a rule: [`SetRule`]. Connections that now belong to another processor return
        /// with reason `Moved`.
        SetRule = 10,
    }
}

wire_enum! {
    /// Result of a command.
    pub enum CommandStatus: u16 {
        /// Success.
        Ok = 0,
        /// Unknown opcode.
        Unknown = 1,
        /// An argument is out of range.
        Invalid = 2,
        /// Not possible in the present state: the processor already runs or does not run, or a rule uses
        /// the context.
        State = 3,
        /// Memory of the command is inaccessible.
        Fault = 4,
        /// Requires a feature that was not accepted.
        Unsupported = 5,
        /// Internal error of the adapter. Its log has the reason. Not used by the adapter of this
        /// tree.
        Internal = 6,
    }
}

wire_enum! {
    /// Type of an event, in `status` of a completion with `event` set. A driver ignores unknown events.
    pub enum Event: u16 {
        /// The link went up or down; `value` is 1 or 0.
        Link = 1,
        /// Processor `value` has stopped because of an error in its rings. The host resets the function.
        ProcessorFailed = 2,
    }
}

layout! {
    /// An entry of the admin completion ring.
    pub struct Completion: 32 {
        /// Token of the command; 0 for an event.
        0 => token: u32,
        /// A [`CommandStatus`] for an answer; an [`Event`] for an event.
        4 => status: u16,
        /// 0 for an answer, 1 for an event.
        6 => event: u16,
        /// Value of an event; 0 for an answer.
        8 => value: u32,
        /// 1 on the first pass over the ring, 0 on the next, and so on.
        28 => phase: u32,
    }
}

layout! {
    /// Common start of all commands.
    pub struct Header: 64 {
        /// An [`Opcode`].
        0 => opcode: u16,
        /// Returned in the answer. Any value but 0.
        4 => token: u32,
    }
}

layout! {
    /// Starts a processor on its rings. All indices start at 0: the host clears the indices, the arm
    /// words and the status page before this command.
    pub struct StartProcessor: 64 {
        /// [`Opcode::StartProcessor`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// Number of the processor.
        8 => processor: u8,
        /// MSI-X vector of the processor.
        9 => vector: u8,
        /// log2 of the number of entries of each ring, in the order of
        /// [`RingId`](super::ring::RingId), each [`MIN_LOG2`](super::ring::MIN_LOG2) to
        /// [`MAX_LOG2`](super::ring::MAX_LOG2).
        10 => log2_entries: [u8; 5],
        /// DMA address of the status page, a multiple of 4096.
        16 => status: u64,
        /// DMA addresses of the rings, in the same order, each a multiple of 4096.
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
    /// Sets hash key, hash fields and indirection table of a context.
    pub struct SetRss: 64 {
        /// [`Opcode::SetRss`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// Hash fields: [`field`](super::rss::field) bits of each [`Traffic`](super::rss::Traffic).
        8 => fields: u32,
        /// The context, below [`CONTEXTS`](super::rules::CONTEXTS). Context 0 applies to frames without a
        /// matching rule; others require [`RULES`](super::feature::RULES).
        12 => context: u32,
        /// DMA address of a [`Config`](super::rss::Config).
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
        /// Location, below [`RULES`](super::rules::RULES). An existing rule is replaced.
        8 => location: u16,
        /// An [`ActionKind`](super::rules::ActionKind).
        10 => action: u16,
        /// Processor or context, by `action`.
        12 => target: u32,
        /// DMA address of a [`Pattern`](super::rules::Pattern); ignored for a removal.
        16 => pattern: u64,
        /// If not 0, the virtual network of matching frames, of
        /// [`TAG_BITS`](super::rules::TAG_BITS) bits. Flows with equal addresses and ports but different
        /// tags are different flows.
        24 => tag: u32,
    }
}

flags! {
    /// Bits of [`SetFilter::flags`].
    pub mod filter: u32 {
        /// Receive every frame.
        PROMISCUOUS = 0,
        /// Receive every multicast frame.
        ALL_MULTICAST = 1,
    }
}

layout! {
    /// Sets which frames are received in addition to broadcast frames and frames to `mac`.
    pub struct SetFilter: 64 {
        /// [`Opcode::SetFilter`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// [`filter`] bits.
        8 => flags: u32,
        /// Number of multicast addresses, at most [`MAX_MULTICAST`]. The host sets `ALL_MULTICAST` if it
        /// has more.
        12 => count: u32,
        /// DMA address of an array of 8-byte entries, each with a MAC address in its first 6 bytes.
        16 => addresses: u64,
        /// MAC address of the interface, unicast.
        24 => mac: [u8; 6],
    }
}

layout! {
    /// Sets the MTU. Longer frames are dropped and counted, in both directions.
    pub struct SetMtu: 64 {
        /// [`Opcode::SetMtu`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// Largest length of an IP packet in bytes, [`MIN_MTU`] to [`MAX_MTU`](super::regs::MAX_MTU).
        8 => mtu: u32,
    }
}

layout! {
    /// Sets interrupt coalescing.
    pub struct SetCoalesce: 64 {
        /// [`Opcode::SetCoalesce`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// Number of the processor.
        8 => processor: u8,
        /// Longest delay of an interrupt after the event that causes it, in microseconds, at most
        /// [`MAX_COALESCE_USECS`]; 0 for no delay.
        12 => usecs: u32,
        /// Number of pending completions that end the delay; 0 or 1 for no such limit.
        16 => completions: u32,
    }
}

flags! {
    /// Bits of [`SetStorage::flags`].
    pub mod storage: u32 {
        /// Store payload that continues its flow apart from the headers (`tcp-data-split`).
        SPLIT = 0,
        /// Coalesce consecutive segments of a flow that is not delegated. Requires
        /// [`feature::GRO`](super::super::feature::GRO).
        GRO = 1,
        /// With `SPLIT`: store all TCP payload apart from the headers, also payload that does not
        /// continue its flow. Except for small frames, TCP payload is then in pages of the payload ring
        /// only.
        SPLIT_ALL = 2,
    }
}

layout! {
    /// Sets how received frames are stored.
    pub struct SetStorage: 64 {
        /// [`Opcode::SetStorage`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// [`storage`] bits.
        8 => flags: u32,
        /// Small-frame threshold in bytes: frames up to this size are stored whole in a hybrid page. At
        /// most [`MAX_SMALL_FRAME`](super::MAX_SMALL_FRAME).
        12 => small_frame: u16,
    }
}

flags! {
    /// Bits of [`SetImpairment::directions`].
    pub mod direction: u32 {
        /// Frames to the wire.
        EGRESS = 0,
        /// Frames from the wire.
        INGRESS = 1,
    }
}

layout! {
    /// Sets how the port impairs frames, replacing earlier settings of both directions. All fields
    /// zero ends impairment. Probabilities are in parts per million, at most [`MAX_PPM`], and apply to
    /// each wire frame independently; a large segment counts as the wire frames that it represents.
    pub struct SetImpairment: 64 {
        /// [`Opcode::SetImpairment`].
        0 => opcode: u16,
        /// Token.
        4 => token: u32,
        /// [`direction`] bits: directions that are impaired.
        8 => directions: u32,
        /// Probability of loss.
        12 => loss_ppm: u32,
        /// Probability of duplication.
        16 => duplicate_ppm: u32,
        /// Probability of reordering: the frame is overtaken by later ones.
        20 => reorder_ppm: u32,
        /// Probability of corruption: one bit of the frame is inverted.
        24 => corrupt_ppm: u32,
        /// Delay of each frame in microseconds.
        28 => delay_us: u32,
        /// Upper bound of a uniformly distributed additional delay, in microseconds.
        32 => jitter_us: u32,
        /// Rate limit in bit/s; 0 for no limit.
        40 => rate_bps: u64,
        /// Seed of the random sequence. Equal seeds and equal frames have equal results.
        48 => seed: u64,
    }
}
