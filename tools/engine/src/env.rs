// SPDX-License-Identifier: GPL-2.0

//! Environment of a processor: host memory, doorbells, interrupt and port.
//!
//! The engine does no I/O. The caller of a [`Processor`](crate::processor::Processor) implements
//! [`Host`] and [`Port`] on one type, which thereby is an [`Env`], and passes it to every call. The
//! calling thread owns the environment, so no locking is needed here.

/// A host memory range is not, or only in part, mapped for the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// The host as seen by a processor: memory by DMA address, the doorbell page and one MSI-X vector.
pub trait Host {
    /// Reads `to.len()` bytes from DMA address `address`.
    ///
    /// # Errors
    ///
    /// [`Fault`] if any byte is not mapped. The contents of `to` are then unspecified.
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Fault>;

    /// Writes `from` to DMA address `address`.
    ///
    /// # Errors
    ///
    /// [`Fault`] if any byte is not mapped. Part of `from` may have been written.
    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Fault>;

    /// Whether a [`Host::write`] of `length` bytes at `address` would succeed.
    fn writable(&self, address: u64, length: usize) -> bool;

    /// Stores `value`, little-endian, at DMA address `address` (4-byte aligned) in one access with
    /// release semantics: a reader that sees the value also sees all earlier [`Host::write`]s.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the address is not mapped.
    fn store_release(&mut self, address: u64, value: u32) -> Result<(), Fault>;

    /// Loads the little-endian word at `offset` (in bytes, 4-byte aligned) of the processor's
    /// doorbell page in one access with acquire semantics: later [`Host::read`]s see everything
    /// that the host wrote before it stored the word.
    fn doorbell(&self, offset: usize) -> u32;

    /// Raises the processor's MSI-X vector once.
    fn interrupt(&mut self);
}

/// Memory that holds payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Host memory.
    Host {
        /// DMA address of the first byte.
        address: u64,
    },
}

impl Source {
    /// The source `bytes` further on.
    #[inline]
    pub fn advanced(self, bytes: u32) -> Self {
        match self {
            Self::Host { address } => Self::Host {
                address: address.wrapping_add(bytes.into()),
            },
        }
    }
}

/// A contiguous fragment of payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frag {
    /// Where the bytes are.
    pub source: Source,
    /// Length in bytes.
    pub length: u32,
}

impl Frag {
    /// A fragment of no bytes.
    pub const EMPTY: Self = Self::host(0, 0);

    /// `length` bytes of host memory at DMA address `address`.
    #[inline]
    pub const fn host(address: u64, length: u32) -> Self {
        Self {
            source: Source::Host { address },
            length,
        }
    }

    /// Copies the fragment into `to`, which has its length.
    ///
    /// # Errors
    ///
    /// [`Fault`] when any byte is not mapped.
    #[inline]
    pub fn read<H: Host>(&self, host: &H, to: &mut [u8]) -> Result<(), Fault> {
        match self.source {
            Source::Host { address } => host.read(address, to),
        }
    }
}

/// Transmit offloads that a port supports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Fills in the transport checksum ([`Offload::checksum`]). Without it, every frame is passed
    /// with a complete checksum.
    pub checksum: bool,
    /// Segments large TCP frames ([`Gso`]) over IPv4 and IPv6. Requires `checksum`.
    pub tso: bool,
    /// Segments UDP payload into several datagrams. Requires `checksum`.
    pub uso: bool,
}

impl Capabilities {
    /// No offloads: the port takes frames in their wire format.
    pub const NONE: Self = Self {
        checksum: false,
        tso: false,
        uso: false,
    };
    /// All offloads.
    pub const ALL: Self = Self {
        checksum: true,
        tso: true,
        uso: true,
    };
}

/// A partial transport checksum, as `CHECKSUM_PARTIAL` in `include/linux/skbuff.h`: the field holds
/// the sum of the pseudo-header, and the port sums the frame from `start` to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Offset of the transport header from the start of the frame, VLAN tags included.
    pub start: u16,
    /// Offset of the checksum field from `start`.
    pub offset: u16,
}

/// Segmentation type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP datagrams over IPv4 or IPv6.
    Udp,
}

/// Segmentation of a frame that stands for several wire frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// Segmentation type.
    pub kind: GsoKind,
    /// Payload bytes of each wire frame except the last.
    pub size: u16,
    /// Length of all headers from the start of the frame, VLAN tags included. The headers are
    /// repeated in each wire frame.
    pub header_length: u16,
    /// Number of wire frames.
    pub segments: u16,
}

/// Work left to the port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// Checksum to fill in. Always set together with `gso`.
    pub checksum: Option<Partial>,
    /// Segmentation.
    pub gso: Option<Gso>,
}

/// A frame to transmit: `header` followed by the bytes of `payload`. The engine does not pad; a
/// port whose medium has a minimum frame size does.
#[derive(Clone, Copy, Debug)]
pub struct OutFrame<'a> {
    /// Headers from the Ethernet header on, VLAN tags included.
    pub header: &'a [u8],
    /// Rest of the frame in host memory. Empty if the engine had to process every byte; `header`
    /// then holds the whole frame.
    pub payload: &'a [Frag],
    /// Work left to the port.
    pub offload: Offload,
}

impl OutFrame<'_> {
    /// Length of the frame in bytes.
    pub fn length(&self) -> usize {
        let payload: usize = self.payload.iter().map(|piece| piece.length as usize).sum();
        self.header.len() + payload
    }
}

/// Reasons why a port did not take a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// No room at present. The engine keeps the frame and retries at the next poll; the caller of
    /// the processor wakes it when the port has room.
    Full,
    /// Host memory in `payload` is not mapped. The frame is dropped.
    Fault,
    /// The port cannot transmit this frame. The frame is dropped.
    Rejected,
}

/// Transmit side of the port.
pub trait Port {
    /// Supported offloads. Constant while the processor runs.
    fn capabilities(&self) -> Capabilities;

    /// Transmits a frame. Host memory is not accessed after the call returns.
    ///
    /// # Errors
    ///
    /// See [`SendError`]. On error no part of the frame has been transmitted.
    fn send(&mut self, frame: &OutFrame<'_>) -> Result<(), SendError>;
}

/// The environment of a processor.
pub trait Env: Host + Port {}

impl<T: Host + Port> Env for T {}

/// State of the transport checksum of a received frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RxChecksum {
    /// Not verified: the engine verifies it.
    #[default]
    Unknown,
    /// Verified.
    Valid,
    /// The frame originates on this machine and its checksum has not been filled in
    /// (`VIRTIO_NET_HDR_F_NEEDS_CSUM`).
    Partial(Partial),
}

/// Receive offload metadata of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxOffload {
    /// The transport checksum.
    pub checksum: RxChecksum,
    /// For a frame that stands for several wire frames: payload bytes of each except the last.
    /// Otherwise 0.
    pub gso_size: u16,
}
