// SPDX-License-Identifier: GPL-2.0

//! Requests of a client and the bodies of their answers.

use nix::errno::Errno;
use toe_abi::regs;
use vfio_bindings::bindings::vfio;

/// Maximum number of file descriptors with a message.
pub const MAX_FILES: usize = 8;
/// Maximum number of bytes that an access of a region transfers.
pub const MAX_DATA: usize = regs::BAR_SIZE;
/// Maximum number of mapped ranges of DMA addresses.
pub const MAX_MAPPINGS: usize = 256;
/// Size of a message's header.
pub const HEADER: usize = 16;
/// Maximum size of a message's body: that of a write.
pub const MAX_BODY: usize = ACCESS + MAX_DATA;

/// Size of the fixed part of an access's body.
const ACCESS: usize = 16;

/// Number of a command.
pub mod command {
    /// Agree on the version: the first request on a connection.
    pub const VERSION: u16 = 1;
    /// Map memory to DMA addresses.
    pub const DMA_MAP: u16 = 2;
    /// Unmap DMA addresses.
    pub const DMA_UNMAP: u16 = 3;
    /// Describe the device.
    pub const INFO: u16 = 4;
    /// Describe a region.
    pub const REGION_INFO: u16 = 5;
    /// Describe interrupts.
    pub const INTERRUPT_INFO: u16 = 7;
    /// Set interrupts up.
    pub const SET_INTERRUPTS: u16 = 8;
    /// Read from a region.
    pub const READ: u16 = 9;
    /// Write to a region.
    pub const WRITE: u16 = 10;
    /// Reset the device.
    pub const RESET: u16 = 13;
}

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Chosen by the client, returned in the answer.
    pub id: u16,
    /// [`command`].
    pub command: u16,
    /// Size of the body.
    pub body: usize,
    /// The client wants no answer.
    pub silent: bool,
}

/// A message that is no request, or too long. What follows it cannot be made out.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("malformed message: size {size}, flags {flags:#x}")]
pub struct Malformed {
    size: u32,
    flags: u32,
}

impl Header {
    /// Bits of the message's type, which is 0 for a request.
    const TYPE: u32 = 0xf;
    const REPLY: u32 = 1;
    const NO_REPLY: u32 = 1 << 4;
    const ERROR: u32 = 1 << 5;

    /// Parses a request's header.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn parse(bytes: &[u8; HEADER]) -> Result<Self, Malformed> {
        let [i0, i1, c0, c1, s0, s1, s2, s3, f0, f1, f2, f3, _error @ ..] = *bytes;
        let (id, command) = (u16::from_le_bytes([i0, i1]), u16::from_le_bytes([c0, c1]));
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        let flags = u32::from_le_bytes([f0, f1, f2, f3]);
        let body = (size as usize).checked_sub(HEADER);
        match body {
            Some(body) if body <= MAX_BODY && flags & Self::TYPE == 0 => Ok(Self {
                id,
                command,
                body,
                silent: flags & Self::NO_REPLY != 0,
            }),
            _ => Err(Malformed { size, flags }),
        }
    }

    /// The answer to the request with this header: body or error.
    pub fn answer(&self, result: Result<&[u8], Errno>) -> Vec<u8> {
        let (flags, error, body) = match result {
            Ok(body) => (Self::REPLY, 0, body),
            Err(error) => (Self::REPLY | Self::ERROR, error as u32, &[][..]),
        };
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(self.id.to_le_bytes());
        message.extend(self.command.to_le_bytes());
        message.extend(((HEADER + body.len()) as u32).to_le_bytes());
        message.extend(flags.to_le_bytes());
        message.extend(error.to_le_bytes());
        message.extend(body);
        message
    }
}

/// Place of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Number of the region.
    pub region: u32,
    /// First byte.
    pub offset: u64,
    /// Number of bytes, at most [`MAX_DATA`].
    pub count: u32,
}

/// A request after the version is agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Map memory.
    DmaMap {
        /// The device may write.
        writable: bool,
        /// Start in the file.
        offset: u64,
        /// First DMA address.
        address: u64,
        /// Size in bytes.
        size: u64,
    },
    /// Unmap addresses.
    DmaUnmap {
        /// `argsz` of the request.
        argsz: u32,
        /// Flags of VFIO_IOMMU_UNMAP_DMA.
        flags: u32,
        /// First DMA address.
        address: u64,
        /// Size in bytes.
        size: u64,
    },
    /// Describe the device.
    Info,
    /// Describe a region.
    RegionInfo {
        /// Number of the region.
        index: u32,
        /// Room for the answer's body.
        room: u32,
    },
    /// Describe interrupts.
    InterruptInfo {
        /// Number of the kind of interrupt.
        index: u32,
    },
    /// Set interrupts up.
    SetInterrupts {
        /// Flags of VFIO_DEVICE_SET_IRQS.
        flags: u32,
        /// Number of the kind of interrupt.
        index: u32,
        /// First vector.
        start: u32,
        /// Number of vectors.
        count: u32,
    },
    /// Read from a region.
    Read(Access),
    /// Write to a region.
    Write(Access, &'a [u8]),
    /// Reset the device.
    Reset,
}

/// Fields of a message that are not yet taken.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn access(&mut self) -> Option<Access> {
        Some(Access {
            offset: self.u64()?,
            region: self.u32()?,
            count: self.u32().filter(|&count| count as usize <= MAX_DATA)?,
        })
    }
}

impl<'a> Request<'a> {
    /// Parses the body of a request.
    ///
    /// # Errors
    ///
    /// `ENOTSUP` for another command, `EINVAL` if the body is not as the command demands.
    pub fn parse(command: u16, body: &'a [u8]) -> Result<Self, Errno> {
        let mut fields = Fields(body);
        let request = Self::take(command, &mut fields)?.ok_or(Errno::EINVAL)?;
        if fields.0.is_empty() {
            Ok(request)
        } else {
            Err(Errno::EINVAL)
        }
    }

    fn take(command: u16, fields: &mut Fields<'a>) -> Result<Option<Self>, Errno> {
        Ok(match command {
            command::DMA_MAP => Self::dma_map(fields),
            command::DMA_UNMAP => Self::dma_unmap(fields),
            command::INFO => fields.take::<16>().map(|_| Self::Info),
            command::REGION_INFO => Self::region_info(fields),
            command::INTERRUPT_INFO => Self::interrupt_info(fields),
            command::SET_INTERRUPTS => Self::set_interrupts(fields),
            command::READ => fields.access().map(Self::Read),
            command::WRITE => Self::write(fields),
            command::RESET => Some(Self::Reset),
            _ => return Err(Errno::ENOTSUP),
        })
    }

    fn dma_map(fields: &mut Fields<'a>) -> Option<Self> {
        let _argsz = fields.u32()?;
        Some(Self::DmaMap {
            writable: fields.u32()? & vfio::VFIO_DMA_MAP_FLAG_WRITE != 0,
            offset: fields.u64()?,
            address: fields.u64()?,
            size: fields.u64()?,
        })
    }

    fn dma_unmap(fields: &mut Fields<'a>) -> Option<Self> {
        Some(Self::DmaUnmap {
            argsz: fields.u32()?,
            flags: fields.u32()?,
            address: fields.u64()?,
            size: fields.u64()?,
        })
    }

    fn region_info(fields: &mut Fields<'a>) -> Option<Self> {
        let room = fields.u32()?;
        let _flags = fields.u32()?;
        let index = fields.u32()?;
        let _answered = fields.take::<20>()?;
        Some(Self::RegionInfo { index, room })
    }

    fn interrupt_info(fields: &mut Fields<'a>) -> Option<Self> {
        let (_argsz, _flags) = (fields.u32()?, fields.u32()?);
        let index = fields.u32()?;
        let _count = fields.u32()?;
        Some(Self::InterruptInfo { index })
    }

    fn set_interrupts(fields: &mut Fields<'a>) -> Option<Self> {
        let _argsz = fields.u32()?;
        Some(Self::SetInterrupts {
            flags: fields.u32()?,
            index: fields.u32()?,
            start: fields.u32()?,
            count: fields.u32()?,
        })
    }

    fn write(fields: &mut Fields<'a>) -> Option<Self> {
        let access = fields.access()?;
        let (data, rest) = fields.0.split_at_checked(access.count as usize)?;
        fields.0 = rest;
        Some(Self::Write(access, data))
    }
}

/// The body of the answer to [`command::VERSION`], whose body is `body`. The limits are told as
/// JSON. Those of the client concern only requests of the server, which makes none.
///
/// # Errors
///
/// `EINVAL` if the client speaks another version.
pub fn version(body: &[u8]) -> Result<Vec<u8>, Errno> {
    const MAJOR: u16 = 0;
    const MINOR: u16 = 0;
    let mut fields = Fields(body);
    match (fields.u16(), fields.u16(), fields.0) {
        (Some(MAJOR), Some(_), [.., 0]) => {}
        _ => return Err(Errno::EINVAL),
    }
    let capabilities = format!(
        "{{\"capabilities\":{{\"max_msg_fds\":{MAX_FILES},\"max_data_xfer_size\":{MAX_DATA},\
         \"max_dma_maps\":{MAX_MAPPINGS},\"pgsizes\":{}}}}}\0",
        toe_abi::PAGE_SIZE
    );
    let mut answer = [MAJOR.to_le_bytes(), MINOR.to_le_bytes()].concat();
    answer.extend(capabilities.as_bytes());
    Ok(answer)
}

/// Joins the words of an answer's body.
pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The body of the answer to an access, before its data.
pub fn access(access: &Access) -> Vec<u8> {
    let mut answer = access.offset.to_le_bytes().to_vec();
    answer.extend(words(&[access.region, access.count]));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(size: u32, flags: u32) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&[7, 0, 9, 0]);
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        bytes[8..12].copy_from_slice(&flags.to_le_bytes());
        bytes
    }

    #[test]
    fn a_header_bounds_its_message() {
        let parsed = Header::parse(&header(48, 0x10)).expect("a request");
        assert_eq!((parsed.id, parsed.command), (7, 9));
        assert_eq!((parsed.body, parsed.silent), (32, true));
        let most = (HEADER + MAX_BODY) as u32;
        assert!(Header::parse(&header(most, 0)).is_ok());
        for (size, flags) in [
            (0, 0),
            (15, 0),
            (most + 1, 0),
            (u32::MAX, 0),
            (16, 1),
            (16, 2),
        ] {
            assert!(Header::parse(&header(size, flags)).is_err());
        }
    }

    #[test]
    fn answers_carry_the_request_and_the_error() {
        let request = Header::parse(&header(16, 0)).expect("a request");
        let answer = request.answer(Ok(&[5]));
        assert_eq!(answer, [7, 0, 9, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5]);
        let answer = request.answer(Err(Errno::EINVAL));
        assert_eq!(
            answer,
            [7, 0, 9, 0, 16, 0, 0, 0, 0x21, 0, 0, 0, 22, 0, 0, 0]
        );
    }

    #[test]
    fn a_body_has_the_size_of_its_command() {
        let sizes = [
            (command::DMA_MAP, 32),
            (command::DMA_UNMAP, 24),
            (command::INFO, 16),
            (command::REGION_INFO, 32),
            (command::INTERRUPT_INFO, 16),
            (command::SET_INTERRUPTS, 20),
            (command::READ, 16),
            (command::WRITE, 16),
            (command::RESET, 0),
        ];
        for (command, size) in sizes {
            for length in 0..64 {
                let body = vec![0; length];
                let parsed = Request::parse(command, &body);
                assert_eq!(parsed.is_ok(), length == size, "{command} {length}");
            }
        }
        for command in [0, command::VERSION, 6, 11, 12, 14, u16::MAX] {
            assert_eq!(Request::parse(command, &[]), Err(Errno::ENOTSUP));
        }
    }

    #[test]
    fn a_write_has_as_much_data_as_it_says() {
        let place = Access {
            region: 1,
            offset: 2,
            count: 3,
        };
        let mut body = access(&place);
        assert!(Request::parse(command::WRITE, &body).is_err());
        body.extend([7; 3]);
        let request = Request::parse(command::WRITE, &body);
        assert_eq!(request, Ok(Request::Write(place, &[7; 3])));
        body.push(7);
        assert!(Request::parse(command::WRITE, &body).is_err());
        let large = access(&Access {
            count: MAX_DATA as u32 + 1,
            ..place
        });
        assert!(Request::parse(command::READ, &large).is_err());
    }

    #[test]
    fn a_version_is_terminated() {
        assert!(version(b"\0\0\x01\0{}\0").is_ok());
        for wrong in [
            &b""[..],
            b"\0\0\x01",
            b"\0\0\x01\0",
            b"\0\0\x01\0{}",
            b"\x01\0\0\0{}\0",
        ] {
            assert_eq!(version(wrong), Err(Errno::EINVAL));
        }
    }
}
