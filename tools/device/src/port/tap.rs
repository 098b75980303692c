// SPDX-License-Identifier: GPL-2.0

//! A TAP interface of the machine, with one queue per processor.
//!
//! Frames have a `virtio_net_hdr_v1` (`include/uapi/linux/virtio_net.h`), so GSO frames and partial
//! checksums are passed on unchanged, as with virtio-net.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::ErrorKind;
use std::io::IoSliceMut;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;

use toe_engine::env::Capabilities;
use toe_engine::env::Gso;
use toe_engine::env::GsoKind;
use toe_engine::env::Offload;
use toe_engine::env::OutFrame;
use toe_engine::env::Partial;
use toe_engine::env::SendError;
use toe_engine::env::Source;
use toe_engine::wire::tcp;

use super::PortQueue;
use crate::frame::Frame;
use crate::memory::MemoryMap;

/// Size of `virtio_net_hdr_v1`.
const VNET: usize = 12;
const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// Offloads (`linux/if_tun.h`): checksum, TSO over IPv4 and IPv6 with ECN, and USO over both.
const OFFLOADS: libc::c_uint = 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x40;

/// Maximum number of iovecs of a frame.
const PIECES: usize = 64;

mod ioctl {
    //! Requests of `linux/if_tun.h`.
    nix::ioctl_write_ptr_bad!(
        set_interface,
        nix::request_code_write!(b'T', 202, size_of::<libc::c_int>()),
        libc::ifreq
    );
    nix::ioctl_write_int_bad!(
        set_offload,
        nix::request_code_write!(b'T', 208, size_of::<libc::c_uint>())
    );
    nix::ioctl_write_ptr!(set_header_size, b'T', 216, libc::c_int);
}

/// One queue of a TAP interface.
pub struct Tap {
    file: File,
    blocked: bool,
    dropped: u64,
}

impl Tap {
    /// Attaches `queues` queues to the interface `name`.
    ///
    /// # Errors
    ///
    /// If `/dev/net/tun` cannot be opened or the interface has another type.
    pub fn open(name: &str, queues: usize) -> io::Result<Vec<Self>> {
        (0..queues).map(|_| Self::open_queue(name)).collect()
    }

    fn open_queue(name: &str) -> io::Result<Self> {
        if name.len() >= libc::IFNAMSIZ || !name.is_ascii() {
            let text = "interface name must have at most 15 ASCII characters";
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open("/dev/net/tun")?;
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
        let mut request = libc::ifreq {
            ifr_name: [0; libc::IFNAMSIZ],
            ifr_ifru: libc::__c_anonymous_ifr_ifru {
                ifru_flags: flags as libc::c_short,
            },
        };
        for (to, &from) in request.ifr_name.iter_mut().zip(name.as_bytes()) {
            *to = from as libc::c_char;
        }
        let fd = file.as_raw_fd();
        // SAFETY: `fd` is open and `request` a valid `ifreq` for the length of the call.
        unsafe { ioctl::set_interface(fd, &request) }?;
        // SAFETY: `fd` is open; the argument is a number.
        unsafe { ioctl::set_offload(fd, OFFLOADS as libc::c_int) }?;
        // SAFETY: `fd` is open and the argument a valid integer for the length of the call.
        unsafe { ioctl::set_header_size(fd, &(VNET as libc::c_int)) }?;
        Ok(Self {
            file,
            blocked: false,
            dropped: 0,
        })
    }
}

/// Encodes the offload of a frame, whose headers are `bytes`, as a header.
fn encode(offload: &Offload, bytes: &[u8]) -> [u8; VNET] {
    let mut header = [0; VNET];
    if let Some(Partial { start, offset }) = offload.checksum {
        header[0] = NEEDS_CSUM;
        header[6..8].copy_from_slice(&start.to_le_bytes());
        header[8..10].copy_from_slice(&offset.to_le_bytes());
    }
    if let Some(gso) = offload.gso {
        header[1] = match gso.kind {
            GsoKind::Tcp4 => GSO_TCPV4,
            GsoKind::Tcp6 => GSO_TCPV6,
            GsoKind::Udp => GSO_UDP_L4,
        };
        // Only the first segment has CWR.
        let transport = offload.checksum.map_or(0, |partial| partial.start.into());
        let flags = bytes.get(transport + tcp::FLAGS).copied().unwrap_or(0);
        if gso.kind != GsoKind::Udp && flags & tcp::flag::CWR != 0 {
            header[1] |= GSO_ECN;
        }
        header[2..4].copy_from_slice(&gso.header_length.to_le_bytes());
        header[4..6].copy_from_slice(&gso.size.to_le_bytes());
    }
    header
}

/// Decodes a header into `frame`, which contains the frame's bytes. Returns `None` if it is
/// invalid.
fn decode(header: &[u8; VNET], frame: &mut Frame) -> Option<()> {
    let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let length = frame.bytes().len();
    frame.verified = header[0] & DATA_VALID != 0;
    if header[0] & NEEDS_CSUM != 0 {
        let partial = Partial {
            start: word(6),
            offset: word(8),
        };
        if usize::from(partial.start) + usize::from(partial.offset) + 2 > length {
            return None;
        }
        frame.offload.checksum = Some(partial);
    }
    let kind = match header[1] & !GSO_ECN {
        GSO_NONE => return Some(()),
        GSO_TCPV4 => GsoKind::Tcp4,
        GSO_TCPV6 => GsoKind::Tcp6,
        GSO_UDP_L4 => GsoKind::Udp,
        _ => return None,
    };
    // The header length is only a hint in this direction (virtio 1.2 5.1.6.4). Take it from the
    // frame.
    let transport = usize::from(frame.offload.checksum?.start);
    let header_length = match kind {
        GsoKind::Udp => transport + 8,
        _ => transport + usize::from(*frame.bytes().get(transport + 12)? >> 4) * 4,
    };
    let payload = length.checked_sub(header_length)?;
    let size = word(4);
    if size == 0 || payload == 0 {
        return None;
    }
    frame.offload.gso = Some(Gso {
        kind,
        size,
        header_length: header_length as u16,
        segments: u16::try_from(payload.div_ceil(size.into())).ok()?,
    });
    Some(())
}

impl PortQueue for Tap {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn send(&mut self, frame: &OutFrame<'_>, memory: &MemoryMap) -> Result<(), SendError> {
        self.blocked = false;
        let header = encode(&frame.offload, frame.header);
        let mut pieces = [libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        }; PIECES];
        let mut count = 0;
        let mut add = |base: *const u8, length: usize| {
            if let Some(piece) = pieces.get_mut(count) {
                piece.iov_base = base.cast_mut().cast();
                piece.iov_len = length;
            }
            count += 1;
        };
        add(header.as_ptr(), VNET);
        add(frame.header.as_ptr(), frame.header.len());
        for frag in frame.payload {
            match frag.source {
                Source::Host { address } => memory
                    .pieces(address, frag.length as usize, false, |slice| {
                        add(slice.ptr_guard().as_ptr(), slice.len());
                    })
                    .map_err(|_| SendError::Fault)?,
            }
        }
        if count > PIECES {
            return Err(SendError::Rejected);
        }
        // SAFETY: The first `count` iovecs point into `header`, `frame.header` and mappings held by
        // `memory`. All outlive the call, which only reads them. The guest may write to its memory
        // meanwhile; the kernel's copy tolerates that, and no reference to it exists here.
        let written =
            unsafe { libc::writev(self.file.as_raw_fd(), pieces.as_ptr(), count as libc::c_int) };
        if written >= 0 {
            return Ok(());
        }
        match io::Error::last_os_error().kind() {
            ErrorKind::WouldBlock => {
                self.blocked = true;
                Err(SendError::Full)
            }
            ErrorKind::InvalidInput => Err(SendError::Rejected),
            _ => {
                // The interface is down. Drop, as with an unplugged cable.
                self.dropped += 1;
                Ok(())
            }
        }
    }

    fn receive(&mut self, frame: &mut Frame) -> bool {
        loop {
            frame.clear();
            let mut header = [0; VNET];
            let pieces = &mut [IoSliceMut::new(&mut header), IoSliceMut::new(frame.room())];
            let Ok(length) = self.file.read_vectored(pieces) else {
                return false;
            };
            let Some(length) = length.checked_sub(VNET).filter(|&length| length > 0) else {
                return false;
            };
            frame.set_length(length);
            if decode(&header, frame).is_some() {
                return true;
            }
            self.dropped += 1;
        }
    }

    fn blocked(&self) -> bool {
        self.blocked
    }

    fn unblock(&mut self) {
        self.blocked = false;
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offloads_survive_the_header() {
        let offload = Offload {
            checksum: Some(Partial {
                start: 34,
                offset: 16,
            }),
            gso: Some(Gso {
                kind: GsoKind::Tcp4,
                size: 1000,
                header_length: 54,
                segments: 3,
            }),
        };
        let mut frame = Frame::new();
        frame.set_length(54 + 2500);
        frame.bytes_mut()[34 + 12] = 5 << 4;
        for (flags, kind) in [(0x10, GSO_TCPV4), (0x90, GSO_TCPV4 | GSO_ECN)] {
            frame.bytes_mut()[34 + 13] = flags;
            let header = encode(&offload, &frame.bytes()[..54]);
            assert_eq!(header[1], kind);
            decode(&header, &mut frame).expect("a valid header");
            assert_eq!(frame.offload, offload);
        }
    }

    #[test]
    fn headers_without_sense_are_refused() {
        let mut frame = Frame::new();
        frame.set_length(60);
        let mut header = [0; VNET];
        header[1] = GSO_TCPV4;
        assert!(
            decode(&header, &mut frame).is_none(),
            "no checksum to fill in"
        );
        header[0] = NEEDS_CSUM;
        header[6] = 59;
        assert!(
            decode(&header, &mut frame).is_none(),
            "checksum beyond the end"
        );
        header[6] = 34;
        header[8] = 16;
        assert!(decode(&header, &mut frame).is_none(), "segments of size 0");
        header[1] = 3;
        assert!(decode(&header, &mut frame).is_none(), "unknown kind");
    }
}
