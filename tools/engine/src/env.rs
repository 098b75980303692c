// SPDX-License-Identifier: GPL-2.0

//! What surrounds a processor: the host's memory, its doorbells and interrupt, and the port.
//!
//! The engine does no I/O. Whoever drives a [`Processor`](crate::processor::Processor) implements
//! [`Host`] and [`Port`] on one type, the *environment*, and passes it to every call; a type that
//! implements both is an [`Env`]. The thread that calls owns the environment, so nothing here needs
//! a lock.

/// Memory named by an address and a length is not, or not wholly, mapped for the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// The host as a processor sees it: memory by DMA address, the doorbell page, one interrupt.
pub trait Host {
    /// Reads `to.len()` bytes at DMA address `address`.
    ///
    /// # Errors
    ///
    /// [`Fault`] when any byte is not mapped; what `to` holds then does not count.
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Fault>;

    /// Writes `from` to DMA address `address`.
    ///
    /// # Errors
    ///
    /// [`Fault`] when any byte is not mapped; part of `from` may have been written then.
    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Fault>;

    /// Stores `value`, little-endian, at DMA address `address` (a multiple of 4), in one access and
    /// with release semantics: whoever reads it sees everything that [`Host::write`] wrote before.
    ///
    /// # Errors
    ///
    /// [`Fault`] when the address is not mapped.
    fn store_release(&mut self, address: u64, value: u32) -> Result<(), Fault>;

    /// Loads the little-endian word at `offset` (a multiple of 4) of the processor's doorbell page,
    /// in one access and with acquire semantics: what the host wrote before is visible to
    /// [`Host::read`].
    fn doorbell(&self, offset: usize) -> u32;

    /// Raises the processor's MSI-X vector once.
    fn interrupt(&mut self);
}

/// A piece of host memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frag {
    /// DMA address.
    pub address: u64,
    /// Length in bytes.
    pub length: u32,
}

/// What a port can do to a frame on its way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Fills in the transport checksum ([`Offload::checksum`]). Without it every frame comes with
    /// its checksum complete.
    pub checksum: bool,
    /// Takes TCP segments larger than the MTU ([`Gso`]), IPv4 and IPv6. Needs `checksum`.
    pub tso: bool,
    /// Takes UDP payload of several datagrams. Needs `checksum`.
    pub uso: bool,
}

impl Capabilities {
    /// Of a port that takes frames as they are on the wire.
    pub const NONE: Self = Self {
        checksum: false,
        tso: false,
        uso: false,
    };
    /// Of a port that does everything.
    pub const ALL: Self = Self {
        checksum: true,
        tso: true,
        uso: true,
    };
}

/// A transport checksum that the port is to fill in: the field holds the sum of the pseudo-header,
/// and the frame is summed from `start` to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Start of the transport header, from the start of the frame as it leaves (tags included).
    pub start: u16,
    /// Place of the checksum field, from `start`.
    pub offset: u16,
}

/// What a large segment is to be cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP datagrams, over either IP.
    Udp,
}

/// A frame that stands for several wire frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// What it is cut into.
    pub kind: GsoKind,
    /// Payload bytes of each wire frame but the last.
    pub size: u16,
    /// Length of all headers from the start of the frame as it leaves; repeated in each wire frame.
    pub header_length: u16,
    /// Number of wire frames it stands for.
    pub segments: u16,
}

/// What is left for the port to do to a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// The checksum to fill in. Always set with `gso`.
    pub checksum: Option<Partial>,
    /// How the frame is to be cut.
    pub gso: Option<Gso>,
}

/// A frame on its way out: `header`, then the bytes of `payload` in order. It never needs padding
/// by the engine; a port whose wire has a minimum pads.
#[derive(Clone, Copy, Debug)]
pub struct OutFrame<'a> {
    /// From the Ethernet header on. Tags are in it.
    pub header: &'a [u8],
    /// The rest of the frame, in host memory. Empty when the engine had to touch every byte itself;
    /// then the whole frame is in `header`.
    pub payload: &'a [Frag],
    /// What is left to do.
    pub offload: Offload,
}

impl OutFrame<'_> {
    /// Length of the frame in bytes.
    pub fn length(&self) -> usize {
        let payload: usize = self.payload.iter().map(|piece| piece.length as usize).sum();
        self.header.len() + payload
    }
}

/// Why a port did not take a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// No room now: the same frame may go later. The engine keeps it and tries again at the next
    /// poll; the driver of the processor wakes it when the port has room.
    Full,
    /// Host memory in `payload` is not mapped. The frame is lost.
    Fault,
    /// The port cannot carry this frame at all. The frame is lost.
    Rejected,
}

/// The processor's way to the wire.
pub trait Port {
    /// What the port can do. Constant while the processor runs.
    fn capabilities(&self) -> Capabilities;

    /// Sends a frame. Host memory is not read after the call returns.
    ///
    /// # Errors
    ///
    /// See [`SendError`]; the frame has not been sent, in no part.
    fn send(&mut self, frame: &OutFrame<'_>) -> Result<(), SendError>;
}

/// Everything that surrounds a processor.
pub trait Env: Host + Port {}

impl<T: Host + Port> Env for T {}

/// What a port knows of the transport checksum of a received frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RxChecksum {
    /// Nothing: the engine verifies.
    #[default]
    Unknown,
    /// Verified.
    Valid,
    /// The frame never left a machine: nobody has filled a checksum in yet
    /// (`VIRTIO_NET_HDR_F_NEEDS_CSUM`).
    Partial(Partial),
}

/// What a port knows of a received frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxOffload {
    /// The transport checksum.
    pub checksum: RxChecksum,
    /// With several wire frames in one: payload bytes of each but the last. Else 0.
    pub gso_size: u16,
}
