// SPDX-License-Identifier: GPL-2.0

//! Receive buffers of an application, called areas, that are bound to one connection. They are
//! filled with payload only, from consecutive segments.

use toe_abi::PAGE_SIZE;
use toe_abi::submission::AREAS;
use toe_abi::submission::Bind;

use crate::env::Host;
use crate::ring::HostError;

/// Size of a page address in the host's page list, in bytes.
const ADDRESS: usize = 8;

/// An area.
///
/// # Invariants
///
/// `filled < length`, and the page list does not wrap around the address space.
#[derive(Clone, Copy, Default)]
pub struct Area {
    id: u32,
    pages: u64,
    offset: u32,
    length: u32,
    filled: u32,
}

impl Area {
    /// Creates the area described by the host. Returns `None` if the description is inconsistent.
    pub fn new(bind: &Bind) -> Option<Self> {
        let end = u64::from(bind.offset) + u64::from(bind.length);
        let list = end.div_ceil(PAGE_SIZE as u64) * ADDRESS as u64;
        let fits = bind.length != 0
            && (bind.offset as usize) < PAGE_SIZE
            && bind.pages % ADDRESS as u64 == 0
            && bind.pages.checked_add(list).is_some();
        // INVARIANT: Checked above.
        fits.then_some(Self {
            id: bind.area,
            pages: bind.pages,
            offset: bind.offset,
            length: bind.length,
            filled: 0,
        })
    }

    /// The host's identifier of the area.
    #[inline]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Bytes filled so far.
    #[inline]
    pub fn filled(&self) -> u32 {
        self.filled
    }

    #[inline]
    fn room(&self) -> usize {
        (self.length - self.filled) as usize
    }

    /// DMA address of the byte behind the `ahead` bytes that follow those filled, and number of
    /// bytes from there to the end of its page.
    fn place<H: Host>(&self, host: &H, ahead: usize) -> Result<(u64, usize), HostError> {
        let at = self.offset as usize + self.filled as usize + ahead;
        let (page, offset) = (at / PAGE_SIZE, at % PAGE_SIZE);
        let mut address = [0; ADDRESS];
        host.read(self.pages + (page * ADDRESS) as u64, &mut address)?;
        let address = u64::from_le_bytes(address);
        if address % PAGE_SIZE as u64 != 0 {
            return Err(HostError);
        }
        Ok((address + offset as u64, PAGE_SIZE - offset))
    }

    /// Whether the next `length` bytes, which are room, can be written.
    fn accessible<H: Host>(&self, host: &H, length: usize) -> bool {
        let mut ahead = 0;
        while ahead < length {
            match self.place(host, ahead) {
                Ok((address, room)) if host.writable(address, room.min(length - ahead)) => {
                    ahead += room;
                }
                _ => return false,
            }
        }
        true
    }
}

/// Areas of a connection in the order in which they are filled.
#[derive(Default)]
pub struct Areas {
    list: [Area; AREAS],
    first: usize,
    count: usize,
}

impl Areas {
    /// Appends an area. Returns `false` if there are too many.
    pub fn bind(&mut self, area: Area) -> bool {
        let fits = self.count < AREAS;
        if fits {
            self.list[(self.first + self.count) % AREAS] = area;
            self.count += 1;
        }
        fits
    }

    /// Number of areas.
    #[inline]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The area being filled.
    #[inline]
    pub fn first(&self) -> Option<&Area> {
        (self.count != 0).then(|| &self.list[self.first])
    }

    /// Bytes that still fit in all areas.
    #[inline]
    pub fn room(&self) -> usize {
        let areas = (0..self.count).map(|i| &self.list[(self.first + i) % AREAS]);
        areas.map(Area::room).sum()
    }

    /// Whether host memory can be written for the part of the next `length` bytes that the areas
    /// take.
    pub fn accessible<H: Host>(&self, host: &H, length: usize) -> bool {
        let mut left = length;
        (0..self.count).all(|i| {
            let area = &self.list[(self.first + i) % AREAS];
            let here = left.min(area.room());
            left -= here;
            area.accessible(host, here)
        })
    }

    /// Writes `bytes` to the first area, which must exist, up to the end of its current page.
    /// Returns the number of bytes written, and whether the area is now full. A full area is
    /// removed.
    ///
    /// # Errors
    ///
    /// [`HostError`] if host memory is not mapped or a page address is not page-aligned.
    pub fn put<H: Host>(&mut self, host: &mut H, bytes: &[u8]) -> Result<(usize, bool), HostError> {
        let area = &mut self.list[self.first];
        let (address, room) = area.place(host, 0)?;
        let length = bytes.len().min(room).min(area.room());
        host.write(address, &bytes[..length])?;
        area.filled += length as u32;
        let full = area.filled == area.length;
        if full {
            self.first = (self.first + 1) % AREAS;
            self.count -= 1;
        }
        Ok((length, full))
    }
}
