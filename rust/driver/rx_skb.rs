// SPDX-License-Identifier: GPL-2.0

//! Socket buffers of received frames.

use super::{
    fill_ring::Invalid,
    gro_headers::GroHeaders,
    queue_pair::QueuePair, //
};
use crate::{
    abi::{
        completion::{
            frame_flag,
            HashType as WireHash,
            RxFrame, //
        },
        CELL_SIZE, //
    },
    net::{
        napi::{
            RxContext,
            RxSkBuff, //
        },
        netdev::feature,
        netmem::PoolFrag,
        skb::{
            PktHashType,
            UniqueSkBuff, //
        }, //
    },
    offload::Payload, //
};

/// Size of an skb's linear part. Frames up to this size are copied whole.
pub(super) const LINEAR: usize = 256;

/// Returns the memory that a fragment accounts for. A header page is shared by frames and accounts
/// for the cells that the fragment touches; any other fragment accounts for its pages.
pub(super) fn truesize(fragment: &PoolFrag, flags: u8) -> u32 {
    let truesize = match flags & frame_flag::HEADER_RING {
        0 => fragment.truesize(),
        _ => fragment.len().next_multiple_of(CELL_SIZE),
    };
    // CAST: at most a block of pages.
    truesize as u32
}

/// Returns the fragment that the frame begins with, and the flags that [`truesize`] needs for it.
#[inline]
pub(super) fn first(
    entry: &RxFrame,
    header: Option<PoolFrag>,
    frags: &mut Payload,
) -> Result<(PoolFrag, u8), Invalid> {
    match header {
        Some(header) => Ok((header, frame_flag::HEADER_RING)),
        None => Ok((frags.next().ok_or(Invalid)?, entry.flags)),
    }
}

/// Returns how many of the first `length` bytes of a frame are copied to the linear part: the headers,
/// or all of a small frame. `start` has as many of them as fit there.
pub(super) fn linear_length(rx: &RxContext<'_>, start: &[u8], length: usize) -> usize {
    if length <= LINEAR {
        length
    } else {
        rx.device().eth_headlen(start)
    }
}

/// An skb that lacks the data of further completions.
pub(super) struct Partial {
    pub(super) skb: UniqueSkBuff,
    /// Length that the headers of a coalesced frame give.
    total: Option<usize>,
}

/// Creates an skb with the headers of a frame in its linear part. `Ok(None)` when there is no memory.
pub(super) fn begin(
    rx: &RxContext<'_>,
    pair: &QueuePair,
    entry: &RxFrame,
    header: Option<PoolFrag>,
    frags: &mut Payload,
) -> Result<Option<Partial>, Invalid> {
    let (first, flags) = first(entry, header, frags)?;
    let Some(mut skb) = rx.alloc_skb(LINEAR as u32) else {
        return Ok(None);
    };
    // The adapter may still write to the page: what is checked is a copy.
    let bytes = first.bytes().ok_or(Invalid)?;
    let mut copy = [0; LINEAR];
    let copied = bytes.len().min(LINEAR);
    copy[..copied].copy_from_slice(&bytes[..copied]);
    let copy = &mut copy[..copied];
    let coalesced = match entry.gso_size {
        0 => None,
        size => GroHeaders::parse(copy)
            .filter(|headers| headers.is_cut(size, entry.segments))
            .ok_or(Invalid)
            .map(Some)?,
    };
    // The length of the flow dissector is an optimisation only: a BPF program may set it.
    let head = match &coalesced {
        None => linear_length(rx, copy, bytes.len()),
        Some(headers) => headers.length,
    };
    let linear = copy.get_mut(..head).ok_or(Invalid)?;
    if let Some(headers) = &coalesced {
        headers.write_pseudo_sum(linear);
    }
    skb.put(linear).map_err(|_| Invalid)?;
    let total = coalesced.as_ref().map(GroHeaders::total);
    if let Some(headers) = coalesced {
        // CAST: within `LINEAR` bytes.
        skb.set_checksum_partial(headers.transport as u16, headers.checksum_offset() as u16)
            .map_err(|_| Invalid)?;
        skb.set_gso(headers.kind, entry.gso_size, entry.segments);
        pair.gro
            .count(entry.segments, headers.length, headers.total());
    }
    if let Some(rest) = first.advance(head) {
        let truesize = truesize(&rest, flags);
        skb.add_fragment(rest, truesize).map_err(|_| Invalid)?;
    }
    Ok(Some(Partial { skb, total }))
}

/// Completes the skb of a whole frame.
pub(super) fn finish<'a>(
    rx: &'a RxContext<'a>,
    pair: &QueuePair,
    entry: &RxFrame,
    Partial { mut skb, total }: Partial,
) -> Result<RxSkBuff<'a>, Invalid> {
    if total.is_some_and(|total| total != skb.len() as usize) {
        return Err(Invalid);
    }
    if entry.flags & frame_flag::VLAN != 0 {
        skb.put_vlan(entry.vlan_tci);
    }
    skb.record_rx_queue(pair.index.into());
    let mut skb = rx.eth_type_trans(skb).map_err(|_| Invalid)?;
    set_offloads(rx, entry, &mut skb)?;
    Ok(skb)
}

/// Sets checksum verdict and hash of a frame, as far as the interface's features are on.
#[inline]
pub(super) fn set_offloads(
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
