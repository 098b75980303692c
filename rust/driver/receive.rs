// SPDX-License-Identifier: GPL-2.0

//! Receive storage, the host's side: lending pages, and making skbs of what stands in them.

use super::{
    adapter::Adapter,
    processor::Processor,
    registers::Registers,
    xdp::Programmed, //
};
use crate::{
    abi::{
        completion::{
            frame_flag,
            Deliver,
            HashType as WireHash,
            PagesReleased,
            RxFrame,
            NO_PAGE, //
        },
        page::{
            PagePost,
            BATCH, //
        },
        ring::{
            Ring as Line,
            PAGE_ENTRY, //
        },
        CELL_SIZE,
        PAGE_SIZE, //
    },
    net::{
        dma::Ring,
        napi::{
            RxContext,
            RxSkBuff, //
        },
        netdev::feature,
        netmem::{
            Fragment,
            Pool, //
        },
        page_pool::{
            Page,
            PagePool, //
        },
        skb::{
            GsoKind,
            PktHashType,
            UniqueSkBuff, //
        }, //
    },
    offload::{
        Client,
        Payload, //
    }, //
};
use core::mem;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Bytes of a frame that go into the linear part; a frame up to this size is copied whole.
const LINEAR: usize = 256;

/// A completion contradicts itself or what the host knows.
#[derive(Debug)]
pub(super) struct Invalid;

/// The pages lent through one page ring, by identifier.
pub(super) struct Lent {
    line: Line,
    ring: Ring<PAGE_ENTRY>,
    /// Before their pools, which otherwise would look for them in vain when they go, and a second later
    /// again.
    pages: KVec<Option<Page>>,
    pool: PagePool,
    /// For when there is no block of several pages to be had.
    single: Option<PagePool>,
    free: KVec<u32>,
    producer: u32,
}

impl Lent {
    /// For at most `ring.entries()` pages of `pool`, or when that has none of `single`.
    pub(super) fn new(
        line: Line,
        ring: Ring<PAGE_ENTRY>,
        pool: PagePool,
        single: Option<PagePool>,
    ) -> Result<Self> {
        let count = ring.entries();
        let mut pages = KVec::with_capacity(count as usize, GFP_KERNEL)?;
        let mut free = KVec::with_capacity(count as usize, GFP_KERNEL)?;
        for id in (0..count).rev() {
            pages.push(None, GFP_KERNEL)?;
            free.push(id, GFP_KERNEL)?;
        }
        Ok(Self {
            line,
            ring,
            pool,
            single,
            pages,
            free,
            producer: 0,
        })
    }

    /// The pools that it allocates from.
    fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        let pools = [Some(&self.pool), self.single.as_ref()];
        pools.into_iter().flatten().map(PagePool::pool)
    }

    /// Where the adapter finds the ring.
    pub(super) fn dma_address(&self) -> u64 {
        self.ring.dma_address()
    }

    /// Lends all the pages that there are identifiers for, in whole batches. True when the adapter
    /// has to be told.
    pub(super) fn refill(
        &mut self,
        rx: &RxContext<'_>,
        processor: &Processor,
        registers: &Registers,
    ) -> bool {
        let before = self.producer;
        while self.free.len() >= BATCH {
            let mut batch: [Option<Page>; BATCH] = [const { None }; BATCH];
            let mut fill = |pool: &mut PagePool| match pool.fill(rx, &mut batch) {
                Ok(()) => true,
                Err(missing) => {
                    processor.rx_alloc_fail.add(missing as u64);
                    false
                }
            };
            let filled = fill(&mut self.pool) || self.single.as_mut().is_some_and(fill);
            if !filled {
                break;
            }
            for page in batch.into_iter().flatten() {
                let Some(id) = self.free.pop() else { break };
                // Pool pages are aligned, and identifiers bounded by the ring.
                let post = PagePost::new(id, page.dma_address()).map_or(0, PagePost::raw);
                self.ring.write(self.producer, &post.to_le_bytes());
                self.producer = self.producer.wrapping_add(1);
                self.pages[id as usize] = Some(page);
            }
        }
        if before == self.producer {
            return false;
        }
        registers.doorbell(processor.index, self.line.index_offset(), self.producer);
        true
    }

    /// A piece of a lent page.
    fn piece(&mut self, id: u32, offset: usize, length: usize) -> Result<Fragment, Invalid> {
        let page = self.pages.get_mut(id as usize).and_then(Option::as_mut);
        page.ok_or(Invalid)?
            .fragment(offset, length)
            .map_err(|_| Invalid)
    }

    /// The adapter gives a page back.
    pub(super) fn release(&mut self, id: u32) -> Result<(), Invalid> {
        let slot = self.pages.get_mut(id as usize).ok_or(Invalid)?;
        slot.take().ok_or(Invalid)?;
        // There is room: each identifier is either free or lent.
        self.free.push_within_capacity(id).map_err(|_| Invalid)
    }

    /// The pieces of `length` bytes of data that begin at `offset` of the first of `ids`, neighbours
    /// in one if `join`; pages in `release` come back.
    fn gather(
        &mut self,
        join: bool,
        ids: &[u32],
        release: u16,
        mut offset: usize,
        mut length: usize,
        pieces: &mut Payload,
    ) -> Result<(), Invalid> {
        for (i, &id) in ids.iter().enumerate() {
            let here = length.min(PAGE_SIZE.checked_sub(offset).ok_or(Invalid)?);
            let join = join && offset == 0;
            let neighbour = pieces.last_mut().filter(|_| join).is_some_and(|last| {
                let page = self.pages.get(id as usize).and_then(Option::as_ref);
                page.is_some_and(|page| page.extend(last, here))
            });
            if here > 0 && !neighbour {
                let piece = self.piece(id, offset, here)?;
                pieces.push(piece).map_err(|_| Invalid)?;
            }
            if release >> i & 1 == 1 {
                self.release(id)?;
            }
            length -= here;
            offset = 0;
        }
        if length == 0 {
            Ok(())
        } else {
            Err(Invalid)
        }
    }
}

/// A processor's receive side.
pub(super) struct Receiver {
    pub(super) headers: Lent,
    pub(super) payload: Lent,
    programmed: Programmed,
    /// A frame of which more completions are to come.
    partial: Partial,
}

/// A frame of which more completions are to come.
enum Partial {
    None,
    Skb(UniqueSkBuff),
    /// It is on its way through a program.
    Programmed,
    /// It is lost, and counted: what is still to come of it is given back.
    Lost,
}

impl Receiver {
    pub(super) fn new(headers: Lent, payload: Lent, programmed: Programmed) -> Self {
        Self {
            headers,
            payload,
            programmed,
            partial: Partial::None,
        }
    }

    /// The pools that it allocates from.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        let lent = [&self.headers, &self.payload].into_iter();
        Iterator::chain(lent.flat_map(Lent::pools), [self.programmed.pool()])
    }

    /// The poll ends: what was sent out again has to leave.
    pub(super) fn flush<C: Client>(
        &mut self,
        rx: &RxContext<'_>,
        adapter: &Adapter<C>,
        processor: &Processor,
    ) {
        self.programmed.flush(rx, adapter, processor);
    }

    /// Pages that come back without data.
    pub(super) fn released(&mut self, entry: &PagesReleased) -> Result<(), Invalid> {
        let ids = entry.pages.get(..entry.page_count.into()).ok_or(Invalid)?;
        let lent = match entry.payload {
            0 => &mut self.headers,
            1 => &mut self.payload,
            _ => return Err(Invalid),
        };
        ids.iter().try_for_each(|&id| lent.release(id))
    }

    /// The payload of a delegated connection.
    pub(super) fn deliver(&mut self, entry: &Deliver) -> Result<Payload, Invalid> {
        let ids = entry.pages.get(..entry.page_count.into()).ok_or(Invalid)?;
        let mut pieces = Payload::new();
        let (offset, length) = (entry.data_offset.into(), entry.data_length as usize);
        self.payload
            .gather(true, ids, entry.release, offset, length, &mut pieces)?;
        Ok(pieces)
    }

    /// The frame of an entry, once it is whole. `Ok(None)` when more of it is to come, when there was
    /// no memory for it, which is counted, or when a program has decided otherwise.
    pub(super) fn frame<'a, C: Client>(
        &mut self,
        rx: &'a RxContext<'a>,
        adapter: &Adapter<C>,
        processor: &Processor,
        entry: &RxFrame,
    ) -> Result<Option<RxSkBuff<'a>>, Invalid> {
        // Frames that were joined came before the program.
        let program = match entry.gso_size {
            0 => adapter.xdp.program(rx),
            _ => None,
        };
        let programmed = program.is_some() || matches!(self.partial, Partial::Programmed);
        let ids = entry.pages.get(..entry.page_count.into()).ok_or(Invalid)?;
        let mut pieces = Payload::new();
        let mut header = None;
        if entry.header_page != NO_PAGE {
            let (offset, length) = (entry.header_offset.into(), entry.header_length.into());
            header = Some(self.headers.piece(entry.header_page, offset, length)?);
            if entry.release & 1 == 1 {
                self.headers.release(entry.header_page)?;
            }
        }
        let lent = match entry.flags & frame_flag::HEADER_RING {
            0 => &mut self.payload,
            _ => &mut self.headers,
        };
        let (offset, length) = (entry.data_offset.into(), entry.data_length as usize);
        let release = entry.release >> 1;
        lent.gather(!programmed, ids, release, offset, length, &mut pieces)?;

        let mut frame = match mem::replace(&mut self.partial, Partial::None) {
            Partial::None => match program {
                Some(program) => {
                    let frames = &mut self.programmed;
                    match frames.begin(rx, processor, &program, entry, header, &mut pieces)? {
                        true => Partial::Programmed,
                        false => Partial::Lost,
                    }
                }
                None => match begin(rx, processor, entry, header, &mut pieces)? {
                    Some(skb) => Partial::Skb(skb),
                    None => {
                        processor.no_memory();
                        Partial::Lost
                    }
                },
            },
            _ if header.is_some() => return Err(Invalid),
            partial => partial,
        };
        for piece in pieces {
            match &mut frame {
                Partial::Skb(skb) => {
                    let truesize = truesize(&piece, entry.flags);
                    // More pieces than an skb holds are more than any frame has.
                    skb.add_fragment(piece, truesize).map_err(|_| Invalid)?;
                }
                Partial::Programmed => self.programmed.add(piece, entry.flags)?,
                Partial::Lost | Partial::None => {}
            }
        }
        if entry.flags & frame_flag::MORE != 0 {
            self.partial = frame;
            return Ok(None);
        }
        match frame {
            Partial::Skb(skb) => finish(rx, processor, entry, skb).map(Some),
            Partial::Programmed => self.programmed.finish(rx, adapter, processor, entry),
            Partial::Lost | Partial::None => Ok(None),
        }
    }
}

/// What a piece costs: of a page that frames share the cells that it touches, and else what it costs
/// whoever has the page.
pub(super) fn truesize(piece: &Fragment, flags: u8) -> u32 {
    let truesize = match flags & frame_flag::HEADER_RING {
        0 => piece.truesize(),
        _ => piece.len().next_multiple_of(CELL_SIZE),
    };
    // CAST: within a block of pages.
    truesize as u32
}

/// The piece with which the frame of `entry` begins, and the flags that say what it is of.
#[inline]
pub(super) fn first(
    entry: &RxFrame,
    header: Option<Fragment>,
    pieces: &mut Payload,
) -> Result<(Fragment, u8), Invalid> {
    match header {
        Some(header) => Ok((header, frame_flag::HEADER_RING)),
        None => Ok((pieces.next().ok_or(Invalid)?, entry.flags)),
    }
}

/// How many of the bytes with which a frame begins go into its linear part.
pub(super) fn head(rx: &RxContext<'_>, bytes: &[u8]) -> usize {
    if bytes.len() <= LINEAR {
        bytes.len()
    } else {
        rx.device().eth_headlen(&bytes[..LINEAR])
    }
}

/// An skb with the headers of a frame in its linear part.
fn begin(
    rx: &RxContext<'_>,
    processor: &Processor,
    entry: &RxFrame,
    header: Option<Fragment>,
    pieces: &mut Payload,
) -> Result<Option<UniqueSkBuff>, Invalid> {
    let (first, flags) = first(entry, header, pieces)?;
    let Some(mut skb) = rx.alloc_skb(LINEAR as u32) else {
        return Ok(None);
    };
    let bytes = first.bytes().ok_or(Invalid)?;
    let head = head(rx, bytes);
    let mut linear = [0; LINEAR];
    let linear = linear.get_mut(..head).ok_or(Invalid)?;
    linear.copy_from_slice(&bytes[..head]);
    let large = match entry.gso_size {
        0 => None,
        _ => Some(Large::find(linear).ok_or(Invalid)?),
    };
    if let Some(large) = &large {
        large.write_pseudo_sum(linear);
    }
    skb.put(linear).map_err(|_| Invalid)?;
    if let Some(large) = large {
        skb.set_checksum_partial(large.transport as u16, large.checksum() as u16)
            .map_err(|_| Invalid)?;
        skb.set_gso(large.kind, entry.gso_size, entry.segments);
        processor
            .gro
            .count(entry.segments, large.length, large.total());
    }
    if let Some(rest) = first.advance(head) {
        let truesize = truesize(&rest, flags);
        skb.add_fragment(rest, truesize).map_err(|_| Invalid)?;
    }
    Ok(Some(skb))
}

/// What the completion says about the frame as a whole.
fn finish<'a>(
    rx: &'a RxContext<'a>,
    processor: &Processor,
    entry: &RxFrame,
    mut skb: UniqueSkBuff,
) -> Result<RxSkBuff<'a>, Invalid> {
    if entry.flags & frame_flag::VLAN != 0 {
        skb.put_vlan(entry.vlan_tci);
    }
    skb.record_rx_queue(processor.index.into());
    let mut skb = rx.eth_type_trans(skb).map_err(|_| Invalid)?;
    describe(rx, entry, &mut skb)?;
    Ok(skb)
}

/// What the adapter has found out about a frame: its checksum, its hash.
#[inline]
pub(super) fn describe(
    rx: &RxContext<'_>,
    entry: &RxFrame,
    skb: &mut RxSkBuff<'_>,
) -> Result<(), Invalid> {
    let features = rx.device().features();
    let checked = entry.flags & (frame_flag::L4_CSUM_OK | frame_flag::CSUM_BAD);
    if entry.gso_size == 0 && checked == frame_flag::L4_CSUM_OK && features & feature::RXCSUM != 0 {
        skb.set_checksum_unnecessary();
    }
    if features & feature::RXHASH != 0 {
        match WireHash::from_raw(entry.hash_type) {
            Some(WireHash::L4) => skb.set_hash(entry.hash, PktHashType::L4),
            Some(WireHash::L3) => skb.set_hash(entry.hash, PktHashType::L3),
            Some(WireHash::None) => {}
            None => return Err(Invalid),
        }
    }
    Ok(())
}

/// Where the headers are in a frame that stands for several.
struct Large {
    /// Start of the transport header, from the start of the frame.
    transport: usize,
    /// Bytes of the datagram from there on.
    datagram: usize,
    /// Length of all headers.
    length: usize,
    kind: GsoKind,
    v6: bool,
}

impl Large {
    const ETHERNET: usize = 14;
    const TCP: u8 = 6;
    const UDP: u8 = 17;

    /// Finds them in an untagged frame without IPv6 extension headers: no other comes as a large one.
    fn find(frame: &[u8]) -> Option<Self> {
        let be16 = |at: usize| match frame.get(at..at + 2)? {
            &[high, low] => Some(usize::from(u16::from_be_bytes([high, low]))),
            _ => None,
        };
        let ip = frame.get(Self::ETHERNET..)?;
        let (length, v6, protocol, total) = match frame.get(12..14)? {
            [0x08, 0x00] => {
                let length = usize::from(ip.first()? & 15) * 4;
                (length, false, *ip.get(9)?, be16(Self::ETHERNET + 2)?)
            }
            [0x86, 0xdd] => (40, true, *ip.get(6)?, 40 + be16(Self::ETHERNET + 4)?),
            _ => return None,
        };
        let transport = Self::ETHERNET + length;
        let header = frame.get(transport..)?;
        let (kind, own) = match protocol {
            Self::TCP => {
                let own = usize::from(header.get(12)? >> 4) * 4;
                let kind = match v6 {
                    true => GsoKind::Tcp6,
                    false => GsoKind::Tcp4,
                };
                (kind, own.max(20))
            }
            Self::UDP => (GsoKind::Udp, 8),
            _ => return None,
        };
        (length >= 20 && header.len() >= own).then_some(Self {
            transport,
            datagram: total.checked_sub(length)?,
            length: transport + own,
            kind,
            v6,
        })
    }

    /// Length of the frame.
    fn total(&self) -> usize {
        self.transport + self.datagram
    }

    /// Where the checksum is, from the start of the transport header.
    fn checksum(&self) -> usize {
        match self.kind {
            GsoKind::Udp => 6,
            GsoKind::Tcp4 | GsoKind::Tcp6 => 16,
        }
    }

    /// Writes the sum of the pseudo-header into the checksum field.
    fn write_pseudo_sum(&self, frame: &mut [u8]) {
        let addresses = match self.v6 {
            true => Self::ETHERNET + 8..Self::ETHERNET + 40,
            false => Self::ETHERNET + 12..Self::ETHERNET + 20,
        };
        let protocol = match self.kind {
            GsoKind::Udp => Self::UDP,
            GsoKind::Tcp4 | GsoKind::Tcp6 => Self::TCP,
        };
        let mut sum = self.datagram as u32 + u32::from(protocol);
        for pair in frame[addresses].chunks_exact(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
        }
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let at = self.transport + self.checksum();
        frame[at..at + 2].copy_from_slice(&(sum as u16).to_be_bytes());
    }
}
