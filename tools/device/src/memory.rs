// SPDX-License-Identifier: GPL-2.0

//! Host memory: DMA addresses and their mappings.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::fcntl::F_GET_SEALS;
use nix::fcntl::SealFlag;
use nix::fcntl::fcntl;
use nix::sys::statfs::HUGETLBFS_MAGIC;
use nix::sys::statfs::fstatfs;
use thiserror::Error;
use vm_memory::AtomicAccess;
use vm_memory::Bytes;
use vm_memory::FileOffset;
use vm_memory::VolatileMemory;
use vm_memory::VolatileSlice;
use vm_memory::mmap::MmapRegion;
use vm_memory::mmap::MmapRegionBuilder;

use crate::vfio::request::MAX_MAPPINGS;

/// Maximum size of the regions of a map together, in bytes: an address space holds many.
const MAX_SIZE: u64 = 4 << 40;

/// Access to a DMA address that is not mapped, or not writable.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("DMA address {address:#x}, length {length}, is not mapped")]
pub struct Fault {
    /// First address of the access.
    pub address: u64,
    /// Length of the access in bytes.
    pub length: usize,
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Checks that every access to a mapping of `file` succeeds, whatever the client does to the file.
///
/// An access beyond the file's end would raise SIGBUS, so the file must be sealed: what is sealed
/// is a memfd, and does not depend on a file server either. An access to a huge page raises SIGBUS
/// if the pool is empty, which a client can arrange.
fn check_file(file: &File) -> io::Result<()> {
    let seals = fcntl(file, F_GET_SEALS).map_or(SealFlag::empty(), SealFlag::from_bits_retain);
    if !seals.contains(SealFlag::F_SEAL_SHRINK) {
        return Err(invalid(
            "its file may shrink: use memory-backend-memfd, whose memory is sealed",
        ));
    }
    if fstatfs(file)?.filesystem_type() == HUGETLBFS_MAGIC {
        return Err(invalid("its file has huge pages: use hugetlb=off"));
    }
    Ok(())
}

/// A mapped range of DMA addresses.
pub struct Region {
    start: u64,
    mapping: MmapRegion,
    writable: bool,
}

impl Region {
    /// Maps `size` bytes of `file`, starting at `offset`, to DMA address `start`.
    ///
    /// # Errors
    ///
    /// If the file is not one that [`check_file`] accepts, if the range is empty, overflows or
    /// exceeds the file, or if `mmap(2)` fails.
    pub fn map(
        start: u64,
        size: u64,
        file: File,
        offset: u64,
        writable: bool,
    ) -> Result<Self, io::Error> {
        check_file(&file)?;
        let size = usize::try_from(size).map_err(|_| invalid("range too large"))?;
        if size == 0 || start.checked_add(size as u64).is_none() {
            return Err(invalid("range empty or overflowing"));
        }
        let end = offset.checked_add(size as u64);
        if end.is_none_or(|end| end > file.metadata().map_or(0, |data| data.len())) {
            return Err(invalid("range exceeds its file"));
        }
        let prot = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        let mapping = MmapRegionBuilder::new(size)
            .with_file_offset(FileOffset::new(file, offset))
            .with_mmap_prot(prot)
            .with_mmap_flags(libc::MAP_SHARED | libc::MAP_NORESERVE)
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            start,
            mapping,
            writable,
        })
    }

    fn end(&self) -> u64 {
        self.start + self.mapping.size() as u64
    }
}

/// Snapshot of a function's DMA address space.
///
/// Immutable: a change creates a new map that shares the unchanged regions. The memory of a region
/// is unmapped when the last map that refers to it is dropped.
///
/// # Invariants
///
/// `regions` are in ascending order of address and do not overlap.
#[derive(Clone, Default)]
pub struct MemoryMap {
    regions: Vec<Arc<Region>>,
}

impl MemoryMap {
    /// An empty map: every access faults.
    pub const EMPTY: Self = Self {
        regions: Vec::new(),
    };

    /// A copy of the map with `region` added. Regions that overlap it are removed.
    ///
    /// # Errors
    ///
    /// If there would be more or larger regions than a map may have.
    pub fn with(&self, region: Region) -> Result<Self, io::Error> {
        let mut regions: Vec<_> = self
            .regions
            .iter()
            .filter(|r| r.end() <= region.start || region.end() <= r.start)
            .cloned()
            .collect();
        let at = regions.partition_point(|r| r.start < region.start);
        regions.insert(at, Arc::new(region));
        let size: u64 = regions.iter().map(|r| r.mapping.size() as u64).sum();
        if regions.len() > MAX_MAPPINGS || size > MAX_SIZE {
            return Err(invalid("too many or too large regions"));
        }
        Ok(Self { regions })
    }

    /// A copy of the map without the regions that overlap the `size` bytes at `start`.
    pub fn without(&self, start: u64, size: u64) -> Self {
        let end = start.saturating_add(size);
        let regions = self
            .regions
            .iter()
            .filter(|r| r.end() <= start || end <= r.start)
            .cloned()
            .collect();
        Self { regions }
    }

    /// The first contiguous part, within one region, of the `length` bytes at `address`.
    #[inline]
    fn piece(&self, address: u64, length: usize, write: bool) -> Result<VolatileSlice<'_>, Fault> {
        let fault = Fault { address, length };
        let after = self.regions.partition_point(|r| r.start <= address);
        let region = after
            .checked_sub(1)
            .and_then(|i| self.regions.get(i))
            .ok_or(fault)?;
        let offset = (address - region.start) as usize;
        let room = region.mapping.size().saturating_sub(offset);
        if room == 0 || (write && !region.writable) {
            return Err(fault);
        }
        region
            .mapping
            .get_slice(offset, length.min(room))
            .map_err(|_| fault)
    }

    /// Calls `f` for each contiguous part of the `length` bytes at `address`.
    ///
    /// # Errors
    ///
    /// [`Fault`] if a part is not mapped. `f` has then been called for the parts before it.
    #[inline]
    pub fn pieces<'a>(
        &'a self,
        mut address: u64,
        mut length: usize,
        write: bool,
        mut f: impl FnMut(VolatileSlice<'a>),
    ) -> Result<(), Fault> {
        while length > 0 {
            let piece = self.piece(address, length, write)?;
            address += piece.len() as u64;
            length -= piece.len();
            f(piece);
        }
        Ok(())
    }

    /// Reads `buffer.len()` bytes at `address`.
    ///
    /// # Errors
    ///
    /// [`Fault`]. The contents of `buffer` are then undefined.
    #[inline]
    pub fn read(&self, address: u64, mut buffer: &mut [u8]) -> Result<(), Fault> {
        let mut address = address;
        while !buffer.is_empty() {
            let copied = self.piece(address, buffer.len(), false)?.copy_to(buffer);
            address += copied as u64;
            buffer = &mut buffer[copied..];
        }
        Ok(())
    }

    /// Writes `data` at `address`.
    ///
    /// # Errors
    ///
    /// [`Fault`]. Part of `data` may have been written.
    #[inline]
    pub fn write(&self, address: u64, mut data: &[u8]) -> Result<(), Fault> {
        let mut address = address;
        while !data.is_empty() {
            let piece = self.piece(address, data.len(), true)?;
            let (now, later) = data.split_at(piece.len());
            piece.copy_from(now);
            address += now.len() as u64;
            data = later;
        }
        Ok(())
    }

    /// Stores `value` at `address` with release semantics.
    ///
    /// # Errors
    ///
    /// [`Fault`], also if `address` is not aligned to the size of the value.
    #[inline]
    pub fn store_release<T: AtomicAccess>(&self, address: u64, value: T) -> Result<(), Fault> {
        let fault = Fault {
            address,
            length: size_of::<T>(),
        };
        self.piece(address, size_of::<T>(), true)?
            .store(value, 0, Ordering::Release)
            .map_err(|_| fault)
    }
}

#[cfg(test)]
mod tests {
    use nix::fcntl::F_ADD_SEALS;
    use nix::sys::memfd::MFdFlags;
    use nix::sys::memfd::memfd_create;

    use super::*;

    fn file(size: u64, fill: u8) -> File {
        let flags = MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create("test", flags).expect("memfd"));
        file.set_len(size).expect("size");
        std::os::unix::fs::FileExt::write_all_at(&file, &vec![fill; size as usize], 0)
            .expect("content");
        fcntl(&file, F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).expect("sealed");
        file
    }

    fn region(start: u64, fill: u8, writable: bool) -> Region {
        Region::map(start, 0x2000, file(0x3000, fill), 0x1000, writable).expect("mapping")
    }

    fn map(regions: Vec<Region>) -> MemoryMap {
        regions.into_iter().fold(MemoryMap::EMPTY, |map, region| {
            map.with(region).expect("few regions")
        })
    }

    #[test]
    fn accesses_run_over_adjacent_regions() {
        let map = map(vec![region(0x4000, 2, true), region(0x2000, 1, true)]);
        let mut bytes = [0; 4];
        map.read(0x3ffe, &mut bytes).expect("mapped");
        assert_eq!(bytes, [1, 1, 2, 2]);
        map.write(0x3fff, &[7, 8]).expect("mapped");
        map.read(0x3ffe, &mut bytes).expect("mapped");
        assert_eq!(bytes, [1, 7, 8, 2]);
    }

    #[test]
    fn what_is_not_mapped_faults() {
        let map = map(vec![region(0x2000, 1, true)]);
        let mut bytes = [0; 4];
        for address in [0, 0x1fff, 0x3ffd, 0x4000, u64::MAX - 1, u64::MAX] {
            assert!(map.read(address, &mut bytes).is_err(), "{address:#x}");
            assert!(map.write(address, &bytes).is_err(), "{address:#x}");
        }
        assert!(map.store_release(0x2001, 1u32).is_err(), "not aligned");
        assert!(map.store_release(0x2004, 1u32).is_ok());
    }

    #[test]
    fn read_only_memory_is_not_written() {
        let map = map(vec![region(0, 3, false)]);
        let mut bytes = [0; 1];
        map.read(0, &mut bytes).expect("mapped");
        assert_eq!(bytes, [3]);
        assert!(map.write(0, &bytes).is_err());
        assert!(map.store_release(0, 1u32).is_err());
    }

    #[test]
    fn a_new_region_takes_the_place_of_what_it_overlaps() {
        let old = map(vec![region(0x2000, 1, true)]);
        let new = old.with(region(0x3000, 2, true)).expect("few regions");
        let mut bytes = [0; 1];
        new.read(0x3000, &mut bytes).expect("mapped");
        assert_eq!((new.regions.len(), bytes), (1, [2]));
        assert!(new.read(0x2000, &mut bytes).is_err());
        old.read(0x3000, &mut bytes)
            .expect("the old map is unchanged");
        assert_eq!(bytes, [1]);
        assert_eq!(new.without(0, u64::MAX).regions.len(), 0);
        assert_eq!(new.without(0x5000, 0x1000).regions.len(), 1);
    }

    #[test]
    fn a_region_must_lie_within_its_file() {
        assert!(Region::map(0, 0x2000, file(0x1000, 0), 0, true).is_err());
        assert!(Region::map(0, 0, file(0x1000, 0), 0, true).is_err());
        assert!(Region::map(u64::MAX, 0x1000, file(0x1000, 0), 0, true).is_err());
    }
}
