// SPDX-License-Identifier: GPL-2.0

//! What a receive queue does with a frame for a program.

use super::{
    Frame,
    Program, //
};
use crate::{
    bindings,
    net::{
        device::{
            Allocation,
            InstanceLock, //
        },
        napi::{
            Context,
            Instance, //
        },
        page_pool::{
            Fragment,
            Pool, //
        },
        skb::SkBuff, //
    }, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// Bytes before a frame: those into which a program may let it grow, and where what describes the
/// frame goes when it is sent.
const HEADROOM: usize =
    bindings::XDP_PACKET_HEADROOM as usize + size_of::<bindings::xdp_frame>().next_multiple_of(64);

/// Bytes behind the linear part of a frame into which a program may let it grow, or pull what
/// follows in pages. There are fewer where the linear part is longer than
/// [`MAX_LINEAR`]` - TAILROOM`.
pub const TAILROOM: usize = 256;

/// What the end of a buffer is kept for.
const END: usize = size_of::<bindings::skb_shared_info>().next_multiple_of(64);

/// The longest linear part of a frame, in bytes.
pub const MAX_LINEAR: usize = PAGE_SIZE - HEADROOM - END;

/// The smallest buffer.
const MIN_BUFFER: usize = 1024;

/// What the hash of a received frame was computed over, for programs that ask
/// (`enum xdp_rss_hash_type`).
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashType {
    /// Addresses of IPv4.
    Ip4 = bindings::xdp_rss_hash_type_XDP_RSS_TYPE_L3_IPV4,
    /// Addresses of IPv6.
    Ip6 = bindings::xdp_rss_hash_type_XDP_RSS_TYPE_L3_IPV6,
    /// TCP over IPv4.
    Tcp4 = bindings::xdp_rss_hash_type_XDP_RSS_TYPE_L4_IPV4_TCP,
    /// TCP over IPv6.
    Tcp6 = bindings::xdp_rss_hash_type_XDP_RSS_TYPE_L4_IPV6_TCP,
    /// UDP over IPv4.
    Udp4 = bindings::xdp_rss_hash_type_XDP_RSS_TYPE_L4_IPV4_UDP,
    /// UDP over IPv6.
    Udp6 = bindings::xdp_rss_hash_type_XDP_RSS_TYPE_L4_IPV6_UDP,
}

/// What has come of a frame.
pub enum Verdict {
    /// It is the stack's, its Ethernet header taken off.
    Pass {
        /// The frame.
        skb: SkBuff,
        /// Whether it is as long as it was, and begins where it did: what was known of it still
        /// holds.
        intact: bool,
    },
    /// It goes out where it came in.
    Transmit(Frame),
    /// It has gone elsewhere.
    Redirected,
    /// The program does not want it.
    Dropped,
    /// It is lost: the program has failed, or what it decided could not be done.
    Failed,
    /// It is lost: there was no memory to pass it on.
    NoMemory,
}

/// A receive queue as programs and those to whom they send its frames know it
/// (`struct xdp_rxq_info`), and the frame that is being received.
///
/// # Invariants
///
/// `info` is registered for the device of `dev`, with `pool` as its memory. With `present`, `buff`
/// is a frame of a buffer of `pool` and of pieces of other pools, all of it this value's.
pub struct RxQueue {
    info: KBox<Opaque<bindings::xdp_rxq_info>>,
    buff: bindings::toe_xdp_buff,
    present: bool,
    pool: Pool,
    dev: Arc<Allocation>,
}

// SAFETY: Nothing of it is bound to a thread.
unsafe impl Send for RxQueue {}

impl RxQueue {
    /// For receive queue `queue` of `dev`, to whose memory about `buffers` pages come back. `lock`
    /// is to be that of `dev`. Sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL` when `lock` is another's, `ENOMEM`.
    pub fn new(
        lock: &InstanceLock<'_>,
        dev: &Arc<Allocation>,
        queue: u16,
        buffers: u32,
    ) -> Result<Self> {
        if !ptr::eq(lock.device(), dev.device()) {
            return Err(EINVAL);
        }
        let fast = bindings::page_pool_params__bindgen_ty_1_page_pool_params_fast {
            pool_size: buffers.max(1),
            nid: kernel::bindings::NUMA_NO_NODE,
            ..Default::default()
        };
        let pool = Pool::new(lock, queue, fast, 0)?;
        let info = KBox::new(Opaque::zeroed(), GFP_KERNEL)?;
        // SAFETY: `info` is zeroed memory that does not move, the device outlives it by `dev`, and
        // the pool is valid.
        unsafe {
            to_result(bindings::__xdp_rxq_info_reg(
                info.get(),
                dev.device().as_raw(),
                queue.into(),
                0,
                0,
            ))?;
            to_result(bindings::xdp_rxq_info_reg_mem_model(
                info.get(),
                bindings::xdp_mem_type_MEM_TYPE_PAGE_POOL,
                pool.as_raw().cast(),
            ))
            .inspect_err(|_| bindings::xdp_rxq_info_unreg(info.get()))?;
        }
        // INVARIANT: Registered just now; there is no frame.
        Ok(Self {
            info,
            buff: Default::default(),
            present: false,
            pool,
            dev: dev.clone(),
        })
    }

    /// From here on memory that comes back in the poll of `napi` needs no lock. To be called once,
    /// and the instance is to be disabled when the queue is dropped.
    pub fn recycle_to(&mut self, napi: &Arc<Instance>) {
        self.pool.recycle_to(napi);
    }

    /// Begins a frame with room for `length` bytes in its linear part, and [`TAILROOM`] where there
    /// can be as much; with `pieces`, also for pieces. What there was of another frame is given back.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` for more than [`MAX_LINEAR`], `ENOMEM`.
    #[inline]
    pub fn begin(&mut self, _cx: &Context<'_>, length: usize, pieces: bool) -> Result {
        self.abandon();
        if length > MAX_LINEAR {
            return Err(EMSGSIZE);
        }
        let size = match pieces {
            true => PAGE_SIZE,
            false => (HEADROOM + length + TAILROOM + END)
                .next_power_of_two()
                .clamp(MIN_BUFFER, PAGE_SIZE),
        };
        // CAST: at most a page.
        let mut size = size as u32;
        // SAFETY: By the type invariant; `&mut self` excludes other takers.
        let start = unsafe { bindings::page_pool_dev_alloc_va(self.pool.as_raw(), &mut size) };
        if start.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: A fresh buffer of `size` bytes is ours alone.
        unsafe {
            let info = self.info.get();
            bindings::xdp_begin(&mut self.buff, start, size, HEADROOM as u32, info);
        }
        // INVARIANT: A frame of a buffer of the pool.
        self.present = true;
        Ok(())
    }

    /// Appends `bytes` to the linear part of a frame without pieces.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when there is no room for them, or no such frame.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> Result {
        let xdp = &mut self.buff.xdp;
        // SAFETY: With `present` the frame is valid; there is room for the bytes, as checked.
        unsafe {
            if !self.present
                || bindings::xdp_buff_has_frags(xdp)
                || bytes.len() > bindings::xdp_tailroom(xdp) as usize
            {
                return Err(ENOSPC);
            }
            ptr::copy_nonoverlapping(bytes.as_ptr(), xdp.data_end.cast(), bytes.len());
            xdp.data_end = xdp.data_end.byte_add(bytes.len());
        }
        Ok(())
    }

    /// Appends a piece of a pool page to a frame that was begun for pieces. `truesize` is the memory
    /// it accounts for, at least the piece's length.
    ///
    /// Who makes an skb of a frame that was redirected takes each piece to cost as much as the
    /// buffer of the linear part. So none is longer than that: a page.
    ///
    /// # Errors
    ///
    /// The piece comes back when there is no such frame, no room for another piece, or when it is
    /// longer than a page.
    #[inline]
    pub fn add_fragment(&mut self, fragment: Fragment, truesize: u32) -> Result<(), Fragment> {
        if !self.present || fragment.len() > self.buffer() {
            return Err(fragment);
        }
        let (block, offset, length) = fragment.into_raw();
        let xdp = &mut self.buff.xdp;
        // SAFETY: The frame is valid; the reference to the page goes over to it.
        if unsafe { bindings::xdp_buff_add_frag(xdp, block.get(), offset, length, truesize) } {
            Ok(())
        } else {
            // SAFETY: It did not go over.
            Err(unsafe { Fragment::from_raw(block, offset, length) })
        }
    }

    /// Sets the hash that programs may ask for.
    #[inline]
    pub fn set_hash(&mut self, hash: u32, kind: HashType) {
        self.buff.hash = hash;
        self.buff.hash_type = kind as bindings::xdp_rss_hash_type;
    }

    /// Gives back what there is of a frame.
    #[inline]
    pub fn abandon(&mut self) {
        if self.present {
            self.present = false;
            // SAFETY: By the type invariant the frame is this value's, and was present.
            unsafe { bindings::xdp_discard(&mut self.buff.xdp) };
        }
    }

    /// Lets `program` decide about the frame, which passes when there is none.
    ///
    /// # Errors
    ///
    /// `EINVAL` when there is no frame, or not even an Ethernet header in its linear part; what there
    /// was of it is given back.
    pub fn run(&mut self, cx: &Context<'_>, program: Option<&Program<'_>>) -> Result<Verdict> {
        let (start, length) = self.bounds();
        let linear = (self.buff.xdp.data_end as usize).wrapping_sub(start as usize);
        if !self.present || linear < bindings::ETH_HLEN as usize {
            self.abandon();
            return Err(EINVAL);
        }
        let Some(program) = program else {
            return Ok(self.pass(true));
        };
        // SAFETY: The frame is valid.
        let has_frags = unsafe { bindings::xdp_buff_has_frags(&self.buff.xdp) };
        if has_frags && !program.takes_fragments() {
            self.abandon();
            return Ok(Verdict::Failed);
        }
        // SAFETY: `program` is valid, in the poll that it proves to be in progress; the frame is
        // valid, and stays so.
        let action = unsafe { bindings::bpf_prog_run_xdp(program.as_raw(), &mut self.buff.xdp) };
        Ok(match action {
            bindings::XDP_PASS => {
                let intact = self.bounds() == (start, length);
                self.pass(intact)
            }
            bindings::XDP_DROP => {
                self.abandon();
                Verdict::Dropped
            }
            bindings::XDP_TX => match self.convert() {
                Some(frame) => Verdict::Transmit(frame),
                None => self.fail(program, action),
            },
            bindings::XDP_REDIRECT => {
                let dev = self.dev.device().as_raw();
                // SAFETY: As above; this is a poll.
                let result =
                    unsafe { bindings::xdp_do_redirect(dev, &mut self.buff.xdp, program.as_raw()) };
                if result == 0 {
                    // The frame went over.
                    self.present = false;
                    cx.redirected();
                    Verdict::Redirected
                } else {
                    self.fail(program, action)
                }
            }
            _ => {
                if action != bindings::XDP_ABORTED {
                    let dev = self.dev.device().as_raw();
                    // SAFETY: By the type invariants.
                    unsafe { bindings::bpf_warn_invalid_xdp_action(dev, program.as_raw(), action) };
                }
                self.fail(program, action)
            }
        })
    }

    /// Size of the frame's buffer in bytes.
    #[inline]
    fn buffer(&self) -> usize {
        // SAFETY: The frame was begun, or is zeroed: all variants of the union are plain integers.
        unsafe { self.buff.xdp.__bindgen_anon_1.__bindgen_anon_1.frame_sz as usize }
    }

    /// Where the frame begins, and how long it is.
    #[inline]
    fn bounds(&self) -> (*mut kernel::ffi::c_void, u32) {
        if !self.present {
            return (ptr::null_mut(), 0);
        }
        let xdp = &self.buff.xdp;
        // SAFETY: The frame is valid.
        (xdp.data, unsafe { bindings::xdp_get_buff_len(xdp) })
    }

    fn pass(&mut self, intact: bool) -> Verdict {
        // SAFETY: The frame is valid, and holds an Ethernet header: no program can make it shorter.
        let skb = unsafe { bindings::xdp_build_skb_from_buff(&self.buff.xdp) };
        let Some(skb) = NonNull::new(skb) else {
            self.abandon();
            return Verdict::NoMemory;
        };
        // The frame went over.
        self.present = false;
        // SAFETY: A fresh skb is ours alone.
        let skb = unsafe { SkBuff::from_raw(skb) };
        Verdict::Pass { skb, intact }
    }

    /// The frame for sending it; `None` when the program has left no room for that.
    fn convert(&mut self) -> Option<Frame> {
        // SAFETY: The frame is valid.
        let frame = unsafe { bindings::xdp_convert_buff_to_frame(&mut self.buff.xdp) };
        let frame = NonNull::new(frame)?;
        self.present = false;
        // SAFETY: The frame went over.
        Some(unsafe { Frame::from_raw(frame) })
    }

    #[cold]
    fn fail(&mut self, program: &Program<'_>, action: u32) -> Verdict {
        program.exception(self.dev.device(), action);
        self.abandon();
        Verdict::Failed
    }
}

impl Drop for RxQueue {
    fn drop(&mut self) {
        self.abandon();
        // SAFETY: By the type invariant. Frames that are still out keep what they need of the pool.
        unsafe { bindings::xdp_rxq_info_unreg(self.info.get()) };
    }
}
